//! CEL: expressions of Google's Common Expression Language with the variables and functions of Confluent's clients.
//!
//! `message` is the record; a rule of fields also has `value`, `fullName`, `name`, `typeName` and `tags`. An expression
//! may have a guard before it, with a semicolon between: where the guard is false the rule does not run.
//!
//! The interpreter has no limit of its own, so what an expression can cost on a record is worked out before it runs:
//! loops (macros such as `all` and `map`) run over collections of the record or of the text, so their number to the
//! power of how deep loops nest bounds the steps, and concatenations inside of loops bound how much a value can grow.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use ::cel::common::ast::{EntryExpr, Expr};
use ::cel::extractors::This;
use ::cel::objects::{Key, Map};
use ::cel::{Context, Env, Value as CelValue};
use serde_json::{Map as JsonMap, Number, Value};

use super::walk::FieldContext;
use super::{RuleError, checks};

/// Bytes of an expression.
const EXPRESSION_BYTES_MAX: usize = 16 * 1024;
/// Steps that one record may take.
const STEPS_MAX: u64 = 2_000_000;
/// Bytes that values may grow to.
const GROWTH_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// How deep loops may nest.
const LOOPS_DEEP_MAX: u32 = 4;
/// How deep a record may nest.
const RECORD_DEPTH_MAX: usize = 200;

/// How deep brackets may nest: the parser takes a lot of stack for each.
const BRACKETS_DEEP_MAX: usize = 24;
/// How deep the expression's tree may be.
const TREE_DEEP_MAX: usize = 128;

/// One expression with its guard, compiled.
#[derive(Debug)]
pub(super) struct Program {
    guard: Option<Part>,
    body: Part,
}

#[derive(Debug)]
struct Part {
    text: String,
    program: ::cel::Program,
    cost: Cost,
}

/// What an expression can cost, in terms of the record.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    nodes: u64,
    /// How deep loops nest.
    loops: u32,
    /// Concatenations inside of loops.
    grows: u64,
    /// The longest collection that is written out.
    longest: u64,
}

impl Program {
    /// # Errors
    /// The text is no CEL, or too long.
    pub(super) fn new(text: &str) -> Result<Self, RuleError> {
        // As in Confluent's clients the first semicolon parts them, wherever it stands.
        let (guard, body) = match text.split_once(';') {
            Some((guard, body)) => (Some(guard), body),
            None => (None, text),
        };
        let guard = guard.filter(|guard| !guard.trim().is_empty());
        Ok(Self {
            guard: guard.map(Part::new).transpose()?,
            body: Part::new(body)?,
        })
    }

    /// The result on a record; none where the guard is false.
    pub(super) fn on_record(&self, record: &Value) -> Result<Option<Value>, RuleError> {
        self.run(&[("message", record)], &[])
    }

    /// The result on a field.
    pub(super) fn on_field(
        &self,
        field: &FieldContext<'_>,
        value: &Value,
    ) -> Result<Option<Value>, RuleError> {
        let tags = Value::Array(field.tags.iter().cloned().map(Value::String).collect());
        let texts = [
            ("fullName", field.full_name),
            ("name", field.name),
            ("typeName", field.type_name),
        ];
        let values = [
            ("value", value),
            ("message", field.message),
            ("tags", &tags),
        ];
        self.run(&values, &texts)
    }

    fn run(
        &self,
        values: &[(&str, &Value)],
        texts: &[(&str, &str)],
    ) -> Result<Option<Value>, RuleError> {
        if let Some(guard) = &self.guard
            && guard.run(values, texts)? != Value::Bool(true)
        {
            return Ok(None);
        }
        self.body.run(values, texts).map(Some)
    }
}

impl Part {
    fn new(text: &str) -> Result<Self, RuleError> {
        if text.len() > EXPRESSION_BYTES_MAX {
            return Err(failed(
                text.get(..200).unwrap_or_default(),
                format!(
                    "it has {} bytes, the limit is {EXPRESSION_BYTES_MAX}",
                    text.len()
                ),
            ));
        }
        if is_too_deep(text) {
            let what = format!(
                "it nests too deep: at most {BRACKETS_DEEP_MAX} brackets, and {TREE_DEEP_MAX} operations on each other"
            );
            return Err(failed(text.get(..200).unwrap_or(text), what));
        }
        let program =
            ::cel::Program::compile(text).map_err(|error| failed(text, error.to_string()))?;
        let mut cost = Cost::default();
        measure(&program.expression().expr, 0, &mut cost);
        Ok(Self {
            text: text.to_owned(),
            program,
            cost,
        })
    }

    fn run(&self, values: &[(&str, &Value)], texts: &[(&str, &str)]) -> Result<Value, RuleError> {
        let mut size = Size::default();
        for (_, value) in values {
            size.add(value, 0);
        }
        self.check(&size)?;
        let mut context = context();
        for (name, value) in values {
            context.add_variable_from_value(*name, to_cel(value));
        }
        for (name, text) in texts {
            context.add_variable_from_value(*name, CelValue::from(*text));
        }
        let result = self
            .program
            .execute(&context)
            .map_err(|error| failed(&self.text, error.to_string()))?;
        from_cel(&result).ok_or_else(|| {
            failed(
                &self.text,
                "the result is nothing that JSON can say".to_owned(),
            )
        })
    }

