//! Every message in every version: random ones read back equal, agree with an independent implementation,
//! have the bytes they always had, and no damage to their bytes makes the decoder panic.

use bytes::Bytes;
use wire::sample::{Sample, Sampler};
use wire::{Message, Reader, Writer};

/// Random messages per version.
const SAMPLES: u64 = 16;

fn encode<M: Message>(message: &M, version: i16) -> Bytes {
    let mut writer = Writer::default();
    message
        .encode(&mut writer, version)
        .unwrap_or_else(|error| panic!("{error}: {}", M::NAME));
    writer.into_bytes().unwrap_or_default()
}

fn sample<M: Message + Sample>(version: i16, seed: u64) -> M {
    M::sample(&mut Sampler::new(seed ^ (version as u64) << 32), version)
}

fn round_trips<M: Message + Sample + PartialEq + std::fmt::Debug>() {
    for version in M::MIN_VERSION..=M::MAX_VERSION {
        for seed in 0..SAMPLES {
            let message: M = sample(version, seed);
            let bytes = encode(&message, version);
            let mut reader = Reader::new(bytes.clone());
            let read = M::decode(&mut reader, version).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(read, message, "{} version {version} seed {seed}", M::NAME);
            assert_eq!(
                reader.remaining(),
                0,
                "{} version {version} seed {seed}",
                M::NAME
            );
        }
    }
}

/// Cuts, flips and overwrites bytes: the decoder may refuse or misread, not panic, and must not take more
/// memory than the bytes justify.
fn survives_damage<M: Message + Sample>() {
    let mut damage = Sampler::new(7);
    for version in M::MIN_VERSION..=M::MAX_VERSION {
        let bytes = encode(&sample::<M>(version, 1), version);
        for cut in 0..bytes.len().min(400) {
            let mut reader = Reader::new(bytes.slice(..cut));
            drop(M::decode(&mut reader, version));
        }
        for _ in 0..64 {
            let mut copy = bytes.to_vec();
            if copy.is_empty() {
                break;
            }
            for _ in 0..=damage.bits() % 3 {
                let at = damage.bits() as usize % copy.len();
                copy[at] = match damage.bits() % 3 {
                    0 => 0xff,
                    1 => 0x7f,
                    _ => damage.bits() as u8,
                };
            }
            drop(M::decode(&mut Reader::new(Bytes::from(copy)), version));
        }
    }
}

macro_rules! with_every_message {
    ($(($name:ident, $request:ident, $response:ident))*) => {
        #[test]
        fn every_message_reads_back_equal() {
            $(
                round_trips::<wire::messages::$request>();
                round_trips::<wire::messages::$response>();
            )*
            round_trips::<wire::messages::RequestHeader>();
            round_trips::<wire::messages::ResponseHeader>();
            round_trips::<wire::messages::ConsumerProtocolSubscription>();
            round_trips::<wire::messages::ConsumerProtocolAssignment>();
            round_trips::<wire::coordinator_records::OffsetCommitKey>();
            round_trips::<wire::coordinator_records::OffsetCommitValue>();
            round_trips::<wire::coordinator_records::GroupMetadataValue>();
            round_trips::<wire::coordinator_records::TransactionLogValue>();
            round_trips::<wire::coordinator_records::ShareSnapshotValue>();
        }

        #[test]
        fn damaged_bytes_never_panic() {
            $(
                survives_damage::<wire::messages::$request>();
                survives_damage::<wire::messages::$response>();
            )*
        }

        /// One message per API, direction and version, as `name version hex`.
        fn golden_lines() -> Vec<String> {
            let mut lines = Vec::new();
            $(
                golden_of::<wire::messages::$request>(&mut lines);
                golden_of::<wire::messages::$response>(&mut lines);
            )*
            lines
        }
    };
}
wire::for_each_api!(with_every_message);

fn golden_of<M: Message + Sample>(lines: &mut Vec<String>) {
    for version in M::MIN_VERSION..=M::MAX_VERSION {
        let bytes = encode(&sample::<M>(version, 3), version);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        lines.push(format!("{} {version} {hex}", M::NAME));
    }
}

/// `tests/golden/messages.txt` holds bytes that the Java client was seen to read and to write back unchanged
/// (the compat lane's `wire-messages` case does so again). `UPDATE_GOLDEN=1` rewrites the file.
#[test]
fn bytes_are_those_the_java_client_agreed_to() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/messages.txt");
    let lines = golden_lines();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, lines.join("\n") + "\n").unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap();
    assert_eq!(golden.lines().count(), lines.len());
    for (golden, line) in golden.lines().zip(&lines) {
        assert_eq!(golden, line);
    }
}

mod differential {
    //! The published `kafka-protocol` crate reads what we write and writes the same bytes back, for the APIs
    //! and versions it has (Kafka 4.1).

    use kafka_protocol::protocol::{Decodable, Encodable};

