//! The rules of a data contract, as far as a registry minds them: it keeps and hands them out, clients run them.

pub mod validate;

pub use validate::{ActionNames, RuleList, RuleSetError, check};
