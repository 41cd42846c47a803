//! What stands in a request's path.

use axum::extract::{FromRequestParts, Path as Segments};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::error::RestError;

/// The variable segments of a path.
///
/// What cannot be read, such as letters for the number of a partition, is 404: there is nothing at that address.
#[derive(Debug)]
pub(crate) struct Path<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = RestError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, RestError> {
        let segments = Segments::from_request_parts(parts, state).await;
        segments
            .map(|Segments(segments)| Self(segments))
            .map_err(|_| RestError::no_such_path())
    }
}
