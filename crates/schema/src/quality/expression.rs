//! CEL, the language of the conditions: texts, numbers and fields spelled so that every client's engine reads them.

use serde_yaml_ng::Number;

/// The field of that path in the record that a rule is given as `message`: `home.zip` is `message.home.zip`, a name
/// that is no CEL name is an index.
pub(super) fn field(path: &str) -> String {
    let mut out = String::from("message");
    for name in path.split('.') {
        if is_name(name) {
            out.push('.');
            out.push_str(name);
        } else {
            out.push('[');
            out.push_str(&text(name));
            out.push(']');
        }
    }
    out
}

/// Whether a record has the field: `has(...)` for a name, `in` for an index.
pub(super) fn has(path: &str) -> String {
    let (before, last) = path
        .rsplit_once('.')
        .map_or((None, path), |(before, last)| (Some(before), last));
    if is_name(last) {
        return format!("has({})", field(path));
    }
    let before = before.map_or("message".to_owned(), field);
    format!("{} in {before}", text(last))
}

/// Words that CEL keeps for itself.
const RESERVED: &[&str] = &[
    "as",
    "break",
    "const",
    "continue",
    "else",
    "false",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "namespace",
    "null",
    "package",
    "return",
    "true",
    "var",
    "void",
    "while",
];

fn is_name(name: &str) -> bool {
    let mut characters = name.chars();
    characters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|other| other.is_ascii_alphanumeric() || other == '_')
        && !RESERVED.contains(&name)
}

/// A string literal.
pub(super) fn text(value: &str) -> String {
    let mut out = String::from("\"");
    for character in value.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

/// A number literal: an integer stays one, so that it compares with integer fields in engines that are strict.
pub(super) fn number(value: &Number) -> String {
    if value.is_f64() {
        let text = format!("{:?}", value.as_f64().unwrap_or(0.0));
        return text;
    }
    value.to_string()
}

/// `message.age >= 0 && message.age <= 150`.
pub(super) fn all(conditions: &[String]) -> String {
    conditions.join(" && ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_names_or_indices() {
        assert_eq!(field("home.zip"), "message.home.zip");
        assert_eq!(field("first-name"), "message[\"first-name\"]");
        assert_eq!(field("a.in.b"), "message.a[\"in\"].b");
        assert_eq!(has("home.zip"), "has(message.home.zip)");
        assert_eq!(has("home.first-name"), "\"first-name\" in message.home");
        assert_eq!(has("in"), "\"in\" in message");
    }

    #[test]
    fn literals_survive_whatever_is_in_them() {
        assert_eq!(text("a\"b\\d\n\u{1}é"), "\"a\\\"b\\\\d\\n\\u0001é\"");
        assert_eq!(number(&Number::from(3)), "3");
        assert_eq!(number(&Number::from(-3)), "-3");
        assert_eq!(number(&Number::from(3.0)), "3.0");
        assert_eq!(number(&Number::from(1e21)), "1e21");
    }
}
