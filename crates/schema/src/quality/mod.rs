//! Data-quality rules: what people write down in YAML about the fields of a subject, made into domain rules that every
//! client of the registry can run.
//!
//! The shape of the file is in `docs/data-quality.md`. Each entry becomes one CEL condition ([`expression`]); nothing
//! else in the contract is touched, so a file can be applied again and again ([`QualityRules::apply_to`]).
//!
//! **Not here:** reading files and talking to a registry (the command line does), running rules (clients do).

mod expression;
mod file;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use file::QualityError;

use crate::error::SchemaError;
use crate::model::{Rule, RuleKind, RuleSet};
use crate::parsed::ParsedSchema;
use crate::protobuf::ProtobufSchema;
use crate::rules::Shape;

/// The parameter of a domain rule by which one that came from a file is known again; its value is the field.
pub const FIELD_PARAM: &str = "quality.field";

/// The rules of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QualityRules {
    /// The subject they are for, if the file names one.
    pub subject: Option<String>,
    /// In the order of the file.
    pub rules: Vec<Rule>,
}

impl QualityRules {
    /// Reads a file's text.
    ///
    /// # Errors
    /// [`QualityError`], which says the line.
    pub fn parse(text: &str) -> Result<Self, QualityError> {
        file::read(text)
    }

    /// The first rule whose expression reads a field that no record of `schema` has.
    ///
    /// Not looked at are JSON Schemas, whose records may have more than the schema says, and `cel` entries that do not
    /// read their own field.
    ///
    /// # Errors
    /// The schema cannot be written out with what it refers to.
    pub fn without_field(&self, schema: &ParsedSchema) -> Result<Option<&Rule>, SchemaError> {
        let shapes = match schema {
            ParsedSchema::Avro(_) => vec![Shape::of(schema, None)?],
            ParsedSchema::Json(_) => return Ok(None),
            // A record may be of any message of the file.
            ParsedSchema::Protobuf(file) => messages(file)
                .iter()
                .map(|name| Shape::of(schema, Some(name)))
                .collect::<Result<_, _>>()?,
        };
        let is_lost = |rule: &&Rule| {
            let field = rule.params.as_ref().and_then(|all| all.get(FIELD_PARAM));
            let expression = rule.expr.as_deref().unwrap_or_default();
            field.is_some_and(|field| {
                expression.contains(&expression::field(field))
                    && !shapes.iter().any(|shape| shape.has_path(field))
            })
        };
        Ok(self.rules.iter().find(is_lost))
    }

    /// The rule set of a subject with these rules in the place of those that an earlier file put there. Rules that
    /// are not from a file stay, unless one here has their name.
    pub fn apply_to(&self, rules: Option<&RuleSet>) -> RuleSet {
        let mut changed = rules.cloned().unwrap_or_default();
        let mut domain = changed.domain_rules.take().unwrap_or_default();
        domain.retain(|rule| {
            !is_from_file(rule) && !self.rules.iter().any(|other| other.name == rule.name)
        });
        domain.extend(self.rules.iter().cloned());
        changed.domain_rules = Some(domain);
        changed
    }
}

/// The names of all messages of a file, of those in others too.
fn messages(file: &ProtobufSchema) -> Vec<String> {
    let mut names = Vec::new();
    let mut open: Vec<Vec<i32>> = vec![Vec::new()];
    while let Some(outer) = open.pop() {
        for index in 0.. {
            let place = [outer.as_slice(), &[index]].concat();
            let Some(name) = file.message_name(&place) else {
                break;
            };
            names.push(name);
            open.push(place);
        }
    }
    names
}

fn is_from_file(rule: &Rule) -> bool {
    rule.params
        .as_ref()
        .is_some_and(|params| params.contains_key(FIELD_PARAM))
}

/// A domain rule of the kind that a file's entry becomes.
fn condition(entry: file::Entry) -> Rule {
    let mut params = BTreeMap::from([(FIELD_PARAM.to_owned(), entry.field)]);
    if let Some(topic) = entry.dlq_topic {
        params.insert("dlq.topic".to_owned(), topic);
    }
    Rule {
        name: entry.name,
        doc: entry.doc,
        kind: Some(RuleKind::Condition),
        mode: Some(entry.mode),
        rule_type: Some("CEL".to_owned()),
        tags: None,
        params: Some(params),
        expr: Some(entry.expression),
        on_success: entry.on_success,
        on_failure: Some(entry.on_failure),
        disabled: entry.disabled,
    }
}
