//! `affluent schema-registry schema create`.

use std::path::PathBuf;

use clap::Args;
use registry_client::{Method, Request};
use schema::{Metadata, RuleSet, SchemaReference};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::dry_run;
use crate::failure::Outcome;
use crate::registry::Context;
use crate::registry::files::{self, TypeFlag};

/// Flags of `schema create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// The path to the schema file.
    #[arg(long, value_name = "PATH")]
    schema: PathBuf,
    /// The subject.
    #[arg(long)]
    pub(super) subject: String,
    /// The type of the schema: avro, json or protobuf.
    #[arg(long = "type", value_enum, ignore_case = true, default_value = "avro")]
    pub(super) schema_type: TypeFlag,
    /// The path to a file of references.
    #[arg(long, value_name = "PATH")]
    references: Option<PathBuf>,
    /// The path to a file of metadata: owner, tags of fields and what else a data contract says.
    #[arg(long, value_name = "PATH")]
    metadata: Option<PathBuf>,
    /// The path to a file of rules.
    #[arg(long, value_name = "PATH")]
    ruleset: Option<PathBuf>,
    /// Write what means the same the same way before registering.
    #[arg(long)]
    pub(super) normalize: bool,
    /// Register nothing: show what would be, and what stands in the way with its remedies. Fails if the schema may not
    /// be registered.
    #[arg(long)]
    pub(super) dry_run: bool,
    /// With --dry-run: for a schema that may not follow, propose the nearest one that may.
    #[arg(long, requires = "dry_run")]
    pub(super) propose: bool,
}

/// A schema as it is to be registered.
#[derive(Debug)]
pub(super) struct NewSchema {
    pub(super) text: String,
    pub(super) references: Vec<SchemaReference>,
    metadata: Option<Metadata>,
    rule_set: Option<RuleSet>,
}

impl NewSchema {
    fn read(args: &CreateArgs) -> Outcome<NewSchema> {
        let references = args.references.as_deref();
        Ok(NewSchema {
            text: files::text(&args.schema)?,
            references: references.map(files::json).transpose()?.unwrap_or_default(),
            metadata: args.metadata.as_deref().map(files::json).transpose()?,
            rule_set: args.ruleset.as_deref().map(files::json).transpose()?,
        })
    }

    /// The body of the requests about it.
    pub(super) fn body(&self, args: &CreateArgs) -> Value {
        let mut body = json!({
            "schema": self.text,
            "schemaType": args.schema_type.schema_type().name(),
        });
        if !self.references.is_empty() {
            body["references"] = json!(self.references);
        }
        if let Some(metadata) = &self.metadata {
            body["metadata"] = json!(metadata);
        }
        if let Some(rule_set) = &self.rule_set {
            body["ruleSet"] = json!(rule_set);
        }
        body
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Created {
    id: i32,
}

pub(super) fn run(context: &mut Context, args: &CreateArgs) -> Outcome {
    let new = NewSchema::read(args)?;
    if args.dry_run {
        return dry_run::run(context, args, &new);
    }
    let path = ["subjects", &args.subject, "versions"];
    let request = Request::new(Method::POST, &path)
        .flag("normalize", args.normalize)
        .body(new.body(args));
    let created: Created = context.ask(async |client| client.json(&request).await)?;
    let sentence = format!("Successfully registered schema with ID \"{}\".", created.id);
    context.printer.done(&sentence, &created)
}
