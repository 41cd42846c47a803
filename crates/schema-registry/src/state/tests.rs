//! The state by its records.

use super::records::{ClearSubjectValue, context_record};
use super::*;

fn schema(subject: &str, version: i32, id: i32, text: &str, deleted: bool) -> Record {
    let value = SchemaValue {
        subject: subject.to_owned(),
        version,
        id,
        md5: None,
        schema_type: None,
        references: Vec::new(),
        metadata: None,
        rule_set: None,
        schema: text.to_owned(),
        deleted,
    };
    Record::new(key(subject, version), Value::Schema(Box::new(value)))
}

fn key(subject: &str, version: i32) -> Key {
    Key::Schema {
        subject: subject.to_owned(),
        version,
    }
}

fn state(records: Vec<Record>) -> State {
    let mut state = State::default();
    for record in records {
        state.apply(record, 1);
    }
    state
}

#[test]
fn a_schema_is_found_by_version_id_and_guid() {
    let state = state(vec![
        schema("a", 1, 1, "\"int\"", false),
        schema("b", 1, 1, "\"int\"", false),
        schema("a", 2, 2, "\"long\"", false),
    ]);
    let version = state.version("a", 1).unwrap();
    let index = state.index(".").unwrap();
    assert_eq!(index.id_of(&version.body.guid), Some(1));
    assert_eq!(index.by_id(1).unwrap().versions.len(), 2);
    assert!(Arc::ptr_eq(
        &version.body,
        &state.version("b", 1).unwrap().body
    ));
    assert_eq!(state.latest("a").unwrap().0, 2);
    assert_eq!(state.next_id("."), 3);
}

#[test]
fn a_taken_id_keeps_its_schema() {
    let state = state(vec![
        schema("a", 1, 1, "\"int\"", false),
        schema("b", 1, 1, "\"long\"", false),
    ]);
    assert!(state.version("b", 1).is_none());
    assert_eq!(
        &*state.index(".").unwrap().by_id(1).unwrap().body.text,
        "\"int\""
    );
}

#[test]
fn an_id_is_not_given_again_after_its_schema_is_gone() {
    let mut state = state(vec![
        schema("a", 1, 1, "\"int\"", false),
        schema("a", 2, 2, "\"long\"", false),
        Record::tombstone(key("a", 2)),
    ]);
    assert_eq!(state.next_id("."), 3);
    assert!(state.index(".").unwrap().by_id(2).is_none());
    let noop = state.noop();
    // What compaction leaves: the schema of the highest id is gone, the number is not.
    state = self::state(vec![schema("a", 1, 1, "\"int\"", false), noop]);
    assert_eq!(state.next_id("."), 3);
}

#[test]
fn a_soft_delete_hides_and_a_hard_one_removes() {
    let delete = Record::new(
        Key::DeleteSubject("a".to_owned()),
        Value::DeleteSubject(DeleteSubjectValue {
            subject: "a".to_owned(),
            version: 1,
        }),
    );
    let mut state = state(vec![
        schema("a", 1, 1, "\"int\"", false),
        schema("a", 2, 2, "\"long\"", false),
        delete,
    ]);
    assert!(state.version("a", 1).unwrap().deleted);
    assert!(!state.version("a", 2).unwrap().deleted);
    assert!(state.index(".").unwrap().by_id(1).is_some());
    let clear = Record::new(
        Key::ClearSubject(None),
        Value::ClearSubject(ClearSubjectValue { subject: None }),
    );
    state.apply(clear, 1);
    assert!(state.version("a", 1).is_none());
    assert!(state.has_subject("a", Lookup::Live));
    state.apply(Record::tombstone(key("a", 2)), 1);
    assert!(!state.has_subject("a", Lookup::All));
}

