//! What can be wrong with a configuration value, in Kafka's words.

/// Why a configuration was not accepted.
///
/// The texts are those of `ConfigException` and `InvalidConfigurationException` in Apache Kafka 4.3.1; a
/// password's value never stands in one, since any text is a valid password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The value does not parse, or breaks its key's rule.
    #[error("Invalid value {value} for configuration {name}: {reason}")]
    InvalidValue {
        /// The key.
        name: String,
        /// The value as the rule saw it.
        value: String,
        /// What was expected instead.
        reason: String,
    },
    /// A list has an empty element, as in `a,,b`.
    #[error("Configuration '{name}' values must not be empty.")]
    EmptyElement {
        /// The key.
        name: String,
    },
    /// A list that needs at least one element has none.
    #[error("Configuration '{name}' must not be empty. Valid values include: {valid}")]
    EmptyList {
        /// The key.
        name: String,
        /// What may stand in it.
        valid: String,
    },
    /// A list that has to be given is null.
    #[error("Configuration '{name}' values must not be null.")]
    NullList {
        /// The key.
        name: String,
    },
    /// A key without a default was not given.
    #[error("Missing required configuration \"{name}\" which has no default value.")]
    Missing {
        /// The key.
        name: String,
    },
    /// Values that are each valid do not go together, or a key does not belong there; the text is Kafka's.
    #[error("{0}")]
    Rejected(String),
}

impl ConfigError {
    /// An [`ConfigError::InvalidValue`].
    #[must_use]
    pub fn invalid(name: &str, value: impl ToString, reason: impl Into<String>) -> ConfigError {
        ConfigError::InvalidValue {
            name: name.to_owned(),
            value: value.to_string(),
            reason: reason.into(),
        }
    }
}
