//! `azure-kms`: Azure Key Vault, with RSA-OAEP-256 as Confluent's drivers ask for.
//!
//! ```text
//! POST <key id>/encrypt?api-version=7.4   {"alg": "RSA-OAEP-256", "value": base64url}  -> {"value": base64url}
//! POST <key id>/decrypt?api-version=7.4   the same
//! POST <authority>/<tenant>/oauth2/v2.0/token   grant_type=client_credentials&...      -> {"access_token", "expires_in"}
//! GET  169.254.169.254/metadata/identity/oauth2/token?resource=...                     -> the same, for the machine
//! ```
//!
//! A token is for Key Vault and nothing else, and is sent to hosts of Key Vault only.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Url;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::cache::Cache;
use crate::http::{self, is_header_text};
use crate::{Kind, Kms, KmsError, KmsKey, Operation};

const KMS_TYPE: &str = Kind::Azure.name();
const EXPECTED: &str = "https://<vault>.vault.azure.net/keys/<name>/<version>";
const ALGORITHM: &str = "RSA-OAEP-256";
const API_VERSION: &str = "7.4";
const AUTHORITY: &str = "https://login.microsoftonline.com";
const MACHINE: &str = "http://169.254.169.254";

/// Hosts of Key Vault, by cloud, and what their tokens are for.
const CLOUDS: [(&str, &str); 4] = [
    (".vault.azure.net", "https://vault.azure.net"),
    (".managedhsm.azure.net", "https://managedhsm.azure.net"),
    (".vault.azure.cn", "https://vault.azure.cn"),
    (
        ".vault.usgovcloudapi.net",
        "https://vault.usgovcloudapi.net",
    ),
];

/// Tokens by who asks, and for what.
pub(crate) type Tokens = Cache<String>;

#[derive(Deserialize)]
struct Value64 {
    value: String,
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
    #[serde(deserialize_with = "seconds")]
    expires_in: u64,
}

/// The machine's service writes the number as a text.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    use serde::de::Error;
    let value = Value::deserialize(deserializer)?;
    let text = value.as_str().and_then(|text| text.parse().ok());
    value
        .as_u64()
        .or(text)
        .ok_or_else(|| D::Error::custom("expires_in is no number"))
}

pub(crate) async fn call(
    kms: &Kms,
    key: &KmsKey,
    key_id: &str,
    operation: Operation<'_>,
) -> Result<Vec<u8>, KmsError> {
    let mut url = http::url(KMS_TYPE, key_id, EXPECTED)?;
    let resource = resource(&url).ok_or_else(|| KmsError::KeyId {
        kms_type: KMS_TYPE,
        key_id: key_id.to_owned(),
        expected: EXPECTED,
    })?;
    let token = token(kms, key, resource).await?;
    let (verb, bytes) = match operation {
        Operation::Encrypt(bytes) => ("encrypt", bytes),
        Operation::Decrypt(bytes) => ("decrypt", bytes),
    };
    let path = format!("{}/{verb}", url.path().trim_end_matches('/'));
    url.set_path(&path);
    url.set_query(Some(&format!("api-version={API_VERSION}")));
    url.set_fragment(None);
    let body = json!({ "alg": ALGORITHM, "value": URL_SAFE_NO_PAD.encode(bytes) });
    let request = kms.http.post(url).bearer_auth(token).json(&body);
    let answer = http::send(KMS_TYPE, request).await?;
    let found: Value64 = answer.json(told)?;
    URL_SAFE_NO_PAD
        .decode(found.value.trim_end_matches('='))
        .map_err(|error| KmsError::Answer {
            kms_type: KMS_TYPE,
            what: error.to_string(),
        })
}

/// What a token for this vault is for; none for a host that is no vault.
fn resource(url: &Url) -> Option<&'static str> {
    let host = url.host_str()?;
    let is_plain = url.scheme() == "https" && url.username().is_empty() && url.port().is_none();
    let mut clouds = CLOUDS.into_iter().filter(|_| is_plain);
    clouds
        .find(|(suffix, _)| host.ends_with(suffix))
        .map(|(_, resource)| resource)
}

