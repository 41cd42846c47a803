//! Whether a schema may follow others: the seven levels over the one question that a format answers.
//!
//! A format says what stands in the way of reading data of a *writer's* schema with a *reader's* schema
//! ([`crate::Format::reading`]). The levels only choose who is which and how far back to look
//! (`CompatibilityChecker` of Confluent's schema-registry, 8.2).

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::{Metadata, SchemaType};
use crate::parsed::ParsedSchema;

/// How a new version of a subject relates to those before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CompatibilityLevel {
    /// Nothing is checked.
    None,
    /// The new schema reads data of the last one.
    #[default]
    Backward,
    /// The new schema reads data of all.
    BackwardTransitive,
    /// The last schema reads data of the new one.
    Forward,
    /// All schemas read data of the new one.
    ForwardTransitive,
    /// Both, with the last.
    Full,
    /// Both, with all.
    FullTransitive,
}

impl CompatibilityLevel {
    /// All levels.
    pub const ALL: [Self; 7] = [
        Self::None,
        Self::Backward,
        Self::BackwardTransitive,
        Self::Forward,
        Self::ForwardTransitive,
        Self::Full,
        Self::FullTransitive,
    ];

    /// `NONE`, `BACKWARD`, ...
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Backward => "BACKWARD",
            Self::BackwardTransitive => "BACKWARD_TRANSITIVE",
            Self::Forward => "FORWARD",
            Self::ForwardTransitive => "FORWARD_TRANSITIVE",
            Self::Full => "FULL",
            Self::FullTransitive => "FULL_TRANSITIVE",
        }
    }

    /// The level of that name, whatever the case, as Confluent's registry reads it; none if there is none.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|level| level.name().eq_ignore_ascii_case(name))
    }

    /// Whether all versions are looked at, not only the last.
    pub fn is_transitive(self) -> bool {
        matches!(
            self,
            Self::BackwardTransitive | Self::ForwardTransitive | Self::FullTransitive
        )
    }

    /// Whether the new schema must read data of the old.
    pub fn is_backward(self) -> bool {
        matches!(
            self,
            Self::Backward | Self::BackwardTransitive | Self::Full | Self::FullTransitive
        )
    }

    /// Whether the old schema must read data of the new.
    pub fn is_forward(self) -> bool {
        matches!(
            self,
            Self::Forward | Self::ForwardTransitive | Self::Full | Self::FullTransitive
        )
    }
}

/// Which changes of a JSON Schema count as compatible (`compatibilityPolicy`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CompatibilityPolicy {
    /// By the letter of JSON Schema.
    #[default]
    Strict,
    /// As people mean it: an optional property may come and go.
    Lenient,
    /// By the letter, and by what Flink and Iceberg make of the types; the second part is not looked at.
    Logical,
}

/// One thing in the way of reading one schema's data with another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incompatibility {
    /// The rule, by the name the counterpart gives it, such as `READER_FIELD_MISSING_DEFAULT_VALUE`.
    pub rule: &'static str,
    /// Where, in the terms of the format: `/fields/1`, `#/properties/email`, `#/User/3`.
    pub path: String,
    /// What is wrong there, one sentence. It calls the two schemas [`READER`] and [`WRITER`].
    pub description: String,
    /// The counterpart's `additionalInfo`: the schema, the name or the value it is about; empty if none.
    pub additional_info: String,
    /// What would mend it, one sentence in the imperative.
    pub remedy: String,
}

/// In a description or a remedy: the schema that reads; `new` or `old` in a message.
pub const READER: &str = "{reader}";
/// In a description or a remedy: the schema whose data is read; `old` or `new` in a message.
pub const WRITER: &str = "{writer}";

/// The rule of two schemas of different types.
pub const DIFFERENT_TYPE: &str = "DIFFERENT_SCHEMA_TYPE";

