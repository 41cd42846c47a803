//! `ENCRYPT` and `ENCRYPT_PAYLOAD`: fields, and whole payloads, under data encryption keys (`EncryptionExecutor` and
//! `FieldEncryptionExecutor` of Confluent's clients, 8.2).
//!
//! Which key is a matter of the rule's parameters, or, where it has none, of the contract's properties:
//!
//! | parameter | meaning |
//! |---|---|
//! | `encrypt.kek.name` | the KEK, made when it is not there |
//! | `encrypt.kms.type`, `encrypt.kms.key.id` | where its key is; a KEK that says otherwise is an error |
//! | `encrypt.dek.algorithm` | `AES128_GCM`, `AES256_GCM` (the default) or `AES256_SIV` |
//! | `encrypt.dek.expiry.days` | days after which the next version of the DEK is made; 0, the default: never |
//!
//! A text is encrypted as its UTF-8 and becomes base 64; bytes stay bytes. Where DEKs expire, what is encrypted begins
//! with the version of its DEK, as a reader has to know which:
//!
//! ```text
//! 0 (1) | version (4, big endian) | ciphertext
//! ```
//!
//! What is asked of a registry and of a key management service goes through [`DekRegistry`]: nothing here does I/O.
//! Keys are kept for as long as the rules are.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use zeroize::Zeroizing;

use super::{Passage, RuleError};
use crate::encryption::{Algorithm, DataKey, Random};
use crate::model::{Metadata, Rule};

/// The version that stands for the newest.
pub const LATEST_VERSION: i32 = -1;

const FIRST_VERSION: i32 = 1;
const MAGIC: u8 = 0;
const PREFIX_BYTES: usize = 5;
const MILLIS_IN_DAY: i64 = 24 * 60 * 60 * 1000;

/// How many versions of a DEK are kept; a reader of old records comes across one a day at most.
const KEPT_MAX: usize = 1_000;

/// A KEK, as a registry answers with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kek {
    /// Its name.
    pub name: String,
    /// Which service has the key.
    pub kms_type: String,
    /// Which key it is there.
    pub kms_key_id: String,
    /// How to ask for it.
    pub kms_props: BTreeMap<String, String>,
    /// Whether the registry itself may use the key.
    pub shared: bool,
}

/// What a DEK is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DekId<'a> {
    /// The KEK that encrypts it.
    pub kek_name: &'a str,
    /// Whose fields it encrypts.
    pub subject: &'a str,
    /// How it encrypts.
    pub algorithm: Algorithm,
    /// From 1 on, or [`LATEST_VERSION`].
    pub version: i32,
}

/// A DEK, as a registry answers with it.
#[derive(Debug, Clone)]
pub struct Dek {
    /// From 1 on.
    pub version: i32,
    /// As the KEK encrypted it.
    pub encrypted: Vec<u8>,
    /// The key material itself, where the KEK is shared.
    pub material: Option<Zeroizing<Vec<u8>>>,
    /// When it was made, in milliseconds since 1970.
    pub timestamp_ms: i64,
}

/// Why a registry, or a key management service, did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KeysError(pub String);

/// A DEK registry with the key management services behind it, as whoever runs rules reaches them. Its calls may block.
pub trait DekRegistry: Send + Sync + std::fmt::Debug {
    /// A KEK; none when there is none of that name. A soft deleted one counts where `deleted` says so.
    ///
    /// # Errors
    /// No answer, or one that says neither.
    fn kek(&self, name: &str, deleted: bool) -> Result<Option<Kek>, KeysError>;

    /// Makes a KEK that is not shared; none when somebody else was first.
    ///
    /// # Errors
    /// As [`DekRegistry::kek`].
    fn create_kek(
        &self,
        name: &str,
        kms_type: &str,
        kms_key_id: &str,
    ) -> Result<Option<Kek>, KeysError>;

