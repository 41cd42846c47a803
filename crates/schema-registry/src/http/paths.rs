//! The paths of the API and their methods, as a table: what metrics name requests by, and what tests hold the router to.
//!
//! The router itself ([`super::route`]) is a `match`; the tests see that both say the same.

use std::sync::LazyLock;

/// A path with its parameters in braces, and the methods it has.
pub(crate) type Path = (&'static str, &'static [&'static str]);

/// All of them.
pub(crate) const PATHS: &[Path] = &[
    ("/", &["GET", "POST"]),
    ("/associations", &["POST"]),
    (
        "/associations/resources/{resourceId}",
        &["GET", "PUT", "DELETE"],
    ),
    (
        "/associations/resources/{resourceNamespace}/{resourceName}",
        &["GET"],
    ),
    ("/associations/subjects/{subject}", &["GET"]),
    ("/associations:batch", &["POST"]),
    ("/associations:batchGet", &["POST"]),
    ("/associations:batchMutate", &["POST"]),
    ("/catalog/v1/entity", &["PUT"]),
    ("/catalog/v1/entity/businessmetadata", &["POST", "PUT"]),
    ("/catalog/v1/entity/tags", &["POST", "PUT"]),
    (
        "/catalog/v1/entity/type/{typeName}/name/{qualifiedName}",
        &["GET"],
    ),
    (
        "/catalog/v1/entity/type/{typeName}/name/{qualifiedName}/businessmetadata",
        &["GET"],
    ),
    (
        "/catalog/v1/entity/type/{typeName}/name/{qualifiedName}/businessmetadata/{bmName}",
        &["DELETE"],
    ),
    (
        "/catalog/v1/entity/type/{typeName}/name/{qualifiedName}/tags",
        &["GET"],
    ),
    (
        "/catalog/v1/entity/type/{typeName}/name/{qualifiedName}/tags/{tagName}",
        &["DELETE"],
    ),
    ("/catalog/v1/search/attribute", &["GET"]),
    ("/catalog/v1/search/basic", &["GET"]),
    (
        "/catalog/v1/types/businessmetadatadefs",
        &["GET", "POST", "PUT"],
    ),
    (
        "/catalog/v1/types/businessmetadatadefs/{bmName}",
        &["GET", "DELETE"],
    ),
    ("/catalog/v1/types/tagdefs", &["GET", "POST", "PUT"]),
    ("/catalog/v1/types/tagdefs/{tagName}", &["GET", "DELETE"]),
    ("/clusterconfig", &["GET"]),
    ("/compatibility/subjects/{subject}/versions", &["POST"]),
    (
        "/compatibility/subjects/{subject}/versions/{version}",
        &["POST"],
    ),
    ("/config", &["GET", "PUT", "DELETE"]),
    ("/config/{subject}", &["GET", "PUT", "DELETE"]),
    ("/contexts", &["GET"]),
    ("/contexts/{context}", &["DELETE"]),
    ("/dek-registry/v1/keks", &["GET", "POST"]),
    ("/dek-registry/v1/keks/{name}", &["GET", "PUT", "DELETE"]),
    ("/dek-registry/v1/keks/{name}/deks", &["GET", "POST"]),
    (
        "/dek-registry/v1/keks/{name}/deks/{subject}",
        &["GET", "POST", "DELETE"],
    ),
    (
        "/dek-registry/v1/keks/{name}/deks/{subject}/undelete",
        &["POST"],
    ),
    (
        "/dek-registry/v1/keks/{name}/deks/{subject}/versions",
        &["GET"],
    ),
    (
        "/dek-registry/v1/keks/{name}/deks/{subject}/versions/{version}",
        &["GET", "DELETE"],
    ),
    (
        "/dek-registry/v1/keks/{name}/deks/{subject}/versions/{version}/undelete",
        &["POST"],
    ),
    ("/dek-registry/v1/keks/{name}/test", &["POST"]),
    ("/dek-registry/v1/keks/{name}/undelete", &["POST"]),
    ("/exporters", &["GET", "POST"]),
    ("/exporters/{name}", &["GET", "PUT", "DELETE"]),
    ("/exporters/{name}/config", &["GET", "PUT"]),
    ("/exporters/{name}/pause", &["PUT"]),
    ("/exporters/{name}/reset", &["PUT"]),
    ("/exporters/{name}/resume", &["PUT"]),
    ("/exporters/{name}/status", &["GET"]),
    ("/mode", &["GET", "PUT", "DELETE"]),
    ("/mode/{subject}", &["GET", "PUT", "DELETE"]),
    ("/schemas", &["GET"]),
    ("/schemas/guids/{guid}", &["GET"]),
    ("/schemas/guids/{guid}/ids", &["GET"]),
    ("/schemas/ids/{id}", &["GET"]),
    ("/schemas/ids/{id}/schema", &["GET"]),
    ("/schemas/ids/{id}/subjects", &["GET"]),
    ("/schemas/ids/{id}/versions", &["GET"]),
    ("/schemas/types", &["GET"]),
    ("/subjects", &["GET"]),
    ("/subjects/{subject}", &["POST", "DELETE"]),
    ("/subjects/{subject}/metadata", &["GET"]),
    ("/subjects/{subject}/versions", &["GET", "POST"]),
    ("/subjects/{subject}/versions/{version}", &["GET", "DELETE"]),
    (
        "/subjects/{subject}/versions/{version}/referencedby",
        &["GET"],
    ),
    ("/subjects/{subject}/versions/{version}/schema", &["GET"]),
    ("/subjects/{subject}/versions/{version}/tags", &["POST"]),
    ("/v1/metadata/deployment", &["GET"]),
    ("/v1/metadata/id", &["GET"]),
    ("/v1/metadata/version", &["GET"]),
];

/// A path of the table, or none of them: the label of a request in metrics. Their number is the table's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Route(usize);

impl Route {
    /// The path there is not.
    pub(crate) const NONE: Self = Self(PATHS.len());

    /// The path that a request's is of.
    pub(super) fn of(segments: &[&str]) -> Self {
        let as_long = BY_LENGTH.get(segments.len()).map_or(&[][..], Vec::as_slice);
        let found = as_long.iter().find(|(_, path)| fits(path, segments));
        found.map_or(Self::NONE, |(route, _)| *route)
    }

    /// Its place in the table; the length of the table for none.
    pub(crate) fn index(self) -> usize {
        self.0
    }

    /// The path with its parameters in braces.
    pub(crate) fn name(self) -> &'static str {
        PATHS.get(self.0).map_or("none", |(path, _)| path)
    }
}

/// A path, and its segments.
type Segmented = (Route, Vec<&'static str>);

/// The paths with as many segments as the index says.
static BY_LENGTH: LazyLock<Vec<Vec<Segmented>>> = LazyLock::new(|| {
    let mut by_length: Vec<Vec<_>> = Vec::new();
    for (index, (path, _)) in PATHS.iter().enumerate() {
        let segments: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        if by_length.len() <= segments.len() {
            by_length.resize_with(segments.len() + 1, Vec::new);
        }
        if let Some(as_long) = by_length.get_mut(segments.len()) {
            as_long.push((Route(index), segments));
        }
    }
    by_length
});

/// Whether segments, as many as the path has, are of it.
fn fits(path: &[&str], segments: &[&str]) -> bool {
    let mut pairs = path.iter().zip(segments);
    pairs.all(|(part, found)| part.starts_with('{') || part == found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_named_by_its_path_without_parameters() {
        let of = |path: &str| {
            let segments: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
            Route::of(&segments).name()
        };
        assert_eq!(of("/"), "/");
        assert_eq!(
            of("/subjects/s/versions/1"),
            "/subjects/{subject}/versions/{version}"
        );
        assert_eq!(of("/schemas/types"), "/schemas/types");
        assert_eq!(of("/schemas/ids/1"), "/schemas/ids/{id}");
        assert_eq!(of("/subjects/s/other"), "none");
        assert_eq!(of("/nowhere"), "none");
    }
}
