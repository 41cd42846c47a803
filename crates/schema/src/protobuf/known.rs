//! The files that every schema may import without a reference: Google's well-known and common types, and Confluent's own.
//!
//! Their definitions are data in the folder beside this file, one .proto each, parsed once when first asked for. The set
//! is that of Confluent's registry (`ProtobufSchema.KNOWN_DEPENDENCIES`), with `descriptor.proto`, `api.proto` and
//! `type.proto` added, so that custom options can be declared.

use std::sync::LazyLock;

use super::names::{Names, Source};
use super::parser;

/// Import path and text.
const TEXTS: &[(&str, &str)] = &[
    (
        "google/protobuf/any.proto",
        include_str!("known/google/protobuf/any.proto"),
    ),
    (
        "google/protobuf/api.proto",
        include_str!("known/google/protobuf/api.proto"),
    ),
    (
        "google/protobuf/descriptor.proto",
        include_str!("known/google/protobuf/descriptor.proto"),
    ),
    (
        "google/protobuf/duration.proto",
        include_str!("known/google/protobuf/duration.proto"),
    ),
    (
        "google/protobuf/empty.proto",
        include_str!("known/google/protobuf/empty.proto"),
    ),
    (
        "google/protobuf/field_mask.proto",
        include_str!("known/google/protobuf/field_mask.proto"),
    ),
    (
        "google/protobuf/source_context.proto",
        include_str!("known/google/protobuf/source_context.proto"),
    ),
    (
        "google/protobuf/struct.proto",
        include_str!("known/google/protobuf/struct.proto"),
    ),
    (
        "google/protobuf/timestamp.proto",
        include_str!("known/google/protobuf/timestamp.proto"),
    ),
    (
        "google/protobuf/type.proto",
        include_str!("known/google/protobuf/type.proto"),
    ),
    (
        "google/protobuf/wrappers.proto",
        include_str!("known/google/protobuf/wrappers.proto"),
    ),
    (
        "google/type/calendar_period.proto",
        include_str!("known/google/type/calendar_period.proto"),
    ),
    (
        "google/type/color.proto",
        include_str!("known/google/type/color.proto"),
    ),
    (
        "google/type/date.proto",
        include_str!("known/google/type/date.proto"),
    ),
    (
        "google/type/datetime.proto",
        include_str!("known/google/type/datetime.proto"),
    ),
    (
        "google/type/dayofweek.proto",
        include_str!("known/google/type/dayofweek.proto"),
    ),
    (
        "google/type/decimal.proto",
        include_str!("known/google/type/decimal.proto"),
    ),
    (
        "google/type/expr.proto",
        include_str!("known/google/type/expr.proto"),
    ),
    (
        "google/type/fraction.proto",
        include_str!("known/google/type/fraction.proto"),
    ),
    (
        "google/type/interval.proto",
        include_str!("known/google/type/interval.proto"),
    ),
    (
        "google/type/latlng.proto",
        include_str!("known/google/type/latlng.proto"),
    ),
    (
        "google/type/localized_text.proto",
        include_str!("known/google/type/localized_text.proto"),
    ),
    (
        "google/type/money.proto",
        include_str!("known/google/type/money.proto"),
    ),
    (
        "google/type/month.proto",
        include_str!("known/google/type/month.proto"),
    ),
    (
        "google/type/phone_number.proto",
        include_str!("known/google/type/phone_number.proto"),
    ),
    (
        "google/type/postal_address.proto",
        include_str!("known/google/type/postal_address.proto"),
    ),
    (
        "google/type/quaternion.proto",
        include_str!("known/google/type/quaternion.proto"),
    ),
    (
        "google/type/timeofday.proto",
        include_str!("known/google/type/timeofday.proto"),
    ),
    (
        "confluent/meta.proto",
        include_str!("known/confluent/meta.proto"),
    ),
    (
        "confluent/type/decimal.proto",
        include_str!("known/confluent/type/decimal.proto"),
    ),
    (
        "confluent/type/variant.proto",
        include_str!("known/confluent/type/variant.proto"),
    ),
];

static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(|| {
    TEXTS
        .iter()
        .filter_map(|(path, text)| {
            // A text that does not parse would be missing here; the tests hold that none is.
            let file = parser::parse(text).ok()?;
            Some(Source {
                path: (*path).to_owned(),
                file,
            })
        })
        .collect()
});

static NAMES: LazyLock<Names<'static>> = LazyLock::new(|| Names::of_known(&SOURCES));

/// The built-in file of that import path.
pub(crate) fn source(path: &str) -> Option<&'static Source> {
    SOURCES.iter().find(|source| source.path == path)
}

/// What the built-in files declare.
pub(crate) fn names() -> &'static Names<'static> {
    &NAMES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_file_parses() {
        for (path, text) in TEXTS {
            if let Err(fault) = parser::parse(text) {
                panic!("{path}:{}: {}", fault.at, fault.what);
            }
        }
        assert_eq!(SOURCES.len(), TEXTS.len());
        assert!(names().find("google.protobuf.Timestamp").is_some());
        assert!(names().find_extension("confluent.field_meta").is_some());
    }
}
