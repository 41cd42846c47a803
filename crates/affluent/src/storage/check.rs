//! `affluent storage check`.

use clap::Args;
use cli::numbers::{bytes, counted, grouped};
use cli::output::{Column, Row};
use cli::progress::Progress;
use cli::{Failure, Format, Outcome, Printer};
use serde::Serialize;
use storage::inspect::{CheckReport, Finding, Severity};

use super::{Common, below, existing, explain};

/// Flags of `storage check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Serialize)]
struct Report {
    partitions: u64,
    batches: u64,
    bytes: u64,
    journal_frames: u64,
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
    let row = |finding: &Finding| FindingRow {
        severity: name(finding.severity),
        path: below(data_dir, &finding.path),
        message: finding.message.clone(),
    };
    let report = Report {
        partitions: checked.partitions,
        batches: checked.batches,
        bytes: checked.bytes,
        journal_frames: checked.frames,
        findings: checked.findings.iter().map(row).collect(),
    };
    let mut printer = Printer::new(args.common.output);
    match printer.format() {
        Format::Human => print(&mut printer, &report)?,
        Format::Json | Format::Yaml => printer.document(&report)?,
    }
    printer.flush()?;
    verdict(&checked)
}

fn print(printer: &mut Printer, report: &Report) -> Outcome {
    printer.line(&format!(
        "Checked {} in {} ({}) and {}.",
        counted(report.batches, "record batch"),
        counted(report.partitions, "partition"),
        bytes(report.bytes),
        counted(report.journal_frames, "journal frame"),
    ))?;
    if report.findings.is_empty() {
        return printer.line("Everything is sound.");
    }
    printer.table(&report.findings)
}

/// Damage to records is a failure; what a start clears up or rebuilds is not.
fn verdict(checked: &CheckReport) -> Outcome {
    let errors = checked
        .findings
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
