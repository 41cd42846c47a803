//! `hcvault`: the transit engine of HashiCorp Vault and of OpenBao.
//!
//! ```text
//! POST /v1/<mount>/encrypt/<name>   {"plaintext": base64}     -> {"data": {"ciphertext": "vault:v1:..."}}
//! POST /v1/<mount>/decrypt/<name>   {"ciphertext": "vault:v1:..."} -> {"data": {"plaintext": base64}}
//! POST /v1/auth/approle/login       {"role_id", "secret_id"}  -> {"auth": {"client_token", "lease_duration"}}
//! ```
//!
//! The wrapped key is the text `vault:v1:...` itself (`HcVaultAead`).

use std::time::Duration;

use reqwest::{RequestBuilder, Url};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cache::Cache;
use crate::http::{self, is_header_text};
use crate::{Kind, Kms, KmsError, KmsKey, Operation};

const KMS_TYPE: &str = Kind::Vault.name();
const EXPECTED: &str = "http(s)://host:port/<mount>/keys/<name>";

/// Tokens by address and role.
pub(crate) type Logins = Cache<String>;

#[derive(Deserialize)]
struct Answered<T> {
    data: T,
}

#[derive(Deserialize)]
struct Ciphertext {
    ciphertext: String,
}

#[derive(Deserialize)]
struct Plaintext {
    plaintext: String,
}

#[derive(Deserialize)]
struct Login {
    auth: Auth,
}

#[derive(Deserialize)]
struct Auth {
    client_token: String,
    #[serde(default)]
    lease_duration: u64,
}

pub(crate) async fn call(
    kms: &Kms,
    key: &KmsKey,
    key_id: &str,
    operation: Operation<'_>,
) -> Result<Vec<u8>, KmsError> {
    for property in ["ssl.keystore.location", "ssl.truststore.location"] {
        if key.property(property).is_some() {
            return Err(KmsError::NoCredentials {
                kms_type: KMS_TYPE,
                remedy: "Java key stores are not read: have Vault's certificate signed by an authority that this machine trusts",
            });
        }
    }
    let url = http::url(KMS_TYPE, key_id, EXPECTED)?;
    let place = url.path().trim_start_matches('/').rsplit_once("/keys/");
    let (mount, name) = place
        .filter(|(mount, name)| !mount.is_empty() && !name.is_empty() && !name.contains('/'))
        .ok_or_else(|| KmsError::KeyId {
            kms_type: KMS_TYPE,
            key_id: key_id.to_owned(),
            expected: EXPECTED,
        })?;
    let token = token(kms, key, &url).await?;
    let (verb, body) = match operation {
        Operation::Encrypt(bytes) => ("encrypt", json!({ "plaintext": http::base64(bytes) })),
        Operation::Decrypt(bytes) => {
            let text = String::from_utf8_lossy(bytes);
            ("decrypt", json!({ "ciphertext": text }))
        }
    };
    let request = request(kms, key, &url, &format!("/v1/{mount}/{verb}/{name}"))
        .header("X-Vault-Token", token)
        .json(&body);
    let answer = http::send(KMS_TYPE, request).await?;
    match operation {
        Operation::Encrypt(_) => {
            let found: Answered<Ciphertext> = answer.json(told)?;
            Ok(found.data.ciphertext.into_bytes())
        }
        Operation::Decrypt(_) => {
            let found: Answered<Plaintext> = answer.json(told)?;
            answer.base64(&found.data.plaintext)
        }
    }
}

fn request(kms: &Kms, key: &KmsKey, url: &Url, path: &str) -> RequestBuilder {
    let mut url = url.clone();
    url.set_path(path);
    url.set_query(None);
    url.set_fragment(None);
    let request = kms.http.post(url).header("X-Vault-Request", "true");
    let namespace = kms.setting(key, "namespace", "VAULT_NAMESPACE");
    match namespace.filter(|namespace| is_header_text(namespace)) {
        Some(namespace) => request.header("X-Vault-Namespace", namespace),
        None => request,
    }
}

/// The token to ask with: that of the key, one for its role, or the environment's where it is meant for this address.
async fn token(kms: &Kms, key: &KmsKey, url: &Url) -> Result<String, KmsError> {
    if let Some(token) = key.property("token.id") {
        return usable(token);
    }
    let role = key.property("approle.role.id");
    if let Some((role, secret)) = role.zip(key.property("approle.secret.id")) {
        return log_in(kms, key, url, role, secret).await;
    }
    let environment = &kms.environment;
    let is_at_home = environment
        .get("VAULT_ADDR")
        .and_then(|home| Url::parse(home).ok())
        .is_some_and(|home| home.origin() == url.origin());
    if is_at_home {
        if let Some(token) = environment.get("VAULT_TOKEN") {
            return usable(token);
        }
        let role = environment.get("VAULT_APPROLE_ROLE_ID");
        if let Some((role, secret)) = role.zip(environment.get("VAULT_APPROLE_SECRET_ID")) {
            return log_in(kms, key, url, role, secret).await;
        }
    }
    Err(KmsError::NoCredentials {
        kms_type: KMS_TYPE,
        remedy: "set the KEK's property 'token.id', or 'approle.role.id' and 'approle.secret.id'; or VAULT_TOKEN together with the VAULT_ADDR that it is for",
    })
}

fn usable(token: &str) -> Result<String, KmsError> {
    if is_header_text(token) {
        return Ok(token.to_owned());
    }
    Err(KmsError::NoCredentials {
        kms_type: KMS_TYPE,
        remedy: "the token has characters that no token has",
    })
}

async fn log_in(
    kms: &Kms,
    key: &KmsKey,
    url: &Url,
    role: &str,
    secret: &str,
) -> Result<String, KmsError> {
    let origin = url.origin().ascii_serialization();
    let namespace = kms.setting(key, "namespace", "VAULT_NAMESPACE");
    let cached = [origin.as_str(), namespace.unwrap_or_default(), role, secret];
    if let Some(token) = kms.vault.get(&cached) {
        return Ok(token);
    }
    let body = json!({ "role_id": role, "secret_id": secret });
    let request = request(kms, key, url, "/v1/auth/approle/login").json(&body);
    let answer = http::send(KMS_TYPE, request).await?;
    let login: Login = answer.json(told)?;
    let token = usable(&login.auth.client_token)?;
    let life = Duration::from_secs(login.auth.lease_duration);
    kms.vault.put(&cached, token.clone(), life);
    Ok(token)
}

/// `{"errors": ["..."]}`
fn told(body: &Value) -> Option<String> {
    let errors = body.get("errors")?.as_array()?;
    let errors: Vec<&str> = errors.iter().filter_map(Value::as_str).collect();
    (!errors.is_empty()).then(|| errors.join("; "))
}
