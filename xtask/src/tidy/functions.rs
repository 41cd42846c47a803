//! Counts the lines of functions in formatted Rust.
//!
//! rustfmt puts a function's closing brace under the first letter of its declaration, so that indentation alone
//! finds the end; no parser is needed. The whole function counts, from `fn` to the brace.

/// A function longer than the limit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LongFunction {
    pub(super) name: String,
    /// The line of its `fn`, counted from 1.
    pub(super) line: usize,
    pub(super) lines: usize,
}

/// What fits on a screen beside the code that calls it.
const LINES_MAX: usize = 70;

/// Words that may stand before `fn`.
const QUALIFIERS: [&str; 8] = [
    "pub",
    "pub(crate)",
    "pub(super)",
    "async",
    "const",
    "unsafe",
    "extern",
    "\"C\"",
];

/// All functions of a text that are too long.
pub(super) fn long_functions(text: &str) -> Vec<LongFunction> {
    let lines: Vec<&str> = text.lines().collect();
    let mut long = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let Some(name) = declared_name(line) else {
            continue;
        };
        let indent: String = line.chars().take_while(|c| *c == ' ').collect();
        let end = lines
            .iter()
            .enumerate()
            .skip(start)
            .find_map(|(index, line)| {
                let rest = line.strip_prefix(indent.as_str())?;
                // A declaration in a trait ends with a semicolon, an empty body on its own line.
                let over =
                    rest == "}" || (index == start && (rest.ends_with(';') || rest.ends_with('}')));
                let signature_only = rest.starts_with(')') && rest.ends_with(';');
                (over || signature_only).then_some(index)
            });
        let count = end.map_or(0, |end| end - start + 1);
        if count > LINES_MAX {
            long.push(LongFunction {
                name: name.to_owned(),
                line: start + 1,
                lines: count,
            });
        }
    }
    long
}

/// The name of the function that a line begins to declare.
fn declared_name(line: &str) -> Option<&str> {
    let mut rest = line.trim_start();
    while let Some((word, behind)) = rest.split_once(' ') {
        if word == "fn" {
            return behind
                .split(['(', '<'])
                .next()
                .filter(|name| !name.is_empty());
        }
        if !QUALIFIERS.contains(&word) {
            return None;
        }
        rest = behind;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(head: &str, body_lines: usize, indent: &str) -> String {
        format!(
            "{indent}{head} {{\n{}{indent}}}\n",
            format!("{indent}    x;\n").repeat(body_lines)
        )
    }

    #[test]
    fn seventy_lines_are_fine_and_seventy_one_are_not() {
        assert_eq!(long_functions(&function("fn fine()", 68, "")), []);
        let long = long_functions(&function("pub(crate) async fn long<T>(t: T)", 69, "    "));
        assert_eq!(
            long,
            [LongFunction {
                name: "long".to_owned(),
                line: 1,
                lines: 71
            }]
        );
    }

    #[test]
    fn blocks_inside_do_not_end_a_function() {
        let body = "    if x {\n    }\n".repeat(40);
        let text = format!("fn outer() {{\n{body}}}\nfn next() {{}}\n");
        assert_eq!(long_functions(&text).len(), 1);
    }

    #[test]
    fn a_declaration_without_a_body_has_no_length() {
        let filler = "    // text\n".repeat(100);
        let text = format!(
            "trait T {{\n    fn a(&self);\n    fn b(\n        &self,\n    ) -> u8;\n{filler}}}\n"
        );
        assert_eq!(long_functions(&text), []);
    }

    #[test]
    fn only_a_declaration_names_a_function() {
        assert_eq!(
            declared_name("    pub const unsafe fn f<T>(x: T) {"),
            Some("f")
        );
        assert_eq!(declared_name("let f = fn_name(x);"), None);
        assert_eq!(declared_name("// the fn of it"), None);
    }
}
