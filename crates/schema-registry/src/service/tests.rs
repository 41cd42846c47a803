//! The operations over a log in memory. What is asserted of records is what Confluent's registry would write.

use std::sync::{Arc, RwLock};

use futures::future::BoxFuture;
use schema::CompatibilityLevel;
use tokio::sync::watch;

use super::config::ConfigChange;
use super::lookup::VersionId;
use super::register::RegisterOptions;
use super::*;
use crate::log::MemoryLog;
use crate::state::Lookup;

struct World {
    registry: Arc<Registry>,
    log: Arc<MemoryLog>,
    leadership: watch::Sender<Leadership>,
}

fn world() -> World {
    let state = Arc::new(RwLock::new(State::default()));
    let log = Arc::new(MemoryLog::new(Arc::clone(&state)));
    let (leadership, watched) = watch::channel(Leadership::Here);
    let config = RegistryConfig::default();
    let registry = Registry::new(state, Arc::clone(&log) as Arc<_>, config, watched);
    World {
        registry: Arc::new(registry),
        log,
        leadership,
    }
}

fn avro(text: &str) -> NewSchema {
    NewSchema {
        id: -1,
        text: text.to_owned(),
        ..NewSchema::default()
    }
}

fn user(fields: &[(&str, &str)]) -> NewSchema {
    let fields: Vec<String> = fields
        .iter()
        .map(|(name, rest)| format!(r#"{{"name":"{name}",{rest}}}"#))
        .collect();
    avro(&format!(
        r#"{{"type":"record","name":"User","fields":[{}]}}"#,
        fields.join(",")
    ))
}

impl World {
    async fn register(&self, subject: &str, new: NewSchema) -> Result<(i32, i32), RegistryError> {
        let options = RegisterOptions::default();
        let found = self
            .registry
            .register(subject.to_owned(), new, options)
            .await?;
        Ok((found.id, found.version))
    }

    /// A registry that reads the same topic from its beginning.
    fn replayed(&self) -> State {
        let mut state = State::default();
        for (key, value) in self.log.records() {
            state.apply_raw(&key, value.as_deref(), 1).unwrap();
        }
        state
    }
}

const ID: (&str, &str) = ("id", r#""type":"long""#);
const EMAIL: (&str, &str) = ("email", r#""type":"string","default":"""#);
const AGE: (&str, &str) = ("age", r#""type":"int""#);

#[tokio::test]
async fn a_schema_is_registered_once_and_evolves() {
    let world = world();
    assert_eq!(world.register("users-value", user(&[ID])).await, Ok((1, 1)));
    assert_eq!(world.register("users-value", user(&[ID])).await, Ok((1, 1)));
    assert_eq!(world.register("other", user(&[ID])).await, Ok((1, 1)));
    assert_eq!(
        world.register("users-value", user(&[ID, EMAIL])).await,
        Ok((2, 2))
    );
    assert_eq!(world.log.records().len(), 3);
    let refused = world
        .register("users-value", user(&[ID, EMAIL, AGE]))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), 409);
    assert!(
        refused
            .to_string()
            .contains("READER_FIELD_MISSING_DEFAULT_VALUE"),
        "{refused}"
    );
    assert_eq!(world.log.records().len(), 3);
    let (key, value) = &world.log.records()[0];
    assert_eq!(
        String::from_utf8_lossy(key),
        r#"{"keytype":"SCHEMA","subject":"users-value","version":1,"magic":1}"#
    );
    let value = String::from_utf8_lossy(value.as_deref().unwrap()).into_owned();
    assert!(
        value.starts_with(r#"{"subject":"users-value","version":1,"id":1,"md5":""#),
        "{value}"
    );
}

#[tokio::test]
async fn a_deleted_version_comes_back_with_its_id_and_another_number() {
    let world = world();
    world.register("s", user(&[ID])).await.unwrap();
    let delete = |permanent| {
        world
            .registry
            .delete_version("s".to_owned(), VersionId::Latest, permanent)
    };
    assert_eq!(delete(true).await.unwrap_err().code(), 40407);
    assert_eq!(delete(false).await, Ok(1));
    assert!(
        world
            .registry
            .version("s", VersionId::Number(1), false)
            .is_none()
    );
    assert!(world.registry.by_id(1, None).is_some());
    assert_eq!(world.register("s", user(&[ID])).await, Ok((1, 2)));
    // The old version is replaced by the new one.
    assert!(
        world
            .registry
            .version("s", VersionId::Number(1), true)
            .is_none()
    );
}

#[tokio::test]
async fn no_id_is_given_twice_over_deletion_and_restart() {
    let world = world();
    world.register("s", user(&[ID])).await.unwrap();
    world.register("t", user(&[ID, EMAIL])).await.unwrap();
    for permanent in [false, true] {
        let deleted = world
            .registry
            .delete_subject("t".to_owned(), permanent)
            .await;
        assert_eq!(deleted, Ok(vec![1]));
    }
    assert!(world.registry.by_id(2, None).is_none());
    assert_eq!(world.replayed().next_id("."), 3);
    // What compaction leaves of the topic: the last record of each key, without tombstones.
    let records = world.log.records();
    let mut compacted = State::default();
    for (index, (key, value)) in records.iter().enumerate() {
        let last = records[index + 1..].iter().all(|(later, _)| later != key);
        if last && value.is_some() {
            compacted.apply_raw(key, value.as_deref(), 1).unwrap();
        }
    }
    assert_eq!(compacted.next_id("."), 3);
    assert_eq!(world.register("u", user(&[AGE])).await, Ok((3, 1)));
}

#[tokio::test]
async fn a_referenced_version_stays() {
    let world = world();
    world
        .register(
            "base",
            avro(r#"{"type":"record","name":"Base","fields":[]}"#),
        )
        .await
        .unwrap();
    let mut referring =
        avro(r#"{"type":"record","name":"R","fields":[{"name":"b","type":"Base"}]}"#);
    referring.references = vec![SchemaReference {
        name: "Base".to_owned(),
        subject: "base".to_owned(),
        version: -1,
    }];
    world.register("r", referring).await.unwrap();
    assert_eq!(world.registry.referenced_by("base", 1), [2]);
    let refused = world
        .registry
        .delete_subject("base".to_owned(), false)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), 42206);
    world
        .registry
        .delete_subject("r".to_owned(), false)
        .await
        .unwrap();
    assert_eq!(
        world
            .registry
            .delete_subject("base".to_owned(), false)
            .await,
        Ok(vec![1])
    );
}

#[tokio::test]
async fn modes_say_who_may_choose_ids() {
    let world = world();
    let with_id = |id, field| NewSchema {
        id,
        ..user(&[field])
    };
    assert_eq!(
        world
            .register("s", with_id(7, ID))
            .await
            .unwrap_err()
            .code(),
        42205
    );
    world
        .registry
        .set_mode(None, Some(Mode::Import), false)
        .await
        .unwrap();
    assert_eq!(world.register("s", with_id(7, ID)).await, Ok((7, 1)));
    assert_eq!(
        world
            .register("t", with_id(7, AGE))
            .await
            .unwrap_err()
            .code(),
        42205
    );
    assert_eq!(
        world.register("s", user(&[AGE])).await.unwrap_err().code(),
        42205
    );
    world
        .registry
        .set_mode(None, Some(Mode::ReadWrite), false)
        .await
        .unwrap();
    assert_eq!(world.register("u", user(&[AGE])).await, Ok((8, 1)));
    let refused = world
        .registry
        .set_mode(None, Some(Mode::Import), false)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), 42205);
    world
        .registry
        .set_mode(None, Some(Mode::ReadOnly), false)
        .await
        .unwrap();
    let refused = world
        .registry
        .delete_subject("s".to_owned(), false)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), 42205);
}

