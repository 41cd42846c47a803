//! One request to a registry, and its answer.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::{Method, StatusCode, Url, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::ClientError;

/// The most bytes of an answer; a registry takes schemas of 16 MiB, and lists of them.
pub(crate) const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What requests carry and prefer.
const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// How a client reaches a registry.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// The addresses of its instances, `http://host:port`; name and password may stand in them.
    pub urls: Vec<String>,
    /// Name and password for all of them.
    pub user: Option<(String, Password)>,
    /// A token for all of them, in place of a name.
    pub token: Option<Password>,
    /// Certificate authorities to trust beside those that everybody does, as PEM.
    pub authorities: Vec<Vec<u8>>,
    /// How long one request may take.
    pub timeout: Duration,
}

/// A password, which does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(pub String);

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[hidden]")
    }
}

impl ClientOptions {
    /// Addresses with commas between, and 30 seconds for a request.
    pub fn new(urls: &str) -> Self {
        Self {
            urls: urls
                .split(',')
                .map(str::trim)
                .filter(|url| !url.is_empty())
                .map(str::to_owned)
                .collect(),
            user: None,
            token: None,
            authorities: Vec::new(),
            timeout: Duration::from_secs(30),
        }
    }
}

/// A client of one registry.
#[derive(Debug)]
pub struct RegistryClient {
    http: reqwest::Client,
    urls: Vec<Url>,
    user: Option<(String, Password)>,
    token: Option<Password>,
    timeout: Duration,
    /// The instance that answered last, or the one after it, once it does not.
    preferred: AtomicUsize,
}

/// A request: method, path and what comes with it.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    method: Method,
    path: &'a [&'a str],
    query: Vec<(&'a str, String)>,
    body: Option<Value>,
    /// It may be carried out twice.
    repeats: bool,
}

impl<'a> Request<'a> {
    /// A request to `path`, segment by segment: `["subjects", "users-value", "versions"]`.
    pub fn new(method: Method, path: &'a [&'a str]) -> Self {
        Self {
            repeats: method == Method::GET,
            method,
            path,
            query: Vec::new(),
            body: None,
        }
    }

    /// Says that being carried out twice is as good as once: an instance that breaks off is no reason not to ask another.
    /// Questions are such requests.
    #[must_use]
    pub fn repeatable(mut self) -> Self {
        self.repeats = true;
        self
    }

    /// How people call it: `GET /subjects/users-value/versions`.
    pub fn name(&self) -> String {
        format!("{} /{}", self.method, self.path.join("/"))
    }

    /// GET.
    pub fn get(path: &'a [&'a str]) -> Self {
        Self::new(Method::GET, path)
    }

    /// Adds a query parameter.
    #[must_use]
    pub fn query(mut self, name: &'a str, value: impl ToString) -> Self {
        self.query.push((name, value.to_string()));
        self
    }

    /// Adds a query parameter that is `true`, if it is.
    #[must_use]
    pub fn flag(self, name: &'a str, value: bool) -> Self {
        if value { self.query(name, true) } else { self }
    }

    /// Adds a body.
    #[must_use]
    pub fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }
}

/// An error as a registry tells it.
#[derive(Debug, Deserialize)]
struct ErrorAnswer {
    error_code: i64,
    #[serde(default)]
    message: String,
}

impl RegistryClient {
    /// A client that has asked nothing yet.
    ///
    /// # Errors
    /// An address is no URL, or there is none; a certificate is none.
    pub fn new(options: &ClientOptions) -> Result<Self, ClientError> {
        let mut builder = reqwest::Client::builder();
        for authority in &options.authorities {
            let certificates =
                reqwest::Certificate::from_pem_bundle(authority).map_err(ClientError::Setup)?;
            for certificate in certificates {
                builder = builder.add_root_certificate(certificate);
            }
        }
        Self::with_http(builder.build().map_err(ClientError::Setup)?, options)
    }

