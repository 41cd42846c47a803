//! Regular expressions of a schema, in time linear in the text.
//!
//! JSON Schema's expressions are ECMA 262's. Crate `regex` has neither look-around nor back references, and that is
//! why it is linear. A pattern that it cannot take does not make a schema invalid: in a comparison it matches no
//! name, in a validation another engine takes it, with a limit on its steps ([`super::validator`]).

use regex::{Regex, RegexBuilder};

/// Bytes that a compiled pattern may take; `(a{1000}){1000}` would need gigabytes.
pub(super) const COMPILED_BYTES_MAX: usize = 1024 * 1024;

/// The expression, if it is one that can be matched in linear time and within the size.
pub(super) fn linear(pattern: &str) -> Option<Regex> {
    RegexBuilder::new(pattern)
        .size_limit(COMPILED_BYTES_MAX)
        .dfa_size_limit(COMPILED_BYTES_MAX)
        .nest_limit(100)
        .build()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_linear_or_not_small_is_left_out() {
        assert!(linear("^I_\\d+$").unwrap().is_match("I_12"));
        assert!(linear("^(?=a)b").is_none());
        assert!(linear("(a)\\1").is_none());
        assert!(linear("(((a{1000}){1000}){1000})").is_none());
        assert!(linear(&"(".repeat(10_000)).is_none());
    }

    #[test]
    fn what_kills_a_backtracking_engine_is_matched_at_once() {
        let bomb = linear("^(a+)+$").unwrap();
        assert!(!bomb.is_match(&format!("{}b", "a".repeat(100_000))));
    }
}
