//! The paths of the API and their methods, as a table: what metrics name requests by, and what tests hold the router to.
//!
//! The router itself ([`super::route`]) is a `match`; the tests see that both say the same.

/// A path with its parameters in braces, and the methods it has.
pub(super) type Path = (&'static str, &'static [&'static str]);

/// All of them.
pub(super) const PATHS: &[Path] = &[
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

/// The label of a request whose path there is not.
pub(super) const NONE: &str = "none";

/// The path of the table that a request's is of, for labels of metrics: their number is bounded by the table.
pub(super) fn template_of(segments: &[String]) -> &'static str {
    PATHS
        .iter()
        .map(|(path, _)| *path)
        .find(|path| fits(path, segments))
        .unwrap_or(NONE)
}

fn fits(path: &str, segments: &[String]) -> bool {
    let mut rest = segments.iter();
    let all = path.split('/').filter(|part| !part.is_empty()).all(|part| {
        rest.next()
            .is_some_and(|found| part.starts_with('{') || part == found)
    });
    all && rest.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_named_by_its_path_without_parameters() {
        let of = |path: &str| {
            let segments: Vec<String> = path
                .split('/')
                .filter(|part| !part.is_empty())
                .map(str::to_owned)
                .collect();
            template_of(&segments)
        };
        assert_eq!(of("/"), "/");
        assert_eq!(
            of("/subjects/s/versions/1"),
            "/subjects/{subject}/versions/{version}"
        );
        assert_eq!(of("/schemas/types"), "/schemas/types");
        assert_eq!(of("/schemas/ids/1"), "/schemas/ids/{id}");
        assert_eq!(of("/subjects/s/other"), NONE);
        assert_eq!(of("/nowhere"), NONE);
    }
}
