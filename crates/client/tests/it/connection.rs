//! [`client::Connection`] against a broker that misbehaves on purpose.

use std::net::SocketAddr;
use std::time::Duration;

use crate::support::{range, serve_one, versions};
use bytes::Bytes;
use client::{ClientError, CloseReason, Connection, ConnectionOptions};
use wire::messages::{
    ApiVersionsRequest, DescribeClusterRequest, ListGroupsRequest, ListGroupsResponse,
    MetadataRequest, MetadataResponse,
};

const METADATA: i16 = 3;
const API_VERSIONS: i16 = 18;
const DESCRIBE_CLUSTER: i16 = 60;

async fn connect(address: SocketAddr) -> Result<Connection, ClientError> {
    connect_with(address, |_| {}).await
}

async fn connect_with(
    address: SocketAddr,
    change: impl FnOnce(&mut ConnectionOptions),
) -> Result<Connection, ClientError> {
    let mut options = ConnectionOptions {
        client_id: "connection-test".to_owned(),
        request_timeout: Duration::from_secs(20),
        ..ConnectionOptions::default()
    };
    change(&mut options);
    Connection::connect(&address.to_string(), options).await
}

fn cluster(id: &str) -> MetadataResponse {
    MetadataResponse {
        cluster_id: Some(id.to_owned()),
        ..MetadataResponse::default()
    }
}

fn reason(error: ClientError) -> CloseReason {
    match error {
        ClientError::Closed { reason, .. } => reason,
        other => panic!("expected a closed connection, got {other:?}"),
    }
}

#[tokio::test]
async fn a_request_uses_the_newest_version_both_sides_know() {
    let (address, server) = serve_one(async |mut peer| {
        peer.exchange_versions(&[range(METADATA, 0, 9)]).await;
        let request = peer.receive().await.unwrap();
        assert_eq!(request.header.request_api_version, 9);
        assert_eq!(request.header.client_id.as_deref(), Some("connection-test"));
        peer.answer(&request, &cluster("abc")).await;
    })
    .await;

    let connection = connect(address).await.unwrap();
    assert_eq!(connection.version_of::<MetadataRequest>().unwrap(), 9);
    assert_eq!(
        connection
            .version_of_within::<MetadataRequest>(&(0..=4))
            .unwrap(),
        4
    );
    let response = connection.send(&MetadataRequest::default()).await.unwrap();
    assert_eq!(response.cluster_id.as_deref(), Some("abc"));
    server.await.unwrap();
}

#[tokio::test]
async fn an_old_broker_is_asked_for_its_versions_again_within_its_range() {
    let (address, server) = serve_one(async |mut peer| {
        let first = peer.receive().await.unwrap();
        assert!(first.header.request_api_version > 3);
        let mut refusal = versions(&[range(API_VERSIONS, 0, 3)]);
        refusal.error_code = 35;
        peer.answer_in(&first, &refusal, 0).await;
        let second = peer.receive().await.unwrap();
        assert_eq!(second.header.request_api_version, 3);
        assert_eq!(
            second.decode::<ApiVersionsRequest>().client_software_name,
            "affluent"
        );
        peer.answer(&second, &versions(&[])).await;
    })
    .await;

    connect(address).await.unwrap();
    server.await.unwrap();
}

#[tokio::test]
async fn an_api_the_broker_lacks_is_named_with_both_ranges() {
    let (address, _server) = serve_one(async |mut peer| {
        peer.exchange_versions(&[range(DESCRIBE_CLUSTER, 0, -1), range(METADATA, 90, 99)])
            .await;
        assert!(peer.receive().await.is_none(), "nothing may be sent");
    })
    .await;

    let connection = connect(address).await.unwrap();
    let error = connection
        .send(&DescribeClusterRequest::default())
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("DescribeCluster") && text.contains("no such API"),
        "{text}"
    );
    let error = connection
        .send(&MetadataRequest::default())
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("the broker versions 90 to 99"),
        "{error}"
    );
}

#[tokio::test]
async fn requests_are_sent_without_waiting_and_answered_in_order() {
    let (address, server) = serve_one(async |mut peer| {
        peer.exchange_versions(&[]).await;
        let mut requests = Vec::new();
        for _ in 0..3 {
            requests.push(peer.receive().await.unwrap());
        }
        for (index, request) in requests.iter().enumerate() {
            peer.answer(request, &cluster(&format!("answer-{index}")))
                .await;
        }
    })
    .await;

    let connection = connect(address).await.unwrap();
    let request = MetadataRequest::default();
    let (a, b, c) = tokio::join!(
        connection.send(&request),
        connection.send(&request),
        connection.send(&request)
    );
    let ids: Vec<_> = [a, b, c]
        .into_iter()
        .map(|answer| answer.unwrap().cluster_id.unwrap())
        .collect();
    assert_eq!(ids, ["answer-0", "answer-1", "answer-2"]);
    server.await.unwrap();
}

