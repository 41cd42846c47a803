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

use base::ErrorChain;
use registry_client::{ClientError, ClientOptions, Password, RegistryClient, Request};
use serde_json::Value;

const URL: &str = "schema.registry.url";
const BASIC_SOURCE: &str = "basic.auth.credentials.source";
const BASIC_USER_INFO: &str = "basic.auth.user.info";
const BEARER_SOURCE: &str = "bearer.auth.credentials.source";
const BEARER_TOKEN: &str = "bearer.auth.token";

/// What is shown in place of a secret.
pub const HIDDEN: &str = "[hidden]";

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
    options(config).map(drop)
}

/// How to reach the other registry.
fn options(config: &BTreeMap<String, String>) -> Result<ClientOptions, String> {
    let mut options = ClientOptions::new("");
    options.urls = urls(config)?;
    sign_in(config, &mut options)?;
    Ok(options)
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

fn sign_in(config: &BTreeMap<String, String>, options: &mut ClientOptions) -> Result<(), String> {
    let text = |key: &str| {
        let value = config.get(key).map(|value| value.trim());
        value.filter(|value| !value.is_empty())
    };
    match (text(BEARER_SOURCE), text(BEARER_TOKEN)) {
        (None | Some("STATIC_TOKEN"), Some(token)) => {
            options.token = Some(Password(token.to_owned()));
            return Ok(());
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
            options.user = Some((user.to_owned(), Password(password.to_owned())));
            Ok(())
        }
        (Some("USER_INFO"), None) => Err(format!("{BASIC_USER_INFO} is not set")),
        (None | Some("URL"), _) => Ok(()),
        (Some(other), _) => Err(format!(
            "{BASIC_SOURCE} = '{other}' is not supported: use USER_INFO or URL"
        )),
    }
}

/// Why something is not over there.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExportError {
    /// The settings of an exporter that another release let in.
    #[error("the exporter's config cannot be used: {0}")]
    Config(String),
    /// None of the addresses answers.
    #[error("{request} got no answer")]
    Unreachable {
        request: String,
        #[source]
        source: ClientError,
    },
    /// It answers, but does not do it.
    #[error("{request} was answered with {status}, error code {code}: {message}")]
    Refused {
        request: String,
        status: u16,
        code: i64,
        message: String,
    },
    /// It is not asked, or does not answer as a registry does.
    #[error("{request} was not done")]
    Client {
        request: String,
        #[source]
        source: ClientError,
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

    /// Whether the other registry says that it has another such thing.
    pub(super) fn is_there_already(&self) -> bool {
        matches!(self, Self::Refused { status: 409, .. })
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
pub(super) struct Destination(RegistryClient);

impl Destination {
    /// The registry of these settings, over the connections of `http`.
    pub(super) fn new(
        http: reqwest::Client,
        config: &BTreeMap<String, String>,
    ) -> Result<Self, ExportError> {
        let options = options(config).map_err(ExportError::Config)?;
        let client = RegistryClient::with_http(http, &options);
        let client = client.map_err(|error| ExportError::Config(error.to_string()))?;
        Ok(Self(client))
    }

    /// The answer to a request, of the first address that answers.
    pub(super) async fn ask(&self, request: Request<'_>) -> Result<Value, ExportError> {
        let request = request.repeatable();
        let answer = self.0.json(&request).await;
        answer.map_err(|error| ExportError::of(&request, error))
    }

    /// Sends a request whose answer does not matter. What exporters send may be carried out twice.
    pub(super) async fn send(&self, request: Request<'_>) -> Result<(), ExportError> {
        let request = request.repeatable();
        let sent = self.0.send(&request).await;
        sent.map_err(|error| ExportError::of(&request, error))
    }
}

impl ExportError {
    fn of(request: &Request<'_>, error: ClientError) -> Self {
        let request = request.name();
        match error {
            ClientError::Refused {
                status,
                code,
                message,
            } => Self::Refused {
                request,
                status,
                code,
                message,
            },
            source @ ClientError::Unreachable { .. } => Self::Unreachable { request, source },
            source => Self::Client { request, source },
        }
    }
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
        let of = |pairs: &[(&str, &str)]| {
            let mut options = ClientOptions::new("");
            sign_in(&config(pairs), &mut options).unwrap();
            (options.user, options.token)
        };
        let user = ("u".to_owned(), Password("p:q".to_owned()));
        let token = Password("t".to_owned());
        assert_eq!(of(&[]), (None, None));
        assert_eq!(of(&[(BASIC_USER_INFO, "u:p:q")]), (Some(user), None));
        assert_eq!(of(&[(BASIC_SOURCE, "URL")]), (None, None));
        let both = [(BEARER_TOKEN, "t"), (BASIC_USER_INFO, "u:p")];
        assert_eq!(of(&both), (None, Some(token)));
        assert!(is_secret(BEARER_TOKEN) && is_secret("ssl.key.password") && !is_secret(URL));
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
            let answer = destination.ask(Request::get(&["subjects"])).await.unwrap();
            assert_eq!(answer["signed"], expected);
        }
        let with_password = url.replace("http://", "http://u:secret@");
        let settings = [(URL, with_password.as_str()), (BASIC_SOURCE, "URL")];
        let client = crate::outgoing::client().unwrap();
        let destination = Destination::new(client.clone(), &config(&settings)).unwrap();
        let answer = destination.ask(Request::get(&["subjects"])).await.unwrap();
        assert_eq!(answer["signed"], "Basic dTpzZWNyZXQ=");

        let nobody = Destination::new(client.clone(), &config(&[(URL, &url)])).unwrap();
        let refused = nobody.ask(Request::get(&["subjects"])).await.unwrap_err();
        let told = refused.trace();
        assert!(
            told.contains("401") && told.contains("40101") && told.contains("who?"),
            "{told}"
        );
        let gone = dead.replace("http://", "http://u:secret@");
        let nowhere = Destination::new(client, &config(&[(URL, &gone)])).unwrap();
        let told = nowhere
            .ask(Request::get(&["subjects"]))
            .await
            .unwrap_err()
            .trace();
        assert!(
            told.contains("got no answer") && !told.contains("secret"),
            "{told}"
        );
    }
}
