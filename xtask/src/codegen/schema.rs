//! Kafka's message schemas as they stand in the spec file: one JSON object a line.
//!
//! The schema language is Kafka's own (`clients/src/main/resources/common/message/README.md`): each field has
//! a range of versions it is in, may be nullable or tagged in some of them, and names its struct inline.

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

/// An inclusive range of versions; empty when `low > high`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Versions {
    pub(crate) low: i16,
    pub(crate) high: i16,
}

impl Versions {
    pub(crate) const NONE: Versions = Versions { low: 0, high: -1 };

    /// Parses `none`, `3`, `3+` or `3-7`.
    pub(crate) fn parse(text: &str) -> Result<Versions> {
        let number = |text: &str| {
            text.parse::<i16>()
                .with_context(|| format!("'{text}' is not a version"))
        };
        if text == "none" {
            return Ok(Versions::NONE);
        }
        if let Some(low) = text.strip_suffix('+') {
            return Ok(Versions {
                low: number(low)?,
                high: i16::MAX,
            });
        }
        Ok(match text.split_once('-') {
            Some((low, high)) => Versions {
                low: number(low)?,
                high: number(high)?,
            },
            None => Versions {
                low: number(text)?,
                high: number(text)?,
            },
        })
    }

    pub(crate) fn is_empty(self) -> bool {
        self.low > self.high
    }

    pub(crate) fn contains(self, version: i16) -> bool {
        self.low <= version && version <= self.high
    }

    pub(crate) fn intersect(self, other: Versions) -> Versions {
        let both = Versions {
            low: self.low.max(other.low),
            high: self.high.min(other.high),
        };
        if both.is_empty() {
            Versions::NONE
        } else {
            both
        }
    }

    /// The part of `self` that is below or above `other`; the schemas never need both.
    pub(crate) fn without(self, other: Versions) -> Result<Versions> {
        let common = self.intersect(other);
        if common.is_empty() {
            return Ok(self);
        }
        if common == self {
            return Ok(Versions::NONE);
        }
        if common.high == self.high {
            return Ok(Versions {
                low: self.low,
                high: common.low - 1,
            });
        }
        ensure!(common.low == self.low, "{other:?} splits {self:?} in two");
        Ok(Versions {
            low: common.high + 1,
            high: self.high,
        })
    }
}

/// A field's type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Bool,
    Int(&'static str),
    Uuid,
    String,
    Bytes,
    Records,
    Struct(String),
    Array(Box<Type>),
}

impl Type {
    pub(crate) fn parse(text: &str) -> Result<Type> {
        if let Some(element) = text.strip_prefix("[]") {
            return Ok(Type::Array(Box::new(Type::parse(element)?)));
        }
        Ok(match text {
            "bool" => Type::Bool,
            "int8" => Type::Int("i8"),
            "int16" => Type::Int("i16"),
            "int32" => Type::Int("i32"),
            "int64" => Type::Int("i64"),
            "uint16" => Type::Int("u16"),
            "uint32" => Type::Int("u32"),
            "float64" => Type::Int("f64"),
            "uuid" => Type::Uuid,
            "string" => Type::String,
            "bytes" => Type::Bytes,
            "records" => Type::Records,
            name if name.starts_with(|c: char| c.is_ascii_uppercase()) => {
                Type::Struct(name.to_owned())
            }
            other => bail!("unknown type '{other}'"),
        })
    }
}

/// One line of the spec file.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawMessage {
    api_key: Option<i16>,
    r#type: String,
    #[serde(default)]
    listeners: Vec<String>,
    name: String,
    valid_versions: String,
    flexible_versions: Option<String>,
    #[serde(default)]
    latest_version_unstable: bool,
    #[serde(default)]
    fields: Vec<RawField>,
    #[serde(default)]
    common_structs: Vec<RawStruct>,
}

#[derive(Debug, Deserialize)]
struct RawStruct {
    name: String,
    fields: Vec<RawField>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawField {
    name: String,
    r#type: String,
    versions: Option<String>,
    nullable_versions: Option<String>,
    tagged_versions: Option<String>,
    flexible_versions: Option<String>,
    tag: Option<u32>,
    #[serde(default)]
    default: Option<serde_json::Value>,
    #[serde(default)]
    ignorable: bool,
    fields: Option<Vec<RawField>>,
}

/// What a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Request,
    Response,
    Header,
    Data,
    Coordinator,
}

/// A message with every version it ever had in the range.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) api_key: Option<i16>,
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) on_broker_listener: bool,
    pub(crate) valid: Versions,
    pub(crate) flexible: Versions,
    pub(crate) latest_version_unstable: bool,
    /// The message itself first, then its structs in the order they appear.
    pub(crate) structs: Vec<Struct>,
}

/// A struct of a message, the message itself included.
#[derive(Debug)]
pub(crate) struct Struct {
    pub(crate) name: String,
    /// The versions of the message in which the struct can appear.
    pub(crate) versions: Versions,
    pub(crate) fields: Vec<Field>,
}

/// A field of a struct. All ranges are cut to the struct's own.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) ty: Type,
    pub(crate) versions: Versions,
    pub(crate) nullable: Versions,
    pub(crate) tagged: Versions,
    pub(crate) tag: u32,
    pub(crate) default: Option<String>,
    pub(crate) ignorable: bool,
    /// `Some(false)` for the one field of the protocol that stays plain in a flexible message:
    /// the client id of the request header (KIP-482).
    pub(crate) flexible: Option<bool>,
}

