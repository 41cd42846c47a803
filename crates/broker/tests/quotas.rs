//! Quotas over sockets: stored, described, enforced at once, kept over a restart.
//!
//! The windows are short here (two samples of a second), so that throttle times are too. A connection that is
//! held back is recognised by its next answer, which must not come before the throttle time it was told.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::{Duration, Instant};

use support::{Client, Running, produce, topic};
use wire::ErrorCode;
use wire::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use wire::messages::create_partitions_request::CreatePartitionsTopic;
use wire::messages::delete_topics_request::DeleteTopicState;
use wire::messages::describe_client_quotas_request::ComponentData;
use wire::messages::fetch_request::{FetchPartition, FetchTopic};
use wire::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use wire::messages::{
    AlterClientQuotasRequest, ApiVersionsRequest, CreatePartitionsRequest, CreateTopicsRequest,
    DeleteTopicsRequest, DescribeClientQuotasRequest, FetchRequest, IncrementalAlterConfigsRequest,
    MetadataRequest,
};

const LIMIT: Duration = Duration::from_secs(60);

const SHORT_WINDOWS: [(&str, &str); 2] = [
    ("quota.window.num", "2"),
    ("controller.quota.window.num", "2"),
];

fn entry(entity: &[(&str, Option<&str>)], ops: &[(&str, Option<f64>)]) -> EntryData {
    EntryData {
        entity: entity
            .iter()
            .map(|(kind, name)| EntityData {
                entity_type: (*kind).to_owned(),
                entity_name: name.map(str::to_owned),
            })
            .collect(),
        ops: ops
            .iter()
            .map(|(key, value)| OpData {
                key: (*key).to_owned(),
                value: value.unwrap_or_default(),
                remove: value.is_none(),
            })
            .collect(),
    }
}

/// Alters quotas; returns code and message of each entry.
fn alter(
    client: &mut Client,
    entries: Vec<EntryData>,
    validate_only: bool,
) -> Vec<(i16, Option<String>)> {
    let request = AlterClientQuotasRequest {
        entries,
        validate_only,
    };
    let response = client.call(1, &request);
    let result = |entry: wire::messages::alter_client_quotas_response::EntryData| {
        (entry.error_code, entry.error_message)
    };
    response.entries.into_iter().map(result).collect()
}

fn set(client: &mut Client, entity: &[(&str, Option<&str>)], key: &str, value: f64) {
    let altered = alter(client, vec![entry(entity, &[(key, Some(value))])], false);
    assert_eq!(altered, [(0, None)]);
}

/// All quotas, as text.
fn described(client: &mut Client, components: Vec<ComponentData>, strict: bool) -> Vec<String> {
    let request = DescribeClientQuotasRequest { components, strict };
    let response = client.call(1, &request);
    assert_eq!(response.error_code, 0, "{response:?}");
    let show = |entry: &wire::messages::describe_client_quotas_response::EntryData| {
        let entity: Vec<String> = entry
            .entity
            .iter()
            .map(|part| {
                let name = part.entity_name.as_deref().unwrap_or("<default>");
                format!("{} {name}", part.entity_type)
            })
            .collect();
        let values: Vec<String> = entry
            .values
            .iter()
            .map(|value| format!("{}={}", value.key, value.value))
            .collect();
        format!("{}: {}", entity.join(", "), values.join(", "))
    };
    response.entries.unwrap().iter().map(show).collect()
}

/// Asserts that the connection answers again, but not before the time it was told is over. `begun` is before the request
/// whose answer told it: the broker counts from that answer, which a slow machine shows late.
fn assert_held(client: &mut Client, begun: Instant, throttle_time_ms: i32) {
    client.call(9, &MetadataRequest::default());
    let waited_ms = begun.elapsed().as_millis();
    let told_ms = throttle_time_ms.unsigned_abs();
    assert!(
        waited_ms >= u128::from(told_ms),
        "told {told_ms} ms, held for {waited_ms} ms"
    );
}

