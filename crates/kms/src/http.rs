//! Requests to services, with bounds.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::redirect::Policy;
use reqwest::{Method, RequestBuilder, Url};
use serde::de::DeserializeOwned;

use crate::KmsError;

/// The most bytes of an answer; those of keys and tokens have a few thousand.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// The most characters of a service's own words in an error.
const MESSAGE_CHARS_MAX: usize = 500;

#[derive(Debug)]
pub(crate) struct Http {
    client: reqwest::Client,
    /// The one server that a test sends everything to; [`ORIGIN`] says where it would have gone.
    #[cfg(test)]
    pub(crate) stand_in: Option<Url>,
}

/// Where a request that a test's server got was sent to.
#[cfg(test)]
pub(crate) const ORIGIN: &str = "x-test-origin";

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) kms_type: &'static str,
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Http {
    pub(crate) fn new(timeout: Duration) -> Result<Self, KmsError> {
        // A redirect would carry a token, or a key, to wherever it points.
        let client = reqwest::Client::builder()
            .redirect(Policy::none())
            .timeout(timeout)
            .build();
        Ok(Self {
            client: client.map_err(KmsError::Client)?,
            #[cfg(test)]
            stand_in: None,
        })
    }

    pub(crate) fn post(&self, url: Url) -> RequestBuilder {
        self.request(Method::POST, url)
    }

    pub(crate) fn get(&self, url: Url) -> RequestBuilder {
        self.request(Method::GET, url)
    }

    fn request(&self, method: Method, url: Url) -> RequestBuilder {
        #[cfg(test)]
        if let Some(place) = &self.stand_in {
            let mut place = place.clone();
            place.set_path(url.path());
            place.set_query(url.query());
            let origin = url.origin().ascii_serialization();
            return self.client.request(method, place).header(ORIGIN, origin);
        }
        self.client.request(method, url)
    }
}

/// Sends a request and takes the whole answer in.
pub(crate) async fn send(
    kms_type: &'static str,
    request: RequestBuilder,
) -> Result<Answer, KmsError> {
    let unreachable = |source: reqwest::Error| KmsError::Unreachable {
        kms_type,
        source: source.without_url(),
    };
    let mut response = request.send().await.map_err(unreachable)?;
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if body.len().saturating_add(chunk.len()) > ANSWER_BYTES_MAX {
            return Err(KmsError::Answer {
                kms_type,
                what: format!("it has more than {ANSWER_BYTES_MAX} bytes"),
            });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer {
        kms_type,
        status,
        body,
    })
}

impl Answer {
    /// The body of a good answer.
    ///
    /// # Errors
    /// [`KmsError::Denied`] for 401 and 403, [`KmsError::Refused`] for any other bad status, with what `told` finds in
    /// the body; [`KmsError::Answer`] for a body that is not `T`.
    pub(crate) fn json<T: DeserializeOwned>(
        &self,
        told: impl Fn(&serde_json::Value) -> Option<String>,
    ) -> Result<T, KmsError> {
        if !(200..300).contains(&self.status) {
            let found = serde_json::from_slice(&self.body).ok();
            let message = found.as_ref().and_then(told);
            return Err(self.failure(message));
        }
        serde_json::from_slice(&self.body).map_err(|error| KmsError::Answer {
            kms_type: self.kms_type,
            what: error.to_string(),
        })
    }

    /// The error of a bad answer.
    pub(crate) fn failure(&self, message: Option<String>) -> KmsError {
        let message = message.unwrap_or_else(|| String::from_utf8_lossy(&self.body).into_owned());
        let message: String = message.chars().take(MESSAGE_CHARS_MAX).collect();
        let kms_type = self.kms_type;
        match self.status {
            401 | 403 => KmsError::Denied { kms_type, message },
            status => KmsError::Refused {
                kms_type,
                status,
                message,
            },
        }
    }

    /// Bytes that came in base 64.
    pub(crate) fn base64(&self, text: &str) -> Result<Vec<u8>, KmsError> {
        STANDARD.decode(text).map_err(|error| KmsError::Answer {
            kms_type: self.kms_type,
            what: error.to_string(),
        })
    }
}

/// Bytes in base 64.
pub(crate) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// A URL of a setting or a key id.
pub(crate) fn url(
    kms_type: &'static str,
    text: &str,
    expected: &'static str,
) -> Result<Url, KmsError> {
    let parsed = Url::parse(text).ok();
    let usable = parsed.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    usable.ok_or_else(|| KmsError::KeyId {
        kms_type,
        key_id: text.to_owned(),
        expected,
    })
}

/// Whether a credential can stand in a header; what cannot is refused before a library trusts it.
pub(crate) fn is_header_text(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}
