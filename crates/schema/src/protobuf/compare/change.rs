//! The kinds of change, which of them a reader can take, and how they are told.

use crate::compatibility::{READER, WRITER};

/// How one schema differs from another, by Confluent's names (`Difference.Type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    PackageChanged,
    MessageAdded,
    MessageRemoved,
    MessageMoved,
    EnumAdded,
    EnumRemoved,
    EnumConstAdded,
    EnumConstChanged,
    EnumConstRemoved,
    FieldAdded,
    FieldRemoved,
    FieldNameChanged,
    FieldKindChanged,
    FieldScalarKindChanged,
    FieldNamedTypeChanged,
    FieldNumericLabelChanged,
    FieldStringOrBytesLabelChanged,
    RequiredFieldAdded,
    RequiredFieldRemoved,
    OneofAdded,
    OneofRemoved,
    OneofFieldAdded,
    OneofFieldRemoved,
    OneofFieldMovedToTopLevel,
    MultipleFieldsMovedToOneof,
    FieldMovedToExistingOneof,
}

/// A change and where it is: `#/Message/3`, `#/Message/oneof/3`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    pub change: Change,
    pub path: String,
}

impl Change {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::PackageChanged => "PACKAGE_CHANGED",
            Self::MessageAdded => "MESSAGE_ADDED",
            Self::MessageRemoved => "MESSAGE_REMOVED",
            Self::MessageMoved => "MESSAGE_MOVED",
            Self::EnumAdded => "ENUM_ADDED",
            Self::EnumRemoved => "ENUM_REMOVED",
            Self::EnumConstAdded => "ENUM_CONST_ADDED",
            Self::EnumConstChanged => "ENUM_CONST_CHANGED",
            Self::EnumConstRemoved => "ENUM_CONST_REMOVED",
            Self::FieldAdded => "FIELD_ADDED",
            Self::FieldRemoved => "FIELD_REMOVED",
            Self::FieldNameChanged => "FIELD_NAME_CHANGED",
            Self::FieldKindChanged => "FIELD_KIND_CHANGED",
            Self::FieldScalarKindChanged => "FIELD_SCALAR_KIND_CHANGED",
            Self::FieldNamedTypeChanged => "FIELD_NAMED_TYPE_CHANGED",
            Self::FieldNumericLabelChanged => "FIELD_NUMERIC_LABEL_CHANGED",
            Self::FieldStringOrBytesLabelChanged => "FIELD_STRING_OR_BYTES_LABEL_CHANGED",
            Self::RequiredFieldAdded => "REQUIRED_FIELD_ADDED",
            Self::RequiredFieldRemoved => "REQUIRED_FIELD_REMOVED",
            Self::OneofAdded => "ONEOF_ADDED",
            Self::OneofRemoved => "ONEOF_REMOVED",
            Self::OneofFieldAdded => "ONEOF_FIELD_ADDED",
            Self::OneofFieldRemoved => "ONEOF_FIELD_REMOVED",
            Self::OneofFieldMovedToTopLevel => "ONEOF_FIELD_MOVED_TO_TOP_LEVEL",
            Self::MultipleFieldsMovedToOneof => "MULTIPLE_FIELDS_MOVED_TO_ONEOF",
            Self::FieldMovedToExistingOneof => "FIELD_MOVED_TO_EXISTING_ONEOF",
        }
    }

    /// Whether data is read all the same.
    pub(crate) fn is_compatible(self) -> bool {
        !matches!(
            self,
            Self::PackageChanged
                | Self::MessageRemoved
                | Self::FieldKindChanged
                | Self::FieldScalarKindChanged
                | Self::FieldNamedTypeChanged
                | Self::FieldNumericLabelChanged
                | Self::RequiredFieldAdded
                | Self::RequiredFieldRemoved
                | Self::OneofFieldRemoved
                | Self::MultipleFieldsMovedToOneof
                | Self::FieldMovedToExistingOneof
        )
    }

    /// What is wrong, in the counterpart's words; empty for a compatible change.
    pub(crate) fn description(self, path: &str) -> String {
        match self {
            Self::PackageChanged => format!(
                "The package at '{path}' in the {READER} schema does not match the package in the {WRITER} schema"
            ),
            Self::MessageRemoved => format!(
                "The {READER} schema is missing a MESSAGE type at path '{path}' in the {WRITER} schema"
            ),
            Self::FieldKindChanged => format!(
                "The type of a field at path '{path}' in the {READER} schema does not match the {WRITER} schema"
            ),
            Self::FieldScalarKindChanged => format!(
                "The kind of a SCALAR field at path '{path}' in the {READER} schema does not match its kind in the {WRITER} schema"
            ),
            Self::FieldNamedTypeChanged => format!(
                "The type of a MESSAGE field at path '{path}' in the {READER} schema does not match its type in the {WRITER} schema"
            ),
            Self::FieldNumericLabelChanged => format!(
                "The label for a NUMERIC field at path '{path}' in the {READER} schema does not match its label in the {WRITER} schema"
            ),
            Self::RequiredFieldAdded => format!(
                "A required field  at path '{path}' in the {READER} schema is missing in the {WRITER} schema"
            ),
            Self::RequiredFieldRemoved => format!(
                "The {READER} schema is missing a required field at path: '{path}' in the {WRITER} schema"
            ),
            Self::OneofFieldRemoved => format!(
                "The {READER} schema is missing a oneof field at path '{path}' in the {WRITER} schema"
            ),
            Self::MultipleFieldsMovedToOneof => format!(
                "Multiple fields in the oneof at path '{path}' in the {READER} schema are outside a oneof in the {WRITER} schema"
            ),
            Self::FieldMovedToExistingOneof => format!(
                "A field in the oneof at path '{path}' in the {READER} schema is outside an existing oneof in the {WRITER} schema"
            ),
            _ => String::new(),
        }
    }

    /// What would mend it.
    pub(crate) fn remedy(self) -> &'static str {
        match self {
            Self::PackageChanged => "keep the package, or register under another subject",
            Self::MessageRemoved => "keep the message; it may become deprecated",
            Self::FieldKindChanged | Self::FieldScalarKindChanged => {
                "give the field with the new type a new number, and reserve the old one"
            }
            Self::FieldNamedTypeChanged => {
                "keep the type of the field, or give a field of the new type a new number"
            }
            Self::FieldNumericLabelChanged => {
                "keep the label, or give the repeated field a new number"
            }
            Self::RequiredFieldAdded => "make the new field optional",
            Self::RequiredFieldRemoved => {
                "keep the required field; make it optional everywhere first"
            }
            Self::OneofFieldRemoved => "keep the field in the oneof, or move it to the top level",
            Self::MultipleFieldsMovedToOneof => "move at most one existing field into a new oneof",
            Self::FieldMovedToExistingOneof => {
                "leave the field where it is, or add a new field with a new number to the oneof"
            }
            _ => "",
        }
    }
}