#[test]
fn quotas_are_stored_described_and_removed() {
    let directory = tempfile::tempdir().unwrap();
    let running = Running::start(directory.path(), &[]);
    let mut client = running.connect("admin");
    let alice = [("user", Some("alice"))];
    let both = [("user", Some("alice")), ("client-id", None)];
    let altered = alter(
        &mut client,
        vec![
            entry(
                &alice,
                &[
                    ("producer_byte_rate", Some(1e6)),
                    ("request_percentage", Some(12.5)),
                ],
            ),
            entry(&both, &[("consumer_byte_rate", Some(1024.0))]),
            entry(
                &[("ip", Some("192.0.2.7"))],
                &[("connection_creation_rate", Some(3.0))],
            ),
            entry(&[("ip", None)], &[("producer_byte_rate", Some(3.0))]),
            entry(&[("group", None)], &[]),
        ],
        false,
    );
    let codes: Vec<i16> = altered.iter().map(|(code, _)| *code).collect();
    let invalid = ErrorCode::InvalidRequest.code();
    assert_eq!(codes, [0, 0, 0, invalid, invalid]);
    assert_eq!(
        altered[3].1.as_deref(),
        Some("Invalid configuration key producer_byte_rate")
    );

    let checked = vec![entry(
        &[("client-id", Some("x"))],
        &[("consumer_byte_rate", Some(1.0))],
    )];
    assert_eq!(alter(&mut client, checked, true), [(0, None)]);
    let twice = vec![
        entry(
            &[("client-id", Some("y"))],
            &[("consumer_byte_rate", Some(1.0))],
        ),
        entry(
            &[("client-id", Some("y"))],
            &[("consumer_byte_rate", Some(2.0))],
        ),
    ];
    assert_eq!(alter(&mut client, twice, false)[0].0, invalid);

    let all = [
        "user alice, client-id <default>: consumer_byte_rate=1024",
        "user alice: producer_byte_rate=1000000, request_percentage=12.5",
        "ip 192.0.2.7: connection_creation_rate=3",
    ];
    let mut found = described(&mut client, vec![], false);
    let mut expected: Vec<String> = all.iter().map(|text| (*text).to_owned()).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    running.stop();

    let running = Running::start(directory.path(), &[]);
    let mut client = running.connect("admin");
    let mut found = described(&mut client, vec![], false);
    found.sort();
    assert_eq!(found, expected, "kept over a restart");
    let exactly_alice = ComponentData {
        entity_type: "user".to_owned(),
        match_type: 0,
        r#match: Some("alice".to_owned()),
    };
    let strict = described(&mut client, vec![exactly_alice.clone()], true);
    assert_eq!(strict, [all[1]]);
    assert_eq!(described(&mut client, vec![exactly_alice], false).len(), 2);
    let nonsense = DescribeClientQuotasRequest {
        components: vec![ComponentData {
            entity_type: "user".to_owned(),
            match_type: 9,
            r#match: None,
        }],
        strict: false,
    };
    let response = client.call(0, &nonsense);
    assert_eq!(response.error_code, invalid);
    assert_eq!(response.entries, None);

    let removed = vec![
        entry(
            &alice,
            &[("producer_byte_rate", None), ("request_percentage", None)],
        ),
        entry(&both, &[("consumer_byte_rate", None)]),
        entry(
            &[("ip", Some("192.0.2.7"))],
            &[("connection_creation_rate", None)],
        ),
    ];
    assert_eq!(alter(&mut client, removed, false).len(), 3);
    assert!(described(&mut client, vec![], false).is_empty());
    running.stop();
}

