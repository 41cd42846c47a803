//! From a text to a [`Node`]: strict JSON, bounded in depth, with line and column of what is wrong.
//!
//! Differs: Confluent's registry takes the first JSON value of a text and ignores what follows it; here anything
//! after the value is an error, because it is always a mistake. It also reads `NaN` and `Infinity`, which are not
//! JSON, and keeps halves of surrogate pairs, which are not text; both are errors here.

use super::node::{Node, Object};
use super::number;
use crate::error::SchemaError;
use crate::limits::{DEPTH_MAX, SCHEMA_BYTES_MAX};

/// Reads the one JSON value of a text.
///
/// # Errors
/// [`SchemaError::TooLarge`], [`SchemaError::TooComplex`] for deep nesting, [`SchemaError::Syntax`] for the rest.
pub(super) fn read(text: &str) -> Result<Node, SchemaError> {
    if text.len() > SCHEMA_BYTES_MAX {
        return Err(SchemaError::TooLarge {
            bytes: text.len(),
            max: SCHEMA_BYTES_MAX,
        });
    }
    let mut reader = Reader {
        text,
        bytes: text.as_bytes(),
        at: 0,
    };
    let node = reader.value(0)?;
    reader.space();
    if reader.at < reader.bytes.len() {
        return Err(reader.wrong("there is text after the end of the schema"));
    }
    Ok(node)
}

struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn wrong(&self, what: impl Into<String>) -> SchemaError {
        let before = self.bytes.get(..self.at).unwrap_or(self.bytes);
        let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
        let start = before
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |at| at + 1);
        let column = String::from_utf8_lossy(before.get(start..).unwrap_or_default())
            .chars()
            .count()
            + 1;
        SchemaError::Syntax {
            format: "JSON",
            place: format!("line {line} column {column}"),
            what: what.into(),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, SchemaError> {
        if depth > DEPTH_MAX {
            return Err(SchemaError::TooComplex {
                what: "levels of nesting",
                max: DEPTH_MAX,
            });
        }
        self.space();
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string().map(Node::String),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Node::Bool(true)),
            Some(b'f') => self.word("false", Node::Bool(false)),
            Some(b'n') => self.word("null", Node::Null),
            Some(_) => Err(self.wrong(format!("expected a JSON value, found {:?}", self.here()))),
            None => Err(self.wrong("expected a JSON value, found the end of the text")),
        }
    }

    fn here(&self) -> char {
        self.text
            .get(self.at..)
            .and_then(|rest| rest.chars().next())
            .unwrap_or('\u{fffd}')
    }

    fn word(&mut self, word: &str, node: Node) -> Result<Node, SchemaError> {
        if self
            .bytes
            .get(self.at..)
            .is_some_and(|rest| rest.starts_with(word.as_bytes()))
        {
            self.at += word.len();
            Ok(node)
        } else {
            Err(self.wrong(format!("expected {word}")))
        }
    }

    fn object(&mut self, depth: usize) -> Result<Node, SchemaError> {
        self.at += 1;
        let mut members = Vec::new();
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Node::Object(Object::new(members)));
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return Err(self.wrong("expected the name of a member in double quotes"));
            }
            let name = self.string()?;
            self.space();
            if self.peek() != Some(b':') {
                return Err(self.wrong(format!("expected ':' after the name {name:?}")));
            }
            self.at += 1;
            let value = self.value(depth + 1)?;
            members.push((name, value));
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Node::Object(Object::new(members)));
                }
                _ => return Err(self.wrong("expected ',' or '}' after a member of an object")),
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Node, SchemaError> {
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Node::Array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Node::Array(items));
                }
                _ => return Err(self.wrong("expected ',' or ']' after an item of an array")),
            }
        }
    }

    fn string(&mut self) -> Result<String, SchemaError> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let start = self.at;
            while self
                .peek()
                .is_some_and(|byte| byte != b'"' && byte != b'\\' && byte >= 0x20)
            {
                self.at += 1;
            }
            // The piece ends before an ASCII byte, which is a boundary of characters.
            out.push_str(self.text.get(start..self.at).unwrap_or_default());
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => out.push(self.escape()?),
                Some(_) => {
                    return Err(self.wrong("a control character in a string has to be escaped"));
                }
                None => return Err(self.wrong("the text ends within a string")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, SchemaError> {
        self.at += 1;
        let byte = self.peek();
        self.at += 1;
        Ok(match byte {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(),
            _ => return Err(self.wrong("expected one of \" \\ / b f n r t u after '\\'")),
        })
    }

    fn unicode(&mut self) -> Result<char, SchemaError> {
        let first = self.hex4()?;
        let code = if (0xd800..0xdc00).contains(&first)
            && self
                .bytes
                .get(self.at..)
                .is_some_and(|rest| rest.starts_with(b"\\u"))
        {
            self.at += 2;
            let second = self.hex4()?;
            if !(0xdc00..0xe000).contains(&second) {
                return Err(self.wrong("half of a surrogate pair is not a character"));
            }
            0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
        } else {
            first
        };
        char::from_u32(code)
            .ok_or_else(|| self.wrong("half of a surrogate pair is not a character"))
    }

    fn hex4(&mut self) -> Result<u32, SchemaError> {
        let code = self
            .bytes
            .get(self.at..self.at + 4)
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u32::from_str_radix(digits, 16).ok());
        match code {
            Some(code) => {
                self.at += 4;
                Ok(code)
            }
            None => Err(self.wrong("expected four hexadecimal digits after '\\u'")),
        }
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at - start
    }

    fn number(&mut self) -> Result<Node, SchemaError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let leads_with_zero = self.peek() == Some(b'0');
        match self.digits() {
            0 => return Err(self.wrong("expected a digit")),
            1 => {}
            _ if leads_with_zero => return Err(self.wrong("a number has no leading zero")),
            _ => {}
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            if self.digits() == 0 {
                return Err(self.wrong("expected a digit after the decimal point"));
            }
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if self.digits() == 0 {
                return Err(self.wrong("expected a digit in the exponent"));
            }
        }
        let text = self.text.get(start..self.at).unwrap_or_default();
        if text.len() > number::NUMBER_BYTES_MAX {
            return Err(self.wrong(format!(
                "a number of {} characters, the limit is {}",
                text.len(),
                number::NUMBER_BYTES_MAX
            )));
        }
        match number::canonical(text) {
            Some(text) => Ok(Node::Number(text.into_boxed_str())),
            None => Err(self.wrong("a number whose exponent is beyond 32 bits")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::writer;

    fn wrong(text: &str) -> String {
        read(text).unwrap_err().to_string()
    }

    #[test]
    fn a_text_is_read_and_written_back_without_white_space() {
        let text = "{ \"a\" : [ 1.50, -0, 1e3, \"\\u00e9\\n\\/\\ud83d\\ude00\" ],\n \"b\":{ }, \"c\": null }";
        assert_eq!(
            writer::canonical(&read(text).unwrap()),
            "{\"a\":[1.50,0,1E+3,\"é\\n/😀\"],\"b\":{},\"c\":null}"
        );
    }

    #[test]
    fn a_repeated_name_keeps_its_place_and_its_last_value() {
        let node = read(r#"{"b":1,"a":2,"b":3}"#).unwrap();
        assert_eq!(writer::canonical(&node), r#"{"b":3,"a":2}"#);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        assert_eq!(
            wrong("{\n  \"a\": tru\n}"),
            "JSON schema cannot be parsed at line 2 column 8: expected true"
        );
        for (text, part) in [
            ("", "found the end"),
            ("{", "name of a member"),
            ("{\"a\" 1}", "expected ':'"),
            ("[1 2]", "expected ',' or ']'"),
            ("\"a", "within a string"),
            ("\"\\x\"", "after '\\'"),
            ("\"\\ud800\"", "surrogate"),
            ("\"\\ud800\\u0041\"", "surrogate"),
            ("\"\\u12g4\"", "hexadecimal"),
            ("01", "leading zero"),
            ("1.", "decimal point"),
            ("1e", "exponent"),
            ("1e99999999999", "beyond 32 bits"),
            ("{} {}", "after the end"),
            ("'a'", "expected a JSON value"),
            ("\"\u{1}\"", "escaped"),
        ] {
            assert!(wrong(text).contains(part), "{text}: {}", wrong(text));
        }
    }

    #[test]
    fn depth_and_size_are_bounded() {
        let deep = "[".repeat(100_000);
        assert!(matches!(read(&deep), Err(SchemaError::TooComplex { .. })));
        let fits = format!("{}{}", "[".repeat(DEPTH_MAX), "]".repeat(DEPTH_MAX));
        read(&fits).unwrap();
        let large = " ".repeat(SCHEMA_BYTES_MAX + 1);
        assert!(matches!(read(&large), Err(SchemaError::TooLarge { .. })));
        let long_number = "1".repeat(2_000);
        assert!(wrong(&long_number).contains("limit is 1000"));
    }
}
