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
