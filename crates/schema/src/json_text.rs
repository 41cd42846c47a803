//! JSON as Confluent's registry and Avro's Java library read and write it (Jackson), where `serde_json` differs.
//!
//! Schemas are compared and hashed by their text, so a number must be printed as Java prints it, an object must keep
//! its order, and comments, which Avro's parser allows, must pass. The reader is bounded in depth by
//! [`crate::limits::DEPTH_MAX`], in size by its caller, and says line and column of what it does not like.
//!
//! **Not here:** numbers of more than 64 bits keep the precision of a double only, as in `serde_json`.

use std::fmt::Write as _;

use serde_json::{Map, Number, Value};

use crate::limits::DEPTH_MAX;

/// Where and why a text is not JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JsonError {
    /// From 1.
    pub(crate) line: usize,
    /// From 1, in characters.
    pub(crate) column: usize,
    /// What was found, and what was expected.
    pub(crate) what: String,
}

impl JsonError {
    /// `line 3 column 7`.
    pub(crate) fn place(&self) -> String {
        format!("line {} column {}", self.line, self.column)
    }
}

/// Reads one JSON value; nothing but white space and comments may follow it.
pub(crate) fn read(text: &str) -> Result<Value, JsonError> {
    let mut reader = Reader {
        bytes: text.as_bytes(),
        at: 0,
        depth: 0,
    };
    let value = reader.value()?;
    reader.space()?;
    if reader.at < reader.bytes.len() {
        return Err(reader.error("more text after the end of the schema"));
    }
    Ok(value)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
}

impl Reader<'_> {
    fn error(&self, what: impl Into<String>) -> JsonError {
        let before = self.bytes.get(..self.at).unwrap_or(self.bytes);
        let line_start = before
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |newline| newline + 1);
        let column = before
            .iter()
            .skip(line_start)
            .filter(|&&byte| byte & 0xc0 != 0x80)
            .count();
        JsonError {
            line: before.iter().filter(|&&byte| byte == b'\n').count() + 1,
            column: column + 1,
            what: what.into(),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn starts(&self, word: &str) -> bool {
        self.bytes
            .get(self.at..)
            .is_some_and(|rest| rest.starts_with(word.as_bytes()))
    }

    /// Passes white space and comments.
    fn space(&mut self) -> Result<(), JsonError> {
        loop {
            match self.peek() {
                Some(b' ' | b'\t' | b'\r' | b'\n') => self.at += 1,
                Some(b'/') if self.starts("//") => {
                    while self.peek().is_some_and(|byte| byte != b'\n') {
                        self.at += 1;
                    }
                }
                Some(b'/') if self.starts("/*") => {
                    let rest = self.bytes.get(self.at + 2..).unwrap_or_default();
                    match rest.windows(2).position(|pair| pair == b"*/") {
                        Some(end) => self.at += end + 4,
                        None => return Err(self.error("a comment without its end \"*/\"")),
                    }
                }
                _ => return Ok(()),
            }
        }
    }

    fn value(&mut self) -> Result<Value, JsonError> {
        self.space()?;
        match self.peek() {
            None => Err(self.error("the text ends where a value is expected")),
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'"') => Ok(Value::String(self.string()?)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) => {
                for (word, value) in [
                    ("true", Value::Bool(true)),
                    ("false", Value::Bool(false)),
                    ("null", Value::Null),
                ] {
                    if self.starts(word) {
                        self.at += word.len();
                        return Ok(value);
                    }
                }
                Err(self.error("a value is expected: an object, an array, a string in double quotes, a number, true, false or null"))
            }
        }
    }

    fn nested(
        &mut self,
        inner: fn(&mut Self) -> Result<Value, JsonError>,
    ) -> Result<Value, JsonError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.error(format!("nesting deeper than {DEPTH_MAX} levels")));
        }
        self.at += 1;
        let value = inner(self);
        self.depth -= 1;
        value
    }

    /// After `{`.
    fn object(&mut self) -> Result<Value, JsonError> {
        let mut map = Map::new();
        self.space()?;
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Object(map));
        }
        loop {
            self.space()?;
            if self.peek() != Some(b'"') {
                return Err(self.error("a name in double quotes is expected"));
            }
            let name = self.string()?;
            self.space()?;
            if self.peek() != Some(b':') {
                return Err(self.error(format!("a colon is expected after {name:?}")));
            }
            self.at += 1;
            let value = self.value()?;
            map.insert(name, value);
            self.space()?;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Value::Object(map));
                }
                _ => return Err(self.error("a comma or the end of the object is expected")),
            }
        }
    }

    /// After `[`.
    fn array(&mut self) -> Result<Value, JsonError> {
        let mut items = Vec::new();
        self.space()?;
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::Array(items));
        }
        loop {
            items.push(self.value()?);
            self.space()?;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Value::Array(items));
                }
                _ => return Err(self.error("a comma or the end of the array is expected")),
            }
        }
    }

    /// At the opening quote.
    fn string(&mut self) -> Result<String, JsonError> {
        self.at += 1;
        let mut out = Vec::new();
        loop {
            let Some(byte) = self.peek() else {
                return Err(self.error("the text ends within a string"));
            };
            match byte {
                b'"' => {
                    self.at += 1;
                    break;
                }
                b'\\' => {
                    self.at += 1;
                    let escaped = self.escape()?;
                    out.extend_from_slice(escaped.encode_utf8(&mut [0; 4]).as_bytes());
                }
                0..=0x1f => {
                    return Err(self.error("a control character within a string; escape it"));
                }
                _ => {
                    out.push(byte);
                    self.at += 1;
                }
            }
        }
        String::from_utf8(out).map_err(|_| self.error("a string that is not UTF-8"))
    }

    /// After the backslash.
    fn escape(&mut self) -> Result<char, JsonError> {
        let Some(byte) = self.peek() else {
            return Err(self.error("the text ends within a string"));
        };
        self.at += 1;
        Ok(match byte {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.hex4()?;
                let code = if (0xd800..0xdc00).contains(&first) && self.starts("\\u") {
                    self.at += 2;
                    let second = self.hex4()?;
                    if !(0xdc00..0xe000).contains(&second) {
                        return Err(self.error("half a surrogate pair"));
                    }
                    0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
                } else {
                    first
                };
                char::from_u32(code).ok_or_else(|| self.error("half a surrogate pair"))?
            }
            _ => return Err(self.error("an escape that JSON does not have")),
        })
    }

    fn hex4(&mut self) -> Result<u32, JsonError> {
        let digits = self
            .bytes
            .get(self.at..self.at + 4)
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u32::from_str_radix(digits, 16).ok());
        match digits {
            Some(code) => {
                self.at += 4;
                Ok(code)
            }
            None => Err(self.error("four hexadecimal digits are expected")),
        }
    }

    fn number(&mut self) -> Result<Value, JsonError> {
        let start = self.at;
        let mut is_integer = true;
        while let Some(byte) = self.peek() {
            match byte {
                b'0'..=b'9' | b'-' => {}
                b'.' | b'e' | b'E' | b'+' => is_integer = false,
                _ => break,
            }
            self.at += 1;
        }
        let text = self
            .bytes
            .get(start..self.at)
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .unwrap_or_default();
        // serde_json knows what a number is, leading zeros and all.
        let number = serde_json::from_str::<Number>(text)
            .map_err(|_| self.error(format!("{text:?} is not a number")))?;
        if !is_integer && !number.as_f64().is_some_and(f64::is_finite) {
            return Err(self.error(format!("{text:?} is beyond the range of a double")));
        }
        Ok(Value::Number(number))
    }
}

