//! Seeded random messages, for property tests and golden bytes.
//!
//! [`Sample::sample`] fills every field that the version has and leaves the others at their default, so the
//! result can be written in that version and must read back equal. The generator is a fixed algorithm
//! (SplitMix64): the same seed gives the same message on every machine, which is what makes golden bytes
//! possible.

use base::Uuid;
use bytes::Bytes;

use crate::records::Records;

/// A message or struct of the protocol that can be made at random.
pub trait Sample {
    /// A value whose fields are those of `version`.
    fn sample(sampler: &mut Sampler, version: i16) -> Self;
}

/// A deterministic source of field values.
#[derive(Debug, Clone)]
pub struct Sampler {
    state: u64,
}

impl Sampler {
    /// A sampler that always gives the same values for the same seed.
    #[must_use]
    pub fn new(seed: u64) -> Sampler {
        Sampler { state: seed }
    }

    /// The next 64 bits of SplitMix64 (Steele, Lea and Flood, 2014).
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.bits() % bound
    }

    /// Null, one time in four.
    pub fn null(&mut self) -> bool {
        self.below(4) == 0
    }

    /// Either boolean.
    pub fn bool(&mut self) -> bool {
        self.below(2) == 1
    }

    /// 16 bytes.
    pub fn uuid(&mut self) -> Uuid {
        let (high, low) = (self.bits(), self.bits());
        Uuid(((u128::from(high) << 64) | u128::from(low)).to_be_bytes())
    }

    /// Up to 11 characters, some of them not ASCII.
    pub fn string(&mut self) -> String {
        const LETTERS: [char; 16] = [
            'a', 'Z', '0', '.', '_', '-', ' ', 'é', 'ß', '水', '😀', '/', '"', '\\', '\n', '~',
        ];
        (0..self.below(12))
            .map(|_| LETTERS[self.below(16) as usize])
            .collect()
    }

    /// Up to 23 bytes.
    pub fn bytes(&mut self) -> Bytes {
        (0..self.below(24)).map(|_| self.bits() as u8).collect()
    }

    /// Up to 23 bytes; the codec does not look inside records.
    pub fn records(&mut self) -> Records {
        Records::from(self.bytes())
    }

    /// Up to three elements.
    pub fn array<T>(&mut self, mut element: impl FnMut(&mut Sampler) -> T) -> Vec<T> {
        (0..self.below(4)).map(|_| element(self)).collect()
    }

    /// A finite number: NaN is not equal to itself, so it could not be compared after a round trip.
    pub fn f64(&mut self) -> f64 {
        (self.bits() as i64) as f64 / 1024.0
    }
}

macro_rules! sample_integers {
    ($($name:ident),*) => {
        impl Sampler {
            $(
                /// Any value of the type, the edges more often than the rest.
                pub fn $name(&mut self) -> $name {
                    match self.below(8) {
                        0 => $name::MIN,
                        1 => $name::MAX,
                        2 => 0,
                        _ => self.bits() as $name,
                    }
                }
            )*
        }
    };
}
sample_integers!(i8, i16, i32, i64, u16, u32);
