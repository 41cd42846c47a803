//! Running the rules of a data contract on a record, as Confluent's clients do (`AbstractKafkaSchemaSerDe.executeRules`).
//!
//! A record comes as JSON, in the mapping of its format, and leaves as JSON: conditions judge it (`CEL`, `CEL_FIELD`),
//! transforms change it (`CEL`, `CEL_FIELD`, `JSONATA`). Rules of fields visit the fields that have one of the
//! rule's tags, by the schema ([`shape`]), its inline tags, and the tags that the contract's metadata gives by path.
//! Rules run in order, those of readers and of downgrades in reverse; a failure says which action the rule asks for
//! (`ERROR`, `DLQ`, `NONE`), and only `NONE` goes on.
//!
//! Every expression has bounds ([`cel`], [`jsonata`]): it ends, in time and in memory. An executor that is not here
//! (`ENCRYPT`) is an error, not passed over: a rule that did not run must not look as if it had.

mod cel;
mod checks;
mod jsonata;
mod shape;
mod walk;

use std::collections::BTreeSet;
use std::sync::OnceLock;

use serde_json::Value;

pub use shape::Shape;

use crate::model::{Metadata, Rule, RuleKind, RuleMode, RuleSet};

/// The stack for running rules; only what is used of it is memory.
const STACK_BYTES: usize = 64 * 1024 * 1024;

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
    #[error("no executor for rules of type {rule_type:?}: CEL, CEL_FIELD and JSONATA are run here")]
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

/// A rule, and its expression once that was read.
#[derive(Debug)]
struct Prepared<'a> {
    rule: &'a Rule,
    program: OnceLock<Result<cel::Program, RuleError>>,
}

impl Prepared<'_> {
    fn program(&self, expr: &str) -> Result<&cel::Program, RuleError> {
        let program = self.program.get_or_init(|| cel::Program::new(expr));
        program.as_ref().map_err(Clone::clone)
    }
}

/// The rules of one contract for one passage; worth keeping, for expressions are read once.
#[derive(Debug)]
pub struct Rules<'a> {
    rules: Vec<Prepared<'a>>,
    passage: Passage,
    metadata: Option<&'a Metadata>,
    shape: &'a Shape,
}

impl<'a> Rules<'a> {
    /// The rules of `rule_set` that run on `passage`; `shape` is that of the schema they belong to.
    pub fn new(
        rule_set: &'a RuleSet,
        metadata: Option<&'a Metadata>,
        shape: &'a Shape,
        passage: Passage,
    ) -> Self {
        let list = match passage {
            Passage::Write | Passage::Read => &rule_set.domain_rules,
            Passage::Upgrade | Passage::Downgrade => &rule_set.migration_rules,
        };
        let all = list.iter().flatten();
        let taken = all.filter(|rule| !rule.disabled && passage.takes(rule.mode));
        let mut rules: Vec<Prepared<'a>> = taken
            .map(|rule| Prepared {
                rule,
                program: OnceLock::new(),
            })
            .collect();
        if !passage.is_first() {
            rules.reverse();
        }
        Self {
            rules,
            passage,
            metadata,
            shape,
        }
    }

    /// Whether there is nothing to run.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Runs the rules on a record, and gives it as they leave it.
    ///
    /// It blocks, for up to some hundred milliseconds, and starts a thread: do not call it where others are served.
    ///
    /// # Errors
    /// The first rule that fails, unless its action is `NONE`.
    pub fn run(&self, record: Value) -> Result<Value, RuleFailure> {
        let Some(Prepared { rule: first, .. }) = self.rules.first() else {
            return Ok(record);
        };
        on_own_stack(|| self.run_all(record)).unwrap_or_else(|what| {
            Err(RuleFailure {
                rule: first.name.clone(),
                action: "ERROR".to_owned(),
                error: RuleError::Expression {
                    expr: first.expr.clone().unwrap_or_default(),
                    what: what.to_owned(),
                },
            })
        })
    }

    fn run_all(&self, record: Value) -> Result<Value, RuleFailure> {
        let mut record = record;
        for (index, prepared) in self.rules.iter().enumerate() {
            let rule = prepared.rule;
            match self.run_one(index, prepared, &record) {
                Ok(Some(changed)) => record = changed,
                Ok(None) => {}
                Err(error) => {
                    let action = self.action(rule.on_failure.as_deref());
                    if action != "NONE" {
                        return Err(RuleFailure {
                            rule: rule.name.clone(),
                            action,
                            error,
                        });
                    }
                }
            }
        }
        Ok(record)
    }

    /// With two modes a rule may have a pair of actions.
    fn action(&self, action: Option<&str>) -> String {
        let action = action.unwrap_or("ERROR");
        let named = match action.split_once(',') {
            Some((first, _)) if self.passage.is_first() => first,
            Some((_, second)) => second,
            None => action,
        };
        let named = named.trim();
        if named.is_empty() { "ERROR" } else { named }.to_owned()
    }

    /// The record as a transform leaves it; none where the rule changes nothing.
    fn run_one(
        &self,
        index: usize,
        prepared: &Prepared<'_>,
        record: &Value,
    ) -> Result<Option<Value>, RuleError> {
        let rule = prepared.rule;
        let kind = rule.kind.unwrap_or(RuleKind::Condition);
        let Some(expr) = rule.expr.as_deref() else {
            return Ok(None);
        };
        match rule.rule_type.as_deref().unwrap_or_default() {
            "CEL" => {
                let program = prepared.program(expr)?;
                match program.on_record(record)? {
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
            other => Err(RuleError::NoExecutor {
                rule_type: other.to_owned(),
            }),
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
        let empty = BTreeSet::new();
        let wanted = rule.tags.as_ref().unwrap_or(&empty);
        let mut visit = |field: &walk::FieldContext<'_>, value: &mut Value| {
            if !wanted.is_empty() && wanted.is_disjoint(&field.tags) {
                return Ok(());
            }
            let Some(result) = program.on_field(field, value)? else {
                return Ok(());
            };
            let place = format!(" at {}", field.full_name);
            if let Some(result) = outcome(rule, kind, result, &place)? {
                *value = result;
            }
            Ok(())
        };
        walk::fields(self.shape, self.metadata, &mut changed, &mut visit)?;
        Ok((kind == RuleKind::Transform).then_some(changed))
    }

    /// Of transforms of one type, mode and set of tags only the first that was written runs on writing, and the last
    /// on reading (`FieldRuleExecutor.areTransformsWithSameTag`).
    fn is_done_by_another(&self, index: usize, rule: &Rule) -> bool {
        let same = |prepared: &Prepared<'_>| {
            let other = prepared.rule;
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

/// Runs `work` on a thread with the stack that parser and interpreters take for the depth they are given; if they
/// panic, the thread ends and not the caller.
fn on_own_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, &'static str> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("rules".to_owned())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, work);
        match thread {
            Ok(thread) => thread
                .join()
                .map_err(|_| "the interpreter stopped unexpectedly"),
            Err(_) => Err("no thread could be started to run it"),
        }
    })
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
mod tests;
