//! The remote store of tiered storage over an object store: a directory, S3 and what speaks like it, Google Cloud Storage, Azure.
//!
//! [`ObjectTier`] is `storage`'s [`RemoteStore`] over the crate `object_store`, chosen by a URL ([`StoreUrl`]). The storage asks with
//! blocking calls from threads of its own; each waits here for what a runtime does. Calls are bounded in time, a few retries included, and
//! end at once when the storage closes.
//!
//! Objects are written once, whole: what is larger than a part goes up in parts, which the store puts together at the end, or which
//! are given up when one fails.
//!
//! **API boundary:** nothing here knows what the objects are.

mod store;
mod url;

pub use store::{ObjectTier, OpenError};
pub use url::{StoreOptions, StoreUrl};
