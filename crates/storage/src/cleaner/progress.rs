//! How far a log was cleaned: the file `cleaner-offset-checkpoint` in its directory.
//!
//! ```text
//! 0                 version
//! <offset>          the first dirty offset: what lies below was part of a pass that was completed
//! <offset>          up to here a pass may have changed the log, completed or not
//! ```
//! Losing it costs one pass over the whole log, unless the checkpoint is lost with it: then gaps count as losses. The second offset is written before a pass changes
//! anything: it tells a reader of all the files that a gap between offsets is not a loss.
//!
//! Differs: Kafka keeps one such file for all logs of a directory and has to remove a deleted topic's lines from it. Here the
//! file goes with its log.

use std::io;
use std::path::{Path, PathBuf};

use crate::io::write_atomic;

const FILE: &str = "cleaner-offset-checkpoint";

/// What the file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) first_dirty: i64,
    pub(crate) changed_to: i64,
}

/// Reads the file of the log in `dir`; `None` when it was never cleaned or the file is damaged.
pub(crate) fn read(dir: &Path) -> Option<Progress> {
    let text = std::fs::read_to_string(path(dir)).ok()?;
    let mut lines = text.lines();
    if lines.next()? != "0" {
        return None;
    }
    let progress = Progress {
        first_dirty: lines.next()?.parse().ok()?,
        changed_to: lines.next()?.parse().ok()?,
    };
    let sound = (0..=progress.changed_to).contains(&progress.first_dirty);
    (sound && lines.next().is_none()).then_some(progress)
}

/// Where it is.
pub(crate) fn path(dir: &Path) -> PathBuf {
    dir.join(FILE)
}

/// Replaces the file, durably.
pub(crate) fn write(dir: &Path, progress: Progress) -> io::Result<()> {
    let text = format!("0\n{}\n{}\n", progress.first_dirty, progress.changed_to);
    write_atomic(&path(dir), text.as_bytes(), true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_round_trips_and_nonsense_counts_as_never_cleaned() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()), None);
        let progress = Progress {
            first_dirty: 77,
            changed_to: 80,
        };
        write(dir.path(), progress).unwrap();
        assert_eq!(read(dir.path()), Some(progress));
        for bad in [
            "",
            "0\n",
            "0\n7\n",
            "1\n77\n80\n",
            "0\n-4\n5\n",
            "0\n7x\n8\n",
            "0\n9\n8\n",
            "0\n7\n8\n9\n",
        ] {
            std::fs::write(dir.path().join(FILE), bad).unwrap();
            assert_eq!(read(dir.path()), None, "{bad:?}");
        }
    }
}
