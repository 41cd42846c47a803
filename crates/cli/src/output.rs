//! One result, three forms: aligned tables for people, JSON and YAML for programs.
//!
//! A result is a type that serializes (its field names are the Confluent CLI's `serialized` names) and also
//! says its columns ([`Row`]). A list becomes a table with a heading, one object a table of name and value.

use std::io::{self, Write};

use clap::ValueEnum;
use comfy_table::{
    CellAlignment, ContentArrangement, ContentLineStyle, LineStyle, Table, TableStyle,
};
use serde::Serialize;

use crate::failure::{Failure, Outcome};

/// The form of a result (`-o`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// Aligned tables.
    #[default]
    Human,
    /// JSON, indented by two.
    Json,
    /// YAML.
    Yaml,
}

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    title: &'static str,
    alignment: CellAlignment,
}

impl Column {
    /// A column of text.
    #[must_use]
    pub const fn text(title: &'static str) -> Column {
        Column {
            title,
            alignment: CellAlignment::Left,
        }
    }

    /// A column of numbers, which stand below one another.
    #[must_use]
    pub const fn number(title: &'static str) -> Column {
        Column {
            title,
            alignment: CellAlignment::Right,
        }
    }
}

/// A result that can stand in a table.
pub trait Row: Serialize {
    /// The table's columns.
    const COLUMNS: &'static [Column];

    /// The text of each column.
    fn cells(&self) -> Vec<String>;
}

/// Writes results to standard output.
#[derive(Debug)]
pub struct Printer {
    format: Format,
    out: io::BufWriter<io::Stdout>,
}

impl Printer {
    /// A printer in `format`.
    #[must_use]
    pub fn new(format: Format) -> Printer {
        Printer {
            format,
            out: io::BufWriter::with_capacity(64 * 1024, io::stdout()),
        }
    }

    /// The form results take.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// A list. An empty one says so to people, and is an empty list to programs.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn list<R: Row>(&mut self, rows: &[R]) -> Outcome {
        match self.format {
            Format::Human if rows.is_empty() => self.line("None found."),
            Format::Human => self.table(rows),
            Format::Json | Format::Yaml => self.document(&rows),
        }
    }

    /// One object.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn object<R: Row>(&mut self, row: &R) -> Outcome {
        match self.format {
            Format::Human => {
                let titles = R::COLUMNS.iter().map(|column| column.title);
                self.lines_of(titles.zip(row.cells()))
            }
            Format::Json | Format::Yaml => self.document(row),
        }
    }

    /// One object that may lack some of its fields: to people the fields there are, by title.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn fields(&mut self, fields: &[(&str, String)], object: &impl Serialize) -> Outcome {
        match self.format {
            Format::Human => {
                let there = fields.iter().filter(|(_, text)| !text.is_empty());
                self.lines_of(there.map(|(title, text)| (*title, text.clone())))
            }
            Format::Json | Format::Yaml => self.document(object),
        }
    }

    fn lines_of<'t>(&mut self, lines: impl Iterator<Item = (&'t str, String)>) -> Outcome {
        let mut table = plain_table();
        for (title, text) in lines {
            table.add_row([title.to_owned(), text]);
        }
        self.print_table(&table)
    }

    /// What was done: a sentence to people, an object to programs.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn done(&mut self, sentence: &str, object: &impl Serialize) -> Outcome {
        match self.format {
            Format::Human => self.line(sentence),
            Format::Json | Format::Yaml => self.document(object),
        }
    }

    /// A table with a heading, whatever the form.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn table<R: Row>(&mut self, rows: &[R]) -> Outcome {
        let mut table = plain_table();
        table.set_header(R::COLUMNS.iter().map(|column| column.title));
        for row in rows {
            table.add_row(row.cells());
        }
        for (index, column) in R::COLUMNS.iter().enumerate() {
            if let Some(in_table) = table.column_mut(index) {
                in_table.set_cell_alignment(column.alignment);
            }
        }
        self.print_table(&table)
    }

    /// A line of text, whatever the form.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn line(&mut self, text: &str) -> Outcome {
        Ok(writeln!(self.out, "{text}")?)
    }

    /// Bytes as they are.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn raw(&mut self, bytes: &[u8]) -> Outcome {
        Ok(self.out.write_all(bytes)?)
    }

    /// One document in JSON or YAML; JSON in the human form, which the caller avoids.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn document(&mut self, object: &impl Serialize) -> Outcome {
        let text = match self.format {
            Format::Yaml => yaml(object)?,
            Format::Human | Format::Json => {
                serde_json::to_string_pretty(object).map_err(|error| Failure::of(&error))? + "\n"
            }
        };
        self.raw(text.as_bytes())
    }

    /// One of many documents: a line of JSON, or a YAML document of its own.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn document_of_many(&mut self, object: &impl Serialize) -> Outcome {
        match self.format {
            Format::Yaml => {
                self.raw(b"---\n")?;
                let text = yaml(object)?;
                self.raw(text.as_bytes())
            }
            Format::Human | Format::Json => {
                serde_json::to_writer(&mut self.out, object).map_err(io::Error::from)?;
                self.raw(b"\n")
            }
        }
    }

    /// Hands over what was printed so far.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn flush(&mut self) -> Outcome {
        Ok(self.out.flush()?)
    }

    fn print_table(&mut self, table: &Table) -> Outcome {
        let text = table.trim_fmt();
        self.line(&text)
    }
}

fn yaml(object: &impl Serialize) -> Outcome<String> {
    serde_yaml_ng::to_string(object).map_err(|error| Failure::of(&error))
}

/// No frame around it, one line a row.
const STYLE: TableStyle = TableStyle::new()
    .header_lines(ContentLineStyle::none().junction('|'))
    .header_separator(LineStyle::none().fill('-').junction('+'))
    .content_lines(ContentLineStyle::none().junction('|'));

/// A table that never wraps: a row is a line to `grep` and `awk` as well.
fn plain_table() -> Table {
    let mut table = Table::new();
    table
        .load_style(STYLE)
        .set_content_arrangement(ContentArrangement::Disabled);
    table
}

/// A cell that may have nothing in it.
#[must_use]
pub fn optional(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}
