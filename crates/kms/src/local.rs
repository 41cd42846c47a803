//! `local-kms`: a KEK made of a secret that everybody who needs it knows. For tests, and where there is no service.
//!
//! ```text
//! KEK = HKDF-SHA256(salt: none, secret, info: "")[..16]       wrapped = AES-128-GCM, as in schema::encryption
//! ```
//! (`LocalKmsClient` of Confluent's clients.)

use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use schema::encryption::{Algorithm, DataKey, SystemRandom};
use zeroize::Zeroizing;

use crate::{Kind, Kms, KmsError, KmsKey, Operation};

const KEY_BYTES: usize = 16;

struct Length;

impl KeyType for Length {
    fn len(&self) -> usize {
        KEY_BYTES
    }
}

pub(crate) fn call(kms: &Kms, key: &KmsKey, operation: Operation<'_>) -> Result<Vec<u8>, KmsError> {
    let secret = kms.setting(key, "secret", "LOCAL_SECRET");
    let secret = secret.ok_or(KmsError::NoCredentials {
        kms_type: Kind::Local.name(),
        remedy: "set the KEK's property 'secret' or the variable LOCAL_SECRET",
    })?;
    let key = derive(secret);
    Ok(match operation {
        Operation::Encrypt(plaintext) => key.encrypt(plaintext, &SystemRandom::default())?,
        Operation::Decrypt(ciphertext) => key.decrypt(ciphertext)?,
    })
}

fn derive(secret: &str) -> DataKey {
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    let extracted = Salt::new(HKDF_SHA256, &[]).extract(secret.as_bytes());
    extracted
        .expand(&[&[]], Length)
        .and_then(|derived| derived.fill(bytes.as_mut_slice()))
        .expect("HKDF gives as many bytes as a key has");
    DataKey::of_bytes(Algorithm::Aes128Gcm, bytes.as_slice()).expect("they are as many")
}
