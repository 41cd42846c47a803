//! A schema as text again: the canonical form, the normalised form, and the one without extensions.
//!
//! The layout is that of Confluent's `ProtobufSchemaUtils.toString` (8.2), because its registry keeps, compares and
//! hands out that text: sections in a fixed order (reserved, options, fields, oneofs, groups, extensions, types), a
//! blank line between two, messages before enums, two blanks a level. Normalised, what means the same is written the
//! same: names in full, fields and values by number, options by name and merged, no entry of a map written out. Messages
//! keep their order in every form, because message indexes count them.
//!
//! Differs: numbers in options keep all their digits when normalised (the counterpart rounds to three decimals), a
//! default of type `bytes` keeps its quotes, and what the counterpart's parser drops (weak imports, options of
//! groups and extension ranges) is printed.

pub(crate) mod options;

use super::ast::{
    Constant, Enum, Extend, Extensions, Field, FieldType, File, Group, Import, ImportKind, Message,
    Oneof, OptionDecl, Reserved, Rpc, Service, Span, Syntax, Type,
};
use super::names::{Declared, Names, join};
use super::parser::FIELD_NUMBER_MAX;

/// What the text is to be like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Style {
    pub normalize: bool,
    /// Without `extend`, `extensions` and custom options other than Confluent's own.
    pub ignore_extensions: bool,
}

/// The text of `file`. `names` resolve what the normalised form writes in full.
pub(crate) fn print(file: &File, names: &Names<'_>, style: Style) -> String {
    let mut printer = Printer {
        out: String::new(),
        indent: 0,
        style,
        names,
        edition: matches!(file.syntax, Some(Syntax::Edition(_))),
    };
    printer.file(file);
    printer.out
}

struct Printer<'a> {
    out: String,
    indent: usize,
    style: Style,
    names: &'a Names<'a>,
    edition: bool,
}

/// Whether a body has its first section yet: the first ends the line of the head, each other leaves a blank one.
struct Sections(bool);

