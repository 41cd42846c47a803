//! What surrounds a schema's text: its type, references, metadata and rules.
//!
//! The names are those of Confluent's REST API (`RegisterSchemaRequest`, `Metadata`, `Rule`, `RuleSet`), because they
//! are what users write; how they are spelled in JSON is decided by the services that send them, but for `serde`'s
//! derives here, which are the one spelling that API, topic and clients share.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// The format of a schema; `AVRO` where a request says none.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum SchemaType {
    /// Apache Avro 1.12.
    #[default]
    Avro,
    /// JSON Schema, drafts 4 to 2020-12.
    Json,
    /// Protocol Buffers: proto2, proto3, editions.
    Protobuf,
}

impl SchemaType {
    /// `AVRO`, `JSON`, `PROTOBUF`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Avro => "AVRO",
            Self::Json => "JSON",
            Self::Protobuf => "PROTOBUF",
        }
    }

    /// The type of that name; none if there is no such type. Case matters, as in Confluent's registry.
    pub fn of(name: &str) -> Option<Self> {
        [Self::Avro, Self::Json, Self::Protobuf]
            .into_iter()
            .find(|schema_type| schema_type.name() == name)
    }
}

/// A reference as it is registered: the name by which the text uses it, and where the schema is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SchemaReference {
    /// Avro: the full name of a type. JSON Schema: the URI in `$ref`. Protobuf: the path in `import`.
    pub name: String,
    /// The subject that holds it.
    pub subject: String,
    /// Its version there; -1 is the latest.
    pub version: i32,
}

/// A reference with the text behind it, resolved by whoever holds the schemas. Those that it refers to itself come
/// before it in a list, each name once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedReference {
    /// As in [`SchemaReference::name`].
    pub name: String,
    /// The registered text.
    pub schema: String,
}

/// What a data contract says of a schema beside its text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// Tags by the path of a field; `*` and `**` are wildcards in a path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeMap<String, BTreeSet<String>>>,
    /// Free properties: owner, application, `confluent:version`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub properties: Option<BTreeMap<String, String>>,
    /// The names of properties whose values are shown to nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sensitive: Option<BTreeSet<String>>,
}

impl Metadata {
    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tags.as_ref().is_none_or(BTreeMap::is_empty)
            && self.properties.as_ref().is_none_or(BTreeMap::is_empty)
            && self.sensitive.as_ref().is_none_or(BTreeSet::is_empty)
    }
}

/// What a rule does with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RuleKind {
    /// Changes it.
    Transform,
    /// Judges it.
    Condition,
}

/// When a rule runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RuleMode {
    /// A reader has a newer version.
    Upgrade,
    /// A reader has an older version.
    Downgrade,
    /// Both of those.
    UpDown,
    /// On serialisation.
    Write,
    /// On deserialisation.
    Read,
    /// Both of those.
    WriteRead,
}

/// One rule of a data contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// Unique in its rule set.
    pub name: String,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doc: Option<String>,
    /// Where a text says none, a transform (`Rule` of Confluent's client).
    #[serde(default = "default_kind", skip_serializing_if = "Option::is_none")]
    pub kind: Option<RuleKind>,
    /// Where a text says none, WRITEREAD.
    #[serde(default = "default_mode", skip_serializing_if = "Option::is_none")]
    pub mode: Option<RuleMode>,
    /// The executor: `CEL`, `CEL_FIELD`, `JSONATA`, `ENCRYPT`, `ENCRYPT_PAYLOAD`, or one that only a client has.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub rule_type: Option<String>,
    /// The tags of the fields it applies to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeSet<String>>,
    /// Settings of executor and actions, such as `encrypt.kek.name`, `dlq.topic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<BTreeMap<String, String>>,
    /// The expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expr: Option<String>,
    /// The action then; with two modes, a pair with a comma between.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_success: Option<String>,
    /// The action then, `ERROR` where absent; with two modes, a pair with a comma between.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<String>,
    /// It is kept, and not run.
    #[serde(default)]
    pub disabled: bool,
}

fn default_kind() -> Option<RuleKind> {
    Some(RuleKind::Transform)
}

fn default_mode() -> Option<RuleMode> {
    Some(RuleMode::WriteRead)
}

/// The rules of a data contract.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleSet {
    /// Between versions that are not compatible: JSONata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migration_rules: Option<Vec<Rule>>,
    /// On the record: conditions, transforms, encryption of fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain_rules: Option<Vec<Rule>>,
    /// On the serialised bytes: encryption of payloads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding_rules: Option<Vec<Rule>>,
    /// From when the rules hold, as Confluent's clients read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable_at: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_set_is_spelled_as_confluent_spells_it() {
        let text = r#"{"domainRules":[{"name":"checkSsn","kind":"CONDITION","mode":"WRITEREAD","type":"CEL","expr":"size(message.ssn) == 9","onFailure":"DLQ","disabled":false}]}"#;
        let rules: RuleSet = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&rules).unwrap(), text);
        let rule = &rules.domain_rules.unwrap()[0];
        assert_eq!(rule.mode, Some(RuleMode::WriteRead));
        assert_eq!(rule.kind, Some(RuleKind::Condition));
    }

    #[test]
    fn a_type_has_the_name_that_requests_use() {
        for schema_type in [SchemaType::Avro, SchemaType::Json, SchemaType::Protobuf] {
            assert_eq!(SchemaType::of(schema_type.name()), Some(schema_type));
        }
        assert_eq!(SchemaType::of("avro"), None);
    }
}