#[tokio::test]
async fn contexts_are_apart() {
    let world = world();
    world.register("s", user(&[ID])).await.unwrap();
    assert_eq!(world.register(":.c:s", user(&[AGE])).await, Ok((1, 1)));
    assert_eq!(world.registry.contexts(), [".", ".c"]);
    let refused = world
        .registry
        .delete_context(".c".to_owned())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), 42211);
    for permanent in [false, true] {
        world
            .registry
            .delete_subject(":.c:s".to_owned(), permanent)
            .await
            .unwrap();
    }
    world
        .registry
        .delete_context(".c".to_owned())
        .await
        .unwrap();
    assert_eq!(world.registry.contexts(), ["."]);
}

#[tokio::test]
async fn metadata_comes_from_the_config_and_the_version_before() {
    let world = world();
    let metadata = |text: &str| serde_json::from_str::<Metadata>(text).unwrap();
    let change = ConfigChange {
        compatibility_level: Some(Some(CompatibilityLevel::None)),
        override_metadata: Some(Some(metadata(r#"{"properties":{"tier":"gold"}}"#))),
        ..ConfigChange::default()
    };
    world
        .registry
        .update_config(Some("s".to_owned()), change)
        .await
        .unwrap();
    let mut first = user(&[ID]);
    first.metadata = Some(metadata(r#"{"properties":{"owner":"a","tier":"silver"}}"#));
    world.register("s", first).await.unwrap();
    world.register("s", user(&[AGE])).await.unwrap();
    let found = world
        .registry
        .version("s", VersionId::Number(2), false)
        .unwrap();
    let expected = metadata(r#"{"properties":{"owner":"a","tier":"gold"}}"#);
    assert_eq!(found.body.metadata.as_deref(), Some(&expected));
}

#[tokio::test]
async fn who_does_not_write_says_so() {
    let world = world();
    world
        .leadership
        .send_replace(Leadership::At("http://other:8081".to_owned()));
    let refused = world.register("s", user(&[ID])).await.unwrap_err();
    assert_eq!(refused.code(), 50004);
    assert!(!world.registry.state().has_subject("s", Lookup::All));
}

#[tokio::test]
async fn the_live_state_is_what_a_replay_gives() {
    let world = world();
    for n in 0..20 {
        let subject = if n % 3 == 0 {
            format!(":.c{}:s", n % 2)
        } else {
            format!("s{}", n % 4)
        };
        let field = format!("f{n}");
        let new = user(&[(field.as_str(), r#""type":"int","default":0"#)]);
        world.register(&subject, new).await.unwrap();
        if n % 5 == 0 {
            world
                .registry
                .delete_subject(subject.clone(), false)
                .await
                .unwrap();
        }
        if n % 10 == 0 {
            world.registry.delete_subject(subject, true).await.unwrap();
        }
    }
    let replayed = world.replayed();
    let live = world.registry.state();
    let shown = |state: &State| {
        state
            .subjects_with_prefix(":*:")
            .map(|(subject, versions)| {
                let versions: Vec<_> = versions
                    .iter()
                    .map(|(n, v)| (*n, v.id, v.deleted))
                    .collect();
                (subject.to_string(), versions)
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(shown(&live), shown(&replayed));
    for context in [".", ".c0", ".c1"] {
        assert_eq!(
            live.next_id(context),
            replayed.next_id(context),
            "{context}"
        );
    }
}

/// A log whose appends wait until they are let through.
#[derive(Debug)]
struct HeldLog {
    log: MemoryLog,
    arrived: tokio::sync::Notify,
    let_through: tokio::sync::Semaphore,
}

impl Log for HeldLog {
    fn ready(&self) -> BoxFuture<'_, Result<(), RegistryError>> {
        self.log.ready()
    }

    fn append(&self, records: Vec<Record>) -> BoxFuture<'_, Result<(), RegistryError>> {
        Box::pin(async move {
            self.arrived.notify_one();
            let permit = self.let_through.acquire().await.unwrap();
            permit.forget();
            self.log.append(records).await
        })
    }
}

/// A client that hung up in the middle of a write once left the writer's transaction open, and every later write failed;
/// one that hung up between the write and its being read back let the next schema be planned without it.
#[tokio::test]
async fn a_change_is_finished_when_nobody_waits_for_it() {
    let state = Arc::new(RwLock::new(State::default()));
    let log = Arc::new(HeldLog {
        log: MemoryLog::new(Arc::clone(&state)),
        arrived: tokio::sync::Notify::new(),
        let_through: tokio::sync::Semaphore::new(0),
    });
    let (_leadership, watched) = watch::channel(Leadership::Here);
    let config = RegistryConfig::default();
    let registry = Arc::new(Registry::new(
        state,
        Arc::clone(&log) as Arc<_>,
        config,
        watched,
    ));
    let register = |subject: &str, field| {
        let options = RegisterOptions::default();
        registry.register(subject.to_owned(), user(&[field]), options)
    };
    {
        let hung_up = register("a", ID);
        tokio::pin!(hung_up);
        tokio::select! {
            _ = &mut hung_up => panic!("the log lets nothing through"),
            () = log.arrived.notified() => {}
        }
    }
    log.let_through.add_permits(2);
    let next = register("b", AGE).await.unwrap();
    assert_eq!((next.id, next.version), (2, 1));
    let first = registry.version("a", VersionId::Latest, false).unwrap();
    assert_eq!(first.id, 1);
    registry.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_change_that_does_not_get_its_turn_is_told_so() {
    let world = world();
    let turn = Arc::clone(&world.registry.turns.turn).lock_owned().await;
    let refused = world.register("s", user(&[ID])).await.unwrap_err();
    assert_eq!(refused.code(), 50002);
    drop(turn);
    assert_eq!(world.register("s", user(&[ID])).await, Ok((1, 1)));
}
