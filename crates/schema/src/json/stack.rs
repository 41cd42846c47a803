//! Room for recursion: work that may go deep runs on a stack of its own.
//!
//! Depth is bounded everywhere, by [`crate::limits::DEPTH_MAX`] or by the size of a schema, but a bound that serves
//! real schemas is more than a runtime thread's stack of two megabytes holds in a debug build.

use crate::error::SchemaError;

/// Bytes of the stack; they are reserved, and taken from memory only as far as they are used.
const STACK_BYTES: usize = 256 * 1024 * 1024;

/// Runs `work` on a large stack, and waits for it.
///
/// # Errors
/// [`SchemaError::TooComplex`] when there is no memory for the stack.
pub(super) fn with_room<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, SchemaError> {
    let refused = || SchemaError::TooComplex {
        what: "bytes of stack",
        max: STACK_BYTES,
    };
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .name("json-schema".to_owned())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, work)
            .map_err(|_| refused())?
            .join()
            .map_err(|_| refused())
    })
}