    use super::*;

    fn agrees<
        Ours: Message + Sample,
        Theirs: Encodable + Decodable + kafka_protocol::protocol::Message,
    >() {
        let theirs = Theirs::VERSIONS;
        let (low, high) = (
            Ours::MIN_VERSION.max(theirs.min),
            Ours::MAX_VERSION.min(theirs.max),
        );
        assert!(low <= high, "{} has no version in common", Ours::NAME);
        for version in low..=high {
            for seed in 0..SAMPLES {
                let bytes = encode(&sample::<Ours>(version, seed), version);
                let mut buffer = bytes.clone();
                let read = Theirs::decode(&mut buffer, version).unwrap_or_else(|error| {
                    panic!("{} version {version} seed {seed}: {error}", Ours::NAME)
                });
                assert!(
                    buffer.is_empty(),
                    "{} version {version} seed {seed}",
                    Ours::NAME
                );
                let mut back = bytes::BytesMut::new();
                read.encode(&mut back, version).unwrap_or_else(|error| {
                    panic!("{} version {version} seed {seed}: {error}", Ours::NAME)
                });
                assert_eq!(
                    back.freeze(),
                    bytes,
                    "{} version {version} seed {seed}",
                    Ours::NAME
                );
            }
        }
    }

    macro_rules! differential {
        ($($name:ident)*) => {
            $(agrees::<wire::messages::$name, kafka_protocol::messages::$name>();)*
        };
    }

    #[test]
    fn kafka_protocol_writes_the_same_bytes() {
        differential! {
            ProduceRequest ProduceResponse FetchRequest FetchResponse
            ListOffsetsRequest ListOffsetsResponse MetadataRequest MetadataResponse
            OffsetCommitRequest OffsetCommitResponse OffsetFetchRequest OffsetFetchResponse
            FindCoordinatorRequest FindCoordinatorResponse JoinGroupRequest JoinGroupResponse
            HeartbeatRequest HeartbeatResponse LeaveGroupRequest LeaveGroupResponse
            SyncGroupRequest SyncGroupResponse DescribeGroupsRequest DescribeGroupsResponse
            ListGroupsRequest ListGroupsResponse SaslHandshakeRequest SaslHandshakeResponse
            ApiVersionsRequest ApiVersionsResponse CreateTopicsRequest CreateTopicsResponse
            DeleteTopicsRequest DeleteTopicsResponse DeleteRecordsRequest DeleteRecordsResponse
            InitProducerIdRequest InitProducerIdResponse
            OffsetForLeaderEpochRequest OffsetForLeaderEpochResponse
            AddPartitionsToTxnRequest AddPartitionsToTxnResponse
            AddOffsetsToTxnRequest AddOffsetsToTxnResponse EndTxnRequest EndTxnResponse
            WriteTxnMarkersRequest WriteTxnMarkersResponse
            TxnOffsetCommitRequest TxnOffsetCommitResponse
            DescribeAclsRequest DescribeAclsResponse CreateAclsRequest CreateAclsResponse
            DeleteAclsRequest DeleteAclsResponse DescribeConfigsRequest DescribeConfigsResponse
            AlterConfigsRequest AlterConfigsResponse DescribeLogDirsRequest DescribeLogDirsResponse
            SaslAuthenticateRequest SaslAuthenticateResponse
            CreatePartitionsRequest CreatePartitionsResponse
            CreateDelegationTokenRequest CreateDelegationTokenResponse
            DescribeDelegationTokenRequest DescribeDelegationTokenResponse
            DeleteGroupsRequest DeleteGroupsResponse ElectLeadersRequest ElectLeadersResponse
            IncrementalAlterConfigsRequest IncrementalAlterConfigsResponse
            AlterPartitionReassignmentsRequest AlterPartitionReassignmentsResponse
            ListPartitionReassignmentsRequest ListPartitionReassignmentsResponse
            OffsetDeleteRequest OffsetDeleteResponse
            DescribeClientQuotasRequest DescribeClientQuotasResponse
            AlterClientQuotasRequest AlterClientQuotasResponse
            DescribeUserScramCredentialsRequest DescribeUserScramCredentialsResponse
            DescribeQuorumRequest DescribeQuorumResponse UpdateFeaturesRequest UpdateFeaturesResponse
            DescribeClusterRequest DescribeClusterResponse
            DescribeProducersRequest DescribeProducersResponse
            DescribeTransactionsRequest DescribeTransactionsResponse
            ListTransactionsRequest ListTransactionsResponse
            ConsumerGroupHeartbeatRequest ConsumerGroupHeartbeatResponse
            ConsumerGroupDescribeRequest ConsumerGroupDescribeResponse
            DescribeTopicPartitionsRequest DescribeTopicPartitionsResponse
            ShareGroupHeartbeatRequest ShareGroupHeartbeatResponse
            ShareFetchRequest ShareFetchResponse
        }
    }
}
