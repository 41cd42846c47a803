//! The topics this broker leads, by name and by id.
//!
//! The table is what requests read; the metadata store is what survives. It changes only under the
//! controller's lock (see [`crate::controller`]), after the store has committed.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, RwLock};

use base::{LeaderEpoch, PartitionIndex, TopicId};
use storage::{LogState, PartitionLog};
use wire::ErrorCode;

use crate::config::TopicSettings;
use crate::settings::log_config;

/// The topic of the group coordinator.
pub(crate) const CONSUMER_OFFSETS: &str = "__consumer_offsets";
/// The topic of the transaction coordinator.
pub(crate) const TRANSACTION_STATE: &str = "__transaction_state";
/// The topic of the share coordinator.
pub(crate) const SHARE_GROUP_STATE: &str = "__share_group_state";

/// Kafka's limit on the length of a topic's name (`Topic.MAX_NAME_LENGTH`).
const MAX_NAME_LENGTH: usize = 249;

/// Whether the topic is one of the broker's own (`Topic.isInternal`).
pub(crate) fn is_internal(name: &str) -> bool {
    [CONSUMER_OFFSETS, TRANSACTION_STATE, SHARE_GROUP_STATE].contains(&name)
}

/// Checks a topic's name as `org.apache.kafka.common.internals.Topic.validate` does.
///
/// # Errors
/// The message Kafka gives with INVALID_TOPIC_EXCEPTION.
pub(crate) fn validate_name(name: &str) -> Result<(), String> {
    let reason = if name.is_empty() {
        "the empty string is not allowed".to_owned()
    } else if name == "." || name == ".." {
        format!("'{name}' is not allowed")
    } else if name.len() > MAX_NAME_LENGTH {
        format!("the length of '{name}' is longer than the max allowed length {MAX_NAME_LENGTH}")
    } else if !name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    {
        format!(
            "'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
        )
    } else {
        return Ok(());
    };
    Err(format!("Topic name is invalid: {reason}"))
}

/// A topic that is to be created.
#[derive(Debug, Clone)]
pub(crate) struct NewTopic {
    /// The topic's name.
    pub(crate) name: String,
    /// How many partitions; `None` for `num.partitions`.
    pub(crate) partitions: Option<i32>,
    /// How many replicas each; `None` for `default.replication.factor`.
    pub(crate) replication_factor: Option<i16>,
    /// Configs that differ from the broker's defaults, as a request gives them.
    pub(crate) configs: Vec<(String, Option<String>)>,
}

impl NewTopic {
    /// A topic as auto-creation makes it.
    pub(crate) fn with_defaults(name: String) -> NewTopic {
        NewTopic {
            name,
            partitions: None,
            replication_factor: None,
            configs: Vec::new(),
        }
    }
}

/// Kafka's error code with the message that goes with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub(crate) struct ApiError {
    /// The code.
    pub(crate) code: ErrorCode,
    /// What is wrong, for a person.
    pub(crate) message: String,
}

impl ApiError {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> ApiError {
        ApiError {
            code,
            message: message.into(),
        }
    }
}

/// One partition of a topic.
#[derive(Debug, Clone)]
pub(crate) struct Partition {
    /// Its index within the topic.
    pub(crate) index: PartitionIndex,
    /// How often its leader was elected.
    pub(crate) leader_epoch: LeaderEpoch,
    /// Its records.
    pub(crate) log: Arc<PartitionLog>,
}

impl Partition {
    /// Whether the partition's data can be served.
    pub(crate) fn is_online(&self) -> bool {
        self.log.state() == LogState::Online
    }

    /// Checks the epoch a client believes the leader to have (KIP-320); -1 skips the check.
    ///
    /// # Errors
    /// FENCED_LEADER_EPOCH or UNKNOWN_LEADER_EPOCH.
    pub(crate) fn check_epoch(&self, current_leader_epoch: i32) -> Result<(), ErrorCode> {
        if current_leader_epoch < 0 || current_leader_epoch == self.leader_epoch.0 {
            Ok(())
        } else if current_leader_epoch < self.leader_epoch.0 {
            Err(ErrorCode::FencedLeaderEpoch)
        } else {
            Err(ErrorCode::UnknownLeaderEpoch)
        }
    }
}

