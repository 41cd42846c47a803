//! What is stored under which key.
//!
//! ```text
//! cluster                          the cluster's id
//! features                         finalized feature levels
//! producer-ids                     the next producer id to hand out
//! topics/<name>                    a topic: its id, how many partitions
//! partitions/<topic id>/<chunk>    the partitions 256*chunk .. 256*chunk+255 of a topic
//! configs/topic/<name>             what was set on a topic
//! configs/broker/<node id>         what was set on a broker
//! configs/broker-default           what was set for all brokers
//! configs/group/<group id>         what was set on a group
//! configs/client-metrics/<name>    what was set on a client metrics subscription
//! quotas/<entity>                  the quotas of a user, client id or address; see [`crate::quota`]
//! ```
//!
//! Partitions lie in chunks so that a topic of 10,000 fits one transaction of an etcd, which takes few operations
//! but large values. A chunk is written as a whole, and its number has six digits, so that chunks sort.
//!
//! A value is JSON: `{"v":1,"data":...}`. Fields are only ever added, with a default; a change that an older
//! version would misread raises `v`, which it then refuses.

use std::collections::BTreeMap;

use base::{LeaderEpoch, NodeId, TopicId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::quota::QuotaEntity;

/// Partitions of one chunk.
pub const CHUNK_PARTITIONS: usize = 256;
const VERSION: u32 = 1;

/// The cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterResource {
    /// Its id, as clients see it.
    pub cluster_id: String,
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicResource {
    /// Its identity.
    pub id: TopicId,
    /// How many partitions it has.
    pub partition_count: u32,
    /// When it was created, in milliseconds since the Unix epoch.
    pub created_ms: i64,
}

/// A partition: who holds it, and who leads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionResource {
    /// The nodes that hold it, the preferred leader first.
    pub replicas: Vec<NodeId>,
    /// Those that are in sync.
    pub isr: Vec<NodeId>,
    /// The leader; none while there is no live one.
    pub leader: Option<NodeId>,
    /// The number of elections it has seen.
    pub leader_epoch: LeaderEpoch,
    /// The number of changes of this record.
    pub partition_epoch: i32,
}

impl PartitionResource {
    /// A new partition on these nodes, led by the first, all of them in sync.
    #[must_use]
    pub fn new(replicas: Vec<NodeId>) -> PartitionResource {
        PartitionResource {
            isr: replicas.clone(),
            leader: replicas.first().copied(),
            replicas,
            leader_epoch: LeaderEpoch(0),
            partition_epoch: 0,
        }
    }
}

/// Finalized feature levels, such as `transaction.version`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FeaturesResource {
    /// Grows with each change; clients take a level only from a larger epoch than they know.
    pub epoch: i64,
    /// Feature to level.
    pub levels: BTreeMap<String, i16>,
}

/// The producer ids that were not handed out yet.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ProducerIdsResource {
    /// The next one.
    pub next: i64,
}

/// What was set on one resource: key to text.
pub type Configs = BTreeMap<String, String>;

/// A key, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResourceKey {
    /// The cluster.
    Cluster,
    /// Feature levels.
    Features,
    /// Producer ids.
    ProducerIds,
    /// A topic.
    Topic(String),
    /// A chunk of a topic's partitions.
    Partitions(TopicId, u32),
    /// A topic's configuration.
    TopicConfigs(String),
    /// One broker's configuration.
    BrokerConfigs(NodeId),
    /// All brokers' configuration.
    BrokerDefaultConfigs,
    /// A group's configuration.
    GroupConfigs(String),
    /// A client metrics subscription.
    ClientMetrics(String),
    /// The quotas of an entity.
    ClientQuotas(QuotaEntity),
}

/// Everything of ours lies below it.
pub const ROOT: &str = "affluent/";

