//! Options in text: names, values, and how the normalised form merges what sets one option in several places.

use super::super::ast::{NamePart, OptionDecl, Value};
use super::super::lexer::integer;
use super::Printer;

/// Custom options with this prefix are kept where extensions are left out.
const CONFLUENT_PREFIX: &str = "confluent.";

impl Printer<'_> {
    /// The options that the style shows, in its order.
    pub(super) fn shown_options(&self, options: &[OptionDecl], scope: &str) -> Vec<OptionDecl> {
        let kept = options.iter().filter(|option| {
            let custom = option.extension();
            !self.style.ignore_extensions
                || custom
                    .is_none_or(|name| name.trim_start_matches('.').starts_with(CONFLUENT_PREFIX))
        });
        if !self.style.normalize {
            return kept.cloned().collect();
        }
        let mut shown: Vec<OptionDecl> = kept.map(|option| self.resolved(option, scope)).collect();
        shown.sort_by_cached_key(|option| spelled(&option.name, false));
        let mut merged: Vec<OptionDecl> = Vec::new();
        for option in shown {
            if let Some(last) = merged.last_mut()
                && last.name == option.name
                && let Some(name) = option.extension()
                && self
                    .names
                    .find_extension(name)
                    .is_some_and(|found| !found.repeated)
            {
                last.value = merge(
                    std::mem::replace(&mut last.value, Value::Bool(false)),
                    option.value,
                );
            } else {
                merged.push(option);
            }
        }
        merged
    }

    /// A known custom option by its full name, with what it sets of it as an aggregate.
    fn resolved(&self, option: &OptionDecl, scope: &str) -> OptionDecl {
        let found = option
            .extension()
            .and_then(|name| self.names.resolve_extension(name, scope));
        let Some((full, _)) = found else {
            return option.clone();
        };
        let mut value = option.value.clone();
        for part in option.name.iter().skip(1).rev() {
            let key = if part.extension {
                format!("[{}]", part.name)
            } else {
                part.name.clone()
            };
            value = Value::Map(vec![(key, value)]);
        }
        OptionDecl {
            name: vec![NamePart {
                name: full,
                extension: true,
            }],
            value,
            at: option.at,
        }
    }

    /// `option name = value;`
    pub(super) fn option_statement(&mut self, option: &OptionDecl) {
        self.put("option ");
        self.option_pair(option);
        self.put(";");
    }

    /// ` [name = value]`, each on a line of its own where there are several; nothing where there are none.
    pub(super) fn bracketed(&mut self, options: &[OptionDecl]) {
        match options {
            [] => {}
            [option] => {
                self.put(" [");
                self.option_pair(option);
                self.put("]");
            }
            _ => {
                self.put(" [\n");
                for (index, option) in options.iter().enumerate() {
                    self.line(|printer| {
                        printer.option_pair(option);
                        if index + 1 < options.len() {
                            printer.put(",");
                        }
                    });
                }
                self.start();
                self.put("]");
            }
        }
    }

    fn option_pair(&mut self, option: &OptionDecl) {
        self.put(&spelled(&option.name, true));
        self.put(" = ");
        match &option.value {
            // The only place where a list may stand on one line.
            Value::List(values) if values.len() == 1 => {
                self.put("[");
                for value in values {
                    self.value(value);
                }
                self.put("]");
            }
            Value::List(values) => self.list(values),
            value => self.value(value),
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Str(bytes) => {
                let text = escaped(bytes);
                self.put("\"");
                self.put(&text);
                self.put("\"");
            }
            Value::Bool(value) => self.put(if *value { "true" } else { "false" }),
            Value::Number(text) if self.style.normalize => {
                let text = plain_number(text);
                self.put(&text);
            }
            Value::Number(text) | Value::Word(text) => self.put(text),
            Value::Map(entries) => self.map(entries),
            Value::List(values) => match values.as_slice() {
                [single] if self.style.normalize => self.value(single),
                _ => self.list(values),
            },
        }
    }

    fn list(&mut self, values: &[Value]) {
        self.put("[\n");
        for (index, value) in values.iter().enumerate() {
            self.line(|printer| {
                printer.value(value);
                if index + 1 < values.len() {
                    printer.put(",");
                }
            });
        }
        self.start();
        self.put("]");
    }

    fn map(&mut self, entries: &[(String, Value)]) {
        let mut entries = gathered(entries);
        if self.style.normalize {
            entries.retain(|(_, value)| !matches!(value, Value::List(all) if all.is_empty()));
            for (key, _) in &mut entries {
                let name = key
                    .strip_prefix('[')
                    .and_then(|rest| rest.strip_suffix(']'));
                if let Some((full, _)) =
                    name.and_then(|name| self.names.resolve_extension(name, ""))
                {
                    *key = format!("[{full}]");
                }
            }
            entries.sort_by(|one, other| one.0.cmp(&other.0));
        }
        self.put("{\n");
        for (index, (key, value)) in entries.iter().enumerate() {
            self.line(|printer| {
                printer.put(key);
                printer.put(": ");
                printer.value(value);
                if index + 1 < entries.len() {
                    printer.put(",");
                }
            });
        }
        self.start();
        self.put("}");
    }
}