/// One topic.
#[derive(Debug)]
pub(crate) struct Topic {
    /// Its name.
    pub(crate) name: String,
    /// Its identity, which a new topic of the same name does not share.
    pub(crate) id: TopicId,
    partitions: RwLock<Arc<[Partition]>>,
    settings: RwLock<Arc<TopicSettings>>,
}

impl Topic {
    pub(crate) fn new(
        name: String,
        id: TopicId,
        partitions: Vec<Partition>,
        settings: TopicSettings,
    ) -> Topic {
        Topic {
            name,
            id,
            partitions: RwLock::new(partitions.into()),
            settings: RwLock::new(Arc::new(settings)),
        }
    }

    /// The partitions, by index.
    pub(crate) fn partitions(&self) -> Arc<[Partition]> {
        Arc::clone(&read(&self.partitions))
    }

    /// One partition, or `None` past the last.
    pub(crate) fn partition(&self, index: PartitionIndex) -> Option<Partition> {
        read(&self.partitions)
            .get(usize::try_from(index.0).ok()?)
            .cloned()
    }

    /// The configs in force.
    pub(crate) fn settings(&self) -> Arc<TopicSettings> {
        Arc::clone(&read(&self.settings))
    }

    /// Puts new configs in force for the topic and its logs.
    pub(crate) fn reconfigure(&self, settings: TopicSettings) {
        for partition in self.partitions().iter() {
            partition.log.set_config(log_config(&self.name, &settings));
        }
        *write(&self.settings) = Arc::new(settings);
    }

    /// Adds partitions behind those there are.
    pub(crate) fn extend(&self, added: Vec<Partition>) {
        let mut partitions = write(&self.partitions);
        *partitions = partitions.iter().cloned().chain(added).collect();
    }
}

#[derive(Debug, Default)]
struct Tables {
    by_name: BTreeMap<String, Arc<Topic>>,
    by_id: HashMap<TopicId, Arc<Topic>>,
}

/// All topics.
#[derive(Debug, Default)]
pub(crate) struct TopicTable {
    tables: RwLock<Tables>,
}

impl TopicTable {
    /// The topic of this name.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Topic>> {
        read(&self.tables).by_name.get(name).cloned()
    }

    /// The topic of this id.
    pub(crate) fn get_by_id(&self, id: TopicId) -> Option<Arc<Topic>> {
        read(&self.tables).by_id.get(&id).cloned()
    }

    /// Every topic, by name.
    pub(crate) fn all(&self) -> Vec<Arc<Topic>> {
        read(&self.tables).by_name.values().cloned().collect()
    }

    /// How many topics there are.
    pub(crate) fn len(&self) -> usize {
        read(&self.tables).by_name.len()
    }

    /// The name of another topic that differs only in `.` against `_`: their metric names would collide, so
    /// Kafka refuses the second (`Topic.hasCollision`).
    pub(crate) fn colliding(&self, name: &str) -> Option<String> {
        if !name.contains(['.', '_']) {
            return None;
        }
        let normal = name.replace('.', "_");
        read(&self.tables)
            .by_name
            .keys()
            .find(|other| other.as_str() != name && other.replace('.', "_") == normal)
            .cloned()
    }

    pub(crate) fn insert(&self, topic: Arc<Topic>) {
        let mut tables = write(&self.tables);
        tables.by_id.insert(topic.id, Arc::clone(&topic));
        tables.by_name.insert(topic.name.clone(), topic);
    }

    pub(crate) fn remove(&self, name: &str) -> Option<Arc<Topic>> {
        let mut tables = write(&self.tables);
        let topic = tables.by_name.remove(name)?;
        tables.by_id.remove(&topic.id);
        Some(topic)
    }
}

/// These locks guard plain assignments: a panic inside one leaves nothing half done, so a poisoned lock is
/// taken as it is.
fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_in_kafkas_words() {
        for (name, reason) in [
            ("", "the empty string is not allowed"),
            ("..", "'..' is not allowed"),
            ("a b", "contains one or more characters other than"),
            ("été", "contains one or more characters other than"),
            (&"x".repeat(250), "longer than the max allowed length 249"),
        ] {
            let error = validate_name(name).unwrap_err();
            assert!(error.starts_with("Topic name is invalid: ") && error.contains(reason));
        }
        for name in ["a", "A.b_c-9", "...", &"x".repeat(249)] {
            assert_eq!(validate_name(name), Ok(()));
        }
    }
}
