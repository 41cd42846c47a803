//! The changes that a comparison of two schemas finds, by the names Confluent's registry gives them, and which of
//! them are compatible.
//!
//! A name is told in `errorType`, so it is part of the interface; so are the sentences, of which tools look for
//! parts (`Difference` of the JSON Schema provider of Confluent's schema-registry, 8.2). The remedy is ours.

use crate::compatibility::{CompatibilityPolicy, Incompatibility, READER, WRITER};

/// From which policy on a change is compatible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Allowed {
    /// Always.
    Strict,
    /// When people's meaning counts more than the letter.
    Lenient,
    /// Not at all.
    Never,
}

/// Which sentence tells a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sentence {
    Told,
    Keyword,
    More,
    Less,
    ValueChanged,
    TypeChanged,
    FewerElements,
    MoreElements,
    AddedToOpen,
    RequiredAddedToUnopen,
    RemovedFromClosed,
    RemovedNotCovered,
    AddedNotCovered,
}

macro_rules! changes {
    ($($variant:ident $name:literal $allowed:ident $sentence:ident $remedy:literal;)*) => {
        /// What is different between two schemas at one path.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(super) enum ChangeKind {
            $(#[doc = $name] $variant,)*
        }

        impl ChangeKind {
            #[cfg(test)]
            pub(super) const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in `errorType`.
            pub(super) fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            fn allowed(self) -> Allowed {
                match self { $(Self::$variant => Allowed::$allowed,)* }
            }

            fn sentence(self) -> Sentence {
                match self { $(Self::$variant => Sentence::$sentence,)* }
            }

            fn remedy(self) -> &'static str {
                match self { $(Self::$variant => $remedy,)* }
            }
        }
    };
}

