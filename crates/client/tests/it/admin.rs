//! [`client::Admin`] against a broker whose leadership moves.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{Peer, Received, listen, range};
use client::admin::{NewTopic, TopicPartition};
use client::{Admin, AdminOptions, ClientError};
use wire::messages::api_versions_response::ApiVersion;
use wire::messages::consumer_protocol_assignment::TopicPartition as Assigned;
use wire::messages::create_topics_response::CreatableTopicResult;
use wire::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use wire::messages::find_coordinator_response::Coordinator;
use wire::messages::list_groups_response::ListedGroup;
use wire::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use wire::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use wire::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};
use wire::messages::{
    ConsumerProtocolAssignment, CreateTopicsResponse, DescribeGroupsResponse,
    FindCoordinatorRequest, FindCoordinatorResponse, ListGroupsRequest, ListGroupsResponse,
    ListOffsetsResponse, MetadataResponse, OffsetFetchResponse,
};
use wire::{ErrorCode, Message, Writer};

/// A broker with topic `orders` of one partition and the classic group `readers`, which has read 4 of 10
/// records. The first `stumbles` answers of each kind that can move say so.
#[derive(Clone)]
struct Broker {
    address: SocketAddr,
    stumbles: Arc<AtomicUsize>,
    versions: Vec<ApiVersion>,
}

impl Broker {
    /// An older broker, without ConsumerGroupDescribe.
    async fn start(stumbles: usize) -> Broker {
        Broker::with_versions(stumbles, vec![range(69, 0, -1)]).await
    }

