//! The group coordinator as a kind of coordinator: one [`coordinator::Shard`] per partition of
//! `__consumer_offsets`, and what those are told of the cluster ([`cluster`]).

pub(crate) mod cluster;
pub(crate) mod describing;
mod streams;

use std::convert::Infallible;
use std::sync::Arc;

use base::Clock;
use coordinator::{GroupConfig, Shard, ShareGroupConfig};

use crate::coordination::{Coordinated, Coordinators, Handle};
use crate::server::Server;
use crate::topics::{CONSUMER_OFFSETS, NewTopic, Partition};
use cluster::ClusterOfServer;

/// All shards of the group coordinator.
pub(crate) type Groups = Coordinators<Shard>;

impl Coordinated for Shard {
    const TOPIC: &'static str = CONSUMER_OFFSETS;
    const TASK: &'static str = "group shard";

    fn create(server: &Server, _partition: &Partition) -> Shard {
        let settings = server.settings();
        let config = GroupConfig {
            min_session_timeout: settings.group_min_session_timeout,
            max_session_timeout: settings.group_max_session_timeout,
            initial_rebalance_delay: settings.group_initial_rebalance_delay,
            max_size: settings.group_max_size,
            offset_metadata_max_bytes: settings.offset_metadata_max_bytes,
            offsets_retention: settings.offsets_retention,
            offsets_retention_check_interval: settings.offsets_retention_check_interval,
            commit_timeout: settings.offsets_commit_timeout,
            consumer: cluster::consumer_config(&settings.group_consumer),
            streams: streams::config(&settings.group_streams),
            share: ShareGroupConfig {
                max_size: settings.share.max_size,
                initialize_retry_interval: settings.share.initialize_retry_interval,
                settings: cluster::share_settings(&settings.share, None),
            },
        };
        let clock: Arc<dyn Clock> = Arc::clone(server.clock());
        let ids = Box::new(rand::random::<[u8; 16]>);
        Shard::new(config, clock, ids).with_cluster(Arc::new(ClusterOfServer::of(server)))
    }

    /// `__consumer_offsets` as Apache Kafka creates it (`GroupCoordinatorService.groupMetadataTopicConfigs`).
    ///
    /// Differs: the replication factor is at most the number of brokers, one; Kafka refuses to create the
    /// topic while fewer brokers run than `offsets.topic.replication.factor` says.
    fn topic(server: &Server) -> NewTopic {
        let settings = server.settings();
        let configs = [
            ("cleanup.policy", "compact".to_owned()),
            ("compression.type", "producer".to_owned()),
            (
                "segment.bytes",
                settings.offsets_topic_segment_bytes.to_string(),
            ),
        ];
        let configs = configs
            .into_iter()
            .map(|(name, value)| (name.to_owned(), Some(value)))
            .collect();
        NewTopic {
            name: CONSUMER_OFFSETS.to_owned(),
            partitions: Some(settings.offsets_topic_num_partitions),
            replication_factor: Some(1),
            configs,
        }
    }

    fn perform(_: &Arc<Server>, _: &Partition, _: Handle<Shard>, effect: Infallible) {
        match effect {}
    }
}
