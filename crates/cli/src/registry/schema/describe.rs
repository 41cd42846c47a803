//! `affluent schema-registry schema describe`.

use std::collections::HashSet;

use clap::Args;
use registry_client::Registered;
use serde::Serialize;

use crate::failure::{Failure, Outcome};
use crate::output::Format;
use crate::registry::{Context, files};

/// The most schemas that `--show-references` shows.
const GRAPH_MAX: usize = schema::limits::REFERENCES_MAX;

/// Flags of `schema describe`.
#[derive(Debug, Args)]
pub(crate) struct DescribeArgs {
    /// The id of the schema.
    #[arg(conflicts_with_all = ["subject", "version"])]
    id: Option<i32>,
    /// The subject.
    #[arg(long, requires = "version")]
    subject: Option<String>,
    /// The version, or `latest`.
    #[arg(long, requires = "subject")]
    version: Option<String>,
    /// Show the schema with all that it refers to.
    #[arg(long)]
    show_references: bool,
}

/// The form of `--show-references`, which is JSON even for people.
#[derive(Debug, Serialize)]
struct Graph {
    schemas: Vec<Registered>,
}

pub(super) fn run(context: &mut Context, args: &DescribeArgs) -> Outcome {
    let mut found = match (args.id, &args.subject, &args.version) {
        (Some(id), ..) => context.ask(async |client| client.schema_by_id(id).await)?,
        (None, Some(subject), Some(version)) => {
            context.ask(async |client| client.schema_by_version(subject, version, false).await)?
        }
        _ => {
            return Err(
                Failure::new("must specify either schema ID or subject/version")
                    .remedy("--subject users-value --version latest"),
            );
        }
    };
    // An answer to an id does not repeat it.
    found.id = found.id.or(args.id);
    if args.show_references {
        let schemas = graph(context, found)?;
        return context.printer.document(&Graph { schemas });
    }
    match context.printer.format() {
        Format::Human => print(context, &found),
        // Differs: the Confluent CLI has no other form than the one for people here.
        Format::Json | Format::Yaml => context.printer.document(&found),
    }
}

/// The schema and what it refers to, each once.
fn graph(context: &Context, root: Registered) -> Outcome<Vec<Registered>> {
    let mut seen: HashSet<(String, i32)> = HashSet::new();
    let mut schemas = Vec::new();
    let mut open = vec![root];
    while let Some(schema) = open.pop() {
        for reference in schema.references.iter().rev() {
            if !seen.insert((reference.subject.clone(), reference.version)) {
                continue;
            }
            if seen.len() > GRAPH_MAX {
                return Err(Failure::new(format!(
                    "the schema refers to more than {GRAPH_MAX} others"
                )));
            }
            let version = reference.version.to_string();
            open.push(context.ask(async |client| {
                client
                    .schema_by_version(&reference.subject, &version, true)
                    .await
            })?);
        }
        schemas.push(schema);
    }
    Ok(schemas)
}

fn print(context: &mut Context, found: &Registered) -> Outcome {
    let printer = &mut context.printer;
    printer.line(&format!("Schema ID: {}", found.id.unwrap_or_default()))?;
    printer.line(&format!("Type: {}", found.schema_type.name()))?;
    printer.line("Schema:")?;
    printer.line(&indented(found))?;
    if !found.references.is_empty() {
        printer.line("References:")?;
        for reference in &found.references {
            printer.line(&format!(
                "\t{} -> {} {}",
                reference.name, reference.subject, reference.version
            ))?;
        }
    }
    if let Some(metadata) = &found.metadata {
        printer.line("Metadata:")?;
        printer.line(&files::pretty(metadata))?;
    }
    if let Some(rule_set) = &found.rule_set {
        printer.line("Ruleset:")?;
        printer.line(&files::pretty(rule_set))?;
    }
    Ok(())
}

/// JSON with four blanks a level, as the Confluent CLI has it; a .proto text as it is.
fn indented(found: &Registered) -> String {
    let text = &found.schema;
    let Ok(json) = serde_json::from_str::<serde_json::Value>(text) else {
        return text.clone();
    };
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut out = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, formatter);
    match json.serialize(&mut serializer) {
        Ok(()) => String::from_utf8(out).unwrap_or_else(|_| text.clone()),
        Err(_) => text.clone(),
    }
}