#[test]
fn a_producer_over_its_rate_is_answered_then_held_back() {
    let directory = tempfile::tempdir().unwrap();
    let running = Running::start(directory.path(), &SHORT_WINDOWS);
    let mut admin = running.connect("admin");
    admin.create_topic("t", 1);
    let mut producer = running.connect("producer");
    assert_eq!(
        producer.call(9, &produce("t", 100_000, 1)).throttle_time_ms,
        0
    );
    // Kafka's precedence: the user's own limit lets pass what the client id's would not.
    set(
        &mut admin,
        &[("client-id", Some("producer"))],
        "producer_byte_rate",
        10_000.0,
    );
    for version in [3, 12] {
        let begun = Instant::now();
        let response = producer.call(version, &produce("t", 15_000, 1));
        let throttle_ms = response.throttle_time_ms;
        assert!(
            (300..=5_000).contains(&throttle_ms),
            "version {version}: {throttle_ms}"
        );
        assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
        assert_held(&mut producer, begun, throttle_ms);
    }
    // Without an answer the connection is held back all the same.
    let begun = Instant::now();
    producer.send(9, &produce("t", 20_000, 0));
    producer.call(9, &MetadataRequest::default());
    assert!(
        begun.elapsed() > Duration::from_millis(400),
        "{:?}",
        begun.elapsed()
    );

    let other = running.connect("other").call(9, &produce("t", 100_000, 1));
    assert_eq!(other.throttle_time_ms, 0, "another client id has no limit");
    set(
        &mut admin,
        &[("user", Some("ANONYMOUS"))],
        "producer_byte_rate",
        1e9,
    );
    let response = producer.call(9, &produce("t", 100_000, 1));
    assert_eq!(response.throttle_time_ms, 0, "the user's own limit wins");
    running.stop();
}

fn fetch(session_id: i32, session_epoch: i32, offset: i64) -> FetchRequest {
    FetchRequest {
        max_wait_ms: 0,
        min_bytes: 1,
        max_bytes: 1_000_000,
        session_id,
        session_epoch,
        topics: vec![FetchTopic {
            topic: "t".to_owned(),
            partitions: vec![FetchPartition {
                partition: 0,
                fetch_offset: offset,
                partition_max_bytes: 1_000_000,
                ..FetchPartition::default()
            }],
            ..FetchTopic::default()
        }],
        ..FetchRequest::default()
    }
}

#[test]
fn a_consumer_over_its_rate_gets_an_empty_answer_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let running = Running::start(directory.path(), &SHORT_WINDOWS);
    let mut admin = running.connect("admin");
    admin.create_topic("t", 1);
    for _ in 0..10 {
        admin.call(9, &produce("t", 4_000, 1));
    }
    let mut consumer = running.connect("consumer");
    let opened = consumer.call(12, &fetch(0, 0, 0));
    let session_id = opened.session_id;
    assert_ne!(session_id, 0);
    let everything = opened.responses[0].partitions[0]
        .records
        .as_ref()
        .unwrap()
        .len();
    assert!(everything > 40_000);

    set(
        &mut admin,
        &[("client-id", None)],
        "consumer_byte_rate",
        10_000.0,
    );
    let read = |consumer: &mut Client, epoch: i32, offset: i64| {
        let response = consumer.call(12, &fetch(session_id, epoch, offset));
        assert_eq!(response.error_code, 0);
        let bytes: usize = response
            .responses
            .iter()
            .flat_map(|topic| &topic.partitions)
            .map(|partition| {
                partition
                    .records
                    .as_ref()
                    .map_or(0, |records| records.len())
            })
            .sum();
        (bytes, response.throttle_time_ms)
    };
    let (bytes, throttle_ms) = read(&mut consumer, 1, 0);
    assert!(
        (4_000..=10_000).contains(&bytes),
        "{bytes}: no more than the quota's burst"
    );
    assert_eq!(throttle_ms, 0);
    // Over the quota at the next, or soon after one that a slow machine has sent too late for that.
    let deadline = Instant::now() + LIMIT;
    let mut epoch = 2;
    let (begun, throttle_ms) = loop {
        let begun = Instant::now();
        let (bytes, throttle_ms) = read(&mut consumer, epoch, 2);
        epoch += 1;
        if bytes == 0 {
            break (begun, throttle_ms);
        }
        assert!(Instant::now() < deadline, "never throttled");
    };
    assert!(throttle_ms > 0);
    assert_held(&mut consumer, begun, throttle_ms);
    // The session went on; once within its quota, the client gets what it asked for.
    let deadline = Instant::now() + LIMIT;
    while read(&mut consumer, epoch, 2).0 == 0 {
        assert!(Instant::now() < deadline, "still throttled");
        epoch += 1;
    }
    // A full fetch that is throttled opens no session.
    let response = consumer.call(12, &fetch(0, 0, 0));
    if response.throttle_time_ms > 0 {
        assert_eq!((response.session_id, response.responses.len()), (0, 0));
    }
    running.stop();
}

