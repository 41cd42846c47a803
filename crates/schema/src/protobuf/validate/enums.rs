//! The rules of enums.

use std::collections::{HashMap, HashSet};

use super::Check;
use super::messages::reserved_names;
use crate::error::SchemaError;
use crate::protobuf::ast::{Enum, OptionDecl, Span, Syntax, Value, feature};
use crate::protobuf::names::join;

/// Whether an enum lets only its own values in: proto2's do, those of editions where a feature says so.
pub(super) fn is_closed(each: &Enum, syntax: &Syntax, file_options: &[OptionDecl]) -> bool {
    match syntax {
        Syntax::Proto2 => true,
        Syntax::Proto3 => false,
        Syntax::Edition(_) => {
            let set = feature(&each.options, "enum_type");
            set.or_else(|| feature(file_options, "enum_type")) == Some("CLOSED")
        }
    }
}

impl Check<'_> {
    pub(super) fn enumeration(&self, each: &Enum, scope: &str) -> Result<(), SchemaError> {
        let full = join(scope, &each.name);
        let Some(first) = each.constants.first() else {
            return self.invalid(each.at, &full, "an enum has at least one value");
        };
        if first.number != 0 && !is_closed(each, &self.syntax, &self.file.options) {
            return self.invalid(
                first.at,
                &full,
                format!(
                    "the first value of an open enum is 0, {} is {}",
                    first.name, first.number
                ),
            );
        }
        self.aliases(each, &full)?;
        let reserved = reserved_names(&each.reserved);
        for constant in &each.constants {
            if reserved.contains(constant.name.as_str()) {
                return self.invalid(
                    constant.at,
                    &full,
                    format!("the name {:?} is reserved", constant.name),
                );
            }
            let is_in = |span: &Span| match span {
                Span::Number(number) => *number == constant.number,
                Span::Range(start, end) => (*start..=*end).contains(&constant.number),
                Span::Name(_) => false,
            };
            if each.reserved.iter().flat_map(|each| &each.spans).any(is_in) {
                return self.invalid(
                    constant.at,
                    &full,
                    format!(
                        "the number {} of {} is reserved",
                        constant.number, constant.name
                    ),
                );
            }
        }
        self.ranges(
            each.reserved
                .iter()
                .flat_map(|each| each.spans.iter().map(|span| (span, each.at))),
            i32::MIN,
            i32::MAX,
            &full,
        )
    }

    fn aliases(&self, each: &Enum, full: &str) -> Result<(), SchemaError> {
        let allowed = each
            .options
            .iter()
            .any(|option| option.is_plain("allow_alias") && option.value == Value::Bool(true));
        let mut numbers: HashMap<i32, &str> = HashMap::new();
        let mut names = HashSet::new();
        let mut aliases = false;
        for constant in &each.constants {
            names.insert(constant.name.as_str());
            if let Some(first) = numbers.insert(constant.number, &constant.name) {
                aliases = true;
                if !allowed {
                    return self.invalid(
                        constant.at,
                        full,
                        format!(
                            "{} has the number {} of {first}: give it another, or set option allow_alias = true",
                            constant.name, constant.number
                        ),
                    );
                }
            }
        }
        if allowed && !aliases {
            return self.invalid(
                each.at,
                full,
                "allow_alias is set, but no two values share a number: take the option away",
            );
        }
        Ok(())
    }
}