    fn check(&self, size: &Size) -> Result<(), RuleError> {
        let expensive = |what: String| {
            Err(RuleError::TooExpensive {
                expr: self.text.clone(),
                what,
            })
        };
        if size.too_deep {
            return expensive(format!(
                "the record nests deeper than {RECORD_DEPTH_MAX} levels"
            ));
        }
        let cost = &self.cost;
        if cost.loops > LOOPS_DEEP_MAX {
            return expensive(format!(
                "its loops nest {} deep, the limit is {LOOPS_DEEP_MAX}",
                cost.loops
            ));
        }
        // A loop may run over what an outer one put together, which is at most a few of what there was.
        let round = size
            .longest
            .max(cost.longest)
            .max(1)
            .saturating_mul(cost.grows + 1);
        let steps = round.saturating_pow(cost.loops).saturating_mul(cost.nodes);
        if steps > STEPS_MAX {
            return expensive(format!(
                "it could take {steps} steps, the limit is {STEPS_MAX}"
            ));
        }
        let total = size.bytes.saturating_add(self.text.len() as u64);
        let growth = (cost.grows + 1)
            .saturating_pow(cost.loops)
            .saturating_mul(total);
        let growth = if cost.loops == 0 {
            total
        } else {
            growth.saturating_mul(round)
        };
        if cost.grows > 0 && growth > GROWTH_BYTES_MAX {
            return expensive(format!(
                "its values could grow to {growth} bytes, the limit is {GROWTH_BYTES_MAX}"
            ));
        }
        Ok(())
    }
}

/// What of the text at hand hangs on each other within one pair of brackets.
#[derive(Debug, Clone, Copy, Default)]
struct Level {
    /// Operators in a row; `&&` and `||` start a new one, because the parser keeps those flat.
    operators: usize,
    /// Selections, calls and indexes in a row.
    postfix: usize,
}

/// Whether parser or interpreter would go deeper into the text than the stack should have to bear. Counts too much
/// rather than too little.
fn is_too_deep(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut levels = vec![Level::default()];
    let mut at = 0;
    while let Some(byte) = bytes.get(at).copied() {
        if matches!(byte, b'"' | b'\'') {
            at = after_string(bytes, at, byte);
            continue;
        }
        let Some(level) = levels.last_mut() else {
            return true;
        };
        match byte {
            b'(' | b'[' | b'{' => {
                level.postfix += 1;
                levels.push(Level::default());
            }
            b')' | b']' | b'}' => {
                levels.pop();
            }
            b',' | b'&' | b'|' => *level = Level::default(),
            b'.' => level.postfix += 1,
            b'+' | b'-' | b'*' | b'/' | b'%' | b'!' | b'?' | b':' | b'<' | b'>' | b'=' => {
                level.operators += 1;
                level.postfix = 0;
            }
            // The operator `in`, and perhaps a part of some name.
            b'i' if bytes.get(at + 1) == Some(&b'n') => level.operators += 1,
            _ => {}
        }
        at += 1;
        let depth: usize = levels
            .iter()
            .map(|level| level.operators + level.postfix)
            .sum();
        if levels.len() > BRACKETS_DEEP_MAX || depth > TREE_DEEP_MAX {
            return true;
        }
    }
    false
}

/// Where the string that starts at `at` ends; the language has strings in three quotes, and raw ones.
fn after_string(bytes: &[u8], at: usize, quote: u8) -> usize {
    let before = at.checked_sub(1).and_then(|before| bytes.get(before));
    let first = at.checked_sub(2).and_then(|before| bytes.get(before));
    let is_raw = |byte: Option<&u8>| matches!(byte, Some(b'r' | b'R'));
    let is_bytes = matches!(before, Some(b'b' | b'B'));
    let raw = is_raw(before) || (is_bytes && is_raw(first));
    let triple = [quote; 3];
    let end: &[u8] = if bytes.get(at..at + 3) == Some(&triple[..]) {
        &triple
    } else {
        &triple[..1]
    };
    let mut at = at + end.len();
    while at < bytes.len() {
        if bytes.get(at..at + end.len()) == Some(end) {
            return at + end.len();
        }
        let escaped = !raw && bytes.get(at) == Some(&b'\\');
        at += if escaped { 2 } else { 1 };
    }
    bytes.len()
}

fn failed(text: &str, what: String) -> RuleError {
    RuleError::Expression {
        expr: text.to_owned(),
        what,
    }
}

/// What a text is.
type Check = fn(&str) -> bool;

