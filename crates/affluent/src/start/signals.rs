//! SIGINT and SIGTERM.

use cli::{Failure, Outcome};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;

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

    /// From now on the next signal ends the process at once, with the exit code shells use for it.
    pub(super) fn exit_on_next(mut self) -> JoinHandle<()> {
        tokio::spawn(async move {
            let code = if self.next().await == "SIGINT" {
                130
            } else {
                143
            };
            std::process::exit(code);
        })
    }
}
