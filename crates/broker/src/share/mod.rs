//! Share groups (KIP-932): the share coordinator as a kind of coordinator, one
//! [`coordinator::share_state::ShareCoordinator`] per partition of `__share_group_state`, and the way to it
//! ([`persister`]). What the group coordinator has it do is in [`group_states`].

pub(crate) mod acknowledging;
mod fetched;
pub(crate) mod group_states;
pub(crate) mod leader;
pub(crate) mod leaders;
pub(crate) mod persister;
pub(crate) mod read;
pub(crate) mod sessions;
pub(crate) mod state_requests;

use std::sync::Arc;

use base::{Clock, ErrorChain};
use coordinator::share_state::{Prune, ShareCoordinator, ShareStateConfig};

use crate::coordination::{Coordinated, Coordinators, Handle};
use crate::features::SHARE_VERSION;
use crate::groups::cluster::ClusterOfServer;
use crate::server::Server;
use crate::topics::{NewTopic, Partition, SHARE_GROUP_STATE};

/// All partitions of the share coordinator.
pub(crate) type ShareStates = Coordinators<ShareCoordinator>;

impl Coordinated for ShareCoordinator {
    const TOPIC: &'static str = SHARE_GROUP_STATE;
    const TASK: &'static str = "share coordinator";

    fn create(server: &Server, _partition: &Partition) -> ShareCoordinator {
        let settings = server.settings();
        let config = ShareStateConfig {
            updates_per_snapshot: settings.share.updates_per_snapshot,
            prune_interval: settings.share.prune_interval,
            cold_snapshot_interval: settings.share.cold_snapshot_interval,
        };
        let clock: Arc<dyn Clock> = Arc::clone(server.clock());
        ShareCoordinator::new(config, clock, Arc::new(ClusterOfServer::of(server)))
    }

    /// `__share_group_state` as Apache Kafka creates it (`ShareCoordinatorService.shareGroupStateTopicConfigs`).
    ///
    /// Differs: it has as many replicas as there are brokers, one, and asks for as many in sync; Kafka refuses to
    /// create the topic while fewer brokers run than `share.coordinator.state.topic.replication.factor` says.
    fn topic(server: &Server) -> NewTopic {
        let settings = server.settings();
        let configs = [
            ("cleanup.policy", "delete".to_owned()),
            ("compression.type", "producer".to_owned()),
            ("min.insync.replicas", "1".to_owned()),
            ("retention.ms", "-1".to_owned()),
            (
                "segment.bytes",
                settings.share.state_topic_segment_bytes.to_string(),
            ),
        ];
        let configs = configs
            .into_iter()
            .map(|(name, value)| (name.to_owned(), Some(value)))
            .collect();
        NewTopic {
            name: SHARE_GROUP_STATE.to_owned(),
            partitions: Some(settings.share.state_topic_num_partitions),
            replication_factor: Some(1),
            configs,
        }
    }

    /// Deletes records nobody needs any more. What cannot be deleted now goes with what the next round deletes.
    fn perform(
        server: &Arc<Server>,
        partition: &Partition,
        _handle: Handle<ShareCoordinator>,
        prune: Prune,
    ) {
        let partition = partition.clone();
        server.tasks().spawn("share state pruning", async move {
            let index = partition.index.0;
            let log = Arc::clone(&partition.log);
            let deleting = move || log.delete_records(Some(prune.before));
            match tokio::task::spawn_blocking(deleting).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => {
                    tracing::warn!(topic = SHARE_GROUP_STATE, partition = index,
                        error = %ErrorChain(&error), "cannot delete old share state");
                }
                Err(error) => {
                    tracing::warn!(topic = SHARE_GROUP_STATE, partition = index, %error,
                        "cannot delete old share state");
                }
            }
        });
    }
}

/// Whether the feature `share.version` is on.
pub(crate) fn is_enabled(server: &Server) -> bool {
    let image = server.metadata().image();
    let level = image.features().levels.get(SHARE_VERSION);
    level.is_some_and(|level| *level >= 1)
}
