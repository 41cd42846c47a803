//! Records as Confluent's registry writes them, and changes over a log in memory: what is live is what a replay gives.

use proptest::prelude::*;
use schema::encryption::Algorithm;
use tokio::sync::watch;

use super::deks::{Named, NewDek};
use super::keks::{KekChange, NewKek};
use super::records::{DekId, DekValue, KekValue, Key};
use super::*;
use crate::config::RegistryConfig;
use crate::log::{MemoryLog, Replay};
use crate::service::lookup::VersionId;
use crate::state::State;

struct World {
    keys: Arc<DekRegistry>,
    log: Arc<MemoryLog<Keys>>,
    _leadership: watch::Sender<Leadership>,
}

fn world(config: RegistryConfig) -> World {
    let state = Arc::new(RwLock::new(State::default()));
    let (leadership, watched) = watch::channel(Leadership::Here);
    let schemas = Arc::new(MemoryLog::new(Arc::clone(&state)));
    let registry = Registry::new(state, schemas, config, watched.clone());
    let keys = Arc::new(RwLock::new(Keys::default()));
    let log = Arc::new(MemoryLog::new(Arc::clone(&keys)));
    let keys = DekRegistry::new(
        Arc::new(registry),
        keys,
        Arc::clone(&log) as Arc<_>,
        watched,
        Kms::new(kms::Environment::default()).unwrap(),
    );
    World {
        keys: Arc::new(keys),
        log,
        _leadership: leadership,
    }
}

fn kek(name: &str) -> NewKek {
    NewKek {
        name: name.to_owned(),
        value: KekValue {
            kms_type: "local-kms".to_owned(),
            kms_key_id: "id".to_owned(),
            kms_props: [("secret".to_owned(), "s".to_owned())].into(),
            doc: None,
            shared: true,
            deleted: false,
        },
    }
}

fn dek_id(kek_name: &str, subject: &str, version: i32) -> DekId {
    DekId {
        kek_name: kek_name.to_owned(),
        subject: subject.to_owned(),
        algorithm: Algorithm::Aes256Gcm,
        version,
    }
}

fn new_dek(id: DekId) -> NewDek {
    NewDek {
        id,
        value: DekValue {
            encrypted_key_material: None,
            deleted: false,
        },
        rewrap: false,
    }
}

#[test]
fn the_bytes_of_records_are_confluents() {
    let kek = Record::kek("k", kek("k").value);
    let key = br#"{"tenant":"default","name":"k","type":"KEK"}"#;
    let value = br#"{"name":"k","kmsType":"local-kms","kmsKeyId":"id","kmsProps":{"secret":"s"},"shared":true,"deleted":false,"type":"KEK"}"#;
    assert_eq!(kek.key.encode(), key);
    assert_eq!(kek.encode_value().unwrap(), value);
    assert_eq!(Record::decode(key, Some(value)).unwrap(), Some(kek));
    let dek = Record::dek(
        dek_id("k", "s", 1),
        DekValue {
            encrypted_key_material: Some("eA==".to_owned()),
            deleted: false,
        },
    );
    let key = br#"{"tenant":"default","kekName":"k","subject":"s","algorithm":"AES256_GCM","version":1,"type":"DEK"}"#;
    let value = br#"{"kekName":"k","subject":"s","algorithm":"AES256_GCM","version":1,"encryptedKeyMaterial":"eA==","deleted":false,"type":"DEK"}"#;
    assert_eq!(dek.key.encode(), key);
    assert_eq!(dek.encode_value().unwrap(), value);
    assert_eq!(Record::decode(key, Some(value)).unwrap(), Some(dek));
}

#[test]
fn what_is_not_known_is_passed_over_and_what_is_broken_is_told() {
    let mut keys = Keys::default();
    let mut take = |key: &str, value: Option<&str>| {
        let taken = keys.replay(0, key.as_bytes(), value.map(str::as_bytes), 1);
        taken.map(|()| (keys.kek_count(), keys.dek_count()))
    };
    let value = r#"{"kmsType":"t","kmsKeyId":"k","offset":7,"ts":8,"later":{}}"#;
    let other_tenant = r#"{"tenant":"t","name":"k","type":"KEK"}"#;
    assert_eq!(take(other_tenant, Some(value)).unwrap(), (0, 0));
    let other_type = r#"{"tenant":"default","name":"k","type":"XEK"}"#;
    assert_eq!(take(other_type, Some(value)).unwrap(), (0, 0));
    let nameless = r#"{"tenant":"default","type":"KEK"}"#;
    assert!(take(nameless, Some(value)).is_err());
    assert!(take("\u{0}", None).is_err());
    // In another order, as another version may write it.
    let known = r#"{"type":"KEK","tenant":"default","name":"k"}"#;
    assert!(take(known, Some("{}")).is_err());
    assert_eq!(take(known, Some(value)).unwrap(), (1, 0));
    let record = Record::tombstone(Key::Kek("k".to_owned()));
    let written: Vec<Vec<u8>> = keys
        .encode(&record)
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    assert_eq!(written, [known.as_bytes().to_vec(), record.key.encode()]);
}

#[test]
fn a_session_begins_with_nothing() {
    let mut keys = Keys::default();
    let opening = keys.opening();
    for (key, value) in keys.encode(&opening) {
        assert_eq!(value, None);
        keys.replay(0, &key, None, 1).unwrap();
    }
    assert_eq!((keys.kek_count(), keys.dek_count()), (0, 0));
}

