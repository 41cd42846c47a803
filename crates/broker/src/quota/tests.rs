//! Limits put in force, used up, changed and lifted, on a clock that the test moves.

use std::sync::RwLock as StdRwLock;

use base::ManualClock;
use metastore::quota::QuotaName;
use security::KafkaPrincipal;
use wire::{ApiKey, ErrorCode};

use super::*;
use crate::listener::ListenerInfo;
use crate::request::ConnectionInfo;

fn manager() -> (QuotaManager, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(1_700_000_000_000));
    let settings = BrokerSettings::resolve(&crate::config::BrokerConfigs::default());
    let manager = QuotaManager::new(Arc::clone(&clock) as Arc<dyn Clock>, &settings);
    (manager, clock)
}

fn context(user: &str, client_id: &str, api_version: i16) -> RequestContext {
    RequestContext {
        connection: Arc::new(ConnectionInfo {
            client_host: "/127.0.0.1".to_owned(),
            peer: ([127, 0, 0, 1], 1).into(),
            listener: Arc::new(ListenerInfo {
                name: "PLAINTEXT".to_owned(),
                advertised_host: "localhost".to_owned(),
                advertised_port: 1,
            }),
            principal: KafkaPrincipal {
                name: Arc::from(user),
                ..KafkaPrincipal::anonymous()
            },
            software: StdRwLock::new(None),
            mute: Mute::default(),
            client_instance: Mutex::new(None),
            share_sessions: Mutex::default(),
        }),
        api_key: ApiKey::CreateTopics,
        api_version,
        correlation_id: 0,
        client_id: client_id.to_owned(),
    }
}

fn user_quota(user: &str, key: &str, amount: f64) -> BTreeMap<QuotaEntity, QuotaValues> {
    let entity = QuotaEntity {
        user: Some(QuotaName::Named(user.to_owned())),
        ..QuotaEntity::default()
    };
    let values = QuotaValues(BTreeMap::from([(key.to_owned(), amount)]));
    BTreeMap::from([(entity, values)])
}

#[test]
fn limits_take_effect_and_are_lifted_at_once() {
    let (manager, clock) = manager();
    let alice = context("alice", "a", 0);
    assert_eq!(manager.produced(&alice, 1_000_000_000), 0);
    manager.update(&user_quota("alice", "producer_byte_rate", 1000.0));
    assert_eq!(manager.produced(&alice, 10_000), 0);
    assert_eq!(manager.produced(&alice, 5_000), 5_000);
    // Another client of the same user shares the limit; another user has none.
    assert!(manager.produced(&context("alice", "b", 0), 1) > 5_000);
    assert_eq!(manager.produced(&context("bob", "a", 0), 1_000_000), 0);
    // Produce and fetch are apart.
    assert_eq!(
        manager.fetched(&alice, 1_000_000, Duration::from_secs(60)),
        0
    );
    manager.update(&user_quota("alice", "producer_byte_rate", 100_000.0));
    assert_eq!(
        manager.produced(&alice, 1),
        0,
        "what was used is within the new limit"
    );
    manager.update(&BTreeMap::new());
    assert_eq!(manager.produced(&alice, 1_000_000_000), 0);
    clock.advance(Duration::from_secs(1));
    assert!(!manager.limits_fetch());
}

#[test]
fn a_throttled_fetch_is_not_counted() {
    let (manager, _clock) = manager();
    let alice = context("alice", "a", 0);
    manager.update(&user_quota("alice", "consumer_byte_rate", 1000.0));
    assert_eq!(manager.fetch_bytes_max(&alice), 10_000);
    assert_eq!(manager.fetch_bytes_max(&context("bob", "a", 0)), usize::MAX);
    assert_eq!(manager.fetched(&alice, 9_000, Duration::ZERO), 0);
    for _ in 0..3 {
        assert_eq!(manager.fetched(&alice, 2_000, Duration::ZERO), 1_000);
    }
    assert_eq!(manager.fetched(&alice, 1_000, Duration::ZERO), 0);
}

#[test]
fn request_time_is_in_percent_and_throttles_for_one_sample_at_most() {
    let (manager, clock) = manager();
    let alice = context("alice", "a", 0);
    manager.update(&user_quota("alice", "request_percentage", 10.0));
    assert!(manager.limits_request_time());
    // Ten seconds at 10 % of a thread are one second of work.
    assert_eq!(manager.handled(&alice, Duration::from_millis(1_000)), 0);
    assert_eq!(manager.handled(&alice, Duration::from_millis(50)), 500);
    assert_eq!(manager.handled(&alice, Duration::from_secs(100)), 1_000);
    clock.advance(Duration::from_secs(12));
    assert_eq!(manager.handled(&alice, Duration::from_millis(100)), 0);
}

#[test]
fn mutations_are_refused_when_strict_and_delayed_when_not() {
    let (manager, clock) = manager();
    manager.update(&user_quota("alice", "controller_mutation_rate", 1.0));
    let newer = context("alice", "a", 6);
    let mut strict = manager.mutations(&newer, 6);
    // The burst of 11 may be overdrawn once.
    assert!(strict.spend(10).is_ok());
    assert!(strict.spend(6).is_ok());
    let refused = strict.spend(1).unwrap_err();
    assert_eq!(refused.code, ErrorCode::ThrottlingQuotaExceeded);
    assert_eq!(strict.throttle_time_ms(), 5_000);
    clock.advance(Duration::from_secs(2));
    assert_eq!(strict.throttle_time_ms(), 3_000);
    let older = context("alice", "a", 5);
    let mut permissive = manager.mutations(&older, 6);
    assert!(permissive.spend(1).is_ok());
    assert_eq!(permissive.throttle_time_ms(), 4_000);
    clock.advance(Duration::from_secs(4));
    assert!(manager.mutations(&newer, 6).spend(1).is_ok());
    let bob = context("bob", "a", 6);
    assert!(manager.mutations(&bob, 6).spend(1_000_000).is_ok());
}
