//! Whether a schema may follow others: the seven levels over the one question that a format answers.
//!
//! A format says what stands in the way of reading data of a *writer's* schema with a *reader's* schema
//! ([`crate::Format::reading`]). The levels only choose who is which and how far back to look
//! (`CompatibilityChecker` of Confluent's schema-registry, 8.2).

use std::fmt;

use serde::{Deserialize, Serialize};

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
    /// By the logical types.
    Logical,
}

/// One thing in the way of reading one schema's data with another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incompatibility {
    /// The rule, by the name the counterpart gives it, such as `READER_FIELD_MISSING_DEFAULT_VALUE`.
    pub rule: &'static str,
    /// Where, in the terms of the format: `/fields/1`, `#/properties/email`, `#/User/3`.
    pub path: String,
    /// What is wrong there, one sentence.
    pub description: String,
    /// The counterpart's `additionalInfo`: the schema, the name or the value it is about; empty if none.
    pub additional_info: String,
    /// What would mend it, one sentence in the imperative.
    pub remedy: String,
}

impl fmt::Display for Incompatibility {
    /// As in the `messages` of a verbose compatibility check, with the remedy at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{{errorType:'{}', description:'{}'",
            self.rule, self.description
        )?;
        if !self.additional_info.is_empty() {
            write!(f, ", additionalInfo:'{}'", self.additional_info)?;
        }
        if !self.remedy.is_empty() {
            write!(f, ", remedy:'{}'", self.remedy)?;
        }
        f.write_str("}")
    }
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
}
