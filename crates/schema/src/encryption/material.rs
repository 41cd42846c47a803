//! Key material: Tink's Protobuf messages of keys, read and written by hand because they are three fields in all.
//!
//! ```text
//! AesGcmKey   1: version (varint, 0, not written)   3: key_value (bytes)
//! AesSivKey   1: version (varint, 0, not written)   2: key_value (bytes)
//! ```
//!
//! Other fields are passed over, as a Protobuf reader does; a version that is not 0 is refused, as Tink does.

use zeroize::Zeroizing;

use super::Algorithm;

/// Key material that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MaterialError {
    /// The bytes end too early, or are not Protobuf.
    #[error("the key material is not a message of Tink's")]
    NoMessage,
    /// A newer form of the message.
    #[error("the key material has version {version}; there is only version 0")]
    Version {
        /// As found.
        version: u64,
    },
    /// The key is of another algorithm.
    #[error("the key has {bytes} bytes, and {} takes {}", .algorithm.name(), .algorithm.key_bytes())]
    Length {
        /// As many as there are.
        bytes: usize,
        /// What the key should be of.
        algorithm: Algorithm,
    },
}

const VERSION_FIELD: u64 = 1;
const WIRE_VARINT: u64 = 0;
const WIRE_FIXED64: u64 = 1;
const WIRE_BYTES: u64 = 2;
const WIRE_FIXED32: u64 = 5;

fn key_field(algorithm: Algorithm) -> u64 {
    match algorithm {
        Algorithm::Aes128Gcm | Algorithm::Aes256Gcm => 3,
        Algorithm::Aes256Siv => 2,
    }
}

pub(super) fn encode(algorithm: Algorithm, key: &[u8]) -> Zeroizing<Vec<u8>> {
    // Neither tag nor length needs more than a byte: fields are below 16 and keys below 128 bytes.
    let tag = u8::try_from(key_field(algorithm) << 3 | WIRE_BYTES).unwrap_or_default();
    let length = u8::try_from(key.len()).unwrap_or_default();
    Zeroizing::new([&[tag, length], key].concat())
}

pub(super) fn decode(
    algorithm: Algorithm,
    material: &[u8],
) -> Result<Zeroizing<Vec<u8>>, MaterialError> {
    let mut rest = material;
    let mut key: &[u8] = &[];
    while !rest.is_empty() {
        let tag = varint(&mut rest)?;
        let field = tag >> 3;
        match tag & 7 {
            WIRE_VARINT => {
                let version = varint(&mut rest)?;
                if field == VERSION_FIELD && version != 0 {
                    return Err(MaterialError::Version { version });
                }
            }
            WIRE_FIXED64 => {
                take(&mut rest, 8)?;
            }
            WIRE_FIXED32 => {
                take(&mut rest, 4)?;
            }
            WIRE_BYTES => {
                let length = usize::try_from(varint(&mut rest)?);
                let value = take(&mut rest, length.map_err(|_| MaterialError::NoMessage)?)?;
                if field == key_field(algorithm) {
                    key = value;
                }
            }
            _ => return Err(MaterialError::NoMessage),
        }
    }
    if key.len() != algorithm.key_bytes() {
        return Err(MaterialError::Length {
            bytes: key.len(),
            algorithm,
        });
    }
    Ok(Zeroizing::new(key.to_vec()))
}

fn take<'m>(rest: &mut &'m [u8], length: usize) -> Result<&'m [u8], MaterialError> {
    let (taken, left) = rest
        .split_at_checked(length)
        .ok_or(MaterialError::NoMessage)?;
    *rest = left;
    Ok(taken)
}

fn varint(rest: &mut &[u8]) -> Result<u64, MaterialError> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let [byte] = take(rest, 1)? else {
            return Err(MaterialError::NoMessage);
        };
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(MaterialError::NoMessage)
}
