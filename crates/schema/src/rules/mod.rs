//! The rules of a data contract: [`validate`] is what a registry minds when it keeps them, [`execute`] runs them on records.

pub mod execute;
pub mod validate;

pub use execute::{Passage, RuleError, RuleFailure, Rules, Shape, on_stack};
pub use validate::{ActionNames, RuleList, RuleSetError, check};
