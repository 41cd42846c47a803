//! `affluent schema-registry kek`: key encryption keys of the DEK registry.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use registry_client::{Method, Request};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Context, files};
use crate::confirm::confirm;
use crate::failure::{Failure, Outcome};
use crate::output::{Column, Format, Row};

/// The path before all of the DEK registry's.
pub(super) const KEKS: [&str; 3] = ["dek-registry", "v1", "keks"];

/// The commands on KEKs.
#[derive(Debug, Subcommand)]
pub(crate) enum KekCommand {
    /// List the KEKs.
    List(ListArgs),
    /// Create a KEK.
    Create(CreateArgs),
    /// Describe a KEK.
    Describe(DescribeArgs),
    /// Update a KEK.
    Update(UpdateArgs),
    /// Delete KEKs.
    Delete(DeleteArgs),
    /// Undelete KEKs.
    Undelete(UndeleteArgs),
}

/// Flags of `kek list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Include deleted KEKs.
    #[arg(long)]
    all: bool,
}

/// Flags of `kek create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// The KEK's name.
    name: String,
    /// The type of the key management service: aws-kms, azure-kms, gcp-kms, hcvault or local-kms.
    #[arg(long)]
    kms_type: String,
    /// The id of the key there.
    #[arg(long)]
    kms_key: String,
    #[command(flatten)]
    more: MoreFlags,
}

/// What may be said of a KEK at any time.
#[derive(Debug, Args)]
pub(crate) struct MoreFlags {
    /// Properties of the access to the key management service, with commas between.
    #[arg(long, value_delimiter = ',', value_name = "key=value,...")]
    kms_properties: Vec<String>,
    /// A description.
    #[arg(long)]
    doc: Option<String>,
    /// Whether the DEK registry has access to the key management service too.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    shared: Option<bool>,
}

/// Flags of `kek describe`.
#[derive(Debug, Args)]
pub(crate) struct DescribeArgs {
    /// The KEK's name.
    name: String,
    /// Find it though it is deleted.
    #[arg(long)]
    all: bool,
}

/// Flags of `kek update`.
#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    /// The KEK's name.
    name: String,
    #[command(flatten)]
    more: MoreFlags,
}

/// Flags of `kek delete`.
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// The KEKs' names.
    #[arg(required = true)]
    names: Vec<String>,
    /// Delete them for good; they have to be deleted without this first.
    #[arg(long)]
    permanent: bool,
    /// Do not ask.
    #[arg(long)]
    force: bool,
}

/// Flags of `kek undelete`.
#[derive(Debug, Args)]
pub(crate) struct UndeleteArgs {
    /// The KEKs' names.
    #[arg(required = true)]
    names: Vec<String>,
}

/// A KEK, as a registry tells it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Kek {
    name: String,
    kms_type: String,
    kms_key_id: String,
    kms_props: Option<BTreeMap<String, String>>,
    doc: Option<String>,
    shared: bool,
    ts: Option<i64>,
    deleted: Option<bool>,
}

/// The same, as it is printed.
#[derive(Debug, Serialize)]
struct Shown {
    name: String,
    kms_type: String,
    kms_key: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    kms_properties: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    doc: String,
    #[serde(skip_serializing_if = "is_false")]
    is_shared: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<i64>,
    #[serde(skip_serializing_if = "is_false")]
    is_deleted: bool,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
fn is_false(value: &bool) -> bool {
    !value
}

impl From<Kek> for Shown {
    fn from(kek: Kek) -> Shown {
        let properties: Vec<String> = kek
            .kms_props
            .into_iter()
            .flatten()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        Shown {
            name: kek.name,
            kms_type: kek.kms_type,
            kms_key: kek.kms_key_id,
            kms_properties: properties.join(", "),
            doc: kek.doc.unwrap_or_default(),
            is_shared: kek.shared,
            timestamp: kek.ts,
            is_deleted: kek.deleted.unwrap_or_default(),
        }
    }
}

impl Row for Shown {
    const COLUMNS: &'static [Column] = &[
        Column::text("Name"),
        Column::text("KMS Type"),
        Column::text("KMS Key"),
        Column::text("KMS Properties"),
        Column::text("Doc"),
        Column::text("Shared"),
        Column::number("Timestamp"),
        Column::text("Deleted"),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            self.kms_type.clone(),
            self.kms_key.clone(),
            self.kms_properties.clone(),
            self.doc.clone(),
            self.is_shared.to_string(),
            self.timestamp.map(|at| at.to_string()).unwrap_or_default(),
            self.is_deleted.to_string(),
        ]
    }
}