    /// A DEK; none when there is none. Soft deleted ones count where `deleted` says so.
    ///
    /// # Errors
    /// As [`DekRegistry::kek`].
    fn dek(&self, id: DekId<'_>, deleted: bool) -> Result<Option<Dek>, KeysError>;

    /// Makes a DEK of encrypted material, or, without, has the registry make one; none when somebody else was first.
    ///
    /// # Errors
    /// As [`DekRegistry::kek`].
    fn create_dek(&self, id: DekId<'_>, sealed: Option<&[u8]>) -> Result<Option<Dek>, KeysError>;

    /// Has the service of a KEK encrypt.
    ///
    /// # Errors
    /// The service's.
    fn wrap(&self, kek: &Kek, plaintext: &[u8]) -> Result<Vec<u8>, KeysError>;

    /// Has the service of a KEK decrypt.
    ///
    /// # Errors
    /// The service's.
    fn unwrap(&self, kek: &Kek, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeysError>;

    /// Now, in milliseconds since 1970.
    fn now_ms(&self) -> i64;

    /// Where nonces and keys come from.
    fn random(&self) -> &dyn Random;
}

/// The keys of a subject.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) registry: Arc<dyn DekRegistry>,
    pub(super) subject: String,
}

/// A DEK that is ready for use.
#[derive(Debug)]
struct Ready {
    version: i32,
    timestamp_ms: i64,
    key: DataKey,
}

/// What a rule has fetched; kept beside the rule.
#[derive(Debug, Default)]
pub(super) struct Fetched {
    kek: Mutex<Option<Kek>>,
    deks: Mutex<HashMap<i32, Arc<Ready>>>,
}

/// A rule, ready to encrypt or decrypt.
#[derive(Debug)]
pub(super) struct Cipher<'a> {
    keys: &'a Keys,
    fetched: &'a Fetched,
    kek_name: &'a str,
    kms_type: Option<&'a str>,
    kms_key_id: Option<&'a str>,
    algorithm: Algorithm,
    expiry_days: i64,
    is_read: bool,
}

impl<'a> Cipher<'a> {
    pub(super) fn new(
        keys: &'a Keys,
        fetched: &'a Fetched,
        rule: &'a Rule,
        metadata: Option<&'a Metadata>,
        passage: Passage,
    ) -> Result<Self, RuleError> {
        let parameter = |name: &str| parameter(rule, metadata, name);
        let kek_name = match parameter("encrypt.kek.name") {
            None => return failed("no kek name found: set encrypt.kek.name"),
            Some("") => return failed("empty kek name: set encrypt.kek.name"),
            Some(name) => name,
        };
        let algorithm = match parameter("encrypt.dek.algorithm") {
            None => Algorithm::default(),
            Some(name) => match Algorithm::of(name) {
                Some(algorithm) => algorithm,
                None => return failed(format!("invalid dek algorithm {name:?}")),
            },
        };
        let expiry_days = match parameter("encrypt.dek.expiry.days").map(str::parse::<i32>) {
            None => 0,
            Some(Ok(days)) if days >= 0 => i64::from(days),
            Some(Ok(_)) => return failed("negative expiry days"),
            Some(Err(_)) => return failed("invalid expiry days"),
        };
        let is_read = match passage {
            Passage::Write => false,
            Passage::Read => true,
            Passage::Upgrade | Passage::Downgrade => {
                return failed(
                    "records are encrypted when they are written, and not in migrations",
                );
            }
        };
        let given = |name| parameter(name).filter(|value| !value.is_empty());
        Ok(Self {
            keys,
            fetched,
            kek_name,
            kms_type: given("encrypt.kms.type"),
            kms_key_id: given("encrypt.kms.key.id"),
            algorithm,
            expiry_days,
            is_read,
        })
    }

    /// Encrypts on writing, decrypts on reading.
    pub(super) fn apply(&self, bytes: &[u8]) -> Result<Vec<u8>, RuleError> {
        if self.is_read {
            self.decrypt(bytes)
        } else {
            self.encrypt(bytes)
        }
    }

    fn expires(&self) -> bool {
        self.expiry_days > 0
    }

    fn encrypt(&self, plaintext: &[u8]) -> Result<Vec<u8>, RuleError> {
        let version = if self.expires() {
            LATEST_VERSION
        } else {
            FIRST_VERSION
        };
        let dek = self.dek(version)?;
        let ciphertext = dek
            .key
            .encrypt(plaintext, self.keys.registry.random())
            .map_err(told)?;
        if !self.expires() {
            return Ok(ciphertext);
        }
        let version = dek.version.to_be_bytes();
        Ok([&[MAGIC], version.as_slice(), &ciphertext].concat())
    }

    fn decrypt(&self, bytes: &[u8]) -> Result<Vec<u8>, RuleError> {
        let (version, ciphertext) = if self.expires() {
            let Some(([_, version @ ..], ciphertext)) = bytes.split_first_chunk::<PREFIX_BYTES>()
            else {
                return failed("no version found in ciphertext");
            };
            (i32::from_be_bytes(*version), ciphertext)
        } else {
            (FIRST_VERSION, bytes)
        };
        self.dek(version)?.key.decrypt(ciphertext).map_err(told)
    }

    /// The DEK of a version, fetched or made unless it was before; on writing never one that has expired.
    fn dek(&self, version: i32) -> Result<Arc<Ready>, RuleError> {
        let kept = lock(&self.fetched.deks).get(&version).cloned();
        if let Some(dek) = kept.filter(|dek| !self.is_expired(dek.timestamp_ms)) {
            return Ok(dek);
        }
        let dek = Arc::new(self.fetch(version)?);
        let mut deks = lock(&self.fetched.deks);
        if deks.len() >= KEPT_MAX {
            deks.clear();
        }
        deks.insert(version, Arc::clone(&dek));
        Ok(dek)
    }

    fn is_expired(&self, timestamp_ms: i64) -> bool {
        let age_ms = self.keys.registry.now_ms().saturating_sub(timestamp_ms);
        !self.is_read && self.expires() && age_ms > self.expiry_days.saturating_mul(MILLIS_IN_DAY)
    }

