//! JSONata, with a limit on time, depth and length.

use jsonata_core::Expression;
use jsonata_core::evaluator::EvaluatorOptions;
use jsonata_core::value::JValue;
use serde_json::Value;

use super::RuleError;

/// How long one record may take.
const TIMEOUT_MS: u64 = 500;
/// How deep functions may call each other.
const DEPTH_MAX: usize = 500;
/// How many items one sequence may have.
const SEQUENCE_MAX: usize = 100_000;
/// Bytes of an expression.
pub(super) const EXPRESSION_BYTES_MAX: usize = 64 * 1024;

/// What the expression makes of the record.
pub(super) fn run(expr: &str, record: &Value) -> Result<Value, RuleError> {
    let failed = |what: String| RuleError::Expression {
        expr: expr.to_owned(),
        what,
    };
    if expr.len() > EXPRESSION_BYTES_MAX {
        return Err(failed(format!(
            "it has {} bytes, the limit is {EXPRESSION_BYTES_MAX}",
            expr.len()
        )));
    }
    let options = EvaluatorOptions {
        timeout_ms: Some(TIMEOUT_MS),
        max_stack_depth: Some(DEPTH_MAX),
        max_sequence_length: Some(SEQUENCE_MAX),
        ..EvaluatorOptions::default()
    };
    let program = Expression::compile_with_options(expr, options)
        .map_err(|error| failed(error.to_string()))?;
    let input =
        JValue::from_json_str(&record.to_string()).map_err(|error| failed(error.to_string()))?;
    let output = program
        .evaluate(&input)
        .map_err(|error| failed(error.to_string()))?;
    if output.is_undefined() {
        return Ok(Value::Null);
    }
    let text = output
        .to_json_string()
        .map_err(|error| failed(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| failed(error.to_string()))
}
