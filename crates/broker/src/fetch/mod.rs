//! What stands behind the Fetch API: sessions, and reading many partitions within one limit.

pub(crate) mod read;
pub(crate) mod remote;
pub(crate) mod session;
