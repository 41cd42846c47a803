//! A data directory to damage, and what it must serve.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use tempfile::TempDir;
use testkit::calls::{self, Partition, ReadStop};
use testkit::wait::{retry, wait_for};
use testkit::{Connection, Server, ServerOptions};
use wire::ErrorCode;
use wire::record_data::BatchOptions;

/// The topic of the image.
pub(super) const TOPIC: &str = "image";
/// Its partitions.
pub(super) const PARTITIONS: i32 = 3;
/// A group with a committed offset in partition 0.
pub(super) const GROUP: &str = "readers";
/// That offset.
pub(super) const COMMITTED: i64 = 42;
const BATCHES: i32 = 120;
const RECORDS_PER_BATCH: i32 = 10;
const VALUE_BYTES: usize = 2_500;

/// A journal that is cheap to copy and segments that are not all in it.
const PROPERTIES: &[(&str, &str)] = &[
    ("journal.file.bytes", "4194304"),
    ("journal.checkpoint.bytes", "2097152"),
];

/// What one partition must hold, and its producer's last batch.
#[derive(Debug)]
pub(super) struct Expected {
    /// The value of each record, by offset.
    pub(super) values: Vec<Bytes>,
    /// The last batch as it was sent.
    pub(super) last_batch: Bytes,
    /// The offset it was acknowledged with.
    pub(super) last_base_offset: i64,
}

/// The image and a later one, which has one more journal write.
#[derive(Debug)]
pub(super) struct Image {
    before: TempDir,
    after: TempDir,
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
    /// Fills a broker, and copies its directory twice while it is idle: before and after one last write.
    pub(super) fn make() -> Result<Image> {
        let directory = tempfile::tempdir()?;
        let mut server = Server::start(options(directory.path()))?;
        let mut connection = server.connect()?;
        let configs = [("segment.bytes", "1048576")];
        calls::create_topic(&mut connection, TOPIC, PARTITIONS, &configs)?;
        let (producer_id, producer_epoch) = calls::init_producer_id(&mut connection)?;
        let mut partitions = BTreeMap::new();
        for index in 0..PARTITIONS {
            let options = BatchOptions {
                producer_id,
                producer_epoch,
                ..BatchOptions::default()
            };
            partitions.insert(index, fill(&mut connection, index, &options)?);
        }
        let partition = Partition {
            topic: TOPIC,
            index: 0,
        };
        retry(
            "the group's offset to be committed",
            Duration::from_secs(20),
            || {
                calls::find_coordinator(&mut connection, GROUP)?;
                let committed = calls::commit_offset(&mut connection, GROUP, partition, COMMITTED)?;
                ensure!(
                    committed == ErrorCode::None,
                    "OffsetCommit answered {}",
                    committed.name()
                );
                Ok(())
            },
        )?;
        let before = tempfile::tempdir()?;
        copy_quiet(&server.data_dir(), &before.path().join("data"))?;
        let extra = vec![b'e'; 48_000];
        let batch = calls::batch_of(BatchOptions::default(), 1_700_000_000_000, &[&extra])?;
        let produced = calls::produce(
            &mut connection,
            Partition {
                topic: TOPIC,
                index: 0,
            },
            batch,
        )?;
        ensure!(
            produced.error == ErrorCode::None,
            "Produce answered {}",
            produced.error.name()
        );
        let after = tempfile::tempdir()?;
        copy_quiet(&server.data_dir(), &after.path().join("data"))?;
        server.kill()?;
        Ok(Image {
            before,
            after,
            partitions,
        })
    }

    /// A copy of the image, with the data in its folder `data`.
    pub(super) fn copy(&self) -> Result<TempDir> {
        let copy = tempfile::tempdir()?;
        copy_folder(&self.before.path().join("data"), &copy.path().join("data"))?;
        Ok(copy)
    }

    /// The files by kind, each as a path in the data directory, the largest first.
    pub(super) fn kinds(&self) -> BTreeMap<String, Vec<PathBuf>> {
        let root = self.before.path().join("data");
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
        let largest_first = |mut files: Vec<(u64, PathBuf)>| {
            files.sort_by_key(|(length, path)| (std::cmp::Reverse(*length), path.clone()));
            files.into_iter().map(|(_, path)| path).collect()
        };
        kinds
            .into_iter()
            .map(|(kind, files)| (kind, largest_first(files)))
            .collect()
    }

    /// Puts a part of the later image's last journal write into a copy of the earlier one, as a power loss in
    /// the middle of the write would have left it.
    pub(super) fn tear(&self, copy: &TempDir, numerator: u64, denominator: u64) -> Result<String> {
        let (before, after) = (
            self.before.path().join("data"),
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

/// Writes the batches of one partition, from an idempotent producer.
fn fill(connection: &mut Connection, index: i32, options: &BatchOptions) -> Result<Expected> {
    let partition = Partition {
        topic: TOPIC,
        index,
    };
    let mut expected = Expected {
        values: Vec::new(),
        last_batch: Bytes::new(),
        last_base_offset: -1,
    };
    for number in 0..BATCHES {
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
            ..options.clone()
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
    let read = calls::read_partition(connection, partition, 0)?;
    ensure!(
        read.stop == ReadStop::Complete,
        "{partition} stopped: {:?}",
        read.stop
    );
    ensure!(
        read.records.len() == expected.values.len(),
        "{} records came back",
        read.records.len()
    );
    Ok(expected)
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
