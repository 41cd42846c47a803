//! JSON as the counterpart writes what it has read (Jackson): without white space, each string and number in one form.
//!
//! One pass over text that is known to be sound. What stands in that form already, which is how programs write JSON, is
//! borrowed whole: a record costs a look at its bytes and no copy.
//!
//! - Strings escape quotes, backslashes and control characters, and nothing else.
//! - Integers stay as they are, however long. Fractions are doubles, as `Double.toString` of Java writes them.
//!
//! Differs: members of the same name are all kept; the counterpart keeps the last.

use std::borrow::Cow;

/// How deep arrays and objects may lie in one another (`StreamReadConstraints` of Jackson).
const DEPTH_MAX: usize = 1000;

/// Why JSON that is sound is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotTaken {
    /// Too deep.
    #[error("arrays and objects lie more than {DEPTH_MAX} deep in one another")]
    TooDeep,
    /// No double is so large.
    #[error("number {0} out of range")]
    OutOfRange(String),
    /// An escape that means no character.
    #[error("{0}")]
    NotText(String),
}

/// The JSON in its one form.
///
/// # Errors
/// [`NotTaken`].
pub(super) fn compact(json: &str) -> Result<Cow<'_, [u8]>, NotTaken> {
    let mut writer = Writer {
        json: json.as_bytes(),
        kept: 0,
        out: Vec::new(),
    };
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(byte) = writer.json.get(at) {
        at = match byte {
            b'"' => writer.string(at)?,
            b' ' | b'\t' | b'\r' | b'\n' => {
                let end = writer.end_of(at, |byte| byte.is_ascii_whitespace());
                writer.replace(at, end, b"");
                end
            }
            b'-' | b'0'..=b'9' => writer.number(at)?,
            b'{' | b'[' => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return Err(NotTaken::TooDeep);
                }
                at + 1
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                at + 1
            }
            _ => at + 1,
        };
    }
    Ok(writer.finish())
}

struct Writer<'a> {
    json: &'a [u8],
    /// From here on nothing is written yet.
    kept: usize,
    out: Vec<u8>,
}

impl<'a> Writer<'a> {
    fn piece(&self, begin: usize, end: usize) -> &'a [u8] {
        self.json.get(begin..end).unwrap_or_default()
    }

    /// Where what is `wanted` ends that begins at `begin`.
    fn end_of(&self, begin: usize, wanted: impl Fn(u8) -> bool) -> usize {
        let rest = self.json.get(begin..).unwrap_or_default();
        begin + rest.iter().take_while(|byte| wanted(**byte)).count()
    }

    /// Writes something else for a piece, unless it is the same.
    fn replace(&mut self, begin: usize, end: usize, with: &[u8]) {
        if self.piece(begin, end) == with {
            return;
        }
        if self.out.capacity() == 0 {
            self.out.reserve(self.json.len());
        }
        let before = self.piece(self.kept, begin);
        self.out.extend_from_slice(before);
        self.out.extend_from_slice(with);
        self.kept = end;
    }

    /// Goes behind the string that begins at `begin`.
    fn string(&mut self, begin: usize) -> Result<usize, NotTaken> {
        let mut at = begin + 1;
        let mut has_escapes = false;
        loop {
            let rest = self.json.get(at..).unwrap_or_default();
            let Some(found) = memchr::memchr2(b'"', b'\\', rest) else {
                return Ok(self.json.len());
            };
            if rest.get(found) == Some(&b'"') {
                at += found + 1;
                break;
            }
            has_escapes = true;
            at += found + 2;
        }
        if has_escapes {
            let text: String = serde_json::from_slice(self.piece(begin, at))
                .map_err(|error| NotTaken::NotText(error.to_string()))?;
            let mut written = Vec::with_capacity(at - begin);
            write_string(&mut written, &text);
            self.replace(begin, at, &written);
        }
        Ok(at)
    }

    /// Goes behind the number that begins at `begin`.
    fn number(&mut self, begin: usize) -> Result<usize, NotTaken> {
        let in_number = |byte: u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let end = self.end_of(begin, in_number);
        let number = self.piece(begin, end);
        if number == b"-0" {
            self.replace(begin, end, b"0");
        } else if number.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E')) {
            let text = String::from_utf8_lossy(number);
            let value: Option<f64> = text.parse().ok().filter(|value: &f64| value.is_finite());
            let value = value.ok_or_else(|| NotTaken::OutOfRange(text.into_owned()))?;
            self.replace(begin, end, double(value).as_bytes());
        }
        Ok(end)
    }

    fn finish(mut self) -> Cow<'a, [u8]> {
        if self.kept == 0 {
            return Cow::Borrowed(self.json);
        }
        let rest = self.piece(self.kept, self.json.len());
        self.out.extend_from_slice(rest);
        Cow::Owned(self.out)
    }
}