    /// The same over the connections of `http`, which trusts whom it trusts: `authorities` are not added.
    ///
    /// # Errors
    /// An address is no URL, or there is none.
    pub fn with_http(http: reqwest::Client, options: &ClientOptions) -> Result<Self, ClientError> {
        let urls = options
            .urls
            .iter()
            .map(|url| parse_url(url))
            .collect::<Result<Vec<Url>, ClientError>>()?;
        if urls.is_empty() {
            return Err(ClientError::NoAddress);
        }
        Ok(Self {
            http,
            urls,
            user: options.user.clone(),
            token: options.token.clone(),
            timeout: options.timeout,
            preferred: AtomicUsize::new(0),
        })
    }

    /// The answer to a request, read as `T`.
    ///
    /// # Errors
    /// [`ClientError`].
    ///
    /// # Cancel safety
    /// A dropped call may have been carried out.
    pub async fn json<T: DeserializeOwned>(&self, request: &Request<'_>) -> Result<T, ClientError> {
        let (url, body) = self.bytes(request).await?;
        serde_json::from_slice(&body).map_err(|error| ClientError::Answer {
            url: name(&url),
            what: error.to_string(),
        })
    }

    /// Sends a request whose answer does not matter.
    ///
    /// # Errors
    /// As [`RegistryClient::json`].
    pub async fn send(&self, request: &Request<'_>) -> Result<(), ClientError> {
        self.bytes(request).await.map(drop)
    }

    async fn bytes(&self, request: &Request<'_>) -> Result<(Url, Vec<u8>), ClientError> {
        let first = self.preferred.load(Ordering::Relaxed);
        let mut failure = ClientError::NoAddress;
        for turn in 0..self.urls.len() {
            let index = (first + turn) % self.urls.len();
            let Some(base) = self.urls.get(index) else {
                continue;
            };
            match self.ask(base, request).await {
                Err(ClientError::Unreachable { url, source }) => {
                    // Whoever cannot be connected to took nothing, so another instance may.
                    let is_over = !source.is_connect() && !request.repeats;
                    let next = (index + 1) % self.urls.len();
                    self.preferred.store(next, Ordering::Relaxed);
                    failure = ClientError::Unreachable { url, source };
                    if is_over {
                        break;
                    }
                }
                other => {
                    self.preferred.store(index, Ordering::Relaxed);
                    return other.map(|body| (base.clone(), body));
                }
            }
        }
        Err(failure)
    }

    async fn ask(&self, base: &Url, request: &Request<'_>) -> Result<Vec<u8>, ClientError> {
        let unreachable = |source| ClientError::Unreachable {
            url: name(base),
            source,
        };
        let mut builder = self
            .http
            .request(request.method.clone(), target(base, request)?)
            .timeout(self.timeout)
            .header(header::ACCEPT, CONTENT_TYPE);
        if let Some((name, password)) = &self.user {
            builder = builder.basic_auth(name, Some(&password.0));
        }
        if let Some(token) = &self.token {
            builder = builder.bearer_auth(&token.0);
        }
        if let Some(body) = &request.body {
            builder = builder
                .header(header::CONTENT_TYPE, CONTENT_TYPE)
                .body(body.to_string());
        }
        let mut response = builder.send().await.map_err(unreachable)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(ClientError::TooLong { url: name(base) });
            }
            body.extend_from_slice(&chunk);
        }
        if status.is_success() {
            return Ok(body);
        }
        Err(refused(base, status, &body))
    }
}

fn parse_url(text: &str) -> Result<Url, ClientError> {
    let with_scheme = if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    let invalid = |what: String| ClientError::InvalidUrl {
        url: text.to_owned(),
        what,
    };
    let url = Url::parse(&with_scheme).map_err(|error| invalid(error.to_string()))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        other => Err(invalid(format!("expected http or https, not {other}"))),
    }
}

fn target(base: &Url, request: &Request<'_>) -> Result<Url, ClientError> {
    let mut url = base.clone();
    if let Some(name) = request
        .path
        .iter()
        .find(|part| matches!(**part, "." | ".."))
    {
        return Err(ClientError::InvalidName {
            name: (*name).to_owned(),
        });
    }
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(request.path);
    }
    if !request.query.is_empty() {
        url.query_pairs_mut().extend_pairs(&request.query);
    }
    Ok(url)
}

