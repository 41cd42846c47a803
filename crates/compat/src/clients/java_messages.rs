//! Our encodings, read by Apache Kafka's own message classes.
//!
//! `crates/wire/tests/golden/messages.txt` holds each message in each version as our codec writes it; the tests of
//! `wire` hold the codec to it in both directions. Here Apache Kafka reads every line and writes it back
//! (`java/src/MessagesOracle.java`): the bytes must be the same. No broker takes part, so both targets tell the same.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::cache::Cache;
use crate::kafka::{KAFKA_VERSION, Kafka};
use crate::process;
use crate::suite::{CaseResult, Session, Suite, Tier, run_case};

const LIMIT: Duration = Duration::from_secs(120);

/// What must be compared at least; fewer would mean that names or versions no longer meet.
const COMPARED_MIN: u32 = 400;

/// The suite.
#[derive(Debug)]
pub struct JavaMessages;

impl Suite for JavaMessages {
    fn name(&self) -> &'static str {
        "java-messages"
    }

    fn client(&self) -> String {
        format!("Apache Kafka {KAFKA_VERSION} message classes")
    }

    fn prepare(&self, _cache: &Cache, kafka: &Kafka, _tier: Tier) -> Result<bool> {
        kafka.compile_runner().map(|_| true)
    }

    fn run(&self, session: &Session<'_>, done: &mut dyn FnMut(CaseResult)) -> Result<()> {
        if session.selection.wants("golden-messages") {
            run_case("golden-messages", done, || golden_messages(session));
        }
        Ok(())
    }
}

fn golden_messages(session: &Session<'_>) -> Result<()> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wire/tests/golden/messages.txt");
    let classes = session.kafka.compile_runner()?;
    let options = ["-Xmx256M", "-XX:TieredStopAtLevel=1"];
    let mut command = session.kafka.java_with(&[&classes], &options);
    command.arg("affluent.compat.MessagesOracle").arg(golden);
    let finished = process::run(&mut command, b"", LIMIT)?;
    let printed = finished.stdout_text();
    session.keep_log("golden-messages", &printed);
    ensure!(
        finished.success(),
        "Apache Kafka disagrees: {}; {}",
        process::tail(&printed, 6),
        process::tail(&finished.stderr_text(), 4)
    );
    let same = compared(&printed).with_context(|| format!("no summary in {printed:?}"))?;
    ensure!(
        same >= COMPARED_MIN,
        "only {same} lines were compared: {}",
        process::tail(&printed, 1)
    );
    Ok(())
}

/// The first number of the summary `same 12, not in this Kafka 3, different 0`.
fn compared(printed: &str) -> Option<u32> {
    let summary = printed.lines().last()?.strip_prefix("same ")?;
    summary.split(',').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_says_how_much_was_compared() {
        let printed = "FAIL x\nsame 12, not in this Kafka 3, different 1\n";
        assert_eq!(compared(printed), Some(12));
        assert_eq!(compared("Exception"), None);
    }
}
