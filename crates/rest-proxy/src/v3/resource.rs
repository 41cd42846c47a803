//! The envelope of every answer: `kind`, `metadata`, then the resource's own fields.

use std::fmt;

use serde::Serialize;

use crate::links::{Links, resource_name};

/// One resource.
#[derive(Debug, Serialize)]
pub(super) struct Resource<T> {
    kind: &'static str,
    metadata: Metadata,
    #[serde(flatten)]
    body: T,
}

#[derive(Debug, Serialize)]
struct Metadata {
    #[serde(rename = "self")]
    address: String,
    resource_name: Option<String>,
}

/// Resources of one kind.
#[derive(Debug, Serialize)]
pub(super) struct List<T> {
    kind: &'static str,
    metadata: ListMetadata,
    data: Vec<Resource<T>>,
}

#[derive(Debug, Serialize)]
struct ListMetadata {
    #[serde(rename = "self")]
    address: String,
    /// Always null: no list is cut into pages.
    next: Option<String>,
}

/// What resources are named with: the links of this request and the authority of `crn://` names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Namer<'a> {
    pub(crate) links: &'a Links,
    pub(crate) authority: Option<&'a str>,
}

impl Namer<'_> {
    /// A resource with its address and, where names are on, its name.
    pub(super) fn resource<T>(
        self,
        kind: &'static str,
        address: String,
        name: &[(&str, &dyn fmt::Display)],
        body: T,
    ) -> Resource<T> {
        Resource {
            kind,
            metadata: Metadata {
                address,
                resource_name: resource_name(self.authority, name),
            },
            body,
        }
    }
}

/// A list with its address.
pub(super) fn list<T>(kind: &'static str, address: String, data: Vec<Resource<T>>) -> List<T> {
    List {
        kind,
        metadata: ListMetadata {
            address,
            next: None,
        },
        data,
    }
}
