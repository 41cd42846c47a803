//! A data directory to damage, and what it must serve.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use tempfile::TempDir;
use testkit::calls::{self, Partition};
use testkit::wait::{retry, wait_for};
use testkit::{Connection, Server, ServerOptions};
use wire::ErrorCode;
use wire::record_data::BatchOptions;

use super::damage::BLOCK;

/// The topic of the image.
pub(super) const TOPIC: &str = "image";
/// Its partitions.
pub(super) const PARTITIONS: i32 = 3;
/// A group with a committed offset in partition 0.
pub(super) const GROUP: &str = "readers";
/// That offset.
pub(super) const COMMITTED: i64 = 42;
const FIRST: Partition<'static> = Partition {
    topic: TOPIC,
    index: 0,
};
const BATCHES: i32 = 120;
const RECORDS_PER_BATCH: i32 = 10;
const VALUE_BYTES: usize = 2_500;

/// A journal that is cheap to copy, and no checkpoint but the one of a graceful stop.
const PROPERTIES: &[(&str, &str)] = &[
    ("journal.file.bytes", "4194304"),
    ("journal.checkpoint.bytes", "1073741824"),
    ("journal.checkpoint.interval.ms", "3600000"),
];

/// What one partition must hold, and its producer's last batch.
#[derive(Debug, Default)]
pub(super) struct Expected {
    /// The value of each record, by offset.
    pub(super) values: Vec<Bytes>,
    /// The last batch as it was sent.
    pub(super) last_batch: Bytes,
    /// The offset it was acknowledged with.
    pub(super) last_base_offset: i64,
}

/// Three states of one data directory.
#[derive(Debug)]
pub(super) struct Image {
    /// As a power loss leaves it: the second half of the records is in the journal only, since nothing else was
    /// synced after the last checkpoint.
    lost_power: TempDir,
    /// The same after one more write.
    after: TempDir,
    /// As kill -9 leaves it: what was written is there, synced or not.
    killed: TempDir,
    /// Where the second half changed a file, by its path in the data directory.
    changed: BTreeMap<PathBuf, Vec<usize>>,
    /// By partition.
    pub(super) partitions: BTreeMap<i32, Expected>,
}

/// The options every broker of this scenario is started with.
pub(super) fn options(directory: &Path) -> ServerOptions {
    let mut options = ServerOptions::default().at(directory);
    for (key, value) in PROPERTIES {
        options = options.with(key, value);
    }
    options
}

impl Image {
    /// Fills a broker in two halves, with a graceful stop between them, and copies its directory while it is idle.
    pub(super) fn make() -> Result<Image> {
        let directory = tempfile::tempdir()?;
        let mut server = Server::start(options(directory.path()))?;
        let mut connection = server.connect()?;
        let configs = [("segment.bytes", "1048576")];
        calls::create_topic(&mut connection, TOPIC, PARTITIONS, &configs)?;
        let (producer_id, producer_epoch) = calls::init_producer_id(&mut connection)?;
        let producer = BatchOptions {
            producer_id,
            producer_epoch,
            ..BatchOptions::default()
        };
        let mut partitions: BTreeMap<i32, Expected> = (0..PARTITIONS)
            .map(|index| (index, Expected::default()))
            .collect();
        fill(&mut connection, &mut partitions, &producer, 0..BATCHES / 2)?;
        server.stop()?;
        server.restart()?;
        let data = server.data_dir();
        let [lost_power, after, killed] = [
            tempfile::tempdir()?,
            tempfile::tempdir()?,
            tempfile::tempdir()?,
        ];
        let synced = tempfile::tempdir()?;
        copy_quiet(&data, synced.path())?;
        let mut connection = server.connect()?;
        fill(
            &mut connection,
            &mut partitions,
            &producer,
            BATCHES / 2..BATCHES,
        )?;
        commit(&mut connection)?;
        copy_quiet(&data, &killed.path().join("data"))?;
        lose_power(killed.path(), synced.path(), lost_power.path())?;
        let extra = vec![b'e'; 48_000];
        let batch = calls::batch_of(BatchOptions::default(), 1_700_000_000_000, &[&extra])?;
        let produced = calls::produce(&mut connection, FIRST, batch)?;
        ensure!(
            produced.error == ErrorCode::None,
            "Produce answered {}",
            produced.error.name()
        );
        let later = tempfile::tempdir()?;
        copy_quiet(&data, &later.path().join("data"))?;
        lose_power(later.path(), synced.path(), after.path())?;
        server.kill()?;
        let changed = changed(synced.path(), &lost_power.path().join("data"))?;
        Ok(Image {
            lost_power,
            after,
            killed,
            changed,
            partitions,
        })
    }