#[tokio::test]
async fn there_is_a_last_key() {
    let config = RegistryConfig {
        dek_max_keys: 1,
        ..RegistryConfig::default()
    };
    let world = world(config);
    for name in ["a", "b"] {
        world.keys.create_kek(kek(name), false).await.unwrap();
    }
    let error = world.keys.create_kek(kek("c"), false).await.unwrap_err();
    assert_eq!(error.to_string(), "A maximum of 1 keys already exist");
    assert_eq!((error.code(), error.status()), (40972, 409));
    for version in [1, 2] {
        let new = new_dek(dek_id("a", "s", version));
        world.keys.create_dek(new).await.unwrap();
    }
    let new = new_dek(dek_id("a", "s", 3));
    assert_eq!(world.keys.create_dek(new).await.unwrap_err().code(), 40972);
}

#[tokio::test]
async fn no_key_is_written_in_the_clear() {
    let world = world(RegistryConfig::default());
    world.keys.create_kek(kek("k"), false).await.unwrap();
    let made = world
        .keys
        .create_dek(new_dek(dek_id("k", "s", 1)))
        .await
        .unwrap();
    let key = made.key_material.unwrap();
    for (_, value) in world.log.records() {
        let value = String::from_utf8(value.unwrap()).unwrap();
        assert!(!value.contains(key.as_str()), "{value}");
    }
}

/// One order of those that there are, on few names, so that they meet.
#[derive(Debug, Clone)]
enum Order {
    CreateKek(usize, bool),
    Update(usize, bool),
    DeleteKek(usize, bool),
    UndeleteKek(usize),
    CreateDek(usize, usize, i32, bool),
    DeleteDek(usize, usize, Option<i32>, bool),
    UndeleteDek(usize, usize, Option<i32>),
}

fn order() -> impl Strategy<Value = Order> {
    let kek = 0..2_usize;
    let subject = 0..2_usize;
    let version = 1..3_i32;
    let some = proptest::option::of(1..3_i32);
    prop_oneof![
        (kek.clone(), any::<bool>()).prop_map(|(k, s)| Order::CreateKek(k, s)),
        (kek.clone(), any::<bool>()).prop_map(|(k, s)| Order::Update(k, s)),
        (kek.clone(), any::<bool>()).prop_map(|(k, p)| Order::DeleteKek(k, p)),
        kek.clone().prop_map(Order::UndeleteKek),
        (kek.clone(), subject.clone(), version, any::<bool>())
            .prop_map(|(k, s, v, r)| Order::CreateDek(k, s, v, r)),
        (kek.clone(), subject.clone(), some.clone(), any::<bool>())
            .prop_map(|(k, s, v, p)| Order::DeleteDek(k, s, v, p)),
        (kek, subject, some).prop_map(|(k, s, v)| Order::UndeleteDek(k, s, v)),
    ]
}

const NAMES: [&str; 2] = ["a", "b"];

async fn obey(world: &World, order: Order) {
    let named = |kek: usize, subject: usize| Named {
        kek_name: NAMES[kek].to_owned(),
        subject: NAMES[subject].to_owned(),
        algorithm: Algorithm::Aes256Gcm,
    };
    let keys = &world.keys;
    let done = match order {
        Order::CreateKek(name, shared) => {
            let mut new = kek(NAMES[name]);
            new.value.shared = shared;
            keys.create_kek(new, false).await.map(drop)
        }
        Order::Update(name, shared) => {
            let change = KekChange {
                shared: Some(Some(shared)),
                ..KekChange::default()
            };
            keys.update_kek(NAMES[name], change, false).await.map(drop)
        }
        Order::DeleteKek(name, permanent) => keys.delete_kek(NAMES[name], permanent).await,
        Order::UndeleteKek(name) => keys.undelete_kek(NAMES[name]).await,
        Order::CreateDek(name, subject, version, rewrap) => {
            let mut new = new_dek(dek_id(NAMES[name], NAMES[subject], version));
            new.rewrap = rewrap;
            keys.create_dek(new).await.map(drop)
        }
        Order::DeleteDek(name, subject, version, permanent) => {
            let version = version.map(VersionId::Number);
            keys.delete_deks(&named(name, subject), version, permanent)
                .await
        }
        Order::UndeleteDek(name, subject, version) => {
            let version = version.map(VersionId::Number);
            keys.undelete_deks(&named(name, subject), version).await
        }
    };
    if let Err(error) = done {
        assert!(error.status() < 500, "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is ordered: a replay gives what is live, and no live DEK is without a live KEK.
    #[test]
    fn the_state_is_what_the_log_says(orders in proptest::collection::vec(order(), 0..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let world = world(RegistryConfig::default());
        runtime.block_on(async {
            for order in orders {
                obey(&world, order).await;
            }
        });
        let mut replayed = Keys::default();
        for (key, value) in world.log.records() {
            replayed.replay(0, &key, value.as_deref(), 1).unwrap();
        }
        let live = world.keys.keys();
        prop_assert_eq!(
            live.keks(true).collect::<Vec<_>>(),
            replayed.keks(true).collect::<Vec<_>>()
        );
        prop_assert_eq!(
            live.deks(true).collect::<Vec<_>>(),
            replayed.deks(true).collect::<Vec<_>>()
        );
        for (id, dek) in live.deks(true) {
            let kek = live.kek(&id.kek_name, true).unwrap();
            prop_assert!(dek.value.deleted || !kek.value.deleted, "{:?}", id);
        }
    }
}