impl Incompatibility {
    /// Two schemas of different types.
    pub fn different_type() -> Self {
        Self {
            rule: DIFFERENT_TYPE,
            path: String::new(),
            description: "Incompatible because of different schema type".to_owned(),
            additional_info: String::new(),
            remedy: String::new(),
        }
    }

    /// As in the `messages` of a verbose compatibility check, in the words that Confluent's `Difference` of the type
    /// has, with the remedy at the end. `reader` and `writer` are `new` and `old` or the other way round.
    pub fn message(&self, schema_type: SchemaType, reader: &str, writer: &str) -> String {
        let named = |text: &str| text.replace(READER, reader).replace(WRITER, writer);
        if self.rule == DIFFERENT_TYPE {
            return named(&self.description);
        }
        let quote = match schema_type {
            SchemaType::Avro => '\'',
            SchemaType::Json | SchemaType::Protobuf => '"',
        };
        let mut message = format!(
            "{{errorType:{quote}{}{quote}, description:{quote}{}{quote}",
            self.rule,
            named(&self.description)
        );
        for (name, text) in [
            ("additionalInfo", &self.additional_info),
            ("remedy", &self.remedy),
        ] {
            if !text.is_empty() {
                message.push_str(&format!(", {name}:{quote}{}{quote}", named(text)));
            }
        }
        message.push('}');
        message
    }
}

/// What a subject asks of a new version (the settings that `Config` of Confluent's API has of it).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Demand<'a> {
    /// How far a schema must be compatible, and with which others.
    pub level: CompatibilityLevel,
    /// By which rules of JSON Schema.
    pub policy: CompatibilityPolicy,
    /// Whether reserved fields (`confluent:reserved`) are minded.
    pub validate_fields: bool,
    /// The metadata property whose value must be the same for two versions to be compared.
    pub group: Option<&'a str>,
}

/// A contract: what is said of a schema beside its text.
#[derive(Debug, Clone, Copy, Default)]
struct Contract<'a>(Option<&'a Metadata>);

impl<'a> Contract<'a> {
    fn property(self, name: &str) -> Option<&'a str> {
        let properties = self.0?.properties.as_ref()?;
        properties.get(name).map(String::as_str)
    }

    fn reserved(self) -> BTreeSet<&'a str> {
        let list = self.property(RESERVED).unwrap_or_default();
        list.split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .collect()
    }
}

/// The schema that is to be the next version.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// What it is.
    pub schema: &'a ParsedSchema,
    /// The contract beside it.
    pub metadata: Option<&'a Metadata>,
}

/// A version that is there already. It is parsed only when it is compared.
#[derive(Debug, Clone, Copy)]
pub struct Previous<'a> {
    /// Its number.
    pub number: i32,
    /// The contract beside it.
    pub metadata: Option<&'a Metadata>,
}

/// The metadata property that lists reserved fields, with commas between.
const RESERVED: &str = "confluent:reserved";

/// How much of an old schema a message shows, in characters.
const SHOWN_CHARS_MAX: usize = 10 * 1024;

/// What is said against `new` as the version after `previous`, oldest first. Empty: it may follow.
///
/// `parsed` is asked for those of `previous` that are compared, by their place in it. The messages are those of a
/// verbose check: the incompatibilities, then the old version and its schema, then the settings
/// (`AbstractSchemaRegistry.isCompatibleWithPrevious`, `SchemaValidatorBuilder`, 8.2). A level that is not transitive
/// looks at the last of `previous` only, of a group's where there is one.
///
/// # Errors
/// What `parsed` says.
pub fn check<E>(
    demand: Demand<'_>,
    new: Candidate<'_>,
    previous: &[Previous<'_>],
    mut parsed: impl FnMut(usize) -> Result<Arc<ParsedSchema>, E>,
) -> Result<Vec<String>, E> {
    let mut messages = Vec::new();
    if demand.validate_fields {
        check_reserved(new, previous.last(), &mut messages);
    }
    let in_group = |version: &Previous<'_>| match demand.group {
        Some(group) => {
            Contract(version.metadata).property(group) == Contract(new.metadata).property(group)
        }
        None => true,
    };
    if demand.level != CompatibilityLevel::None {
        for (place, old) in previous.iter().enumerate().rev() {
            if !in_group(old) {
                continue;
            }
            let schema = parsed(place)?;
            let found = compare(demand, new.schema, old.number, &schema);
            let is_done = !found.is_empty() || !demand.level.is_transitive();
            messages.extend(found);
            if is_done {
                break;
            }
        }
    }
    if !messages.is_empty() {
        messages.push(format!(
            "{{validateFields: '{}', compatibility: '{}'}}",
            demand.validate_fields,
            demand.level.name()
        ));
    }
    Ok(messages)
}

