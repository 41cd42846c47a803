//! The table of the APIs and their handlers: those that are answered by one function of the request. Produce and Fetch,
//! which quotas treat in their own way, are in [`super`].

use std::sync::Arc;

use wire::messages::*;
use wire::{ApiKey, Reader};

use super::answer;
use crate::connection::ReplyFuture;
use crate::handlers;
use crate::request::RequestContext;
use crate::server::Server;

macro_rules! routes {
    ($($key:ident, $request:ident => $handler:ident;)*) => {
        /// Takes up a request of any API of the table.
        ///
        /// # Errors
        /// The reason to close the connection, which is so for any other API.
        pub(super) fn route(
            server: &Arc<Server>,
            context: RequestContext,
            reader: &mut Reader,
        ) -> Result<ReplyFuture, String> {
            match context.api_key {
                $(ApiKey::$key => answer::<$request, _>(server, context, reader, handlers::$handler::handle),)*
                other => Err(format!("{other:?} is not supported")),
            }
        }
    };
}

routes! {
    // Topics, records and configuration.
    ListOffsets, ListOffsetsRequest => list_offsets;
    Metadata, MetadataRequest => metadata;
    ApiVersions, ApiVersionsRequest => api_versions;
    CreateTopics, CreateTopicsRequest => create_topics;
    DeleteTopics, DeleteTopicsRequest => delete_topics;
    DeleteRecords, DeleteRecordsRequest => delete_records;
    InitProducerId, InitProducerIdRequest => init_producer_id;
    OffsetForLeaderEpoch, OffsetForLeaderEpochRequest => offset_for_leader_epoch;
    DescribeConfigs, DescribeConfigsRequest => describe_configs;
    AlterConfigs, AlterConfigsRequest => alter_configs;
    DescribeLogDirs, DescribeLogDirsRequest => describe_log_dirs;
    CreatePartitions, CreatePartitionsRequest => create_partitions;
    ElectLeaders, ElectLeadersRequest => elect_leaders;
    IncrementalAlterConfigs, IncrementalAlterConfigsRequest => incremental_alter_configs;
    ListPartitionReassignments, ListPartitionReassignmentsRequest => list_partition_reassignments;
    DescribeCluster, DescribeClusterRequest => describe_cluster;
    DescribeProducers, DescribeProducersRequest => describe_producers;
    DescribeTopicPartitions, DescribeTopicPartitionsRequest => describe_topic_partitions;

    // What administrators call, and client telemetry.
    DescribeClientQuotas, DescribeClientQuotasRequest => describe_client_quotas;
    AlterClientQuotas, AlterClientQuotasRequest => alter_client_quotas;
    AlterReplicaLogDirs, AlterReplicaLogDirsRequest => alter_replica_log_dirs;
    AlterPartitionReassignments, AlterPartitionReassignmentsRequest => alter_partition_reassignments;
    DescribeUserScramCredentials, DescribeUserScramCredentialsRequest => describe_user_scram_credentials;
    DescribeQuorum, DescribeQuorumRequest => describe_quorum;
    UpdateFeatures, UpdateFeaturesRequest => update_features;
    UnregisterBroker, UnregisterBrokerRequest => unregister_broker;
    ListConfigResources, ListConfigResourcesRequest => list_config_resources;
    GetTelemetrySubscriptions, GetTelemetrySubscriptionsRequest => get_telemetry_subscriptions;
    PushTelemetry, PushTelemetryRequest => push_telemetry;

    // Delegation tokens.
    CreateDelegationToken, CreateDelegationTokenRequest => create_delegation_token;
    RenewDelegationToken, RenewDelegationTokenRequest => renew_delegation_token;
    ExpireDelegationToken, ExpireDelegationTokenRequest => expire_delegation_token;
    DescribeDelegationToken, DescribeDelegationTokenRequest => describe_delegation_token;

    // The group coordinator.
    OffsetCommit, OffsetCommitRequest => offset_commit;
    OffsetFetch, OffsetFetchRequest => offset_fetch;
    FindCoordinator, FindCoordinatorRequest => find_coordinator;
    JoinGroup, JoinGroupRequest => join_group;
    Heartbeat, HeartbeatRequest => heartbeat;
    LeaveGroup, LeaveGroupRequest => leave_group;
    SyncGroup, SyncGroupRequest => sync_group;
    DescribeGroups, DescribeGroupsRequest => describe_groups;
    ListGroups, ListGroupsRequest => list_groups;
    DeleteGroups, DeleteGroupsRequest => delete_groups;
    OffsetDelete, OffsetDeleteRequest => offset_delete;
    ConsumerGroupHeartbeat, ConsumerGroupHeartbeatRequest => consumer_group_heartbeat;
    ConsumerGroupDescribe, ConsumerGroupDescribeRequest => consumer_group_describe;

    // Share groups.
    ShareGroupHeartbeat, ShareGroupHeartbeatRequest => share_group_heartbeat;
    ShareGroupDescribe, ShareGroupDescribeRequest => share_group_describe;
    DescribeShareGroupOffsets, DescribeShareGroupOffsetsRequest => describe_share_group_offsets;
    AlterShareGroupOffsets, AlterShareGroupOffsetsRequest => alter_share_group_offsets;
    DeleteShareGroupOffsets, DeleteShareGroupOffsetsRequest => delete_share_group_offsets;

    // The share coordinator, and the leaders of share partitions.
    InitializeShareGroupState, InitializeShareGroupStateRequest => initialize_share_group_state;
    ReadShareGroupState, ReadShareGroupStateRequest => read_share_group_state;
    WriteShareGroupState, WriteShareGroupStateRequest => write_share_group_state;
    DeleteShareGroupState, DeleteShareGroupStateRequest => delete_share_group_state;
    ReadShareGroupStateSummary, ReadShareGroupStateSummaryRequest => read_share_group_state_summary;
    ShareFetch, ShareFetchRequest => share_fetch;
    ShareAcknowledge, ShareAcknowledgeRequest => share_acknowledge;

    // Streams groups.
    StreamsGroupHeartbeat, StreamsGroupHeartbeatRequest => streams_group_heartbeat;
    StreamsGroupDescribe, StreamsGroupDescribeRequest => streams_group_describe;
    StreamsGroupTopologyDescriptionUpdate, StreamsGroupTopologyDescriptionUpdateRequest => streams_group_topology_description_update;

    // Transactions.
    AddPartitionsToTxn, AddPartitionsToTxnRequest => add_partitions_to_txn;
    AddOffsetsToTxn, AddOffsetsToTxnRequest => add_offsets_to_txn;
    EndTxn, EndTxnRequest => end_txn;
    WriteTxnMarkers, WriteTxnMarkersRequest => write_txn_markers;
    TxnOffsetCommit, TxnOffsetCommitRequest => txn_offset_commit;
    DescribeTransactions, DescribeTransactionsRequest => describe_transactions;
    ListTransactions, ListTransactionsRequest => list_transactions;
}
