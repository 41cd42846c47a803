//! A client of a Schema Registry, this project's or Confluent's, over its REST API.
//!
//! - [`RegistryClient`] sends one request and gives the answer or the registry's own error; with several addresses
//!   it asks the next one when an instance cannot be reached.
//! - [`registered`] reads schemas with everything they refer to.
//! - [`keys`] are those of its DEK registry, for rules that encrypt.
//! - [`validator`] judges whether a record names a schema of the subject it should have: what a broker asks before
//!   it appends.
//!
//! **Invariants:** an answer has a bound, a request has a time limit, caches have a size.
//!
//! **Not here:** what schemas mean (crate `schema`), Kafka's protocol.

mod cache;
mod client;
mod error;
pub mod keys;
pub mod registered;
pub mod validator;

pub use cache::Cache;
pub use client::{ClientOptions, Password, RegistryClient, Request};
pub use error::ClientError;
pub use keys::RegistryKeys;
pub use registered::{NewSchema, Registered, Registration, SubjectVersion};
pub use reqwest::Method;
pub use validator::{Judged, Rejection, Validator};
