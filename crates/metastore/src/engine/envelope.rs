//! A value as it stands in the file.
//!
//! ```text
//! offset  bytes  what
//!      0      1  layout of the envelope, 1
//!      1      8  create revision, little-endian
//!      9      8  modification revision, little-endian
//!     17      8  version, little-endian
//!     25      8  lease, little-endian; 0 for none
//!     33      4  CRC-32C of the key's length (4 bytes, little-endian), the key, bytes 0 to 32 and the value,
//!                little-endian
//!     37      n  the value
//! ```
//!
//! The file has checksums of its own; this one also covers a value that was put under another key, and does not
//! depend on when the file's are looked at.

use crate::store::{KeyValue, LeaseId, Revision};

const LAYOUT: u8 = 1;
const HEAD: usize = 33;
const VALUE: usize = HEAD + 4;

/// The bytes of an entry's value.
pub(super) fn encode(kv: &KeyValue) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(VALUE + kv.value.len());
    bytes.push(LAYOUT);
    bytes.extend(kv.create_revision.0.to_le_bytes());
    bytes.extend(kv.mod_revision.0.to_le_bytes());
    bytes.extend(kv.version.to_le_bytes());
    bytes.extend(kv.lease.map_or(0, |lease| lease.0).to_le_bytes());
    let sum = checksum(&kv.key, &bytes, &kv.value);
    bytes.extend(sum.to_le_bytes());
    bytes.extend(&kv.value);
    bytes
}

/// The entry of `key`, or what is wrong with its bytes.
pub(super) fn decode(key: &[u8], bytes: &[u8]) -> Result<KeyValue, String> {
    let shown = || String::from_utf8_lossy(key).into_owned();
    let (Some(head), Some(sum), Some(value)) = (
        bytes.get(..HEAD),
        bytes.get(HEAD..VALUE),
        bytes.get(VALUE..),
    ) else {
        return Err(format!("the value of '{}' is cut short", shown()));
    };
    if sum != checksum(key, head, value).to_le_bytes() {
        return Err(format!(
            "the checksum of the value of '{}' does not match",
            shown()
        ));
    }
    if head.first() != Some(&LAYOUT) {
        return Err(format!("the value of '{}' has an unknown layout", shown()));
    }
    let number = |at: usize| {
        let mut bytes = [0; 8];
        if let Some(field) = head.get(at..at + 8) {
            bytes.copy_from_slice(field);
        }
        u64::from_le_bytes(bytes)
    };
    let lease = number(25);
    Ok(KeyValue {
        key: key.to_vec(),
        value: value.to_vec(),
        create_revision: Revision(number(1)),
        mod_revision: Revision(number(9)),
        version: number(17),
        lease: (lease != 0).then_some(LeaseId(lease)),
    })
}

fn checksum(key: &[u8], head: &[u8], value: &[u8]) -> u32 {
    // Keys are at most 4 KiB long.
    let length = u32::try_from(key.len()).unwrap_or(u32::MAX).to_le_bytes();
    let sum = crc32c::crc32c(&length);
    let sum = crc32c::crc32c_append(sum, key);
    let sum = crc32c::crc32c_append(sum, head);
    crc32c::crc32c_append(sum, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> KeyValue {
        KeyValue {
            key: b"topics/orders".to_vec(),
            value: b"value".to_vec(),
            create_revision: Revision(3),
            mod_revision: Revision(9),
            version: 2,
            lease: Some(LeaseId(7)),
        }
    }

    #[test]
    fn an_entry_round_trips() {
        let kv = sample();
        assert_eq!(decode(&kv.key, &encode(&kv)), Ok(kv.clone()));
        let bare = KeyValue {
            value: Vec::new(),
            lease: None,
            ..kv
        };
        assert_eq!(decode(&bare.key, &encode(&bare)), Ok(bare));
    }

    #[test]
    fn each_flipped_bit_cut_and_swapped_key_is_found() {
        let kv = sample();
        let bytes = encode(&kv);
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&kv.key, &damaged).is_err(), "bit {bit}");
        }
        for end in 0..bytes.len() {
            assert!(decode(&kv.key, &bytes[..end]).is_err(), "cut at {end}");
        }
        assert!(
            decode(b"topics/order", &bytes)
                .unwrap_err()
                .contains("'topics/order'")
        );
    }
}
