//! A request, taken apart.

use std::borrow::Cow;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::uri::{PathAndQuery, Uri};
use axum::http::{HeaderMap, Method, header};
use serde::de::DeserializeOwned;

use super::reply::HttpError;
use crate::service::listing::{Limits, Page};
use crate::subject;

/// The most bytes of a body. A schema's text of the largest size, with every character escaped, fits.
const BODY_BYTES_MAX: usize = 34 * 1024 * 1024;

/// Types in which a body may come (`Versions`).
const CONTENT_TYPES: [&str; 4] = [
    "application/vnd.schemaregistry.v1+json",
    "application/vnd.schemaregistry+json",
    "application/json",
    "application/octet-stream",
];

/// A request.
#[derive(Debug)]
pub(crate) struct Call {
    method: Method,
    uri: Uri,
    segments: Vec<String>,
    context: Option<String>,
    query: Vec<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
}

impl Call {
    /// Takes a request apart, and its body in.
    pub(super) async fn read(request: Request<Body>) -> Result<Self, HttpError> {
        let (parts, body) = request.into_parts();
        let mut segments = Vec::with_capacity(5);
        for segment in parts
            .uri
            .path()
            .split('/')
            .filter(|segment| !segment.is_empty())
        {
            segments.push(decode(segment, false).ok_or_else(HttpError::not_found)?);
        }
        let context = take_context(&mut segments)?;
        let query = match parts.uri.query() {
            Some(query) => parse_query(query)?,
            None => Vec::new(),
        };
        let method = match parts.method {
            Method::HEAD => Method::GET,
            method => method,
        };
        let has_body = matches!(method, Method::POST | Method::PUT);
        let body = if has_body {
            check_content_type(&parts.headers)?;
            let body = axum::body::to_bytes(body, BODY_BYTES_MAX).await;
            body.map_err(|_| HttpError::too_large())?
        } else {
            Bytes::new()
        };
        Ok(Self {
            method,
            uri: parts.uri,
            segments,
            context,
            query,
            headers: parts.headers,
            body,
        })
    }

    pub(super) fn method(&self) -> &Method {
        &self.method
    }

    /// The segments of the path, decoded, without the context's.
    pub(super) fn path(&self) -> Vec<&str> {
        self.segments.iter().map(String::as_str).collect()
    }

    /// The context before the path.
    pub(super) fn context(&self) -> Option<&str> {
        self.context.as_deref()
    }

    /// The request's target as it came, for whoever forwards it.
    pub(super) fn path_and_query(&self) -> &str {
        let target = self.uri.path_and_query();
        target.map_or("", PathAndQuery::as_str)
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    pub(super) fn body(&self) -> &Bytes {
        &self.body
    }

    /// A subject of the path, in normal form and in the context before the path.
    pub(super) fn subject(&self, segment: &str) -> String {
        match &self.context {
            Some(context) => subject::normalize(&subject::in_context_of(context, segment)),
            None => subject::normalize(segment),
        }
    }

    /// What `/config/{subject}` and `/mode/{subject}` are about: the default context itself is everybody.
    pub(super) fn scope(&self, segment: &str) -> Option<String> {
        Some(self.subject(segment)).filter(|subject| !subject.is_empty())
    }

    /// What `/config` and `/mode` without a subject are about: everybody, or the context before the path.
    pub(super) fn top(&self) -> Option<String> {
        let context = self.context.as_ref()?;
        (context != subject::DEFAULT_CONTEXT).then(|| subject::qualify(context, ""))
    }

    /// The query's `subject`.
    pub(super) fn query_subject(&self) -> Option<String> {
        let given = self.text("subject").filter(|subject| !subject.is_empty());
        given.map(|subject| self.subject(subject))
    }

    /// The query's `subjectPrefix`, in the context before the path.
    pub(super) fn subject_prefix(&self, default: &str) -> String {
        let prefix = self.text("subjectPrefix");
        match (&self.context, prefix) {
            (Some(context), prefix) => {
                let prefix = prefix.unwrap_or_default();
                if prefix.starts_with(subject::ALL_CONTEXTS) {
                    prefix.to_owned()
                } else {
                    subject::in_context_of(context, prefix)
                }
            }
            (None, Some(prefix)) if prefix.starts_with(":.:") => subject::normalize(prefix),
            (None, Some(prefix)) => prefix.to_owned(),
            (None, None) => default.to_owned(),
        }
    }

    /// All of the query's `subjectPrefix`, in the context before the path; that context where there are none.
    pub(super) fn subject_prefixes(&self) -> Vec<String> {
        let asked: Vec<&str> = self.all("subjectPrefix").collect();
        match &self.context {
            None => asked.into_iter().map(subject::normalize).collect(),
            Some(context) if asked.is_empty() => vec![subject::qualify(context, "")],
            Some(context) => asked
                .into_iter()
                .map(|prefix| subject::in_context_of(context, prefix))
                .collect(),
        }
    }

    /// The first value of a query parameter.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// All values of a query parameter.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.query
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Whether a query parameter is `true`, as Java reads it: anything else is not.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.text(name)
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// A number of the query. One that is none is answered as Jersey does: there is no such resource.
    fn number(&self, name: &str) -> Result<Option<i32>, HttpError> {
        match self.text(name) {
            None | Some("") => Ok(None),
            Some(value) => value.parse().map(Some).map_err(|_| HttpError::not_found()),
        }
    }

    /// `offset` and `limit`.
    pub(super) fn page(&self, limits: Limits) -> Result<Page, HttpError> {
        Ok(Page::of(
            self.number("offset")?,
            self.number("limit")?,
            limits,
        ))
    }

    /// The body as a JSON object.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, HttpError> {
        let text = utf8(&self.body).ok_or_else(HttpError::not_unicode)?;
        let first = text.iter().find(|byte| !byte.is_ascii_whitespace());
        if first == Some(&b'[') {
            // A list would be read as an object by the places of its fields.
            return Err(HttpError::not_an_object());
        }
        serde_json::from_slice(&text).map_err(|error| HttpError::unreadable(&error))
    }
}

