//! Round trips, RFC 5297's and NIST's vectors, and material that is none.

use proptest::prelude::*;

use super::*;

/// Counts up: a test's ciphertexts are always the same.
#[derive(Debug, Default)]
struct Counting(std::sync::atomic::AtomicU8);

impl Random for Counting {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), CipherError> {
        for byte in bytes {
            *byte = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
        Ok(())
    }
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter_map(|digit| digit.to_digit(16))
        .map(|digit| u8::try_from(digit).unwrap())
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

#[test]
fn what_is_encrypted_is_decrypted_and_nothing_else() {
    for algorithm in Algorithm::ALL {
        let key = DataKey::generate(algorithm, &Counting::default()).unwrap();
        let other = DataKey::generate(algorithm, &SystemRandom::default()).unwrap();
        for plaintext in [&b""[..], b"a", b"0123456789abcdef", &[7; 1000]] {
            let sealed = key.encrypt(plaintext, &SystemRandom::default()).unwrap();
            let extra = if algorithm == Algorithm::Aes256Siv {
                16
            } else {
                28
            };
            assert_eq!(sealed.len(), plaintext.len() + extra);
            assert_eq!(key.decrypt(&sealed).as_deref(), Ok(plaintext));
            assert_eq!(other.decrypt(&sealed), Err(CipherError::NotAuthentic));
            for at in 0..sealed.len() {
                let mut changed = sealed.clone();
                changed[at] ^= 1;
                assert_eq!(
                    key.decrypt(&changed),
                    Err(CipherError::NotAuthentic),
                    "{at}"
                );
            }
            for short in 0..extra {
                assert!(key.decrypt(&sealed[..short]).is_err());
            }
        }
    }
}

#[test]
fn only_the_deterministic_algorithm_repeats_itself() {
    for algorithm in Algorithm::ALL {
        let key = DataKey::generate(algorithm, &SystemRandom::default()).unwrap();
        let seal = || key.encrypt(b"same", &SystemRandom::default()).unwrap();
        assert_eq!(seal() == seal(), algorithm == Algorithm::Aes256Siv);
    }
}

/// The Galois/Counter Mode of Operation, test cases 2 and 14 (keys of zeros, a block of zeros).
#[test]
fn gcm_is_that_of_nist() {
    struct Zeros;
    impl Random for Zeros {
        fn fill(&self, bytes: &mut [u8]) -> Result<(), CipherError> {
            bytes.fill(0);
            Ok(())
        }
    }
    for (algorithm, expected) in [
        (
            Algorithm::Aes128Gcm,
            "0388dace60b6a392f328c2b971b2fe78 ab6e47d42cec13bdf53a67b21257bddf",
        ),
        (
            Algorithm::Aes256Gcm,
            "cea7403d4d606b6e074ec5d3baf39d18 d0d1c8a799996bf0265b98b5d48ab919",
        ),
    ] {
        let key = DataKey::of_bytes(algorithm, &vec![0; algorithm.key_bytes()]).unwrap();
        let sealed = key.encrypt(&[0; 16], &Zeros).unwrap();
        assert_eq!(sealed, [vec![0; 12], hex(expected)].concat());
    }
}

/// RFC 5297 with one empty associated data, by another implementation.
#[test]
fn siv_has_one_empty_associated_data() {
    let key = DataKey::of_bytes(Algorithm::Aes256Siv, &[9; 64]).unwrap();
    let sealed = key.encrypt(b"hello", &Counting::default()).unwrap();
    assert_eq!(sealed, hex("2f50ded34aaa93dbc92964727cc1d513 b189ae23d7"));
}

#[test]
fn a_key_travels_as_tinks_message() {
    let key = DataKey::of_bytes(Algorithm::Aes128Gcm, &[9; 16]).unwrap();
    assert_eq!(*key.material(), [vec![0x1a, 16], vec![9; 16]].concat());
    let key = DataKey::of_bytes(Algorithm::Aes256Siv, &[9; 64]).unwrap();
    assert_eq!(*key.material(), [vec![0x12, 64], vec![9; 64]].concat());
    for algorithm in Algorithm::ALL {
        let key = DataKey::generate(algorithm, &SystemRandom::default()).unwrap();
        let again = DataKey::from_material(algorithm, &key.material()).unwrap();
        let sealed = key.encrypt(b"x", &SystemRandom::default()).unwrap();
        assert_eq!(again.decrypt(&sealed).unwrap(), b"x");
    }
}

#[test]
fn material_that_is_none_is_told_from_a_key() {
    let decode = |bytes: &[u8]| DataKey::from_material(Algorithm::Aes128Gcm, bytes).unwrap_err();
    let with_version = [vec![8, 1, 0x1a, 16], vec![9; 16]].concat();
    assert_eq!(decode(&with_version), MaterialError::Version { version: 1 });
    assert_eq!(decode(&[0x1a, 16, 1]), MaterialError::NoMessage);
    assert_eq!(decode(&[0xff; 12]), MaterialError::NoMessage);
    let short = MaterialError::Length {
        bytes: 0,
        algorithm: Algorithm::Aes128Gcm,
    };
    assert_eq!(decode(&[]), short);
    let padded = [vec![8, 0, 0x25, 1, 2, 3, 4, 0x1a, 16], vec![9; 16]].concat();
    assert!(DataKey::from_material(Algorithm::Aes128Gcm, &padded).is_ok());
    assert_eq!(
        format!(
            "{:?}",
            DataKey::of_bytes(Algorithm::Aes128Gcm, &[9; 16]).unwrap()
        ),
        "DataKey { algorithm: Aes128Gcm, .. }"
    );
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for algorithm in Algorithm::ALL {
            let key = DataKey::of_bytes(algorithm, &vec![3; algorithm.key_bytes()]).unwrap();
            prop_assert!(key.decrypt(&bytes).is_err());
            drop(DataKey::from_material(algorithm, &bytes));
        }
    }
}
