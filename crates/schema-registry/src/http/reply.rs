//! Answers: JSON in the type that was asked for, and errors as `{"error_code":..,"message":..}`.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;

use crate::catalog::CatalogError;
use crate::dek::KeyError;
use crate::error::RegistryError;

/// The type of answers to whom it is all the same.
pub(super) const DEFAULT_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// Types in which answers come, the preferred one first.
const TYPES: [&str; 3] = [
    DEFAULT_TYPE,
    "application/vnd.schemaregistry+json",
    "application/json",
];

/// A good answer.
#[derive(Debug)]
pub(crate) struct Reply {
    status: StatusCode,
    body: Bytes,
}

/// A bad one.
#[derive(Debug)]
pub(crate) enum HttpError {
    /// An operation's.
    Registry(RegistryError),
    /// HTTP's own: status, message, and the methods there are.
    Http(StatusCode, String, Vec<&'static str>),
    /// As another instance answered.
    Forwarded(StatusCode, Bytes),
}

impl From<RegistryError> for HttpError {
    fn from(error: RegistryError) -> Self {
        Self::Registry(error)
    }
}

impl From<CatalogError> for HttpError {
    fn from(error: CatalogError) -> Self {
        Self::Registry(error.into())
    }
}

impl From<KeyError> for HttpError {
    fn from(error: KeyError) -> Self {
        Self::Registry(error.into())
    }
}

#[derive(Serialize)]
struct ErrorMessage<'a> {
    error_code: u32,
    message: &'a str,
}

impl Reply {
    /// 200 with JSON.
    pub(super) fn json<T: Serialize>(value: &T) -> Result<Self, HttpError> {
        let body = serde_json::to_vec(value).map_err(|error| {
            HttpError::Registry(RegistryError::Store {
                message: format!("the answer cannot be written: {error}"),
            })
        })?;
        Ok(Self::bytes(StatusCode::OK, Bytes::from(body)))
    }

    /// 200 with a text as it is.
    pub(super) fn text(text: String) -> Self {
        Self::bytes(StatusCode::OK, Bytes::from(text))
    }

    /// 204.
    pub(super) fn nothing() -> Self {
        Self::bytes(StatusCode::NO_CONTENT, Bytes::new())
    }

    /// The same with another status.
    pub(super) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    pub(super) fn bytes(status: StatusCode, body: Bytes) -> Self {
        Self { status, body }
    }

    pub(super) fn into_response(self, content_type: &'static str, is_head: bool) -> Response {
        response(self.status, content_type, self.body, is_head)
    }
}

impl HttpError {
    fn http(status: StatusCode) -> Self {
        let reason = status.canonical_reason().unwrap_or_default();
        Self::Http(
            status,
            format!("HTTP {} {reason}", status.as_u16()),
            Vec::new(),
        )
    }

    pub(super) fn not_found() -> Self {
        Self::http(StatusCode::NOT_FOUND)
    }

    /// A context's name with a colon in it, as `ContextFilter` refuses it.
    pub(super) fn context_with_colon() -> Self {
        let message = "Context name cannot contain a colon".to_owned();
        Self::Http(StatusCode::BAD_REQUEST, message, Vec::new())
    }

    pub(super) fn unsupported_media_type() -> Self {
        Self::http(StatusCode::UNSUPPORTED_MEDIA_TYPE)
    }

    pub(super) fn too_large() -> Self {
        Self::http(StatusCode::PAYLOAD_TOO_LARGE)
    }

