//! How far a log was cleaned: the file `cleaner-offset-checkpoint` in its directory.
//!
//! ```text
//! 1                 version
//! <offset>          the first dirty offset: what lies below was part of a pass that was completed
//! <offset>          up to here a pass may have changed the log, completed or not
//! <offset>          the first offset that is dirty for the whole log: what lies below was part of a completed pass that began at
//!                   the log's first record, remote segments included
//! ```
//! Losing it costs one pass over the whole log, unless the checkpoint is lost with it: then gaps count as losses. The second offset is
//! written before a pass changes anything: it tells a reader of all the files that a gap between offsets is not a loss. Version 0 has
//! no third offset.
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
    pub(crate) whole_first_dirty: i64,
}

/// Reads the file of the log in `dir`; `None` when it was never cleaned or the file is damaged.
pub(crate) fn read(dir: &Path) -> Option<Progress> {
    let text = std::fs::read_to_string(path(dir)).ok()?;
    let mut lines = text.lines();
    let version = lines.next()?;
    let first_dirty = lines.next()?.parse().ok()?;
    let progress = Progress {
        first_dirty,
        changed_to: lines.next()?.parse().ok()?,
        whole_first_dirty: match version {
            // Written when every pass was over the whole log.
            "0" => first_dirty,
            "1" => lines.next()?.parse().ok()?,
            _ => return None,
        },
    };
    let sound = (0..=progress.changed_to).contains(&progress.first_dirty)
        && (0..=progress.first_dirty).contains(&progress.whole_first_dirty);
    (sound && lines.next().is_none()).then_some(progress)
}

/// Up to which offset compaction may have changed the log in `dir`: `i64::MIN` for one that was never cleaned, `i64::MAX` when the
/// file is there and damaged.
pub(crate) fn changed_to(dir: &Path) -> i64 {
    match read(dir) {
        Some(progress) => progress.changed_to,
        None if path(dir).exists() => i64::MAX,
        None => i64::MIN,
    }
}

/// Where it is.
pub(crate) fn path(dir: &Path) -> PathBuf {
    dir.join(FILE)
}

/// Replaces the file, durably.
pub(crate) fn write(dir: &Path, progress: Progress) -> io::Result<()> {
    let Progress {
        first_dirty,
        changed_to,
        whole_first_dirty,
    } = progress;
    let text = format!("1\n{first_dirty}\n{changed_to}\n{whole_first_dirty}\n");
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
            whole_first_dirty: 40,
        };
        write(dir.path(), progress).unwrap();
        assert_eq!(read(dir.path()), Some(progress));
        let put = |text: &str| std::fs::write(dir.path().join(FILE), text).unwrap();
        put("0\n77\n80\n");
        let earlier = Progress {
            whole_first_dirty: 77,
            ..progress
        };
        assert_eq!(read(dir.path()), Some(earlier));
        for bad in [
            "",
            "0\n",
            "0\n7\n",
            "2\n77\n80\n40\n",
            "1\n77\n80\n",
            "1\n77\n80\n78\n",
            "1\n77\n80\n40\n1\n",
            "0\n-4\n5\n",
            "0\n7x\n8\n",
            "0\n9\n8\n",
            "0\n7\n8\n9\n",
        ] {
            put(bad);
            assert_eq!(read(dir.path()), None, "{bad:?}");
        }
    }
}
