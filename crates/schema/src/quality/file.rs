//! The YAML of a file of data-quality rules.
//!
//! Each entry is checked while the reader stands at it, which is how an error knows its line. Unknown keys are errors:
//! a rule whose limit is misspelled would let everything pass.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_yaml_ng::Number;

use super::{QualityRules, condition, expression};
use crate::model::{RuleMode, RuleSet};
use crate::rules::{ActionNames, RuleSetError, check};

/// Bytes of a file.
const FILE_BYTES_MAX: usize = 1024 * 1024;

/// Rules of a file.
const RULES_MAX: usize = 1_000;

/// Why a file of data-quality rules cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QualityError {
    /// It is not YAML of that shape, or a rule makes no sense.
    #[error("line {line}, column {column}: {what}")]
    At {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// What is wrong, and what would be right.
        what: String,
    },
    /// It is not YAML, at no place in particular.
    #[error("the file cannot be read: {what}")]
    Whole {
        /// What is wrong.
        what: String,
    },
    /// The rules together are not a rule set.
    #[error("the rules cannot be registered: {0}")]
    RuleSet(#[source] RuleSetError),
    /// More bytes or rules than a file may have.
    #[error("the file has {count} {what}, the limit is {max}")]
    TooLarge {
        /// Bytes or rules.
        what: &'static str,
        /// How many.
        count: usize,
        /// The limit.
        max: usize,
    },
}

/// One entry, compiled.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) doc: Option<String>,
    pub(super) field: String,
    pub(super) mode: RuleMode,
    pub(super) expression: String,
    pub(super) on_success: Option<String>,
    pub(super) on_failure: String,
    pub(super) dlq_topic: Option<String>,
    pub(super) disabled: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    subject: Option<String>,
    topic: Option<String>,
    data_quality_rules: Vec<Entry>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Regex,
    Range,
    Length,
    Enum,
    Required,
    Cel,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Regex => "regex",
            Self::Range => "range",
            Self::Length => "length",
            Self::Enum => "enum",
            Self::Required => "required",
            Self::Cel => "cel",
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEntry {
    name: Option<String>,
    doc: Option<String>,
    field: String,
    #[serde(alias = "rule")]
    r#type: Kind,
    pattern: Option<String>,
    min: Option<Number>,
    max: Option<Number>,
    #[serde(default)]
    exclusive_min: bool,
    #[serde(default)]
    exclusive_max: bool,
    values: Option<Vec<Scalar>>,
    expr: Option<String>,
    #[serde(default)]
    optional: bool,
    #[serde(default)]
    nullable: bool,
    mode: Option<RuleMode>,
    on_success: Option<String>,
    on_failure: Option<String>,
    dlq_topic: Option<String>,
    #[serde(default)]
    disabled: bool,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Scalar {
    Bool(bool),
    Number(Number),
    Text(String),
}

/// Reads a file's text.
///
/// # Errors
/// [`QualityError`].
pub(super) fn read(text: &str) -> Result<QualityRules, QualityError> {
    if text.len() > FILE_BYTES_MAX {
        return Err(QualityError::TooLarge {
            what: "bytes",
            count: text.len(),
            max: FILE_BYTES_MAX,
        });
    }
    let file: RawFile = serde_yaml_ng::from_str(text).map_err(|error| placed(&error))?;
    if file.data_quality_rules.len() > RULES_MAX {
        return Err(QualityError::TooLarge {
            what: "rules",
            count: file.data_quality_rules.len(),
            max: RULES_MAX,
        });
    }
    let subject = match (file.subject, file.topic) {
        (Some(_), Some(_)) => {
            return Err(QualityError::Whole {
                what: "it names both a subject and a topic: keep one of them".to_owned(),
            });
        }
        (subject, None) => subject,
        (None, Some(topic)) => Some(format!("{topic}-value")),
    };
    let rules: Vec<_> = file.data_quality_rules.into_iter().map(condition).collect();
    let set = RuleSet {
        domain_rules: Some(rules.clone()),
        ..RuleSet::default()
    };
    check(&set, ActionNames::Any).map_err(QualityError::RuleSet)?;
    Ok(QualityRules { subject, rules })
}

fn placed(error: &serde_yaml_ng::Error) -> QualityError {
    let told = error.to_string();
    match error.location() {
        Some(place) => {
            // The place stands at the end of the message as well.
            let suffix = format!(" at line {} column {}", place.line(), place.column());
            QualityError::At {
                line: place.line(),
                column: place.column(),
                what: told.strip_suffix(&suffix).unwrap_or(&told).to_owned(),
            }
        }
        None => QualityError::Whole { what: told },
    }
}

impl<'de> Deserialize<'de> for Entry {
    /// As a map whose sense is checked before its end is left: an error is then placed at this entry.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntryVisitor;

        impl<'de> Visitor<'de> for EntryVisitor {
            type Value = Entry;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a rule with a field and a type")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Entry, A::Error> {
                let raw = RawEntry::deserialize(MapAccessDeserializer::new(map))?;
                Entry::try_from(raw).map_err(A::Error::custom)
            }
        }

        deserializer.deserialize_map(EntryVisitor)
    }
}

