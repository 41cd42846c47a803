//! The disk under both brokers: emptying the page cache, and what one durable write costs without a broker.
//!
//! The raw write is the floor below which no durable acknowledgement can come: the file's blocks were written
//! before, and each write is aligned and opened with `O_DIRECT | O_DSYNC`, as the journal writes.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::fs::{Advice, OFlags, fadvise};

const ALIGNMENT: usize = 4096;
const PROBE_BYTES: u64 = 64 << 20;

/// Writes back what is dirty and drops the cached pages of every file below `directory`, so that the next read
/// comes from the disk. Returns how many bytes the files hold.
pub(crate) fn evict(directory: &Path) -> Result<u64> {
    rustix::fs::sync();
    let mut bytes = 0;
    let mut folders = vec![directory.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in
            fs::read_dir(&folder).with_context(|| format!("could not list {}", folder.display()))?
        {
            let entry = entry?;
            // A broker at work may have removed the file since it was listed.
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            if metadata.is_dir() {
                folders.push(entry.path());
            } else if let Ok(file) = File::open(entry.path()) {
                fadvise(&file, 0, None, Advice::DontNeed)?;
                bytes += metadata.len();
            }
        }
    }
    Ok(bytes)
}

/// Times `count` durable writes of `bytes`, one every `interval`, in a file of `directory`; nanoseconds each,
/// ascending.
pub(crate) fn raw_write_times(
    directory: &Path,
    bytes: usize,
    interval: Duration,
    count: usize,
) -> Result<Vec<u64>> {
    let path = directory.join("raw-journal-probe");
    let length = bytes.next_multiple_of(ALIGNMENT);
    {
        let mut file = File::create(&path)?;
        let zeros = vec![0u8; 1 << 20];
        for _ in 0..PROBE_BYTES / zeros.len() as u64 {
            file.write_all(&zeros)?;
        }
        file.sync_all()?;
    }
    let flags = (OFlags::DIRECT | OFlags::DSYNC).bits();
    let file = OpenOptions::new()
        .write(true)
        .custom_flags(i32::try_from(flags)?)
        .open(&path)
        .context("this file system refuses O_DIRECT: there is no raw write to compare with")?;
    let buffer = vec![0xa5u8; length + ALIGNMENT];
    let skip = buffer.as_ptr().align_offset(ALIGNMENT);
    let aligned = buffer
        .get(skip..skip + length)
        .context("no aligned place in the buffer")?;
    let mut times = Vec::with_capacity(count);
    let started = Instant::now();
    let mut at = 0;
    for index in 0..count {
        let due = interval * u32::try_from(index)?;
        if let Some(rest) = due.checked_sub(started.elapsed()) {
            std::thread::sleep(rest);
        }
        let before = Instant::now();
        file.write_all_at(aligned, at)?;
        times.push(u64::try_from(before.elapsed().as_nanos())?);
        at += length as u64;
        if at + length as u64 > PROBE_BYTES {
            at = 0;
        }
    }
    fs::remove_file(&path)?;
    times.sort_unstable();
    Ok(times)
}
