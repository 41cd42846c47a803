//! Partitions that move between brokers (KIP-455).

use wire::messages::ListPartitionReassignmentsRequest;
use wire::messages::list_partition_reassignments_request::ListPartitionReassignmentsTopics;

use super::{Admin, Destination, TopicPartition, check};
use crate::error::ClientError;

/// A partition on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reassignment {
    /// The partition.
    pub partition: TopicPartition,
    /// The brokers that hold it now, old and new.
    pub replicas: Vec<i32>,
    /// Those that it moves to.
    pub adding: Vec<i32>,
    /// Those that it leaves.
    pub removing: Vec<i32>,
}

impl Admin {
    /// The partitions that move now: those of `partitions`, or all.
    ///
    /// # Errors
    /// `UNKNOWN_TOPIC_OR_PARTITION` when one does not exist.
    pub async fn list_reassignments(
        &self,
        partitions: Option<&[TopicPartition]>,
    ) -> Result<Vec<Reassignment>, ClientError> {
        let request = ListPartitionReassignmentsRequest {
            timeout_ms: self.timeout_ms(),
            topics: partitions.map(|partitions| partitions.iter().map(one).collect()),
        };
        self.call(Destination::Controller, i16::MAX, &request, |response| {
            let message = response.error_message.as_deref();
            let subject = || "the cluster".to_owned();
            check(
                "ListPartitionReassignments",
                subject,
                response.error_code,
                message,
            )?;
            let moving = response.topics.into_iter().flat_map(|topic| {
                let name = topic.name;
                topic.partitions.into_iter().map(move |part| Reassignment {
                    partition: TopicPartition {
                        topic: name.clone(),
                        partition: part.partition_index,
                    },
                    replicas: part.replicas,
                    adding: part.adding_replicas,
                    removing: part.removing_replicas,
                })
            });
            Ok(moving.collect())
        })
        .await
    }
}

fn one(partition: &TopicPartition) -> ListPartitionReassignmentsTopics {
    ListPartitionReassignmentsTopics {
        name: partition.topic.clone(),
        partition_indexes: vec![partition.partition],
    }
}
