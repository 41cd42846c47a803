//! The addresses and names of resources in answers: `self`, `related`, `resource_name`.
//!
//! Addresses are made from what the caller used to get here (its `Host`, and whether the API lies under `/kafka`),
//! so that a link works from where the answer is read.

use std::convert::Infallible;
use std::fmt;

use axum::extract::{FromRequestParts, OriginalUri};
use axum::http::header::HOST;
use axum::http::request::Parts;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

/// What stays as it is in a path segment or a query value (RFC 3986, unreserved).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Makes the links of one answer.
#[derive(Debug, Clone)]
pub(crate) struct Links {
    base: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Links {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let original = parts.extensions.get::<OriginalUri>();
        let uri = original.map_or(&parts.uri, |OriginalUri(uri)| uri);
        let host = parts
            .headers
            .get(HOST)
            .and_then(|value| value.to_str().ok())
            .or_else(|| uri.authority().map(|authority| authority.as_str()))
            .unwrap_or("localhost");
        let prefix = if uri.path().starts_with("/kafka/") {
            "/kafka"
        } else {
            ""
        };
        Ok(Self {
            base: format!("http://{host}{prefix}/v3"),
        })
    }
}

impl Links {
    /// The address of the resource that the segments name, such as `["clusters", id, "topics", name]`.
    pub(crate) fn to(&self, segments: &[&dyn fmt::Display]) -> String {
        let mut url = self.base.clone();
        for segment in segments {
            url.push('/');
            push_escaped(&mut url, &segment.to_string());
        }
        url
    }

    /// The same with a query string.
    pub(crate) fn search(
        &self,
        segments: &[&dyn fmt::Display],
        query: &[(&str, Option<&str>)],
    ) -> String {
        let mut url = self.to(segments);
        let mut before = '?';
        for (name, value) in query {
            if let Some(value) = value {
                url.push(before);
                url.push_str(name);
                url.push('=');
                push_escaped(&mut url, value);
                before = '&';
            }
        }
        url
    }

    /// A link to what belongs to a resource.
    pub(crate) fn related(&self, segments: &[&dyn fmt::Display]) -> Related {
        Related {
            related: self.to(segments),
        }
    }
}

/// `-` stands for "all" and must not be escaped; neither is anything else that RFC 3986 allows.
fn push_escaped(url: &mut String, segment: &str) {
    for piece in utf8_percent_encode(segment, ESCAPED) {
        url.push_str(piece);
    }
}

/// A link from one resource to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Related {
    related: String,
}

/// `crn://authority/kafka=cluster/topic=name`; none without an authority.
pub(crate) fn resource_name(
    authority: Option<&str>,
    parts: &[(&str, &dyn fmt::Display)],
) -> Option<String> {
    let mut name = format!("crn://{}", authority?);
    for (kind, value) in parts {
        name.push_str(&format!("/{kind}={value}"));
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links() -> Links {
        Links {
            base: "http://h:8082/v3".to_owned(),
        }
    }

    #[test]
    fn a_name_is_escaped_where_a_path_needs_it() {
        let url = links().to(&[&"clusters", &"c", &"consumer-groups", &"a/b c%"]);
        assert_eq!(
            url,
            "http://h:8082/v3/clusters/c/consumer-groups/a%2Fb%20c%25"
        );
        let url = links().search(
            &[&"clusters", &"c", &"acls"],
            &[("principal", Some("User:alice")), ("host", None)],
        );
        assert_eq!(
            url,
            "http://h:8082/v3/clusters/c/acls?principal=User%3Aalice"
        );
    }

    #[test]
    fn names_need_an_authority() {
        let parts: &[(&str, &dyn fmt::Display)] = &[("kafka", &"c"), ("broker", &1)];
        assert_eq!(resource_name(None, parts), None);
        assert_eq!(
            resource_name(Some("host"), parts).as_deref(),
            Some("crn://host/kafka=c/broker=1")
        );
    }
}