    pub(super) fn method_not_allowed(allowed: &[&'static str]) -> Self {
        let status = StatusCode::METHOD_NOT_ALLOWED;
        Self::Http(
            status,
            "HTTP 405 Method Not Allowed".to_owned(),
            allowed.to_vec(),
        )
    }

    /// A body that is no JSON, or of another shape than the operation takes, is 400; a name that is none of those there
    /// are, such as a rule's kind, is 422.
    pub(super) fn unreadable(error: &serde_json::Error) -> Self {
        let message = error.to_string();
        let status = if error.is_data() && !message.starts_with("invalid type") {
            StatusCode::UNPROCESSABLE_ENTITY
        } else {
            StatusCode::BAD_REQUEST
        };
        Self::Http(status, message, Vec::new())
    }

    /// A body that is a list where an object is wanted.
    pub(super) fn not_an_object() -> Self {
        let message = "the body is a JSON array; an object is wanted".to_owned();
        Self::Http(StatusCode::BAD_REQUEST, message, Vec::new())
    }

    /// A body whose bytes are no text.
    pub(super) fn not_unicode() -> Self {
        let message = "the body is neither UTF-8 nor UTF-16".to_owned();
        Self::Http(StatusCode::BAD_REQUEST, message, Vec::new())
    }

    pub(super) fn into_response(self, content_type: &'static str, is_head: bool) -> Response {
        let (status, code, message, allowed) = match self {
            Self::Forwarded(status, body) => {
                return response(status, content_type, body, is_head);
            }
            Self::Registry(error) => {
                let status = StatusCode::from_u16(error.status());
                let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                if status.is_server_error() {
                    tracing::warn!(error_code = error.code(), %error, "a request failed");
                }
                (status, error.code(), error.to_string(), Vec::new())
            }
            Self::Http(status, message, allowed) => {
                (status, u32::from(status.as_u16()), message, allowed)
            }
        };
        let body = ErrorMessage {
            error_code: code,
            message: &message,
        };
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = response(status, content_type, Bytes::from(body), is_head);
        if !allowed.is_empty()
            && let Ok(value) = HeaderValue::from_str(&allowed.join(", "))
        {
            response.headers_mut().insert(header::ALLOW, value);
        }
        response
    }
}

fn response(
    status: StatusCode,
    content_type: &'static str,
    body: Bytes,
    is_head: bool,
) -> Response {
    let is_empty = body.is_empty();
    let body = if is_head {
        Body::empty()
    } else {
        Body::from(body)
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    if !is_empty {
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(
            header::VARY,
            HeaderValue::from_static("Accept-Encoding, User-Agent"),
        );
    }
    response
}

/// The type of the answer: the one that the request wants most, and of equals the one that is ours most.
pub(super) fn negotiate(headers: &HeaderMap) -> Result<&'static str, HttpError> {
    let mut wanted: [Option<Wish>; TYPES.len()] = [None; TYPES.len()];
    let mut any = false;
    for value in headers.get_all(header::ACCEPT) {
        for range in value.to_str().unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let range = parts.next().unwrap_or_default();
            if range.is_empty() {
                continue;
            }
            any = true;
            let quality = parts.find_map(quality).unwrap_or(1.0);
            for (place, known) in wanted.iter_mut().zip(TYPES) {
                let wish = Wish::of(range, known, quality);
                // What names a type more closely counts, whatever its weight.
                if wish.is_some_and(|wish| place.is_none_or(|old| old.closeness <= wish.closeness))
                {
                    *place = wish;
                }
            }
        }
    }
    if !any {
        return Ok(DEFAULT_TYPE);
    }
    let mut best: Option<(f32, &'static str)> = None;
    for (wish, known) in wanted.into_iter().zip(TYPES) {
        let quality = wish.map_or(0.0, |wish| wish.quality);
        if quality > best.map_or(0.0, |(best, _)| best) {
            best = Some((quality, known));
        }
    }
    best.map(|(_, known)| known)
        .ok_or_else(|| HttpError::http(StatusCode::NOT_ACCEPTABLE))
}

/// How much a request wants a type.
#[derive(Debug, Clone, Copy)]
struct Wish {
    /// 2 for the type itself, 1 for its half, 0 for all.
    closeness: u8,
    quality: f32,
}

impl Wish {
    fn of(range: &str, known: &str, quality: f32) -> Option<Self> {
        let closeness = match range {
            "*/*" | "*" => 0,
            "application/*" => 1,
            range if range.eq_ignore_ascii_case(known) => 2,
            _ => return None,
        };
        Some(Self { closeness, quality })
    }
}

/// The weight that a parameter of a range says (RFC 9110, 12.4.2).
fn quality(parameter: &str) -> Option<f32> {
    let value = parameter
        .strip_prefix("q=")
        .or(parameter.strip_prefix("Q="))?;
    let quality: f32 = value.trim().parse().ok()?;
    Some(quality.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_comes_in_a_type_that_is_accepted() {
        let negotiated = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            negotiate(&headers).ok()
        };
        assert_eq!(negotiated("*/*"), Some(DEFAULT_TYPE));
        assert_eq!(
            negotiated("text/html, application/json;q=0.9"),
            Some("application/json")
        );
        assert_eq!(negotiated("text/html"), None);
        assert_eq!(negotiated("application/json;q=0"), None);
        assert_eq!(
            negotiated("*/*, application/vnd.schemaregistry.v1+json;q=0"),
            Some(TYPES[1])
        );
        assert_eq!(
            negotiated("*/*;q=0.1, application/json"),
            Some("application/json")
        );
        assert_eq!(
            negotiated("application/json, application/vnd.schemaregistry.v1+json"),
            Some(DEFAULT_TYPE)
        );
        assert_eq!(
            negotiated("application/vnd.schemaregistry.v1+json;q=0.5, application/json;q=0.8"),
            Some("application/json")
        );
        assert_eq!(negotiate(&HeaderMap::new()).ok(), Some(DEFAULT_TYPE));
    }
}
