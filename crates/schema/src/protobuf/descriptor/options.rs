//! Options in descriptors: from what is written to messages such as `FieldOptions`, and back.
//!
//! An option that no file declares, or whose value does not fit, is left out of the descriptor: the text still has it.

use prost_reflect::{
    Cardinality, DescriptorPool, DynamicMessage, ExtensionDescriptor, FieldDescriptor, Kind,
    MapKey, Value as Data,
};

use super::build::Pending;
use crate::protobuf::ast::{NamePart, OptionDecl, Place, Value};
use crate::protobuf::lexer::integer;
use crate::protobuf::names::Names;

/// Sets the options of what `pending.path` leads to.
pub(super) fn apply(
    pool: &DescriptorPool,
    file: &mut DynamicMessage,
    pending: &Pending,
    names: &Names<'_>,
) {
    let mut target = file;
    for step in pending.path.chunks(2) {
        let [tag, index] = step else {
            return;
        };
        let (Ok(tag), Ok(index)) = (u32::try_from(*tag), usize::try_from(*index)) else {
            return;
        };
        let list = target
            .get_field_by_number_mut(tag)
            .and_then(Data::as_list_mut);
        let next = list
            .and_then(|list| list.get_mut(index))
            .and_then(Data::as_message_mut);
        let Some(next) = next else {
            return;
        };
        target = next;
    }
    let Some(Data::Message(options)) = target.get_field_by_name_mut("options") else {
        return;
    };
    for option in &pending.options {
        let _known = set(
            pool,
            options,
            &option.name,
            &option.value,
            &pending.scope,
            names,
        );
    }
}

/// A field of a message, or an extension of it.
enum Slot {
    Field(FieldDescriptor),
    Extension(ExtensionDescriptor),
}

impl Slot {
    fn find(
        pool: &DescriptorPool,
        message: &DynamicMessage,
        name: &str,
        extension: bool,
        scope: &str,
        names: &Names<'_>,
    ) -> Option<Self> {
        if !extension {
            return message.descriptor_field(name).map(Self::Field);
        }
        let (full, _) = names.resolve_extension(name, scope)?;
        let found = pool.get_extension_by_name(&full)?;
        (found.containing_message() == message.message_descriptor())
            .then_some(Self::Extension(found))
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Field(field) => field.kind(),
            Self::Extension(extension) => extension.kind(),
        }
    }

    fn is_list(&self) -> bool {
        match self {
            Self::Field(field) => field.is_list(),
            Self::Extension(extension) => extension.cardinality() == Cardinality::Repeated,
        }
    }

    fn is_map(&self) -> bool {
        matches!(self, Self::Field(field) if field.is_map())
    }

    fn value<'m>(&self, message: &'m mut DynamicMessage) -> &'m mut Data {
        match self {
            Self::Field(field) => message.get_field_mut(field),
            Self::Extension(extension) => message.get_extension_mut(extension),
        }
    }
}

/// What [`Slot::find`] asks of a message.
trait Described {
    fn descriptor_field(&self, name: &str) -> Option<FieldDescriptor>;
    fn message_descriptor(&self) -> prost_reflect::MessageDescriptor;
}

impl Described for DynamicMessage {
    fn descriptor_field(&self, name: &str) -> Option<FieldDescriptor> {
        self.message_descriptor().get_field_by_name(name)
    }

    fn message_descriptor(&self) -> prost_reflect::MessageDescriptor {
        prost_reflect::ReflectMessage::descriptor(self)
    }
}

fn set(
    pool: &DescriptorPool,
    message: &mut DynamicMessage,
    name: &[NamePart],
    value: &Value,
    scope: &str,
    names: &Names<'_>,
) -> Option<()> {
    let (part, rest) = name.split_first()?;
    let slot = Slot::find(pool, message, &part.name, part.extension, scope, names)?;
    if !rest.is_empty() {
        let inner = slot.value(message).as_message_mut()?;
        return set(pool, inner, rest, value, scope, names);
    }
    let values = match value {
        Value::List(values) if slot.is_list() || slot.is_map() => values.as_slice(),
        single => std::slice::from_ref(single),
    };
    for value in values {
        let data = data(pool, &slot.kind(), value, scope, names)?;
        if slot.is_map() {
            let entry = data.as_message()?;
            let key: MapKey = entry
                .get_field_by_name("key")?
                .into_owned()
                .into_map_key()?;
            let value = entry.get_field_by_name("value")?.into_owned();
            slot.value(message).as_map_mut()?.insert(key, value);
        } else if slot.is_list() {
            slot.value(message).as_list_mut()?.push(data);
        } else {
            *slot.value(message) = data;
        }
    }
    Some(())
}

