//! The keys that rules encrypt with: a DEK registry over its REST API, and the key management services behind it
//! (`CachedDekRegistryClient` and the `KmsDriver`s of Confluent's clients).
//!
//! Rules ask by calls that block ([`DekRegistry`]), so they run on a thread where that is allowed; the requests themselves
//! run on the runtime that the thread belongs to. What was fetched is kept beside the rules, not here.
//!
//! A registry does not answer with the secrets among the properties of a KEK: whoever encrypts has its own, in the
//! environment of [`Kms`].
//!
//! **Not here:** which keys a rule needs, and when a new one is made (`schema::rules`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use base::ErrorChain;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use kms::{Kms, KmsKey};
use reqwest::Method;
use schema::encryption::{Random, SystemRandom};
use schema::rules::execute::encrypt::{Dek, DekId, DekRegistry, Kek, KeysError};
use serde::Deserialize;
use serde_json::json;
use tokio::runtime::Handle;
use zeroize::Zeroizing;

use crate::client::{RegistryClient, Request};
use crate::error::ClientError;

/// Where keys are.
const KEKS: [&str; 3] = ["dek-registry", "v1", "keks"];
/// HTTP's words for what is there already, and for a path that takes no such request.
const CONFLICT: u16 = 409;
const METHOD_NOT_ALLOWED: u16 = 405;

/// A DEK registry and the services that have its KEKs.
#[derive(Debug)]
pub struct RegistryKeys {
    client: Arc<RegistryClient>,
    kms: Kms,
    random: SystemRandom,
}

/// `Kek` of the API.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KekAnswer {
    name: String,
    kms_type: String,
    kms_key_id: String,
    #[serde(default)]
    kms_props: Option<BTreeMap<String, String>>,
    #[serde(default)]
    shared: bool,
}

/// `Dek` of the API.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DekAnswer {
    version: i32,
    #[serde(default)]
    encrypted_key_material: Option<String>,
    #[serde(default)]
    key_material: Option<String>,
    #[serde(default)]
    ts: i64,
}

impl RegistryKeys {
    /// The keys of that registry.
    #[must_use]
    pub fn new(client: Arc<RegistryClient>, kms: Kms) -> Self {
        Self {
            client,
            kms,
            random: SystemRandom::default(),
        }
    }

    async fn make_dek(
        &self,
        id: DekId<'_>,
        sealed: Option<&[u8]>,
    ) -> Result<DekAnswer, ClientError> {
        let mut body = json!({
            "subject": id.subject,
            "version": id.version,
            "algorithm": id.algorithm.name(),
        });
        if let Some(sealed) = sealed {
            body["encryptedKeyMaterial"] = json!(BASE64.encode(sealed));
        }
        let path = [&KEKS[..], &[id.kek_name, "deks", id.subject]].concat();
        let request = Request::new(Method::POST, &path).body(body.clone());
        match self.client.json(&request).await {
            // Registries before 8 take the subject in the body only.
            Err(ClientError::Refused {
                status: METHOD_NOT_ALLOWED,
                ..
            }) => {
                let path = [&KEKS[..], &[id.kek_name, "deks"]].concat();
                let request = Request::new(Method::POST, &path).body(body);
                self.client.json(&request).await
            }
            answer => answer,
        }
    }
}

impl DekRegistry for RegistryKeys {
    fn kek(&self, name: &str, deleted: bool) -> Result<Option<Kek>, KeysError> {
        let path = [&KEKS[..], &[name]].concat();
        let request = Request::get(&path).flag("deleted", deleted);
        let answer = wait(self.client.json::<KekAnswer>(&request))?;
        Ok(unless(answer, ClientError::is_not_found)?.map(Kek::from))
    }

    fn create_kek(
        &self,
        name: &str,
        kms_type: &str,
        kms_key_id: &str,
    ) -> Result<Option<Kek>, KeysError> {
        let request = Request::new(Method::POST, &KEKS).body(json!({
            "name": name,
            "kmsType": kms_type,
            "kmsKeyId": kms_key_id,
            "shared": false,
        }));
        let answer = wait(self.client.json::<KekAnswer>(&request))?;
        Ok(unless(answer, is_conflict)?.map(Kek::from))
    }

