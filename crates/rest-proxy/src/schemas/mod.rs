//! Keys and values that have a schema: which schema that is, and the bytes.
//!
//! [`registered`] asks a Schema Registry, keeps what it said and finds the schema that a request names
//! ([`Schemas::find`], as Confluent's `SchemaManagerImpl`), [`codec`] turns JSON into framed bytes and back.
//!
//! **Invariants:** what is kept is bounded ([`registry_client::Cache`]); an id means one schema for ever, so only what is "the latest"
//! is asked again, after a second.

mod codec;
mod registered;

pub(crate) use registered::{Registered, SchemaQuery, Schemas};
