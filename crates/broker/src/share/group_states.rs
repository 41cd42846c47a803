//! What the group coordinator has the share coordinator do: initialize and delete the states of a group's share
//! partitions, and the reports of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{Offset, PartitionIndex, Uuid};
use coordinator::share_group::{SharePartitions, ShareStates};
use coordinator::share_state::{ShareKey, StateError};
use futures::future::join_all;

use crate::server::Server;

/// What could not be done, by share partition.
pub(crate) type Failures = BTreeMap<(Uuid, i32), StateError>;

fn key(group_id: &Arc<str>, topic_id: Uuid, partition: i32) -> ShareKey {
    ShareKey {
        group_id: Arc::clone(group_id),
        topic_id,
        partition: PartitionIndex(partition),
    }
}

/// Initializes states, and tells the group which are and which are not. A report that is lost is made up for by a
/// later heartbeat.
///
/// # Cancel safety
/// Not cancel safe: a dropped call leaves states initialized that the group does not know of yet.
pub(crate) async fn initialize(
    server: &Arc<Server>,
    group_id: &Arc<str>,
    states: ShareStates,
) -> Failures {
    let epoch = states.state_epoch;
    let each = states.start_offsets.iter().flat_map(|(topic, partitions)| {
        let partitions = partitions.iter();
        partitions.map(move |(partition, offset)| (*topic, *partition, *offset))
    });
    let asked = each.map(
        |(topic, partition, offset): (Uuid, i32, Offset)| async move {
            let key = key(group_id, topic, partition);
            let done = server.persister().initialize(server, key, epoch, offset);
            (topic, partition, done.await)
        },
    );
    let mut initialized = SharePartitions::new();
    let mut failures = Failures::new();
    for (topic, partition, done) in join_all(asked).await {
        match done {
            Ok(()) => {
                initialized.entry(topic).or_default().insert(partition);
            }
            Err(error) => {
                tracing::warn!(group_id = &**group_id, topic_id = %topic, partition,
                    error = %error.message, "cannot initialize the state of a share partition");
                failures.insert((topic, partition), error);
            }
        }
    }
    let mut failed = SharePartitions::new();
    for (topic, partition) in failures.keys() {
        failed.entry(*topic).or_default().insert(*partition);
    }
    if !initialized.is_empty() {
        let id = Arc::clone(group_id);
        report(server, group_id, move |shard, token| {
            shard.share_states_initialized(token, &id, &initialized)
        })
        .await;
    }
    if !failed.is_empty() {
        let id = Arc::clone(group_id);
        report(server, group_id, move |shard, token| {
            shard.share_states_not_initialized(token, &id, &failed)
        })
        .await;
    }
    failures
}

/// Deletes states. Those that could not be are told.
///
/// # Cancel safety
/// Not cancel safe: some may be deleted and others not.
pub(crate) async fn delete(
    server: &Arc<Server>,
    group_id: &Arc<str>,
    partitions: &SharePartitions,
) -> Failures {
    let each = partitions.iter().flat_map(|(topic, partitions)| {
        let partitions = partitions.iter();
        partitions.map(move |partition| (*topic, *partition))
    });
    let asked = each.map(|(topic, partition)| async move {
        let key = key(group_id, topic, partition);
        let deleted = server.persister().delete(server, key).await;
        ((topic, partition), deleted)
    });
    let mut failures = Failures::new();
    for (partition, deleted) in join_all(asked).await {
        if let Err(error) = deleted {
            failures.insert(partition, error);
        }
    }
    failures
}

/// Tells the group that the states of topics are deleted.
pub(crate) async fn report_deleted(server: &Arc<Server>, group_id: &Arc<str>, topics: Vec<Uuid>) {
    let id = Arc::clone(group_id);
    report(server, group_id, move |shard, token| {
        shard.share_offsets_deleted(token, &id, &topics)
    })
    .await;
}

async fn report(
    server: &Arc<Server>,
    group_id: &str,
    run: impl FnOnce(&mut coordinator::Shard, coordinator::Token) -> Vec<coordinator::Action>
    + Send
    + 'static,
) {
    match server.groups().request(group_id, run).await {
        Ok(coordinator::Response::ShareStatesWritten(wire::ErrorCode::None)) => {}
        outcome => {
            tracing::warn!(
                group_id,
                ?outcome,
                "cannot write down the states of a share group"
            );
        }
    }
}
