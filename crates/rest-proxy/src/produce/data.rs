//! Data as it stands in a request: not copied where it need not be.
//!
//! A string is borrowed where JSON's escapes allow. What is no string is checked, but never becomes a tree of values: it is
//! borrowed too where it stands as the counterpart would write it, and else put right ([`super::compact`]).

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::compact::{compact, write_string};

/// A string, borrowed where JSON's escapes allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Str<'a>(Cow<'a, str>);

impl std::ops::Deref for Str<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Str<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(StrVisitor).map(Self)
    }
}

struct StrVisitor;

impl<'de> Visitor<'de> for StrVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text))
    }
}

/// What is in `data`.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) enum Data<'a> {
    /// Nothing, or null.
    #[default]
    Null,
    /// A string.
    Text(Cow<'a, str>),
    /// Anything else: its JSON, without white space between tokens.
    Json(Cow<'a, [u8]>),
}

impl<'a> Data<'a> {
    /// The JSON that stands in the request.
    pub(crate) fn into_json(self) -> Cow<'a, [u8]> {
        match self {
            Self::Null => Cow::Borrowed(b"null"),
            Self::Text(text) => {
                let mut json = Vec::with_capacity(text.len().saturating_add(2));
                write_string(&mut json, &text);
                Cow::Owned(json)
            }
            Self::Json(json) => json,
        }
    }

    /// What stands in JSON that is known to be sound.
    fn of(json: &'a str) -> Result<Self, String> {
        if json == "null" {
            return Ok(Self::Null);
        }
        let Some(quoted) = json.strip_prefix('"') else {
            return compact(json)
                .map(Self::Json)
                .map_err(|error| error.to_string());
        };
        match quoted.strip_suffix('"') {
            Some(plain) if memchr::memchr(b'\\', plain.as_bytes()).is_none() => {
                Ok(Self::Text(Cow::Borrowed(plain)))
            }
            _ => serde_json::from_str(json)
                .map(|text| Self::Text(Cow::Owned(text)))
                .map_err(|error| error.to_string()),
        }
    }
}

impl fmt::Display for Data<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Text(text) => f.write_str(text),
            Self::Json(json) => f.write_str(&String::from_utf8_lossy(json)),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Data<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json: &'de RawValue = Deserialize::deserialize(deserializer)?;
        Self::of(json.get()).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(json: &str) -> Data<'_> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn strings_are_borrowed_and_so_is_what_is_compact() {
        assert!(matches!(
            data("\"AQI=\""),
            Data::Text(Cow::Borrowed("AQI="))
        ));
        assert_eq!(data(r#""a\nb""#), Data::Text(Cow::Owned("a\nb".to_owned())));
        assert_eq!(data(r#""\\""#), Data::Text(Cow::Owned("\\".to_owned())));
        assert_eq!(data(" null "), Data::Null);
        assert!(matches!(
            data(r#" {"b":1,"a":["é"]} "#),
            Data::Json(Cow::Borrowed(_))
        ));
        assert!(matches!(data("[ 1 ]"), Data::Json(Cow::Owned(_))));
        let text = |text: &str| String::from_utf8(data(text).into_json().into_owned()).unwrap();
        assert_eq!(text(r#""a\"b""#), r#""a\"b""#);
        assert_eq!(text("null"), "null");
        assert_eq!(text("true"), "true");
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for bad in [
            "{",
            "[1,]",
            "\"\u{1}\"",
            "\"\\ud800\"",
            "1e999",
            "tru",
            "[\"\\x\"]",
        ] {
            assert!(serde_json::from_str::<Data<'_>>(bad).is_err(), "{bad}");
        }
    }
}