/// The language: putting it together takes longer than most expressions.
static LANGUAGE: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// The language with the functions that clients add.
fn context() -> Context<'static, 'static> {
    let mut context = Context::with_env(Arc::clone(&LANGUAGE));
    let functions: [(&str, Check); 7] = [
        ("isEmail", checks::is_email),
        ("isHostname", checks::is_hostname),
        ("isIpv4", checks::is_ipv4),
        ("isIpv6", checks::is_ipv6),
        ("isUri", checks::is_uri),
        ("isUriRef", checks::is_uri_ref),
        ("isUuid", checks::is_uuid),
    ];
    for (name, check) in functions {
        let function = move |This(text): This<Arc<String>>| check(&text);
        // None of the names is one of the language's own, which is all that could be wrong.
        let _declared = context.add_function(name, function).is_ok();
    }
    context
}

/// Adds what `expr` costs; `loops` are around it.
fn measure(expr: &Expr, loops: u32, cost: &mut Cost) {
    cost.nodes += 1;
    cost.loops = cost.loops.max(loops);
    match expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
        Expr::Call(call) => {
            if loops > 0 && call.func_name == "_+_" {
                cost.grows += 1;
            }
            let target = call.target.iter().map(|target| &target.expr);
            for each in target.chain(call.args.iter().map(|arg| &arg.expr)) {
                measure(each, loops, cost);
            }
        }
        Expr::Comprehension(each) => {
            measure(&each.iter_range.expr, loops, cost);
            measure(&each.accu_init.expr, loops, cost);
            measure(&each.loop_cond.expr, loops + 1, cost);
            measure(&each.loop_step.expr, loops + 1, cost);
            measure(&each.result.expr, loops, cost);
        }
        Expr::List(list) => {
            cost.longest = cost.longest.max(list.elements.len() as u64);
            for each in &list.elements {
                measure(&each.expr, loops, cost);
            }
        }
        Expr::Map(map) => {
            cost.longest = cost.longest.max(map.entries.len() as u64);
            for each in &map.entries {
                entry(&each.expr, loops, cost);
            }
        }
        Expr::Select(select) => measure(&select.operand.expr, loops, cost),
        Expr::Struct(each) => {
            for each in &each.entries {
                entry(&each.expr, loops, cost);
            }
        }
    }
}

fn entry(expr: &EntryExpr, loops: u32, cost: &mut Cost) {
    match expr {
        EntryExpr::StructField(field) => measure(&field.value.expr, loops, cost),
        EntryExpr::MapEntry(pair) => {
            measure(&pair.key.expr, loops, cost);
            measure(&pair.value.expr, loops, cost);
        }
    }
}

/// How large a record is.
#[derive(Debug, Default)]
struct Size {
    bytes: u64,
    longest: u64,
    too_deep: bool,
}

impl Size {
    fn add(&mut self, value: &Value, depth: usize) {
        if depth > RECORD_DEPTH_MAX {
            self.too_deep = true;
            return;
        }
        match value {
            Value::String(text) => self.bytes = self.bytes.saturating_add(text.len() as u64),
            Value::Array(items) => {
                self.longest = self.longest.max(items.len() as u64);
                items.iter().for_each(|item| self.add(item, depth + 1));
            }
            Value::Object(fields) => {
                self.longest = self.longest.max(fields.len() as u64);
                for (name, value) in fields {
                    self.bytes = self.bytes.saturating_add(name.len() as u64);
                    self.add(value, depth + 1);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
        self.bytes = self.bytes.saturating_add(8);
    }
}

fn to_cel(value: &Value) -> CelValue {
    match value {
        Value::Null => CelValue::Null,
        Value::Bool(value) => CelValue::Bool(*value),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), _, _) => CelValue::Int(number),
            (None, Some(number), _) => CelValue::UInt(number),
            (None, None, Some(number)) => CelValue::Float(number),
            (None, None, None) => CelValue::Null,
        },
        Value::String(text) => CelValue::from(text.as_str()),
        Value::Array(items) => CelValue::List(Arc::new(items.iter().map(to_cel).collect())),
        Value::Object(fields) => {
            let map: HashMap<Key, CelValue> = fields
                .iter()
                .map(|(name, value)| (Key::from(name.clone()), to_cel(value)))
                .collect();
            CelValue::Map(Map { map: Arc::new(map) })
        }
    }
}

fn from_cel(value: &CelValue) -> Option<Value> {
    Some(match value {
        CelValue::Null => Value::Null,
        CelValue::Bool(value) => Value::Bool(*value),
        CelValue::Int(number) => Value::from(*number),
        CelValue::UInt(number) => Value::from(*number),
        CelValue::Float(number) => Value::Number(Number::from_f64(*number)?),
        CelValue::String(text) => Value::String(text.to_string()),
        CelValue::Timestamp(time) => Value::String(time.to_rfc3339()),
        CelValue::List(items) => {
            Value::Array(items.iter().map(from_cel).collect::<Option<Vec<_>>>()?)
        }
        CelValue::Map(map) => {
            let mut fields = JsonMap::new();
            for (key, value) in map.map.iter() {
                let name = match key {
                    Key::String(name) => name.to_string(),
                    Key::Int(number) => number.to_string(),
                    Key::Uint(number) => number.to_string(),
                    Key::Bool(value) => value.to_string(),
                };
                fields.insert(name, from_cel(value)?);
            }
            fields.sort_keys();
            Value::Object(fields)
        }
        _ => return None,
    })
}