changes! {
    IdChanged "ID_CHANGED" Strict Told "";
    DescriptionChanged "DESCRIPTION_CHANGED" Strict Told "";
    TitleChanged "TITLE_CHANGED" Strict Told "";
    DefaultChanged "DEFAULT_CHANGED" Strict Told "";
    SchemaRemoved "SCHEMA_REMOVED" Strict Told "";
    TypeExtended "TYPE_EXTENDED" Strict Told "";
    MaxLengthIncreased "MAX_LENGTH_INCREASED" Strict Told "";
    MaxLengthRemoved "MAX_LENGTH_REMOVED" Strict Told "";
    MinLengthDecreased "MIN_LENGTH_DECREASED" Strict Told "";
    MinLengthRemoved "MIN_LENGTH_REMOVED" Strict Told "";
    PatternRemoved "PATTERN_REMOVED" Strict Told "";
    MaximumIncreased "MAXIMUM_INCREASED" Strict Told "";
    MaximumRemoved "MAXIMUM_REMOVED" Strict Told "";
    MinimumDecreased "MINIMUM_DECREASED" Strict Told "";
    MinimumRemoved "MINIMUM_REMOVED" Strict Told "";
    ExclusiveMaximumIncreased "EXCLUSIVE_MAXIMUM_INCREASED" Strict Told "";
    ExclusiveMaximumRemoved "EXCLUSIVE_MAXIMUM_REMOVED" Strict Told "";
    ExclusiveMinimumDecreased "EXCLUSIVE_MINIMUM_DECREASED" Strict Told "";
    ExclusiveMinimumRemoved "EXCLUSIVE_MINIMUM_REMOVED" Strict Told "";
    MultipleOfReduced "MULTIPLE_OF_REDUCED" Strict Told "";
    MultipleOfRemoved "MULTIPLE_OF_REMOVED" Strict Told "";
    RequiredAttributeWithDefaultAdded "REQUIRED_ATTRIBUTE_WITH_DEFAULT_ADDED" Strict Told "";
    RequiredAttributeRemoved "REQUIRED_ATTRIBUTE_REMOVED" Strict Told "";
    DependencyArrayNarrowed "DEPENDENCY_ARRAY_NARROWED" Strict Told "";
    DependencyArrayRemoved "DEPENDENCY_ARRAY_REMOVED" Strict Told "";
    DependencySchemaRemoved "DEPENDENCY_SCHEMA_REMOVED" Strict Told "";
    MaxPropertiesIncreased "MAX_PROPERTIES_INCREASED" Strict Told "";
    MaxPropertiesRemoved "MAX_PROPERTIES_REMOVED" Strict Told "";
    MinPropertiesDecreased "MIN_PROPERTIES_DECREASED" Strict Told "";
    MinPropertiesRemoved "MIN_PROPERTIES_REMOVED" Strict Told "";
    AdditionalPropertiesAdded "ADDITIONAL_PROPERTIES_ADDED" Strict Told "";
    AdditionalPropertiesExtended "ADDITIONAL_PROPERTIES_EXTENDED" Strict Told "";
    UnevaluatedPropertiesAdded "UNEVALUATED_PROPERTIES_ADDED" Strict Told "";
    UnevaluatedPropertiesExtended "UNEVALUATED_PROPERTIES_EXTENDED" Strict Told "";
    PropertyWithEmptySchemaAddedToOpenContentModel "PROPERTY_WITH_EMPTY_SCHEMA_ADDED_TO_OPEN_CONTENT_MODEL" Strict Told "";
    RequiredPropertyWithDefaultAddedToUnopenContentModel "REQUIRED_PROPERTY_WITH_DEFAULT_ADDED_TO_UNOPEN_CONTENT_MODEL" Strict Told "";
    OptionalPropertyAddedToUnopenContentModel "OPTIONAL_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL" Strict Told "";
    PropertyWithFalseRemovedFromClosedContentModel "PROPERTY_WITH_FALSE_REMOVED_FROM_CLOSED_CONTENT_MODEL" Strict Told "";
    PropertyRemovedFromOpenContentModel "PROPERTY_REMOVED_FROM_OPEN_CONTENT_MODEL" Strict Told "";
    PropertyAddedIsCoveredByPartiallyOpenContentModel "PROPERTY_ADDED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL" Strict Told "";
    PropertyRemovedIsCoveredByPartiallyOpenContentModel "PROPERTY_REMOVED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL" Strict Told "";
    MaxItemsIncreased "MAX_ITEMS_INCREASED" Strict Told "";
    MaxItemsRemoved "MAX_ITEMS_REMOVED" Strict Told "";
    MinItemsDecreased "MIN_ITEMS_DECREASED" Strict Told "";
    MinItemsRemoved "MIN_ITEMS_REMOVED" Strict Told "";
    MaxContainsIncreased "MAX_CONTAINS_INCREASED" Strict Told "";
    MaxContainsRemoved "MAX_CONTAINS_REMOVED" Strict Told "";
    MinContainsDecreased "MIN_CONTAINS_DECREASED" Strict Told "";
    MinContainsRemoved "MIN_CONTAINS_REMOVED" Strict Told "";
    UniqueItemsRemoved "UNIQUE_ITEMS_REMOVED" Strict Told "";
    AdditionalItemsAdded "ADDITIONAL_ITEMS_ADDED" Strict Told "";
    AdditionalItemsExtended "ADDITIONAL_ITEMS_EXTENDED" Strict Told "";
    UnevaluatedItemsAdded "UNEVALUATED_ITEMS_ADDED" Strict Told "";
    UnevaluatedItemsExtended "UNEVALUATED_ITEMS_EXTENDED" Strict Told "";
    ItemWithEmptySchemaAddedToOpenContentModel "ITEM_WITH_EMPTY_SCHEMA_ADDED_TO_OPEN_CONTENT_MODEL" Strict Told "";
    ItemAddedToClosedContentModel "ITEM_ADDED_TO_CLOSED_CONTENT_MODEL" Strict Told "";
    ItemWithFalseRemovedFromClosedContentModel "ITEM_WITH_FALSE_REMOVED_FROM_CLOSED_CONTENT_MODEL" Strict Told "";
    ItemRemovedFromOpenContentModel "ITEM_REMOVED_FROM_OPEN_CONTENT_MODEL" Strict Told "";
    ItemAddedIsCoveredByPartiallyOpenContentModel "ITEM_ADDED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL" Strict Told "";
    ItemRemovedIsCoveredByPartiallyOpenContentModel "ITEM_REMOVED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL" Strict Told "";
    EnumArrayExtended "ENUM_ARRAY_EXTENDED" Strict Told "";
    CombinedTypeExtended "COMBINED_TYPE_EXTENDED" Strict Told "";
    ProductTypeNarrowed "PRODUCT_TYPE_NARROWED" Strict Told "";
    SumTypeExtended "SUM_TYPE_EXTENDED" Strict Told "";
    NotTypeNarrowed "NOT_TYPE_NARROWED" Strict Told "";
    AdditionalPropertiesNarrowed "ADDITIONAL_PROPERTIES_NARROWED" Lenient FewerElements "Keep additional properties unrestricted, or set compatibilityPolicy LENIENT";
    AdditionalPropertiesRemoved "ADDITIONAL_PROPERTIES_REMOVED" Lenient Keyword "Keep \"additionalProperties\" allowed, or set compatibilityPolicy LENIENT";
    UnevaluatedPropertiesNarrowed "UNEVALUATED_PROPERTIES_NARROWED" Lenient FewerElements "Keep unevaluated properties unrestricted, or set compatibilityPolicy LENIENT";
    UnevaluatedPropertiesRemoved "UNEVALUATED_PROPERTIES_REMOVED" Lenient Keyword "Keep unevaluated properties allowed, or set compatibilityPolicy LENIENT";
    RequiredPropertyWithDefaultAddedToOpenContentModel "REQUIRED_PROPERTY_WITH_DEFAULT_ADDED_TO_OPEN_CONTENT_MODEL" Lenient AddedToOpen "Close the content model first (\"additionalProperties\": false), or set compatibilityPolicy LENIENT";
    OptionalPropertyAddedToOpenContentModel "OPTIONAL_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL" Lenient AddedToOpen "Close the content model first (\"additionalProperties\": false), or set compatibilityPolicy LENIENT";
    PropertyRemovedFromClosedContentModel "PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL" Lenient RemovedFromClosed "Keep the property, open the content model (\"additionalProperties\": true), or set compatibilityPolicy LENIENT";
    PropertyRemovedNotCoveredByPartiallyOpenContentModel "PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL" Lenient RemovedNotCovered "Keep the property, or let the schema of additional properties allow it";
    PropertyAddedNotCoveredByPartiallyOpenContentModel "PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL" Lenient AddedNotCovered "Let the property allow all that the schema of additional properties allowed";
    SchemaAdded "SCHEMA_ADDED" Never Told "Take the schema out at this path again";
    TypeNarrowed "TYPE_NARROWED" Never TypeChanged "Keep \"number\" as the type";
    TypeChanged "TYPE_CHANGED" Never TypeChanged "Keep the old type, or allow both with anyOf";
    MaxLengthAdded "MAX_LENGTH_ADDED" Never Keyword "Leave maxLength out";
    MaxLengthDecreased "MAX_LENGTH_DECREASED" Never Less "Keep maxLength at least as large as it was";
    MinLengthAdded "MIN_LENGTH_ADDED" Never Keyword "Leave minLength out";
    MinLengthIncreased "MIN_LENGTH_INCREASED" Never More "Keep minLength at most as large as it was";
    PatternAdded "PATTERN_ADDED" Never Keyword "Leave pattern out";
    PatternChanged "PATTERN_CHANGED" Never ValueChanged "Keep the pattern, or leave it out";
    MaximumAdded "MAXIMUM_ADDED" Never Keyword "Leave maximum out";
    MaximumDecreased "MAXIMUM_DECREASED" Never Less "Keep maximum at least as large as it was";
    MinimumAdded "MINIMUM_ADDED" Never Keyword "Leave minimum out";
    MinimumIncreased "MINIMUM_INCREASED" Never More "Keep minimum at most as large as it was";
    ExclusiveMaximumAdded "EXCLUSIVE_MAXIMUM_ADDED" Never Keyword "Leave exclusiveMaximum out";
    ExclusiveMaximumDecreased "EXCLUSIVE_MAXIMUM_DECREASED" Never Less "Keep exclusiveMaximum at least as large as it was";
    ExclusiveMinimumAdded "EXCLUSIVE_MINIMUM_ADDED" Never Keyword "Leave exclusiveMinimum out";
    ExclusiveMinimumIncreased "EXCLUSIVE_MINIMUM_INCREASED" Never More "Keep exclusiveMinimum at most as large as it was";
    MultipleOfAdded "MULTIPLE_OF_ADDED" Never Keyword "Leave multipleOf out";
    MultipleOfExpanded "MULTIPLE_OF_EXPANDED" Never More "Keep multipleOf, or use a divisor of what it was";
    MultipleOfChanged "MULTIPLE_OF_CHANGED" Never ValueChanged "Keep multipleOf, or use a divisor of what it was";
    RequiredAttributeAdded "REQUIRED_ATTRIBUTE_ADDED" Never Keyword "Give the property a default, or leave it out of required";
    MaxPropertiesAdded "MAX_PROPERTIES_ADDED" Never Keyword "Leave maxProperties out";
    MaxPropertiesDecreased "MAX_PROPERTIES_DECREASED" Never Less "Keep maxProperties at least as large as it was";
    MinPropertiesAdded "MIN_PROPERTIES_ADDED" Never Keyword "Leave minProperties out";
    MinPropertiesIncreased "MIN_PROPERTIES_INCREASED" Never More "Keep minProperties at most as large as it was";
    DependencyArrayAdded "DEPENDENCY_ARRAY_ADDED" Never Keyword "Leave the dependency out";
    DependencyArrayExtended "DEPENDENCY_ARRAY_EXTENDED" Never MoreElements "Demand no more properties than before";
    DependencyArrayChanged "DEPENDENCY_ARRAY_CHANGED" Never ValueChanged "Demand no more properties than before";
    DependencySchemaAdded "DEPENDENCY_SCHEMA_ADDED" Never Keyword "Leave the dependency out";
    RequiredPropertyAddedToOpenContentModel "REQUIRED_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL" Never AddedToOpen "Close the content model first (\"additionalProperties\": false), and give the property a default or leave it out of required; or set compatibilityPolicy LENIENT";
    RequiredPropertyAddedToUnopenContentModel "REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL" Never RequiredAddedToUnopen "Give the property a default, or leave it out of required";
    MaxItemsAdded "MAX_ITEMS_ADDED" Never Keyword "Leave maxItems out";
    MaxItemsDecreased "MAX_ITEMS_DECREASED" Never Less "Keep maxItems at least as large as it was";
    MinItemsAdded "MIN_ITEMS_ADDED" Never Keyword "Leave minItems out";
    MinItemsIncreased "MIN_ITEMS_INCREASED" Never More "Keep minItems at most as large as it was";
    MaxContainsAdded "MAX_CONTAINS_ADDED" Never Keyword "Leave maxContains out";
    MaxContainsDecreased "MAX_CONTAINS_DECREASED" Never Less "Keep maxContains at least as large as it was";
    MinContainsAdded "MIN_CONTAINS_ADDED" Never Keyword "Leave contains out";
    MinContainsIncreased "MIN_CONTAINS_INCREASED" Never More "Keep minContains at most as large as it was";
    UniqueItemsAdded "UNIQUE_ITEMS_ADDED" Never Keyword "Leave uniqueItems out";
    AdditionalItemsRemoved "ADDITIONAL_ITEMS_REMOVED" Never Keyword "Keep further items allowed";
    AdditionalItemsNarrowed "ADDITIONAL_ITEMS_NARROWED" Never FewerElements "Keep further items unrestricted";
    UnevaluatedItemsRemoved "UNEVALUATED_ITEMS_REMOVED" Never Keyword "Keep unevaluated items allowed";
    UnevaluatedItemsNarrowed "UNEVALUATED_ITEMS_NARROWED" Never FewerElements "Keep unevaluated items unrestricted";
    ItemAddedToOpenContentModel "ITEM_ADDED_TO_OPEN_CONTENT_MODEL" Never AddedToOpen "Close the content model first (\"additionalItems\": false), or give the item an empty schema";
    ItemRemovedFromClosedContentModel "ITEM_REMOVED_FROM_CLOSED_CONTENT_MODEL" Never RemovedFromClosed "Keep the item, or open the content model (\"additionalItems\": true)";
    ItemRemovedNotCoveredByPartiallyOpenContentModel "ITEM_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL" Never RemovedNotCovered "Keep the item, or let the schema of further items allow it";
    ItemAddedNotCoveredByPartiallyOpenContentModel "ITEM_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL" Never AddedNotCovered "Let the item allow all that the schema of further items allowed";
    EnumArrayNarrowed "ENUM_ARRAY_NARROWED" Never FewerElements "Keep all values of the enum";
    EnumArrayChanged "ENUM_ARRAY_CHANGED" Never TypeChanged "Keep all values that were allowed";
    CombinedTypeChanged "COMBINED_TYPE_CHANGED" Never TypeChanged "Keep the keyword (allOf, anyOf, oneOf), or change it to anyOf";
    ProductTypeExtended "PRODUCT_TYPE_EXTENDED" Never MoreElements "Add no schema to allOf";
    SumTypeNarrowed "SUM_TYPE_NARROWED" Never FewerElements "Keep all schemas of oneOf or anyOf";
    CombinedTypeSubschemasChanged "COMBINED_TYPE_SUBSCHEMAS_CHANGED" Never TypeChanged "Keep for every schema of the combination one that allows all that it allowed";
    NotTypeExtended "NOT_TYPE_EXTENDED" Never MoreElements "Forbid no more than before";
}

