//! Files that commands are given, and the flags they stand in.

use std::collections::BTreeMap;
use std::path::Path;

use clap::ValueEnum;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::failure::{Failure, Outcome};

/// The most bytes of a file: what a registry takes of a schema.
const FILE_BYTES_MAX: u64 = schema::limits::SCHEMA_BYTES_MAX as u64;

/// `--type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum TypeFlag {
    Avro,
    Json,
    Protobuf,
}

impl TypeFlag {
    pub(super) fn schema_type(self) -> schema::SchemaType {
        match self {
            Self::Avro => schema::SchemaType::Avro,
            Self::Json => schema::SchemaType::Json,
            Self::Protobuf => schema::SchemaType::Protobuf,
        }
    }
}

/// A file as it is.
pub(super) fn bytes(path: &Path) -> Outcome<Vec<u8>> {
    let failed = |error: std::io::Error| {
        Failure::new(format!("cannot read file '{}': {error}", path.display()))
    };
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > FILE_BYTES_MAX {
        return Err(Failure::new(format!(
            "file '{}' has {size} bytes, the limit is {FILE_BYTES_MAX}",
            path.display()
        )));
    }
    std::fs::read(path).map_err(failed)
}

/// A file of text.
pub(super) fn text(path: &Path) -> Outcome<String> {
    String::from_utf8(bytes(path)?)
        .map_err(|_| Failure::new(format!("file '{}' is not UTF-8", path.display())))
}

/// A file of JSON.
pub(super) fn json<T: DeserializeOwned>(path: &Path) -> Outcome<T> {
    serde_json::from_slice(&bytes(path)?).map_err(|error| {
        Failure::new(format!(
            "file '{}' is not what is expected: {error}",
            path.display()
        ))
    })
}

/// `--config`: pairs, or one file of pairs a line, as a properties file has them.
pub(super) fn properties(values: &[String]) -> Outcome<BTreeMap<String, String>> {
    let lines: Vec<String> = match values {
        [file] if !file.contains('=') => text(Path::new(file))?
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with(['#', '!']))
            .map(str::to_owned)
            .collect(),
        pairs => pairs.to_vec(),
    };
    lines
        .iter()
        .map(|line| {
            let (name, value) = line.split_once('=').ok_or_else(|| {
                Failure::new(format!("'{line}' is not of the form key=value"))
                    .remedy("a list such as a=1,b=2, or a file with one pair a line")
            })?;
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        })
        .collect()
}

/// JSON as people read it.
pub(super) fn pretty(value: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// The text of a member, empty where there is none.
pub(super) fn member(value: &Value, name: &str) -> String {
    match value.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}
