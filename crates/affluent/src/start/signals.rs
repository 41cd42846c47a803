//! SIGINT and SIGTERM.

use cli::{Failure, Outcome};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that end a broker. While one of these lives, none of them ends the process by itself.
#[derive(Debug)]
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Listens from now on.
    pub(super) fn listen() -> Outcome<Signals> {
        let failed = |error| Failure::new(format!("cannot handle signals: {error}"));
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
            terminate: signal(SignalKind::terminate()).map_err(failed)?,
        })
    }

    /// Waits for the next one and gives its name.
    ///
    /// # Cancel safety
    /// Cancel safe: a signal that was not seen is seen by the next call.
    pub(super) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}

/// The exit code shells use for a process that a signal ended.
pub(super) fn exit_code(signal: &str) -> i32 {
    if signal == "SIGINT" { 130 } else { 143 }
}
