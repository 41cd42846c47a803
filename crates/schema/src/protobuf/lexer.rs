//! Words, numbers, strings and signs of a .proto text, each with its place.
//!
//! One token at a time, none is kept: a text of any size costs what its longest token costs. White space and comments
//! are passed over. The rules are those of the Protobuf language specification (2023 edition, lexical elements) as
//! protoc's tokenizer applies them.

use super::ast::Place;

/// What went wrong, where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub at: Place,
    pub what: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    Word(&'a str),
    /// Integer or floating point, as written, without a sign.
    Number(&'a str),
    /// The bytes after unescaping.
    Str(Vec<u8>),
    Sign(char),
    End,
}

impl Token<'_> {
    /// For an error message.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Word(text) | Self::Number(text) => format!("{text:?}"),
            Self::Str(_) => "a string".to_owned(),
            Self::Sign(sign) => format!("'{sign}'"),
            Self::End => "the end of the text".to_owned(),
        }
    }
}

pub(crate) struct Lexer<'a> {
    text: &'a str,
    at: usize,
    place: Place,
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        // A byte order mark is let through, as protoc does.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self {
            text,
            at: 0,
            place: Place { line: 1, column: 1 },
        }
    }

    fn byte(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    /// Moves over one byte and keeps count of lines and characters.
    fn step(&mut self) {
        match self.byte(0) {
            Some(b'\n') => {
                self.place.line = self.place.line.saturating_add(1);
                self.place.column = 1;
            }
            // The later bytes of a character are no characters.
            Some(0x80..=0xBF) | None => {}
            Some(_) => self.place.column = self.place.column.saturating_add(1),
        }
        self.at += 1;
    }

    fn fault<T>(&self, what: impl Into<String>) -> Result<T, Fault> {
        Err(Fault {
            at: self.place,
            what: what.into(),
        })
    }

    /// Passes white space and comments.
    fn pass_blank(&mut self) -> Result<(), Fault> {
        loop {
            match (self.byte(0), self.byte(1)) {
                (Some(b' ' | b'\t' | b'\r' | b'\n' | 0x0B | 0x0C), _) => self.step(),
                (Some(b'/'), Some(b'/')) => {
                    while !matches!(self.byte(0), None | Some(b'\n')) {
                        self.step();
                    }
                }
                (Some(b'/'), Some(b'*')) => self.pass_block_comment()?,
                _ => return Ok(()),
            }
        }
    }

    fn pass_block_comment(&mut self) -> Result<(), Fault> {
        let start = self.place;
        self.step();
        self.step();
        loop {
            match (self.byte(0), self.byte(1)) {
                (None, _) => {
                    return Err(Fault {
                        at: start,
                        what: "a block comment has no end: add */".to_owned(),
                    });
                }
                (Some(b'*'), Some(b'/')) => {
                    self.step();
                    self.step();
                    return Ok(());
                }
                _ => self.step(),
            }
        }
    }

    /// The next token and where it starts.
    pub(crate) fn next(&mut self) -> Result<(Token<'a>, Place), Fault> {
        self.pass_blank()?;
        let place = self.place;
        let token = match self.byte(0) {
            None => Token::End,
            Some(b'a'..=b'z' | b'A'..=b'Z' | b'_') => {
                let word = self.run(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
                Token::Word(word)
            }
            Some(b'0'..=b'9') => Token::Number(self.number()),
            Some(b'.') if self.byte(1).is_some_and(|byte| byte.is_ascii_digit()) => {
                Token::Number(self.number())
            }
            Some(quote @ (b'"' | b'\'')) => Token::Str(self.string(quote)?),
            Some(byte @ 0x21..=0x7E) => {
                self.step();
                Token::Sign(char::from(byte))
            }
            Some(_) => {
                let found = self
                    .text
                    .get(self.at..)
                    .and_then(|rest| rest.chars().next());
                return self.fault(format!(
                    "{:?} cannot stand outside of a string or a comment",
                    found.unwrap_or_default()
                ));
            }
        };
        Ok((token, place))
    }

    fn run(&mut self, belongs: impl Fn(u8) -> bool) -> &'a str {
        let start = self.at;
        while self.byte(0).is_some_and(&belongs) {
            self.step();
        }
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// Digits, letters and dots, and a sign after an exponent; what it means is decided by who reads it.
    fn number(&mut self) -> &'a str {
        let start = self.at;
        let hex = self.byte(0) == Some(b'0') && matches!(self.byte(1), Some(b'x' | b'X'));
        while let Some(byte) = self.byte(0) {
            let exponent = !hex
                && matches!(byte, b'+' | b'-')
                && self.at > start
                && matches!(self.text.as_bytes().get(self.at - 1), Some(b'e' | b'E'));
            if !(byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'_' || exponent) {
                break;
            }
            self.step();
        }
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn string(&mut self, quote: u8) -> Result<Vec<u8>, Fault> {
        let start = self.place;
        self.step();
        let mut bytes = Vec::new();
        loop {
            match self.byte(0) {
                None | Some(b'\n') => {
                    return Err(Fault {
                        at: start,
                        what: format!("a string has no end on its line: add {}", char::from(quote)),
                    });
                }
                Some(byte) if byte == quote => {
                    self.step();
                    return Ok(bytes);
                }
                Some(b'\\') => self.escape(&mut bytes)?,
                Some(byte) => {
                    bytes.push(byte);
                    self.step();
                }
            }
        }
    }

    fn escape(&mut self, bytes: &mut Vec<u8>) -> Result<(), Fault> {
        self.step();
        let Some(byte) = self.byte(0) else {
            return self.fault("a string ends in a backslash");
        };
        let plain = match byte {
            b'a' => 0x07,
            b'b' => 0x08,
            b'f' => 0x0C,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 0x0B,
            b'\\' | b'\'' | b'"' | b'?' => byte,
            b'0'..=b'7' => {
                let value = self.digits(8, 3);
                return match u8::try_from(value) {
                    Ok(value) => {
                        bytes.push(value);
                        Ok(())
                    }
                    Err(_) => self.fault("an octal escape is above \\377"),
                };
            }
            b'x' | b'X' => {
                self.step();
                if !self.byte(0).is_some_and(|digit| digit.is_ascii_hexdigit()) {
                    return self.fault("\\x needs one or two hexadecimal digits");
                }
                // Two digits are at most 255.
                bytes.push(u8::try_from(self.digits(16, 2)).unwrap_or(u8::MAX));
                return Ok(());
            }
            b'u' | b'U' => {
                let wanted = if byte == b'u' { 4 } else { 8 };
                self.step();
                let before = self.at;
                let value = self.digits(16, wanted);
                let scalar = char::from_u32(value).filter(|_| self.at - before == wanted);
                let Some(scalar) = scalar else {
                    return self.fault(format!(
                        "\\{} needs {wanted} hexadecimal digits of a Unicode character",
                        char::from(byte)
                    ));
                };
                bytes.extend_from_slice(scalar.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            other => {
                return self.fault(format!(
                    "\\{} is no escape: write \\\\ for a backslash",
                    char::from(other).escape_default()
                ));
            }
        };
        bytes.push(plain);
        self.step();
        Ok(())
    }

    fn digits(&mut self, radix: u32, most: usize) -> u32 {
        let mut value = 0u32;
        for _ in 0..most {
            let Some(digit) = self
                .byte(0)
                .and_then(|byte| char::from(byte).to_digit(radix))
            else {
                break;
            };
            value = value.wrapping_mul(radix).wrapping_add(digit);
            self.step();
        }
        value
    }
}

/// The value of an integer as the language writes it: decimal, `0x` hexadecimal or `0` octal.
pub(crate) fn integer(text: &str) -> Option<u64> {
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return u64::from_str_radix(hex, 16).ok();
    }
    if text.len() > 1 && text.starts_with('0') {
        return u64::from_str_radix(text, 8).ok();
    }
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Result<Vec<Token<'_>>, Fault> {
        let mut lexer = Lexer::new(text);
        let mut all = Vec::new();
        loop {
            match lexer.next()?.0 {
                Token::End => return Ok(all),
                token => all.push(token),
            }
        }
    }

    #[test]
    fn comments_and_blanks_are_passed() {
        let found = tokens("a // b\n/* c\n */ = 1.5e-3;").unwrap();
        assert_eq!(
            found,
            [
                Token::Word("a"),
                Token::Sign('='),
                Token::Number("1.5e-3"),
                Token::Sign(';')
            ]
        );
    }

    #[test]
    fn escapes_are_bytes() {
        let found = tokens(r#" "\x41\102\n\u00e9\377" "#).unwrap();
        assert_eq!(found, [Token::Str(b"AB\n\xC3\xA9\xFF".to_vec())]);
    }

    #[test]
    fn a_fault_has_its_place() {
        assert_eq!(
            tokens("a\n  \"b\n").unwrap_err().at,
            Place { line: 2, column: 3 }
        );
        assert_eq!(
            tokens("é /* x").unwrap_err().at,
            Place { line: 1, column: 1 }
        );
        assert!(tokens(r#""\q""#).unwrap_err().what.contains("no escape"));
        assert!(tokens(r#""\uD800""#).is_err());
    }

    #[test]
    fn integers_have_three_bases() {
        assert_eq!(integer("255"), Some(255));
        assert_eq!(integer("0xff"), Some(255));
        assert_eq!(integer("0377"), Some(255));
        assert_eq!(integer("0"), Some(0));
        assert_eq!(integer("1.5"), None);
        assert_eq!(integer("08"), None);
        assert_eq!(integer("99999999999999999999"), None);
    }
}
