//! What the topic says of an instance.
//!
//! ```text
//! key    {"group":"g","instance":"i"}
//! value  {"epoch":2,"owner":{"url":"http://h:8082","incarnation":"..."},"settings":{..},
//!         "interest":{"topics":["t"]},"positions":[{"topic":"t","partition":0,"offset":17}],"written_ms":..}
//! ```
//! No value: the instance is gone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::format::Format;

/// The name of an instance.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct InstanceId {
    pub(crate) group: String,
    pub(crate) instance: String,
}

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) topic: String,
    pub(crate) partition: i32,
}

/// A proxy, for as long as it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owner {
    /// Where other proxies reach it.
    pub(crate) url: String,
    /// Another one at the same address is another owner.
    pub(crate) incarnation: String,
}

/// The settings with which an instance was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Settings {
    #[serde(with = "format_name")]
    pub(crate) format: Format,
    /// `auto.offset.reset`, as librdkafka has it.
    pub(crate) offset_reset: Option<String>,
    /// `auto.commit.enable`.
    pub(crate) commit: Option<bool>,
    /// `fetch.min.bytes`.
    pub(crate) fetch_bytes_min: Option<i64>,
    /// `consumer.request.timeout.ms`.
    pub(crate) request_timeout_ms: Option<u64>,
    /// `consumer.instance.timeout.ms` of the proxy that made it.
    pub(crate) instance_timeout_ms: u64,
}

/// What an instance reads.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Interest {
    /// Nothing yet.
    #[default]
    Nothing,
    /// The partitions of these topics that the group gives it.
    Topics(Vec<String>),
    /// Those of the topics whose whole name matches.
    Pattern(String),
    /// These partitions.
    Partitions(Vec<Place>),
}

/// An instance reads in one way at a time (`SubscriptionState.setSubscriptionType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Subscription to topics, partitions and pattern are mutually exclusive")]
pub(crate) struct Exclusive;

impl Interest {
    /// What an instance that reads this reads once it is to read `next`. An empty list is nothing.
    ///
    /// # Errors
    /// [`Exclusive`].
    pub(crate) fn change(&self, next: Self) -> Result<Self, Exclusive> {
        let next = match next {
            Self::Topics(topics) if topics.is_empty() => return Ok(Self::Nothing),
            Self::Partitions(places) if places.is_empty() => return Ok(Self::Nothing),
            next => next,
        };
        let same_way = std::mem::discriminant(self) == std::mem::discriminant(&next);
        if same_way || *self == Self::Nothing || next == Self::Nothing {
            Ok(next)
        } else {
            Err(Exclusive)
        }
    }
}

/// How far a client has come: the next offset of each partition.
pub(crate) type Positions = BTreeMap<Place, i64>;

/// An instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InstanceRecord {
    /// How many owners it has had.
    pub(crate) epoch: u64,
    pub(crate) owner: Owner,
    pub(crate) settings: Settings,
    pub(crate) interest: Interest,
    #[serde(with = "position_list")]
    pub(crate) positions: Positions,
    /// When it was written, by the owner's clock.
    pub(crate) written_ms: i64,
}

impl InstanceId {
    /// The key in the topic.
    pub(crate) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a name has string keys only")
    }
}

impl InstanceRecord {
    /// The value in the topic.
    pub(crate) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a record has string keys only")
    }
}

mod format_name {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::format::Format;

    pub(super) fn serialize<S: Serializer>(format: &Format, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(format.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Format, D::Error> {
        let name = String::deserialize(from)?;
        Format::of(&name).ok_or_else(|| D::Error::custom(format!("no format {name:?}")))
    }
}

/// JSON has no maps with such keys.
mod position_list {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{Place, Positions};

    #[derive(Serialize, Deserialize)]
    struct Position {
        #[serde(flatten)]
        place: Place,
        offset: i64,
    }

    pub(super) fn serialize<S: Serializer>(
        positions: &Positions,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(positions.iter().map(|(place, offset)| Position {
            place: place.clone(),
            offset: *offset,
        }))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Positions, D::Error> {
        let list = Vec::<Position>::deserialize(from)?;
        Ok(list
            .into_iter()
            .map(|position| (position.place, position.offset))
            .collect())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn id(instance: &str) -> InstanceId {
        InstanceId {
            group: "g".to_owned(),
            instance: instance.to_owned(),
        }
    }

    pub(in super::super) fn record(epoch: u64, incarnation: &str) -> InstanceRecord {
        let place = Place {
            topic: "t".to_owned(),
            partition: 1,
        };
        InstanceRecord {
            epoch,
            owner: Owner {
                url: "http://h:1".to_owned(),
                incarnation: incarnation.to_owned(),
            },
            settings: Settings {
                format: Format::Avro,
                offset_reset: None,
                commit: Some(false),
                fetch_bytes_min: None,
                request_timeout_ms: None,
                instance_timeout_ms: 300_000,
            },
            interest: Interest::Partitions(vec![place.clone()]),
            positions: Positions::from([(place, 17)]),
            written_ms: 5,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let record = record(3, "a");
        let read: InstanceRecord = serde_json::from_slice(&record.encode()).unwrap();
        assert_eq!(read, record);
        let id = id("i");
        let read: InstanceId = serde_json::from_slice(&id.encode()).unwrap();
        assert_eq!(read, id);
    }

    #[test]
    fn an_instance_reads_in_one_way() {
        let topics = |name: &str| Interest::Topics(vec![name.to_owned()]);
        let nothing = Interest::Nothing;
        assert_eq!(nothing.change(topics("a")), Ok(topics("a")));
        assert_eq!(topics("a").change(topics("b")), Ok(topics("b")));
        assert_eq!(
            topics("a").change(Interest::Topics(Vec::new())),
            Ok(nothing)
        );
        let pattern = Interest::Pattern("a.*".to_owned());
        assert_eq!(topics("a").change(pattern.clone()), Err(Exclusive));
        assert_eq!(pattern.change(Interest::Nothing), Ok(Interest::Nothing));
    }
}
