//! From a [`Node`] to a text, as Jackson writes it: no white space, members in order or sorted.

use super::node::{Node, java_order};
use crate::json_text::write_string;

/// The text without white space, members in the order they came (`JsonSchema.canonicalString`).
pub(super) fn canonical(node: &Node) -> String {
    let mut out = String::new();
    write(node, false, &mut out);
    out
}

/// The text without white space, members sorted by name (`JsonSchema.normalize`).
pub(super) fn sorted(node: &Node) -> String {
    let mut out = String::new();
    write(node, true, &mut out);
    out
}

fn write(node: &Node, is_sorted: bool, out: &mut String) {
    match node {
        Node::Null => out.push_str("null"),
        Node::Bool(true) => out.push_str("true"),
        Node::Bool(false) => out.push_str("false"),
        Node::Number(text) => out.push_str(text),
        Node::String(text) => write_string(text, out),
        Node::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(item, is_sorted, out);
            }
            out.push(']');
        }
        Node::Object(object) => {
            let mut members: Vec<(&str, &Node)> = object.iter().collect();
            if is_sorted {
                members.sort_by(|left, right| java_order(left.0, right.0));
            }
            out.push('{');
            for (index, (name, value)) in members.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_string(name, out);
                out.push(':');
                write(value, is_sorted, out);
            }
            out.push('}');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::reader::read;

    #[test]
    fn control_characters_are_escaped_as_jackson_does() {
        let node = read("\"\\u0000\\u001f\\b\\f\\u007f\\\"\\\\\"").unwrap();
        assert_eq!(canonical(&node), "\"\\u0000\\u001F\\b\\f\u{7f}\\\"\\\\\"");
    }

    #[test]
    fn names_are_sorted_as_java_sorts_them() {
        // U+FFFD comes after the surrogates of U+1F600 in UTF-16, before them in UTF-8.
        let node =
            read("{\"\u{fffd}\":1,\"\u{1f600}\":2,\"b\":{\"z\":1,\"a\":2},\"B\":3}").unwrap();
        assert_eq!(
            sorted(&node),
            "{\"B\":3,\"b\":{\"a\":2,\"z\":1},\"\u{1f600}\":2,\"\u{fffd}\":1}"
        );
    }
}
