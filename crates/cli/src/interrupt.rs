//! Ctrl-C and SIGTERM: the first asks for an end, the second makes one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::failure::{Failure, Outcome};

/// The exit code of a command that a second Ctrl-C ended at once, as shells have it: 128 + SIGINT.
pub const EXIT_INTERRUPTED: u8 = 130;

/// Whether the user asked for an end.
#[derive(Debug, Clone)]
pub struct Interrupt {
    asked: Arc<AtomicBool>,
}

impl Interrupt {
    /// Listens from now on, in a thread of its own. From then on the first signal only sets a flag.
    ///
    /// # Errors
    /// The operating system refuses the handler or the thread.
    pub fn listen() -> Outcome<Interrupt> {
        let failed = |error: std::io::Error| Failure::new(format!("cannot handle Ctrl-C: {error}"));
        let asked = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&asked);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .map_err(failed)?;
        let (ready, is_ready) = std::sync::mpsc::channel();
        std::thread::Builder::new()
            .name("interrupt".to_owned())
            .spawn(move || runtime.block_on(wait(&flag, &ready)))
            .map_err(failed)?;
        match is_ready.recv() {
            Ok(installed) => installed.map_err(failed)?,
            Err(_) => return Err(Failure::new("cannot handle Ctrl-C: its thread ended")),
        }
        Ok(Interrupt { asked })
    }

    /// Whether the user asked for an end.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}

async fn wait(flag: &AtomicBool, ready: &std::sync::mpsc::Sender<std::io::Result<()>>) {
    use tokio::signal::unix::{SignalKind, signal};
    let handlers = signal(SignalKind::interrupt())
        .and_then(|interrupt| Ok((interrupt, signal(SignalKind::terminate())?)));
    let (mut interrupt, mut terminate) = match handlers {
        Ok(handlers) => handlers,
        Err(error) => {
            drop(ready.send(Err(error)));
            return;
        }
    };
    drop(ready.send(Ok(())));
    for already_asked in [false, true] {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if already_asked {
            std::process::exit(i32::from(EXIT_INTERRUPTED));
        }
        flag.store(true, Ordering::Relaxed);
    }
}