    fn dek(&self, id: DekId<'_>, deleted: bool) -> Result<Option<Dek>, KeysError> {
        let version = id.version.to_string();
        let of_version = [id.kek_name, "deks", id.subject, "versions", &version];
        let path = [&KEKS[..], &of_version].concat();
        let request = Request::get(&path)
            .query("algorithm", id.algorithm.name())
            .flag("deleted", deleted);
        let answer = wait(self.client.json::<DekAnswer>(&request))?;
        unless(answer, ClientError::is_not_found)?
            .map(Dek::try_from)
            .transpose()
    }

    fn create_dek(&self, id: DekId<'_>, sealed: Option<&[u8]>) -> Result<Option<Dek>, KeysError> {
        let answer = wait(self.make_dek(id, sealed))?;
        unless(answer, is_conflict)?.map(Dek::try_from).transpose()
    }

    fn wrap(&self, kek: &Kek, plaintext: &[u8]) -> Result<Vec<u8>, KeysError> {
        let key = service_key(kek);
        wait(self.kms.wrap(&key, plaintext))?.map_err(|error| told(&error))
    }

    fn unwrap(&self, kek: &Kek, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeysError> {
        let key = service_key(kek);
        wait(self.kms.unwrap(&key, ciphertext))?.map_err(|error| told(&error))
    }

    fn now_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| {
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        })
    }

    fn random(&self) -> &dyn Random {
        &self.random
    }
}

impl From<KekAnswer> for Kek {
    fn from(answer: KekAnswer) -> Self {
        Self {
            name: answer.name,
            kms_type: answer.kms_type,
            kms_key_id: answer.kms_key_id,
            kms_props: answer.kms_props.unwrap_or_default(),
            shared: answer.shared,
        }
    }
}

impl TryFrom<DekAnswer> for Dek {
    type Error = KeysError;

    fn try_from(answer: DekAnswer) -> Result<Self, KeysError> {
        let broken =
            |what: &str| KeysError(format!("the registry's {what} of a dek is no base 64"));
        let encrypted = answer.encrypted_key_material.unwrap_or_default();
        let encrypted = BASE64.decode(encrypted);
        let material = answer.key_material.map(Zeroizing::new);
        let material = material.filter(|text| !text.is_empty());
        let material = material.map(|text| BASE64.decode(text.as_bytes()).map(Zeroizing::new));
        Ok(Self {
            version: answer.version,
            encrypted: encrypted.map_err(|_| broken("encryptedKeyMaterial"))?,
            material: material.transpose().map_err(|_| broken("keyMaterial"))?,
            timestamp_ms: answer.ts,
        })
    }
}

fn service_key(kek: &Kek) -> KmsKey {
    KmsKey {
        kms_type: kek.kms_type.clone(),
        key_id: kek.kms_key_id.clone(),
        properties: kek.kms_props.clone(),
    }
}

/// Waits for a request, on a thread that may be kept waiting.
fn wait<T>(request: impl Future<Output = T>) -> Result<T, KeysError> {
    match Handle::try_current() {
        Ok(runtime) => Ok(runtime.block_on(request)),
        Err(error) => Err(told(&error)),
    }
}

/// An answer; none where the registry refused in the way that is meant.
fn unless<T>(
    answer: Result<T, ClientError>,
    is_meant: impl Fn(&ClientError) -> bool,
) -> Result<Option<T>, KeysError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if is_meant(&error) => Ok(None),
        Err(error) => Err(told(&error)),
    }
}

fn is_conflict(error: &ClientError) -> bool {
    matches!(
        error,
        ClientError::Refused {
            status: CONFLICT,
            ..
        }
    )
}

fn told(error: &(dyn std::error::Error + 'static)) -> KeysError {
    KeysError(ErrorChain(error).to_string())
}

#[cfg(test)]
mod tests;
