//! What an input may cost: one place for the bounds that every parser of this crate keeps.
//!
//! The sizes are wide for what people register (the largest schemas seen in public registries are below 2 MB)
//! and narrow enough that a hostile text ends as an error within a second.

/// Bytes of one schema's text. Above it: 42209, schema too large.
pub const SCHEMA_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How deep types, messages, objects or expressions may nest in the text.
pub const DEPTH_MAX: usize = 500;

/// How many schemas one schema may refer to, directly and through others.
pub const REFERENCES_MAX: usize = 1_000;

/// How many pairs of types a comparison of two schemas looks at before it gives up with an error.
pub const COMPARISONS_MAX: usize = 4_000_000;