/// Appends `value` without white space.
pub(crate) fn write(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => write_number(number, out),
        Value::String(text) => write_string(text, out),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Value::Object(map) => {
            out.push('{');
            for (index, (name, item)) in map.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_string(name, out);
                out.push(':');
                write(item, out);
            }
            out.push('}');
        }
    }
}

/// `value` as text.
pub(crate) fn to_text(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

/// Appends `text` in quotes, with the escapes that Jackson writes: those that must be, hexadecimal in capitals.
pub(crate) fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for ch in text.chars() {
        match ch {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..='\u{1f}' => {
                // Writing to a string does not fail.
                write!(out, "\\u{:04X}", u32::from(ch)).unwrap_or_default();
            }
            _ => out.push(ch),
        }
    }
    out.push('"');
}

fn write_number(number: &Number, out: &mut String) {
    match (number.as_i64(), number.as_u64(), number.as_f64()) {
        (Some(value), _, _) => write!(out, "{value}").unwrap_or_default(),
        (_, Some(value), _) => write!(out, "{value}").unwrap_or_default(),
        (_, _, Some(value)) => out.push_str(&java_double(value)),
        _ => write!(out, "{number}").unwrap_or_default(),
    }
}

/// A double as `Double.toString` writes it: `1.0`, `1.0E10`, `1.0E-5`.
pub(crate) fn java_double(value: f64) -> String {
    if value == 0.0 || (1e-3..1e7).contains(&value.abs()) {
        return format!("{value:?}");
    }
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let point = if mantissa.contains('.') { "" } else { ".0" };
    format!("{mantissa}{point}E{exponent}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(text: &str) -> String {
        to_text(&read(text).unwrap())
    }

    #[test]
    fn values_are_written_as_jackson_writes_them() {
        for (text, written) in [
            (" { \"b\" : 1 , \"a\" : [ ] } ", r#"{"b":1,"a":[]}"#),
            ("1.0", "1.0"),
            ("100.0", "100.0"),
            ("1e3", "1000.0"),
            ("1e10", "1.0E10"),
            ("1.5e-5", "1.5E-5"),
            ("12345678.9", "1.23456789E7"),
            ("-0.0", "-0.0"),
            ("9223372036854775807", "9223372036854775807"),
            ("18446744073709551615", "18446744073709551615"),
            (r#""\u00e9\/\n\u001f\ud83d\ude00""#, "\"é/\\n\\u001F😀\""),
            ("// why\n[1, /* two */ 2]", "[1,2]"),
            (r#"{"a":1,"b":2,"a":3}"#, r#"{"a":3,"b":2}"#),
        ] {
            assert_eq!(round(text), written, "{text}");
        }
    }

    #[test]
    fn what_is_not_json_is_told_by_line_and_column() {
        let error = read("{\n  \"ü\": nope\n}").unwrap_err();
        assert_eq!((error.line, error.column), (2, 8), "{}", error.what);
        for text in [
            "",
            "{",
            "[1,]",
            "{\"a\" 1}",
            "'a'",
            "01",
            "1 2",
            "\"\\ud800\"",
            "\"\u{1}\"",
            "/* a",
            "1e999",
            "-",
            "\"\\x\"",
            "{,}",
            "nul",
        ] {
            assert!(read(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(read(&deep(DEPTH_MAX)).is_ok());
        assert!(read(&deep(DEPTH_MAX + 1)).is_err());
        assert!(read(&"[".repeat(1_000_000)).is_err());
    }
}