pub(super) fn run(context: &mut Context, command: KekCommand) -> Outcome {
    match command {
        KekCommand::List(args) => list(context, &args),
        KekCommand::Create(args) => create(context, &args),
        KekCommand::Describe(args) => {
            let kek = find(context, &args.name, args.all)?;
            print(context, kek)
        }
        KekCommand::Update(args) => update(context, &args),
        KekCommand::Delete(args) => delete(context, &args),
        KekCommand::Undelete(args) => undelete(context, &args),
    }
}

/// A path below that of the KEKs.
pub(super) fn path<'p>(parts: &[&'p str]) -> Vec<&'p str> {
    let mut path: Vec<&'p str> = KEKS.to_vec();
    path.extend(parts);
    path
}

fn find(context: &Context, name: &str, deleted: bool) -> Outcome<Kek> {
    let path = path(&[name]);
    let request = Request::get(&path).flag("deleted", deleted);
    context.ask(async |client| client.json(&request).await)
}

fn print(context: &mut Context, kek: Kek) -> Outcome {
    context.printer.object(&Shown::from(kek))
}

fn list(context: &mut Context, args: &ListArgs) -> Outcome {
    let request = Request::get(&KEKS).flag("deleted", args.all);
    let names: Vec<String> = context.ask(async |client| client.json(&request).await)?;
    let keks = names
        .iter()
        .map(|name| find(context, name, args.all).map(Shown::from))
        .collect::<Outcome<Vec<Shown>>>()?;
    context.printer.list(&keks)
}

fn create(context: &mut Context, args: &CreateArgs) -> Outcome {
    let body = json!({
        "name": args.name,
        "kmsType": args.kms_type,
        "kmsKeyId": args.kms_key,
        "kmsProps": files::properties(&args.more.kms_properties)?,
        "doc": args.more.doc,
        "shared": args.more.shared.unwrap_or(false),
    });
    let request = Request::new(Method::POST, &KEKS).body(body);
    let kek: Kek = context.ask(async |client| client.json(&request).await)?;
    print(context, kek)
}

fn update(context: &mut Context, args: &UpdateArgs) -> Outcome {
    let more = &args.more;
    if more.kms_properties.is_empty() && more.doc.is_none() && more.shared.is_none() {
        return Err(Failure::new("there is nothing to update")
            .remedy("at least one of --kms-properties, --doc and --shared"));
    }
    let found = find(context, &args.name, false)?;
    let properties = match more.kms_properties.as_slice() {
        [] => found.kms_props,
        some => Some(files::properties(some)?),
    };
    let body = json!({
        "kmsProps": properties,
        "doc": more.doc.clone().or(found.doc),
        "shared": more.shared.unwrap_or(found.shared),
    });
    let path = path(&[&args.name]);
    let request = Request::new(Method::PUT, &path).body(body);
    let kek: Kek = context.ask(async |client| client.json(&request).await)?;
    print(context, kek)
}

fn delete(context: &mut Context, args: &DeleteArgs) -> Outcome {
    for name in &args.names {
        find(context, name, true)?;
    }
    let quoted: Vec<String> = args
        .names
        .iter()
        .map(|name| format!("\"{name}\""))
        .collect();
    let question = format!("Are you sure you want to delete KEK {}?", quoted.join(", "));
    confirm(args.force, &question)?;
    for name in &args.names {
        let path = path(&[name]);
        let request = Request::new(Method::DELETE, &path).flag("permanent", args.permanent);
        context.ask(async |client| client.send(&request).await)?;
    }
    done(context, "Deleted", &args.names)
}

fn undelete(context: &mut Context, args: &UndeleteArgs) -> Outcome {
    for name in &args.names {
        find(context, name, true)?;
    }
    for name in &args.names {
        let path = path(&[name, "undelete"]);
        let request = Request::new(Method::POST, &path);
        context.ask(async |client| client.send(&request).await)?;
    }
    done(context, "Undeleted", &args.names)
}

fn done(context: &mut Context, what: &str, names: &[String]) -> Outcome {
    if context.printer.format() != Format::Human {
        return context.printer.document(&names);
    }
    for name in names {
        context.printer.line(&format!("{what} KEK \"{name}\"."))?;
    }
    Ok(())
}
