//! How records carry their schema, and which subject it is registered under.
//!
//! [`framing`] is the bytes: before the payload, or in a header of the record. [`subject`] is the strategies by which
//! clients name subjects. Nothing here looks a schema up; whoever holds a registry's client does.

pub mod framing;
pub mod subject;

pub use framing::{Frame, FramingError, SchemaId};
pub use subject::{ReferenceSubjectStrategy, SubjectError, SubjectNameStrategy};