fn check_reserved(new: Candidate<'_>, last: Option<&Previous<'_>>, messages: &mut Vec<String>) {
    let reserved = Contract(new.metadata).reserved();
    if let Some(last) = last {
        for field in Contract(last.metadata).reserved().difference(&reserved) {
            messages.push(format!(
                "The new schema has reserved field {field} removed from its metadata which is present in the old schema's metadata."
            ));
        }
    }
    if reserved.is_empty() {
        return;
    }
    let fields: BTreeSet<String> = new.schema.top_level_fields().into_iter().collect();
    for field in reserved {
        if fields.contains(field) {
            messages.push(format!(
                "The new schema has field that conflicts with the reserved field {field}."
            ));
        }
    }
}

fn compare(demand: Demand<'_>, new: &ParsedSchema, number: i32, old: &ParsedSchema) -> Vec<String> {
    if new.schema_type() != old.schema_type() {
        return vec![Incompatibility::different_type().description];
    }
    let level = demand.level;
    let mut messages = Vec::new();
    if level.is_forward() {
        messages = read(demand, (old, "old"), (new, "new"));
        // With both directions, the old schema is shown after the second only.
        if !messages.is_empty() && !level.is_backward() {
            show(number, old, &mut messages);
        }
    }
    if level.is_backward() {
        let mut found = read(demand, (new, "new"), (old, "old"));
        if !found.is_empty() {
            show(number, old, &mut found);
        }
        messages.extend(found);
    }
    messages
}

fn read(
    demand: Demand<'_>,
    (reader, reader_name): (&ParsedSchema, &str),
    (writer, writer_name): (&ParsedSchema, &str),
) -> Vec<String> {
    match reader.reading(writer, demand.policy) {
        Ok(found) => found
            .iter()
            .map(|found| found.message(reader.schema_type(), reader_name, writer_name))
            .collect(),
        Err(error) => vec![format!(
            "Unexpected exception during compatibility check: {error}"
        )],
    }
}