/// An address as it may be shown: without name and password.
fn name(url: &Url) -> String {
    let mut url = url.clone();
    if !url.username().is_empty() || url.password().is_some() {
        // Neither fails: an address with a password has a host.
        let (_user, _password) = (url.set_username(""), url.set_password(None));
    }
    url.as_str().trim_end_matches('/').to_owned()
}

fn refused(base: &Url, status: StatusCode, body: &[u8]) -> ClientError {
    match serde_json::from_slice::<ErrorAnswer>(body) {
        Ok(answer) => ClientError::Refused {
            status: status.as_u16(),
            code: answer.error_code,
            message: answer.message,
        },
        Err(_) => ClientError::Answer {
            url: name(base),
            what: format!("HTTP status {status} without an error code"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(base: &str, path: &[&str]) -> String {
        let request = Request::get(path)
            .query("a", "x y")
            .flag("b", true)
            .flag("c", false);
        target(&parse_url(base).unwrap(), &request)
            .unwrap()
            .to_string()
    }

    #[test]
    fn names_are_escaped_and_paths_kept() {
        assert_eq!(
            url("http://h:1", &["subjects", "a/b?", "versions"]),
            "http://h:1/subjects/a%2Fb%3F/versions?a=x+y&b=true"
        );
        assert_eq!(
            url("h:1/base/", &["config", ":.ctx:s"]),
            "http://h:1/base/config/:.ctx:s?a=x+y&b=true"
        );
        let request = Request::get(&["subjects", ".."]);
        assert!(target(&parse_url("h:1").unwrap(), &request).is_err());
    }

    #[test]
    fn an_address_has_to_be_one() {
        for bad in ["ftp://h", "http://", "http://h:port"] {
            let error = parse_url(bad).unwrap_err().to_string();
            assert!(error.contains(bad), "{error}");
        }
        assert!(matches!(
            RegistryClient::new(&ClientOptions::new(" , ")),
            Err(ClientError::NoAddress)
        ));
    }

    /// An instance that takes a request and answers, or breaks off.
    async fn instance(answer: &'static str) -> String {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        // Ends with the test's runtime.
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 4096];
                if stream.read(&mut request).await.is_ok() {
                    drop(stream.write_all(answer.as_bytes()).await);
                }
            }
        });
        address.to_string()
    }

    #[tokio::test]
    async fn an_instance_that_breaks_off_is_left_alone() {
        let answers = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]";
        let urls = format!("{},{}", instance("").await, instance(answers).await);
        let client = || RegistryClient::new(&ClientOptions::new(&urls)).unwrap();
        let path = ["subjects"];
        client().send(&Request::get(&path)).await.unwrap();
        let post = Request::new(Method::POST, &path);
        client().send(&post.clone().repeatable()).await.unwrap();
        // What may have been done is not done again; the next request goes to the other.
        let client = client();
        let error = client.send(&post).await.unwrap_err();
        assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
        client.send(&post).await.unwrap();
        assert_eq!(post.name(), "POST /subjects");
    }

    #[test]
    fn a_password_is_not_shown() {
        let base = parse_url("https://me:secret@h:1").unwrap();
        assert_eq!(name(&base), "https://h:1");
    }

    #[test]
    fn a_refusal_has_the_words_of_the_registry() {
        let base = parse_url("h:1").unwrap();
        let body = br#"{"error_code":40401,"message":"Subject 'a' not found."}"#;
        let error = refused(&base, StatusCode::NOT_FOUND, body);
        assert_eq!(
            error.to_string(),
            "Subject 'a' not found.; error code: 40401"
        );
        assert!(error.is_not_found() && error.code() == Some(40401));
        let other = refused(&base, StatusCode::BAD_GATEWAY, b"<html>");
        assert!(other.to_string().contains("502"), "{other}");
    }
}
