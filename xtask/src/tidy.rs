//! `cargo xtask tidy`: the rules of the house that neither the compiler nor clippy can check.
//!
//! Looks at every file git knows or would take in, so that a fault shows before the commit. A rule is a function
//! from a path and a text to faults, tested on strings; this file only reads, calls and reports.
//!
//! The length of functions is counted here and not by `clippy::too_many_lines`: clippy counts what the macros and
//! attributes of generated files make of them, cannot name files it leaves alone, and turning a workspace lint on
//! or off rebuilds every crate.

mod edges;
mod functions;
mod links;
mod manifests;
mod rust_files;
mod text;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::repo;

/// What `cargo xtask tidy` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Also list what is allowed but should not grow, such as files above 800 lines.
    #[arg(long)]
    notes: bool,
}

/// A broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fault {
    file: PathBuf,
    line: Option<usize>,
    what: String,
}

impl Fault {
    fn new(file: &Path, line: Option<usize>, what: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line,
            what: what.into(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file.display(), self.what),
            None => write!(f, "{}: {}", self.file.display(), self.what),
        }
    }
}

/// Files that a generator writes: exempt from the rules of length and form, listed here by name.
const GENERATED: [&str; 2] = [
    "crates/wire/src/messages/",
    "crates/wire/src/coordinator_records/",
];

fn is_generated(file: &Path) -> bool {
    file.to_str()
        .is_some_and(|name| GENERATED.iter().any(|folder| name.starts_with(folder)))
}

pub(crate) fn run(args: Args) -> Result<()> {
    let root = repo::root()?;
    let files = repo::files(&root)?;
    let mut faults = manifests::check(&root, &files)?;
    let mut notes = Vec::new();
    let mut looked_at = 0;
    for file in &files {
        // A file that is not text is not ours to judge; a deleted one is still in git's index.
        let Ok(text) = fs::read_to_string(root.join(file)) else {
            continue;
        };
        looked_at += 1;
        faults.extend(text::check(file, &text));
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("rs") => {
                faults.extend(rust_files::check(file, &text));
                notes.extend(rust_files::notes(file, &text));
            }
            Some("md") => faults.extend(links::check(&root, file, &text)),
            _ => {}
        }
    }
    if args.notes {
        notes.iter().for_each(|note| println!("note: {note}"));
    }
    faults.iter().for_each(|fault| println!("{fault}"));
    println!(
        "tidy: {looked_at} files, {} notes, {} faults",
        notes.len(),
        faults.len()
    );
    if faults.is_empty() {
        Ok(())
    } else {
        bail!("tidy found {} faults", faults.len())
    }
}

/// Reads a file of the checkout, with its path in the error.
fn read(root: &Path, file: &Path) -> Result<String> {
    fs::read_to_string(root.join(file))
        .with_context(|| format!("could not read {}", file.display()))
}
