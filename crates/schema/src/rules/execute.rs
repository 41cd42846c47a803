//! Running the rules of a data contract on a record, as Confluent's clients do (`AbstractKafkaSchemaSerDe.executeRules`).
//!
//! A record comes as JSON, in the mapping of its format, and leaves as JSON: conditions judge it (`CEL`, `CEL_FIELD`),
//! transforms change it (`CEL`, `CEL_FIELD`, `JSONATA`). Rules of fields visit the fields that have one of the
//! rule's tags, by the schema ([`shape`]), its inline tags, and the tags that the contract's metadata gives by path.
//! Rules run in order, those of readers and of downgrades in reverse; a failure says which action the rule asks for
//! (`ERROR`, `DLQ`, `NONE`), and only `NONE` goes on. A rule may ask for one when it succeeds, too.
//!
//! Rules of the third list, `encodingRules`, see a record's bytes ([`Rules::of_payload`]).
//!
//! Expressions see a record without what its format's JSON adds to it ([`Shape`]): no names of union branches, Protobuf's
//! own names of fields, and numbers of 64 bits as numbers.
//!
//! Every expression has bounds ([`cel`], [`jsonata`]): it ends, in time and in memory. An executor that is not here,
//! and encryption where nobody gave keys ([`Rules::with_keys`]), is an error, not passed over: a rule that did not run
//! must not look as if it had.

mod cel;
mod checks;
pub mod encrypt;
mod encrypt_fields;
mod jsonata;
mod shape;
mod walk;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

use serde_json::Value;

use encrypt::{DekRegistry, Fetched, Keys, parameter};
pub use shape::Shape;
pub(crate) use walk::matches as path_matches;

use crate::model::{Metadata, Rule, RuleKind, RuleMode, RuleSet};

/// The stack for running rules: what parser and interpreters take for the depth they are given. Only what is used of it
/// is memory.
const STACK_BYTES: usize = 64 * 1024 * 1024;
/// What a rule must find of it.
const STACK_LEFT_BYTES: usize = STACK_BYTES - 1024 * 1024;

/// The actions of a rule that nobody has to be told about, and of one that refuses the record.
const NONE: &str = "NONE";
const ERROR: &str = "ERROR";

/// What stands in place of a secret.
const REDACTED: &str = "<REDACTED>";

/// What a record goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Passage {
    /// It is written: domain rules.
    Write,
    /// It is read: domain rules, the last first.
    Read,
    /// A reader has a newer schema: migration rules.
    Upgrade,
    /// A reader has an older schema: migration rules, the last first.
    Downgrade,
}

impl Passage {
    fn takes(self, mode: Option<RuleMode>) -> bool {
        match mode.unwrap_or(RuleMode::Write) {
            RuleMode::Write => self == Self::Write,
            RuleMode::Read => self == Self::Read,
            RuleMode::WriteRead => matches!(self, Self::Write | Self::Read),
            RuleMode::Upgrade => self == Self::Upgrade,
            RuleMode::Downgrade => self == Self::Downgrade,
            RuleMode::UpDown => matches!(self, Self::Upgrade | Self::Downgrade),
        }
    }

    /// Whether it is the first of a pair of modes, and of actions.
    fn is_first(self) -> bool {
        matches!(self, Self::Write | Self::Upgrade)
    }

    /// The name of its mode.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Write => "WRITE",
            Self::Read => "READ",
            Self::Upgrade => "UPGRADE",
            Self::Downgrade => "DOWNGRADE",
        }
    }
}

/// Why a rule failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// Its condition is false.
    #[error("Expr failed: '{expr}'{place}")]
    Condition {
        /// The expression, or the rule's own words where it has some.
        expr: String,
        /// At which field; empty for the record.
        place: String,
    },
    /// Nothing here runs rules of its type.
    #[error(
        "no executor for rules of type {rule_type:?}: CEL, CEL_FIELD and JSONATA are run here, and, where there are keys, ENCRYPT and ENCRYPT_PAYLOAD"
    )]
    NoExecutor {
        /// The type.
        rule_type: String,
    },
    /// The expression cannot be read, or failed on this record.
    #[error("the expression {expr:?} failed: {what}")]
    Expression {
        /// The expression.
        expr: String,
        /// What went wrong.
        what: String,
    },
    /// It did not fail: its action on success is another than `NONE`.
    #[error("the rule has an action on success")]
    Success,
    /// A field or a payload is not encrypted, or not decrypted.
    #[error("{what}")]
    Encryption {
        /// What went wrong.
        what: String,
    },
    /// Running the expression on this record could take too long, or too much memory.
    #[error("the expression {expr:?} is too expensive for this record: {what}")]
    TooExpensive {
        /// The expression.
        expr: String,
        /// What there is too much of.
        what: String,
    },
}

