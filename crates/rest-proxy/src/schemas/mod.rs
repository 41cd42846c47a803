//! Keys and values that have a schema: which schema that is, and the bytes.
//!
//! [`registered`] asks a Schema Registry, keeps what it said and finds the schema that a request names
//! ([`Schemas::find`], as Confluent's `SchemaManagerImpl`), [`codec`] turns JSON into framed bytes and back, [`contract`] runs
//! the rules of a schema on the way, [`runner`] has them run where they may block, [`incoming`] reads records.
//!
//! **Invariants:** what is kept is bounded ([`registry_client::Cache`]); an id means one schema, and one contract, for ever, so only what is
//! "the latest" is asked again, after a second. Rules run on threads that may block, a bounded number at once.

mod codec;
mod contract;
mod incoming;
mod registered;
mod runner;

pub(crate) use codec::CodecError;
pub(crate) use contract::{DeadLetter, Refused};
pub(crate) use incoming::{DecodeError, Incoming};
pub(crate) use registered::{Registered, SchemaQuery, Schemas};
pub(crate) use runner::{Ended, SetupError};