impl TryFrom<RawEntry> for Entry {
    type Error = String;

    fn try_from(raw: RawEntry) -> Result<Self, String> {
        if raw.field.is_empty() || raw.field.split('.').any(str::is_empty) {
            return Err(format!(
                "field {:?} has a name without characters; write a path such as home.zip",
                raw.field
            ));
        }
        raw.no_strangers()?;
        let condition = raw.condition()?;
        let mut expression = condition;
        let mut guards = Vec::new();
        if raw.optional {
            guards.push(format!("!{}", parenthesised(&expression::has(&raw.field))));
        }
        if raw.nullable {
            guards.push(format!("{} == null", expression::field(&raw.field)));
        }
        if !guards.is_empty() {
            expression = format!("{} || ({expression})", guards.join(" || "));
        }
        let on_failure = match (&raw.on_failure, &raw.dlq_topic) {
            (None, Some(_)) => "DLQ".to_owned(),
            (None, None) => "ERROR".to_owned(),
            (Some(action), None) => action.clone(),
            (Some(action), Some(_)) if action.to_ascii_uppercase().contains("DLQ") => {
                action.clone()
            }
            (Some(action), Some(_)) => {
                return Err(format!(
                    "dlq_topic is given, but on_failure is {action}: make it DLQ or leave it out"
                ));
            }
        };
        Ok(Self {
            name: raw
                .name
                .clone()
                .unwrap_or_else(|| default_name(&raw.field, raw.r#type)),
            doc: raw.doc,
            field: raw.field,
            mode: raw.mode.unwrap_or(RuleMode::Write),
            expression,
            on_success: raw.on_success,
            on_failure,
            dlq_topic: raw.dlq_topic,
            disabled: raw.disabled,
        })
    }
}

/// `has(a)` stands for itself, anything else gets parentheses.
fn parenthesised(condition: &str) -> String {
    if condition.starts_with("has(") {
        condition.to_owned()
    } else {
        format!("({condition})")
    }
}

/// `email_regex`, with an underscore for whatever a rule's name may not have.
fn default_name(field: &str, kind: Kind) -> String {
    let mut name: String = field
        .chars()
        .map(|character| {
            if character.is_ascii_alphanumeric() {
                character
            } else {
                '_'
            }
        })
        .collect();
    if name.starts_with(|first: char| first.is_ascii_digit()) {
        name.insert(0, '_');
    }
    // A rule's name has at most 64 characters.
    name.truncate(48);
    format!("{name}_{}", kind.name())
}

impl RawEntry {
    /// Keys that another type of rule has.
    fn no_strangers(&self) -> Result<(), String> {
        use Kind::{Cel, Enum, Length, Range, Regex};
        for (name, is_there, kinds) in [
            ("pattern", self.pattern.is_some(), &[Regex][..]),
            ("min", self.min.is_some(), &[Range, Length]),
            ("max", self.max.is_some(), &[Range, Length]),
            ("exclusive_min", self.exclusive_min, &[Range]),
            ("exclusive_max", self.exclusive_max, &[Range]),
            ("values", self.values.is_some(), &[Enum]),
            ("expr", self.expr.is_some(), &[Cel]),
        ] {
            if is_there && !kinds.contains(&self.r#type) {
                let owners: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
                return Err(format!(
                    "{name} belongs to a rule of type {}, this is one of type {}",
                    owners.join(" or "),
                    self.r#type.name()
                ));
            }
        }
        if self.r#type == Kind::Required && (self.optional || self.nullable) {
            return Err("a required field is neither optional nor nullable".to_owned());
        }
        Ok(())
    }

    fn condition(&self) -> Result<String, String> {
        let field = expression::field(&self.field);
        match self.r#type {
            Kind::Regex => {
                let pattern = self
                    .pattern
                    .as_deref()
                    .ok_or("a rule of type regex needs a pattern")?;
                if let Err(error) = regex::Regex::new(pattern) {
                    return Err(format!(
                        "pattern {pattern:?} is not an expression that CEL's matches takes (RE2): {error}"
                    ));
                }
                Ok(format!("{field}.matches({})", expression::text(pattern)))
            }
            Kind::Range => self.limits(&self.ranged(&field)),
            Kind::Length => {
                for limit in [&self.min, &self.max].into_iter().flatten() {
                    if limit.as_u64().is_none() {
                        return Err(format!("a length is a whole number from 0 on, not {limit}"));
                    }
                }
                self.limits(&format!("size({field})"))
            }
            Kind::Enum => {
                let values = self.values.as_deref().unwrap_or_default();
                if values.is_empty() {
                    return Err("a rule of type enum needs values".to_owned());
                }
                let values: Vec<String> = values.iter().map(Scalar::literal).collect();
                Ok(format!("{field} in [{}]", values.join(", ")))
            }
            Kind::Required => Ok(expression::has(&self.field)),
            Kind::Cel => {
                let expr = self.expr.as_deref().map(str::trim).unwrap_or_default();
                if expr.is_empty() {
                    return Err("a rule of type cel needs an expr".to_owned());
                }
                Ok(expr.to_owned())
            }
        }
    }

