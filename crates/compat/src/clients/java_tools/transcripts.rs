//! What the administrators' tools print, compared word for word with what they print of Apache Kafka.
//!
//! Each transcript in `crates/compat/transcripts/` is a case and has a broker of its own. With `UPDATE_EXPECT=1` in
//! the environment a run against Apache Kafka writes down what its tools printed; every other run, on either broker,
//! must print the same.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use anyhow::{Context, Result, bail, ensure};

use super::runner::Runner;
use super::transcript::{Action, Command, Place, Step, Transcript};
use super::{Cases, Tools};
use crate::target::Kind;

pub(super) const CASES: Cases = &[
    ("said-client-metrics", |tools| play(tools, "client-metrics")),
    ("said-consumer-groups", |tools| {
        play(tools, "consumer-groups")
    }),
    ("said-delegation-tokens", |tools| {
        play(tools, "delegation-tokens")
    }),
    ("said-entity-configs", |tools| play(tools, "entity-configs")),
    ("said-features", |tools| play(tools, "features")),
    ("said-quotas", |tools| play(tools, "quotas")),
    ("said-share-consumers", |tools| {
        play(tools, "share-consumers")
    }),
    ("said-share-groups", |tools| play(tools, "share-groups")),
    ("said-streams-groups", |tools| play(tools, "streams-groups")),
    ("said-topics", |tools| play(tools, "topics")),
    ("said-transactions", |tools| play(tools, "transactions")),
    ("said-wire-admin", |tools| play(tools, "wire-admin")),
    ("said-wire-groups", |tools| play(tools, "wire-groups")),
    ("said-wire-produce", |tools| play(tools, "wire-produce")),
    ("said-wire-share", |tools| play(tools, "wire-share")),
    ("said-wire-transactions", |tools| {
        play(tools, "wire-transactions")
    }),
];

/// Apache Kafka's scripts by name, and the classes behind them; `ask` is our own (`java/src/Ask.java`) and sends one
/// request.
const TOOLS: [(&str, &str); 25] = [
    ("ask", "affluent.compat.Ask"),
    (
        "kafka-broker-api-versions",
        "org.apache.kafka.tools.BrokerApiVersionsCommand",
    ),
    (
        "kafka-client-metrics",
        "org.apache.kafka.tools.ClientMetricsCommand",
    ),
    ("kafka-cluster", "org.apache.kafka.tools.ClusterTool"),
    ("kafka-configs", "kafka.admin.ConfigCommand"),
    (
        "kafka-console-consumer",
        "org.apache.kafka.tools.consumer.ConsoleConsumer",
    ),
    (
        "kafka-console-producer",
        "org.apache.kafka.tools.ConsoleProducer",
    ),
    (
        "kafka-console-share-consumer",
        "org.apache.kafka.tools.consumer.ConsoleShareConsumer",
    ),
    (
        "kafka-consumer-groups",
        "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    ),
    (
        "kafka-delegation-tokens",
        "org.apache.kafka.tools.DelegationTokenCommand",
    ),
    ("kafka-features", "org.apache.kafka.tools.FeatureCommand"),
    ("kafka-get-offsets", "org.apache.kafka.tools.GetOffsetShell"),
    ("kafka-groups", "org.apache.kafka.tools.GroupsCommand"),
    (
        "kafka-leader-election",
        "org.apache.kafka.tools.LeaderElectionCommand",
    ),
    ("kafka-log-dirs", "org.apache.kafka.tools.LogDirsCommand"),
    (
        "kafka-metadata-quorum",
        "org.apache.kafka.tools.MetadataQuorumCommand",
    ),
    (
        "kafka-producer-perf-test",
        "org.apache.kafka.tools.ProducerPerformance",
    ),
    (
        "kafka-share-consumer-perf-test",
        "org.apache.kafka.tools.ShareConsumerPerformance",
    ),
    (
        "kafka-share-groups",
        "org.apache.kafka.tools.consumer.group.ShareGroupCommand",
    ),
    (
        "kafka-streams-groups",
        "org.apache.kafka.tools.streams.StreamsGroupCommand",
    ),
    ("kafka-topics", "org.apache.kafka.tools.TopicCommand"),
    (
        "kafka-transactions",
        "org.apache.kafka.tools.TransactionsCommand",
    ),
    (
        "kafka-verifiable-consumer",
        "org.apache.kafka.tools.VerifiableConsumer",
    ),
    (
        "kafka-verifiable-producer",
        "org.apache.kafka.tools.VerifiableProducer",
    ),
    (
        "kafka-verifiable-share-consumer",
        "org.apache.kafka.tools.VerifiableShareConsumer",
    ),
];

/// How long a repeated command may take to print what it must.
const PATIENCE: Duration = Duration::from_secs(40);

/// How long a repeated command has to print the same before it is written down in the place of something else.
const SETTLED: Duration = Duration::from_secs(8);

fn play(tools: &Tools<'_>, name: &str) -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("transcripts")
        .join(format!("{name}.txt"));
    let text =
        fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
    let transcript = Transcript::parse(&text).with_context(|| format!("in {name}.txt"))?;
    let properties: Vec<(&str, &str)> = transcript
        .properties
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    let target = tools.launcher.start(tools.target.kind(), &properties)?;
    let own = Tools::new(&target, tools.launcher, tools.kafka);
    *own.runner.borrow_mut() = tools.runner.borrow_mut().take();
    let update = tools.target.kind() == Kind::Kafka
        && env::var_os("UPDATE_EXPECT").is_some_and(|value| value == "1");
    let player = Player {
        place: Place {
            bootstrap: target.bootstrap(),
            broker: target.broker_id().to_string(),
        },
        tools: &own,
        transcript: &transcript,
        update: update.then_some(path),
    };
    let ended = player.play();
    *tools.runner.borrow_mut() = own.runner.borrow_mut().take();
    ended?;
    if let Some(error) = target.logged_error() {
        bail!("the broker logged: {error}");
    }
    target.stop()
}

/// A transcript while it is played to one broker.
struct Player<'a> {
    tools: &'a Tools<'a>,
    transcript: &'a Transcript,
    place: Place,
    /// Where to write what was printed; `None` compares it.
    update: Option<PathBuf>,
}