/// A double as `Double.toString` writes it.
fn double(value: f64) -> String {
    let magnitude = value.abs();
    let plain = magnitude == 0.0 || (1e-3..1e7).contains(&magnitude);
    // Both have the fewest digits that mean the number.
    let text = if plain {
        value.to_string()
    } else {
        format!("{value:E}")
    };
    let (digits, exponent) = match text.split_once('E') {
        Some((digits, exponent)) => (digits, format!("E{exponent}")),
        None => (text.as_str(), String::new()),
    };
    let fraction = if digits.contains('.') { "" } else { ".0" };
    format!("{digits}{fraction}{exponent}")
}

/// Writes a string with its quotes.
pub(super) fn write_string(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    out.push(b'"');
    for byte in text.bytes() {
        let short = match byte {
            b'"' | b'\\' => byte,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x08 => b'b',
            0x0c => b'f',
            0..0x20 => {
                out.extend_from_slice(b"\\u00");
                let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied();
                out.extend(digit(byte >> 4));
                out.extend(digit(byte & 15));
                continue;
            }
            _ => {
                out.push(byte);
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', short]);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn written(json: &str) -> String {
        String::from_utf8(compact(json).unwrap().into_owned()).unwrap()
    }

    #[test]
    fn white_space_goes_and_order_stays() {
        assert_eq!(
            written("{ \"b\" : 1, \"a\": [ true , -1.5, \" x \" , null, { } ,[ ]\r\n] }\t"),
            r#"{"b":1,"a":[true,-1.5," x ",null,{},[]]}"#
        );
    }

    #[test]
    fn strings_have_one_form() {
        assert_eq!(written(r#"["\u00e9\/\ud83d\ude00"]"#), "[\"é/😀\"]");
        assert_eq!(
            written(r#"["\"\\\b\f\n\r\t\u001f\u007f"]"#),
            "[\"\\\"\\\\\\b\\f\\n\\r\\t\\u001F\u{7f}\"]"
        );
        let same = r#"{"a\"":"b\\"}"#;
        assert!(matches!(compact(same), Ok(Cow::Borrowed(found)) if found == same.as_bytes()));
        assert!(matches!(
            compact(r#"["\udc00"]"#),
            Err(NotTaken::NotText(_))
        ));
    }

    #[test]
    fn numbers_are_javas() {
        for (json, java) in [
            ("-0", "0"),
            ("-0.0", "-0.0"),
            (
                "123456789012345678901234567890",
                "123456789012345678901234567890",
            ),
            ("1.50", "1.5"),
            ("1e3", "1000.0"),
            ("1E7", "1.0E7"),
            ("9999999.5", "9999999.5"),
            ("0.001", "0.001"),
            ("0.00012", "1.2E-4"),
            ("1e-400", "0.0"),
            ("1.7976931348623157e308", "1.7976931348623157E308"),
        ] {
            assert_eq!(written(json), java);
        }
        assert_eq!(
            compact("1e400"),
            Err(NotTaken::OutOfRange("1e400".to_owned()))
        );
    }

    #[test]
    fn depth_has_an_end() {
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(compact(&deep(1000)).is_ok());
        assert_eq!(compact(&deep(1001)), Err(NotTaken::TooDeep));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map(".{0,5}", inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_means_what_was_read(value in any_json()) {
            let pretty = serde_json::to_string_pretty(&value).unwrap();
            let once = written(&pretty);
            prop_assert_eq!(&serde_json::from_str::<Value>(&once).unwrap(), &value);
            prop_assert!(matches!(compact(&once), Ok(Cow::Borrowed(_))), "{}", once);
            let short = serde_json::to_string(&value).unwrap();
            prop_assert_eq!(written(&short), once);
        }
    }
}
