//! The log of requests: what changes something is seen at INFO, questions at DEBUG (`io.confluent.rest-utils.requests`).
//!
//! All lines have the target [`TARGET`], so that they can be left out, or questions be let in, by themselves
//! (`--log-level info,schema_registry::requests=debug`). Bodies are not in them: they may hold secrets.
//!
//! Differs: Confluent's registry logs every request at INFO, with the address it came from.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{Method, Uri};

use super::paths::Route;

/// The target of the lines.
const TARGET: &str = "schema_registry::requests";

/// What is asked by POST and changes nothing.
const QUESTIONS: [&str; 6] = [
    "/",
    "/associations:batchGet",
    "/compatibility/subjects/{subject}/versions",
    "/compatibility/subjects/{subject}/versions/{version}",
    "/dek-registry/v1/keks/{name}/test",
    "/subjects/{subject}",
];

/// A request that may be logged.
pub(super) struct Logged {
    method: Method,
    uri: Uri,
}

impl Logged {
    /// None for a question that nobody logs.
    pub(super) fn of(request: &Request<Body>) -> Option<Self> {
        let method = request.method();
        let is_logged =
            may_change(method) || tracing::enabled!(target: TARGET, tracing::Level::DEBUG);
        is_logged.then(|| Self {
            method: method.clone(),
            uri: request.uri().clone(),
        })
    }

    /// It was answered.
    pub(super) fn answered(&self, route: Route, status: u16, took: Duration) {
        let (method, target) = (self.method.as_str(), self.uri.path_and_query());
        let target = target.map_or("", |target| target.as_str());
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        if is_change(&self.method, route) {
            tracing::info!(target: TARGET, method, uri = target, status, took_ms, "changed");
        } else {
            tracing::debug!(target: TARGET, method, uri = target, status, took_ms, "asked");
        }
    }
}

fn may_change(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD)
}

fn is_change(method: &Method, route: Route) -> bool {
    let is_question = *method == Method::POST && QUESTIONS.contains(&route.name());
    may_change(method) && !is_question && route != Route::NONE
}

#[cfg(test)]
mod tests {
    use super::super::paths::PATHS;
    use super::*;

    fn route(path: &str) -> Route {
        let segments: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        Route::of(&segments)
    }

    #[test]
    fn changes_are_told_from_questions() {
        for (method, path, expected) in [
            (Method::GET, "/subjects/s/versions", false),
            (Method::POST, "/subjects/s/versions", true),
            (Method::POST, "/subjects/s", false),
            (Method::DELETE, "/subjects/s", true),
            (Method::POST, "/subjects/s/versions/1/tags", true),
            (Method::POST, "/compatibility/subjects/s/versions/1", false),
            (Method::PUT, "/config", true),
            (Method::POST, "/associations:batch", true),
            (Method::POST, "/associations:batchGet", false),
            (Method::DELETE, "/nowhere", false),
        ] {
            assert_eq!(is_change(&method, route(path)), expected, "{method} {path}");
        }
    }

    #[test]
    fn every_question_is_a_path() {
        for question in QUESTIONS {
            let known = PATHS.iter().find(|(path, _)| *path == question);
            assert!(
                known.is_some_and(|(_, methods)| methods.contains(&"POST")),
                "{question}"
            );
        }
    }
}