    /// A copy of the directory as a power loss leaves it, with the data in its folder `data`.
    pub(super) fn copy(&self) -> Result<TempDir> {
        copy_of(&self.lost_power)
    }

    /// A copy of the directory as kill -9 leaves it.
    pub(super) fn copy_killed(&self) -> Result<TempDir> {
        copy_of(&self.killed)
    }

    /// The files by kind, each as a path in the data directory: first what the second half of the
    /// records changed most, then the largest.
    pub(super) fn kinds(&self) -> BTreeMap<String, Vec<PathBuf>> {
        let root = self.lost_power.path().join("data");
        let mut kinds: BTreeMap<String, Vec<(u64, PathBuf)>> = BTreeMap::new();
        for (path, length) in files(&root).unwrap_or_default() {
            let Ok(relative) = path.strip_prefix(&root) else {
                continue;
            };
            let name = relative
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            // The lock only says that a process was here.
            if name.contains("lock") {
                continue;
            }
            let kind = match Path::new(&name).extension() {
                Some(extension) => format!("*.{}", extension.to_string_lossy()),
                None => name,
            };
            kinds
                .entry(kind)
                .or_default()
                .push((length, relative.to_owned()));
        }
        let in_order = |mut files: Vec<(u64, PathBuf)>| {
            files.sort_by_key(|(length, path)| {
                let changed = self.changed.get(path).map_or(0, Vec::len);
                (std::cmp::Reverse((changed, *length)), path.clone())
            });
            files.into_iter().map(|(_, path)| path).collect()
        };
        kinds
            .into_iter()
            .map(|(kind, files)| (kind, in_order(files)))
            .collect()
    }

    /// The blocks of a file that the second half of the records changed.
    pub(super) fn changed(&self, file: &Path) -> &[usize] {
        self.changed.get(file).map_or(&[], Vec::as_slice)
    }

    /// Puts a part of the later image's last journal write into a copy of the earlier one, as a power loss in
    /// the middle of the write would have left it.
    pub(super) fn tear(&self, copy: &TempDir, numerator: u64, denominator: u64) -> Result<String> {
        let (before, after) = (
            self.lost_power.path().join("data"),
            self.after.path().join("data"),
        );
        for (path, _) in files(&before)? {
            let relative = path.strip_prefix(&before)?;
            if path.extension().is_none_or(|extension| extension != "wal") {
                continue;
            }
            let (old, new) = (fs::read(&path)?, fs::read(after.join(relative))?);
            let differs = |at: &usize| old.get(*at) != new.get(*at);
            let length = old.len().min(new.len());
            let Some(first) = (0..length).find(differs) else {
                continue;
            };
            let last = (0..length).rev().find(differs).unwrap_or(first);
            let keep = (last - first) as u64 * numerator / denominator;
            let end = first + usize::try_from(keep)?;
            let part = new
                .get(first..end)
                .context("the write is longer than its file")?;
            let target = copy.path().join("data").join(relative);
            fs::OpenOptions::new()
                .write(true)
                .open(&target)?
                .write_all_at(part, first as u64)?;
            return Ok(format!("{keep} of {} bytes at {first}", last - first));
        }
        anyhow::bail!("the last write changed no journal file")
    }
}

