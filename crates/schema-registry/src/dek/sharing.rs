//! What the registry does with a key that a KEK shares with it: it makes DEKs, and decrypts them.

use base::ErrorChain;
use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use kms::{Fault, KmsError, KmsKey};
use schema::encryption::{Algorithm, DataKey, SystemRandom};
use zeroize::Zeroizing;

use super::DekRegistry;
use super::error::KeyError;
use super::records::{DekId, KekValue};

/// The subject that a test of a KEK makes a key for.
const TEST_SUBJECT: &str = "__TEST";

/// What a DEK is to be made of, under which KEK: as long as this holds, what was made of it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Material {
    kek: KekValue,
    source: Source,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    /// Encrypted material that is kept as it is.
    Given(String),
    /// Encrypted material that is encrypted anew.
    Old(String),
    /// A new key.
    New,
}

impl Material {
    pub(super) fn given(kek: KekValue, encrypted: &str) -> Self {
        Self {
            kek,
            source: Source::Given(encrypted.to_owned()),
        }
    }

    pub(super) fn made(kek: KekValue, old: Option<&str>) -> Self {
        let source = old.map_or(Source::New, |old| Source::Old(old.to_owned()));
        Self { kek, source }
    }
}

/// A DEK that a service encrypted.
#[derive(Debug)]
pub(super) struct Wrapped {
    /// What it was made of.
    pub(super) material: Material,
    /// In base 64.
    pub(super) encrypted: String,
    /// The key itself, in base 64.
    pub(super) key_material: Zeroizing<String>,
}

impl DekRegistry {
    /// Makes what `material` says.
    pub(super) async fn wrap(&self, id: &DekId, material: Material) -> Result<Wrapped, KeyError> {
        let (encrypted, key_material) = match &material.source {
            Source::Given(given) => {
                let key_material = self.open(id, &material.kek, given).await?;
                (given.clone(), key_material)
            }
            Source::Old(old) => {
                let raw = self.raw(id, &material.kek, old).await?;
                self.sealed(id, &material.kek, &raw).await?
            }
            Source::New => {
                let raw = new_key(&id.subject, id.algorithm)?;
                self.sealed(id, &material.kek, &raw).await?
            }
        };
        Ok(Wrapped {
            material,
            encrypted,
            key_material,
        })
    }

    /// The key itself, in base 64.
    pub(super) async fn open(
        &self,
        id: &DekId,
        kek: &KekValue,
        encrypted: &str,
    ) -> Result<Zeroizing<String>, KeyError> {
        let raw = self.raw(id, kek, encrypted).await?;
        Ok(Zeroizing::new(BASE64.encode(raw.as_slice())))
    }

    async fn raw(
        &self,
        id: &DekId,
        kek: &KekValue,
        encrypted: &str,
    ) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let field = "encryptedKeyMaterial";
        let encrypted = BASE64.decode(encrypted);
        let encrypted = encrypted.map_err(|_| KeyError::Invalid { field })?;
        let raw = self.kms.unwrap(&key_of(kek), &encrypted).await;
        raw.map_err(|error| {
            let message = format!("Could not generate raw dek for {}", id.subject);
            failed(message, field, &error)
        })
    }

    async fn sealed(
        &self,
        id: &DekId,
        kek: &KekValue,
        raw: &[u8],
    ) -> Result<(String, Zeroizing<String>), KeyError> {
        let encrypted = self.kms.wrap(&key_of(kek), raw).await;
        let encrypted = encrypted.map_err(|error| not_made(&id.subject, &error))?;
        let key_material = Zeroizing::new(BASE64.encode(raw));
        Ok((BASE64.encode(encrypted), key_material))
    }

    /// Has the service encrypt a key for nothing.
    pub(super) async fn test(&self, name: &str, kek: &KekValue) -> Result<(), KeyError> {
        if !kek.shared {
            return Err(KeyError::Invalid { field: "shared" });
        }
        let id = DekId {
            kek_name: name.to_owned(),
            subject: TEST_SUBJECT.to_owned(),
            algorithm: Algorithm::default(),
            version: 1,
        };
        let raw = new_key(&id.subject, id.algorithm)?;
        self.sealed(&id, kek, &raw).await.map(drop)
    }
}

fn new_key(subject: &str, algorithm: Algorithm) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let key = DataKey::generate(algorithm, &SystemRandom::default());
    key.map(|key| key.material())
        .map_err(|error| KeyError::Generation {
            message: format!("Could not generate encrypted dek for {subject}: {error}"),
        })
}

fn key_of(kek: &KekValue) -> KmsKey {
    KmsKey {
        kms_type: kek.kms_type.clone(),
        key_id: kek.kms_key_id.clone(),
        properties: kek.kms_props.clone(),
    }
}

fn not_made(subject: &str, error: &KmsError) -> KeyError {
    let message = format!("Could not generate encrypted dek for {subject}");
    failed(message, "kmsKeyId", error)
}

/// `input` is the field that names what the service was given.
fn failed(what: String, input: &'static str, error: &KmsError) -> KeyError {
    let message = format!("{what}: {}", ErrorChain(error));
    if error.is_access_denied() {
        return KeyError::GenerationForbidden { message };
    }
    let field = match error.fault() {
        None => return KeyError::Generation { message },
        Some(Fault::Type) => "kmsType",
        Some(Fault::KeyId) => "kmsKeyId",
        Some(Fault::Credentials) => "kmsProps",
        Some(Fault::Input) => input,
    };
    KeyError::Unusable { field, message }
}
