//! One read: records until there are enough, or the time is over (`KafkaConsumerReadTask`, kafka-rest 8).
//!
//! Differs: a record that alone has more bytes than a read may have is given alone, as Kafka's own fetch does it; the
//! counterpart gives nothing then, for ever.

use std::time::Instant;

use client::data::{Message as _, OwnedMessage};

/// Records of one read: even records without a byte have to end somewhere.
const RECORDS_MAX: usize = 500_000;

/// What one read may have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// When it is answered with what there is.
    pub(super) deadline: Instant,
    /// With more than so many bytes of keys and values it need not wait any longer.
    pub(super) bytes_min: Option<u64>,
    /// Fewer than so many.
    pub(super) bytes_max: u64,
}

/// A read under way.
#[derive(Debug)]
pub(super) struct Reading {
    wanted: Wanted,
    taken: Vec<OwnedMessage>,
    bytes: u64,
    is_full: bool,
}

impl Reading {
    pub(super) fn new(wanted: Wanted) -> Self {
        Self {
            wanted,
            taken: Vec::new(),
            bytes: 0,
            is_full: false,
        }
    }

    /// Takes a record, or gives it back when there is no room for it.
    pub(super) fn offer(&mut self, message: OwnedMessage) -> Option<OwnedMessage> {
        let bytes = self.bytes.saturating_add(size(&message));
        let too_much = bytes >= self.wanted.bytes_max || self.taken.len() >= RECORDS_MAX;
        if too_much && !self.taken.is_empty() {
            self.is_full = true;
            return Some(message);
        }
        self.bytes = bytes;
        self.taken.push(message);
        None
    }

    /// Whether it is to be answered; `is_dry` says that no more records are at hand.
    pub(super) fn is_done(&self, now: Instant, is_dry: bool) -> bool {
        let is_enough = self.wanted.bytes_min.is_some_and(|min| self.bytes > min);
        self.is_full || now >= self.wanted.deadline || (is_dry && is_enough)
    }

    /// How long it may still wait.
    pub(super) fn left(&self, now: Instant) -> std::time::Duration {
        self.wanted.deadline.saturating_duration_since(now)
    }

    pub(super) fn finish(self) -> Vec<OwnedMessage> {
        self.taken
    }
}

/// Bytes of key and value.
pub(super) fn size(message: &OwnedMessage) -> u64 {
    let key = message.key().map_or(0, <[u8]>::len);
    let value = message.payload().map_or(0, <[u8]>::len);
    (key as u64).saturating_add(value as u64)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use client::data::Timestamp;

    use super::*;

    fn message(offset: i64, bytes: usize) -> OwnedMessage {
        let payload = Some(vec![0; bytes]);
        let topic = "t".to_owned();
        OwnedMessage::new(
            payload,
            None,
            topic,
            Timestamp::NotAvailable,
            0,
            offset,
            None,
        )
    }

    fn reading(bytes_min: Option<u64>, bytes_max: u64) -> (Reading, Instant) {
        let now = Instant::now();
        let wanted = Wanted {
            deadline: now + Duration::from_secs(1),
            bytes_min,
            bytes_max,
        };
        (Reading::new(wanted), now)
    }

    #[test]
    fn a_read_ends_when_it_is_full_or_its_time_is_over() {
        let (mut reading, now) = reading(None, 100);
        assert!(reading.offer(message(0, 60)).is_none());
        assert!(!reading.is_done(now, true));
        assert!(reading.is_done(now + Duration::from_secs(1), false));
        let back = reading.offer(message(1, 40)).unwrap();
        assert_eq!(back.offset(), 1);
        assert!(reading.is_done(now, false));
        assert_eq!(reading.finish().len(), 1);
    }

    #[test]
    fn with_enough_it_takes_what_is_at_hand_and_no_more() {
        let (mut reading, now) = reading(Some(1), 100);
        assert!(reading.offer(message(0, 1)).is_none());
        assert!(!reading.is_done(now, true));
        assert!(reading.offer(message(1, 1)).is_none());
        assert!(!reading.is_done(now, false));
        assert!(reading.is_done(now, true));
    }

    #[test]
    fn a_record_above_the_limit_comes_alone() {
        let (mut reading, now) = reading(None, 10);
        assert!(reading.offer(message(0, 50)).is_none());
        assert!(reading.offer(message(1, 0)).is_some());
        assert!(reading.is_done(now, false));
    }
}
