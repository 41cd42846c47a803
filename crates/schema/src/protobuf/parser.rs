//! From the text of a .proto file to its [`File`]: syntax, and the rules that hold word by word.
//!
//! The grammar is protoc's, wider where the parser of Confluent's registry (wire-schema) is: the value of an option may
//! be a list. What depends on more than the words at hand is checked by [`super::validate`].
//!
//! **Invariant:** recursion is bounded by [`NESTING_MAX`], so no text overflows the stack.

mod body;
mod option;

use super::ast::{
    Enum, Extend, File, Import, ImportKind, Label, Place, Rpc, Service, Span, Syntax, Type,
};
use super::lexer::{Fault, Lexer, Token, integer};

/// How deep messages, groups and aggregate values may nest; protoc itself refuses messages deeper than 32.
pub(crate) const NESTING_MAX: usize = 64;

/// The largest field number.
pub(crate) const FIELD_NUMBER_MAX: i32 = 536_870_911;

/// Reads a file.
///
/// # Errors
/// The first thing that does not follow the grammar.
pub(crate) fn parse(text: &str) -> Result<File, Fault> {
    let mut parser = Parser {
        lexer: Lexer::new(text),
        token: Token::End,
        at: Place::default(),
        syntax: Syntax::Proto2,
        depth: 0,
    };
    parser.advance()?;
    parser.file()
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    /// The token at hand, not yet taken.
    token: Token<'a>,
    at: Place,
    syntax: Syntax,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn advance(&mut self) -> Result<Token<'a>, Fault> {
        let (token, at) = self.lexer.next()?;
        self.at = at;
        Ok(std::mem::replace(&mut self.token, token))
    }

    fn fault<T>(&self, what: impl Into<String>) -> Result<T, Fault> {
        Err(Fault {
            at: self.at,
            what: what.into(),
        })
    }

    fn unexpected<T>(&self, expected: &str) -> Result<T, Fault> {
        self.fault(format!(
            "found {}, expected {expected}",
            self.token.describe()
        ))
    }

    fn looks_at(&self, word: &str) -> bool {
        matches!(self.token, Token::Word(found) if found == word)
    }

    fn take_word(&mut self, word: &str) -> Result<bool, Fault> {
        let found = self.looks_at(word);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn take_sign(&mut self, sign: char) -> Result<bool, Fault> {
        let found = self.token == Token::Sign(sign);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn sign(&mut self, sign: char) -> Result<(), Fault> {
        if self.take_sign(sign)? {
            Ok(())
        } else {
            self.unexpected(&format!("'{sign}'"))
        }
    }

    /// `{`, statements until `}`; a `;` alone is an empty one.
    fn block(
        &mut self,
        mut statement: impl FnMut(&mut Self) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.sign('{')?;
        while !self.take_sign('}')? {
            if !self.take_sign(';')? {
                statement(self)?;
            }
        }
        Ok(())
    }

    fn word(&mut self, what: &str) -> Result<&'a str, Fault> {
        match self.token {
            Token::Word(word) => {
                self.advance()?;
                Ok(word)
            }
            _ => self.unexpected(what),
        }
    }

    /// A name with dots, with a dot before it or not.
    fn full_name(&mut self, what: &str) -> Result<String, Fault> {
        let mut name = String::new();
        if self.take_sign('.')? {
            name.push('.');
        }
        loop {
            name.push_str(self.word(what)?);
            if !self.take_sign('.')? {
                return Ok(name);
            }
            name.push('.');
        }
    }

    /// String literals side by side are one.
    fn string(&mut self, what: &str) -> Result<Vec<u8>, Fault> {
        let mut bytes = match &self.token {
            Token::Str(_) => Vec::new(),
            _ => return self.unexpected(what),
        };
        while let Token::Str(part) = &mut self.token {
            bytes.append(part);
            self.advance()?;
        }
        Ok(bytes)
    }

    fn text(&mut self, what: &str) -> Result<String, Fault> {
        let at = self.at;
        String::from_utf8(self.string(what)?).map_err(|_| Fault {
            at,
            what: format!("{what} is no UTF-8"),
        })
    }

    /// An integer with or without a minus, within `i32`.
    fn int(&mut self, what: &str) -> Result<i32, Fault> {
        let at = self.at;
        let negative = self.take_sign('-')?;
        let Token::Number(text) = self.token else {
            return self.unexpected(what);
        };
        let value = integer(text).and_then(|value| i64::try_from(value).ok());
        let value = value.map(|value| if negative { -value } else { value });
        match value.and_then(|value| i32::try_from(value).ok()) {
            Some(value) => {
                self.advance()?;
                Ok(value)
            }
            None => Err(Fault {
                at,
                what: format!("{text} is no {what}: it must be a whole number of at most 32 bits"),
            }),
        }
    }

    /// Runs `inner` one level deeper.
    fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        self.depth += 1;
        if self.depth > NESTING_MAX {
            return self.fault(format!(
                "this nests deeper than {NESTING_MAX} levels, which is the limit"
            ));
        }
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn file(mut self) -> Result<File, Fault> {
        let mut file = File::default();
        if self.looks_at("syntax") || self.looks_at("edition") {
            file.syntax = Some(self.syntax_declaration()?);
        }
        loop {
            match self.token {
                Token::End => return Ok(file),
                Token::Sign(';') => {
                    self.advance()?;
                }
                Token::Word(word) => self.file_item(word, &mut file)?,
                _ => return self.unexpected("a declaration such as message, enum or import"),
            }
        }
    }

    fn syntax_declaration(&mut self) -> Result<Syntax, Fault> {
        let edition = self.looks_at("edition");
        self.advance()?;
        self.sign('=')?;
        let at = self.at;
        let name = self.text("the name of the syntax in quotes")?;
        self.sign(';')?;
        self.syntax = match (edition, name.as_str()) {
            (false, "proto2") => Syntax::Proto2,
            (false, "proto3") => Syntax::Proto3,
            (true, "2023") => Syntax::Edition(2023),
            (true, "2024") => Syntax::Edition(2024),
            (false, other) => {
                return Err(Fault {
                    at,
                    what: format!(
                        "unexpected syntax: {other:?} (write \"proto2\" or \"proto3\", or edition = \"2023\")"
                    ),
                });
            }
            (true, other) => {
                return Err(Fault {
                    at,
                    what: format!("unknown edition {other:?}: known are \"2023\" and \"2024\""),
                });
            }
        };
        Ok(self.syntax.clone())
    }

    fn file_item(&mut self, word: &'a str, file: &mut File) -> Result<(), Fault> {
        match word {
            "package" => {
                if file.package.is_some() {
                    return self.fault("a file has one package, this is the second");
                }
                self.advance()?;
                file.package = Some(self.full_name("the name of the package")?);
                self.sign(';')
            }
            "import" => {
                let import = self.import()?;
                file.imports.push(import);
                Ok(())
            }
            "option" => {
                let option = self.option_statement()?;
                file.options.push(option);
                Ok(())
            }
            "message" => {
                let message = self.message(None)?;
                file.types.push(Type::Message(message));
                Ok(())
            }
            "enum" => {
                let each = self.enumeration(None)?;
                file.types.push(Type::Enum(each));
                Ok(())
            }
            "export" | "local" => {
                let each = self.visible_type()?;
                file.types.push(each);
                Ok(())
            }
            "service" => {
                let service = self.service()?;
                file.services.push(service);
                Ok(())
            }
            "extend" => {
                let extend = self.extend()?;
                file.extends.push(extend);
                Ok(())
            }
            "syntax" | "edition" => {
                self.fault(format!("{word} must be the first declaration of the file"))
            }
            other => self.fault(format!(
                "unexpected {other:?}: expected syntax, package, import, option, message, enum, service or extend"
            )),
        }
    }

    fn visible_type(&mut self) -> Result<Type, Fault> {
        if self.syntax != Syntax::Edition(2024) {
            return self.fault("export and local exist from edition 2024 on");
        }
        let visibility = if self.take_word("export")? {
            "export"
        } else {
            self.advance()?;
            "local"
        };
        if self.looks_at("message") {
            return Ok(Type::Message(self.message(Some(visibility))?));
        }
        if self.looks_at("enum") {
            return Ok(Type::Enum(self.enumeration(Some(visibility))?));
        }
        self.unexpected("message or enum")
    }

    fn import(&mut self) -> Result<Import, Fault> {
        let at = self.at;
        self.advance()?;
        let kind = if self.take_word("public")? {
            ImportKind::Public
        } else if self.take_word("weak")? {
            ImportKind::Weak
        } else if self.syntax == Syntax::Edition(2024) && self.take_word("option")? {
            ImportKind::Option
        } else {
            ImportKind::Plain
        };
        let path = self.text("the path of the imported file in quotes")?;
        self.sign(';')?;
        Ok(Import { kind, path, at })
    }

    fn service(&mut self) -> Result<Service, Fault> {
        let at = self.at;
        self.advance()?;
        let mut service = Service {
            name: self.word("the name of the service")?.to_owned(),
            options: Vec::new(),
            rpcs: Vec::new(),
            at,
        };
        self.block(|parser| {
            if parser.looks_at("option") {
                service.options.push(parser.option_statement()?);
            } else if parser.looks_at("rpc") {
                service.rpcs.push(parser.rpc()?);
            } else {
                return parser.unexpected("rpc, option or '}'");
            }
            Ok(())
        })?;
        Ok(service)
    }

    fn rpc(&mut self) -> Result<Rpc, Fault> {
        let at = self.at;
        self.advance()?;
        let name = self.word("the name of the rpc")?.to_owned();
        let (request_streams, request) = self.rpc_type()?;
        if !self.take_word("returns")? {
            return self.unexpected("returns");
        }
        let (response_streams, response) = self.rpc_type()?;
        let mut options = Vec::new();
        if matches!(self.token, Token::Sign('{')) {
            self.block(|parser| {
                if !parser.looks_at("option") {
                    return parser.unexpected("option or '}'");
                }
                options.push(parser.option_statement()?);
                Ok(())
            })?;
        } else {
            self.sign(';')?;
        }
        Ok(Rpc {
            name,
            request,
            request_streams,
            response,
            response_streams,
            options,
            at,
        })
    }

    /// `(stream a.B)`; a type may itself be called `stream`.
    fn rpc_type(&mut self) -> Result<(bool, String), Fault> {
        self.sign('(')?;
        let mut streams = false;
        let mut name = String::new();
        if self.take_word("stream")? {
            if matches!(self.token, Token::Sign(')')) {
                name.push_str("stream");
            } else if self.take_sign('.')? {
                // `stream.Type` is a name, `stream .pkg.Type` is not told apart by protoc either: the dot binds.
                streams = true;
                name.push('.');
                name.push_str(&self.full_name("the name of a message")?);
            } else {
                streams = true;
                name = self.full_name("the name of a message")?;
            }
        } else {
            name = self.full_name("the name of a message")?;
        }
        self.sign(')')?;
        Ok((streams, name))
    }

    fn extend(&mut self) -> Result<Extend, Fault> {
        let at = self.at;
        self.advance()?;
        let mut extend = Extend {
            name: self.full_name("the name of the message to extend")?,
            fields: Vec::new(),
            groups: Vec::new(),
            at,
        };
        self.block(|parser| parser.field_or_group(&mut extend.fields, &mut extend.groups))?;
        Ok(extend)
    }

    fn enumeration(&mut self, visibility: Option<&'static str>) -> Result<Enum, Fault> {
        let at = self.at;
        self.advance()?;
        let mut each = Enum {
            name: self.word("the name of the enum")?.to_owned(),
            at,
            visibility,
            options: Vec::new(),
            constants: Vec::new(),
            reserved: Vec::new(),
        };
        self.block(|parser| parser.enum_item(&mut each))?;
        Ok(each)
    }

    /// Entries of `reserved` and `extensions`, without the words before and the options after.
    fn spans(&mut self, max: i32, names: bool) -> Result<Vec<Span>, Fault> {
        let mut spans = Vec::new();
        loop {
            match self.token {
                Token::Str(_) if names => {
                    spans.push(Span::Name(self.text("a reserved name")?));
                }
                Token::Word(word) if names => {
                    self.advance()?;
                    spans.push(Span::Name(word.to_owned()));
                }
                _ => {
                    let start = self.int("number")?;
                    if self.take_word("to")? {
                        let end = if self.take_word("max")? {
                            max
                        } else {
                            self.int("number")?
                        };
                        spans.push(Span::Range(start, end));
                    } else {
                        spans.push(Span::Number(start));
                    }
                }
            }
            if !self.take_sign(',')? {
                return Ok(spans);
            }
        }
    }

    fn label(&mut self) -> Result<Option<Label>, Fault> {
        let label = match self.token {
            Token::Word("optional") => Label::Optional,
            Token::Word("required") => Label::Required,
            Token::Word("repeated") => Label::Repeated,
            _ => return Ok(None),
        };
        if label == Label::Required && self.syntax == Syntax::Proto3 {
            return self.fault("'required' label forbidden in proto3 field declarations");
        }
        if label != Label::Repeated && matches!(self.syntax, Syntax::Edition(_)) {
            return self.fault(format!(
                "'{}' label forbidden in editions: set features.field_presence",
                label.name()
            ));
        }
        self.advance()?;
        Ok(Some(label))
    }
}

#[cfg(test)]
mod tests;
