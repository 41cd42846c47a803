//! The envelope of every answer: `kind`, `metadata`, then the resource's own fields.

use serde::Serialize;

use crate::links::Place;

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

/// A resource at its place.
pub(super) fn resource<T>(kind: &'static str, place: Place, body: T) -> Resource<T> {
    let (address, resource_name) = place.into_parts();
    Resource {
        kind,
        metadata: Metadata {
            address,
            resource_name,
        },
        body,
    }
}

impl<T> List<T> {
    /// A list at its address.
    pub(super) fn at(kind: &'static str, address: String, data: Vec<Resource<T>>) -> Self {
        Self {
            kind,
            metadata: ListMetadata {
                address,
                next: None,
            },
            data,
        }
    }
}

/// A list at its place.
pub(super) fn list<T>(kind: &'static str, place: Place, data: Vec<Resource<T>>) -> List<T> {
    List::at(kind, place.into_address(), data)
}
