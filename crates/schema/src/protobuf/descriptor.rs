//! Descriptors: what Protobuf's own libraries know a schema by.
//!
//! [`pool`] makes descriptors of a schema and all it imports, with which data is read and written; custom options are
//! left out of them, and editions are lowered to proto3, which `prost-reflect` knows, so that presence, packing and
//! groups come out as the features say. [`serialized`] is the `FileDescriptorProto` of the schema itself, options and
//! editions whole (`format=serialized`), and [`read::from_bytes`] is the way back.

mod build;
mod options;
pub(crate) mod read;

use std::collections::HashSet;

use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, Value};
use prost_types::FileDescriptorProto;

use super::ast::Syntax;
use super::names::{Names, Source};
use super::{FORMAT, known};
use crate::error::SchemaError;

/// The name of a schema's own file (`ProtobufSchema.DEFAULT_NAME`).
pub(crate) const OWN_FILE: &str = "default";

const FILE_MESSAGE: &str = "google.protobuf.FileDescriptorProto";

/// Descriptors of the last source and everything it imports.
///
/// # Errors
/// [`SchemaError::Invalid`] when the files do not fit together.
pub(crate) fn pool(sources: &[Source], names: &Names<'_>) -> Result<DescriptorPool, SchemaError> {
    let mut files = Vec::new();
    let mut seen = HashSet::new();
    if let Some(main) = sources.last() {
        collect(main, sources, names, &mut seen, &mut files);
    }
    add(files)
}

/// Descriptors of all the sources, whether one imports another or not.
fn pool_of_all(sources: &[Source], names: &Names<'_>) -> Result<DescriptorPool, SchemaError> {
    let mut files = Vec::new();
    let mut seen = HashSet::new();
    for source in sources.iter().chain(known::source("confluent/meta.proto")) {
        collect(source, sources, names, &mut seen, &mut files);
    }
    add(files)
}

fn add(files: Vec<FileDescriptorProto>) -> Result<DescriptorPool, SchemaError> {
    let mut pool = DescriptorPool::global();
    let new = files
        .into_iter()
        .filter(|file| pool.get_file_by_name(file.name()).is_none())
        .collect::<Vec<_>>();
    pool.add_file_descriptor_protos(new)
        .map_err(|error| SchemaError::Invalid {
            format: FORMAT,
            path: "the descriptor".to_owned(),
            rule: error.to_string(),
        })?;
    Ok(pool)
}

/// The files that `source` needs, each once, those that others need first.
fn collect(
    source: &Source,
    sources: &[Source],
    names: &Names<'_>,
    seen: &mut HashSet<String>,
    files: &mut Vec<FileDescriptorProto>,
) {
    if !seen.insert(source.path.clone()) {
        return;
    }
    let built = build::file(source, names, true);
    for path in &built.file.dependency {
        let own = sources.iter().rev().find(|each| each.path == *path);
        if let Some(needed) = own.or_else(|| known::source(path)) {
            collect(needed, sources, names, seen, files);
        }
    }
    let mut file = built.file;
    // What is not there at all can only have been imported for nothing.
    file.dependency.retain(|path| seen.contains(path));
    file.public_dependency.clear();
    file.weak_dependency.clear();
    for (index, path) in file.dependency.iter().enumerate() {
        let public =
            source.file.imports.iter().any(|import| {
                import.path == *path && import.kind == super::ast::ImportKind::Public
            });
        if public {
            file.public_dependency.extend(i32::try_from(index));
        }
    }
    files.push(file);
}

/// The bytes of the schema's own `FileDescriptorProto`.
///
/// # Errors
/// As [`pool`].
pub(crate) fn serialized(sources: &[Source], names: &Names<'_>) -> Result<Vec<u8>, SchemaError> {
    let Some(main) = sources.last() else {
        return Ok(Vec::new());
    };
    let pool = pool(sources, names)?;
    let built = build::file(main, names, false);
    let bytes = built.file.encode_to_vec();
    let decoded = pool
        .get_message_by_name(FILE_MESSAGE)
        .and_then(|descriptor| DynamicMessage::decode(descriptor, bytes.as_slice()).ok());
    let Some(mut message) = decoded else {
        return Ok(bytes);
    };
    if let Syntax::Edition(year) = main.file.syntax() {
        message.set_field_by_name("syntax", Value::String("editions".to_owned()));
        message.set_field_by_name("edition", Value::EnumNumber(edition_number(year)));
    }
    for pending in &built.options {
        options::apply(&pool, &mut message, pending, names);
    }
    Ok(message.encode_to_vec())
}

/// `google.protobuf.Edition`: 2023 is 1000, each after it one more.
fn edition_number(year: u16) -> i32 {
    i32::from(year) - 2023 + 1000
}

#[cfg(test)]
mod tests;
