//! How far long work is, on standard error, and only when that is a terminal.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::numbers;

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

    /// Progress towards `total`.
    #[must_use]
    pub fn towards(total: u64, what: &'static str) -> Progress {
        let bar = ProgressBar::new(total);
        Progress::start(bar, what, "{msg} [{bar:30}] {pos}/{len} ({eta} left)")
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

    /// Adds to what is done.
    pub fn add(&self, done: u64) {
        self.bar.inc(done);
    }

    /// Says what is being done now.
    pub fn describe(&self, what: impl Into<std::borrow::Cow<'static, str>>) {
        self.bar.set_message(what);
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

/// Sizes beside counts: `1,000 records, 1.5 MiB`.
#[must_use]
pub fn records_and_bytes(records: u64, bytes: u64) -> String {
    format!(
        "{}, {}",
        numbers::counted(records, "record"),
        numbers::bytes(bytes)
    )
}