#[tokio::test]
async fn only_so_many_requests_wait_at_a_time() {
    let (address, server) = serve_one(async |mut peer| {
        peer.exchange_versions(&[]).await;
        let first = peer.receive().await.unwrap();
        let early = tokio::time::timeout(Duration::from_millis(50), peer.receive()).await;
        assert!(
            early.is_err(),
            "the second request came before the first was answered"
        );
        peer.answer(&first, &cluster("first")).await;
        let second = peer.receive().await.unwrap();
        peer.answer(&second, &cluster("second")).await;
    })
    .await;

    let connection = connect_with(address, |options| options.in_flight_max = 1)
        .await
        .unwrap();
    let request = MetadataRequest::default();
    let (a, b) = tokio::join!(connection.send(&request), connection.send(&request));
    assert_eq!(a.unwrap().cluster_id.as_deref(), Some("first"));
    assert_eq!(b.unwrap().cluster_id.as_deref(), Some("second"));
    server.await.unwrap();
}

#[tokio::test]
async fn a_request_that_is_not_answered_ends_the_connection_for_all() {
    let (address, _server) = serve_one(async |mut peer| {
        peer.exchange_versions(&[]).await;
        while peer.receive().await.is_some() {}
    })
    .await;

    let limit = Duration::from_millis(100);
    let connection = connect_with(address, |options| options.request_timeout = limit)
        .await
        .unwrap();
    let metadata = MetadataRequest::default();
    let groups = ListGroupsRequest::default();
    let (a, b) = tokio::join!(connection.send(&metadata), connection.send(&groups));
    for error in [a.unwrap_err(), b.unwrap_err()] {
        assert!(matches!(reason(error), CloseReason::TimedOut { .. }));
    }
    assert!(connection.is_closed());
    let later = connection.send(&metadata).await.unwrap_err();
    assert!(
        matches!(reason(later), CloseReason::TimedOut { .. }),
        "the first reason stays"
    );
}

#[tokio::test]
async fn a_response_longer_than_the_limit_is_refused_before_it_is_read() {
    let (address, _server) = serve_one(async |mut peer| {
        peer.exchange_versions(&[]).await;
        let _request = peer.receive().await.unwrap();
        peer.write_raw(&i32::MAX.to_be_bytes()).await;
        assert!(peer.receive().await.is_none());
    })
    .await;

    let limit = 1 << 20;
    let connection = connect_with(address, |options| options.response_bytes_max = limit)
        .await
        .unwrap();
    let error = connection
        .send(&MetadataRequest::default())
        .await
        .unwrap_err();
    match reason(error) {
        CloseReason::FrameLength { length, max } => assert_eq!((length, max), (i32::MAX, limit)),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_answer_to_another_request_ends_the_connection() {
    let (address, _server) = serve_one(async |mut peer| {
        peer.exchange_versions(&[]).await;
        let mut request = peer.receive().await.unwrap();
        request.header.correlation_id += 7;
        peer.answer(&request, &cluster("other")).await;
        assert!(peer.receive().await.is_none());
    })
    .await;

    let connection = connect(address).await.unwrap();
    let error = connection
        .send(&MetadataRequest::default())
        .await
        .unwrap_err();
    assert!(matches!(
        reason(error),
        CloseReason::OutOfOrder {
            expected: Some(1),
            found: 8
        }
    ));
}

#[tokio::test]
async fn a_broker_that_hangs_up_answers_everyone_with_that() {
    let (address, _server) = serve_one(async |mut peer| {
        peer.exchange_versions(&[]).await;
        for _ in 0..2 {
            peer.receive().await.unwrap();
        }
    })
    .await;

    let connection = connect(address).await.unwrap();
    let request = MetadataRequest::default();
    let (a, b) = tokio::join!(connection.send(&request), connection.send(&request));
    for error in [a.unwrap_err(), b.unwrap_err()] {
        assert!(matches!(
            reason(error),
            CloseReason::Peer | CloseReason::Io(_)
        ));
    }
}

#[tokio::test]
async fn an_answer_cut_short_names_the_message_and_the_place() {
    let (address, _server) = serve_one(async |mut peer| {
        peer.exchange_versions(&[]).await;
        let request = peer.receive().await.unwrap();
        let mut body = request.header.correlation_id.to_be_bytes().to_vec();
        body.extend([0, 0, 0]);
        peer.write(&Bytes::from(body)).await;
        let again = peer.receive().await.unwrap();
        peer.answer(&again, &ListGroupsResponse::default()).await;
    })
    .await;

    let connection = connect(address).await.unwrap();
    let error = connection
        .send(&MetadataRequest::default())
        .await
        .unwrap_err();
    let chain = base::ErrorChain(&error).to_string();
    assert!(
        chain.contains("MetadataResponse version") && chain.contains("at byte"),
        "{chain}"
    );
    // The frame was whole, so the connection goes on.
    connection
        .send(&ListGroupsRequest::default())
        .await
        .unwrap();
}

#[tokio::test]
async fn nobody_listening_is_unreachable() {
    let (listener, address) = crate::support::listen().await;
    drop(listener);
    let error = connect(address).await.unwrap_err();
    assert!(
        matches!(&error, ClientError::Unreachable { .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains(&address.to_string()));
}

#[tokio::test]
async fn the_last_handle_dropped_closes_the_socket() {
    let (address, server) = serve_one(async |mut peer| {
        peer.exchange_versions(&[]).await;
        assert!(peer.receive().await.is_none());
    })
    .await;

    let connection = connect(address).await.unwrap();
    let clone = connection.clone();
    drop(connection);
    assert!(!clone.is_closed());
    drop(clone);
    server.await.unwrap();
}