#[test]
fn request_time_holds_back_for_one_sample_at_most() {
    let directory = tempfile::tempdir().unwrap();
    let running = Running::start(directory.path(), &SHORT_WINDOWS);
    let mut client = running.connect("busy");
    set(
        &mut client,
        &[("user", None)],
        "request_percentage",
        0.00001,
    );
    // The request that set the quota was not timed; the next one is.
    let begun = Instant::now();
    let response = client.call(9, &MetadataRequest::default());
    let throttle_ms = response.throttle_time_ms;
    assert!((1..=1_000).contains(&throttle_ms), "{throttle_ms}");
    assert_held(&mut client, begun, throttle_ms);
    running.stop();
}

#[test]
fn changes_of_partitions_are_refused_to_new_clients_and_delayed_for_old_ones() {
    let directory = tempfile::tempdir().unwrap();
    let running = Running::start(directory.path(), &SHORT_WINDOWS);
    let mut admin = running.connect("admin");
    let mutator = [("client-id", Some("mutator"))];
    set(&mut admin, &mutator, "controller_mutation_rate", 1.0);
    let mut client = running.connect("mutator");
    let create = |names: &[&str]| CreateTopicsRequest {
        topics: names.iter().map(|name| topic(name, 2)).collect(),
        timeout_ms: 10_000,
        validate_only: false,
    };
    let exceeded = ErrorCode::ThrottlingQuotaExceeded.code();
    // A burst of two, which may be overdrawn once.
    let begun = Instant::now();
    let response = client.call(6, &create(&["a", "b", "c"]));
    let mut codes: Vec<i16> = response
        .topics
        .iter()
        .map(|topic| topic.error_code)
        .collect();
    codes.sort_unstable();
    assert_eq!(codes, [0, 0, exceeded]);
    let refused = response
        .topics
        .iter()
        .find(|topic| topic.error_code != 0)
        .unwrap();
    assert_eq!(
        refused.error_message.as_deref(),
        Some("The throttling quota has been exceeded.")
    );
    let throttle_ms = response.throttle_time_ms;
    assert!((1_000..=2_000).contains(&throttle_ms), "{throttle_ms}");
    assert_held(&mut client, begun, throttle_ms);

    // The bucket is at zero again: an old version overdraws it and is held back.
    let response = client.call(5, &create(&["d", "e"]));
    assert!(response.topics.iter().all(|topic| topic.error_code == 0));
    assert!(response.throttle_time_ms > 0);
    let mut fresh = running.connect("mutator");
    let grow = CreatePartitionsRequest {
        topics: vec![CreatePartitionsTopic {
            name: "a".to_owned(),
            count: 3,
            assignments: None,
        }],
        timeout_ms: 10_000,
        validate_only: false,
    };
    let response = fresh.call(3, &grow);
    assert_eq!(response.results[0].error_code, exceeded);
    let mut fresh = running.connect("mutator");
    let delete = DeleteTopicsRequest {
        topics: vec![DeleteTopicState {
            name: Some("a".to_owned()),
            ..DeleteTopicState::default()
        }],
        timeout_ms: 10_000,
        ..DeleteTopicsRequest::default()
    };
    let response = fresh.call(6, &delete);
    assert_eq!(response.responses[0].error_code, exceeded);
    let deleted = admin.call(6, &delete);
    assert_eq!(
        deleted.responses[0].error_code, 0,
        "another client id has no limit"
    );
    running.stop();
}

