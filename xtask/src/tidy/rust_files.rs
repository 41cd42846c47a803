//! Rules for Rust files: a header that says what the file is, bounded length, nothing left for later.

use std::path::Path;

use super::functions::long_functions;
use super::{Fault, is_generated};

/// A file may not be longer than this.
const LINES_MAX: usize = 1500;

/// A file longer than this is worth a look.
const LINES_NOTED: usize = 800;

/// Inline tests longer than this belong into a file beside.
const TEST_LINES_NOTED: usize = 250;

/// Words that put work off, each in two halves so that this list does not find itself.
const PUT_OFF: [(&str, &str, &str); 3] = [
    (
        "#[",
        "ignore",
        "a test that does not run proves nothing: assert what is true today, or delete it",
    ),
    (
        "todo",
        "!(",
        "unfinished code does not belong on the main branch",
    ),
    (
        "unimplemented",
        "!(",
        "unfinished code does not belong on the main branch",
    ),
];

pub(super) fn check(file: &Path, text: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    if !text.starts_with("//!") {
        let what = "does not open with //!: say what the file is, why, and what it does not do";
        faults.push(Fault::new(file, Some(1), what));
    }
    if is_generated(file) {
        return faults;
    }
    let count = text.lines().count();
    if count > LINES_MAX {
        faults.push(Fault::new(
            file,
            None,
            format!("has {count} lines; {LINES_MAX} is the limit: split it"),
        ));
    }
    let lines: Vec<&str> = text.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        if line.trim_start().starts_with("//") {
            continue;
        }
        for (head, rest, why) in PUT_OFF {
            let word = format!("{head}{rest}");
            if line.contains(&word) {
                faults.push(Fault::new(file, Some(index + 1), format!("{word}: {why}")));
            }
        }
        if silences_a_lint(line)
            && !lines
                .iter()
                .skip(index)
                .take(5)
                .any(|line| line.contains("reason = "))
        {
            let what = "silences a lint without a reason: say #[expect(..., reason = \"...\")]";
            faults.push(Fault::new(file, Some(index + 1), what));
        }
    }
    faults.extend(long_functions(shipped(file, text)).into_iter().map(|long| {
        let what = format!(
            "fn {} has {} lines; 70 is the limit: let the parent decide and leaves compute",
            long.name, long.lines
        );
        Fault::new(file, Some(long.line), what)
    }));
    faults
}

/// Whether an attribute for an item or for the whole file begins here that turns a lint off.
fn silences_a_lint(line: &str) -> bool {
    let attribute = line.trim_start();
    ["#[", "#!["].iter().any(|head| {
        attribute
            .strip_prefix(head)
            .is_some_and(|rest| rest.starts_with("allow(") || rest.starts_with("expect("))
    })
}

/// The part of a file that is not tests: a table of cases may be as long as its cases are many.
fn shipped<'a>(file: &Path, text: &'a str) -> &'a str {
    let in_tests = file.components().any(|part| part.as_os_str() == "tests");
    let is_tests = file
        .file_stem()
        .and_then(|stem| stem.to_str())
        .is_some_and(|stem| stem.ends_with("tests"));
    if in_tests || is_tests {
        ""
    } else {
        text.split("\nmod tests {").next().unwrap_or(text)
    }
}

/// What is allowed and should not grow.
pub(super) fn notes(file: &Path, text: &str) -> Vec<String> {
    let mut notes = Vec::new();
    if is_generated(file) {
        return notes;
    }
    let lines = text.lines().count();
    if lines > LINES_NOTED {
        notes.push(format!("{} has {lines} lines", file.display()));
    }
    if let Some(start) = text.lines().position(|line| line == "mod tests {")
        && lines - start > TEST_LINES_NOTED
    {
        notes.push(format!(
            "{} has {} lines of inline tests",
            file.display(),
            lines - start
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn what(text: &str) -> Vec<String> {
        check(Path::new("crates/x/src/lib.rs"), text)
            .into_iter()
            .map(|fault| fault.to_string())
            .collect()
    }

    #[test]
    fn a_file_opens_by_saying_what_it_is() {
        assert!(what("//! Things.\nfn f() {}\n").is_empty());
        assert!(what("use std::fs;\n")[0].contains("does not open with //!"));
        let generated = check(
            Path::new("crates/wire/src/messages/fetch.rs"),
            "use std::fs;\n",
        );
        assert_eq!(generated.len(), 1, "generated files need the header too");
    }

    #[test]
    fn what_puts_work_off_is_named_with_its_line() {
        for (head, rest, _) in PUT_OFF {
            let text = format!("//! Things.\n{head}{rest}dead_code)]\n");
            assert!(
                what(&text)[0].starts_with("crates/x/src/lib.rs:2: "),
                "{text}"
            );
        }
        let comment = format!("//! Things.\n// about {}{}\n", PUT_OFF[0].0, PUT_OFF[0].1);
        assert!(what(&comment).is_empty());
    }

    #[test]
    fn a_silenced_lint_needs_a_reason() {
        let text = |attribute: &str| format!("//! Things.\n{attribute}\n");
        assert_eq!(what(&text("#![allow(dead_code)]")).len(), 1);
        assert_eq!(what(&text("    #[expect(dead_code)]")).len(), 1);
        assert!(
            what(&text(
                "#[expect(\n    dead_code,\n    reason = \"kept for its drop\"\n)]"
            ))
            .is_empty()
        );
    }

    #[test]
    fn a_long_function_is_refused_unless_it_is_a_test() {
        let long = format!("fn f() {{\n{}}}\n", "    x;\n".repeat(80));
        assert!(what(&format!("//! Things.\n{long}"))[0].contains("fn f has 82 lines"));
        assert!(
            what(&format!(
                "//! Things.\n#[cfg(test)]\nmod tests {{\n{long}}}\n"
            ))
            .is_empty()
        );
        let file = Path::new("crates/x/src/thing_tests.rs");
        assert!(check(file, &format!("//! Things.\n{long}")).is_empty());
    }

    #[test]
    fn a_long_file_is_noted_and_a_very_long_one_refused() {
        let text = |lines: usize| format!("//! Things.\n{}", "//\n".repeat(lines - 1));
        let file = Path::new("crates/x/src/lib.rs");
        assert!(what(&text(1500)).is_empty());
        assert!(what(&text(1501))[0].contains("1501 lines"));
        assert!(notes(file, &text(800)).is_empty());
        assert_eq!(notes(file, &text(801)).len(), 1);
    }
}