impl Printer<'_> {
    fn put(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn start(&mut self) {
        for _ in 0..self.indent {
            self.out.push_str("  ");
        }
    }

    /// A line of a body, which starts a level deeper than its head.
    fn line(&mut self, write: impl FnOnce(&mut Self)) {
        self.indent += 1;
        self.start();
        write(self);
        self.out.push('\n');
        self.indent -= 1;
    }

    /// A new section of the body whose head is at the current level.
    fn section(&mut self, sections: &mut Sections) {
        if sections.0 {
            self.start();
        }
        self.out.push('\n');
        sections.0 = true;
    }

    fn close(&mut self, sections: &Sections) {
        if sections.0 {
            self.start();
        }
        self.put("}");
    }

    fn file(&mut self, file: &File) {
        match &file.syntax {
            Some(Syntax::Proto2) if !self.style.normalize => self.put("syntax = \"proto2\";\n"),
            Some(Syntax::Proto2) | None => {}
            Some(Syntax::Proto3) => self.put("syntax = \"proto3\";\n"),
            Some(Syntax::Edition(year)) => self.put(&format!("edition = \"{year}\";\n")),
        }
        if let Some(package) = &file.package {
            self.put(&format!("package {package};\n"));
        }
        self.imports(&file.imports);
        let scope = file.package();
        let options = self.shown_options(&file.options, scope);
        if !options.is_empty() {
            self.put("\n");
            for option in &options {
                self.option_statement(option);
                self.put("\n");
            }
        }
        let types = self.shown_types(&file.types);
        if !types.is_empty() {
            self.put("\n");
            self.types(&types, scope);
        }
        if !self.style.ignore_extensions && !file.extends.is_empty() {
            self.put("\n");
            for extend in self.shown_extends(&file.extends, scope) {
                self.extend(&extend, scope);
                self.put("\n");
            }
        }
        if !file.services.is_empty() {
            self.put("\n");
            for service in &file.services {
                self.service(service, scope);
                self.put("\n");
            }
        }
    }

    fn imports(&mut self, imports: &[Import]) {
        if imports.is_empty() {
            return;
        }
        self.put("\n");
        let kinds = [
            (ImportKind::Plain, ""),
            (ImportKind::Public, "public "),
            (ImportKind::Weak, "weak "),
            (ImportKind::Option, "option "),
        ];
        for (kind, word) in kinds {
            let mut paths: Vec<&str> = imports
                .iter()
                .filter(|import| import.kind == kind)
                .map(|import| import.path.as_str())
                .collect();
            if self.style.normalize {
                paths.sort_unstable();
                paths.dedup();
            }
            for path in paths {
                self.put(&format!(
                    "import {word}\"{}\";\n",
                    options::escaped(path.as_bytes())
                ));
            }
        }
    }

    fn shown_types<'t>(&self, types: &'t [Type]) -> Vec<&'t Type> {
        let hidden = |each: &Type| match each {
            Type::Message(message) => self.style.normalize && message.is_map_entry(),
            Type::Enum(_) => false,
        };
        types.iter().filter(|each| !hidden(each)).collect()
    }

    /// Messages, then enums, each on lines of its own at the current level.
    fn types(&mut self, types: &[&Type], scope: &str) {
        for each in types {
            if let Type::Message(message) = each {
                self.start();
                self.message(message, scope);
                self.put("\n");
            }
        }
        for each in types {
            if let Type::Enum(each) = each {
                self.start();
                self.enumeration(each, scope);
                self.put("\n");
            }
        }
    }

    fn message(&mut self, message: &Message, scope: &str) {
        if let Some(visibility) = message.visibility {
            self.put(visibility);
            self.put(" ");
        }
        self.put("message ");
        self.put(&message.name);
        self.put(" {");
        self.message_body(message, &join(scope, &message.name));
    }

    fn message_body(&mut self, message: &Message, scope: &str) {
        let mut sections = Sections(false);
        self.reserved(&message.reserved, &mut sections);
        let options = self.shown_options(&message.options, scope);
        if !options.is_empty() {
            self.section(&mut sections);
            for option in &options {
                self.line(|printer| printer.option_statement(option));
            }
        }
        self.fields(&message.fields, scope, &mut sections);
        let oneofs = self.sorted(&message.oneofs, first_number);
        let oneofs: Vec<&Oneof> = oneofs
            .into_iter()
            .filter(|oneof| !self.style.normalize || first_number(oneof).is_some())
            .collect();
        if !message.oneofs.is_empty() {
            self.section(&mut sections);
        }
        for oneof in oneofs {
            self.line(|printer| printer.oneof(oneof, scope));
        }
        self.groups(&message.groups, scope, &mut sections);
        if !self.style.ignore_extensions {
            self.extensions(&message.extensions, scope, &mut sections);
            if !message.extends.is_empty() {
                self.section(&mut sections);
                for extend in self.shown_extends(&message.extends, scope) {
                    self.line(|printer| printer.extend(&extend, scope));
                }
            }
        }
        let types = self.shown_types(&message.types);
        if !types.is_empty() {
            self.section(&mut sections);
            self.indent += 1;
            self.types(&types, scope);
            self.indent -= 1;
        }
        self.close(&sections);
    }

    fn sorted<'t, T, K: Ord>(&self, all: &'t [T], key: impl Fn(&T) -> K) -> Vec<&'t T> {
        let mut sorted: Vec<&T> = all.iter().collect();
        if self.style.normalize {
            sorted.sort_by_key(|each| key(each));
        }
        sorted
    }

    fn fields(&mut self, fields: &[Field], scope: &str, sections: &mut Sections) {
        if fields.is_empty() {
            return;
        }
        self.section(sections);
        for field in self.sorted(fields, |field| field.number) {
            self.line(|printer| printer.field(field, scope));
        }
    }

    fn groups(&mut self, groups: &[Group], scope: &str, sections: &mut Sections) {
        if groups.is_empty() {
            return;
        }
        self.section(sections);
        for group in self.sorted(groups, |group| group.number) {
            self.line(|printer| printer.group(group, scope));
        }
    }

    fn reserved(&mut self, all: &[Reserved], sections: &mut Sections) {
        if all.is_empty() {
            return;
        }
        self.section(sections);
        if self.style.normalize {
            let mut spans: Vec<&Span> = all.iter().flat_map(|each| &each.spans).collect();
            spans.sort_by_key(|span| span_key(span));
            for span in spans {
                let text = self.span(span);
                self.line(|printer| printer.put(&format!("reserved {text};")));
            }
            return;
        }
        for each in all {
            let text = self.spans(&each.spans);
            self.line(|printer| printer.put(&format!("reserved {text};")));
        }
    }

    fn extensions(&mut self, all: &[Extensions], scope: &str, sections: &mut Sections) {
        if all.is_empty() {
            return;
        }
        self.section(sections);
        let mut shown: Vec<Extensions> = all.to_vec();
        if self.style.normalize {
            shown = all.iter().flat_map(single_spans).collect();
            shown.sort_by_key(|each| each.spans.first().map(span_key));
        }
        for each in &shown {
            let text = self.spans(&each.spans);
            let options = self.shown_options(&each.options, scope);
            self.line(|printer| {
                printer.put(&format!("extensions {text}"));
                printer.bracketed(&options);
                printer.put(";");
            });
        }
    }

    fn spans(&self, spans: &[Span]) -> String {
        let texts: Vec<String> = spans.iter().map(|span| self.span(span)).collect();
        texts.join(", ")
    }

    fn span(&self, span: &Span) -> String {
        match span {
            Span::Number(number) => number.to_string(),
            Span::Range(start, end) if self.style.normalize && start == end => start.to_string(),
            Span::Range(start, end) if *end >= FIELD_NUMBER_MAX => format!("{start} to max"),
            Span::Range(start, end) => format!("{start} to {end}"),
            Span::Name(name) if self.edition => name.clone(),
            Span::Name(name) => format!("\"{name}\""),
        }
    }

    fn oneof(&mut self, oneof: &Oneof, scope: &str) {
        self.put(&format!("oneof {} {{", oneof.name));
        let mut sections = Sections(false);
        let options = self.shown_options(&oneof.options, scope);
        if !options.is_empty() {
            self.section(&mut sections);
            for option in &options {
                self.line(|printer| printer.option_statement(option));
            }
        }
        self.fields(&oneof.fields, scope, &mut sections);
        self.groups(&oneof.groups, scope, &mut sections);
        self.close(&sections);
    }

    fn group(&mut self, group: &Group, scope: &str) {
        if let Some(label) = group.label {
            self.put(label.name());
            self.put(" ");
        }
        self.put(&format!("group {} = {}", group.body.name, group.number));
        let options = self.shown_options(&group.options, scope);
        self.bracketed(&options);
        self.put(" {");
        self.message_body(&group.body, &join(scope, &group.body.name));
    }

    /// Normalised: one block for each extended message, by its full name.
    fn shown_extends(&self, extends: &[Extend], scope: &str) -> Vec<Extend> {
        if !self.style.normalize {
            return extends.to_vec();
        }
        let mut merged: Vec<Extend> = Vec::new();
        for extend in extends {
            let mut extend = extend.clone();
            extend.name = self.full_type(&extend.name, scope);
            match merged.iter_mut().find(|each| each.name == extend.name) {
                Some(same) => {
                    same.fields.append(&mut extend.fields);
                    same.groups.append(&mut extend.groups);
                }
                None => merged.push(extend),
            }
        }
        merged
    }

    fn extend(&mut self, extend: &Extend, scope: &str) {
        self.put(&format!("extend {} {{", extend.name));
        let mut sections = Sections(false);
        self.fields(&extend.fields, scope, &mut sections);
        self.groups(&extend.groups, scope, &mut sections);
        self.close(&sections);
    }

    /// `.full.name`, or the name as written where nothing of it is known.
    fn full_type(&self, name: &str, scope: &str) -> String {
        match self.names.resolve(name, scope) {
            Some((full, _)) => format!(".{full}"),
            None => name.to_owned(),
        }
    }

    fn full_kind(&self, kind: &FieldType, scope: &str) -> FieldType {
        match kind {
            FieldType::Scalar(_) => kind.clone(),
            FieldType::Map(key, value) => {
                FieldType::Map(*key, Box::new(self.full_kind(value, scope)))
            }
            FieldType::Named(name) => {
                if let Some((full, named)) = self.names.resolve(name, scope)
                    && let Declared::Message(entry) = named.declared
                    && let Some((key, value)) = map_entry(entry)
                {
                    return FieldType::Map(key, Box::new(self.full_kind(value, &full)));
                }
                FieldType::Named(self.full_type(name, scope))
            }
        }
    }

    fn field(&mut self, field: &Field, scope: &str) {
        let mut label = field.label;
        let mut kind = field.kind.clone();
        if self.style.normalize {
            kind = self.full_kind(&kind, scope);
            if matches!(kind, FieldType::Map(..)) {
                label = None;
            }
        }
        if let Some(label) = label {
            self.put(label.name());
            self.put(" ");
        }
        self.put(&format!("{kind} {} = {}", field.name, field.number));
        // What describes the field itself comes last.
        let special =
            |option: &&OptionDecl| option.is_plain("default") || option.is_plain("json_name");
        let mut ordered: Vec<OptionDecl> = field
            .options
            .iter()
            .filter(|option| !special(option))
            .cloned()
            .collect();
        ordered.extend(field.option("default").cloned());
        ordered.extend(field.option("json_name").cloned());
        let options = self.shown_options(&ordered, scope);
        self.bracketed(&options);
        self.put(";");
    }

    fn enumeration(&mut self, each: &Enum, scope: &str) {
        if let Some(visibility) = each.visibility {
            self.put(visibility);
            self.put(" ");
        }
        self.put(&format!("enum {} {{", each.name));
        let mut sections = Sections(false);
        self.reserved(&each.reserved, &mut sections);
        if each.reserved.is_empty() && !(each.options.is_empty() && each.constants.is_empty()) {
            self.section(&mut sections);
        }
        for option in self.shown_options(&each.options, scope) {
            self.line(|printer| printer.option_statement(&option));
        }
        for constant in self.sorted(&each.constants, |each| (each.number, each.name.clone())) {
            self.line(|printer| printer.constant(constant, scope));
        }
        self.close(&sections);
    }

    fn constant(&mut self, constant: &Constant, scope: &str) {
        self.put(&format!("{} = {}", constant.name, constant.number));
        let options = self.shown_options(&constant.options, scope);
        self.bracketed(&options);
        self.put(";");
    }

    fn service(&mut self, service: &Service, scope: &str) {
        self.put(&format!("service {} {{", service.name));
        let mut sections = Sections(false);
        let options = self.shown_options(&service.options, scope);
        if !options.is_empty() {
            self.section(&mut sections);
            for option in &options {
                self.line(|printer| printer.option_statement(option));
            }
        }
        if !service.rpcs.is_empty() {
            self.section(&mut sections);
            for rpc in &service.rpcs {
                self.line(|printer| printer.rpc(rpc, scope));
            }
        }
        self.close(&sections);
    }

    fn rpc(&mut self, rpc: &Rpc, scope: &str) {
        let stream = |streams| if streams { "stream " } else { "" };
        let (mut request, mut response) = (rpc.request.clone(), rpc.response.clone());
        if self.style.normalize {
            request = self.full_type(&request, scope);
            response = self.full_type(&response, scope);
        }
        self.put(&format!(
            "rpc {} ({}{request}) returns ({}{response})",
            rpc.name,
            stream(rpc.request_streams),
            stream(rpc.response_streams)
        ));
        let options = self.shown_options(&rpc.options, scope);
        if !options.is_empty() {
            self.put(" {\n");
            for option in &options {
                self.line(|printer| printer.option_statement(option));
            }
            self.start();
            self.put("}");
        }
        self.put(";");
    }
}