/// `(a.b).c`; without parentheses for sorting.
fn spelled(name: &[NamePart], parentheses: bool) -> String {
    let parts: Vec<String> = name
        .iter()
        .map(|part| {
            if part.extension && parentheses {
                format!("({})", part.name)
            } else {
                part.name.clone()
            }
        })
        .collect();
    parts.join(".")
}

/// A key that stands several times has one list of what it is set to.
pub(crate) fn gathered(entries: &[(String, Value)]) -> Vec<(String, Value)> {
    let mut gathered: Vec<(String, Value)> = Vec::new();
    for (key, value) in entries {
        match gathered.iter_mut().find(|(have, _)| have == key) {
            Some((_, have)) => {
                let mut all = listed(std::mem::replace(have, Value::Bool(false)));
                all.extend(listed(value.clone()));
                *have = Value::List(all);
            }
            None => gathered.push((key.clone(), value.clone())),
        }
    }
    gathered
}

fn listed(value: Value) -> Vec<Value> {
    match value {
        Value::List(values) => values,
        value => vec![value],
    }
}

/// What two settings of one option that is not repeated come to: aggregates are one, of anything else the later holds.
pub(crate) fn merge(earlier: Value, later: Value) -> Value {
    let (Value::Map(mut entries), Value::Map(others)) = (earlier, later.clone()) else {
        return later;
    };
    for (key, value) in others {
        match entries.iter_mut().find(|(have, _)| *have == key) {
            Some((_, have)) => {
                let mut all = Vec::new();
                let old = listed(std::mem::replace(have, Value::Bool(false)));
                for each in old.into_iter().chain(listed(value)) {
                    if !all.contains(&each) {
                        all.push(each);
                    }
                }
                *have = Value::List(all);
            }
            None => entries.push((key, value)),
        }
    }
    Value::Map(entries)
}

/// Decimal, without exponent, base or trailing zeros; what is no finite number stays as it is.
fn plain_number(text: &str) -> String {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text),
    };
    if let Some(value) = integer(digits) {
        return if value == 0 {
            "0".to_owned()
        } else {
            format!("{sign}{value}")
        };
    }
    match digits.trim_end_matches(['f', 'F']).parse::<f64>() {
        Ok(value) if value.is_finite() => format!("{sign}{value}"),
        _ => text.to_owned(),
    }
}

/// As it stands between quotes.
pub(super) fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for each in chunk.valid().chars() {
            match each {
                '\u{7}' => text.push_str("\\a"),
                '\u{8}' => text.push_str("\\b"),
                '\u{c}' => text.push_str("\\f"),
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\t' => text.push_str("\\t"),
                '\u{b}' => text.push_str("\\v"),
                '\\' => text.push_str("\\\\"),
                '\'' => text.push_str("\\'"),
                '"' => text.push_str("\\\""),
                '\0' => text.push_str("\\000"),
                other => text.push(other),
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\{byte:03o}"));
        }
    }
    text
}
