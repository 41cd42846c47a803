//! Records as they stand in the topic, and changes over a log in memory: what is live is what a replay gives.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Map, json};
use tokio::sync::watch;

use super::cluster::{FixedCluster, Topic};
use super::model::{AttributeDef, Cardinality, DefinitionKind, EntityId, Tag};
use super::records::{Key, Value};
use super::search::Search;
use super::tags::Intent;
use super::*;
use crate::config::RegistryConfig;
use crate::log::{MemoryLog, Replay};
use crate::state::State;

struct World {
    catalog: Arc<Catalog>,
    log: Arc<MemoryLog<CatalogState>>,
    _leadership: watch::Sender<Leadership>,
}

fn world() -> World {
    let state = Arc::new(RwLock::new(State::default()));
    let (leadership, watched) = watch::channel(Leadership::Here);
    let schemas = Arc::new(MemoryLog::new(Arc::clone(&state)));
    let config = RegistryConfig::default();
    let registry = Registry::new(state, schemas, config, watched.clone());
    let state = Arc::new(RwLock::new(CatalogState::default()));
    let log = Arc::new(MemoryLog::new(Arc::clone(&state)));
    let topics: BTreeMap<String, Topic> = TOPICS
        .map(|name| {
            let topic = Topic {
                name: name.to_owned(),
                id: "id".to_owned(),
                partitions: 1,
                replication_factor: 1,
                is_internal: false,
            };
            (name.to_owned(), topic)
        })
        .into();
    let catalog = Catalog::new(
        Arc::new(registry),
        state,
        Arc::clone(&log) as Arc<_>,
        watched,
        Arc::new(FixedCluster(Arc::new(topics))),
        "c",
    );
    World {
        catalog: Arc::new(catalog),
        log,
        _leadership: leadership,
    }
}

const TOPICS: [&str; 2] = ["a", "b"];
const NAMES: [&str; 3] = ["A", "B", "C"];

fn attribute(name: &str, is_optional: bool) -> AttributeDef {
    AttributeDef {
        name: name.to_owned(),
        type_name: "string".to_owned(),
        is_optional,
        cardinality: Cardinality::Single,
        values_min_count: 0,
        values_max_count: 1,
        is_unique: false,
        is_indexable: false,
        include_in_notification: false,
        default_value: None,
        description: None,
        search_weight: -1,
        index_type: None,
        options: BTreeMap::new(),
        display_name: None,
    }
}

fn tag_definition(name: &str) -> NewDefinition {
    NewDefinition {
        name: name.to_owned(),
        ..NewDefinition::default()
    }
}

#[test]
fn the_bytes_of_records_stay_what_they_are() {
    let id = EntityId {
        entity_type: EntityType::Field,
        name: "r:.:1:U.f".to_owned(),
    };
    let overlay = Overlay {
        tags: [("PII".to_owned(), Tag::default())].into(),
        attributes: [("owner".to_owned(), "me".to_owned())].into(),
        ..Overlay::default()
    };
    let record = Record {
        key: Key::Entity(id),
        value: Some(Value::Entity(overlay)),
    };
    let key =
        br#"{"tenant":"default","entityType":"sr_field","entityName":"r:.:1:U.f","type":"ENTITY"}"#;
    let value = br#"{"tags":{"PII":{"propagate":false,"removePropagationsOnEntityDelete":false}},"attributes":{"owner":"me"}}"#;
    assert_eq!(record.key.encode(), key);
    assert_eq!(record.encode_value().unwrap(), value);
    assert_eq!(Record::decode(key, Some(value)).unwrap(), Some(record));
    let key = Key::Definition(DefinitionKind::Tag, "PII".to_owned());
    let bytes = br#"{"tenant":"default","name":"PII","type":"TAG_DEF"}"#;
    assert_eq!(key.encode(), bytes);
    let value = br#"{"name":"PII","typeVersion":"1.0","attributeDefs":[],"superTypes":[],"entityTypes":["cf_entity"],"version":1}"#;
    let decoded = Record::decode(bytes, Some(value)).unwrap().unwrap();
    assert_eq!(decoded.encode_value().unwrap(), value);
}