/// A rule that failed, and what it wants done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("rule {rule} failed, its action is {action}")]
pub struct RuleFailure {
    /// The rule's name.
    pub rule: String,
    /// The action: `ERROR`, `DLQ`, or one that a client has.
    pub action: String,
    /// Why.
    #[source]
    pub error: RuleError,
}

/// A rule, its expression once that was read, and the keys it has used.
#[derive(Debug)]
struct Prepared {
    rule: Rule,
    program: OnceLock<Result<cel::Program, RuleError>>,
    fetched: Fetched,
}

impl Prepared {
    /// Those of `list` that run on `passage`, in their order.
    fn all(list: Option<&Vec<Rule>>, passage: Passage) -> Vec<Self> {
        let all = list.into_iter().flatten();
        let taken = all.filter(|rule| !rule.disabled && passage.takes(rule.mode));
        let mut rules: Vec<Self> = taken
            .map(|rule| Prepared {
                rule: rule.clone(),
                program: OnceLock::new(),
                fetched: Fetched::default(),
            })
            .collect();
        if !passage.is_first() {
            rules.reverse();
        }
        rules
    }

    fn rule_type(&self) -> &str {
        self.rule.rule_type.as_deref().unwrap_or_default()
    }

    fn kind(&self) -> RuleKind {
        self.rule.kind.unwrap_or(RuleKind::Condition)
    }

    fn no_executor(&self) -> RuleError {
        RuleError::NoExecutor {
            rule_type: self.rule_type().to_owned(),
        }
    }

    fn program(&self, expr: &str) -> Result<&cel::Program, RuleError> {
        let program = self.program.get_or_init(|| cel::Program::new(expr));
        program.as_ref().map_err(Clone::clone)
    }
}

/// The rules of one contract for one passage; worth keeping, for expressions are read once, and keys fetched once.
#[derive(Debug)]
pub struct Rules {
    rules: Vec<Prepared>,
    passage: Passage,
    metadata: Option<Metadata>,
    /// None for the rules of payloads.
    shape: Option<Shape>,
    keys: Option<Keys>,
}

impl Rules {
    /// The rules of `rule_set` that run on `passage`; `shape` is that of the schema they belong to.
    pub fn new(
        rule_set: &RuleSet,
        metadata: Option<&Metadata>,
        shape: &Shape,
        passage: Passage,
    ) -> Self {
        let list = match passage {
            Passage::Write | Passage::Read => &rule_set.domain_rules,
            Passage::Upgrade | Passage::Downgrade => &rule_set.migration_rules,
        };
        Self {
            rules: Prepared::all(list.as_ref(), passage),
            passage,
            metadata: metadata.cloned(),
            shape: Some(shape.clone()),
            keys: None,
        }
    }

    /// The rules of `rule_set` that run on a payload, after the record was serialised or before it is.
    pub fn of_payload(rule_set: &RuleSet, metadata: Option<&Metadata>, passage: Passage) -> Self {
        Self {
            rules: Prepared::all(rule_set.encoding_rules.as_ref(), passage),
            passage,
            metadata: metadata.cloned(),
            shape: None,
            keys: None,
        }
    }

    /// Leaves out transforms, encryption among them, for a record that has been through them.
    #[must_use]
    pub fn conditions_only(mut self) -> Self {
        self.rules
            .retain(|prepared| prepared.kind() == RuleKind::Condition);
        self
    }

    /// Has the rules encrypt and decrypt with the keys that `registry` has for `subject`.
    #[must_use]
    pub fn with_keys(self, registry: Arc<dyn DekRegistry>, subject: &str) -> Self {
        let subject = subject.to_owned();
        Self {
            keys: Some(Keys { registry, subject }),
            ..self
        }
    }

    /// Whether there is nothing to run.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// A parameter of one of the rules, else a property of the contract (`RuleContext.getParameter`).
    pub fn parameter(&self, rule: &str, name: &str) -> Option<&str> {
        let mut rules = self.rules.iter().map(|prepared| &prepared.rule);
        let rule = rules.find(|found| found.name == rule)?;
        parameter(rule, self.metadata.as_ref(), name)
    }

    /// The record without what its contract keeps secret: texts and bytes that one of the rules encrypts are replaced
    /// (`FieldRedactionExecutor`). It is for places that see a record which was not encrypted.
    pub fn redacted(&self, mut record: Value) -> Value {
        let secret = |rule: &&Rule| {
            let rule_type = rule.rule_type.as_deref();
            matches!(rule_type, Some("ENCRYPT" | "ENCRYPT_PAYLOAD"))
        };
        let rules = self.rules.iter().map(|prepared| &prepared.rule);
        for rule in rules.filter(secret) {
            let hide = self.visit(rule, &mut record, &mut |field, value| {
                if !value.is_null() {
                    self.hide(field.type_name, value);
                }
                Ok(())
            });
            // A record that nests too deep is hidden whole.
            if hide.is_err() {
                return Value::String(REDACTED.to_owned());
            }
        }
        record
    }

