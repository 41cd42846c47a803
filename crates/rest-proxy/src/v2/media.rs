//! The content types of version 2, and which of them is meant (`Versions`, kafka-rest 8).
//!
//! `application/vnd.kafka.{format}.v2+json` names a format; `application/vnd.kafka.v2+json` names none, which means binary
//! for records.

use axum::http::{HeaderMap, header};

use crate::error::RestError;
use crate::format::Format;
use crate::media::{accepts, content_type, is, is_wild, ranges};

/// JSON without records in it.
pub(super) const JSON: &str = "application/vnd.kafka.v2+json";

/// The formats with their content types; the first is meant where none is named.
const FORMATS: [(Format, &str); 5] = [
    (Format::Binary, "application/vnd.kafka.binary.v2+json"),
    (Format::Json, "application/vnd.kafka.json.v2+json"),
    (Format::Avro, "application/vnd.kafka.avro.v2+json"),
    (
        Format::JsonSchema,
        "application/vnd.kafka.jsonschema.v2+json",
    ),
    (Format::Protobuf, "application/vnd.kafka.protobuf.v2+json"),
];

/// What a range of `Accept` may also be called.
const PLAIN: [&str; 3] = [JSON, "application/vnd.kafka+json", "application/json"];

/// The content type of records in a format.
pub(super) fn of_format(format: Format) -> &'static str {
    FORMATS
        .iter()
        .find(|(known, _)| *known == format)
        .map_or(JSON, |(_, name)| name)
}

/// The format in which records come.
///
/// # Errors
/// 415 for a content type that names none. Nothing said is binary.
pub(super) fn format_of_body(headers: &HeaderMap) -> Result<Format, RestError> {
    let Some(essence) = content_type(headers) else {
        return Ok(Format::Binary);
    };
    FORMATS
        .iter()
        .find(|(_, name)| name.eq_ignore_ascii_case(&essence))
        .map(|(format, _)| *format)
        .ok_or_else(RestError::unsupported_media_type)
}

/// Whether a body without records may come as it does.
///
/// # Errors
/// 415.
pub(super) fn check_body(headers: &HeaderMap) -> Result<(), RestError> {
    let Some(essence) = content_type(headers) else {
        return Ok(());
    };
    let mut known = FORMATS.iter().map(|(_, name)| *name).chain(PLAIN);
    if known.any(|name| name.eq_ignore_ascii_case(&essence)) {
        Ok(())
    } else {
        Err(RestError::unsupported_media_type())
    }
}

/// Whether an answer without records may go out.
///
/// # Errors
/// 406 when the client takes no JSON of this version.
pub(super) fn check_accept(headers: &HeaderMap) -> Result<(), RestError> {
    let known = FORMATS.iter().map(|(_, name)| *name).chain(PLAIN);
    if accepts(headers, known) {
        Ok(())
    } else {
        Err(RestError::not_acceptable())
    }
}

/// The format in which the client wants records, with the content type that it called it by.
///
/// # Errors
/// 406 when it takes none of them.
pub(super) fn format_of_answer(headers: &HeaderMap) -> Result<(Format, &'static str), RestError> {
    let (binary, binary_name) = FORMATS[0];
    if !headers.contains_key(header::ACCEPT) {
        return Ok((binary, binary_name));
    }
    for range in &ranges(headers) {
        if is_wild(range) {
            return Ok((binary, binary_name));
        }
        if let Some((format, name)) = FORMATS.iter().find(|(_, name)| is(range, name)) {
            return Ok((*format, name));
        }
        if PLAIN.iter().any(|name| is(range, name)) {
            return Ok((binary, JSON));
        }
    }
    Err(RestError::not_acceptable())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        headers
    }

    #[test]
    fn a_body_is_of_the_format_that_is_named() {
        let format = |value| format_of_body(&headers(header::CONTENT_TYPE, value));
        assert_eq!(
            format("application/vnd.kafka.avro.v2+json; charset=utf-8"),
            Ok(Format::Avro)
        );
        assert_eq!(format("application/json").unwrap_err().code, 415);
        assert_eq!(format_of_body(&HeaderMap::new()), Ok(Format::Binary));
        let check = |value| check_body(&headers(header::CONTENT_TYPE, value));
        assert!(check("application/json").is_ok() && check(JSON).is_ok());
        assert_eq!(check("text/plain").unwrap_err().code, 415);
    }

    #[test]
    fn an_answer_is_what_the_client_likes_best() {
        let format = |value| format_of_answer(&headers(header::ACCEPT, value));
        assert_eq!(format(JSON).unwrap(), (Format::Binary, JSON));
        assert_eq!(format("*/*").unwrap().0, Format::Binary);
        let both = "application/vnd.kafka.json.v2+json;q=0.2, application/vnd.kafka.avro.v2+json";
        assert_eq!(format(both).unwrap().0, Format::Avro);
        assert_eq!(format("text/html").unwrap_err().code, 406);
        assert_eq!(format("application/json;q=0").unwrap_err().code, 406);
        let check = |value| check_accept(&headers(header::ACCEPT, value));
        assert!(check("text/html, application/*").is_ok());
        assert_eq!(check("text/html").unwrap_err().code, 406);
    }

    #[test]
    fn each_format_has_a_content_type() {
        for (format, name) in FORMATS {
            assert_eq!(of_format(format), name);
        }
    }
}
