//! The formats in which keys and values stand in JSON (`EmbeddedFormat`).

use schema::SchemaType;

/// How a key or value stands in JSON, and what its bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Format {
    /// Base64; the bytes as they are.
    Binary,
    /// Any JSON; its text.
    Json,
    /// A string; UTF-8. Only version 3 has it.
    Text,
    /// Avro's JSON encoding; framed Avro.
    Avro,
    /// JSON that follows a schema; its text, framed.
    JsonSchema,
    /// ProtoJSON; framed Protobuf.
    Protobuf,
}

impl Format {
    const ALL: [Self; 6] = [
        Self::Binary,
        Self::Json,
        Self::Text,
        Self::Avro,
        Self::JsonSchema,
        Self::Protobuf,
    ];

    /// As `type` names it in version 3.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Binary => "BINARY",
            Self::Json => "JSON",
            Self::Text => "STRING",
            Self::Avro => "AVRO",
            Self::JsonSchema => "JSONSCHEMA",
            Self::Protobuf => "PROTOBUF",
        }
    }

    /// The format of that name. Case matters, as it does to Jackson.
    pub(crate) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// The type of its schemas; none for a format that needs none.
    pub(crate) fn schema_type(self) -> Option<SchemaType> {
        match self {
            Self::Binary | Self::Json | Self::Text => None,
            Self::Avro => Some(SchemaType::Avro),
            Self::JsonSchema => Some(SchemaType::Json),
            Self::Protobuf => Some(SchemaType::Protobuf),
        }
    }

    /// The format that has schemas of that type.
    pub(crate) fn of_schema(schema_type: SchemaType) -> Self {
        match schema_type {
            SchemaType::Avro => Self::Avro,
            SchemaType::Json => Self::JsonSchema,
            SchemaType::Protobuf => Self::Protobuf,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_found_by_its_name_and_by_its_schemas() {
        for format in Format::ALL {
            assert_eq!(Format::of(format.name()), Some(format));
            if let Some(schema_type) = format.schema_type() {
                assert_eq!(Format::of_schema(schema_type), format);
            }
        }
        assert_eq!(Format::of("avro"), None);
    }
}