impl ResourceKey {
    /// The key's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let path = match self {
            ResourceKey::Cluster => "cluster".to_owned(),
            ResourceKey::Features => "features".to_owned(),
            ResourceKey::ProducerIds => "producer-ids".to_owned(),
            ResourceKey::Topic(name) => format!("topics/{name}"),
            ResourceKey::Partitions(id, chunk) => format!("partitions/{id}/{chunk:06}"),
            ResourceKey::TopicConfigs(name) => format!("configs/topic/{name}"),
            ResourceKey::BrokerConfigs(node) => format!("configs/broker/{node}"),
            ResourceKey::BrokerDefaultConfigs => "configs/broker-default".to_owned(),
            ResourceKey::GroupConfigs(group) => format!("configs/group/{group}"),
            ResourceKey::ClientMetrics(name) => format!("configs/client-metrics/{name}"),
            ResourceKey::ClientQuotas(entity) => format!("quotas/{}", entity.to_path()),
        };
        format!("{ROOT}{path}").into_bytes()
    }

    /// The key these bytes stand for; none for one that this version does not know.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<ResourceKey> {
        let path = std::str::from_utf8(bytes).ok()?.strip_prefix(ROOT)?;
        let (kind, rest) = path.split_once('/').unwrap_or((path, ""));
        Some(match (kind, rest) {
            ("cluster", "") => ResourceKey::Cluster,
            ("features", "") => ResourceKey::Features,
            ("producer-ids", "") => ResourceKey::ProducerIds,
            ("topics", name) => ResourceKey::Topic(name.to_owned()),
            ("partitions", rest) => {
                let (id, chunk) = rest.split_once('/')?;
                ResourceKey::Partitions(TopicId(id.parse().ok()?), chunk.parse().ok()?)
            }
            ("quotas", path) => ResourceKey::ClientQuotas(QuotaEntity::parse_path(path)?),
            ("configs", "broker-default") => ResourceKey::BrokerDefaultConfigs,
            ("configs", rest) => {
                let (kind, name) = rest.split_once('/')?;
                match kind {
                    "topic" => ResourceKey::TopicConfigs(name.to_owned()),
                    "broker" => ResourceKey::BrokerConfigs(NodeId(name.parse().ok()?)),
                    "group" => ResourceKey::GroupConfigs(name.to_owned()),
                    "client-metrics" => ResourceKey::ClientMetrics(name.to_owned()),
                    _ => return None,
                }
            }
            _ => return None,
        })
    }
}

/// A value cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A later version wrote it.
    #[error("it has version {found}, but this version reads up to {VERSION}")]
    NewerVersion {
        /// Its version.
        found: u32,
    },
    /// It is not what it should be.
    #[error("it does not parse: {0}")]
    Malformed(String),
}

#[derive(Serialize)]
struct Wrap<'a, T> {
    v: u32,
    data: &'a T,
}

#[derive(Deserialize)]
struct Version {
    v: u32,
}

#[derive(Deserialize)]
struct Unwrap<T> {
    data: T,
}

/// A stored form of a resource.
pub trait Resource: Sized {
    /// The bytes of the value.
    fn encode(&self) -> Vec<u8>;

    /// Reads a value.
    ///
    /// # Errors
    /// [`DecodeError`].
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError>;
}

pub(crate) fn to_json<T: Serialize>(data: &T) -> Vec<u8> {
    // Maps with text keys, lists, numbers and texts: there is nothing in them that JSON cannot say.
    serde_json::to_vec(&Wrap { v: VERSION, data }).expect("plain data is JSON")
}

pub(crate) fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let malformed = |error: serde_json::Error| DecodeError::Malformed(error.to_string());
    // The version first: what a later one holds need not parse.
    let Version { v } = serde_json::from_slice(bytes).map_err(malformed)?;
    if v > VERSION {
        return Err(DecodeError::NewerVersion { found: v });
    }
    serde_json::from_slice(bytes)
        .map(|Unwrap { data }| data)
        .map_err(malformed)
}

macro_rules! json_resource {
    ($($type:ty),+) => {
        $(impl Resource for $type {
            fn encode(&self) -> Vec<u8> {
                to_json(self)
            }

            fn decode(bytes: &[u8]) -> Result<$type, DecodeError> {
                from_json(bytes)
            }
        })+
    };
}

json_resource!(
    ClusterResource,
    FeaturesResource,
    ProducerIdsResource,
    Configs
);

#[derive(Serialize, Deserialize)]
struct StoredTopic {
    id: String,
    partitions: u32,
    created_ms: i64,
}

impl Resource for TopicResource {
    fn encode(&self) -> Vec<u8> {
        to_json(&StoredTopic {
            id: self.id.to_string(),
            partitions: self.partition_count,
            created_ms: self.created_ms,
        })
    }

    fn decode(bytes: &[u8]) -> Result<TopicResource, DecodeError> {
        let stored: StoredTopic = from_json(bytes)?;
        let id = stored
            .id
            .parse()
            .map_err(|error| DecodeError::Malformed(format!("{error}")))?;
        Ok(TopicResource {
            id: TopicId(id),
            partition_count: stored.partitions,
            created_ms: stored.created_ms,
        })
    }
}

/// Short names: there are 256 of them in a value.
#[derive(Serialize, Deserialize)]
struct StoredPartition {
    #[serde(rename = "r")]
    replicas: Vec<i32>,
    /// Left out while it equals `replicas`.
    #[serde(rename = "i", default, skip_serializing_if = "Option::is_none")]
    isr: Option<Vec<i32>>,
    #[serde(rename = "l")]
    leader: i32,
    #[serde(rename = "e")]
    leader_epoch: i32,
    #[serde(rename = "p")]
    partition_epoch: i32,
}

