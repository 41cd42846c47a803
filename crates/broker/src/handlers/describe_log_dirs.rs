//! DescribeLogDirs (key 35): how large partitions are and how much room the disk has.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::PartitionIndex;
use security::{CLUSTER_NAME, Operation, ResourceType};
use wire::ErrorCode;
use wire::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use wire::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse};

use crate::request::RequestContext;
use crate::server::Server;
use crate::topics::Partition;

/// Answers for the partitions named, or for all when the list is null. There is one log directory.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: DescribeLogDirsRequest,
) -> DescribeLogDirsResponse {
    if !server.allows(
        &context,
        Operation::Describe,
        ResourceType::Cluster,
        CLUSTER_NAME,
    ) {
        return DescribeLogDirsResponse {
            error_code: ErrorCode::ClusterAuthorizationFailed.code(),
            ..DescribeLogDirsResponse::default()
        };
    }
    let mut topics: BTreeMap<String, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    match request.topics {
        None => {
            for topic in server.topics().all() {
                let partitions = topic.partitions().iter().map(describe).collect();
                topics.insert(topic.name.clone(), partitions);
            }
        }
        Some(asked) => {
            for asked in asked {
                let Some(topic) = server.topics().get(&asked.topic) else {
                    continue;
                };
                let partitions = asked
                    .partitions
                    .into_iter()
                    .filter_map(|index| topic.partition(PartitionIndex(index)))
                    .map(|partition| describe(&partition));
                topics.entry(asked.topic).or_default().extend(partitions);
            }
        }
    }
    let log_dir = server.log_dir();
    let space = rustix::fs::statvfs(&log_dir).ok();
    let bytes = |blocks: u64, size: u64| i64::try_from(blocks.saturating_mul(size)).unwrap_or(-1);
    let result = DescribeLogDirsResult {
        error_code: 0,
        log_dir: log_dir.to_string_lossy().into_owned(),
        topics: topics
            .into_iter()
            .map(|(name, partitions)| DescribeLogDirsTopic { name, partitions })
            .collect(),
        total_bytes: space.as_ref().map_or(-1, |s| bytes(s.f_blocks, s.f_frsize)),
        usable_bytes: space.as_ref().map_or(-1, |s| bytes(s.f_bavail, s.f_frsize)),
        ..DescribeLogDirsResult::default()
    };
    DescribeLogDirsResponse {
        results: vec![result],
        ..DescribeLogDirsResponse::default()
    }
}

fn describe(partition: &Partition) -> DescribeLogDirsPartition {
    DescribeLogDirsPartition {
        partition_index: partition.index.0,
        partition_size: i64::try_from(partition.log.size_in_bytes()).unwrap_or(i64::MAX),
        offset_lag: 0,
        is_future_key: false,
    }
}