/// Parses the text of a spec file, one message a line.
pub(crate) fn parse_all(text: &str) -> Result<Vec<Message>> {
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            let raw: RawMessage = serde_json::from_str(line)?;
            let name = raw.name.clone();
            resolve(raw).with_context(|| format!("message {name}"))
        })
        .collect()
}

fn resolve(mut raw: RawMessage) -> Result<Message> {
    let kind = match raw.r#type.as_str() {
        "request" => Kind::Request,
        "response" => Kind::Response,
        "header" => Kind::Header,
        "data" => Kind::Data,
        "coordinator-key" | "coordinator-value" => Kind::Coordinator,
        other => bail!("unknown message type '{other}'"),
    };
    let valid = Versions::parse(&raw.valid_versions)?;
    let flexible = Versions::parse(raw.flexible_versions.as_deref().unwrap_or("none"))?;
    let mut structs = Vec::new();
    if kind == Kind::Response {
        make_ignorable(&mut raw.fields);
        raw.common_structs
            .iter_mut()
            .for_each(|common| make_ignorable(&mut common.fields));
    }
    let common = raw
        .common_structs
        .iter()
        .map(|s| (s.name.as_str(), &s.fields))
        .collect::<Vec<_>>();
    if !valid.is_empty() {
        collect(
            &raw.name,
            &raw.fields,
            (valid, valid),
            &common,
            &mut structs,
        )?;
    }
    Ok(Message {
        api_key: raw.api_key,
        kind,
        name: raw.name,
        on_broker_listener: raw.listeners.iter().any(|l| l == "broker"),
        valid,
        flexible,
        latest_version_unstable: raw.latest_version_unstable,
        structs,
    })
}

/// An old client never knew the fields that came after it, so a response leaves them out, where a request
/// that cannot say what it means is refused. Differs: Kafka's generator refuses both, and its handlers leave
/// such fields unset version by version.
fn make_ignorable(fields: &mut [RawField]) {
    for field in fields {
        field.ignorable = true;
        make_ignorable(field.fields.as_deref_mut().unwrap_or_default());
    }
}

fn collect(
    name: &str,
    fields: &[RawField],
    (versions, valid): (Versions, Versions),
    common: &[(&str, &Vec<RawField>)],
    structs: &mut Vec<Struct>,
) -> Result<()> {
    if structs.iter().any(|known| known.name == name) {
        return Ok(());
    }
    let at = structs.len();
    structs.push(Struct {
        name: name.to_owned(),
        versions,
        fields: Vec::new(),
    });
    let mut resolved = Vec::new();
    for raw in fields {
        let field = resolve_field(raw, versions).with_context(|| format!("field {}", raw.name))?;
        if field.versions.is_empty() {
            continue;
        }
        let mut inner = &field.ty;
        while let Type::Array(element) = inner {
            inner = element;
        }
        if let Type::Struct(inner_name) = inner {
            let inner_fields = match (&raw.fields, common.iter().find(|(n, _)| n == inner_name)) {
                (Some(fields), _) => fields,
                (None, Some((_, fields))) => fields,
                (None, None) => bail!("struct {inner_name} is not defined"),
            };
            // A common struct is reached from several fields, each with versions of its own.
            let is_common = raw.fields.is_none();
            let inner_versions = if is_common { valid } else { field.versions };
            collect(
                inner_name,
                inner_fields,
                (inner_versions, valid),
                common,
                structs,
            )?;
        }
        resolved.push(field);
    }
    structs[at].fields = resolved;
    Ok(())
}

fn resolve_field(raw: &RawField, within: Versions) -> Result<Field> {
    let range = |text: &Option<String>| Versions::parse(text.as_deref().unwrap_or("none"));
    // A field that only ever is tagged may leave its own range out.
    let versions = raw.versions.as_ref().or(raw.tagged_versions.as_ref());
    let versions = Versions::parse(versions.context("neither versions nor taggedVersions")?)?
        .intersect(within);
    let tagged = range(&raw.tagged_versions)?.intersect(versions);
    ensure!(
        tagged.is_empty() || raw.tag.is_some(),
        "tagged without a tag"
    );
    Ok(Field {
        name: raw.name.clone(),
        ty: Type::parse(&raw.r#type)?,
        versions,
        nullable: range(&raw.nullable_versions)?.intersect(versions),
        tagged,
        tag: raw.tag.unwrap_or_default(),
        default: raw.default.as_ref().map(|value| match value {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        }),
        ignorable: raw.ignorable,
        flexible: raw.flexible_versions.as_ref().map(|text| text != "none"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_ranges_parse_and_subtract() {
        let parse = |text| Versions::parse(text).unwrap();
        assert_eq!(parse("3+").intersect(parse("0-5")), parse("3-5"));
        assert_eq!(parse("0-12").without(parse("5+")).unwrap(), parse("0-4"));
        assert!(parse("2").without(parse("0+")).unwrap().is_empty());
        assert!(parse("0-9").without(parse("3-4")).is_err());
        assert!(Versions::parse("x").is_err());
    }
}
