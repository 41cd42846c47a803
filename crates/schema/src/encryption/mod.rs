//! Data encryption keys: what they are made of, and what they do to bytes.
//!
//! Keys and ciphertexts are those of Confluent's clients, which use Google's Tink without its key-set prefix
//! (`Cryptor`, `DekFormat`; output prefix `RAW`):
//!
//! ```text
//! AES128_GCM, AES256_GCM   nonce (12) | ciphertext (as long as the plaintext) | tag (16)
//! AES256_SIV               synthetic IV (16) | ciphertext          RFC 5297, one empty associated data
//! ```
//!
//! A key in transit, *key material*, is a Protobuf message of Tink's: `AesGcmKey { version = 1, key_value = 3 }` or
//! `AesSivKey { version = 1, key_value = 2 }` ([`DataKey::material`]). The associated data is always empty.
//!
//! **Invariants:** a ciphertext that was changed is refused, never decrypted to something else. No key is printed.
//! Randomness comes from outside ([`Random`]); [`SystemRandom`] is what everybody but a test gives.

mod material;

use aes_siv::KeyInit;
use aes_siv::siv::Aes256Siv;
use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::SecureRandom;
use zeroize::Zeroizing;

pub use material::MaterialError;

/// Bytes of a message that is encrypted; a Kafka record of the default size is a sixteenth of it.
const PLAINTEXT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The associated data of SIV: there is one, and it is empty. None at all would be another ciphertext.
const NO_DATA: [&[u8]; 1] = [&[]];

/// How a data encryption key encrypts (`DekFormat`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// AES-GCM with 128 bits.
    Aes128Gcm,
    /// AES-GCM with 256 bits.
    #[default]
    Aes256Gcm,
    /// AES-SIV with 256 bits: deterministic, so that equal plaintexts have equal ciphertexts.
    Aes256Siv,
}

impl Algorithm {
    /// Every algorithm, in the order of the counterpart's enumeration.
    pub const ALL: [Self; 3] = [Self::Aes128Gcm, Self::Aes256Gcm, Self::Aes256Siv];

    /// `AES128_GCM`, `AES256_GCM`, `AES256_SIV`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Aes128Gcm => "AES128_GCM",
            Self::Aes256Gcm => "AES256_GCM",
            Self::Aes256Siv => "AES256_SIV",
        }
    }

    /// The algorithm of that name. Case matters, as in the counterpart.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
    }

    /// Bytes of the key itself.
    #[must_use]
    pub fn key_bytes(self) -> usize {
        match self {
            Self::Aes128Gcm => 16,
            Self::Aes256Gcm => 32,
            Self::Aes256Siv => 64,
        }
    }
}

/// Where random bytes come from.
pub trait Random: Send + Sync {
    /// Fills `bytes` with bytes that nobody can foresee.
    ///
    /// # Errors
    /// The source has none.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), CipherError>;
}

/// The operating system's random bytes.
#[derive(Debug)]
pub struct SystemRandom(ring::rand::SystemRandom);

impl Default for SystemRandom {
    fn default() -> Self {
        Self(ring::rand::SystemRandom::new())
    }
}

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), CipherError> {
        self.0.fill(bytes).map_err(|_| CipherError::NoRandomness)
    }
}

/// Why bytes were not encrypted or decrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CipherError {
    /// The operating system gives no random bytes.
    #[error("there are no random bytes")]
    NoRandomness,
    /// More than is encrypted at once.
    #[error("{bytes} bytes are more than the {PLAINTEXT_BYTES_MAX} that one message may have")]
    TooLong {
        /// As many as there are.
        bytes: usize,
    },
    /// The bytes were not encrypted with this key, or were changed since.
    #[error("the ciphertext is not one of this key, or was changed")]
    NotAuthentic,
}

/// A data encryption key that is ready for use.
pub struct DataKey {
    algorithm: Algorithm,
    key: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DataKey")
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

impl DataKey {
    /// A new key.
    ///
    /// # Errors
    /// [`CipherError::NoRandomness`].
    pub fn generate(algorithm: Algorithm, random: &dyn Random) -> Result<Self, CipherError> {
        let mut key = Zeroizing::new(vec![0; algorithm.key_bytes()]);
        random.fill(&mut key)?;
        Ok(Self { algorithm, key })
    }

    /// A key of these very bytes; none if they are not as many as the algorithm takes.
    #[must_use]
    pub fn of_bytes(algorithm: Algorithm, key: &[u8]) -> Option<Self> {
        (key.len() == algorithm.key_bytes()).then(|| Self {
            algorithm,
            key: Zeroizing::new(key.to_vec()),
        })
    }

    /// A key from its material.
    ///
    /// # Errors
    /// [`MaterialError`]: it is not the message of this algorithm.
    pub fn from_material(algorithm: Algorithm, material: &[u8]) -> Result<Self, MaterialError> {
        let key = material::decode(algorithm, material)?;
        Ok(Self { algorithm, key })
    }

    /// The key as a message of Tink's. It is the secret itself.
    #[must_use]
    pub fn material(&self) -> Zeroizing<Vec<u8>> {
        material::encode(self.algorithm, &self.key)
    }

    /// How it encrypts.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Encrypts. `random` gives the nonce, where there is one.
    ///
    /// # Errors
    /// [`CipherError::NoRandomness`], [`CipherError::TooLong`].
    pub fn encrypt(&self, plaintext: &[u8], random: &dyn Random) -> Result<Vec<u8>, CipherError> {
        let too_long = CipherError::TooLong {
            bytes: plaintext.len(),
        };
        if plaintext.len() > PLAINTEXT_BYTES_MAX {
            return Err(too_long);
        }
        if self.algorithm == Algorithm::Aes256Siv {
            return self.siv().encrypt(NO_DATA, plaintext).map_err(|_| too_long);
        }
        let mut nonce = [0; NONCE_LEN];
        random.fill(&mut nonce)?;
        let mut sealed = plaintext.to_vec();
        self.gcm()
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::empty(),
                &mut sealed,
            )
            .map_err(|_| too_long)?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Decrypts.
    ///
    /// # Errors
    /// [`CipherError::NotAuthentic`].
    pub fn decrypt(&self, ciphertext: &[u8]) -> Result<Vec<u8>, CipherError> {
        let refused = CipherError::NotAuthentic;
        if self.algorithm == Algorithm::Aes256Siv {
            return self.siv().decrypt(NO_DATA, ciphertext).map_err(|_| refused);
        }
        let (nonce, sealed) = ciphertext.split_at_checked(NONCE_LEN).ok_or(refused)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| refused)?;
        let mut opened = sealed.to_vec();
        let length = self
            .gcm()
            .open_in_place(nonce, Aad::empty(), &mut opened)
            .map_err(|_| refused)?
            .len();
        opened.truncate(length);
        Ok(opened)
    }

    fn gcm(&self) -> LessSafeKey {
        let algorithm = match self.algorithm {
            Algorithm::Aes128Gcm => &AES_128_GCM,
            Algorithm::Aes256Gcm | Algorithm::Aes256Siv => &AES_256_GCM,
        };
        let key = UnboundKey::new(algorithm, &self.key);
        LessSafeKey::new(key.expect("a key has as many bytes as its algorithm takes"))
    }

    fn siv(&self) -> Aes256Siv {
        Aes256Siv::new_from_slice(&self.key)
            .expect("a key has as many bytes as its algorithm takes")
    }
}

#[cfg(test)]
mod tests;