    fn hide(&self, type_name: &str, value: &mut Value) {
        let bytes_form = self.shape.as_ref().map(Shape::bytes_form);
        match type_name {
            "STRING" => *value = Value::String(REDACTED.to_owned()),
            "BYTES" => {
                let bytes = bytes_form.unwrap_or_default().write(REDACTED.as_bytes());
                *value = Value::String(bytes);
            }
            _ => {}
        }
    }

    /// Runs the rules on a record, and gives it as they leave it.
    ///
    /// It blocks, for up to some hundred milliseconds, and for as long as a registry and a key management service take
    /// that have keys: do not call it where others are served. Many records share what a call costs by itself within
    /// [`on_stack`].
    ///
    /// # Errors
    /// The first rule that fails, unless its action is `NONE`; or that succeeds, if it has another then.
    pub fn run(&self, record: Value) -> Result<Value, RuleFailure> {
        self.run_without(None, record)
    }

    /// The same, but for the rule of that name: the one that a record of a dead letter queue has failed before.
    ///
    /// # Errors
    /// As [`Rules::run`].
    pub fn run_without(&self, left_out: Option<&str>, record: Value) -> Result<Value, RuleFailure> {
        let Some(Prepared { rule: first, .. }) = self.rules.first() else {
            return Ok(record);
        };
        // What a rule that panicked has left is its own copy of the record, and expressions that are read whole or not at all.
        let run = AssertUnwindSafe(|| on_stack(|| self.run_all(left_out, record)));
        catch_unwind(run).unwrap_or_else(|_| {
            Err(RuleFailure {
                rule: first.name.clone(),
                action: ERROR.to_owned(),
                error: RuleError::Expression {
                    expr: first.expr.clone().unwrap_or_default(),
                    what: "the interpreter stopped unexpectedly".to_owned(),
                },
            })
        })
    }

    /// Runs the rules of payloads on one, and gives it as they leave it.
    ///
    /// It blocks for as long as the registry and the key management service take that have the keys.
    ///
    /// # Errors
    /// As [`Rules::run`].
    pub fn run_payload(
        &self,
        left_out: Option<&str>,
        payload: Vec<u8>,
    ) -> Result<Vec<u8>, RuleFailure> {
        self.each(left_out, payload, |_, prepared, payload| {
            match (prepared.rule_type(), &self.keys) {
                ("ENCRYPT_PAYLOAD", Some(keys)) => {
                    self.cipher(prepared, keys)?.apply(payload).map(Some)
                }
                _ => Err(prepared.no_executor()),
            }
        })
    }

    fn run_all(&self, left_out: Option<&str>, record: Value) -> Result<Value, RuleFailure> {
        self.each(left_out, record, |index, prepared, record| {
            self.run_one(index, prepared, record)
        })
    }

    /// Runs the rules in turn; `run` gives what one makes of what the ones before it left.
    fn each<T>(
        &self,
        left_out: Option<&str>,
        first: T,
        run: impl Fn(usize, &Prepared, &T) -> Result<Option<T>, RuleError>,
    ) -> Result<T, RuleFailure> {
        let mut current = first;
        for (index, prepared) in self.rules.iter().enumerate() {
            let rule = &prepared.rule;
            if left_out == Some(rule.name.as_str()) {
                continue;
            }
            let (action, error) = match run(index, prepared, &current) {
                Ok(changed) => {
                    current = changed.unwrap_or(current);
                    let action = self.action(rule.on_success.as_deref(), NONE);
                    (action, RuleError::Success)
                }
                Err(error) => (self.action(rule.on_failure.as_deref(), ERROR), error),
            };
            if action != NONE {
                return Err(RuleFailure {
                    rule: rule.name.clone(),
                    action: action.to_owned(),
                    error,
                });
            }
        }
        Ok(current)
    }

    /// With two modes a rule may have a pair of actions.
    fn action<'r>(&self, action: Option<&'r str>, otherwise: &'r str) -> &'r str {
        let action = action.unwrap_or(otherwise);
        let named = match action.split_once(',') {
            Some((first, _)) if self.passage.is_first() => first,
            Some((_, second)) => second,
            None => action,
        };
        let named = named.trim();
        if named.is_empty() { otherwise } else { named }
    }

