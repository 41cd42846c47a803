//! A disk that is full, and a disk that fails.
//!
//! The full disk is a small tmpfs, which needs root; the failing one is the kernel's own: `strace` makes the
//! broker's writes and syncs return EIO, or, for the slow disk of [`super::checker`], take their time. Where one of
//! them is not to be had, the case fails and says so.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use testkit::calls::{self, Partition, Produced, ReadStop};
use testkit::process::Process;
use testkit::wait::{retry, wait_for};
use testkit::{Connection, Server, ServerOptions};
use wire::ErrorCode;
use wire::record_data::BatchOptions;

use crate::report::Verdict;
use crate::scenario::Plan;
use crate::scenario::workload::quiet;

const TOPIC: &str = "disk";
const SPARE_TOPIC: &str = "spare";
const PARTITION: Partition<'static> = Partition {
    topic: TOPIC,
    index: 0,
};
const BATCH_VALUE_BYTES: usize = 60_000;
const DELETE_LIMIT: Duration = Duration::from_secs(10);
const LIMIT: Duration = Duration::from_secs(60);

/// A tmpfs, unmounted when dropped.
#[derive(Debug)]
pub(super) struct Mount(PathBuf);

impl Mount {
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn tmpfs(path: &Path, megabytes: u32) -> Result<Mount> {
        fs::create_dir_all(path)?;
        let output = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "none"])
            .arg(path)
            .output()
            .context("there is no mount program")?;
        let reason = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "could not mount a tmpfs (root is needed): {}",
            reason.trim()
        );
        Ok(Mount(path.to_owned()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazy: a broker that was killed may still be letting go of its files.
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

/// A full disk, then room again.
#[must_use]
pub fn run_full(plan: &Plan) -> Vec<Verdict> {
    let megabytes = plan.size(512, 384);
    vec![Verdict::of(
        format!("a disk of {megabytes} MB fills up, then gets room"),
        full(megabytes),
    )]
}

fn full(megabytes: u32) -> Result<String> {
    let directory = tempfile::tempdir()?;
    let mount = Mount::tmpfs(&directory.path().join("data"), megabytes)?;
    let mut server = Server::start(ServerOptions::default().at(directory.path()))?;
    let result = fill_and_recover(&mut server, &mount);
    if let Err(error) = result {
        let log = server
            .process()
            .map(|process| process.log_tail())
            .unwrap_or_default();
        return Err(error.context(format!("the broker's log ends: {log}")));
    }
    result
}

fn fill_and_recover(server: &mut Server, mount: &Mount) -> Result<String> {
    let mut connection = server.connect()?;
    let configs = [("segment.bytes", "1048576"), ("file.delete.delay.ms", "0")];
    calls::create_topic(&mut connection, TOPIC, 1, &configs)?;
    calls::create_topic(&mut connection, SPARE_TOPIC, 1, &configs)?;
    let mut acknowledged = 0;
    for _ in 0..50 {
        acknowledge(&mut connection, acknowledged)?;
        acknowledged += 1;
    }
    let filler = mount.0.join("filler");
    fill(&filler)?;
    acknowledged = write_until_refused(&mut connection, acknowledged)?;
    read_all(&mut connection, acknowledged).context("while the disk is full")?;
    delete_while_full(&mut connection)?;
    fs::remove_file(&filler)?;
    retry("service to return", LIMIT, || {
        acknowledge(&mut connection, acknowledged)
    })?;
    acknowledged += 1;
    read_from(&mut connection, 10, acknowledged).context("after room came back")?;
    server.kill()?;
    server.restart()?;
    read_from(&mut server.connect()?, 10, acknowledged).context("after a kill and a restart")?;
    quiet_panics(server)?;
    Ok(format!(
        "KAFKA_STORAGE_ERROR after {acknowledged} batches; fetch, DeleteRecords and DeleteTopics went on; \
         produce returned with room; all acknowledged batches there, also after kill -9"
    ))
}

/// Writes a batch that must be acknowledged, at the offset that is its number.
fn acknowledge(connection: &mut Connection, number: i64) -> Result<()> {
    let produced = write(connection, number)?;
    let error = produced.error;
    ensure!(error == ErrorCode::None, "Produce answers {}", error.name());
    ensure!(
        produced.base_offset == number,
        "batch {number} is at {}",
        produced.base_offset
    );
    Ok(())
}

/// Writes until the broker refuses, which must be with KAFKA_STORAGE_ERROR; returns how many batches are there.
fn write_until_refused(connection: &mut Connection, mut acknowledged: i64) -> Result<i64> {
    loop {
        let produced = write(connection, acknowledged)?;
        match produced.error {
            ErrorCode::None => acknowledged += 1,
            ErrorCode::KafkaStorageError => return Ok(acknowledged),
            error => bail!("Produce answered {} ({})", error.name(), produced.message),
        }
        ensure!(
            acknowledged < 20_000,
            "20,000 batches were acknowledged on a full disk"
        );
    }
}

/// What deletes needs room itself: the ballast's, which is given up a moment after the disk was found full.
fn delete_while_full(connection: &mut Connection) -> Result<()> {
    retry("DeleteRecords on a full disk", DELETE_LIMIT, || {
        let (error, low) = calls::delete_records(connection, PARTITION, 10)?;
        ensure!(
            error == ErrorCode::None && low == 10,
            "it answers {} {low}",
            error.name()
        );
        Ok(())
    })?;
    retry("DeleteTopics on a full disk", DELETE_LIMIT, || {
        let error = calls::delete_topic(connection, SPARE_TOPIC)?;
        ensure!(error == ErrorCode::None, "it answers {}", error.name());
        Ok(())
    })
}

/// Takes all the room there is.
fn fill(path: &Path) -> Result<()> {
    let mut file = File::create(path)?;
    let mut chunk = vec![0u8; 1 << 20];
    while !chunk.is_empty() {
        if file.write_all(&chunk).is_err() {
            chunk.truncate(chunk.len() / 2);
        }
    }
    Ok(())
}

/// One batch of one record whose value names its offset.
fn write(connection: &mut Connection, number: i64) -> Result<Produced> {
    let mut value = format!("{number} ").into_bytes();
    value.resize(BATCH_VALUE_BYTES, b'.');
    let batch = calls::batch_of(BatchOptions::default(), 1_700_000_000_000, &[&value])?;
    calls::produce(connection, PARTITION, batch)
}

fn read_all(connection: &mut Connection, expected: i64) -> Result<()> {
    read_from(connection, 0, expected)
}

/// Every record from `first` up to the `expected` acknowledged ones must be there, each at the offset it names.
fn read_from(connection: &mut Connection, first: i64, expected: i64) -> Result<()> {
    let read = calls::read_partition(connection, PARTITION, first)?;
    ensure!(
        read.stop == ReadStop::Complete,
        "reading stopped: {:?}",
        read.stop
    );
    for number in first..expected {
        let index = usize::try_from(number - first)?;
        let record = read.records.get(index).with_context(|| {
            format!(
                "record {number} of {expected} is not there: {} came",
                read.records.len()
            )
        })?;
        let value = record.value.as_deref().unwrap_or_default();
        ensure!(
            record.offset == number && value.starts_with(format!("{number} ").as_bytes()),
            "offset {} holds another record than {number}",
            record.offset
        );
    }
    Ok(())
}

fn quiet_panics(server: &Server) -> Result<()> {
    // A full disk and a failing one are to be reported; only a panic is not.
    quiet(server, &[" WARN ", " ERROR "])
}

/// Writes and syncs that fail with EIO.
#[must_use]
pub fn run_failing(plan: &Plan) -> Vec<Verdict> {
    let mut cases = vec![("every write and sync fails with EIO", "", false)];
    if !plan.quick {
        cases.push((
            "one write fails with EIO, the next would not",
            ":when=1",
            false,
        ));
        cases.push((
            "every write and sync fails with ENOSPC, then the disk is well",
            "",
            true,
        ));
    }
    cases
        .into_iter()
        .map(|(name, when, no_space)| Verdict::of(name, failing(when, no_space)))
        .collect()
}

fn failing(when: &str, no_space: bool) -> Result<String> {
    let mut server = Server::start(ServerOptions::default())?;
    let mut connection = server.connect()?;
    calls::create_topic(&mut connection, TOPIC, 1, &[])?;
    let mut acknowledged = 0;
    for _ in 0..20 {
        let produced = write(&mut connection, acknowledged)?;
        ensure!(
            produced.error == ErrorCode::None,
            "Produce answered {}",
            produced.error.name()
        );
        acknowledged += 1;
    }
    let error = if no_space { "ENOSPC" } else { "EIO" };
    let tracer = inject(&mut server, &format!("error={error}{when}"))?;
    let answer = write(&mut connection, acknowledged);
    let first = match &answer {
        Ok(produced) if produced.error == ErrorCode::None => {
            bail!("a write that failed with {error} was acknowledged")
        }
        Ok(produced) => produced.error.name(),
        Err(_) => "a closed connection",
    };
    if !when.is_empty() {
        stays_failed(&server, acknowledged)?;
    }
    // The tracer goes first: the broker's last deeds are its own.
    drop(tracer);
    let ended = server.end()?;
    server.restart()?;
    let mut connection = server.connect()?;
    read_all(&mut connection, acknowledged).context("after the restart")?;
    quiet_panics(&server)?;
    Ok(format!(
        "answered with {first}; the broker {ended}; after a restart all {acknowledged} acknowledged records are there"
    ))
}

/// An error of a write leaves the file's state unknown: a broker that tries again and succeeds may have
/// acknowledged what a crash loses (fsyncgate).
fn stays_failed(server: &Server, number: i64) -> Result<()> {
    for _ in 0..3 {
        let again = server
            .connect()
            .and_then(|mut connection| write(&mut connection, number));
        if let Ok(produced) = again {
            ensure!(
                produced.error != ErrorCode::None,
                "the broker wrote again after a write had failed"
            );
        }
    }
    Ok(())
}

/// Does something to the broker's writes and syncs from now on, until the tracer is dropped: `error=EIO` makes them fail,
/// `delay_exit=1000` makes each take a millisecond longer.
pub(super) fn inject(server: &mut Server, effect: &str) -> Result<Process> {
    const CALLS: &str = "pwrite64,pwritev,pwritev2,fsync,fdatasync,sync_file_range";
    let pid = server.process()?.pid();
    let log = server.data_dir().with_file_name("strace.log");
    let mut command = Command::new("strace");
    command.args([
        "-f",
        "-p",
        &pid.to_string(),
        "-e",
        &format!("trace={CALLS}"),
    ]);
    command.args(["-e", &format!("inject={CALLS}:{effect}")]);
    let mut tracer = Process::spawn("strace", &mut command, &log)
        .context("strace makes the disk fail here (Debian: apt-get install strace)")?;
    let threads = server.usage()?.threads;
    wait_for("strace to attach to every thread", LIMIT, || {
        if let Some(status) = tracer.exited()? {
            // The tracer ends with the broker, which may end itself at the first write that fails.
            ensure!(
                server.process()?.exited()?.is_some(),
                "strace ended with {status}: {}",
                tracer.log_tail()
            );
            return Ok(Some(()));
        }
        Ok((attached(&tracer.log_text()) >= threads).then_some(()))
    })?;
    Ok(tracer)
}

/// To how many threads strace says that it is attached: all of those of a process in one line, or one a line.
fn attached(log: &str) -> u64 {
    let lines = log.lines().filter(|line| line.starts_with("strace: "));
    let rests = lines.filter_map(|line| line.split_once(" attached"));
    let threads = rests.map(|(_, rest)| {
        let of_process = rest.strip_prefix(" with ");
        let count = of_process.and_then(|rest| rest.split(' ').next()?.parse().ok());
        count.unwrap_or(1)
    });
    threads.sum()
}

#[cfg(test)]
mod tests {
    use super::attached;

    #[test]
    fn threads_are_counted_as_any_strace_tells_of_them() {
        assert_eq!(attached(""), 0);
        assert_eq!(attached("strace: Process 7 attached with 57 threads\n"), 57);
        let one_each =
            "strace: Process 7 attached\n[pid 8] fsync(3) = 0\nstrace: Process 8 attached\n";
        assert_eq!(attached(one_each), 2);
    }
}
