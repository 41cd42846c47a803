//! What the requests to the share coordinator have in common: who may send them, and the walk over their partitions.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use base::{PartitionIndex, Uuid};
use coordinator::share_state::{ShareKey, StateError};
use futures::future::join_all;
use security::{CLUSTER_NAME, Operation, ResourceType};
use wire::ErrorCode;

use crate::request::RequestContext;
use crate::server::Server;

/// The answer for one partition of a request.
pub(crate) struct Answered<T> {
    /// The partition's index.
    pub(crate) partition: i32,
    /// What came of it.
    pub(crate) outcome: Result<T, StateError>,
}

impl Answered<()> {
    /// The error code and message of the answer, 0 and none for success.
    pub(crate) fn error(self) -> (i16, Option<String>) {
        match self.outcome {
            Ok(()) => (0, None),
            Err(error) => (error.code.code(), Some(error.message)),
        }
    }
}

/// Asks for every partition of `topics`, those of one topic at a time, and answers by topic id and partition. Needs
/// CLUSTER_ACTION on the cluster; who may not gets that for each partition. Like Apache Kafka, a request without a group or with a
/// topic that names no partition gets an empty answer, and what names a partition twice asks twice and is told what came of the
/// second.
pub(crate) async fn each_partition<P, T, F>(
    server: &Server,
    context: &RequestContext,
    group_id: String,
    topics: Vec<(Uuid, Vec<P>)>,
    index: impl Fn(&P) -> i32,
    ask: impl Fn(ShareKey, P) -> F,
) -> Vec<(Uuid, Vec<Answered<T>>)>
where
    F: Future<Output = Result<T, StateError>>,
{
    if !may_ask(server, context) {
        let refuse = |asked| Answered {
            partition: index(&asked),
            outcome: Err(refused()),
        };
        let topics = topics.into_iter();
        return topics
            .map(|(id, partitions)| (id, partitions.into_iter().map(refuse).collect()))
            .collect();
    }
    if group_id.is_empty() || topics.iter().any(|(_, partitions)| partitions.is_empty()) {
        return Vec::new();
    }
    let group_id: Arc<str> = group_id.into();
    let mut answers: BTreeMap<Uuid, BTreeMap<i32, Answered<T>>> = BTreeMap::new();
    for (topic_id, partitions) in topics {
        let asked = partitions.into_iter().map(|asked| {
            let partition = index(&asked);
            let key = ShareKey {
                group_id: Arc::clone(&group_id),
                topic_id,
                partition: PartitionIndex(partition),
            };
            let asking = ask(key, asked);
            async move {
                let outcome = asking.await;
                (partition, Answered { partition, outcome })
            }
        });
        let answered = join_all(asked).await;
        answers.entry(topic_id).or_default().extend(answered);
    }
    let answers = answers.into_iter();
    answers
        .map(|(id, partitions)| (id, partitions.into_values().collect()))
        .collect()
}

/// Whether the requester may act as a broker.
pub(crate) fn may_ask(server: &Server, context: &RequestContext) -> bool {
    server.allows(
        context,
        Operation::ClusterAction,
        ResourceType::Cluster,
        CLUSTER_NAME,
    )
}

fn refused() -> StateError {
    StateError {
        code: ErrorCode::ClusterAuthorizationFailed,
        message: "Cluster authorization failed.".to_owned(),
    }
}
