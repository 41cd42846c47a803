//! The ledger of results: a JSON file that keeps every measurement's last samples, and the table made from it.
//!
//! A run replaces only the measurements it made, so each carries its own commit, day and command. The table is
//! never edited by hand.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::contender::Contender;
use crate::scenario::{self, Scenario};
use crate::stats::median;

/// One value of one measurement, from one round.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    /// The measurement's id within its scenario.
    pub(crate) measurement: String,
    /// The value in the measurement's unit.
    pub(crate) value: f64,
}

impl Sample {
    /// A sample of the measurement with this id.
    pub(crate) fn new(measurement: &str, value: f64) -> Sample {
        Sample {
            measurement: measurement.to_owned(),
            value,
        }
    }
}

/// What the project wants of a measurement of one contender.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Target {
    /// At least this many times Apache Kafka's value.
    RatioAtLeast(f64),
    /// At most this many times Apache Kafka's value.
    RatioAtMost(f64),
    /// At most this value, whatever Apache Kafka does.
    AtMost(f64),
    /// At least this value, whatever Apache Kafka does.
    AtLeast(f64),
}

/// A quantity that a scenario measures.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measurement {
    /// Unique within the scenario.
    pub(crate) id: &'static str,
    /// What it is, for the table.
    pub(crate) what: &'static str,
    /// Its unit.
    pub(crate) unit: &'static str,
    /// Which contender is to reach what.
    pub(crate) targets: &'static [(Contender, Target)],
}

/// Where a number came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunFacts {
    /// The commit that was built.
    pub(crate) commit: String,
    /// What was typed.
    pub(crate) command: String,
    /// The day, in UTC.
    pub(crate) day: String,
    /// Processor, memory, kernel.
    pub(crate) machine: String,
    /// What else one should know, such as what else ran on the machine; `--note`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) note: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Values {
    median: f64,
    samples: Vec<f64>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    what: String,
    unit: String,
    values: BTreeMap<Contender, Values>,
    run: RunFacts,
}

/// Every measurement's last samples.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Ledger {
    measurements: BTreeMap<String, Entry>,
}

impl Ledger {
    /// Reads `bench.json` in `directory`; empty when there is none.
    pub(crate) fn load(directory: &Path) -> Result<Ledger> {
        let path = directory.join("bench.json");
        if !path.exists() {
            return Ok(Ledger::default());
        }
        let text = fs::read_to_string(&path)
            .with_context(|| format!("could not read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is not a ledger", path.display()))
    }

    /// Writes `bench.json` and `bench.md`.
    pub(crate) fn save(&self, directory: &Path) -> Result<()> {
        fs::create_dir_all(directory)?;
        fs::write(
            directory.join("bench.json"),
            serde_json::to_string_pretty(self)? + "\n",
        )?;
        fs::write(directory.join("bench.md"), self.to_markdown())?;
        Ok(())
    }

    /// Takes over the samples of one scenario.
    pub(crate) fn record(
        &mut self,
        scenario: &Scenario,
        samples: &BTreeMap<(String, Contender), Vec<f64>>,
        run: RunFacts,
    ) {
        for measurement in scenario.measurements() {
            let mut values = BTreeMap::new();
            for contender in scenario.contenders() {
                let found = samples.get(&(measurement.id.to_owned(), *contender));
                let Some(samples) = found else { continue };
                if let Some(median) = median(samples) {
                    values.insert(
                        *contender,
                        Values {
                            median,
                            samples: samples.clone(),
                        },
                    );
                }
            }
            if values.is_empty() {
                continue;
            }
            let entry = Entry {
                what: measurement.what.to_owned(),
                unit: measurement.unit.to_owned(),
                values,
                run: run.clone(),
            };
            self.measurements.insert(key(scenario, measurement), entry);
        }
    }

    /// The table, in the order of the scenarios.
    pub(crate) fn to_markdown(&self) -> String {
        let mut text = String::from(HEADING);
        let mut runs: Vec<&RunFacts> = Vec::new();
        for scenario in scenario::ALL {
            for measurement in scenario.measurements() {
                let Some(entry) = self.measurements.get(&key(scenario, measurement)) else {
                    continue;
                };
                let run = runs
                    .iter()
                    .position(|run| **run == entry.run)
                    .unwrap_or_else(|| {
                        runs.push(&entry.run);
                        runs.len() - 1
                    });
                text.push_str(&row(entry, measurement.targets, run + 1));
            }
        }
        text.push_str("\n## Runs\n\n");
        for (index, run) in runs.iter().enumerate() {
            let RunFacts {
                commit,
                command,
                day,
                machine,
                note,
            } = run;
            let note = if note.is_empty() {
                String::new()
            } else {
                format!(". {note}")
            };
            // Writing to a string cannot fail.
            writeln!(
                text,
                "{}. {day}, commit `{commit}`: `{command}` on {machine}{note}",
                index + 1
            )
            .ok();
        }
        text
    }
}