impl ChangeKind {
    /// Whether data of the old schema stays valid under the new one, as the policy sees it.
    ///
    /// LOGICAL is STRICT here. Differs: Confluent's registry then also asks whether Flink and Iceberg could follow the
    /// change of their types; that is not asked.
    pub(super) fn is_compatible(self, policy: CompatibilityPolicy) -> bool {
        match self.allowed() {
            Allowed::Strict => true,
            Allowed::Lenient => policy == CompatibilityPolicy::Lenient,
            Allowed::Never => false,
        }
    }
}

/// A difference: what and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    /// What is different.
    pub(super) kind: ChangeKind,
    /// The path, such as `#/properties/email`.
    pub(super) path: String,
}

impl Change {
    /// For a verbose answer.
    pub(super) fn told(self) -> Incompatibility {
        Incompatibility {
            rule: self.kind.name(),
            description: describe(self.kind.sentence(), &self.path),
            path: self.path,
            additional_info: String::new(),
            remedy: self.kind.remedy().to_owned(),
        }
    }
}

fn describe(sentence: Sentence, path: &str) -> String {
    match sentence {
        Sentence::Told => String::new(),
        Sentence::Keyword => format!(
            "The keyword at path '{path}' in the {READER} schema is not present in the {WRITER} schema"
        ),
        Sentence::More => format!(
            "The value at path '{path}' in the {READER} schema is more than its value in the {WRITER} schema"
        ),
        Sentence::Less => format!(
            "The value at path '{path}' in the {READER} schema is less than its value in the {WRITER} schema"
        ),
        Sentence::ValueChanged => {
            format!(
                "The value at path '{path}' is different between the {READER} and {WRITER} schema"
            )
        }
        Sentence::TypeChanged => {
            format!(
                "A type at path '{path}' is different between the {READER} schema and the {WRITER} schema"
            )
        }
        Sentence::FewerElements => format!(
            "An array or combined type at path '{path}' has fewer elements in the {READER} schema than the {WRITER} schema"
        ),
        Sentence::MoreElements => format!(
            "An array or combined type at path '{path}' has more elements in the {READER} schema than the {WRITER} schema"
        ),
        Sentence::AddedToOpen => format!(
            "The {READER} schema has an open content model and has a property or item at path '{path}' which is missing in the {WRITER} schema"
        ),
        Sentence::RequiredAddedToUnopen => format!(
            "The {READER} schema has an unopen content model and has a required property at path '{path}' which is missing in the {WRITER} schema"
        ),
        Sentence::RemovedFromClosed => format!(
            "The {READER} schema has a closed content model and is missing a property or item present at path '{path}' in the {WRITER} schema"
        ),
        Sentence::RemovedNotCovered => format!(
            "A property or item is missing in the {READER} schema but present at path '{path}' in the {WRITER} schema and is not covered by its partially open content model"
        ),
        Sentence::AddedNotCovered => format!(
            "The {READER} schema has a property or item at path '{path}' which is missing in the {WRITER} schema and is not covered by its partially open content model"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_never_compatible_says_how_to_mend_it() {
        for kind in ChangeKind::ALL {
            let is_strict = kind.is_compatible(CompatibilityPolicy::Strict);
            assert_eq!(kind.remedy().is_empty(), is_strict, "{}", kind.name());
            if is_strict {
                assert!(kind.is_compatible(CompatibilityPolicy::Lenient));
            }
        }
    }

    #[test]
    fn a_change_is_told_in_the_counterparts_words() {
        let change = Change {
            kind: ChangeKind::PropertyRemovedFromClosedContentModel,
            path: "#/properties/x".to_owned(),
        };
        let told = change.told();
        assert_eq!(told.rule, "PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL");
        assert_eq!(
            told.description,
            "The {reader} schema has a closed content model and is missing a property or item present at path '#/properties/x' in the {writer} schema"
        );
    }
}
