//! Which draft of JSON Schema a schema follows.

use super::node::Node;

/// A draft of JSON Schema, in the order of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Draft {
    /// Draft 4.
    Draft4,
    /// Draft 6.
    Draft6,
    /// Draft 7, which holds where a schema names none or one that is not known.
    Draft7,
    /// 2019-09.
    Draft2019,
    /// 2020-12.
    Draft2020,
}

impl Draft {
    /// The draft that `$schema` names, draft 7 where it names none that is known (`SpecificationVersion`).
    pub(super) fn of(root: &Node) -> Self {
        root.get("$schema")
            .and_then(Node::text)
            .and_then(Self::of_uri)
            .unwrap_or(Self::Draft7)
    }

    fn of_uri(uri: &str) -> Option<Self> {
        let rest = uri
            .strip_prefix("http://json-schema.org/")
            .or_else(|| uri.strip_prefix("https://json-schema.org/"))?;
        let known = [
            ("draft-04/schema", Self::Draft4),
            ("draft-06/schema", Self::Draft6),
            ("draft-07/schema", Self::Draft7),
            ("draft/2019-09/schema", Self::Draft2019),
            ("draft/2020-12/schema", Self::Draft2020),
        ];
        known
            .into_iter()
            .find(|(name, _)| rest.trim_end_matches('#') == *name)
            .map(|(_, draft)| draft)
    }

    /// The keyword of a schema's own URI.
    pub(super) fn id_keyword(self) -> &'static str {
        if self == Self::Draft4 { "id" } else { "$id" }
    }

    /// From 2019-09 on: keywords beside `$ref` count, `unevaluated*` and `dependent*` exist.
    pub(super) fn is_modern(self) -> bool {
        self >= Self::Draft2019
    }

    /// The same for the crate that validates.
    pub(super) fn for_validator(self) -> jsonschema::Draft {
        match self {
            Self::Draft4 => jsonschema::Draft::Draft4,
            Self::Draft6 => jsonschema::Draft::Draft6,
            Self::Draft7 => jsonschema::Draft::Draft7,
            Self::Draft2019 => jsonschema::Draft::Draft201909,
            Self::Draft2020 => jsonschema::Draft::Draft202012,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::reader::read;

    #[test]
    fn a_draft_is_told_by_its_uri() {
        for (text, draft) in [
            ("{}", Draft::Draft7),
            ("true", Draft::Draft7),
            (r#"{"$schema":"http://example.com/own"}"#, Draft::Draft7),
            (
                r#"{"$schema":"http://json-schema.org/draft-04/schema#"}"#,
                Draft::Draft4,
            ),
            (
                r#"{"$schema":"http://json-schema.org/draft-06/schema"}"#,
                Draft::Draft6,
            ),
            (
                r#"{"$schema":"https://json-schema.org/draft-07/schema#"}"#,
                Draft::Draft7,
            ),
            (
                r#"{"$schema":"https://json-schema.org/draft/2019-09/schema"}"#,
                Draft::Draft2019,
            ),
            (
                r#"{"$schema":"https://json-schema.org/draft/2020-12/schema#"}"#,
                Draft::Draft2020,
            ),
        ] {
            assert_eq!(Draft::of(&read(text).unwrap()), draft, "{text}");
        }
    }
}
