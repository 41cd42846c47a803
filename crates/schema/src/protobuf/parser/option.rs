//! Options: statements, brackets after a field, and values, which are a part of Protobuf's text format.

use super::super::ast::{NamePart, OptionDecl, Value};
use super::super::lexer::{Fault, Token, integer};
use super::Parser;

impl Parser<'_> {
    /// `option name = value;`
    pub(super) fn option_statement(&mut self) -> Result<OptionDecl, Fault> {
        self.advance()?;
        let option = self.option_pair()?;
        self.sign(';')?;
        Ok(option)
    }

    /// `[name = value, ...]`, or nothing.
    pub(super) fn bracketed_options(&mut self) -> Result<Vec<OptionDecl>, Fault> {
        let mut options = Vec::new();
        if !self.take_sign('[')? {
            return Ok(options);
        }
        loop {
            options.push(self.option_pair()?);
            if self.take_sign(',')? {
                continue;
            }
            self.sign(']')?;
            return Ok(options);
        }
    }

    fn option_pair(&mut self) -> Result<OptionDecl, Fault> {
        let at = self.at;
        let mut name = Vec::new();
        loop {
            if self.take_sign('(')? {
                let extension = self.full_name("the name of an extension")?;
                self.sign(')')?;
                name.push(NamePart {
                    name: extension,
                    extension: true,
                });
            } else {
                let field = self.word("the name of an option")?.to_owned();
                name.push(NamePart {
                    name: field,
                    extension: false,
                });
            }
            if !self.take_sign('.')? {
                break;
            }
        }
        self.sign('=')?;
        let value = self.value()?;
        Ok(OptionDecl { name, value, at })
    }

    fn value(&mut self) -> Result<Value, Fault> {
        match self.token {
            Token::Str(_) => Ok(Value::Str(self.string("a string")?)),
            Token::Sign('{') => self.aggregate('{', '}'),
            Token::Sign('<') => self.aggregate('<', '>'),
            Token::Sign('[') => self.list(),
            Token::Sign('-') => {
                self.advance()?;
                match self.token {
                    Token::Word(word @ ("inf" | "infinity" | "nan")) => {
                        self.advance()?;
                        Ok(Value::Number(format!("-{word}")))
                    }
                    _ => self.number("-"),
                }
            }
            Token::Number(_) => self.number(""),
            Token::Word(_) => {
                let word = self.full_name("a value")?;
                Ok(match word.as_str() {
                    "true" => Value::Bool(true),
                    "false" => Value::Bool(false),
                    _ => Value::Word(word),
                })
            }
            _ => self.unexpected("the value of the option"),
        }
    }

    fn number(&mut self, sign: &str) -> Result<Value, Fault> {
        let Token::Number(text) = self.token else {
            return self.unexpected("a number");
        };
        let plain = text.trim_end_matches(['f', 'F']);
        let is_number = integer(text).is_some()
            || plain.parse::<f64>().is_ok() && !text.starts_with("0x") && !text.contains('_');
        if !is_number {
            return self.fault(format!("{text:?} is no number"));
        }
        self.advance()?;
        Ok(Value::Number(format!("{sign}{text}")))
    }

    fn list(&mut self) -> Result<Value, Fault> {
        self.nested(|parser| {
            parser.sign('[')?;
            let mut values = Vec::new();
            if parser.take_sign(']')? {
                return Ok(Value::List(values));
            }
            loop {
                values.push(parser.value()?);
                if parser.take_sign(',')? {
                    continue;
                }
                parser.sign(']')?;
                return Ok(Value::List(values));
            }
        })
    }

    fn aggregate(&mut self, open: char, close: char) -> Result<Value, Fault> {
        self.nested(|parser| {
            parser.sign(open)?;
            let mut entries = Vec::new();
            while !parser.take_sign(close)? {
                let key = parser.key()?;
                let colon = parser.take_sign(':')?;
                if !colon && !matches!(parser.token, Token::Sign('{' | '<')) {
                    return parser.unexpected("':'");
                }
                entries.push((key, parser.value()?));
                if !parser.take_sign(',')? {
                    parser.take_sign(';')?;
                }
            }
            Ok(Value::Map(entries))
        })
    }

    /// A field's name, or `[extension]` or `[host/type]`, kept with its brackets.
    fn key(&mut self) -> Result<String, Fault> {
        if !self.take_sign('[')? {
            return Ok(self.word("the name of a field")?.to_owned());
        }
        let mut key = format!("[{}", self.full_name("the name of an extension")?);
        while self.take_sign('/')? {
            key.push('/');
            key.push_str(&self.full_name("the name of a type")?);
        }
        self.sign(']')?;
        key.push(']');
        Ok(key)
    }
}
