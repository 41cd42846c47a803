//! What the shards of the group coordinator are told of this broker: its topics and the configs of groups.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use base::{TopicId, Uuid};
use coordinator::{
    Assignor, ClusterView, ConsumerGroupConfig, ConsumerSettings, MigrationPolicy, ShareSettings,
    StreamsSettings, TopicMetadata,
};
use metastore::Metadata;

use super::streams;
use crate::config::{BrokerConfigs, BrokerSettings, ConsumerGroupSettings, Overrides};
use crate::server::Server;
use crate::topics::{Topic, TopicTable};

/// The package of Kafka's own assignors, whose class names `group.consumer.assignors` may hold.
const KAFKA_ASSIGNORS: &str = "org.apache.kafka.coordinator.group.assignor.";

/// This broker, as its groups see it.
#[derive(Debug)]
pub(crate) struct ClusterOfServer {
    topics: Arc<TopicTable>,
    metadata: Arc<Metadata>,
    configs: Arc<RwLock<(Arc<BrokerConfigs>, Arc<BrokerSettings>)>>,
}

impl ClusterOfServer {
    pub(crate) fn of(server: &Server) -> ClusterOfServer {
        ClusterOfServer {
            topics: Arc::clone(&server.topics),
            metadata: Arc::clone(&server.metadata),
            configs: Arc::clone(&server.configs),
        }
    }

    fn settings(&self) -> Arc<BrokerSettings> {
        let configs = self.configs.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&configs.1)
    }

    fn describe(&self, topic: &Topic) -> TopicMetadata {
        TopicMetadata {
            id: topic.id.0,
            name: topic.name.as_str().into(),
            partitions: i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX),
            rack: self.settings().broker_rack.as_deref().map(Into::into),
        }
    }
}

impl ClusterView for ClusterOfServer {
    fn topic(&self, name: &str) -> Option<TopicMetadata> {
        self.topics.get(name).map(|topic| self.describe(&topic))
    }

    fn topic_by_id(&self, id: Uuid) -> Option<TopicMetadata> {
        let topic = self.topics.get_by_id(TopicId(id));
        topic.map(|topic| self.describe(&topic))
    }

    fn topic_names(&self) -> Vec<String> {
        let topics = self.topics.all();
        topics.iter().map(|topic| topic.name.clone()).collect()
    }

    fn version(&self) -> i64 {
        i64::try_from(self.metadata.image().revision().0).unwrap_or(i64::MAX)
    }

    /// A group's own value is within the broker's bounds, also when those have changed since it was set.
    fn consumer_settings(&self, group_id: &str) -> Option<ConsumerSettings> {
        let settings = &self.settings().group_consumer;
        let image = self.metadata.image();
        let own = image.group_configs().get(group_id);
        let value = |name: &str, default: Duration, min: Duration, max: Duration| {
            let own = own.and_then(|own| own.get(name)?.trim().parse().ok());
            own.map_or(default, |ms| {
                Duration::from_millis(ms).clamp(min, max.max(min))
            })
        };
        Some(ConsumerSettings {
            session_timeout: value(
                "consumer.session.timeout.ms",
                settings.session_timeout,
                settings.min_session_timeout,
                settings.max_session_timeout,
            ),
            heartbeat_interval: value(
                "consumer.heartbeat.interval.ms",
                settings.heartbeat_interval,
                settings.min_heartbeat_interval,
                settings.max_heartbeat_interval,
            ),
            assignment_interval: value(
                "consumer.assignment.interval.ms",
                settings.assignment_interval,
                settings.min_assignment_interval,
                settings.max_assignment_interval,
            ),
        })
    }

    fn streams_settings(&self, group_id: &str) -> Option<StreamsSettings> {
        let image = self.metadata.image();
        let own = image.group_configs().get(group_id);
        Some(streams::of_group(&self.settings().group_streams, own))
    }

    fn share_settings(&self, group_id: &str) -> Option<ShareSettings> {
        let image = self.metadata.image();
        let own = image.group_configs().get(group_id);
        Some(share_settings(&self.settings().share, own))
    }
}

/// What is in force for a share group with these configs of its own.
pub(super) fn share_settings(
    settings: &crate::config::ShareSettings,
    own: Option<&Overrides>,
) -> ShareSettings {
    let settings = settings.of_group(own);
    ShareSettings {
        session_timeout: settings.session_timeout,
        heartbeat_interval: settings.heartbeat_interval,
        assignment_interval: settings.assignment_interval,
    }
}

/// The consumer protocol's part of the broker's settings.
pub(super) fn consumer_config(settings: &ConsumerGroupSettings) -> ConsumerGroupConfig {
    ConsumerGroupConfig {
        session_timeout: settings.session_timeout,
        heartbeat_interval: settings.heartbeat_interval,
        assignment_interval: settings.assignment_interval,
        max_size: settings.max_size,
        assignors: assignors(&settings.assignors),
        migration: match settings.migration_policy.as_str() {
            "disabled" => MigrationPolicy::Disabled,
            "upgrade" => MigrationPolicy::Upgrade,
            "downgrade" => MigrationPolicy::Downgrade,
            _ => MigrationPolicy::Bidirectional,
        },
        regex_refresh_interval: settings.regex_refresh_interval,
    }
}

fn assignors(names: &[String]) -> Vec<Assignor> {
    let known = |name: &String| {
        let assignor = match name.strip_prefix(KAFKA_ASSIGNORS) {
            Some("UniformAssignor") => Some(Assignor::Uniform),
            Some("RangeAssignor") => Some(Assignor::Range),
            Some(_) => None,
            None => Assignor::from_name(name),
        };
        if assignor.is_none() {
            tracing::warn!(
                name,
                "group.consumer.assignors names an unknown assignor; it is passed over"
            );
        }
        assignor
    };
    let known: Vec<Assignor> = names.iter().filter_map(known).collect();
    if known.is_empty() {
        Assignor::ALL.to_vec()
    } else {
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignors_are_known_by_name_and_by_class() {
        let of = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            assignors(&names)
        };
        assert_eq!(of(&["range"]), [Assignor::Range]);
        let class = "org.apache.kafka.coordinator.group.assignor.UniformAssignor";
        assert_eq!(
            of(&[class, "com.example.Mine", "range"]),
            [Assignor::Uniform, Assignor::Range]
        );
        assert_eq!(of(&["com.example.Mine"]), Assignor::ALL);
    }
}
