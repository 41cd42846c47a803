//! The declaration of one key.

use super::error::ConfigError;
use super::rule::Rule;
use super::value::{self, ConfigValue};

/// The type of a key's value (`ConfigDef.Type`). The variants are named as Kafka writes them, because they
/// stand in the declarations and in error texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigType {
    /// `true` or `false`, in any case.
    BOOLEAN,
    /// Text, without the white space around it.
    STRING,
    /// A 32-bit integer.
    INT,
    /// A 16-bit integer.
    SHORT,
    /// A 64-bit integer.
    LONG,
    /// A 64-bit floating-point number.
    DOUBLE,
    /// Texts separated by commas.
    LIST,
    /// The name of a Java class that Affluent has an equivalent of.
    CLASS,
    /// Text that is never shown.
    PASSWORD,
}

impl ConfigType {
    /// The code of `DescribeConfigsResponse` (`DescribeConfigsResponse.ConfigType`).
    #[must_use]
    pub const fn code(self) -> i8 {
        match self {
            ConfigType::BOOLEAN => 1,
            ConfigType::STRING => 2,
            ConfigType::INT => 3,
            ConfigType::SHORT => 4,
            ConfigType::LONG => 5,
            ConfigType::DOUBLE => 6,
            ConfigType::LIST => 7,
            ConfigType::CLASS => 8,
            ConfigType::PASSWORD => 9,
        }
    }

    /// Kafka's name, as in `Not a number of type LONG`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            ConfigType::BOOLEAN => "BOOLEAN",
            ConfigType::STRING => "STRING",
            ConfigType::INT => "INT",
            ConfigType::SHORT => "SHORT",
            ConfigType::LONG => "LONG",
            ConfigType::DOUBLE => "DOUBLE",
            ConfigType::LIST => "LIST",
            ConfigType::CLASS => "CLASS",
            ConfigType::PASSWORD => "PASSWORD",
        }
    }
}

/// What a key is worth when nobody sets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigDefault {
    /// There is none: the key has to be given (`ConfigDef.NO_DEFAULT_VALUE`).
    Required,
    /// Null: "not set", which a reader of the key gives a meaning.
    Null,
    /// The value that this text parses to.
    Text(&'static str),
}

/// Whether and how a server key changes without a restart (KIP-226).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DynamicMode {
    /// Only in the properties a server starts with.
    ReadOnly,
    /// For one broker at a time.
    PerBroker,
    /// For one broker, or as the default of all.
    ClusterWide,
}

impl DynamicMode {
    /// Kafka's word for it in its documentation.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            DynamicMode::ReadOnly => "read-only",
            DynamicMode::PerBroker => "per-broker",
            DynamicMode::ClusterWide => "cluster-wide",
        }
    }
}

/// How a synonym's number turns into the number of the key it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SynonymUnit {
    /// It is the same number.
    Same,
    /// Minutes for milliseconds.
    Minutes,
    /// Hours for milliseconds.
    Hours,
}

impl SynonymUnit {
    /// The milliseconds in one unit, or 1 when the units are the same.
    #[must_use]
    pub const fn factor(self) -> i64 {
        match self {
            SynonymUnit::Same => 1,
            SynonymUnit::Minutes => 60_000,
            SynonymUnit::Hours => 3_600_000,
        }
    }
}

/// A server key that supplies the default of a narrower key (`ServerTopicConfigSynonyms`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Synonym {
    /// The server key.
    pub name: &'static str,
    /// Its unit.
    pub unit: SynonymUnit,
}

impl Synonym {
    /// A synonym in the same unit.
    #[must_use]
    pub const fn same(name: &'static str) -> Synonym {
        Synonym {
            name,
            unit: SynonymUnit::Same,
        }
    }

    /// A synonym in minutes.
    #[must_use]
    pub const fn minutes(name: &'static str) -> Synonym {
        Synonym {
            name,
            unit: SynonymUnit::Minutes,
        }
    }

    /// A synonym in hours.
    #[must_use]
    pub const fn hours(name: &'static str) -> Synonym {
        Synonym {
            name,
            unit: SynonymUnit::Hours,
        }
    }
}

/// The declaration of one key. Built by [`crate::config_keys!`]; the methods are its attributes.
#[derive(Debug)]
#[non_exhaustive]
pub struct ConfigKey {
    /// Kafka's dotted name.
    pub name: &'static str,
    /// The type of its value.
    pub kind: ConfigType,
    /// What it is worth when nobody sets it.
    pub default: ConfigDefault,
    /// What the value has to satisfy.
    pub rule: Rule,
    /// What it does, its unit, what a larger or smaller value costs, what its special values mean.
    pub doc: &'static str,
    /// How it may change at run time; meaningful for server keys only.
    pub dynamic: DynamicMode,
    /// Internal keys are accepted but neither listed nor documented (`ConfigDef.defineInternal`).
    pub internal: bool,
    /// The server keys its default comes from, the first that is set wins.
    pub synonyms: &'static [Synonym],
    /// Why it has no effect, for a key that is only accepted for compatibility.
    pub inert: Option<&'static str>,
    /// How it differs from Kafka's key of the same name, or that it is ours alone.
    pub differs: Option<&'static str>,
    /// The class names a [`ConfigType::CLASS`] key takes besides its default.
    pub classes: &'static [&'static str],
}

