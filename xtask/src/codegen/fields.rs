//! What the emitter says of one field: its Rust type, its default, and the expressions that read, write and sample it.

use anyhow::{Result, bail};

use super::names::{field_name, snake_case};
use super::schema::{Field, Message, Struct, Type, Versions};

/// How a condition on the version reads in the place where it is tested.
pub(super) enum When {
    Always,
    Never,
    If(String),
}

pub(super) fn when(range: Versions, within: Versions) -> When {
    let range = range.intersect(within);
    if range.is_empty() {
        return When::Never;
    }
    match (range.low > within.low, range.high < within.high) {
        (false, false) => When::Always,
        (true, false) => When::If(format!("version >= {}", range.low)),
        (false, true) => When::If(format!("version <= {}", range.high)),
        (true, true) if range.low == range.high => When::If(format!("version == {}", range.low)),
        (true, true) => When::If(format!(
            "({}..={}).contains(&version)",
            range.low, range.high
        )),
    }
}

pub(super) fn versions_text(range: Versions, within: Versions) -> String {
    match when(range, within) {
        When::Always => "in every version".to_owned(),
        _ if range.low == range.high => format!("in version {}", range.low),
        _ if range.high == within.high => format!("from version {}", range.low),
        _ => format!("in versions {} to {}", range.low, range.high),
    }
}

pub(super) fn innermost(ty: &Type) -> &Type {
    match ty {
        Type::Array(element) => innermost(element),
        other => other,
    }
}

pub(super) fn needs_flexible(field: &Field) -> bool {
    field.flexible.is_none()
        && !matches!(
            field.ty,
            Type::Bool | Type::Int(_) | Type::Uuid | Type::Struct(_)
        )
}

/// Whether some version of the struct ends in tagged fields.
pub(super) fn has_tagged_section(message: &Message, item: &Struct) -> bool {
    !message.flexible.intersect(item.versions).is_empty()
}

fn plain_type(ty: &Type) -> String {
    match ty {
        Type::Bool => "bool".to_owned(),
        Type::Int(name) => (*name).to_owned(),
        Type::Uuid => "Uuid".to_owned(),
        Type::String => "String".to_owned(),
        Type::Bytes => "Bytes".to_owned(),
        Type::Records => "Records".to_owned(),
        Type::Struct(name) => name.clone(),
        Type::Array(element) => format!("Vec<{}>", plain_type(element)),
    }
}

pub(super) fn rust_type(field: &Field) -> String {
    let plain = plain_type(&field.ty);
    if field.nullable.is_empty() {
        plain
    } else {
        format!("Option<{plain}>")
    }
}

pub(super) fn default_value(field: &Field) -> Result<String> {
    let text = field.default.as_deref();
    if text == Some("null") {
        return Ok("None".to_owned());
    }
    let plain = match (&field.ty, text) {
        (Type::Bool, text) => text.unwrap_or("false").to_owned(),
        (Type::Int("f64"), text) => format!("{:?}", text.unwrap_or("0").parse::<f64>()?),
        (Type::Int(_), text) => text.unwrap_or("0").to_owned(),
        (Type::Uuid, _) => "Uuid::ZERO".to_owned(),
        (Type::String, None | Some("")) => "String::new()".to_owned(),
        (Type::String, Some(text)) => format!("\"{text}\".to_owned()"),
        (Type::Bytes, None | Some("")) => "Bytes::new()".to_owned(),
        (Type::Records, None) => "Records::empty()".to_owned(),
        (Type::Struct(name), None) => format!("{name}::default()"),
        (Type::Array(_), None) => "Vec::new()".to_owned(),
        (ty, Some(text)) => bail!("{}: default '{text}' of type {ty:?}", field.name),
    };
    Ok(if field.nullable.is_empty() {
        plain
    } else {
        format!("Some({plain})")
    })
}

/// An expression that is true when the field is not at its default.
pub(super) fn not_default(field: &Field) -> Result<String> {
    let value = format!("self.{}", field_name(&field.name));
    let default = default_value(field)?;
    Ok(match (&field.ty, default.as_str()) {
        (_, "None") => format!("{value}.is_some()"),
        (Type::Bool, "false") => value,
        (Type::Bool, "true") => format!("!{value}"),
        (Type::String | Type::Bytes | Type::Records | Type::Array(_), d)
            if !d.starts_with("Some") && !d.ends_with(".to_owned()") =>
        {
            format!("!{value}.is_empty()")
        }
        (Type::String | Type::Bytes | Type::Records | Type::Array(_), d)
            if d.starts_with("Some") =>
        {
            format!("{value}.as_ref().is_none_or(|value| !value.is_empty())")
        }
        (Type::String, d) => format!("{value} != {}", d.trim_end_matches(".to_owned()")),
        (_, d) => format!("{value} != {d}"),
    })
}