impl Player<'_> {
    fn play(&self) -> Result<()> {
        let mut background: BTreeMap<&str, Runner> = BTreeMap::new();
        let mut printed = Vec::new();
        let mut faults = Vec::new();
        for step in &self.transcript.steps {
            match &step.action {
                Action::Start(name, command) => {
                    background.insert(name, self.start(command)?);
                    printed.push(String::new());
                }
                Action::End(name) => {
                    background
                        .remove(name.as_str())
                        .with_context(|| format!("nothing called {name} runs"))?;
                    printed.push(String::new());
                }
                Action::Run(command) => {
                    let found = self.settle(step, command)?;
                    if found != step.wanted {
                        faults.push(difference(command, &step.wanted, &found));
                    }
                    printed.push(found);
                }
            }
        }
        if let Some(path) = &self.update {
            fs::write(path, self.transcript.with_outputs(&printed))
                .with_context(|| format!("could not write {}", path.display()))?;
            return Ok(());
        }
        ensure!(
            faults.is_empty(),
            "{} of its answers differ: {}",
            faults.len(),
            faults.join("; ")
        );
        Ok(())
    }

    /// Runs the command, repeatedly if its step says so, and returns what it printed last.
    fn settle(&self, step: &Step, command: &Command) -> Result<String> {
        let mut found = self.run(command)?;
        if !command.repeated {
            return Ok(found);
        }
        let deadline = Instant::now() + PATIENCE;
        let mut since = Instant::now();
        while Instant::now() < deadline {
            let settled = self.update.is_some() && since.elapsed() > SETTLED;
            if found == step.wanted || settled {
                break;
            }
            thread::yield_now();
            let next = self.run(command)?;
            if next != found {
                since = Instant::now();
                found = next;
            }
        }
        Ok(found)
    }

    fn run(&self, command: &Command) -> Result<String> {
        let (main, arguments) = self.line(command)?;
        let borrowed: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let answer = self.tools.run_plain(main, &borrowed, &command.input)?;
        Ok(self.transcript.normal(
            command,
            &self.place,
            (&answer.stdout, &answer.stderr, answer.exit),
        ))
    }

    fn start(&self, command: &Command) -> Result<Runner> {
        let (main, arguments) = self.line(command)?;
        let borrowed: Vec<&str> = arguments.iter().map(String::as_str).collect();
        Runner::start(self.tools.kafka, self.tools.target.scratch())?
            .run_in_background(main, &borrowed)
    }

    /// The class, and its arguments with the broker's address in front.
    fn line(&self, command: &Command) -> Result<(&'static str, Vec<String>)> {
        let (_, main) = TOOLS
            .iter()
            .find(|(name, _)| *name == command.tool)
            .with_context(|| format!("no tool is called {}", command.tool))?;
        let given = command.arguments.iter().map(|argument| {
            argument
                .replace("{broker}", &self.place.broker)
                .replace("{bootstrap}", &self.place.bootstrap)
        });
        let server = [
            "--bootstrap-server".to_owned(),
            self.place.bootstrap.clone(),
        ];
        Ok((*main, server.into_iter().chain(given).collect()))
    }
}

/// The first line that differs, with the command it answers.
fn difference(command: &Command, wanted: &str, found: &str) -> String {
    let line = || format!("{} {}", command.tool, command.arguments.join(" "));
    let mut wanted_lines = wanted.lines();
    for found_line in found.lines() {
        let wanted_line = wanted_lines.next();
        if wanted_line != Some(found_line) {
            return format!(
                "{} printed {found_line:?}, Apache Kafka has {wanted_line:?}",
                line()
            );
        }
    }
    format!(
        "{} did not print {:?}",
        line(),
        wanted_lines.next().unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_committed_transcript_can_be_played() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts");
        let mut found = 0;
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            let transcript =
                Transcript::parse(&text).unwrap_or_else(|error| panic!("{path:?}: {error:#}"));
            for step in &transcript.steps {
                if let Action::Run(command) | Action::Start(_, command) = &step.action {
                    assert!(
                        TOOLS.iter().any(|(name, _)| *name == command.tool),
                        "{path:?}: {}",
                        command.tool
                    );
                }
            }
            found += 1;
        }
        assert_eq!(found, CASES.len());
    }

    #[test]
    fn the_first_difference_is_named() {
        let transcript = Transcript::parse("$ kafka-topics --list\na\nb\n").unwrap();
        let Action::Run(command) = &transcript.steps[0].action else {
            panic!("{transcript:?}");
        };
        let said = difference(command, "a\nb", "a\nc");
        assert!(said.contains("\"c\"") && said.contains("\"b\""), "{said}");
        assert!(difference(command, "a\nb", "a").contains("\"b\""));
        assert!(difference(command, "a", "a\nb").contains("None"));
    }
}
