//! Configs and modes, and what holds for a subject when several say something.
//!
//! What a subject does not say, its context says; what that does not, the topmost one says, and then the global
//! context. Each field is looked for by itself: a config that only names an alias leaves the level to those above.

use std::collections::BTreeMap;

use schema::{CompatibilityLevel, CompatibilityPolicy, Metadata, RuleSet};
use serde::{Deserialize, Serialize};

/// What may be done under a subject.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Mode {
    /// Everything but to choose ids.
    #[default]
    ReadWrite,
    /// Nothing.
    ReadOnly,
    /// Nothing, also where a subject says otherwise.
    #[serde(rename = "READONLY_OVERRIDE")]
    ReadOnlyOverride,
    /// Registrations choose their ids and versions, and are not checked.
    Import,
    /// As import, from another registry that forwards.
    Forward,
}

impl Mode {
    /// All modes.
    pub const ALL: [Self; 5] = [
        Self::ReadWrite,
        Self::ReadOnly,
        Self::ReadOnlyOverride,
        Self::Import,
        Self::Forward,
    ];

    /// `READWRITE`, ...
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ReadWrite => "READWRITE",
            Self::ReadOnly => "READONLY",
            Self::ReadOnlyOverride => "READONLY_OVERRIDE",
            Self::Import => "IMPORT",
            Self::Forward => "FORWARD",
        }
    }

    /// The mode of that name, whatever the case; none if there is none.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|mode| mode.name().eq_ignore_ascii_case(name))
    }

    /// Whether nothing may be written.
    #[must_use]
    pub fn is_read_only(self) -> bool {
        matches!(self, Self::ReadOnly | Self::ReadOnlyOverride)
    }

    /// Whether a registration brings its id.
    #[must_use]
    pub fn is_import(self) -> bool {
        matches!(self, Self::Import | Self::Forward)
    }
}

/// The config of a subject, a context or everybody, as far as it says something (`Config`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Config {
    /// Requests to this subject are requests to that one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// The same for DEKs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias_for_deks: Option<String>,
    /// Schemas are normalised, whatever the request says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normalize: Option<bool>,
    /// Reserved fields are watched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validate_fields: Option<bool>,
    /// New schemas are held to all rules of their format.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validate_new_schemas: Option<bool>,
    /// Rules are compiled before they are accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validate_rules: Option<bool>,
    /// How versions follow each other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compatibility_level: Option<CompatibilityLevel>,
    /// Which changes of a JSON Schema count as compatible.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compatibility_policy: Option<CompatibilityPolicy>,
    /// The metadata property by which versions are grouped; only those of one group are compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compatibility_group: Option<String>,
    /// Metadata where a schema brings none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_metadata: Option<Metadata>,
    /// Metadata against which a schema's gives way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub override_metadata: Option<Metadata>,
    /// Rules where a schema brings none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_rule_set: Option<RuleSet>,
    /// Rules against which a schema's give way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub override_rule_set: Option<RuleSet>,
    /// What another release of a registry has set and this one does not know; it is kept over changes of the rest.
    #[serde(flatten)]
    pub other: BTreeMap<String, serde_json::Value>,
}

impl Config {
    /// What this one says, and where it says nothing, what `below` says. The alias is a subject's own.
    #[must_use]
    pub fn or(self, below: &Self) -> Self {
        Self {
            alias: self.alias,
            alias_for_deks: self.alias_for_deks,
            normalize: self.normalize.or(below.normalize),
            validate_fields: self.validate_fields.or(below.validate_fields),
            validate_new_schemas: self.validate_new_schemas.or(below.validate_new_schemas),
            validate_rules: self.validate_rules.or(below.validate_rules),
            compatibility_level: self.compatibility_level.or(below.compatibility_level),
            compatibility_policy: self.compatibility_policy.or(below.compatibility_policy),
            compatibility_group: self
                .compatibility_group
                .or_else(|| below.compatibility_group.clone()),
            default_metadata: self
                .default_metadata
                .or_else(|| below.default_metadata.clone()),
            override_metadata: self
                .override_metadata
                .or_else(|| below.override_metadata.clone()),
            default_rule_set: self
                .default_rule_set
                .or_else(|| below.default_rule_set.clone()),
            override_rule_set: self
                .override_rule_set
                .or_else(|| below.override_rule_set.clone()),
            other: self.other,
        }
    }

    /// Whether registrations get metadata or rules from here.
    #[must_use]
    pub fn has_defaults_or_overrides(&self) -> bool {
        self.default_metadata.is_some()
            || self.override_metadata.is_some()
            || self.default_rule_set.is_some()
            || self.override_rule_set.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_has_the_name_that_requests_use() {
        for mode in Mode::ALL {
            assert_eq!(Mode::of(&mode.name().to_lowercase()), Some(mode));
            let quoted = format!("\"{}\"", mode.name());
            assert_eq!(serde_json::to_string(&mode).unwrap(), quoted);
        }
        assert_eq!(Mode::of("READ"), None);
    }

    #[test]
    fn each_field_falls_back_by_itself_but_the_alias() {
        let above = Config {
            alias: Some("other".to_owned()),
            normalize: Some(true),
            compatibility_level: Some(CompatibilityLevel::Full),
            ..Config::default()
        };
        let own = Config {
            normalize: Some(false),
            ..Config::default()
        };
        let both = own.or(&above);
        assert_eq!(both.normalize, Some(false));
        assert_eq!(both.compatibility_level, Some(CompatibilityLevel::Full));
        assert_eq!(both.alias, None);
    }
}