pub(super) fn read_expr(
    field: &Field,
    flexible: &str,
    range: Versions,
    within: Versions,
    reader: &str,
) -> Result<String> {
    if field.nullable.is_empty() {
        return Ok(format!("{}?", read_call(&field.ty, flexible, reader)));
    }
    let nullable = match &field.ty {
        Type::Struct(name) => format!(
            "if {reader}.{}()? {{ Some({name}::read({reader}, version)?) }} else {{ None }}",
            if reader == "field" {
                "is_present_in_tag"
            } else {
                "is_present"
            }
        ),
        ty => format!(
            "{}?",
            read_call(ty, flexible, reader).replacen(
                &format!("{reader}."),
                &format!("{reader}.nullable_"),
                1
            )
        ),
    };
    Ok(match when(field.nullable, range.intersect(within)) {
        When::Always => nullable,
        When::Never => format!("Some({}?)", read_call(&field.ty, flexible, reader)),
        When::If(condition) => format!(
            "if {condition} {{ {nullable} }} else {{ Some({}?) }}",
            read_call(&field.ty, flexible, reader)
        ),
    })
}

/// A call that reads a value that is not null, without its `?`.
fn read_call(ty: &Type, flexible: &str, reader: &str) -> String {
    match ty {
        Type::Bool => format!("{reader}.bool()"),
        Type::Int(name) => format!("{reader}.{name}()"),
        Type::Uuid => format!("{reader}.uuid()"),
        Type::String => format!("{reader}.string({flexible})"),
        Type::Bytes => format!("{reader}.bytes({flexible})"),
        Type::Records => format!("{reader}.records({flexible})"),
        Type::Struct(name) => format!("{name}::read({reader}, version)"),
        Type::Array(element) => {
            let min = match element.as_ref() {
                Type::Struct(name) => format!("min_bytes::{}", snake_case(name).to_uppercase()),
                other => scalar_min_bytes(other).to_string(),
            };
            let call = match element.as_ref() {
                Type::Bool => "Reader::bool".to_owned(),
                Type::Int(name) => format!("Reader::{name}"),
                Type::Uuid => "Reader::uuid".to_owned(),
                other => format!("|reader| {}", read_call(other, flexible, "reader")),
            };
            format!("{reader}.array({flexible}, {min}, {call})")
        }
    }
}

/// The least a value can take in any version: a compact length, or the number itself.
pub(super) fn scalar_min_bytes(ty: &Type) -> usize {
    match ty {
        Type::Int("i16" | "u16") => 2,
        Type::Int("i32" | "u32") => 4,
        Type::Int("i64" | "f64") => 8,
        Type::Uuid => 16,
        _ => 1,
    }
}

pub(super) fn write_nullable(ty: &Type, value: &str, flexible: &str, writer: &str) -> String {
    match ty {
        Type::String => format!("{writer}.nullable_string({flexible}, {value}.as_deref())?;"),
        Type::Bytes => format!("{writer}.nullable_bytes({flexible}, {value}.as_ref())?;"),
        Type::Records => format!("{writer}.nullable_records({flexible}, {value}.as_ref())?;"),
        Type::Array(element) => format!(
            "{writer}.nullable_array({flexible}, {value}.as_deref(), {})?;",
            write_element(element, flexible)
        ),
        Type::Struct(_) => format!(
            "match &{value} {{\nNone => {writer}.i8(-1),\nSome(value) => {{\n{writer}.i8(1);\nvalue.write({writer}, version)?;\n}}\n}}"
        ),
        other => unreachable!("{other:?} is never nullable in the protocol"),
    }
}

fn write_element(element: &Type, flexible: &str) -> String {
    match element {
        Type::Struct(_) => "|writer, value| value.write(writer, version)".to_owned(),
        Type::Bool | Type::Int(_) | Type::Uuid => {
            format!(
                "|writer, value| {{ {}; Ok(()) }}",
                write_value(element, "*value", flexible, "writer", false)
            )
        }
        other => format!(
            "|writer, value| {}",
            write_value(other, "value", flexible, "writer", true)
        ),
    }
}

/// A call that writes a value that is not null; `value` is a place, or a reference when `by_ref`.
pub(super) fn write_value(
    ty: &Type,
    value: &str,
    flexible: &str,
    writer: &str,
    by_ref: bool,
) -> String {
    let reference = if by_ref {
        value.to_owned()
    } else {
        format!("&{value}")
    };
    let end = if by_ref { "" } else { "?" };
    match ty {
        Type::Bool => format!("{writer}.bool({value})"),
        Type::Int(name) => format!("{writer}.{name}({value})"),
        Type::Uuid => format!("{writer}.uuid({value})"),
        Type::String => format!("{writer}.string({flexible}, {reference}){end}"),
        Type::Bytes => format!("{writer}.bytes({flexible}, {reference}){end}"),
        Type::Records => format!("{writer}.records({flexible}, {reference}){end}"),
        Type::Struct(_) => format!("{value}.write({writer}, version){end}"),
        Type::Array(element) => {
            format!(
                "{writer}.array({flexible}, {reference}, {}){end}",
                write_element(element, flexible)
            )
        }
    }
}

pub(super) fn sample_expr(ty: &Type) -> String {
    match ty {
        Type::Bool => "sampler.bool()".to_owned(),
        Type::Int(name) => format!("sampler.{name}()"),
        Type::Uuid => "sampler.uuid()".to_owned(),
        Type::String => "sampler.string()".to_owned(),
        Type::Bytes => "sampler.bytes()".to_owned(),
        Type::Records => "sampler.records()".to_owned(),
        Type::Struct(name) => format!("{name}::sample(sampler, version)"),
        Type::Array(element) => format!("sampler.array(|sampler| {})", sample_expr(element)),
    }
}
