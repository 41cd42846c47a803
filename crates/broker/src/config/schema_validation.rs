//! What a topic asks of the schemas of its records (Confluent Server's `confluent.*.schema.validation`).

use base::config::{ConfigError, ConfigValue};

/// The package of Confluent's strategies.
const STRATEGIES: &str = "io.confluent.kafka.serializers.subject.";
/// The strategies that are known here, without their package.
const KNOWN: [&str; 3] = [
    "TopicNameStrategy",
    "RecordNameStrategy",
    "TopicRecordNameStrategy",
];

/// What is asked of keys and values. There is one only where something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaValidation {
    /// Keys have to name a schema of the subject that this strategy gives (`confluent.key.subject.name.strategy`).
    pub key_strategy: Option<String>,
    /// Values have to name a schema of the subject that this strategy gives (`confluent.value.subject.name.strategy`).
    pub value_strategy: Option<String>,
    /// `schema.rules.validation`: the domain rules of the schema have to hold as well.
    pub rules: bool,
}

/// A class that names subjects; Java's own cannot be loaded.
pub(super) fn subject_name_strategy(name: &str, value: &ConfigValue) -> Result<(), ConfigError> {
    let text = value.to_string();
    let class = text.strip_prefix(STRATEGIES).unwrap_or_default();
    if KNOWN.contains(&class) {
        return Ok(());
    }
    Err(ConfigError::invalid(
        name,
        value,
        format!(
            "Class {text} could not be found; {STRATEGIES} has {}",
            KNOWN.join(", ")
        ),
    ))
}
