//! How far long work is, on standard error, and only when that is a terminal.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

const REDRAW: Duration = Duration::from_millis(100);

/// A line that is redrawn in place. Does nothing when standard error is no terminal.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Progress without a known end: a spinner, the count, the rate.
    #[must_use]
    pub fn open_ended(what: &'static str) -> Progress {
        Progress::start(
            ProgressBar::no_length(),
            what,
            "{spinner} {msg} {pos} ({per_sec})",
        )
    }

    /// Progress through a number of bytes that [`Progress::set_of`] tells.
    #[must_use]
    pub fn bytes(what: &'static str) -> Progress {
        let template = "{msg} [{bar:30}] {bytes} of {total_bytes} ({eta} left)";
        Progress::start(ProgressBar::new(0), what, template)
    }

    /// Nothing to see.
    #[must_use]
    pub fn hidden() -> Progress {
        Progress {
            bar: ProgressBar::hidden(),
        }
    }

    fn start(bar: ProgressBar, what: &'static str, template: &str) -> Progress {
        if !std::io::stderr().is_terminal() {
            return Progress::hidden();
        }
        bar.set_draw_target(ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(what);
        bar.enable_steady_tick(REDRAW);
        Progress { bar }
    }

    /// Sets how much is done.
    pub fn set(&self, done: u64) {
        self.bar.set_position(done);
    }

    /// Sets how much is done, and of how much.
    pub fn set_of(&self, done: u64, total: u64) {
        self.bar.set_length(total);
        self.bar.set_position(done);
    }

    /// Takes the line away.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