fn numbers(nodes: &[NodeId]) -> Vec<i32> {
    nodes.iter().map(|node| node.0).collect()
}

fn nodes(numbers: Vec<i32>) -> Vec<NodeId> {
    numbers.into_iter().map(NodeId).collect()
}

impl Resource for Vec<PartitionResource> {
    fn encode(&self) -> Vec<u8> {
        let stored = self.iter().map(|partition| StoredPartition {
            replicas: numbers(&partition.replicas),
            isr: (partition.isr != partition.replicas).then(|| numbers(&partition.isr)),
            leader: partition.leader.map_or(-1, |node| node.0),
            leader_epoch: partition.leader_epoch.0,
            partition_epoch: partition.partition_epoch,
        });
        to_json(&stored.collect::<Vec<_>>())
    }

    fn decode(bytes: &[u8]) -> Result<Vec<PartitionResource>, DecodeError> {
        let stored: Vec<StoredPartition> = from_json(bytes)?;
        let partitions = stored.into_iter().map(|stored| PartitionResource {
            isr: nodes(stored.isr.unwrap_or_else(|| stored.replicas.clone())),
            replicas: nodes(stored.replicas),
            leader: (stored.leader >= 0).then_some(NodeId(stored.leader)),
            leader_epoch: LeaderEpoch(stored.leader_epoch),
            partition_epoch: stored.partition_epoch,
        });
        Ok(partitions.collect())
    }
}

#[cfg(test)]
mod tests {
    use base::Uuid;

    use super::*;
    use crate::quota::QuotaName;

    #[test]
    fn each_key_round_trips() {
        let id = TopicId(Uuid::from_random([7; 16]));
        for key in [
            ResourceKey::Cluster,
            ResourceKey::Features,
            ResourceKey::ProducerIds,
            ResourceKey::Topic("a.b_c-d".to_owned()),
            ResourceKey::Partitions(id, 3),
            ResourceKey::TopicConfigs("t".to_owned()),
            ResourceKey::BrokerConfigs(NodeId(7)),
            ResourceKey::BrokerDefaultConfigs,
            ResourceKey::GroupConfigs("with/slash and ünïcode".to_owned()),
            ResourceKey::ClientMetrics("m".to_owned()),
            ResourceKey::ClientQuotas(QuotaEntity {
                user: Some(QuotaName::Default),
                client_id: Some(QuotaName::Named("a/b".to_owned())),
                ip: None,
            }),
        ] {
            assert_eq!(ResourceKey::parse(&key.to_bytes()), Some(key));
        }
        assert_eq!(ResourceKey::parse(b"affluent/quotas/x"), None);
        assert_eq!(ResourceKey::parse(b"elsewhere"), None);
        assert!(
            ResourceKey::Partitions(id, 9).to_bytes() < ResourceKey::Partitions(id, 10).to_bytes()
        );
    }

    #[test]
    fn each_resource_round_trips() {
        let topic = TopicResource {
            id: TopicId(Uuid::from_random([1; 16])),
            partition_count: 6,
            created_ms: 5,
        };
        assert_eq!(TopicResource::decode(&topic.encode()), Ok(topic));
        let shrunk = PartitionResource {
            isr: vec![NodeId(2)],
            leader: None,
            leader_epoch: LeaderEpoch(4),
            ..PartitionResource::new(vec![NodeId(1), NodeId(2)])
        };
        let partitions = vec![PartitionResource::new(vec![NodeId(1)]), shrunk];
        assert_eq!(Vec::decode(&partitions.encode()), Ok(partitions));
        let features = FeaturesResource {
            epoch: 3,
            levels: BTreeMap::from([("group.version".to_owned(), 1)]),
        };
        assert_eq!(FeaturesResource::decode(&features.encode()), Ok(features));
    }

    #[test]
    fn values_of_a_later_version_and_garbage_are_refused() {
        let later = br#"{"v":2,"data":{"next":1,"colour":"red"}}"#;
        assert_eq!(
            ProducerIdsResource::decode(later),
            Err(DecodeError::NewerVersion { found: 2 })
        );
        let added = br#"{"v":1,"data":{"next":1,"colour":"red"}}"#;
        assert_eq!(
            ProducerIdsResource::decode(added),
            Ok(ProducerIdsResource { next: 1 })
        );
        for garbage in [
            &b""[..],
            b"{}",
            b"[1]",
            b"\xff",
            br#"{"v":1,"data":{"id":"x"}}"#,
        ] {
            assert!(matches!(
                TopicResource::decode(garbage),
                Err(DecodeError::Malformed(_))
            ));
        }
    }
}
