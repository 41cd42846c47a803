//! Links of the documentation to files of the checkout: each must exist.

use std::path::{Component, Path, PathBuf};

use super::Fault;

/// Checks the relative links of a Markdown file.
pub(super) fn check(root: &Path, file: &Path, text: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut fenced = false;
    for (index, line) in text.lines().enumerate() {
        fenced ^= line.trim_start().starts_with("```");
        if fenced {
            continue;
        }
        for target in targets(line) {
            let Some(path) = local_path(file, target) else {
                continue;
            };
            if !root.join(&path).exists() {
                faults.push(Fault::new(
                    file,
                    Some(index + 1),
                    format!("links to {target}, which does not exist"),
                ));
            }
        }
    }
    faults
}

/// What stands in the parentheses of `[text](target)`.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("](").filter_map(|(at, mark)| {
        let rest = line.get(at + mark.len()..)?;
        rest.split([')', ' ']).next()
    })
}

/// The path a link means, from the root; `None` for a URL or a place in the same file.
fn local_path(file: &Path, target: &str) -> Option<PathBuf> {
    let path = target.split('#').next()?;
    if path.is_empty() || path.contains("://") || path.starts_with("mailto:") {
        return None;
    }
    let mut resolved = PathBuf::new();
    for part in file.parent()?.join(path).components() {
        match part {
            Component::ParentDir => {
                resolved.pop();
            }
            Component::CurDir => {}
            other => resolved.push(other),
        }
    }
    Some(resolved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_to_a_file_that_is_not_there_is_a_fault() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("docs")).unwrap();
        std::fs::write(root.path().join("README.md"), "").unwrap();
        let text = "\
[up](../README.md#start) and [web](https://example.org/x) and [here](#part)
[gone](gone.md)
```
[code](not-a-link.md)
```
";
        let faults = check(root.path(), Path::new("docs/guide.md"), text);
        assert_eq!(faults.len(), 1);
        assert_eq!(
            (faults[0].line, faults[0].what.contains("gone.md")),
            (Some(2), true)
        );
    }
}