/// A JSON text in UTF-8, without a byte order mark: it may come in UTF-16 too, as the mark or a zero beside its first
/// byte tells (RFC 4627, 3). None for what is not UTF-16 then.
fn utf8(body: &[u8]) -> Option<Cow<'_, [u8]>> {
    let (rest, is_big) = match body {
        [0xEF, 0xBB, 0xBF, rest @ ..] => return Some(Cow::Borrowed(rest)),
        [0xFE, 0xFF, rest @ ..] => (rest, true),
        [0xFF, 0xFE, rest @ ..] => (rest, false),
        [0, second, ..] if *second != 0 => (body, true),
        [first, 0, ..] if *first != 0 => (body, false),
        _ => return Some(Cow::Borrowed(body)),
    };
    let (units, []) = rest.as_chunks::<2>() else {
        return None;
    };
    let units = units.iter().map(|unit| match is_big {
        true => u16::from_be_bytes(*unit),
        false => u16::from_le_bytes(*unit),
    });
    let text: Result<String, _> = char::decode_utf16(units).collect();
    text.ok().map(|text| Cow::Owned(text.into_bytes()))
}

/// Takes `contexts/{context}` off the front of a longer path.
fn take_context(segments: &mut Vec<String>) -> Result<Option<String>, HttpError> {
    match segments.as_slice() {
        [first, context, _, ..] if first == "contexts" => {
            let context = subject::context_name(context);
            segments.drain(..2);
            context.ok_or_else(HttpError::context_with_colon).map(Some)
        }
        _ => Ok(None),
    }
}

fn check_content_type(headers: &HeaderMap) -> Result<(), HttpError> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Ok(());
    };
    let value = value.to_str().unwrap_or_default();
    let media_type = value.split(';').next().unwrap_or_default().trim();
    let known = CONTENT_TYPES
        .iter()
        .any(|known| known.eq_ignore_ascii_case(media_type));
    if known {
        Ok(())
    } else {
        Err(HttpError::unsupported_media_type())
    }
}

fn parse_query(query: &str) -> Result<Vec<(String, String)>, HttpError> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = decode(key, true).zip(decode(value, true));
            decoded.ok_or_else(HttpError::not_found)
        })
        .collect()
}

/// Takes percent escapes, and in a query `+`, back; none for what is not UTF-8 then.
fn decode(text: &str, is_query: bool) -> Option<String> {
    if !text.contains(['%', '+']) {
        return Some(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let high = char::from(rest.next()?).to_digit(16)?;
                let low = char::from(rest.next()?).to_digit(16)?;
                bytes.push(u8::try_from(high * 16 + low).ok()?);
            }
            b'+' if is_query => bytes.push(b' '),
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_taken_back() {
        assert_eq!(decode("a%2Fb%20c", false).as_deref(), Some("a/b c"));
        assert_eq!(decode("a+b", false).as_deref(), Some("a+b"));
        assert_eq!(decode("a+b", true).as_deref(), Some("a b"));
        for bad in ["%", "%2", "%zz", "%ff"] {
            assert_eq!(decode(bad, false), None, "{bad}");
        }
    }

    #[test]
    fn a_context_is_taken_off_a_longer_path_only() {
        let path = |text: &str| text.split('/').map(str::to_owned).collect::<Vec<_>>();
        let mut segments = path("contexts/.c/subjects/s");
        assert_eq!(take_context(&mut segments).unwrap().as_deref(), Some(".c"));
        assert_eq!(segments, path("subjects/s"));
        let mut segments = path("contexts/.c");
        assert_eq!(take_context(&mut segments).unwrap(), None);
        assert_eq!(segments, path("contexts/.c"));
    }
}
