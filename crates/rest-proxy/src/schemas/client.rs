//! A client of a Schema Registry: the five calls that records need.
//!
//! Several addresses may be given; one that cannot be reached is passed over, what one answers counts.

use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, StatusCode};
use schema::{SchemaReference, SchemaType};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// How long one call may take.
const CALL_LIMIT: Duration = Duration::from_secs(30);
/// How long a connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// The most bytes of an answer; a registry takes no schema above 16 MiB.
const ANSWER_BYTES_MAX: usize = 40 * 1024 * 1024;

/// Which registry, and who asks it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RegistryConfig {
    /// `schema.registry.url`: addresses with commas between.
    pub(crate) urls: Vec<String>,
    /// `schema.registry.basic.auth.user.info`: name and password.
    pub(crate) user: Option<(String, Password)>,
}

/// A password, which does not print.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Password(pub(crate) String);

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[hidden]")
    }
}

/// Why a registry gave no answer to work with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistryError {
    /// No address is known.
    #[error("no schema registry is known: kafka.rest.schema.registry.url names one")]
    NotConfigured,
    /// It said no.
    #[error("{message}; error code: {code}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// `error_code`.
        code: i32,
        /// `message`.
        message: String,
    },
    /// It cannot be reached, or its answer cannot be read.
    #[error("the schema registry at {url} cannot be asked")]
    Failed {
        /// Its address.
        url: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// It answered with something else than its API says.
    #[error("the answer of the schema registry at {url} is not what it should be: {what}")]
    Answer {
        /// Its address.
        url: String,
        /// What is wrong with it.
        what: String,
    },
}

/// A schema as the registry gives it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct SchemaEntity {
    pub(super) subject: Option<String>,
    pub(super) version: Option<i32>,
    pub(super) id: Option<i32>,
    pub(super) schema_type: SchemaType,
    pub(super) references: Vec<SchemaReference>,
    pub(super) schema: Option<String>,
}

/// A schema to look up or to register.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewSchema<'a> {
    pub(super) schema: &'a str,
    pub(super) schema_type: SchemaType,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) references: &'a [SchemaReference],
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Refusal {
    error_code: Option<i32>,
    message: Option<String>,
}

/// A schema that was registered.
#[derive(Debug, Deserialize)]
pub(super) struct Registration {
    pub(super) id: i32,
    /// Its version; registries before 8 do not say it.
    pub(super) version: Option<i32>,
}

/// The client.
#[derive(Debug)]
pub(super) struct RegistryClient {
    http: reqwest::Client,
    config: RegistryConfig,
}

impl RegistryClient {
    /// A client that connects when it is asked.
    pub(super) fn new(http: reqwest::Client, config: RegistryConfig) -> Self {
        Self { http, config }
    }

    /// `GET /schemas/ids/{id}`
    pub(super) async fn by_id(&self, id: i32) -> Result<SchemaEntity, RegistryError> {
        let path = format!("/schemas/ids/{id}?fetchMaxId=false");
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// `GET /schemas/guids/{guid}`
    pub(super) async fn by_guid(&self, guid: &str) -> Result<SchemaEntity, RegistryError> {
        let path = format!("/schemas/guids/{guid}");
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// `GET /subjects/{subject}/versions/{version}`; `latest` is a version. `deleted`: also one that is.
    pub(super) async fn by_version(
        &self,
        subject: &str,
        version: &str,
        deleted: bool,
    ) -> Result<SchemaEntity, RegistryError> {
        let subject = escaped(subject);
        let path = format!("/subjects/{subject}/versions/{version}?deleted={deleted}");
        self.call(Method::GET, &path, None::<&()>).await
    }

    /// `POST /subjects/{subject}`: the version that this schema is there.
    pub(super) async fn look_up(
        &self,
        subject: &str,
        schema: &NewSchema<'_>,
    ) -> Result<SchemaEntity, RegistryError> {
        let path = format!("/subjects/{}", escaped(subject));
        self.call(Method::POST, &path, Some(schema)).await
    }

    /// `POST /subjects/{subject}/versions`: the id and version that the schema has from now on.
    pub(super) async fn register(
        &self,
        subject: &str,
        schema: &NewSchema<'_>,
    ) -> Result<Registration, RegistryError> {
        let path = format!("/subjects/{}/versions", escaped(subject));
        self.call(Method::POST, &path, Some(schema)).await
    }

    async fn call<B: Serialize, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
    ) -> Result<T, RegistryError> {
        let mut last = RegistryError::NotConfigured;
        for url in &self.config.urls {
            let mut request = self
                .http
                .request(method.clone(), format!("{url}{path}"))
                .timeout(CALL_LIMIT)
                .header("Accept", "application/vnd.schemaregistry.v1+json");
            if let Some((name, password)) = &self.config.user {
                request = request.basic_auth(name, Some(&password.0));
            }
            if let Some(body) = body {
                request = request.json(body);
            }
            let failed = |source| RegistryError::Failed {
                url: url.clone(),
                source,
            };
            match request.send().await {
                Ok(response) => return read(url, response).await,
                // Another may be there, and this one took nothing.
                Err(error) if error.is_connect() => last = failed(error),
                Err(error) => return Err(failed(error)),
            }
        }
        Err(last)
    }
}

/// An HTTP client for one proxy.
///
/// # Errors
/// When the system's settings make none possible.
pub(crate) fn http_client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .connect_timeout(CONNECT_LIMIT)
        .no_proxy()
        .build()
}

async fn read<T: DeserializeOwned>(
    url: &str,
    mut response: reqwest::Response,
) -> Result<T, RegistryError> {
    let status = response.status();
    let mut body = Vec::new();
    let failed = |source| RegistryError::Failed {
        url: url.to_owned(),
        source,
    };
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(RegistryError::Answer {
                url: url.to_owned(),
                what: format!("it is longer than {ANSWER_BYTES_MAX} bytes"),
            });
        }
        body.extend_from_slice(&chunk);
    }
    if status != StatusCode::OK {
        let refusal: Refusal = serde_json::from_slice(&body).unwrap_or_default();
        return Err(RegistryError::Refused {
            status: status.as_u16(),
            code: refusal.error_code.unwrap_or(i32::from(status.as_u16())),
            message: refusal.message.unwrap_or_else(|| status.to_string()),
        });
    }
    serde_json::from_slice(&body).map_err(|error| RegistryError::Answer {
        url: url.to_owned(),
        what: error.to_string(),
    })
}

/// A subject as a segment of a path; a slash in it stays within the segment.
fn escaped(subject: &str) -> String {
    utf8_percent_encode(subject, NON_ALPHANUMERIC).to_string()
}