/// Writes some of the batches of every partition in turns, from an idempotent producer.
fn fill(
    connection: &mut Connection,
    partitions: &mut BTreeMap<i32, Expected>,
    producer: &BatchOptions,
    numbers: Range<i32>,
) -> Result<()> {
    for number in numbers {
        for (index, expected) in &mut *partitions {
            let partition = Partition {
                topic: TOPIC,
                index: *index,
            };
            let base_sequence = number * RECORDS_PER_BATCH;
            let values: Vec<Vec<u8>> = (0..RECORDS_PER_BATCH)
                .map(|record| {
                    let mut value = format!("{partition} {} ", base_sequence + record).into_bytes();
                    value.resize(VALUE_BYTES, b'a' + (record % 26) as u8);
                    value
                })
                .collect();
            let borrowed: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
            let options = BatchOptions {
                base_sequence,
                ..producer.clone()
            };
            let batch = calls::batch_of(options, 1_700_000_000_000, &borrowed)?;
            let produced = calls::produce(connection, partition, batch.clone())?;
            ensure!(
                produced.error == ErrorCode::None,
                "Produce answered {}",
                produced.error.name()
            );
            expected.values.extend(values.into_iter().map(Bytes::from));
            expected.last_batch = batch;
            expected.last_base_offset = produced.base_offset;
        }
    }
    Ok(())
}

fn commit(connection: &mut Connection) -> Result<()> {
    retry(
        "the group's offset to be committed",
        Duration::from_secs(20),
        || {
            calls::find_coordinator(connection, GROUP)?;
            let committed = calls::commit_offset(connection, GROUP, FIRST, COMMITTED)?;
            ensure!(
                committed == ErrorCode::None,
                "OffsetCommit answered {}",
                committed.name()
            );
            Ok(())
        },
    )
}

/// Everything as `now`, but the logs as they were when they were last synced: what a power loss leaves when no
/// page reached the disk by itself. The journal and the metadata are synced by each write.
fn lose_power(now: &Path, synced: &Path, to: &Path) -> Result<()> {
    let to = to.join("data");
    copy_folder(&now.join("data"), &to)?;
    fs::remove_dir_all(to.join("logs"))?;
    copy_folder(&synced.join("logs"), &to.join("logs"))
}

fn copy_of(image: &TempDir) -> Result<TempDir> {
    let copy = tempfile::tempdir()?;
    copy_folder(&image.path().join("data"), &copy.path().join("data"))?;
    Ok(copy)
}

/// The blocks of files below `new` that are not the same below `old`, by the file's path below either.
fn changed(old: &Path, new: &Path) -> Result<BTreeMap<PathBuf, Vec<usize>>> {
    let mut changed = BTreeMap::new();
    for (path, _) in files(new)? {
        let relative = path.strip_prefix(new)?.to_owned();
        let before = fs::read(old.join(&relative)).unwrap_or_default();
        let now = fs::read(&path)?;
        let blocks: Vec<usize> = (0..now.len())
            .step_by(BLOCK)
            .filter(|at| {
                let end = now.len().min(at + BLOCK);
                now.get(*at..end) != before.get(*at..end)
            })
            .collect();
        if !blocks.is_empty() {
            changed.insert(relative, blocks);
        }
    }
    Ok(changed)
}

/// Copies a folder of a running broker once two looks at it in a row found the same bytes: an idle broker.
fn copy_quiet(from: &Path, to: &Path) -> Result<()> {
    let mut last = Vec::new();
    wait_for(
        "the broker's files to stop changing",
        Duration::from_secs(60),
        || {
            let now = fingerprint(from)?;
            let same = now == last;
            last = now;
            // A seal or a checkpoint may come a moment after the last request.
            std::thread::sleep(Duration::from_millis(300));
            Ok(same.then_some(()))
        },
    )?;
    copy_folder(from, to)
}

fn fingerprint(root: &Path) -> Result<Vec<(PathBuf, u64, u32)>> {
    files(root)?
        .into_iter()
        .map(|(path, length)| {
            // A file may be renamed between the look and the read; the next look sees it.
            let bytes = fs::read(&path).unwrap_or_default();
            Ok((path, length, crc32c::crc32c(&bytes)))
        })
        .collect()
}

/// Every file below `root` with its length, in the order of their paths.
fn files(root: &Path) -> Result<Vec<(PathBuf, u64)>> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in
            fs::read_dir(&folder).with_context(|| format!("could not list {}", folder.display()))?
        {
            let entry = entry?;
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            if metadata.is_dir() {
                folders.push(entry.path());
            } else {
                found.push((entry.path(), metadata.len()));
            }
        }
    }
    found.sort();
    Ok(found)
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}
