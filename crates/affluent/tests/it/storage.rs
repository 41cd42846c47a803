//! `affluent storage`, on directories that a broker wrote.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use testkit::wait::wait_for;

use crate::server::{Run, Server, affluent};

const LIMIT: Duration = Duration::from_secs(60);

fn stopped() -> Server {
    let mut server = Server::start();
    server.run("kafka topic create stored --partitions 2").ok();
    server
        .run_with_input("kafka topic produce stored --partition 1", b"a\nb\n")
        .ok();
    assert_eq!(server.stop(), 0, "{}", server.log());
    server
}

fn storage(server: &Server, arguments: &str) -> Run {
    let mut command = affluent();
    command.arg("storage").args(arguments.split_whitespace());
    Run::of(
        command
            .args(["--data-dir", "data"])
            .current_dir(server.directory())
            .output()
            .unwrap(),
    )
}

fn json(run: Run) -> Value {
    serde_json::from_str(&run.ok()).unwrap()
}

#[test]
fn a_closed_directory_is_listed_and_sound() {
    let server = stopped();
    let directory = json(storage(&server, "inspect -o json"));
    assert_eq!(directory["state"], "closed cleanly");
    let partitions = directory["partitions"].as_array().unwrap();
    let stored: Vec<&Value> = partitions
        .iter()
        .filter(|partition| partition["topic"] == "stored")
        .collect();
    assert_eq!(
        stored.len(),
        1,
        "a partition without records has no directory"
    );
    assert_eq!(stored[0]["recovery_point"], 2);
    assert_eq!(stored[0]["path"], "logs/stored-1");

    let text = storage(&server, "inspect --topic stored").ok();
    assert!(
        text.contains("closed cleanly") && text.contains("\n stored-1\n"),
        "{text}"
    );
    let text = storage(&server, "inspect --topic other").failed();
    assert!(text.contains("no partition of topic 'other'"), "{text}");

    let report = json(storage(&server, "check -o json"));
    assert_eq!(report["findings"], serde_json::json!([]));
    assert!(report["batches"].as_u64().unwrap() >= 1);
    let text = storage(&server, "check").ok();
    assert!(text.ends_with("Everything is sound.\n"), "{text}");
}

#[test]
fn a_flipped_byte_is_an_error_with_its_path() {
    let server = stopped();
    let segment: PathBuf = server
        .directory()
        .join("data/logs/stored-1/00000000000000000000.log");
    let mut bytes = fs::read(&segment).unwrap();
    assert!(bytes.len() > 70, "{} bytes", bytes.len());
    let last = bytes.len() - 2;
    bytes[last] ^= 0x40;
    fs::write(&segment, bytes).unwrap();

    let run = storage(&server, "check -o json");
    assert_eq!(run.code, 1, "{run:?}");
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    let findings = report["findings"].as_array().unwrap();
    let error = findings
        .iter()
        .find(|finding| finding["severity"] == "error")
        .unwrap();
    assert_eq!(error["path"], "logs/stored-1/00000000000000000000.log");
    let text = storage(&server, "check").failed();
    assert!(text.contains("records are damaged: 1 finding"), "{text}");
}

#[test]
fn a_directory_in_use_or_missing_is_refused() {
    let server = Server::start();
    for command in ["inspect", "check"] {
        let text = storage(&server, command).failed();
        assert!(text.contains("Try: stop the broker first"), "{text}");
    }
    let directory = tempfile::tempdir().unwrap();
    let mut command = affluent();
    command
        .args(["storage", "check", "--data-dir", "nowhere"])
        .current_dir(directory.path());
    let text = Run::of(command.output().unwrap()).failed();
    assert!(
        text.contains("there is no data directory 'nowhere'"),
        "{text}"
    );
}

/// The log files below a directory, in order.
fn logs(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => directories.push(path),
                false => found.push(path),
            }
        }
    }
    found.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    found.sort();
    found
}

#[test]
fn the_remote_part_is_listed_and_held_against_the_store() {
    let store = tempfile::tempdir().unwrap();
    let properties = format!(
        "remote.log.storage.system.enable=true\nremote.log.storage.url=file://{}\n\
         remote.log.manager.task.interval.ms=50\njournal.checkpoint.interval.ms=100\n\
         log.retention.check.interval.ms=50\n",
        store.path().display()
    );
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), properties).unwrap();
    let file = file.path().display().to_string();
    let mut server = Server::start_with(&["--properties", &file], &[]);
    server
        .run(
            "kafka topic create stored --config remote.storage.enable=true \
             --config internal.segment.bytes=200 --config local.retention.bytes=1",
        )
        .ok();
    for n in 0..20 {
        let line = format!("{n:060}\n");
        server
            .run_with_input("kafka topic produce stored", line.as_bytes())
            .ok();
    }
    // Each record makes a segment, and all but the last are closed. One goes from the disk once its copy is finished.
    let local = server.directory().join("data/logs/stored-0");
    wait_for("every closed segment to be copied", LIMIT, || {
        Ok(((logs(store.path()).len(), logs(&local).len()) == (19, 1)).then_some(()))
    })
    .unwrap();
    assert_eq!(server.stop(), 0, "{}", server.log());
    let directory = json(storage(&server, "inspect -o json"));
    let remote = directory["remote_segments"].as_array().unwrap().clone();
    assert_eq!(
        (
            remote[0]["topic"].as_str(),
            remote[0]["base_offset"].as_i64()
        ),
        (Some("stored"), Some(0))
    );
    let text = storage(&server, "inspect --topic stored").ok();
    assert!(
        text.contains("In the remote store") && text.contains("finished"),
        "{text}"
    );

    let text = storage(&server, "check").ok();
    assert!(text.contains("Did not look at"), "{text}");
    let check = format!("check -o json --properties {file}");
    let report = json(storage(&server, &check));
    assert_eq!(report["findings"], serde_json::json!([]), "{report}");
    assert_eq!(
        report["remote_objects"].as_u64(),
        Some(2 * remote.len() as u64)
    );
    fs::remove_file(&logs(store.path())[0]).unwrap();
    let run = storage(&server, &check);
    assert_eq!(run.code, 1, "{run:?}");
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    let finding = &report["findings"][0];
    assert_eq!(finding["path"], remote[0]["object"]);
    assert!(
        finding["message"].as_str().unwrap().contains("missing"),
        "{report}"
    );
}
