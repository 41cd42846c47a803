//! A transcript: commands, and below each what it must print, word for word as Apache Kafka's broker has it printed.
//!
//! ```text
//! # Comments say what is looked at.
//! % broker.property=value           a property of the broker that the transcript gets
//! ~ ProducerId: [0-9]+ => ProducerId: {n}    what differs from run to run, and what stands for it
//! $ kafka-groups --list             one command and what it prints
//! Listing...
//! [exit 1]                          its exit status, unless it is 0
//! ? kafka-groups --list             the same, repeated until it prints this
//! $ sorted kafka-groups --list      the lines in order of the alphabet, where the tool's own order is by chance
//! < a line of standard input
//! & member kafka-console-consumer --topic t   starts a tool in the background, by a name
//! & member                          and ends it
//! ```
//!
//! An argument with blanks stands in single quotes. `{broker}` stands for the broker's id and `{bootstrap}` for its
//! address, in commands and in what they print. What a tool prints is its standard output and then its standard
//! error; log lines, stack frames and the explanation of a tool's options are left out, and blanks count as one.

use anyhow::{Context, Result, bail, ensure};
use regex::Regex;

/// A parsed transcript.
#[derive(Debug)]
pub(super) struct Transcript {
    /// Properties of its broker.
    pub(super) properties: Vec<(String, String)>,
    masks: Vec<(Regex, String)>,
    /// The head as it was written: comments, properties, masks.
    head: String,
    /// What happens, in order.
    pub(super) steps: Vec<Step>,
}

/// What one step does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// Runs a command and compares.
    Run(Command),
    /// Starts a command in the background.
    Start(String, Command),
    /// Ends a command that was started.
    End(String),
}

/// A command line, and how its output is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    /// The tool.
    pub(super) tool: String,
    /// Its arguments.
    pub(super) arguments: Vec<String>,
    /// What it reads.
    pub(super) input: String,
    /// Whether it is repeated until it prints what it must.
    pub(super) repeated: bool,
    sorted: bool,
}

/// One step, and what must be printed.
#[derive(Debug)]
pub(super) struct Step {
    /// What happens.
    pub(super) action: Action,
    /// The lines as they were written: comments before the command, the command, its input.
    written: String,
    /// What must be printed, in its normal form.
    pub(super) wanted: String,
}

/// Where a broker is, so that its address and id can be told from other text.
#[derive(Debug)]
pub(super) struct Place {
    /// `host:port`.
    pub(super) bootstrap: String,
    /// The broker's id.
    pub(super) broker: String,
}