/// Whether a new connection is served.
fn is_served(running: &Running) -> bool {
    let mut client = running.connect("visitor");
    let request = ApiVersionsRequest::default();
    client.send(0, &request);
    client.receive::<ApiVersionsRequest>(0).is_some()
}

#[test]
fn connections_of_an_address_are_limited_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let running = Running::start(directory.path(), &SHORT_WINDOWS);
    let mut admin = running.connect("admin");
    set(
        &mut admin,
        &[("ip", Some("127.0.0.1"))],
        "connection_creation_rate",
        2.0,
    );
    assert!((0..2).all(|_| is_served(&running)));
    // The next at once, or the first that comes too soon after another.
    let deadline = Instant::now() + LIMIT;
    while is_served(&running) {
        assert!(Instant::now() < deadline, "nobody is turned away");
    }
    let lifted = entry(
        &[("ip", Some("127.0.0.1"))],
        &[("connection_creation_rate", None)],
    );
    assert_eq!(alter(&mut admin, vec![lifted], false), [(0, None)]);
    assert!((0..6).all(|_| is_served(&running)));
    running.stop();
}

#[test]
fn a_listener_takes_connections_no_faster_than_it_may() {
    let directory = tempfile::tempdir().unwrap();
    let limited = [
        SHORT_WINDOWS[0],
        ("listener.name.plaintext.max.connection.creation.rate", "2"),
    ];
    let running = Running::start(directory.path(), &limited);
    let begun = Instant::now();
    assert!((0..6).all(|_| is_served(&running)));
    assert!(
        begun.elapsed() > Duration::from_millis(1_200),
        "{:?}",
        begun.elapsed()
    );
    running.stop();
}

/// Sets a config as the dynamic default of all brokers.
fn set_broker_default(client: &mut Client, key: &str, value: &str) {
    let request = IncrementalAlterConfigsRequest {
        resources: vec![AlterConfigsResource {
            resource_type: 4,
            resource_name: String::new(),
            configs: vec![AlterableConfig {
                name: key.to_owned(),
                config_operation: 0,
                value: Some(value.to_owned()),
            }],
        }],
        validate_only: false,
    };
    let response = client.call(1, &request);
    assert_eq!(response.responses[0].error_code, 0, "{response:?}");
}

#[test]
fn a_connection_beyond_the_most_waits_until_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let running = Running::start(directory.path(), &[("max.connections", "2")]);
    let mut admin = running.connect("admin");
    let request = ApiVersionsRequest::default();
    admin.call(0, &request);
    let mut second = running.connect("second");
    second.call(0, &request);
    let mut third = running.connect("third");
    third.send(0, &request);
    assert!(
        !third.has_answer(Duration::from_millis(300)),
        "there is no room"
    );
    drop(second);
    assert!(third.receive::<ApiVersionsRequest>(0).is_some());

    let mut fourth = running.connect("fourth");
    fourth.send(0, &request);
    assert!(
        !fourth.has_answer(Duration::from_millis(300)),
        "there is no room"
    );
    set_broker_default(&mut admin, "max.connections", "3");
    assert!(fourth.receive::<ApiVersionsRequest>(0).is_some());
    let mut fifth = running.connect("fifth");
    set_broker_default(&mut admin, "max.connections", "100");
    fifth.send(0, &request);
    assert!(fifth.receive::<ApiVersionsRequest>(0).is_some());
    set_broker_default(&mut admin, "max.connections.per.ip", "3");
    assert!(!is_served(&running), "its address has too many");
    running.stop();
}

#[test]
fn a_listener_has_a_limit_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let limited = [("listener.name.plaintext.max.connections", "1")];
    let running = Running::start(directory.path(), &limited);
    let request = ApiVersionsRequest::default();
    let mut first = running.connect("first");
    first.call(0, &request);
    let mut second = running.connect("second");
    second.send(0, &request);
    assert!(
        !second.has_answer(Duration::from_millis(300)),
        "there is no room"
    );
    drop(first);
    assert!(second.receive::<ApiVersionsRequest>(0).is_some());
    running.stop();
}