fn first_number(oneof: &Oneof) -> Option<i32> {
    let fields = oneof.fields.iter().map(|field| field.number);
    fields
        .chain(oneof.groups.iter().map(|group| group.number))
        .min()
}

/// Numbers by their start, names after them.
fn span_key(span: &Span) -> (i32, String) {
    match span {
        Span::Number(number) => (*number, number.to_string()),
        Span::Range(start, end) => (*start, format!("{start}..{end}")),
        Span::Name(name) => (i32::MAX, name.clone()),
    }
}

/// One declaration for each span; one with options stays whole.
fn single_spans(all: &Extensions) -> Vec<Extensions> {
    if !all.options.is_empty() {
        return vec![all.clone()];
    }
    all.spans
        .iter()
        .map(|span| Extensions {
            spans: vec![span.clone()],
            ..all.clone()
        })
        .collect()
}

/// The types of key and value of an entry that is written out.
pub(crate) fn map_entry(message: &Message) -> Option<(super::ast::Scalar, &FieldType)> {
    if !message.is_map_entry() {
        return None;
    }
    let kind = |name: &str| {
        let field = message.fields.iter().find(|field| field.name == name);
        field.map(|field| &field.kind)
    };
    match (kind("key"), kind("value")) {
        (Some(FieldType::Scalar(key)), Some(value)) => Some((*key, value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