impl Transcript {
    /// Reads a transcript.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut found = Self {
            properties: Vec::new(),
            masks: Vec::new(),
            head: String::new(),
            steps: Vec::new(),
        };
        let mut comments = String::new();
        for (index, line) in text.lines().enumerate() {
            found
                .line(line, &mut comments)
                .with_context(|| format!("line {}: {line:?}", index + 1))?;
        }
        for step in &mut found.steps {
            step.wanted.truncate(step.wanted.trim_end().len());
        }
        Ok(found)
    }

    fn line(&mut self, line: &str, comments: &mut String) -> Result<()> {
        let (sigil, rest) = line.split_at(line.len().min(2));
        match sigil {
            "# " => {
                push_line(comments, line);
            }
            "% " => {
                let (key, value) = rest.split_once('=').context("a property has a value")?;
                self.properties.push((key.to_owned(), value.to_owned()));
                self.add_to_head(line, comments);
            }
            "~ " => {
                let (pattern, instead) = rest.split_once(" =>").context("a mask has two sides")?;
                let instead = instead.trim_start();
                self.masks.push((Regex::new(pattern)?, instead.to_owned()));
                self.add_to_head(line, comments);
            }
            "$ " | "? " | "& " => {
                let written = format!("{}{line}\n", std::mem::take(comments));
                self.steps.push(Step {
                    action: action(sigil, rest)?,
                    written,
                    wanted: String::new(),
                });
            }
            "< " => {
                let step = self.steps.last_mut().context("input of no command")?;
                let Action::Run(command) = &mut step.action else {
                    bail!("a command in the background reads nothing");
                };
                push_line(&mut command.input, rest);
                push_line(&mut step.written, line);
            }
            _ => match self.steps.last_mut() {
                Some(step) => {
                    push_line(&mut step.wanted, line);
                }
                None => ensure!(line.is_empty(), "output of no command"),
            },
        }
        Ok(())
    }

    fn add_to_head(&mut self, line: &str, comments: &mut String) {
        self.head.push_str(&std::mem::take(comments));
        push_line(&mut self.head, line);
    }

    /// The transcript with what was printed in the place of what had to be.
    pub(super) fn with_outputs(&self, printed: &[String]) -> String {
        let mut text = self.head.clone();
        for (step, printed) in self.steps.iter().zip(printed) {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&step.written);
            if !printed.is_empty() {
                push_line(&mut text, printed);
            }
        }
        text
    }

    /// What a command printed, in the form in which it is compared.
    pub(super) fn normal(
        &self,
        command: &Command,
        place: &Place,
        answer: (&str, &str, Option<i32>),
    ) -> String {
        let (stdout, stderr, exit) = answer;
        let mut lines: Vec<String> = without_usage(stdout)
            .chain(without_usage(stderr))
            .filter(|line| !is_noise(line))
            .map(|line| self.normal_line(line, place))
            .filter(|line| !line.is_empty())
            .collect();
        if command.sorted {
            lines.sort();
        }
        if exit != Some(0) {
            lines
                .push(exit.map_or_else(|| "[no exit]".to_owned(), |exit| format!("[exit {exit}]")));
        }
        lines.join("\n")
    }

    fn normal_line(&self, line: &str, place: &Place) -> String {
        let mut text = line
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .replace(&place.bootstrap, "{bootstrap}");
        for (pattern, instead) in &self.masks {
            text = pattern.replace_all(&text, instead.as_str()).into_owned();
        }
        without_ids(&text)
    }
}

fn push_line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

/// The lines before a tool explains its options, which is the same on every broker.
fn without_usage(text: &str) -> impl Iterator<Item = &str> {
    let explains = |line: &str| line.split_whitespace().eq(["Option", "Description"]);
    text.lines().take_while(move |line| !explains(line))
}

/// Log lines, stack frames, and how our runner of tools ends one: none of it is the broker's doing.
fn is_noise(line: &str) -> bool {
    let text = line.trim_start();
    let logged = text.starts_with("[20")
        && text.contains(']')
        && [" ERROR ", " WARN ", " INFO "]
            .iter()
            .any(|level| text.contains(level));
    let ended = text.contains("the tool asked to exit");
    logged || ended || text.starts_with("at ") && text.ends_with(')') || text.starts_with("... ")
}

/// Replaces Kafka's ids (sixteen random bytes in Base64) and those of Java.
fn without_ids(text: &str) -> String {
    let in_word = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|letter| !in_word(letter)).unwrap_or(rest.len());
        if end == 0 {
            plain.push(first);
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
            continue;
        }
        let (word, after) = rest.split_at(end);
        plain.push_str(&without_id(word));
        rest = after;
    }
    plain
}

/// A word without the id that it is or ends with.
fn without_id(word: &str) -> String {
    // Names in camel case change between capitals, small letters and digits less often than random ones do.
    let sort = |letter: &u8| (letter.is_ascii_uppercase(), letter.is_ascii_lowercase());
    let changes = |text: &str| {
        let pairs = text.as_bytes().windows(2);
        pairs
            .filter(|pair| matches!(pair, [a, b] if sort(a) != sort(b)))
            .count()
    };
    let is_kafka_id = |text: &str| text.len() == 22 && changes(text) > 7;
    let is_java_id = |text: &str| {
        text.len() == 36
            && text.split('-').map(str::len).eq([8, 4, 4, 4, 12])
            && text
                .chars()
                .all(|letter| letter.is_ascii_hexdigit() || letter == '-')
    };
    if is_kafka_id(word) {
        return "{id}".to_owned();
    }
    match word
        .len()
        .checked_sub(36)
        .and_then(|at| word.split_at_checked(at))
    {
        Some((before, id)) if is_java_id(id) => format!("{before}{{id}}"),
        _ => word.to_owned(),
    }
}