const HEADING: &str = "\
# Bench: Affluent and Apache Kafka 4.3.1 in turns on one machine

Written by the bench lane from `bench.json`; do not edit. Each number is the median of its rounds, a ratio is to
Apache Kafka's. Both run with their own defaults, Apache Kafka with the JVM options of its start script
(`-Xms1G -Xmx1G`, G1). **Affluent's acknowledgement is durable, Apache Kafka's is not** (it means the page cache);
the column *os* is Affluent with `flush.policy=os`, which makes Apache Kafka's promise. CPU is user and system time
of the broker's process; 1 GB is 10^9 bytes of values. The clients run on the same cores as the broker.

| what | unit | Apache Kafka | Affluent | ratio | os | ratio | target | met | run |
|---|---|---:|---:|---:|---:|---:|---|---|---:|
";

fn key(scenario: &Scenario, measurement: &Measurement) -> String {
    format!("{}.{}", scenario.name(), measurement.id)
}

fn row(entry: &Entry, targets: &[(Contender, Target)], run: usize) -> String {
    let value = |contender| {
        entry
            .values
            .get(&contender)
            .map(|values: &Values| values.median)
    };
    let ratio = |contender| Some(value(contender)? / value(Contender::Kafka).filter(|v| *v > 0.0)?);
    let number = |value: Option<f64>| value.map_or_else(String::new, figure);
    let times = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.2}x"));
    let mut wanted = Vec::new();
    let mut met = Vec::new();
    for (contender, target) in targets {
        let (text, reached) = match *target {
            Target::RatioAtLeast(least) => (
                format!("≥ {least}x"),
                ratio(*contender).map(|ratio| ratio >= least),
            ),
            Target::RatioAtMost(most) => (
                format!("≤ {most}x"),
                ratio(*contender).map(|ratio| ratio <= most),
            ),
            Target::AtMost(most) => (
                format!("≤ {}", figure(most)),
                value(*contender).map(|value| value <= most),
            ),
            Target::AtLeast(least) => (
                format!("≥ {}", figure(least)),
                value(*contender).map(|value| value >= least),
            ),
        };
        let Some(reached) = reached else { continue };
        wanted.push(if *contender == Contender::AffluentOs {
            format!("os {text}")
        } else {
            text
        });
        met.push(if reached { "yes" } else { "**no**" });
    }
    format!(
        "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {run} |\n",
        entry.what,
        entry.unit,
        number(value(Contender::Kafka)),
        number(value(Contender::Affluent)),
        times(ratio(Contender::Affluent)),
        number(value(Contender::AffluentOs)),
        times(ratio(Contender::AffluentOs)),
        wanted.join(", "),
        met.join(", "),
    )
}

/// Three figures that matter.
fn figure(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(values: &[(Contender, f64)]) -> Entry {
        let values = values
            .iter()
            .map(|(contender, median)| {
                (
                    *contender,
                    Values {
                        median: *median,
                        samples: vec![*median],
                    },
                )
            })
            .collect();
        let run = RunFacts {
            commit: String::new(),
            command: String::new(),
            day: String::new(),
            machine: String::new(),
            note: String::new(),
        };
        Entry {
            what: "w".to_owned(),
            unit: "MiB/s".to_owned(),
            values,
            run,
        }
    }

    #[test]
    fn a_row_compares_each_contender_with_its_own_target() {
        let entry = entry(&[
            (Contender::Kafka, 100.0),
            (Contender::Affluent, 98.0),
            (Contender::AffluentOs, 160.0),
        ]);
        let targets = [
            (Contender::Affluent, Target::RatioAtLeast(1.0)),
            (Contender::AffluentOs, Target::RatioAtLeast(1.5)),
        ];
        let text = row(&entry, &targets, 1);
        let expected = "| w | MiB/s | 100 | 98.0 | 0.98x | 160 | 1.60x | ≥ 1x, os ≥ 1.5x | **no**, yes | 1 |\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_target_without_a_value_is_not_judged() {
        let entry = entry(&[(Contender::Affluent, 120.0)]);
        let targets = [
            (Contender::Affluent, Target::AtMost(150.0)),
            (Contender::Affluent, Target::RatioAtMost(0.5)),
        ];
        assert_eq!(
            row(&entry, &targets, 2),
            "| w | MiB/s |  | 120 |  |  |  | ≤ 150 | yes | 2 |\n"
        );
    }
}
