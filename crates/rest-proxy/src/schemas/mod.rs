//! Keys and values that have a schema: which schema that is, and the bytes.
//!
//! [`client`] asks a Schema Registry over HTTP, [`registered`] keeps what it said and finds the schema that a request
//! names ([`Schemas::find`], as Confluent's `SchemaManagerImpl`), [`codec`] turns JSON into framed bytes and back.
//!
//! **Invariants:** what is kept is bounded ([`cache`]); an id means one schema for ever, so only what is "the latest"
//! is asked again, after a second.

mod cache;
mod client;
mod codec;
mod registered;

pub(crate) use client::{Password, RegistryConfig, http_client};
pub(crate) use registered::{Registered, SchemaQuery, Schemas};
