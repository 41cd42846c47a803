//! An Avro schema in memory: a list of types that point at each other by number.
//!
//! Every use of a type that is not named is a type of its own; a named type is there once, and its uses point at it,
//! so recursion is a cycle of numbers. All that Avro's Java library keeps of a schema is kept, in its order.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value};

use crate::error::SchemaError;
use crate::limits::DEPTH_MAX;

/// What errors call the format.
pub(crate) const FORMAT: &str = "Avro";

/// The number of a type in its [`Model`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TypeId(pub(crate) u32);

/// Attributes that Avro gives no meaning to, in the order they were written.
pub(crate) type Props = Map<String, Value>;

/// A name with its namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Name {
    /// None: the null namespace.
    pub(crate) namespace: Option<String>,
    /// Without the namespace.
    pub(crate) short: String,
}

impl Name {
    /// As `name` means it where `namespace` is the surrounding one. Nothing is validated.
    pub(crate) fn new(name: &str, namespace: Option<&str>) -> Self {
        let (namespace, short) = match name.rsplit_once('.') {
            Some((own, short)) => (Some(own), short),
            None => (namespace, name),
        };
        Self {
            namespace: namespace.filter(|name| !name.is_empty()).map(str::to_owned),
            short: short.to_owned(),
        }
    }

    /// `namespace.name`.
    pub(crate) fn full(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{namespace}.{}", self.short),
            None => self.short.clone(),
        }
    }

    /// As short as it can be written where `namespace` is the surrounding one (`Name.getQualified`).
    pub(crate) fn qualified(&self, namespace: Option<&str>) -> String {
        let is_same = self.namespace.is_some() && self.namespace.as_deref() == namespace;
        if is_same && !is_type_word(&self.short) {
            self.short.clone()
        } else {
            self.full()
        }
    }
}

/// Whether a name is a word of the language, so that it cannot stand alone for a type.
fn is_type_word(name: &str) -> bool {
    Primitive::of(name).is_some()
        || matches!(
            name,
            "record" | "enum" | "array" | "map" | "union" | "fixed"
        )
}

/// A type without parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Primitive {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
}

impl Primitive {
    /// The type of that name.
    pub(crate) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "null" => Self::Null,
            "boolean" => Self::Boolean,
            "int" => Self::Int,
            "long" => Self::Long,
            "float" => Self::Float,
            "double" => Self::Double,
            "bytes" => Self::Bytes,
            "string" => Self::String,
            _ => return None,
        })
    }

    /// As schemas write it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Int => "int",
            Self::Long => "long",
            Self::Float => "float",
            Self::Double => "double",
            Self::Bytes => "bytes",
            Self::String => "string",
        }
    }
}

/// What records, enums and fixed types have in common.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Named {
    pub(crate) name: Name,
    pub(crate) doc: Option<String>,
    /// In the order written, each once.
    pub(crate) aliases: Vec<Name>,
}

/// How a field counts when records are sorted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Order {
    #[default]
    Ascending,
    Descending,
    Ignore,
}

impl Order {
    /// As schemas write it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ascending => "ascending",
            Self::Descending => "descending",
            Self::Ignore => "ignore",
        }
    }
}

/// A field of a record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) type_id: TypeId,
    pub(crate) doc: Option<String>,
    pub(crate) default: Option<Value>,
    pub(crate) order: Order,
    pub(crate) aliases: Vec<String>,
    pub(crate) props: Props,
}

/// A record or an error.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Record {
    pub(crate) named: Named,
    pub(crate) is_error: bool,
    pub(crate) fields: Vec<Field>,
    /// Where the field of a name is in `fields`.
    pub(crate) index: HashMap<String, usize>,
}

impl Record {
    /// The field of that name, aliases aside.
    pub(crate) fn field(&self, name: &str) -> Option<&Field> {
        self.index.get(name).and_then(|&at| self.fields.get(at))
    }
}

/// An enum.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Enum {
    pub(crate) named: Named,
    pub(crate) symbols: Vec<String>,
    pub(crate) default: Option<String>,
}

/// A sequence of bytes of one length.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fixed {
    pub(crate) named: Named,
    pub(crate) size: u32,
}

/// What a type is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Primitive(Primitive),
    Array(TypeId),
    Map(TypeId),
    Union(Vec<TypeId>),
    Record(Record),
    Enum(Enum),
    Fixed(Fixed),
    /// A name whose definition comes later in the text. None is left once a schema is parsed.
    Forward,
}

/// One type.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Type {
    pub(crate) kind: Kind,
    pub(crate) props: Props,
}

impl Type {
    /// What named types have; none for others.
    pub(crate) fn named(&self) -> Option<&Named> {
        match &self.kind {
            Kind::Record(record) => Some(&record.named),
            Kind::Enum(enumeration) => Some(&enumeration.named),
            Kind::Fixed(fixed) => Some(&fixed.named),
            _ => None,
        }
    }

