//! `gcp-kms`: Google Cloud Key Management Service.
//!
//! ```text
//! POST /v1/<key id>:encrypt   {"plaintext": base64}   -> {"ciphertext": base64}
//! POST /v1/<key id>:decrypt   {"ciphertext": base64}  -> {"plaintext": base64}
//! ```
//!
//! Tokens are `object_store`'s: of a service account, by its key; of application default credentials; of the machine.

use std::sync::Arc;
use std::time::Duration;

use object_store::CredentialProvider;
use object_store::gcp::{GcpCredential, GoogleCloudStorageBuilder};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cache::Cache;
use crate::http;
use crate::{Kind, Kms, KmsError, KmsKey, Operation, credential_of};

const KMS_TYPE: &str = Kind::Gcp.name();
const EXPECTED: &str = "projects/<project>/locations/<location>/keyRings/<ring>/cryptoKeys/<key>";
const ENDPOINT: &str = "https://cloudkms.googleapis.com/";

/// A chain of credentials renews what it has by itself.
const ACCOUNT_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// Whoever gives tokens, by the key of the service account.
pub(crate) type Accounts = Cache<Account>;

#[derive(Debug, Clone)]
pub(crate) struct Account(Arc<dyn CredentialProvider<Credential = GcpCredential>>);

#[derive(Deserialize)]
struct Encrypted {
    ciphertext: String,
}

#[derive(Deserialize)]
struct Decrypted {
    plaintext: String,
}

pub(crate) async fn call(
    kms: &Kms,
    key: &KmsKey,
    key_id: &str,
    operation: Operation<'_>,
) -> Result<Vec<u8>, KmsError> {
    check(key_id)?;
    let token = token(kms, key).await?;
    let (verb, body) = match operation {
        Operation::Encrypt(bytes) => ("encrypt", json!({ "plaintext": http::base64(bytes) })),
        Operation::Decrypt(bytes) => ("decrypt", json!({ "ciphertext": http::base64(bytes) })),
    };
    // The variable by which Google's own command line is told of another endpoint.
    let endpoint = kms
        .environment
        .get("CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS");
    let mut url = http::url(KMS_TYPE, endpoint.unwrap_or(ENDPOINT), "an endpoint's URL")?;
    url.set_path(&format!("/v1/{key_id}:{verb}"));
    let request = kms.http.post(url).bearer_auth(token).json(&body);
    let answer = http::send(KMS_TYPE, request).await?;
    match operation {
        Operation::Encrypt(_) => {
            let found: Encrypted = answer.json(told)?;
            answer.base64(&found.ciphertext)
        }
        Operation::Decrypt(_) => {
            let found: Decrypted = answer.json(told)?;
            answer.base64(&found.plaintext)
        }
    }
}

fn check(key_id: &str) -> Result<(), KmsError> {
    let parts: Vec<&str> = key_id.split('/').collect();
    let is_name = |text: &str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        !text.is_empty() && !text.starts_with('.') && text.bytes().all(is_plain)
    };
    match parts.as_slice() {
        [
            "projects",
            _,
            "locations",
            _,
            "keyRings",
            _,
            "cryptoKeys",
            ..,
        ] if parts.len() >= 8 && parts.iter().all(|part| is_name(part)) => Ok(()),
        _ => Err(KmsError::KeyId {
            kms_type: KMS_TYPE,
            key_id: key_id.to_owned(),
            expected: EXPECTED,
        }),
    }
}

async fn token(kms: &Kms, key: &KmsKey) -> Result<String, KmsError> {
    if let Some(token) = kms.environment.get("CLOUDSDK_AUTH_ACCESS_TOKEN") {
        return Ok(token.to_owned());
    }
    if key
        .property("account.type")
        .is_some_and(|kind| kind != "service_account")
    {
        return Err(KmsError::NoCredentials {
            kms_type: KMS_TYPE,
            remedy: "'account.type' is service_account",
        });
    }
    let account = key
        .property("client.email")
        .zip(key.property("private.key.id"))
        .zip(key.property("private.key"));
    let cached = match account {
        Some(((email, id), secret)) => vec![email, id, secret],
        None => Vec::new(),
    };
    let failed = |source| KmsError::Credentials {
        kms_type: KMS_TYPE,
        source: Box::new(source),
    };
    let provider = match kms.gcp.get(&cached) {
        Some(provider) => provider,
        None => {
            let builder = match account {
                Some(((email, id), secret)) => {
                    let account = json!({
                        "type": "service_account",
                        "client_email": email,
                        "private_key_id": id,
                        "private_key": secret,
                    });
                    GoogleCloudStorageBuilder::new().with_service_account_key(account.to_string())
                }
                None => GoogleCloudStorageBuilder::from_env(),
            };
            // A store is what has a chain of credentials; nothing is stored.
            let store = builder.with_bucket_name("unused").build().map_err(failed)?;
            let provider = Account(Arc::clone(store.credentials()));
            kms.gcp.put(&cached, provider.clone(), ACCOUNT_LIFE);
            provider
        }
    };
    let credential = credential_of(KMS_TYPE, provider.0.as_ref()).await?;
    Ok(credential.bearer.clone())
}

/// `{"error": {"code", "message", "status"}}`
fn told(body: &Value) -> Option<String> {
    let message = body.get("error")?.get("message")?;
    message.as_str().map(str::to_owned)
}
