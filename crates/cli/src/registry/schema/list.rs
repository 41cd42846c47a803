//! `affluent schema-registry schema list`.

use clap::Args;
use registry_client::{Registered, Request};
use serde::Serialize;

use crate::failure::Outcome;
use crate::output::{Column, Row};
use crate::registry::Context;

/// Flags of `schema list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only subjects that begin so; `:.context:` is a context, `:*:` all of them.
    #[arg(long, default_value = "")]
    subject_prefix: String,
    /// Include deleted schemas.
    #[arg(long)]
    all: bool,
}

#[derive(Debug, Serialize)]
struct SchemaRow {
    id: i32,
    subject: String,
    version: i32,
}

impl Row for SchemaRow {
    const COLUMNS: &'static [Column] = &[
        Column::number("ID"),
        Column::text("Subject"),
        Column::number("Version"),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.subject.clone(),
            self.version.to_string(),
        ]
    }
}

pub(super) fn run(context: &mut Context, args: &ListArgs) -> Outcome {
    let request = Request::get(&["schemas"])
        .query("subjectPrefix", &args.subject_prefix)
        .flag("deleted", args.all);
    let schemas: Vec<Registered> = context.ask(async |client| client.json(&request).await)?;
    let rows: Vec<SchemaRow> = schemas
        .into_iter()
        .map(|found| SchemaRow {
            id: found.id.unwrap_or_default(),
            subject: found.subject.unwrap_or_default(),
            version: found.version.unwrap_or_default(),
        })
        .collect();
    context.printer.list(&rows)
}