#[test]
fn references_count_while_they_are_live() {
    let mut referring = schema("b", 1, 2, "{}", false);
    if let Some(Value::Schema(value)) = &mut referring.value {
        value.references = vec![SchemaReference {
            name: "n".to_owned(),
            subject: "a".to_owned(),
            version: 1,
        }];
    }
    let mut state = state(vec![schema("a", 1, 1, "\"int\"", false), referring.clone()]);
    assert_eq!(state.referenced_by("a", 1), [2]);
    state.apply(referring.clone(), 1);
    assert_eq!(state.referenced_by("a", 1), [2]);
    if let Some(Value::Schema(value)) = &mut referring.value {
        value.deleted = true;
    }
    state.apply(referring, 1);
    assert!(state.referenced_by("a", 1).is_empty());
}

#[test]
fn a_key_in_another_spelling_is_remembered_until_it_is_deleted() {
    let mut state = State::default();
    let old = br#"{"magic":1,"keytype":"SCHEMA","version":1,"subject":"a"}"#;
    let value = schema("a", 1, 1, "\"int\"", false).encode_value().unwrap();
    state.apply_raw(old, Some(&value), 1).unwrap();
    let spellings = |state: &State| state.other_spellings(&key("a", 1)).count();
    assert_eq!(spellings(&state), 1);
    state.apply_raw(old, None, 1).unwrap();
    assert_eq!(spellings(&state), 0);
    assert!(state.version("a", 1).is_none());
}

#[test]
fn contexts_have_their_own_ids_and_defaults() {
    let set = |of: Option<&str>, level| {
        let config = Config {
            compatibility_level: Some(level),
            ..Config::default()
        };
        Record::new(
            Key::Config(of.map(str::to_owned)),
            Value::Config(Box::new(config)),
        )
    };
    use schema::CompatibilityLevel::{Forward, Full, None as Nothing};
    let mut state = state(vec![
        schema("a", 1, 5, "\"int\"", false),
        schema(":.c:a", 1, 1, "\"long\"", false),
        context_record(".d"),
    ]);
    assert_eq!(
        (state.next_id("."), state.next_id(".c"), state.next_id(".d")),
        (6, 2, 1)
    );
    assert_eq!(state.contexts().collect::<Vec<_>>(), [".c", ".d"]);
    let level = |state: &State, of| state.config_in_scope(Some(of)).compatibility_level;
    state.apply(set(Some(":.__GLOBAL:"), Nothing), 1);
    assert_eq!(level(&state, ":.c:a"), Some(Nothing));
    state.apply(set(None, Full), 1);
    assert_eq!(level(&state, "a"), Some(Full));
    state.apply(set(Some(":.c:"), Forward), 1);
    assert_eq!(level(&state, ":.c:a"), Some(Forward));
    assert_eq!(level(&state, "a"), Some(Full));
    let all: Vec<_> = state
        .subjects_with_prefix(":*:a")
        .map(|(name, _)| name.to_string())
        .collect();
    assert_eq!(all, [":.c:a", "a"]);
    assert_eq!(state.subjects_under(Some(":.c:")).count(), 1);
}

#[test]
fn a_mode_of_everybody_can_be_stronger() {
    let set = |of: Option<&str>, mode| {
        let value = records::ModeValue {
            subject: of.map(str::to_owned),
            mode,
        };
        Record::new(Key::Mode(of.map(str::to_owned)), Value::Mode(value))
    };
    let mut state = state(vec![
        set(None, Mode::ReadOnly),
        set(Some("a"), Mode::ReadWrite),
    ]);
    assert_eq!(state.mode_in_scope(Some("a")), Mode::ReadWrite);
    assert_eq!(state.mode_in_scope(Some("b")), Mode::ReadOnly);
    state.apply(set(None, Mode::ReadOnlyOverride), 1);
    assert_eq!(state.mode_in_scope(Some("a")), Mode::ReadOnlyOverride);
    state.apply(Record::tombstone(Key::Mode(None)), 1);
    assert_eq!(state.mode_in_scope(Some("b")), Mode::ReadWrite);
}