fn show(number: i32, old: &ParsedSchema, messages: &mut Vec<String>) {
    messages.push(format!("{{oldSchemaVersion: {number}}}"));
    let text = old.canonical();
    messages.push(match text.char_indices().nth(SHOWN_CHARS_MAX) {
        None => format!("{{oldSchema: '{text}'}}"),
        Some((end, _)) => {
            let shown = text.get(..end).unwrap_or_default();
            format!("{{oldSchema: <truncated> '{shown}...'}}")
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_found_by_its_name_in_any_case() {
        for level in CompatibilityLevel::ALL {
            assert_eq!(
                CompatibilityLevel::of(&level.name().to_lowercase()),
                Some(level)
            );
        }
        assert_eq!(CompatibilityLevel::of("BACKWARDS"), None);
    }

    #[test]
    fn full_is_both_ways() {
        let full = CompatibilityLevel::Full;
        assert!(full.is_backward() && full.is_forward() && !full.is_transitive());
        assert!(!CompatibilityLevel::None.is_backward() && !CompatibilityLevel::None.is_forward());
    }

    fn record(fields: &str) -> Arc<ParsedSchema> {
        let text = format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#);
        let options = crate::ParseOptions::default();
        Arc::new(ParsedSchema::parse(SchemaType::Avro, &text, &[], options).unwrap())
    }

    type Versions<'a> = &'a [(&'a Arc<ParsedSchema>, Option<&'a Metadata>)];

    fn checked(
        demand: Demand<'_>,
        (schema, metadata): (&Arc<ParsedSchema>, Option<&Metadata>),
        old: Versions<'_>,
    ) -> Vec<String> {
        let previous: Vec<_> = (1..)
            .zip(old)
            .map(|(number, (_, metadata))| Previous {
                number,
                metadata: *metadata,
            })
            .collect();
        let new = Candidate { schema, metadata };
        let parsed = |place: usize| Ok::<_, std::convert::Infallible>(Arc::clone(old[place].0));
        check(demand, new, &previous, parsed).unwrap()
    }

    fn said(
        level: CompatibilityLevel,
        new: &Arc<ParsedSchema>,
        old: &[&Arc<ParsedSchema>],
    ) -> Vec<String> {
        let old: Vec<_> = old.iter().map(|schema| (*schema, None)).collect();
        let demand = Demand {
            level,
            ..Demand::default()
        };
        checked(demand, (new, None), &old)
    }

    #[test]
    fn a_refusal_tells_what_the_counterpart_tells() {
        let old = record("");
        let new = record(r#"{"name":"a","type":"int"}"#);
        let messages = said(CompatibilityLevel::Backward, &new, &[&old]);
        assert_eq!(messages.len(), 4, "{messages:?}");
        assert!(messages[0].starts_with(
            "{errorType:'READER_FIELD_MISSING_DEFAULT_VALUE', description:'The field 'a' at path '/fields/0' in the new schema has no default value and is missing in the old schema', additionalInfo:'a', remedy:'"
        ));
        assert_eq!(messages[1], "{oldSchemaVersion: 1}");
        assert_eq!(
            messages[2],
            r#"{oldSchema: '{"type":"record","name":"R","fields":[]}'}"#
        );
        assert_eq!(
            messages[3],
            "{validateFields: 'false', compatibility: 'BACKWARD'}"
        );
        let messages = said(CompatibilityLevel::Forward, &old, &[&new]);
        assert!(
            messages[0]
                .contains("in the old schema has no default value and is missing in the new")
        );
    }

    #[test]
    fn full_tells_of_the_old_reader_first_and_shows_the_old_schema_after_the_new_reader() {
        let (a, b) = (
            record(r#"{"name":"a","type":"int"}"#),
            record(r#"{"name":"b","type":"int"}"#),
        );
        let messages = said(CompatibilityLevel::Full, &b, &[&a]);
        assert!(messages[0].contains("in the old schema"), "{messages:?}");
        assert!(messages[1].contains("in the new schema"), "{messages:?}");
        assert_eq!(messages[2], "{oldSchemaVersion: 1}");
        assert_eq!(messages.len(), 5);
        let messages = said(CompatibilityLevel::Full, &record(""), &[&a]);
        assert_eq!(messages.len(), 2, "{messages:?}");
    }

    #[test]
    fn a_long_old_schema_is_cut_and_another_type_is_not_shown() {
        let doc = "ü".repeat(11 * 1024);
        let old = record(&format!(r#"{{"name":"a","type":"int","doc":"{doc}"}}"#));
        let new = record(r#"{"name":"b","type":"int"}"#);
        let messages = said(CompatibilityLevel::Backward, &new, &[&old]);
        let shown = &messages[2];
        assert!(shown.starts_with(r#"{oldSchema: <truncated> '{"type":"record""#));
        assert!(shown.ends_with("ü...'}"));
        assert!(shown.chars().count() < 10 * 1024 + 40);
        let text = r#"{"type":"object"}"#;
        let json = ParsedSchema::parse(SchemaType::Json, text, &[], crate::ParseOptions::default());
        assert_eq!(
            said(
                CompatibilityLevel::Backward,
                &Arc::new(json.unwrap()),
                &[&old]
            ),
            [
                "Incompatible because of different schema type",
                "{validateFields: 'false', compatibility: 'BACKWARD'}"
            ]
        );
    }

    #[test]
    fn a_version_that_is_not_compared_is_not_parsed() {
        let new = record("");
        let previous = [1, 2].map(|number| Previous {
            number,
            metadata: None,
        });
        let candidate = Candidate {
            schema: &new,
            metadata: None,
        };
        let asked = |level| {
            let mut places = Vec::new();
            let demand = Demand {
                level,
                ..Demand::default()
            };
            let parsed = |place| {
                places.push(place);
                Ok::<_, std::convert::Infallible>(Arc::clone(&new))
            };
            check(demand, candidate, &previous, parsed).unwrap();
            places
        };
        assert_eq!(asked(CompatibilityLevel::Backward), [1]);
        assert_eq!(asked(CompatibilityLevel::BackwardTransitive), [1, 0]);
        assert!(asked(CompatibilityLevel::None).is_empty());
    }

    #[test]
    fn a_level_says_who_reads_whom_and_how_far_back() {
        let none = record("");
        let required = record(r#"{"name":"a","type":"int"}"#);
        let optional = record(r#"{"name":"a","type":"int","default":0}"#);
        use CompatibilityLevel as Level;
        for (new, old, allowed) in [
            (
                &required,
                vec![&none],
                vec![Level::None, Level::Forward, Level::ForwardTransitive],
            ),
            (
                &none,
                vec![&required],
                vec![Level::None, Level::Backward, Level::BackwardTransitive],
            ),
            (&optional, vec![&none], Level::ALL.to_vec()),
            // Against the last alone nothing is wrong.
            (
                &required,
                vec![&none, &optional],
                vec![
                    Level::None,
                    Level::Backward,
                    Level::Forward,
                    Level::ForwardTransitive,
                    Level::Full,
                ],
            ),
            (&required, vec![], Level::ALL.to_vec()),
        ] {
            for level in Level::ALL {
                let messages = said(level, new, &old);
                assert_eq!(
                    messages.is_empty(),
                    allowed.contains(&level),
                    "{level:?} {new:?} {messages:?}"
                );
            }
        }
    }

    #[test]
    fn a_group_is_compared_within_itself() {
        let metadata = |major: &str| Metadata {
            properties: Some([("major".to_owned(), major.to_owned())].into()),
            ..Metadata::default()
        };
        let (one, two) = (metadata("1"), metadata("2"));
        let (none, required) = (record(""), record(r#"{"name":"a","type":"int"}"#));
        let demand = Demand {
            group: Some("major"),
            ..Demand::default()
        };
        let old = [(&none, Some(&one))];
        assert!(checked(demand, (&required, Some(&two)), &old).is_empty());
        let old = [(&none, Some(&one)), (&required, Some(&two))];
        assert!(!checked(demand, (&required, Some(&one)), &old).is_empty());
    }

    #[test]
    fn reserved_fields_stay_reserved_and_unused() {
        let reserving = |list: &str| Metadata {
            properties: Some([(RESERVED.to_owned(), list.to_owned())].into()),
            ..Metadata::default()
        };
        let (old, new) = (reserving("a, b"), reserving("b"));
        let (none, used) = (
            record(""),
            record(r#"{"name":"b","type":"int","default":0}"#),
        );
        let demand = Demand {
            validate_fields: true,
            ..Demand::default()
        };
        assert_eq!(
            checked(demand, (&used, Some(&new)), &[(&none, Some(&old))]),
            [
                "The new schema has reserved field a removed from its metadata which is present in the old schema's metadata.",
                "The new schema has field that conflicts with the reserved field b.",
                "{validateFields: 'true', compatibility: 'BACKWARD'}",
            ]
        );
    }
}