    fn fetch(&self, version: i32) -> Result<Ready, RuleError> {
        let kek = self.kek()?;
        let id = DekId {
            kek_name: &kek.name,
            subject: &self.keys.subject,
            algorithm: self.algorithm,
            version,
        };
        let registry = &self.keys.registry;
        let found = registry.dek(id, self.is_read).map_err(told)?;
        let dek = match found {
            Some(dek) if !self.is_expired(dek.timestamp_ms) => dek,
            None if self.is_read => {
                return failed(format!("no dek found for {} during consume", kek.name));
            }
            old => self.create(&kek, id, old)?,
        };
        let material = match dek.material {
            Some(material) => material,
            None => registry.unwrap(&kek, &dek.encrypted).map_err(told)?,
        };
        Ok(Ready {
            version: dek.version,
            timestamp_ms: dek.timestamp_ms,
            key: DataKey::from_material(self.algorithm, &material).map_err(told)?,
        })
    }

    /// The next version. Whoever loses a race for it takes what the winner made; if nothing can be made, a DEK that
    /// has expired is better than none.
    fn create(&self, kek: &Kek, id: DekId<'_>, old: Option<Dek>) -> Result<Dek, RuleError> {
        let version = match &old {
            Some(old) => old.version.saturating_add(1),
            None => FIRST_VERSION,
        };
        let next = DekId { version, ..id };
        match (self.try_create(kek, next), old) {
            (Ok(Some(dek)), _) => Ok(dek),
            (Ok(None), old) => {
                let found = self.keys.registry.dek(id, false).map_err(told)?;
                let none = || RuleError::Encryption {
                    what: format!("no dek found for {} during produce", kek.name),
                };
                found.or(old).ok_or_else(none)
            }
            (Err(_), Some(old)) => Ok(old),
            (Err(error), None) => Err(error),
        }
    }

    fn try_create(&self, kek: &Kek, id: DekId<'_>) -> Result<Option<Dek>, RuleError> {
        let registry = &self.keys.registry;
        if kek.shared {
            return registry.create_dek(id, None).map_err(told);
        }
        let key = DataKey::generate(self.algorithm, registry.random()).map_err(told)?;
        let material = key.material();
        let encrypted = registry.wrap(kek, &material).map_err(told)?;
        let made = registry.create_dek(id, Some(&encrypted)).map_err(told)?;
        Ok(made.map(|made| Dek {
            material: Some(material),
            ..made
        }))
    }

    fn kek(&self) -> Result<Kek, RuleError> {
        if let Some(kek) = lock(&self.fetched.kek).clone() {
            return Ok(kek);
        }
        let kek = self.find_or_create_kek()?;
        for (what, found, wanted) in [
            ("kms type", &kek.kms_type, self.kms_type),
            ("kms key id", &kek.kms_key_id, self.kms_key_id),
        ] {
            if let Some(wanted) = wanted.filter(|wanted| wanted != found) {
                let name = self.kek_name;
                return failed(format!(
                    "found {name} with {what} {found} which differs from rule {what} {wanted}"
                ));
            }
        }
        *lock(&self.fetched.kek) = Some(kek.clone());
        Ok(kek)
    }

    fn find_or_create_kek(&self) -> Result<Kek, RuleError> {
        let (registry, name) = (&self.keys.registry, self.kek_name);
        if let Some(kek) = registry.kek(name, self.is_read).map_err(told)? {
            return Ok(kek);
        }
        if self.is_read {
            return failed(format!("no kek found for {name} during consume"));
        }
        let Some(kms_type) = self.kms_type else {
            return failed(format!("no kms type found for {name} during produce"));
        };
        let Some(kms_key_id) = self.kms_key_id else {
            return failed(format!("no kms key id found for {name} during produce"));
        };
        let made = registry.create_kek(name, kms_type, kms_key_id);
        if let Some(kek) = made.map_err(told)? {
            return Ok(kek);
        }
        match registry.kek(name, false).map_err(told)? {
            Some(kek) => Ok(kek),
            None => failed(format!("no kek found for {name} during produce")),
        }
    }
}

/// A parameter of the rule, else a property of the contract (`RuleContext.getParameter`).
pub(super) fn parameter<'a>(
    rule: &'a Rule,
    metadata: Option<&'a Metadata>,
    name: &str,
) -> Option<&'a str> {
    let of_rule = rule.params.as_ref().and_then(|params| params.get(name));
    let properties = metadata.and_then(|metadata| metadata.properties.as_ref());
    let of_contract = properties.and_then(|properties| properties.get(name));
    of_rule.or(of_contract).map(String::as_str)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn failed<T>(what: impl Into<String>) -> Result<T, RuleError> {
    Err(RuleError::Encryption { what: what.into() })
}

fn told(error: impl std::error::Error) -> RuleError {
    RuleError::Encryption {
        what: error.to_string(),
    }
}
