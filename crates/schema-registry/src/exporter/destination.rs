//! The registry that an exporter mirrors to, as its settings name it: where it is, and how to sign in.
//!
//! The settings are those of Confluent's clients:
//!
//! ```text
//! schema.registry.url               http://a:8081,http://b:8081   tried one after the other
//! basic.auth.credentials.source     USER_INFO, or URL for credentials in the URL
//! basic.auth.user.info              user:password
//! bearer.auth.credentials.source    STATIC_TOKEN
//! bearer.auth.token                 the token
//! ```
//!
//! Others are kept and not used.

use std::collections::BTreeMap;
use std::time::Duration;

use base::ErrorChain;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use crate::outgoing::{AnswerError, body_of};

const URL: &str = "schema.registry.url";
const BASIC_SOURCE: &str = "basic.auth.credentials.source";
const BASIC_USER_INFO: &str = "basic.auth.user.info";
const BEARER_SOURCE: &str = "bearer.auth.credentials.source";
const BEARER_TOKEN: &str = "bearer.auth.token";

/// What is shown in place of a secret.
pub const HIDDEN: &str = "[hidden]";

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Settings whose values are not shown.
const SECRETS: [&str; 2] = [BASIC_USER_INFO, BEARER_TOKEN];

/// Whether a setting's value is a secret. Those of files with keys are, too, though they are not used.
#[must_use]
pub fn is_secret(name: &str) -> bool {
    SECRETS.contains(&name) || name.ends_with("password") || name.ends_with("secret")
}

/// Says what is wrong with settings, if something is.
///
/// # Errors
/// The first reason.
pub fn check(config: &BTreeMap<String, String>) -> Result<(), String> {
    urls(config)?;
    SignIn::of(config).map(drop)
}

fn urls(config: &BTreeMap<String, String>) -> Result<Vec<String>, String> {
    let urls = config.get(URL).map(String::as_str).unwrap_or_default();
    let urls: Vec<String> = urls
        .split(',')
        .map(|url| url.trim().trim_end_matches('/').to_owned())
        .filter(|url| !url.is_empty())
        .collect();
    if urls.is_empty() {
        return Err(format!("{URL} is not set"));
    }
    for url in &urls {
        let is_http = url.starts_with("http://") || url.starts_with("https://");
        if !is_http || reqwest::Url::parse(url).is_err() {
            return Err(format!("{URL} = '{url}' is no http or https URL"));
        }
    }
    Ok(urls)
}

enum SignIn {
    Nothing,
    Basic { user: String, password: String },
    Bearer(String),
}

impl std::fmt::Debug for SignIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Nothing => "Nothing",
            Self::Basic { .. } => "Basic",
            Self::Bearer(_) => "Bearer",
        })
    }
}

impl SignIn {
    fn of(config: &BTreeMap<String, String>) -> Result<Self, String> {
        let text = |key: &str| {
            config
                .get(key)
                .map(|value| value.trim())
                .filter(|v| !v.is_empty())
        };
        match (text(BEARER_SOURCE), text(BEARER_TOKEN)) {
            (None | Some("STATIC_TOKEN"), Some(token)) => {
                return Ok(Self::Bearer(token.to_owned()));
            }
            (None, None) => {}
            (Some("STATIC_TOKEN"), None) => return Err(format!("{BEARER_TOKEN} is not set")),
            (Some(other), _) => {
                return Err(format!(
                    "{BEARER_SOURCE} = '{other}' is not supported: use STATIC_TOKEN"
                ));
            }
        }
        match (text(BASIC_SOURCE), text(BASIC_USER_INFO)) {
            (None | Some("USER_INFO"), Some(info)) => {
                let (user, password) = info
                    .split_once(':')
                    .ok_or_else(|| format!("{BASIC_USER_INFO} has the form user:password"))?;
                Ok(Self::Basic {
                    user: user.to_owned(),
                    password: password.to_owned(),
                })
            }
            (Some("USER_INFO"), None) => Err(format!("{BASIC_USER_INFO} is not set")),
            (None | Some("URL"), _) => Ok(Self::Nothing),
            (Some(other), _) => Err(format!(
                "{BASIC_SOURCE} = '{other}' is not supported: use USER_INFO or URL"
            )),
        }
    }
}