/// What Confluent's registries of several releases have written, key and value as they stand in the topic.
const TAKEN_OVER: &[(&str, Option<&str>)] = &[
    (r#"{"keytype":"NOOP","magic":0}"#, None),
    // 5.x: no md5, no type, fields of the key in another order.
    (
        r#"{"subject":"old","version":1,"magic":1,"keytype":"SCHEMA"}"#,
        Some(r#"{"subject":"old","version":1,"id":1,"schema":"\"int\"","deleted":false}"#),
    ),
    // 7.x: references, type.
    (
        r#"{"keytype":"SCHEMA","subject":"json","version":1,"magic":1}"#,
        Some(
            r#"{"subject":"json","version":1,"id":2,"schemaType":"JSON","references":null,"schema":"{}","deleted":false,"offset":7,"ts":1700000000000}"#,
        ),
    ),
    // 8.x: digest, metadata, rules, tags.
    (
        r#"{"keytype":"SCHEMA","subject":":.c:new","version":2,"magic":1}"#,
        Some(
            r#"{"subject":":.c:new","version":2,"id":9,"md5":"CV1xzxJVa51eMwrVdbPfXQ==","references":[{"name":"n","subject":"old","version":1}],"metadata":{"tags":null,"properties":{"owner":"me"},"sensitive":["owner"]},"ruleSet":{"migrationRules":null,"domainRules":[{"name":"r","kind":"CONDITION","mode":"WRITE","type":"CEL","expr":"true","disabled":false}]},"schema":"\"string\"","schemaTags":[],"deleted":false}"#,
        ),
    ),
    (
        r#"{"keytype":"CONFIG","subject":null,"magic":0}"#,
        Some(r#"{"compatibilityLevel":"FULL"}"#),
    ),
    (
        r#"{"keytype":"CONFIG","subject":"old","magic":0}"#,
        Some(
            r#"{"subject":"old","alias":"json","normalize":true,"validateFields":null,"compatibilityLevel":"NONE","compatibilityGroup":"app","overrideMetadata":{"properties":{"a":"b"}},"validateNames":true}"#,
        ),
    ),
    (
        r#"{"keytype":"MODE","subject":"old","magic":0}"#,
        Some(r#"{"mode":"IMPORT"}"#),
    ),
    (
        r#"{"keytype":"MODE","subject":null,"magic":0}"#,
        Some(r#"{"subject":null,"mode":"READWRITE"}"#),
    ),
    (
        r#"{"keytype":"CONTEXT","tenant":"default","context":".empty","magic":0}"#,
        Some(r#"{"tenant":"default","context":".empty"}"#),
    ),
    (
        r#"{"keytype":"DELETE_SUBJECT","subject":"json","magic":0}"#,
        Some(r#"{"subject":"json","version":1}"#),
    ),
    (
        r#"{"keytype":"CLEAR_SUBJECT","subject":":.gone:","magic":0}"#,
        Some(r#"{"subject":":.gone:"}"#),
    ),
    (
        r#"{"keytype":"ASSOC","tenant":"default","resourceName":"t","resourceNamespace":"lkc-1","resourceType":"topic","associationType":"value","subject":"old","magic":0}"#,
        Some(
            r#"{"subject":"old","guid":"95d071cf-1255-6b9d-5e33-0ad575b3df5d","tenant":"default","resourceName":"t","resourceNamespace":"lkc-1","resourceId":"id","resourceType":"topic","associationType":"value","lifecycle":"STRONG","frozen":false}"#,
        ),
    ),
    // What only later releases, or other products, know.
    (
        r#"{"keytype":"CATALOG","name":"x","magic":3}"#,
        Some(r#"{"anything":[1]}"#),
    ),
    (
        r#"{"keytype":"ENCODER","tenant":"default","magic":0}"#,
        None,
    ),
];

#[test]
fn a_topic_of_confluents_is_taken_over() {
    let mut state = State::default();
    for (key, value) in TAKEN_OVER {
        let applied = state.apply_raw(key.as_bytes(), value.map(str::as_bytes), 5);
        assert!(applied.is_ok(), "{key}: {applied:?}");
    }
    assert_eq!(state.latest("old").unwrap().1.id, 1);
    let json = state.version("json", 1).unwrap();
    assert!(json.deleted && json.body.schema_type == SchemaType::Json);
    let new = state.version(":.c:new", 2).unwrap();
    let metadata = new.body.metadata.as_ref().unwrap();
    assert_eq!(metadata.properties.as_ref().unwrap()["owner"], "me");
    assert_eq!(
        new.body
            .rule_set
            .as_ref()
            .unwrap()
            .domain_rules
            .as_ref()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(state.contexts().collect::<Vec<_>>(), [".c", ".empty"]);
    let config = state.config_in_scope(Some("old"));
    assert_eq!(config.other.keys().collect::<Vec<_>>(), ["validateNames"]);
    assert_eq!(config.compatibility_group.as_deref(), Some("app"));
    assert_eq!(config.alias.as_deref(), Some("json"));
    let everybody = state.config_of(None).unwrap().compatibility_level;
    assert_eq!(everybody, Some(schema::CompatibilityLevel::Full));
    assert_eq!(state.mode_of(Some("old")), Some(Mode::Import));
    let associations = state.associations();
    let found = associations.of_name("-", "t", &AssociationFilter::default());
    assert_eq!((found.len(), found[0].created_ms), (1, 5));
    assert_eq!((state.next_id("."), state.next_id(".c")), (3, 10));
}

#[test]
fn a_record_that_is_taken_over_is_written_as_it_was() {
    for (key, value) in TAKEN_OVER {
        let Some(record) = Record::decode(key.as_bytes(), value.map(str::as_bytes)).unwrap() else {
            assert!(key.contains("CATALOG") || key.contains("ENCODER"), "{key}");
            continue;
        };
        // The same key, as far as JSON goes, and a value that says all that we read of it.
        let written: serde_json::Value = serde_json::from_slice(&record.key.encode()).unwrap();
        assert_eq!(
            written,
            serde_json::from_str::<serde_json::Value>(key).unwrap()
        );
        let again = Record::decode(&record.key.encode(), record.encode_value().as_deref());
        assert_eq!(again.unwrap(), Some(record));
    }
    // What is not known of a config outlives a change of the rest, but not the config.
    let record = TAKEN_OVER
        .iter()
        .find_map(|(_, value)| value.filter(|value| value.contains("validateNames")));
    let config: Config = serde_json::from_str(record.unwrap()).unwrap();
    let changed = crate::service::config::ConfigChange::default().applied_to(&config);
    assert_eq!(changed, config);
}

#[test]
fn changes_are_told_once_where_they_were_made_last() {
    let mut state = State::default();
    let mut apply = |record: Record| {
        let (key, value) = (record.key.encode(), record.encode_value());
        state.apply_raw(&key, value.as_deref(), 1).unwrap();
        let told = state.changes_after(-1);
        told.map(|(offset, change)| (offset, change.clone()))
            .collect::<Vec<_>>()
    };
    let version = |subject: &str, number| Change::Version(Arc::from(subject), number);
    let config = |value: Option<Config>| Record {
        key: Key::Config(Some("a".to_owned())),
        value: value.map(|value| Value::Config(Box::new(value))),
    };
    apply(schema("a", 1, 1, "\"int\"", false));
    apply(config(Some(Config::default())));
    apply(schema("a", 2, 2, "\"long\"", false));
    let told = apply(schema("a", 1, 1, "\"int\"", true));
    let of_config = Change::Config(Arc::from("a"));
    assert_eq!(
        told,
        [
            (1, of_config.clone()),
            (2, version("a", 2)),
            (3, version("a", 1))
        ]
    );
    let told = apply(config(None));
    assert_eq!(
        told,
        [
            (2, version("a", 2)),
            (3, version("a", 1)),
            (4, of_config.clone())
        ]
    );
    let told = apply(Record::new(
        Key::DeleteSubject("a".to_owned()),
        Value::DeleteSubject(DeleteSubjectValue {
            subject: "a".to_owned(),
            version: 2,
        }),
    ));
    assert_eq!(told.last(), Some(&(5, Change::Deleted(Arc::from("a")))));
    apply(Record::tombstone(key("a", 1)));
    let told = apply(Record::tombstone(key("a", 2)));
    assert_eq!(told, [(4, of_config)]);
    let counts = state.counts().by_type()[0].1;
    assert_eq!((counts.created, counts.deleted, counts.live), (2, 2, 0));
    assert_eq!(state.offset(), 7);
}
