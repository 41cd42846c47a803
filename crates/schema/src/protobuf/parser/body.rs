//! The bodies of messages and enums.

use super::super::ast::{
    Constant, Enum, Extensions, Field, FieldType, Group, Label, Message, Oneof, Reserved, Scalar,
    Syntax, Type,
};
use super::super::lexer::{Fault, Token};
use super::{FIELD_NUMBER_MAX, Parser};

impl Parser<'_> {
    pub(super) fn message(&mut self, visibility: Option<&'static str>) -> Result<Message, Fault> {
        let at = self.at;
        self.advance()?;
        let mut message = Message {
            name: self.word("the name of the message")?.to_owned(),
            at,
            visibility,
            ..Message::default()
        };
        self.message_body(&mut message)?;
        Ok(message)
    }

    fn message_body(&mut self, message: &mut Message) -> Result<(), Fault> {
        self.nested(|parser| {
            parser.sign('{')?;
            while !parser.take_sign('}')? {
                parser.message_item(message)?;
            }
            Ok(())
        })
    }

    fn message_item(&mut self, message: &mut Message) -> Result<(), Fault> {
        if self.take_sign(';')? {
            return Ok(());
        }
        let word = match self.token {
            Token::Word(word) => word,
            Token::Sign('.') => "",
            _ => return self.unexpected("a field, another declaration or '}'"),
        };
        match word {
            "message" => {
                let nested = self.message(None)?;
                message.types.push(Type::Message(nested));
            }
            "enum" => {
                let nested = self.enumeration(None)?;
                message.types.push(Type::Enum(nested));
            }
            "export" | "local" if self.syntax == Syntax::Edition(2024) => {
                let nested = self.visible_type()?;
                message.types.push(nested);
            }
            "option" => {
                let option = self.option_statement()?;
                message.options.push(option);
            }
            "oneof" => {
                let oneof = self.oneof()?;
                message.oneofs.push(oneof);
            }
            "extend" => {
                let extend = self.extend()?;
                message.extends.push(extend);
            }
            "reserved" => {
                let reserved = self.reserved(FIELD_NUMBER_MAX)?;
                message.reserved.push(reserved);
            }
            "extensions" => {
                let extensions = self.extensions()?;
                message.extensions.push(extensions);
            }
            _ => self.field_or_group(&mut message.fields, &mut message.groups)?,
        }
        Ok(())
    }

    pub(super) fn field_or_group(
        &mut self,
        fields: &mut Vec<Field>,
        groups: &mut Vec<Group>,
    ) -> Result<(), Fault> {
        let label = self.label()?;
        if self.looks_at("group") && (label.is_some() || self.syntax != Syntax::Proto2) {
            let group = self.group(label)?;
            groups.push(group);
            return Ok(());
        }
        let field = self.field(label, self.syntax == Syntax::Proto2)?;
        fields.push(field);
        Ok(())
    }

    fn oneof(&mut self) -> Result<Oneof, Fault> {
        let at = self.at;
        self.advance()?;
        let mut oneof = Oneof {
            name: self.word("the name of the oneof")?.to_owned(),
            options: Vec::new(),
            fields: Vec::new(),
            groups: Vec::new(),
            at,
        };
        self.block(|parser| {
            if parser.looks_at("option") {
                oneof.options.push(parser.option_statement()?);
            } else if parser.looks_at("group") {
                oneof.groups.push(parser.group(None)?);
            } else if let Token::Word(word @ ("optional" | "required" | "repeated")) = parser.token
            {
                return parser.fault(format!(
                    "a field of a oneof has no label: take {word:?} away"
                ));
            } else {
                oneof.fields.push(parser.field(None, false)?);
            }
            Ok(())
        })?;
        Ok(oneof)
    }

    /// A field from its type on. `labelled`: one without a label is a fault, but for maps.
    fn field(&mut self, label: Option<Label>, labelled: bool) -> Result<Field, Fault> {
        let at = self.at;
        let unlabelled = label.is_none() && labelled;
        if unlabelled && !self.looks_at("map") {
            return self.fault(format!(
                "unexpected label: {} (a field of proto2 starts with optional, required or repeated)",
                self.token.describe()
            ));
        }
        let kind = self.field_type()?;
        if unlabelled && !matches!(kind, FieldType::Map(..)) {
            return Err(Fault {
                at,
                what: "unexpected label: map (a field of proto2 starts with optional, required or repeated)"
                    .to_owned(),
            });
        }
        if let (Some(label), FieldType::Map(..)) = (label, &kind) {
            return Err(Fault {
                at,
                what: format!("a map field has no label: take '{}' away", label.name()),
            });
        }
        let name = self.word("the name of the field")?.to_owned();
        self.sign('=')?;
        let number = self.int("field number")?;
        let options = self.bracketed_options()?;
        self.sign(';')?;
        Ok(Field {
            name,
            number,
            label,
            kind,
            options,
            at,
        })
    }

    fn field_type(&mut self) -> Result<FieldType, Fault> {
        let name = self.full_name("the type of a field")?;
        if name == "map" && self.take_sign('<')? {
            let at = self.at;
            let key = self.word("the type of the map's keys")?;
            let Some(key) = Scalar::of(key) else {
                return Err(Fault {
                    at,
                    what: format!(
                        "the keys of a map are of a scalar type other than float, double and bytes, not {key}"
                    ),
                });
            };
            self.sign(',')?;
            let value = self.full_name("the type of the map's values")?;
            self.sign('>')?;
            return Ok(FieldType::Map(key, Box::new(plain_type(value))));
        }
        Ok(plain_type(name))
    }

    fn group(&mut self, label: Option<Label>) -> Result<Group, Fault> {
        let at = self.at;
        self.advance()?;
        let name_at = self.at;
        let name = self.word("the name of the group")?.to_owned();
        if !name.starts_with(|first: char| first.is_ascii_uppercase()) {
            return Err(Fault {
                at: name_at,
                what: format!(
                    "the name of a group starts with a capital letter, {name:?} does not"
                ),
            });
        }
        self.sign('=')?;
        let number = self.int("field number")?;
        let options = self.bracketed_options()?;
        let mut body = Message {
            name,
            at,
            ..Message::default()
        };
        self.message_body(&mut body)?;
        Ok(Group {
            label,
            number,
            options,
            body,
            at,
        })
    }

    fn reserved(&mut self, max: i32) -> Result<Reserved, Fault> {
        let at = self.at;
        self.advance()?;
        let spans = self.spans(max, true)?;
        self.sign(';')?;
        Ok(Reserved { spans, at })
    }

    fn extensions(&mut self) -> Result<Extensions, Fault> {
        let at = self.at;
        self.advance()?;
        let spans = self.spans(FIELD_NUMBER_MAX, false)?;
        let options = self.bracketed_options()?;
        self.sign(';')?;
        Ok(Extensions { spans, options, at })
    }

    pub(super) fn enum_item(&mut self, each: &mut Enum) -> Result<(), Fault> {
        if self.looks_at("option") {
            let option = self.option_statement()?;
            each.options.push(option);
            return Ok(());
        }
        if self.looks_at("reserved") {
            let reserved = self.reserved(i32::MAX)?;
            each.reserved.push(reserved);
            return Ok(());
        }
        let at = self.at;
        let name = self
            .word("the name of a value, option, reserved or '}'")?
            .to_owned();
        self.sign('=')?;
        let number = self.int("enum value")?;
        let options = self.bracketed_options()?;
        self.sign(';')?;
        each.constants.push(Constant {
            name,
            number,
            options,
            at,
        });
        Ok(())
    }
}

fn plain_type(name: String) -> FieldType {
    match Scalar::of(&name) {
        Some(scalar) => FieldType::Scalar(scalar),
        None => FieldType::Named(name),
    }
}