#[test]
fn what_is_not_known_is_passed_over_and_what_is_broken_is_told() {
    let mut state = CatalogState::default();
    let mut take = |key: &str, value: Option<&str>| {
        let taken = state.replay(0, key.as_bytes(), value.map(str::as_bytes), 1);
        taken.map(|()| state.overlays().count())
    };
    let value = r#"{"attributes":{"owner":"o"},"later":{}}"#;
    let other = r#"{"tenant":"t","type":"ENTITY","entityType":"sr_field","entityName":"n"}"#;
    assert_eq!(take(other, Some(value)).unwrap(), 0);
    let later =
        r#"{"tenant":"default","type":"ENTITY","entityType":"cn_connector","entityName":"n"}"#;
    assert_eq!(take(later, Some(value)).unwrap(), 0);
    assert!(take(r#"{"tenant":"default","type":"ENTITY"}"#, Some(value)).is_err());
    assert!(take("\u{0}", None).is_err());
    let known = r#"{"type":"ENTITY","tenant":"default","entityType":"sr_field","entityName":"n"}"#;
    assert!(take(known, Some("1")).is_err());
    assert_eq!(take(known, Some(value)).unwrap(), 1);
    let (key, _) = state.overlays().next().unwrap();
    let record = Record::tombstone(Key::Entity(key.clone()));
    let written = state.encode(&record);
    assert_eq!(written.len(), 2, "its other spelling goes too");
}

#[test]
fn a_session_begins_with_nothing() {
    let mut state = CatalogState::default();
    let opening = state.opening();
    for (key, value) in state.encode(&opening) {
        assert_eq!(value, None);
        state.replay(0, &key, None, 1).unwrap();
    }
    assert_eq!(state.definitions(DefinitionKind::Tag).count(), 0);
}

#[tokio::test]
async fn there_is_a_last_definition() {
    let world = world();
    let names = (0..1_001)
        .map(|n| tag_definition(&format!("T{n}")))
        .collect();
    let made = world.catalog.create_definitions(DefinitionKind::Tag, names);
    let made = made.await.unwrap();
    assert!(made[..1_000].iter().all(Result::is_ok));
    assert_eq!(made[1_000].as_ref().unwrap_err().code(), 4_000_041);
}

#[test]
fn a_query_is_words_and_patterns() {
    for (query, text) in [
        ("", "anything"),
        ("mail", "lsrc:.:1:User.eMail"),
        ("user mail", "User.mail"),
        ("ma*", "User.mail"),
        ("*il", "User.mail"),
        ("m?il", "User.mail"),
        ("user.ma*l", "User.mail"),
        ("*", ""),
        ("\"mail\"", "mail"),
    ] {
        assert!(search::matches(query, text), "{query} {text}");
    }
    for (query, text) in [
        ("mails", "mail"),
        ("user phone", "User.mail"),
        ("ai*", "User.mail"),
        ("m?l", "mail"),
    ] {
        assert!(!search::matches(query, text), "{query} {text}");
    }
}

/// One order of those that there are, on few names, so that they meet.
#[derive(Debug, Clone)]
enum Order {
    Define(bool, usize, bool, Option<usize>),
    Redefine(usize, bool, bool),
    Undefine(bool, usize),
    Tag(bool, usize, usize),
    Untag(usize, usize),
    SetBusiness(bool, usize, usize),
    UnsetBusiness(usize, usize),
    Describe(usize, Option<u8>),
}

fn order() -> impl Strategy<Value = Order> {
    let name = 0..3_usize;
    let topic = 0..3_usize;
    let flag = any::<bool>;
    prop_oneof![
        (
            flag(),
            name.clone(),
            flag(),
            proptest::option::of(name.clone())
        )
            .prop_map(|(t, n, m, s)| Order::Define(t, n, m, s)),
        (name.clone(), flag(), flag()).prop_map(|(n, a, b)| Order::Redefine(n, a, b)),
        (flag(), name.clone()).prop_map(|(t, n)| Order::Undefine(t, n)),
        (flag(), topic.clone(), name.clone()).prop_map(|(c, t, n)| Order::Tag(c, t, n)),
        (topic.clone(), name.clone()).prop_map(|(t, n)| Order::Untag(t, n)),
        (flag(), topic.clone(), name.clone()).prop_map(|(c, t, n)| Order::SetBusiness(c, t, n)),
        (topic.clone(), name).prop_map(|(t, n)| Order::UnsetBusiness(t, n)),
        (topic, proptest::option::of(0..3_u8)).prop_map(|(t, v)| Order::Describe(t, v)),
    ]
}

fn kind(is_tag: bool) -> DefinitionKind {
    if is_tag {
        DefinitionKind::Tag
    } else {
        DefinitionKind::BusinessMetadata
    }
}

/// The third one there is not.
fn topic(index: usize) -> String {
    let name = TOPICS.get(index).copied().unwrap_or("none");
    format!("schema-registry:c:{name}")
}

fn intent(creates: bool) -> Intent {
    if creates {
        Intent::Create
    } else {
        Intent::Update
    }
}

async fn obey(world: &World, order: Order) {
    let catalog = &world.catalog;
    let name = |index: usize| NAMES[index].to_owned();
    let owned = "kafka_topic".to_owned();
    let done = match order {
        Order::Define(is_tag, index, is_optional, above) => {
            let new = NewDefinition {
                attribute_defs: vec![attribute(NAMES[index], is_optional)],
                super_types: above.filter(|_| is_tag).map(name).into_iter().collect(),
                ..tag_definition(NAMES[index])
            };
            let made = catalog.create_definitions(kind(is_tag), vec![new]);
            made.await.map(drop)
        }
        Order::Redefine(index, is_tag, more) => {
            let mut new = tag_definition(NAMES[index]);
            new.attribute_defs = vec![attribute(NAMES[index], true)];
            if more {
                new.attribute_defs.push(attribute("more", true));
            }
            let made = catalog.update_definitions(kind(is_tag), vec![new]);
            made.await.map(drop)
        }
        Order::Undefine(is_tag, index) => {
            catalog.delete_definition(kind(is_tag), NAMES[index]).await
        }
        Order::Tag(creates, at, index) => {
            let values: Map<_, _> = NAMES
                .map(|name| (name.to_owned(), json!("v")))
                .into_iter()
                .collect();
            let new = |attributes| NewTag {
                name: name(index),
                entity_type: owned.clone(),
                entity_name: topic(at),
                attributes,
                ..NewTag::default()
            };
            let of_own = Map::from_iter([(name(index), json!("v"))]);
            let items = vec![new(values), new(of_own), new(Map::new())];
            catalog.set_tags(intent(creates), items).await.map(drop)
        }
        Order::Untag(at, index) => {
            catalog
                .delete_tag("kafka_topic", &topic(at), NAMES[index])
                .await
        }
        Order::SetBusiness(creates, at, index) => {
            let new = NewBusinessMetadata {
                name: name(index),
                entity_type: owned,
                entity_name: topic(at),
                attributes: Map::from_iter([(name(index), json!("v"))]),
            };
            let set = catalog.set_business_metadata(intent(creates), vec![new]);
            set.await.map(drop)
        }
        Order::UnsetBusiness(at, index) => {
            let topic = topic(at);
            let unset = catalog.delete_business_metadata("kafka_topic", &topic, NAMES[index]);
            unset.await
        }
        Order::Describe(at, value) => {
            let owner = value.map_or(json!(null), |value| json!(value.to_string()));
            let attributes = Map::from_iter([
                ("qualifiedName".to_owned(), json!(topic(at))),
                ("owner".to_owned(), owner),
            ]);
            catalog
                .set_attributes("kafka_topic", attributes)
                .await
                .map(drop)
        }
    };
    if let Err(error) = done {
        assert!(error.status() < 500, "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is ordered: a replay gives what is live, nothing is tagged with what is not defined, and no definition is above itself.
    #[test]
    fn the_state_is_what_the_log_says(orders in proptest::collection::vec(order(), 0..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let world = world();
        let found = runtime.block_on(async {
            for order in orders {
                obey(&world, order).await;
            }
            let all = Search { limit: 500, deleted: true, ..Search::default() };
            world.catalog.search(all).await.unwrap()
        });
        let mut replayed = CatalogState::default();
        for (key, value) in world.log.records() {
            replayed.replay(0, &key, value.as_deref(), 1).unwrap();
        }
        let live = world.catalog.state();
        prop_assert_eq!(live.overlays().collect::<Vec<_>>(), replayed.overlays().collect::<Vec<_>>());
        for kind in [DefinitionKind::Tag, DefinitionKind::BusinessMetadata] {
            let of = |state: &CatalogState| state.definitions(kind).cloned().collect::<Vec<_>>();
            prop_assert_eq!(of(&live), of(&replayed));
            prop_assert_eq!(live.definition_count(kind), of(&live).len());
        }
        for (_, overlay) in live.overlays() {
            prop_assert!(!overlay.is_empty());
            for tag in overlay.tags.keys() {
                prop_assert!(live.definition(DefinitionKind::Tag, tag).is_some(), "{}", tag);
            }
            for name in overlay.business_metadata.keys() {
                prop_assert!(live.definition(DefinitionKind::BusinessMetadata, name).is_some(), "{}", name);
            }
        }
        for tag in live.definitions(DefinitionKind::Tag) {
            let below = definitions::with_sub_types(&live, &tag.name);
            prop_assert!(tag.super_types.iter().all(|above| !below.contains(above)), "{:?}", tag);
        }
        // The cluster and both topics, each once.
        prop_assert_eq!(found.len(), 3);
    }
}