    async fn with_versions(stumbles: usize, versions: Vec<ApiVersion>) -> Broker {
        let (listener, address) = listen().await;
        let broker = Broker {
            address,
            stumbles: Arc::new(AtomicUsize::new(stumbles)),
            versions,
        };
        let serving = broker.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(Peer::new(stream)));
            }
        });
        broker
    }

    async fn admin(&self) -> Admin {
        Admin::connect(&self.address.to_string(), AdminOptions::default())
            .await
            .unwrap()
    }

    /// `code` while there is something left to stumble over, else 0.
    fn stumble(&self, code: ErrorCode) -> i16 {
        let left = self
            .stumbles
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            });
        if left.is_ok() { code as i16 } else { 0 }
    }

    async fn serve(self, mut peer: Peer) {
        peer.exchange_versions(&self.versions).await;
        while let Some(request) = peer.receive().await {
            match request.header.request_api_key {
                2 => peer.answer(&request, &self.list_offsets()).await,
                3 => peer.answer(&request, &self.metadata()).await,
                9 => peer.answer(&request, &offset_fetch(&request)).await,
                10 => {
                    peer.answer(&request, &self.find_coordinator(&request))
                        .await;
                }
                15 => peer.answer(&request, &self.describe_groups()).await,
                16 => peer.answer(&request, &list_groups(&request)).await,
                19 => peer.answer(&request, &self.create_topics()).await,
                key => panic!("unexpected API {key}"),
            }
        }
    }

    fn metadata(&self) -> MetadataResponse {
        MetadataResponse {
            cluster_id: Some("cluster-1".to_owned()),
            controller_id: 7,
            brokers: vec![MetadataResponseBroker {
                node_id: 7,
                host: self.address.ip().to_string(),
                port: i32::from(self.address.port()),
                rack: None,
            }],
            topics: vec![MetadataResponseTopic {
                name: Some("orders".to_owned()),
                partitions: vec![MetadataResponsePartition {
                    leader_id: 7,
                    replica_nodes: vec![7],
                    isr_nodes: vec![7],
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        }
    }

    fn find_coordinator(&self, request: &Received) -> FindCoordinatorResponse {
        let mut asked: FindCoordinatorRequest = request.decode();
        FindCoordinatorResponse {
            coordinators: vec![Coordinator {
                key: asked.coordinator_keys.remove(0),
                node_id: 7,
                host: self.address.ip().to_string(),
                port: i32::from(self.address.port()),
                error_code: self.stumble(ErrorCode::CoordinatorNotAvailable),
                error_message: None,
            }],
            ..Default::default()
        }
    }

    fn describe_groups(&self) -> DescribeGroupsResponse {
        let assignment = ConsumerProtocolAssignment {
            assigned_partitions: vec![Assigned {
                topic: "orders".to_owned(),
                partitions: vec![0],
            }],
            user_data: None,
        };
        let mut writer = Writer::default();
        writer.i16(0);
        assignment.encode(&mut writer, 0).unwrap();
        DescribeGroupsResponse {
            groups: vec![DescribedGroup {
                error_code: self.stumble(ErrorCode::NotCoordinator),
                group_id: "readers".to_owned(),
                group_state: "Stable".to_owned(),
                protocol_type: "consumer".to_owned(),
                protocol_data: "range".to_owned(),
                members: vec![DescribedGroupMember {
                    member_id: "m-1".to_owned(),
                    client_id: "c-1".to_owned(),
                    client_host: "/127.0.0.1".to_owned(),
                    member_assignment: writer.into_bytes().unwrap(),
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        }
    }

    fn list_offsets(&self) -> ListOffsetsResponse {
        ListOffsetsResponse {
            topics: vec![ListOffsetsTopicResponse {
                name: "orders".to_owned(),
                partitions: vec![ListOffsetsPartitionResponse {
                    error_code: self.stumble(ErrorCode::NotLeaderOrFollower),
                    offset: 10,
                    ..Default::default()
                }],
            }],
            ..Default::default()
        }
    }

    fn create_topics(&self) -> CreateTopicsResponse {
        let error_code = match self.stumble(ErrorCode::NotController) {
            0 => ErrorCode::InvalidPartitions as i16,
            moved => moved,
        };
        CreateTopicsResponse {
            topics: vec![CreatableTopicResult {
                name: "orders".to_owned(),
                error_code,
                error_message: Some("Number of partitions must be larger than 0.".to_owned()),
                ..Default::default()
            }],
            ..Default::default()
        }
    }
}

/// One group of the type asked for.
fn list_groups(request: &Received) -> ListGroupsResponse {
    let asked: ListGroupsRequest = request.decode();
    let groups = asked.types_filter.into_iter().map(|kind| ListedGroup {
        group_id: format!("of-{kind}"),
        group_type: kind,
        ..ListedGroup::default()
    });
    ListGroupsResponse {
        groups: groups.collect(),
        ..ListGroupsResponse::default()
    }
}

fn offset_fetch(request: &Received) -> OffsetFetchResponse {
    assert!(
        request.header.request_api_version <= 9,
        "version 10 has no topic names"
    );
    OffsetFetchResponse {
        groups: vec![OffsetFetchResponseGroup {
            group_id: "readers".to_owned(),
            topics: vec![OffsetFetchResponseTopics {
                name: "orders".to_owned(),
                partitions: vec![OffsetFetchResponsePartitions {
                    committed_offset: 4,
                    committed_leader_epoch: -1,
                    metadata: Some(String::new()),
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

#[tokio::test]
async fn lag_is_found_although_the_coordinator_moves() {
    let broker = Broker::start(3).await;
    let lag = broker.admin().await.group_lag("readers").await.unwrap();
    assert_eq!(
        broker.stumbles.load(Ordering::SeqCst),
        0,
        "the broker must have stumbled"
    );
    assert_eq!(lag.group.state, "Stable");
    assert_eq!(lag.partitions.len(), 1);
    let orders = &lag.partitions[0];
    assert_eq!(
        orders.partition,
        TopicPartition {
            topic: "orders".to_owned(),
            partition: 0
        }
    );
    assert_eq!(
        (orders.current_offset, orders.log_end_offset),
        (Some(4), Some(10))
    );
    assert_eq!(orders.lag(), Some(6));
    let member = orders.member.as_ref().unwrap();
    assert_eq!(
        (member.member_id.as_str(), member.host.as_str()),
        ("m-1", "127.0.0.1")
    );
}

#[tokio::test]
async fn a_refusal_carries_the_brokers_words_and_is_not_tried_again() {
    let broker = Broker::start(1).await;
    let topic = NewTopic {
        name: "orders".to_owned(),
        ..NewTopic::default()
    };
    let error = broker.admin().await.create_topic(&topic).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "CreateTopics for topic 'orders': INVALID_PARTITIONS (37): \
         Number of partitions must be larger than 0."
    );
    assert_eq!(error.error_code(), Some(ErrorCode::InvalidPartitions));
}

#[tokio::test]
async fn the_next_bootstrap_address_is_tried() {
    let broker = Broker::start(0).await;
    let (listener, nobody) = listen().await;
    drop(listener);
    let bootstrap = format!("{nobody},{}", broker.address);
    let admin = Admin::connect(&bootstrap, AdminOptions::default())
        .await
        .unwrap();
    let cluster = admin.describe_cluster().await.unwrap();
    assert_eq!(
        (cluster.cluster_id.as_str(), cluster.controller_id),
        ("cluster-1", Some(7))
    );

    let error = Admin::connect(&nobody.to_string(), AdminOptions::default())
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }));
}

const LIST_GROUPS: i16 = 16;
const SHARE_GROUP_DESCRIBE: i16 = 77;
const STREAMS_GROUP_DESCRIBE: i16 = 89;

#[tokio::test]
async fn groups_are_listed_by_type() {
    let admin = Broker::with_versions(0, Vec::new()).await.admin().await;
    let share = admin.list_share_groups().await.unwrap();
    assert_eq!((share.len(), share[0].group_id.as_str()), (1, "of-Share"));
    let streams = admin.list_streams_groups().await.unwrap();
    assert_eq!(streams[0].group_id, "of-Streams");
    assert_eq!(streams[0].coordinator.id, 7);
}

#[tokio::test]
async fn brokers_without_groups_of_a_type_say_so_instead_of_listing_none() {
    let without = |key| vec![range(key, 0, -1)];
    let admin = Broker::with_versions(0, without(SHARE_GROUP_DESCRIBE)).await;
    let admin = admin.admin().await;
    for error in [
        admin.list_share_groups().await.unwrap_err(),
        admin.describe_share_group("g").await.unwrap_err(),
    ] {
        assert!(
            matches!(
                error,
                ClientError::NotSupported {
                    api: "ShareGroupDescribe",
                    theirs: None,
                    ..
                }
            ),
            "{error}"
        );
    }
    assert_eq!(admin.list_streams_groups().await.unwrap().len(), 1);

    let admin = Broker::with_versions(0, without(STREAMS_GROUP_DESCRIBE)).await;
    let admin = admin.admin().await;
    let error = admin.describe_streams_group("g").await.unwrap_err();
    assert!(matches!(error, ClientError::NotSupported { .. }), "{error}");

    // A version that cannot filter would list every group.
    let admin = Broker::with_versions(0, vec![range(LIST_GROUPS, 0, 4)]).await;
    let error = admin.admin().await.list_share_groups().await.unwrap_err();
    let wanted = "does not support ListGroups: this client speaks versions 5 to 5, the broker versions 0 to 4";
    assert!(error.to_string().ends_with(wanted), "{error}");
}
