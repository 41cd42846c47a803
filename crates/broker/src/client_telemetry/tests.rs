//! Instances on a manual clock: what they are asked for, when they may push, and what a change does.

use std::time::Duration;

use base::ManualClock;

use super::*;

const MAX_BYTES: usize = 1 << 20;

fn telemetry(resources: &[(&str, &[(&str, &str)])]) -> (ClientTelemetry, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(0));
    let telemetry = ClientTelemetry::new(Arc::clone(&clock) as Arc<dyn Clock>);
    telemetry.update(&configs(resources));
    (telemetry, clock)
}

fn configs(resources: &[(&str, &[(&str, &str)])]) -> BTreeMap<String, Configs> {
    resources
        .iter()
        .map(|(name, set)| {
            let set = set.iter();
            let set = set.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            ((*name).to_owned(), set.collect())
        })
        .collect()
}

fn client(client_id: &str) -> ClientIdentity {
    ClientIdentity {
        client_id: client_id.to_owned(),
        ..ClientIdentity::default()
    }
}

fn push_of(wanted: &Wanted) -> Push {
    Push {
        client_instance_id: wanted.client_instance_id,
        subscription_id: wanted.subscription_id,
        terminating: false,
        compression_type: 0,
        metrics: Bytes::new(),
    }
}

async fn push_code(telemetry: &ClientTelemetry, push: Push) -> ErrorCode {
    let pushed = telemetry.push(push, &client("app"), MAX_BYTES).await;
    pushed.err().map_or(ErrorCode::None, |error| error.code)
}

#[test]
fn overlapping_subscriptions_are_put_together() {
    let (telemetry, _clock) = telemetry(&[
        ("a", &[("metrics", "x.,y."), ("interval.ms", "5000")]),
        (
            "b",
            &[
                ("metrics", "y.,z."),
                ("interval.ms", "1000"),
                ("match", "client_id=app"),
            ],
        ),
        ("c", &[("metrics", "*"), ("match", "client_id=all")]),
    ]);
    let wanted = telemetry.subscriptions(Uuid::ZERO, &client("app")).unwrap();
    assert_eq!(wanted.metrics, ["x.", "y.", "z."]);
    assert_eq!(wanted.push_interval_ms, 1000);
    let all = telemetry.subscriptions(Uuid::ZERO, &client("all")).unwrap();
    assert_eq!(
        (all.metrics, all.push_interval_ms),
        (vec!["*".to_owned()], 5000)
    );
    let none = telemetry
        .subscriptions(Uuid::ZERO, &client("else"))
        .unwrap();
    assert_eq!(none.metrics, ["x.", "y."]);
    assert_ne!(wanted.client_instance_id, none.client_instance_id);
}

#[tokio::test]
async fn a_client_keeps_to_its_interval() {
    let (telemetry, clock) = telemetry(&[("a", &[("metrics", "*"), ("interval.ms", "1000")])]);
    let wanted = telemetry.subscriptions(Uuid::ZERO, &client("app")).unwrap();
    let id = wanted.client_instance_id;
    let too_early = telemetry.subscriptions(id, &client("app")).unwrap_err();
    assert_eq!(too_early.code, ErrorCode::ThrottlingQuotaExceeded);
    clock.advance(Duration::from_millis(10));
    assert_eq!(
        push_code(&telemetry, push_of(&wanted)).await,
        ErrorCode::None
    );
    let throttled = push_code(&telemetry, push_of(&wanted)).await;
    assert_eq!(throttled, ErrorCode::ThrottlingQuotaExceeded);
    clock.advance(Duration::from_secs(1));
    assert_eq!(
        push_code(&telemetry, push_of(&wanted)).await,
        ErrorCode::None
    );
    // The last push may come early; nothing may follow it.
    let last = Push {
        terminating: true,
        ..push_of(&wanted)
    };
    assert_eq!(push_code(&telemetry, last).await, ErrorCode::None);
    clock.advance(Duration::from_secs(1));
    let after = push_code(&telemetry, push_of(&wanted)).await;
    assert_eq!(after, ErrorCode::InvalidRequest);
}

#[tokio::test]
async fn a_changed_subscription_is_told_at_once() {
    let (telemetry, clock) = telemetry(&[("a", &[("metrics", "x."), ("interval.ms", "1000")])]);
    let before = telemetry.subscriptions(Uuid::ZERO, &client("app")).unwrap();
    clock.advance(Duration::from_millis(1));
    telemetry.update(&configs(&[(
        "a",
        &[("metrics", "y."), ("interval.ms", "2000")],
    )]));
    let code = push_code(&telemetry, push_of(&before)).await;
    assert_eq!(code, ErrorCode::UnknownSubscriptionId);
    let id = before.client_instance_id;
    let after = telemetry.subscriptions(id, &client("app")).unwrap();
    assert_eq!(
        (after.client_instance_id, after.push_interval_ms),
        (id, 2000)
    );
    assert_ne!(after.subscription_id, before.subscription_id);
    // The push that was refused counts for the interval.
    clock.advance(Duration::from_secs(2));
    assert_eq!(
        push_code(&telemetry, push_of(&after)).await,
        ErrorCode::None
    );
}

#[tokio::test]
async fn a_push_that_cannot_be_taken_says_why() {
    let (telemetry, clock) = telemetry(&[("a", &[("metrics", "*"), ("interval.ms", "100")])]);
    let wanted = telemetry.subscriptions(Uuid::ZERO, &client("app")).unwrap();
    let mut one = [0; 16];
    one[15] = 1;
    for reserved in [Uuid::ZERO, Uuid(one)] {
        let push = Push {
            client_instance_id: reserved,
            ..push_of(&wanted)
        };
        assert_eq!(push_code(&telemetry, push).await, ErrorCode::InvalidRequest);
    }
    let bomb = wire::compression::compress(Compression::Zstd, None, &vec![0; MAX_BYTES * 2]);
    for (compression_type, metrics, expected) in [
        (9, Bytes::new(), ErrorCode::UnsupportedCompressionType),
        (
            0,
            Bytes::from(vec![0; MAX_BYTES + 1]),
            ErrorCode::TelemetryTooLarge,
        ),
        (4, Bytes::from(bomb.unwrap()), ErrorCode::TelemetryTooLarge),
        (4, Bytes::from_static(b"not zstd"), ErrorCode::InvalidRecord),
        (0, Bytes::from_static(b"\xff\xff"), ErrorCode::InvalidRecord),
    ] {
        clock.advance(Duration::from_millis(100));
        let push = Push {
            compression_type,
            metrics,
            ..push_of(&wanted)
        };
        assert_eq!(push_code(&telemetry, push).await, expected);
    }
}

#[test]
fn instances_are_bounded_and_forgotten() {
    let (telemetry, clock) = telemetry(&[]);
    for _ in 0..INSTANCES_MAX + 100 {
        telemetry.subscriptions(Uuid::ZERO, &client("app")).unwrap();
    }
    assert!(telemetry.lock().instances.len() <= INSTANCES_MAX);
    clock.advance(Duration::from_secs(3 * 300 + 1));
    let wanted = telemetry.subscriptions(Uuid::ZERO, &client("app")).unwrap();
    assert_eq!(telemetry.lock().instances.len(), 1);
    telemetry.disconnected(wanted.client_instance_id);
    assert!(telemetry.lock().instances.is_empty());
}
