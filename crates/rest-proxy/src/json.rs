//! JSON of requests, read as Confluent's proxy reads it (Jackson, with the settings of its rest-utils).
//!
//! - A field nobody knows is refused with 422, what cannot be read or is of the wrong type with 400; nothing, or `null`,
//!   is no body, of which each request says what it means.
//! - Scalars are taken for one another where that loses nothing: `{"value": 9}` sets a config to `9`, and
//!   `{"partitions_count": "3"}` asks for three ([`scalar`], [`optional`]).

use std::fmt;
use std::marker::PhantomData;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use serde::de::{DeserializeOwned, Error, Visitor};
use serde::{Deserialize, Deserializer};

use crate::error::RestError;

/// A body that has to be there.
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = RestError;

    async fn from_request(request: Request, state: &S) -> Result<Self, RestError> {
        let body = Bytes::from_request(request, state).await?;
        read(&body)?
            .map(Self)
            .ok_or_else(|| RestError::invalid_payload("Request body is empty. Data is required."))
    }
}

/// What stands in a body; none for white space and for `null`.
///
/// # Errors
/// 422 for a field that is not known, 400 for anything else that cannot be read.
pub(crate) fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<Option<T>, RestError> {
    let body = body.trim_ascii();
    if body.is_empty() || body == b"null" {
        return Ok(None);
    }
    if !body.starts_with(b"{") {
        // A list would be taken for an object's fields in their order.
        return Err(RestError::bad_request("the body is no JSON object"));
    }
    serde_json::from_slice(body).map(Some).map_err(|error| {
        let message = error.to_string();
        match unknown_field(&message) {
            Some(field) => RestError::unprocessable(format!("Unrecognized field: {field}")),
            None => RestError::bad_request(message),
        }
    })
}

/// The field of which a reader says that it does not know it: "unknown field `a`, expected ...".
pub(crate) fn unknown_field(message: &str) -> Option<&str> {
    let rest = message.strip_prefix("unknown field `")?;
    rest.split_once("`, ").map(|(field, _)| field)
}

/// A type that scalars of more than one kind can stand for.
pub(crate) trait Scalar: Sized {
    /// What it is called.
    const NAME: &'static str;

    fn of_text(text: &str) -> Option<Self>;
    fn of_integer(number: i64) -> Option<Self>;
    fn of_fraction(number: f64) -> Option<Self>;
    fn of_flag(flag: bool) -> Option<Self>;
}

impl Scalar for String {
    const NAME: &'static str = "a string";

    fn of_text(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }

    fn of_integer(number: i64) -> Option<Self> {
        Some(number.to_string())
    }

    fn of_fraction(number: f64) -> Option<Self> {
        // As JSON has it: 1.0, not 1.
        Some(serde_json::Value::from(number).to_string())
    }

    fn of_flag(flag: bool) -> Option<Self> {
        Some(flag.to_string())
    }
}

macro_rules! integers {
    ($($kind:ty),+) => {
        $(impl Scalar for $kind {
            const NAME: &'static str = "an integer";

            fn of_text(text: &str) -> Option<Self> {
                text.trim().parse().ok()
            }

            fn of_integer(number: i64) -> Option<Self> {
                number.try_into().ok()
            }

            fn of_fraction(number: f64) -> Option<Self> {
                // Cut off, as Jackson does; `as` keeps to the range of i64.
                Self::of_integer(number.trunc() as i64)
            }

            fn of_flag(_: bool) -> Option<Self> {
                None
            }
        })+
    };
}

integers!(i16, i32);

impl Scalar for bool {
    const NAME: &'static str = "true or false";

    fn of_text(text: &str) -> Option<Self> {
        match text.trim() {
            "true" | "True" | "TRUE" => Some(true),
            "false" | "False" | "FALSE" => Some(false),
            _ => None,
        }
    }

    fn of_integer(number: i64) -> Option<Self> {
        Some(number != 0)
    }

    fn of_fraction(_: f64) -> Option<Self> {
        None
    }

    fn of_flag(flag: bool) -> Option<Self> {
        Some(flag)
    }
}

/// For a field that has to be there.
///
/// # Errors
/// What is no scalar, or none that can stand for one of this type.
pub(crate) fn scalar<'de, D: Deserializer<'de>, T: Scalar>(reader: D) -> Result<T, D::Error> {
    optional(reader)?.ok_or_else(|| D::Error::custom(format_args!("null, expected {}", T::NAME)))
}

/// For a field that may be null; it needs a default for where it is left out.
///
/// # Errors
/// As [`scalar`].
pub(crate) fn optional<'de, D: Deserializer<'de>, T: Scalar>(
    reader: D,
) -> Result<Option<T>, D::Error> {
    reader.deserialize_any(ScalarVisitor(PhantomData))
}

struct ScalarVisitor<T>(PhantomData<T>);

impl<T: Scalar> ScalarVisitor<T> {
    fn taken<E: Error>(found: Option<T>, given: &dyn fmt::Display) -> Result<Option<T>, E> {
        let wrong = || E::custom(format_args!("{given}, expected {}", T::NAME));
        found.map(Some).ok_or_else(wrong)
    }
}

impl<'de, T: Scalar> Visitor<'de> for ScalarVisitor<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::NAME)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Self::Value, E> {
        Self::taken(T::of_flag(flag), &flag)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        Self::taken(T::of_integer(number), &number)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        match i64::try_from(number) {
            Ok(number) => self.visit_i64(number),
            Err(_) => self.visit_str(&number.to_string()),
        }
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
        Self::taken(T::of_fraction(number), &number)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Self::taken(T::of_text(text), &format_args!("{text:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[serde(deserialize_with = "scalar")]
        name: String,
        #[serde(default, deserialize_with = "optional")]
        count: Option<i32>,
        #[serde(default, deserialize_with = "optional")]
        flag: Option<bool>,
    }

    fn sample(json: &str) -> Result<Option<Sample>, RestError> {
        read(json.as_bytes())
    }

    #[test]
    fn scalars_stand_for_one_another() {
        let found = |json: &str| sample(json).unwrap().unwrap();
        assert_eq!(
            found(r#"{"name": 9, "count": " 3 ", "flag": "true"}"#),
            Sample {
                name: "9".to_owned(),
                count: Some(3),
                flag: Some(true)
            }
        );
        assert_eq!(
            found(r#"{"name": true, "count": 2.9, "flag": null}"#),
            Sample {
                name: "true".to_owned(),
                count: Some(2),
                flag: None
            }
        );
        assert_eq!(found(r#"{"name": 1.5}"#).name, "1.5");
    }

    #[test]
    fn what_cannot_be_read_is_a_bad_request() {
        for bad in [
            "{",
            "[]",
            "{}",
            r#"{"name": null}"#,
            r#"{"name": {}}"#,
            r#"{"name": "a", "count": "x"}"#,
            r#"{"name": "a", "count": 3000000000}"#,
            r#"{"name": "a", "count": true}"#,
            r#"{"name": "a", "flag": "yes"}"#,
        ] {
            assert_eq!(sample(bad).unwrap_err().code, 400, "{bad}");
        }
    }

    #[test]
    fn a_field_that_is_not_known_is_named() {
        let error = sample(r#"{"name": "a", "colour": 1}"#).unwrap_err();
        assert_eq!((error.status.as_u16(), error.code), (422, 422));
        assert_eq!(error.message, "Unrecognized field: colour");
    }

    #[test]
    fn nothing_is_no_body() {
        for nothing in ["", " \r\n", "null"] {
            assert_eq!(sample(nothing), Ok(None), "{nothing:?}");
        }
    }
}