fn data(
    pool: &DescriptorPool,
    kind: &Kind,
    value: &Value,
    scope: &str,
    names: &Names<'_>,
) -> Option<Data> {
    Some(match (kind, value) {
        (Kind::Bool, Value::Bool(value)) => Data::Bool(*value),
        (Kind::String, Value::Str(bytes)) => Data::String(String::from_utf8(bytes.clone()).ok()?),
        (Kind::Bytes, Value::Str(bytes)) => Data::Bytes(bytes.clone().into()),
        (Kind::Double, value) => Data::F64(float(value)?),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "an option of type float has the precision of one"
        )]
        (Kind::Float, value) => Data::F32(float(value)? as f32),
        (Kind::Int32 | Kind::Sint32 | Kind::Sfixed32, value) => {
            Data::I32(whole(value)?.try_into().ok()?)
        }
        (Kind::Int64 | Kind::Sint64 | Kind::Sfixed64, value) => {
            Data::I64(whole(value)?.try_into().ok()?)
        }
        (Kind::Uint32 | Kind::Fixed32, value) => Data::U32(whole(value)?.try_into().ok()?),
        (Kind::Uint64 | Kind::Fixed64, value) => Data::U64(whole(value)?.try_into().ok()?),
        (Kind::Enum(each), Value::Word(word)) => {
            Data::EnumNumber(each.get_value_by_name(word)?.number())
        }
        (Kind::Message(descriptor), Value::Map(entries)) => {
            let mut message = DynamicMessage::new(descriptor.clone());
            for (key, value) in entries {
                let extension = key
                    .strip_prefix('[')
                    .and_then(|rest| rest.strip_suffix(']'));
                let part = NamePart {
                    name: extension.unwrap_or(key).to_owned(),
                    extension: extension.is_some(),
                };
                set(pool, &mut message, &[part], value, scope, names)?;
            }
            Data::Message(message)
        }
        _ => return None,
    })
}

fn whole(value: &Value) -> Option<i128> {
    let Value::Number(text) = value else {
        return None;
    };
    match text.strip_prefix('-') {
        Some(digits) => Some(-i128::from(integer(digits)?)),
        None => Some(i128::from(integer(text)?)),
    }
}

fn float(value: &Value) -> Option<f64> {
    match value {
        Value::Number(text) => text.trim_end_matches(['f', 'F']).parse().ok(),
        Value::Word(word) => word.parse().ok(),
        _ => None,
    }
}

/// The options that an options message holds, as they would be written.
pub(super) fn written(options: &DynamicMessage) -> Vec<OptionDecl> {
    let mut all = Vec::new();
    for (field, data) in options.fields() {
        match (field.name(), data) {
            ("uninterpreted_option", _) => {}
            ("features", Data::Message(features)) => {
                for (feature, data) in features.fields() {
                    let word = text(&feature.kind(), data);
                    all.push(plain(&["features", feature.name()], word));
                }
            }
            (name, data) => put(&mut all, name, false, &field.kind(), data),
        }
    }
    for (extension, data) in options.extensions() {
        put(
            &mut all,
            extension.full_name(),
            true,
            &extension.kind(),
            data,
        );
    }
    all
}

fn plain(name: &[&str], value: Value) -> OptionDecl {
    let part = |name: &&str| NamePart {
        name: (*name).to_owned(),
        extension: false,
    };
    OptionDecl {
        name: name.iter().map(part).collect(),
        value,
        at: Place::default(),
    }
}

fn put(all: &mut Vec<OptionDecl>, name: &str, extension: bool, kind: &Kind, data: &Data) {
    let mut one = |value| {
        all.push(OptionDecl {
            name: vec![NamePart {
                name: name.to_owned(),
                extension,
            }],
            value,
            at: Place::default(),
        });
    };
    match data {
        Data::List(list) => list.iter().for_each(|data| one(text(kind, data))),
        data => one(text(kind, data)),
    }
}

fn text(kind: &Kind, data: &Data) -> Value {
    match data {
        Data::Bool(value) => Value::Bool(*value),
        Data::I32(value) => Value::Number(value.to_string()),
        Data::I64(value) => Value::Number(value.to_string()),
        Data::U32(value) => Value::Number(value.to_string()),
        Data::U64(value) => Value::Number(value.to_string()),
        Data::F32(value) => float_text(f64::from(*value), value.to_string()),
        Data::F64(value) => float_text(*value, value.to_string()),
        Data::String(text) => Value::Str(text.clone().into_bytes()),
        Data::Bytes(bytes) => Value::Str(bytes.to_vec()),
        Data::EnumNumber(number) => {
            let name = match kind {
                Kind::Enum(each) => each.get_value(*number).map(|value| value.name().to_owned()),
                _ => None,
            };
            name.map_or_else(|| Value::Number(number.to_string()), Value::Word)
        }
        Data::Message(message) => {
            let mut entries = Vec::new();
            for (field, data) in message.fields() {
                entries.push((field.name().to_owned(), text(&field.kind(), data)));
            }
            for (extension, data) in message.extensions() {
                let key = format!("[{}]", extension.full_name());
                entries.push((key, text(&extension.kind(), data)));
            }
            Value::Map(entries)
        }
        Data::List(list) => Value::List(list.iter().map(|data| text(kind, data)).collect()),
        Data::Map(map) => map_text(kind, map),
    }
}

fn map_text(kind: &Kind, map: &std::collections::HashMap<MapKey, Data>) -> Value {
    let Kind::Message(entry) = kind else {
        return Value::List(Vec::new());
    };
    let (key_kind, value_kind) = (
        entry.map_entry_key_field().kind(),
        entry.map_entry_value_field().kind(),
    );
    let mut entries: Vec<Value> = map
        .iter()
        .map(|(key, value)| {
            let key = text(&key_kind, &Data::from(key.clone()));
            Value::Map(vec![
                ("key".to_owned(), key),
                ("value".to_owned(), text(&value_kind, value)),
            ])
        })
        .collect();
    entries.sort_by_cached_key(|entry| format!("{entry:?}"));
    Value::List(entries)
}

fn float_text(value: f64, text: String) -> Value {
    if value.is_nan() {
        Value::Word("nan".to_owned())
    } else if value == f64::INFINITY {
        Value::Word("inf".to_owned())
    } else {
        Value::Number(text)
    }
}
