//! `cargo xtask codegen`: Rust for every message of Apache Kafka 4.4's broker listener.
//!
//! Reads the message schemas and the coordinators' record schemas (one JSON object a line) and writes
//! `crates/wire/src/messages/` and `crates/wire/src/coordinator_records/`, one module a message. The output is
//! committed; `--check` fails when it is not what the generator would write, which keeps hand edits out.
//! Only messages that the broker listener carries are generated: the controller's own are not spoken here.

mod api_keys;
mod emit;
mod fields;
mod names;
mod schema;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use names::snake_case;
use schema::{Kind, Message};

/// What `cargo xtask codegen` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder that holds the spec files.
    #[arg(long, default_value = "../shared/specs")]
    specs: PathBuf,
    /// Compare with what is committed instead of writing; fails on any difference.
    #[arg(long)]
    check: bool,
}

/// The `data` messages that a broker or its tools meet inside records.
const DATA_MESSAGES: [&str; 5] = [
    "AbortedTxn",
    "ConsumerProtocolAssignment",
    "ConsumerProtocolSubscription",
    "ControlRecordTypeSchema",
    "EndTxnMarker",
];

pub(crate) fn run(args: Args) -> Result<()> {
    let read = |name: &str| {
        let path = args.specs.join(name);
        let text = fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}; pass --specs", path.display()))?;
        schema::parse_all(&text)
    };
    let mut messages = read("kafka-4.4-messages.jsonl")?;
    let broker_keys: Vec<i16> = messages
        .iter()
        .filter(|m| m.kind == Kind::Request && m.on_broker_listener && !m.valid.is_empty())
        .filter_map(|m| m.api_key)
        .collect();
    messages.retain(|m| match m.kind {
        Kind::Request | Kind::Response => m.api_key.is_some_and(|key| broker_keys.contains(&key)),
        Kind::Header => true,
        Kind::Data => DATA_MESSAGES.contains(&m.name.as_str()),
        Kind::Coordinator => false,
    });
    let mut records = read("kafka-4.4-coordinator-records.jsonl")?;
    records.retain(|m| !m.valid.is_empty());
    ensure!(
        broker_keys.len() == 79,
        "{} broker keys, expected 79",
        broker_keys.len()
    );

    let wire = Path::new("crates/wire/src");
    let mut files = modules(&messages, &api_keys::messages_mod(&messages)?)?;
    write_or_check(&wire.join("messages"), &mut files, args.check)?;
    let mut files = modules(&records, &api_keys::records_mod(&records)?)?;
    write_or_check(&wire.join("coordinator_records"), &mut files, args.check)
}

fn modules(messages: &[Message], index: &str) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::from([("mod.rs".to_owned(), index.to_owned())]);
    for message in messages {
        let source = format!(
            "{}{}",
            emit::message_module(message).with_context(|| message.name.clone())?,
            emit::min_bytes_module(message)
        );
        files.insert(format!("{}.rs", snake_case(&message.name)), source);
    }
    Ok(files)
}

fn write_or_check(dir: &Path, files: &mut BTreeMap<String, String>, check: bool) -> Result<()> {
    for source in files.values_mut() {
        *source = rustfmt(source)?;
    }
    if check {
        for (name, source) in files.iter() {
            let path = dir.join(name);
            let committed = fs::read_to_string(&path).unwrap_or_default();
            if &committed != source {
                bail!(
                    "{} is not what the generator writes: run cargo xtask codegen",
                    path.display()
                );
            }
        }
        return Ok(());
    }
    fs::create_dir_all(dir)?;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if !files.contains_key(entry.file_name().to_string_lossy().as_ref()) {
            fs::remove_file(entry.path())?;
        }
    }
    for (name, source) in files.iter() {
        fs::write(dir.join(name), source)?;
    }
    Ok(())
}

fn rustfmt(source: &str) -> Result<String> {
    use std::io::Write as _;
    let mut child = Command::new("rustfmt")
        .args(["--edition", "2024", "--config", "max_width=100"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("rustfmt is not installed")?;
    let mut input = child.stdin.take().context("rustfmt has no stdin")?;
    let text = source.to_owned();
    let feeder = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = child.wait_with_output()?;
    feeder
        .join()
        .ok()
        .context("rustfmt's input thread panicked")??;
    ensure!(
        output.status.success(),
        "rustfmt refused generated source:\n{source}"
    );
    Ok(String::from_utf8(output.stdout)?)
}
