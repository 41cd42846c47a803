//! Requests of this registry to others: to its leader, and to those that exporters mirror to.

use axum::body::Bytes;

/// The most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AnswerError {
    /// The connection, the other side, or the time that it may take.
    #[error(transparent)]
    Client(#[from] reqwest::Error),
    /// It would not end.
    #[error("the answer is longer than {} bytes", ANSWER_BYTES_MAX)]
    TooLong,
}

/// The client that all of them share. It goes where it is told, not where a proxy of the environment or a redirection leads.
///
/// # Errors
/// The machine's certificates cannot be used.
pub(crate) fn client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
}

/// The body of an answer, as long as it may be; the bytes are counted, since the other side need not tell their number.
///
/// # Errors
/// [`AnswerError`].
pub(crate) async fn body_of(mut response: reqwest::Response) -> Result<Bytes, AnswerError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len().saturating_add(chunk.len()) > ANSWER_BYTES_MAX {
            return Err(AnswerError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Bytes::from(body))
}