    /// A limit with a decimal point compares as a double, whatever the type of the field.
    fn ranged(&self, field: &str) -> String {
        let is_double = [&self.min, &self.max]
            .into_iter()
            .flatten()
            .any(Number::is_f64);
        if is_double {
            format!("double({field})")
        } else {
            field.to_owned()
        }
    }

    fn limits(&self, of: &str) -> Result<String, String> {
        let (Some(min), Some(max)) = (&self.min, &self.max) else {
            return match (&self.min, &self.max) {
                (Some(min), _) => Ok(self.lower(of, min, min.is_f64())),
                (_, Some(max)) => Ok(self.upper(of, max, max.is_f64())),
                _ => Err(format!(
                    "a rule of type {} needs min or max",
                    self.r#type.name()
                )),
            };
        };
        let (low, high) = (
            min.as_f64().unwrap_or(f64::NAN),
            max.as_f64().unwrap_or(f64::NAN),
        );
        let is_empty = low > high || (low == high && (self.exclusive_min || self.exclusive_max));
        if is_empty || low.is_nan() || high.is_nan() {
            return Err(format!("nothing lies between min {min} and max {max}"));
        }
        let is_double = min.is_f64() || max.is_f64();
        Ok(expression::all(&[
            self.lower(of, min, is_double),
            self.upper(of, max, is_double),
        ]))
    }

    fn lower(&self, of: &str, min: &Number, is_double: bool) -> String {
        let operator = if self.exclusive_min { ">" } else { ">=" };
        format!("{of} {operator} {}", limit(min, is_double))
    }

    fn upper(&self, of: &str, max: &Number, is_double: bool) -> String {
        let operator = if self.exclusive_max { "<" } else { "<=" };
        format!("{of} {operator} {}", limit(max, is_double))
    }
}

fn limit(value: &Number, is_double: bool) -> String {
    match value.as_f64() {
        Some(double) if is_double => expression::number(&Number::from(double)),
        _ => expression::number(value),
    }
}

impl Scalar {
    fn literal(&self) -> String {
        match self {
            Self::Bool(value) => value.to_string(),
            Self::Number(value) => expression::number(value),
            Self::Text(value) => expression::text(value),
        }
    }
}
