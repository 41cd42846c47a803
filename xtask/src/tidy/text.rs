//! Rules for every text file: nothing that is only true on one machine, nothing left to do.

use std::path::Path;

use super::Fault;

/// Beginnings of absolute paths that exist on somebody's machine only, in two halves so that this list does not
/// find itself.
const MACHINE_PATHS: [(&str, &str); 4] = [
    ("/ho", "me/"),
    ("/ro", "ot/"),
    ("/Us", "ers/"),
    ("/wo", "rk/"),
];

/// Parts of host names that a private package registry or proxy has.
const PRIVATE_HOSTS: [(&str, &str); 5] = [
    ("artif", "actory"),
    ("nexus", "."),
    (".inter", "nal"),
    ("mirror", "."),
    ("pro", "xy."),
];

/// Words for work that is left, in two halves as above.
const LEFT_TO_DO: [(&str, &str); 2] = [("TO", "DO"), ("FIX", "ME")];

pub(super) fn check(file: &Path, text: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let mut fault = |what: String| faults.push(Fault::new(file, Some(index + 1), what));
        for (head, rest) in MACHINE_PATHS {
            let path = format!("{head}{rest}");
            if holds_path(line, &path) {
                fault(format!("{path}... is a path of one machine"));
            }
        }
        for host in hosts(line) {
            if PRIVATE_HOSTS
                .iter()
                .any(|(head, rest)| host.contains(&format!("{head}{rest}")))
            {
                fault(format!("{host} is a private host"));
            }
        }
        for (head, rest) in LEFT_TO_DO {
            if quotes_others(file) {
                break;
            }
            let word = format!("{head}{rest}");
            if line
                .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .any(|found| found == word)
            {
                fault(format!(
                    "{word}: do it, or open an issue and say what is true today"
                ));
            }
        }
    }
    faults
}

/// Whether the file is a recorded result: it holds what the tests of other projects print, their unfinished work too.
fn quotes_others(file: &Path) -> bool {
    file.starts_with("docs/results") && file.extension().is_some_and(|kind| kind == "json")
}

/// Whether the path begins there, and is not the middle of another one, as in `docs/work/`.
fn holds_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line.get(..at).and_then(|before| before.chars().next_back());
        !before.is_some_and(|c| c.is_ascii_alphanumeric() || "_.-/~})$".contains(c))
    })
}

/// The host names of the URLs in a line.
fn hosts(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("://").filter_map(|(at, mark)| {
        let rest = line.get(at + mark.len()..)?;
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '-')
            .unwrap_or(rest.len());
        rest.get(..end)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(line: &str) -> usize {
        check(Path::new("README.md"), line).len()
    }

    #[test]
    fn recorded_results_may_quote_unfinished_work() {
        let (head, rest) = LEFT_TO_DO[1];
        let line = format!("\"detail\": \"{head}{rest}: fix the test\"");
        assert_eq!(check(Path::new("docs/results/compat.json"), &line).len(), 0);
        assert_eq!(check(Path::new("docs/results/compat.md"), &line).len(), 1);
        assert_eq!(check(Path::new("src/lib.rs"), &line).len(), 1);
    }

    #[test]
    fn paths_of_one_machine_are_found() {
        for (head, rest) in MACHINE_PATHS {
            assert_eq!(count(&format!("see {head}{rest}someone/file")), 1);
            assert_eq!(
                count(&format!("see docs{head}{rest}file")),
                0,
                "a relative path"
            );
        }
        assert_eq!(count("see /var/lib/affluent and ~/.cache"), 0);
    }

    #[test]
    fn private_hosts_are_found_and_public_ones_are_not() {
        assert_eq!(
            count("https://kafka.apache.org/protocol and kafka://127.0.0.1:9092"),
            0
        );
        for (head, rest) in PRIVATE_HOSTS {
            assert_eq!(
                count(&format!("index = https://{head}{rest}example/index")),
                1
            );
        }
    }

    #[test]
    fn words_for_work_that_is_left_are_found_as_words() {
        for (head, rest) in LEFT_TO_DO {
            assert_eq!(count(&format!("// {head}{rest}: later")), 1);
            assert_eq!(count(&format!("{head}{rest}S are none of these words")), 0);
        }
    }
}
