//! One newtype per quantity of the protocol.
//!
//! Each is a transparent integer (or 16 bytes) with Kafka's own sentinel values as constants. The inner
//! value is public: these types prevent mix-ups, they guard no invariant.

use std::fmt;
use std::str::FromStr;

macro_rules! integer_id {
    ($(#[$doc:meta])* $name:ident($int:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $int);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<$int> for $name {
            fn from(value: $int) -> Self {
                Self(value)
            }
        }
    };
}

integer_id! {
    /// The position of a record in a partition, from 0.
    Offset(i64)
}
integer_id! {
    /// The number of leader elections a partition has seen (KIP-101).
    LeaderEpoch(i32)
}
integer_id! {
    /// The index of a partition within its topic, from 0.
    PartitionIndex(i32)
}
integer_id! {
    /// The identity the broker gave an idempotent producer (KIP-98); -1 for none.
    ProducerId(i64)
}
integer_id! {
    /// The generation of a producer id that fences its earlier holders (KIP-98); -1 for none.
    ProducerEpoch(i16)
}
integer_id! {
    /// A broker's id (`node.id`).
    NodeId(i32)
}

impl Offset {
    /// The offset `count` records further on; saturates, since an offset never nears `i64::MAX`.
    #[must_use]
    pub fn plus(self, count: i64) -> Offset {
        Offset(self.0.saturating_add(count))
    }
}

impl LeaderEpoch {
    /// "No epoch is known": the check is skipped (KIP-320).
    pub const UNKNOWN: LeaderEpoch = LeaderEpoch(-1);
}

impl ProducerId {
    /// The batch was not written by an idempotent producer.
    pub const NONE: ProducerId = ProducerId(-1);
}

impl ProducerEpoch {
    /// The batch was not written by an idempotent producer.
    pub const NONE: ProducerEpoch = ProducerEpoch(-1);
}

/// 16 bytes, printed as Kafka prints them: URL-safe base64 without padding, 22 characters
/// (`org.apache.kafka.common.Uuid`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Uuid(pub [u8; 16]);

/// The identity of a topic, new each time a topic of the same name is created (KIP-516).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TopicId(pub Uuid);

const BASE64_URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl Uuid {
    /// All zero: "no id" wherever the protocol has one.
    pub const ZERO: Uuid = Uuid([0; 16]);

    /// A version 4 UUID made of 16 random bytes; the version and variant bits are set here.
    #[must_use]
    pub fn from_random(mut random: [u8; 16]) -> Uuid {
        random[6] = (random[6] & 0x0f) | 0x40;
        random[8] = (random[8] & 0x3f) | 0x80;
        Uuid(random)
    }

    /// Whether this is the all-zero id.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self == Uuid::ZERO
    }
}

impl TopicId {
    /// "No topic id": the request names its topics instead.
    pub const ZERO: TopicId = TopicId(Uuid::ZERO);
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(22);
        let mut pending: u32 = 0;
        let mut bits = 0;
        for byte in self.0 {
            pending = (pending << 8) | u32::from(byte);
            bits += 8;
            while bits >= 6 {
                bits -= 6;
                text.push(base64_char(pending >> bits));
            }
        }
        // 128 bits leave two over: the last character carries them in its high bits.
        text.push(base64_char(pending << (6 - bits)));
        f.write_str(&text)
    }
}

fn base64_char(value: u32) -> char {
    char::from(BASE64_URL[(value & 0x3f) as usize])
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not 22 characters of URL-safe base64.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is not a Kafka UUID: expected 22 characters of URL-safe base64, such as 'AAAAAAAAAAAAAAAAAAAAAA'"
)]
pub struct ParseUuidError(pub String);

impl FromStr for Uuid {
    type Err = ParseUuidError;

    fn from_str(text: &str) -> Result<Uuid, ParseUuidError> {
        let bad = || ParseUuidError(text.to_owned());
        let trimmed = text.trim_end_matches('=');
        if trimmed.len() != 22 {
            return Err(bad());
        }
        let mut bytes = [0u8; 16];
        let mut written = 0;
        let mut pending: u32 = 0;
        let mut bits = 0;
        for character in trimmed.bytes() {
            let value = BASE64_URL
                .iter()
                .position(|c| *c == character)
                .ok_or_else(bad)?;
            pending = ((pending << 6) | u32::try_from(value).map_err(|_| bad())?) & 0xffff;
            bits += 6;
            if bits >= 8 {
                bits -= 8;
                *bytes.get_mut(written).ok_or_else(bad)? = ((pending >> bits) & 0xff) as u8;
                written += 1;
            }
        }
        Ok(Uuid(bytes))
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuid_text_is_the_java_clients() {
        // `Uuid.METADATA_TOPIC_ID` is (0, 1); its toString is the literal below.
        let mut one = [0u8; 16];
        one[15] = 1;
        assert_eq!(Uuid(one).to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!("AAAAAAAAAAAAAAAAAAAAAQ".parse(), Ok(Uuid(one)));
    }

    #[test]
    fn uuid_text_round_trips() {
        for seed in 0..=255u8 {
            let uuid = Uuid::from_random(std::array::from_fn(|i| {
                seed.wrapping_mul(31).wrapping_add(i as u8 * 7)
            }));
            assert_eq!(uuid.to_string().parse(), Ok(uuid));
        }
    }

    #[test]
    fn a_bad_uuid_names_the_text() {
        let error = "not a uuid".parse::<Uuid>().unwrap_err();
        assert!(error.to_string().contains("'not a uuid'"));
        assert!("AAAAAAAAAAAAAAAAAAAA*Q".parse::<Uuid>().is_err());
    }
}
