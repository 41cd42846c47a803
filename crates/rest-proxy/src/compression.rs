//! Answers made smaller for who takes gzip (`Accept-Encoding`), as the counterpart's server does.
//!
//! Only of answers that are there whole and are worth it: the reports of a stream go out one by one and as they are.

use std::io::Write as _;

use axum::body::{Body, HttpBody as _, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::media;

/// Bytes of an answer from which on it is made smaller: less fits one packet.
const BYTES_MIN: u64 = 1400;

/// Makes the answer smaller if the client takes that.
pub(crate) async fn compress(request: Request, next: Next) -> Response {
    let wanted = takes_gzip(request.headers());
    let mut answer = next.run(request).await;
    let bytes = answer.body().size_hint().exact();
    let Some(bytes) = bytes.filter(|bytes| *bytes >= BYTES_MIN) else {
        return answer;
    };
    let vary = HeaderValue::from_static("accept-encoding");
    answer.headers_mut().append(header::VARY, vary);
    if !wanted || answer.headers().contains_key(header::CONTENT_ENCODING) {
        return answer;
    }
    let (mut head, body) = answer.into_parts();
    let limit = usize::try_from(bytes).unwrap_or(usize::MAX);
    // It is in memory already, so reading it cannot fail.
    let whole = to_bytes(body, limit).await.unwrap_or_default();
    let body = match gzip(&whole) {
        Ok(small) => {
            head.headers.remove(header::CONTENT_LENGTH);
            let gzip = HeaderValue::from_static("gzip");
            head.headers.insert(header::CONTENT_ENCODING, gzip);
            Body::from(small)
        }
        Err(error) => {
            tracing::debug!(%error, "an answer is not compressed");
            Body::from(whole)
        }
    };
    Response::from_parts(head, body)
}

fn gzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    let accepted = media::preferences(headers, &header::ACCEPT_ENCODING);
    accepted
        .iter()
        .any(|coding| media::is(coding, "gzip") || coding == "*")
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn a_client_says_whether_it_takes_gzip() {
        let takes = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, value.parse().unwrap());
            takes_gzip(&headers)
        };
        assert!(takes("br, GZIP;q=0.5") && takes("*"));
        assert!(!takes("gzip;q=0") && !takes("identity"));
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn what_is_small_means_the_same() {
        let text = "retention.ms ".repeat(500);
        let small = gzip(text.as_bytes()).unwrap();
        assert!(small.len() < text.len() / 10);
        let mut back = String::new();
        let mut decoder = flate2::read::GzDecoder::new(&small[..]);
        decoder.read_to_string(&mut back).unwrap();
        assert_eq!(back, text);
    }
}