/// Why something is not over there.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExportError {
    /// The settings of an exporter that another release let in.
    #[error("the exporter's config cannot be used: {0}")]
    Config(String),
    /// None of the addresses answers.
    #[error("{method} {url} got no answer")]
    Unreachable {
        method: Method,
        url: String,
        #[source]
        source: AnswerError,
    },
    /// It answers, but does not do it.
    #[error("{method} {url} was answered with {status}, error code {code}: {message}")]
    Refused {
        method: Method,
        url: String,
        status: u16,
        code: i64,
        message: String,
    },
    /// A schema refers to schemas that refer to others, too deep.
    #[error("the references of {subject} version {version} are too deep")]
    Depth { subject: String, version: i32 },
}

impl ExportError {
    /// Whether the other registry says that it has no such thing, or has deleted it already.
    pub(super) fn is_not_there(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }

    /// The error for people, without anything that came with the URL.
    pub(super) fn trace(&self) -> String {
        const CHARS_MAX: usize = 4_000;
        ErrorChain(self)
            .to_string()
            .chars()
            .take(CHARS_MAX)
            .collect()
    }
}

/// The other registry.
#[derive(Debug)]
pub(super) struct Destination {
    client: reqwest::Client,
    urls: Vec<String>,
    sign_in: SignIn,
}

#[derive(Deserialize, Default)]
struct Refusal {
    #[serde(default)]
    error_code: i64,
    #[serde(default)]
    message: String,
}

impl Destination {
    /// The registry of these settings.
    pub(super) fn new(
        client: reqwest::Client,
        config: &BTreeMap<String, String>,
    ) -> Result<Self, ExportError> {
        Ok(Self {
            client,
            urls: urls(config).map_err(ExportError::Config)?,
            sign_in: SignIn::of(config).map_err(ExportError::Config)?,
        })
    }

    /// Sends a request to the first address that answers. `path` has its segments escaped ([`segment`]).
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, ExportError> {
        let mut unreachable = None;
        for base in &self.urls {
            let sent = self.send(&method, &format!("{base}{path}"), body).await;
            let (status, answer) = match sent {
                Ok(answered) => answered,
                Err(source) => {
                    unreachable = Some(ExportError::Unreachable {
                        method: method.clone(),
                        url: shown(base, path),
                        source,
                    });
                    continue;
                }
            };
            if status.is_success() {
                return Ok(serde_json::from_slice(&answer).unwrap_or(Value::Null));
            }
            let refusal: Refusal = serde_json::from_slice(&answer).unwrap_or_default();
            return Err(ExportError::Refused {
                method,
                url: shown(base, path),
                status: status.as_u16(),
                code: refusal.error_code,
                message: refusal.message,
            });
        }
        Err(unreachable.unwrap_or_else(|| ExportError::Config(format!("{URL} is not set"))))
    }

    async fn send(
        &self,
        method: &Method,
        url: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, axum::body::Bytes), AnswerError> {
        let mut request = self
            .client
            .request(method.clone(), url)
            .timeout(TIMEOUT)
            .header("Accept", "application/vnd.schemaregistry.v1+json");
        request = match &self.sign_in {
            SignIn::Nothing => request,
            SignIn::Basic { user, password } => request.basic_auth(user, Some(password)),
            SignIn::Bearer(token) => request.bearer_auth(token),
        };
        if let Some(body) = body {
            request = request
                .header("Content-Type", "application/vnd.schemaregistry.v1+json")
                .body(body.to_string());
        }
        let response = request.send().await.map_err(reqwest::Error::without_url)?;
        let status = response.status();
        Ok((status, body_of(response).await?))
    }
}

/// A URL without what signs in.
fn shown(base: &str, path: &str) -> String {
    let Ok(mut url) = reqwest::Url::parse(base) else {
        return path.to_owned();
    };
    let cleared = url.set_username("").and_then(|()| url.set_password(None));
    match cleared {
        Ok(()) => format!("{}{path}", url.as_str().trim_end_matches('/')),
        Err(()) => path.to_owned(),
    }
}