fn action(sigil: &str, rest: &str) -> Result<Action> {
    if sigil == "& " {
        return Ok(match rest.split_once(' ') {
            Some((name, line)) => Action::Start(name.to_owned(), command(line, false)?),
            None => Action::End(rest.to_owned()),
        });
    }
    Ok(Action::Run(command(rest, sigil == "? ")?))
}

fn command(line: &str, repeated: bool) -> Result<Command> {
    let mut words = words(line)?.into_iter().peekable();
    let sorted = words.next_if(|word| word == "sorted").is_some();
    Ok(Command {
        tool: words.next().context("a command names a tool")?,
        arguments: words.collect(),
        input: String::new(),
        repeated,
        sorted,
    })
}

/// Words between blanks; what stands in single quotes is one.
fn words(line: &str) -> Result<Vec<String>> {
    let parts: Vec<&str> = line.split('\'').collect();
    ensure!(parts.len() % 2 == 1, "a quote is not closed");
    let mut found: Vec<String> = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        if index % 2 == 1 {
            found.push((*part).to_owned());
        } else {
            found.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "% num.partitions=3\n~ ms [0-9]+ => ms {n}\n\n# Why.\n$ sorted tool --match 'a b' --id {broker}\n< in\nout 1\n[exit 1]\n\n& member tool --stay\n\n& member\n";

    #[test]
    fn a_transcript_is_read_and_written_again() {
        let read = Transcript::parse(TEXT).unwrap();
        assert_eq!(
            read.properties,
            [("num.partitions".to_owned(), "3".to_owned())]
        );
        assert_eq!(read.steps.len(), 3);
        assert_eq!(read.steps[0].wanted, "out 1\n[exit 1]");
        let Action::Run(command) = &read.steps[0].action else {
            panic!("{:?}", read.steps[0]);
        };
        assert_eq!(command.arguments, ["--match", "a b", "--id", "{broker}"]);
        assert_eq!(command.input, "in\n");
        assert_eq!(read.steps[2].action, Action::End("member".to_owned()));
        let outputs: Vec<String> = read.steps.iter().map(|step| step.wanted.clone()).collect();
        assert_eq!(read.with_outputs(&outputs), TEXT);
        for text in ["out\n", "$ tool 'a\n", "% a\n", "$ \n"] {
            assert!(Transcript::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_differs_from_run_to_run_is_masked() {
        let read = Transcript::parse(TEXT).unwrap();
        let Action::Run(command) = &read.steps[0].action else {
            panic!("{:?}", read.steps[0]);
        };
        let place = Place {
            bootstrap: "127.0.0.1:4711".to_owned(),
            broker: "1".to_owned(),
        };
        let stdout = "b   at 127.0.0.1:4711\ntransactionStartTimeMs\nmember-0b1f2c3d-0000-4000-8000-0123456789ab ms 17\n\na OqhXkDhLS2yjUzr8nqVpaQ\n";
        let stderr = "[2026-01-01 00:00:00,000] WARN noise (x)\nGroupNotEmptyException: no\n\tat a.b(C.java:1)\n";
        assert_eq!(
            read.normal(command, &place, (stdout, stderr, Some(1))),
            "GroupNotEmptyException: no\na {id}\nb at {bootstrap}\nmember-{id} ms {n}\ntransactionStartTimeMs\n[exit 1]"
        );
    }
}
