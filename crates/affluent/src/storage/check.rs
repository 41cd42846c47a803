//! `affluent storage check`.

use std::path::PathBuf;

use base::ErrorChain;
use clap::Args;
use cli::numbers::{bytes, counted, grouped};
use cli::output::{Column, Row};
use cli::progress::Progress;
use cli::{Failure, Format, Outcome, Printer};
use serde::Serialize;
use storage::inspect::{Finding, RemoteCheck, Severity};

use super::{Common, below, existing, explain, remote};
use crate::settings::{Settings, SettingsArgs};

/// Flags of `storage check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    common: Common,
    /// Settings that name the remote store: a TOML file, as `affluent start` takes it.
    #[arg(long, value_name = "FILE", env = "AFFLUENT_CONFIG")]
    config: Option<PathBuf>,
    /// Settings that name the remote store: a file in Kafka's server.properties format.
    #[arg(long, value_name = "FILE", env = "AFFLUENT_PROPERTIES")]
    properties: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Report {
    partitions: u64,
    batches: u64,
    bytes: u64,
    journal_frames: u64,
    /// Of the remote part; objects and records only when the store was looked at.
    remote_segments: u64,
    remote_objects: Option<u64>,
    remote_batches: u64,
    remote_bytes: u64,
    findings: Vec<FindingRow>,
}

#[derive(Debug, Serialize)]
struct FindingRow {
    severity: &'static str,
    path: String,
    message: String,
}

impl Row for FindingRow {
    const COLUMNS: &'static [Column] = &[
        Column::text("Severity"),
        Column::text("Path"),
        Column::text("Finding"),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.severity.to_owned(),
            self.path.clone(),
            self.message.clone(),
        ]
    }
}

pub(super) fn run(args: &CheckArgs) -> Outcome {
    let data_dir = &args.common.data_dir;
    existing(data_dir)?;
    let progress = Progress::bytes("Checking");
    let checked = storage::inspect::check(data_dir, &mut |at| {
        progress.set_of(at.done_bytes, at.total_bytes);
    });
    progress.clear();
    let checked = checked.map_err(|error| explain(&error))?;
    let (remote, store_seen) = check_remote(args)?;
    let row = |finding: &Finding| FindingRow {
        severity: name(finding.severity),
        path: below(data_dir, &finding.path),
        message: finding.message.clone(),
    };
    let findings: Vec<Finding> = [checked.findings.clone(), remote.findings.clone()].concat();
    let report = Report {
        partitions: checked.partitions,
        batches: checked.batches,
        bytes: checked.bytes,
        journal_frames: checked.frames,
        remote_segments: remote.segments,
        remote_objects: store_seen.then_some(remote.objects),
        remote_batches: remote.batches,
        remote_bytes: remote.bytes,
        findings: findings.iter().map(row).collect(),
    };
    let mut printer = Printer::new(args.common.output);
    match printer.format() {
        Format::Human => print(&mut printer, &report)?,
        Format::Json | Format::Yaml => printer.document(&report)?,
    }
    printer.flush()?;
    verdict(&findings)
}

/// Checks the remote part: against the store if the settings name one, which the second of the answer says.
fn check_remote(args: &CheckArgs) -> Outcome<(RemoteCheck, bool)> {
    let part = remote::read(&args.common.data_dir)?;
    let settings = SettingsArgs::of_files(args.config.clone(), args.properties.clone());
    let settings = Settings::load(&settings, std::env::vars_os())?;
    let store = broker::remote_store(settings.broker_properties());
    let Some(store) = store.map_err(|error| remote::explain(&error))? else {
        let report = storage::inspect::check_manifest(&part.root, &part.entries);
        return Ok((report, false));
    };
    let progress = Progress::bytes("Checking the remote store");
    let report = storage::inspect::check_remote(&store, &part.root, &part.entries, &mut |at| {
        progress.set_of(at.done_bytes, at.total_bytes);
    });
    progress.clear();
    let report = report.map_err(|error| Failure::new(ErrorChain(&error).to_string()))?;
    Ok((report, true))
}

fn print(printer: &mut Printer, report: &Report) -> Outcome {
    printer.line(&format!(
        "Checked {} in {} ({}) and {}.",
        counted(report.batches, "record batch"),
        counted(report.partitions, "partition"),
        bytes(report.bytes),
        counted(report.journal_frames, "journal frame"),
    ))?;
    match report.remote_objects {
        Some(objects) => printer.line(&format!(
            "Checked {} in the remote store ({}): {} in {}.",
            counted(report.remote_segments, "segment"),
            bytes(report.remote_bytes),
            counted(report.remote_batches, "record batch"),
            counted(objects, "object"),
        ))?,
        None if report.remote_segments > 0 => printer.line(&format!(
            "Did not look at {} in the remote store: --properties or --config names it.",
            counted(report.remote_segments, "segment"),
        ))?,
        None => {}
    }
    if report.findings.is_empty() {
        return printer.line("Everything is sound.");
    }
    printer.table(&report.findings)
}

/// Damage to records is a failure; what a start clears up or rebuilds is not.
fn verdict(findings: &[Finding]) -> Outcome {
    let errors = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error);
    match errors.count() {
        0 => Ok(()),
        errors => {
            let errors = grouped(errors as u64);
            Err(Failure::new(format!("records are damaged: {errors} finding(s) of severity error"))
                .remedy("keep a copy of the directory; a start serves the sound partitions and keeps the damaged ones offline"))
        }
    }
}

fn name(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}