/// A text as one segment of a path.
pub(super) fn segment(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn settings_that_lead_nowhere_are_told() {
        let url = (URL, "http://a:8081, https://b/base/");
        assert!(check(&config(&[url])).is_ok());
        for bad in [
            config(&[]),
            config(&[(URL, "a:8081")]),
            config(&[(URL, "ftp://a")]),
            config(&[url, (BASIC_SOURCE, "USER_INFO")]),
            config(&[url, (BASIC_USER_INFO, "nobody")]),
            config(&[url, (BASIC_SOURCE, "SASL_INHERIT")]),
            config(&[url, (BEARER_SOURCE, "STATIC_TOKEN")]),
            config(&[url, (BEARER_SOURCE, "OAUTHBEARER"), (BEARER_TOKEN, "t")]),
        ] {
            assert!(check(&bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn one_signs_in_as_the_settings_say() {
        let of = |pairs: &[(&str, &str)]| format!("{:?}", SignIn::of(&config(pairs)).unwrap());
        assert_eq!(of(&[]), "Nothing");
        assert_eq!(of(&[(BASIC_USER_INFO, "u:p:q")]), "Basic");
        assert_eq!(of(&[(BASIC_SOURCE, "URL")]), "Nothing");
        assert_eq!(
            of(&[(BEARER_TOKEN, "t"), (BASIC_USER_INFO, "u:p")]),
            "Bearer"
        );
        assert!(is_secret(BEARER_TOKEN) && is_secret("ssl.key.password") && !is_secret(URL));
    }

    #[test]
    fn a_url_is_shown_without_its_password() {
        assert_eq!(
            shown("http://u:p@h:1/base", "/subjects"),
            "http://h:1/base/subjects"
        );
        assert_eq!(segment(":.c:a b/ä"), "%3A.c%3Aa%20b%2F%C3%A4");
    }

    /// A registry that answers with what it was sent to sign in with, or refuses.
    async fn echo() -> String {
        async fn answer(request: axum::extract::Request) -> axum::response::Response {
            use axum::response::IntoResponse;
            let signed = request.headers().get("authorization").cloned();
            match signed.as_ref().and_then(|value| value.to_str().ok()) {
                Some(signed) => axum::Json(serde_json::json!({ "signed": signed })).into_response(),
                None => {
                    let refusal = serde_json::json!({"error_code": 40101, "message": "who?"});
                    (axum::http::StatusCode::UNAUTHORIZED, axum::Json(refusal)).into_response()
                }
            }
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = axum::Router::new().fallback(answer);
        // Ends with the test's runtime.
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}")
    }

    #[tokio::test]
    async fn requests_go_signed_to_the_first_address_that_answers() {
        let url = echo().await;
        let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dead = format!("http://{}", free.local_addr().unwrap());
        drop(free);
        let both = format!("{dead},{url}/");
        for (settings, expected) in [
            (vec![(BASIC_USER_INFO, "u:p")], "Basic dTpw"),
            (
                vec![(BEARER_SOURCE, "STATIC_TOKEN"), (BEARER_TOKEN, "t")],
                "Bearer t",
            ),
        ] {
            let settings = [vec![(URL, both.as_str())], settings].concat();
            let client = crate::outgoing::client().unwrap();
            let destination = Destination::new(client, &config(&settings)).unwrap();
            let answer = destination
                .call(Method::GET, "/subjects", None)
                .await
                .unwrap();
            assert_eq!(answer["signed"], expected);
        }
        let with_password = url.replace("http://", "http://u:secret@");
        let settings = [(URL, with_password.as_str()), (BASIC_SOURCE, "URL")];
        let client = crate::outgoing::client().unwrap();
        let destination = Destination::new(client.clone(), &config(&settings)).unwrap();
        let answer = destination
            .call(Method::GET, "/subjects", None)
            .await
            .unwrap();
        assert_eq!(answer["signed"], "Basic dTpzZWNyZXQ=");

        let nobody = Destination::new(client.clone(), &config(&[(URL, &url)])).unwrap();
        let refused = nobody
            .call(Method::GET, "/subjects", None)
            .await
            .unwrap_err();
        let told = refused.trace();
        assert!(
            told.contains("401") && told.contains("40101") && told.contains("who?"),
            "{told}"
        );
        let gone = dead.replace("http://", "http://u:secret@");
        let nowhere = Destination::new(client, &config(&[(URL, &gone)])).unwrap();
        let told = nowhere
            .call(Method::GET, "/subjects", None)
            .await
            .unwrap_err()
            .trace();
        assert!(
            told.contains("got no answer") && !told.contains("secret"),
            "{told}"
        );
    }
}
