//! The suites, one file a client.

pub mod java_tools;
pub mod kcat;

use crate::suite::Suite;

/// All suites in the order they run: the quickest answer first.
pub fn all() -> Vec<Box<dyn Suite>> {
    vec![Box::new(kcat::Kcat), Box::new(java_tools::JavaTools)]
}