impl ConfigKey {
    /// A key without a rule, read-only, public.
    #[must_use]
    pub const fn new(
        name: &'static str,
        kind: ConfigType,
        default: ConfigDefault,
        doc: &'static str,
    ) -> ConfigKey {
        ConfigKey {
            name,
            kind,
            default,
            rule: Rule::Any,
            doc,
            dynamic: DynamicMode::ReadOnly,
            internal: false,
            synonyms: &[],
            inert: None,
            differs: None,
            classes: &[],
        }
    }

    /// The number is at least `min`.
    #[must_use]
    pub const fn at_least(self, min: i64) -> ConfigKey {
        self.rule(Rule::AtLeast(min))
    }

    /// The number lies between `min` and `max`, both included.
    #[must_use]
    pub const fn between(self, min: i64, max: i64) -> ConfigKey {
        self.rule(Rule::Between(min, max))
    }

    /// The text is one of these.
    #[must_use]
    pub const fn one_of(self, values: &'static [&'static str]) -> ConfigKey {
        self.rule(Rule::OneOf(values))
    }

    /// The list has no empty and no repeated element; `empty` and `null` say whether it may have none.
    #[must_use]
    pub const fn list(self, empty: bool, null: bool) -> ConfigKey {
        self.rule(Rule::List { empty, null })
    }

    /// Any rule.
    #[must_use]
    pub const fn rule(mut self, rule: Rule) -> ConfigKey {
        self.rule = rule;
        self
    }

    /// May be changed at run time for one broker.
    #[must_use]
    pub const fn per_broker(mut self) -> ConfigKey {
        self.dynamic = DynamicMode::PerBroker;
        self
    }

    /// May be changed at run time for one broker or for all.
    #[must_use]
    pub const fn cluster_wide(mut self) -> ConfigKey {
        self.dynamic = DynamicMode::ClusterWide;
        self
    }

    /// Accepted, but not listed.
    #[must_use]
    pub const fn internal(mut self) -> ConfigKey {
        self.internal = true;
        self
    }

    /// The server keys its default comes from.
    #[must_use]
    pub const fn synonyms(mut self, synonyms: &'static [Synonym]) -> ConfigKey {
        self.synonyms = synonyms;
        self
    }

    /// Accepted for compatibility: `because` continues "no effect because".
    #[must_use]
    pub const fn inert(mut self, because: &'static str) -> ConfigKey {
        self.inert = Some(because);
        self
    }

    /// How it differs from Kafka's.
    #[must_use]
    pub const fn differs(mut self, how: &'static str) -> ConfigKey {
        self.differs = Some(how);
        self
    }

    /// The class names it takes besides its default.
    #[must_use]
    pub const fn classes(mut self, classes: &'static [&'static str]) -> ConfigKey {
        self.classes = classes;
        self
    }

    /// Whether its value is kept out of every answer and log.
    #[must_use]
    pub const fn is_sensitive(&self) -> bool {
        matches!(self.kind, ConfigType::PASSWORD)
    }

    /// The text of its default; none for null and required keys.
    #[must_use]
    pub const fn default_text(&self) -> Option<&'static str> {
        match self.default {
            ConfigDefault::Text(text) => Some(text),
            ConfigDefault::Null | ConfigDefault::Required => None,
        }
    }

    /// Its documentation with the notes on compatibility, as `DescribeConfigs` and the reference show it.
    #[must_use]
    pub fn documentation(&self) -> String {
        let mut text = self.doc.trim().to_owned();
        if let Some(because) = self.inert {
            text.push_str(" Accepted for compatibility: no effect because ");
            text.push_str(because);
            text.push('.');
        }
        if let Some(how) = self.differs {
            text.push_str(" Differs: ");
            text.push_str(how);
        }
        text
    }

    /// Parses a text by this key's type and checks it by its rule.
    ///
    /// # Errors
    /// What Kafka says of such a value.
    pub fn parse(&self, text: &str) -> Result<ConfigValue, ConfigError> {
        let value = self.rule.without_repeats(value::parse(self, text)?);
        self.rule.check(self.name, Some(&value))?;
        Ok(value)
    }

    /// Its default, parsed; none for null.
    ///
    /// # Errors
    /// [`ConfigError::Missing`] for a required key.
    pub fn default_value(&self) -> Result<Option<ConfigValue>, ConfigError> {
        match self.default {
            ConfigDefault::Required => Err(ConfigError::Missing {
                name: self.name.to_owned(),
            }),
            ConfigDefault::Null => Ok(None),
            ConfigDefault::Text(text) => value::parse(self, text).map(Some),
        }
    }
}