/// A token for `resource`: of the key's own application, of the environment's, or of the machine.
async fn token(kms: &Kms, key: &KmsKey, resource: &str) -> Result<String, KmsError> {
    let setting = |property: &str, variable: &str| kms.setting(key, property, variable);
    let application =
        setting("tenant.id", "AZURE_TENANT_ID").zip(setting("client.id", "AZURE_CLIENT_ID"));
    let secret = setting("client.secret", "AZURE_CLIENT_SECRET");
    let file = kms.environment.get("AZURE_FEDERATED_TOKEN_FILE");
    let (tenant, client) = application.unwrap_or_default();
    let cached = [resource, tenant, client, secret.unwrap_or_default()];
    if let Some(token) = kms.azure.get(&cached) {
        return Ok(token);
    }
    let request = match (application, secret, file) {
        (Some(_), Some(secret), _) => {
            let proof = vec![("client_secret", secret.to_owned())];
            grant(kms, resource, tenant, client, proof)?
        }
        (Some(_), None, Some(file)) => {
            let assertion = tokio::fs::read_to_string(file).await;
            let assertion = assertion.map_err(|_| KmsError::NoCredentials {
                kms_type: KMS_TYPE,
                remedy: "the file that AZURE_FEDERATED_TOKEN_FILE names cannot be read",
            })?;
            let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
            let proof = vec![
                ("client_assertion_type", kind.to_owned()),
                ("client_assertion", assertion.trim().to_owned()),
            ];
            grant(kms, resource, tenant, client, proof)?
        }
        (application, ..) => {
            let machine = kms.environment.get("AZURE_POD_IDENTITY_AUTHORITY_HOST");
            let mut url = http::url(
                KMS_TYPE,
                machine.unwrap_or(MACHINE),
                "the machine's identity service",
            )?;
            url.set_path("/metadata/identity/oauth2/token");
            url.query_pairs_mut()
                .append_pair("api-version", "2018-02-01")
                .append_pair("resource", resource)
                .extend_pairs(application.map(|(_, client)| ("client_id", client)));
            kms.http.get(url).header("Metadata", "true")
        }
    };
    let answer = http::send(KMS_TYPE, request).await?;
    let token: Token = answer.json(told)?;
    if !is_header_text(&token.access_token) {
        return Err(KmsError::Answer {
            kms_type: KMS_TYPE,
            what: "the token is none".to_owned(),
        });
    }
    let life = Duration::from_secs(token.expires_in);
    kms.azure.put(&cached, token.access_token.clone(), life);
    Ok(token.access_token)
}

/// Asks for a token by client credentials.
fn grant(
    kms: &Kms,
    resource: &str,
    tenant: &str,
    client: &str,
    proof: Vec<(&str, String)>,
) -> Result<reqwest::RequestBuilder, KmsError> {
    let authority = kms.environment.get("AZURE_AUTHORITY_HOST");
    let authority = authority.unwrap_or(AUTHORITY).trim_end_matches('/');
    let is_tenant = tenant
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
    let url = format!("{authority}/{tenant}/oauth2/v2.0/token");
    let url = http::url(KMS_TYPE, &url, "the authority's URL")?;
    if !is_tenant {
        return Err(KmsError::NoCredentials {
            kms_type: KMS_TYPE,
            remedy: "'tenant.id' is the id or the domain of a tenant",
        });
    }
    let mut form = vec![
        ("grant_type", "client_credentials".to_owned()),
        ("client_id", client.to_owned()),
        ("scope", format!("{resource}/.default")),
    ];
    form.extend(proof);
    Ok(kms.http.post(url).form(&form))
}

/// `{"error": {"code", "message"}}` of a vault, `{"error", "error_description"}` of an authority.
fn told(body: &Value) -> Option<String> {
    let error = body.get("error")?;
    let message = error
        .get("message")
        .or_else(|| body.get("error_description"))
        .unwrap_or(error);
    message.as_str().map(str::to_owned)
}