    /// `record`, `string`, ...
    pub(crate) fn word(&self) -> &'static str {
        match &self.kind {
            Kind::Primitive(primitive) => primitive.name(),
            Kind::Array(_) => "array",
            Kind::Map(_) => "map",
            Kind::Union(_) => "union",
            Kind::Record(_) | Kind::Forward => "record",
            Kind::Enum(_) => "enum",
            Kind::Fixed(_) => "fixed",
        }
    }

    /// The name under which a union knows the type: the full one of a named type, else its word.
    pub(crate) fn union_name(&self) -> String {
        self.named()
            .map_or_else(|| self.word().to_owned(), |named| named.name.full())
    }

    /// Its `logicalType`, when the type beneath is one that Avro lets it have (`LogicalTypes.fromSchemaIgnoreInvalid`).
    pub(crate) fn logical(&self) -> Option<&str> {
        let name = self.props.get("logicalType")?.as_str()?;
        let is_valid = match (name, &self.kind) {
            ("decimal", Kind::Primitive(Primitive::Bytes) | Kind::Fixed(_)) => {
                self.decimal().is_some()
            }
            ("big-decimal", Kind::Primitive(Primitive::Bytes))
            | ("uuid", Kind::Primitive(Primitive::String))
            | ("date" | "time-millis", Kind::Primitive(Primitive::Int))
            | (
                "time-micros"
                | "timestamp-millis"
                | "timestamp-micros"
                | "timestamp-nanos"
                | "local-timestamp-millis"
                | "local-timestamp-micros"
                | "local-timestamp-nanos",
                Kind::Primitive(Primitive::Long),
            ) => true,
            ("uuid", Kind::Fixed(fixed)) => fixed.size == 16,
            ("duration", Kind::Fixed(fixed)) => fixed.size == 12,
            _ => false,
        };
        is_valid.then_some(name)
    }

    /// Precision and scale of a decimal; none if they are not valid.
    pub(crate) fn decimal(&self) -> Option<(u32, u32)> {
        let number = |name: &str| self.props.get(name).map(|value| value.as_u64());
        let precision = u32::try_from(number("precision")??).ok()?;
        let scale = match number("scale") {
            None => 0,
            Some(scale) => u32::try_from(scale?).ok()?,
        };
        let fits = match &self.kind {
            // Math.floor(log10(2) * (8 * size - 1))
            Kind::Fixed(fixed) => {
                f64::from(precision) <= (2f64.log10() * (8.0 * f64::from(fixed.size) - 1.0)).floor()
            }
            _ => true,
        };
        (precision > 0 && scale <= precision && fits).then_some((precision, scale))
    }

    /// The tags in `confluent:tags`.
    pub(crate) fn tags(&self) -> BTreeSet<String> {
        tags(&self.props)
    }
}

/// The tags in `confluent:tags`.
pub(crate) fn tags(props: &Props) -> BTreeSet<String> {
    let list = props.get(TAGS).and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .map(|tag| match tag {
            Value::String(tag) => tag.clone(),
            other => other.to_string(),
        })
        .collect()
}

/// The attribute that holds the tags of a record or a field.
pub(crate) const TAGS: &str = "confluent:tags";

/// All types of a schema and of those it refers to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Model {
    pub(crate) types: Vec<Type>,
    pub(crate) root: TypeId,
    /// The types that the references are, one each.
    pub(crate) references: Vec<TypeId>,
}

impl Model {
    /// The type of that number.
    pub(crate) fn get(&self, id: TypeId) -> &Type {
        // Numbers are only given out for types that are in the list, which only grows.
        &self.types[id.0 as usize]
    }

    /// The type of the whole schema.
    pub(crate) fn root(&self) -> &Type {
        self.get(self.root)
    }

    /// The types that a type is made of, with the words that lead to them in the text.
    pub(crate) fn children(&self, id: TypeId) -> Vec<TypeId> {
        match &self.get(id).kind {
            Kind::Array(inner) | Kind::Map(inner) => vec![*inner],
            Kind::Union(branches) => branches.clone(),
            Kind::Record(record) => record.fields.iter().map(|field| field.type_id).collect(),
            Kind::Primitive(_) | Kind::Enum(_) | Kind::Fixed(_) | Kind::Forward => Vec::new(),
        }
    }

    /// Checks that a walk from the root, each named type once, goes no deeper than [`DEPTH_MAX`]: every walk over the
    /// types recurses in the same order, and so no deeper.
    pub(crate) fn check_depth(&self) -> Result<(), SchemaError> {
        let mut seen = vec![false; self.types.len()];
        let mut stack = vec![(self.root, 1)];
        while let Some((id, depth)) = stack.pop() {
            if depth > DEPTH_MAX {
                return Err(SchemaError::TooComplex {
                    what: "the depth of types within each other",
                    max: DEPTH_MAX,
                });
            }
            if self.get(id).named().is_some() {
                match seen.get_mut(id.0 as usize) {
                    Some(seen) if !*seen => *seen = true,
                    _ => continue,
                }
            }
            for child in self.children(id).into_iter().rev() {
                stack.push((child, depth + 1));
            }
        }
        Ok(())
    }
}