    /// The record as a transform leaves it; none where the rule changes nothing.
    fn run_one(
        &self,
        index: usize,
        prepared: &Prepared,
        record: &Value,
    ) -> Result<Option<Value>, RuleError> {
        let rule = &prepared.rule;
        let kind = prepared.kind();
        let rule_type = prepared.rule_type();
        if let ("ENCRYPT", Some(keys)) = (rule_type, &self.keys) {
            if self.is_done_by_another(index, rule) {
                return Ok(None);
            }
            let cipher = self.cipher(prepared, keys)?;
            return self.encrypt_fields(rule, &cipher, record).map(Some);
        }
        let Some(expr) = rule.expr.as_deref() else {
            return match rule_type {
                "CEL" | "CEL_FIELD" | "JSONATA" => Ok(None),
                _ => Err(prepared.no_executor()),
            };
        };
        match rule_type {
            "CEL" => {
                let program = prepared.program(expr)?;
                let view = match &self.shape {
                    Some(shape) => shape.view(record),
                    None => Cow::Borrowed(record),
                };
                match program.on_record(&view)? {
                    None => Ok(None),
                    Some(result) => outcome(rule, kind, result, ""),
                }
            }
            "CEL_FIELD" if self.is_done_by_another(index, rule) => Ok(None),
            "CEL_FIELD" => {
                let program = prepared.program(expr)?;
                self.run_on_fields(rule, kind, program, record)
            }
            "JSONATA" => outcome(rule, kind, jsonata::run(expr, record)?, ""),
            _ => Err(prepared.no_executor()),
        }
    }

    fn run_on_fields(
        &self,
        rule: &Rule,
        kind: RuleKind,
        program: &cel::Program,
        record: &Value,
    ) -> Result<Option<Value>, RuleError> {
        let mut changed = record.clone();
        self.visit(rule, &mut changed, &mut |field, value| {
            let view = shape::scalar_view(field.type_name, value);
            let Some(result) = program.on_field(field, &view)? else {
                return Ok(());
            };
            let place = format!(" at {}", field.full_name);
            if let Some(result) = outcome(rule, kind, result, &place)? {
                *value = result;
            }
            Ok(())
        })?;
        Ok((kind == RuleKind::Transform).then_some(changed))
    }

    /// Visits the fields that have one of the rule's tags, or all where it has none.
    fn visit(
        &self,
        rule: &Rule,
        record: &mut Value,
        visit: &mut walk::Visit<'_>,
    ) -> Result<(), RuleError> {
        let empty = BTreeSet::new();
        let wanted = rule.tags.as_ref().unwrap_or(&empty);
        let Some(shape) = &self.shape else {
            return Ok(());
        };
        walk::fields(
            shape,
            self.metadata.as_ref(),
            record,
            &mut |field, value| {
                if !wanted.is_empty() && wanted.is_disjoint(&field.tags) {
                    return Ok(());
                }
                visit(field, value)
            },
        )
    }

    /// Of transforms of one type, mode and set of tags only the first that was written runs on writing, and the last
    /// on reading (`FieldRuleExecutor.areTransformsWithSameTag`).
    fn is_done_by_another(&self, index: usize, rule: &Rule) -> bool {
        let same = |prepared: &Prepared| {
            let other = &prepared.rule;
            rule.kind == Some(RuleKind::Transform)
                && rule.tags.as_ref().is_some_and(|tags| !tags.is_empty())
                && (other.kind, other.mode) == (rule.kind, rule.mode)
                && (&other.rule_type, &other.tags) == (&rule.rule_type, &rule.tags)
        };
        if self.passage.is_first() {
            self.rules.iter().take(index).any(same)
        } else {
            self.rules.iter().skip(index + 1).any(same)
        }
    }
}

/// Runs `work` on the caller's thread with the stack that rules need. Every run of rules does that for itself; within
/// `work` they find the stack and make none.
pub fn on_stack<T>(work: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(STACK_LEFT_BYTES, STACK_BYTES, work)
}

fn outcome(
    rule: &Rule,
    kind: RuleKind,
    result: Value,
    place: &str,
) -> Result<Option<Value>, RuleError> {
    let expr = || rule.expr.clone().unwrap_or_default();
    match (kind, result) {
        (RuleKind::Transform, result) => Ok(Some(result)),
        (RuleKind::Condition, Value::Bool(true)) => Ok(None),
        (RuleKind::Condition, Value::Bool(false)) => Err(RuleError::Condition {
            expr: rule
                .doc
                .clone()
                .filter(|doc| !doc.is_empty())
                .unwrap_or_else(expr),
            place: place.to_owned(),
        }),
        (RuleKind::Condition, other) => Err(RuleError::Expression {
            expr: expr(),
            what: format!("a condition is true or false, not {other}"),
        }),
    }
}

#[cfg(test)]
mod encrypt_tests;
#[cfg(test)]
mod tests;
