//! The lines of a broker's log that nobody expected.
//!
//! A broker that answers right but logs an error, or whose task panicked behind a caught unwind, has a defect
//! that the answer hides. A test ends by asking for [`unexpected`] lines.

/// Whether a line reports a panic of any thread.
#[must_use]
pub fn is_panic(line: &str) -> bool {
    line.contains("panicked at") || line.contains("stack overflow") || line.contains("SIGABRT")
}

/// Whether a line is logged at ERROR or WARN, in the human form or in JSON.
#[must_use]
pub fn is_alarm(line: &str) -> bool {
    line.contains("\"level\":\"ERROR\"")
        || line.contains("\"level\":\"WARN\"")
        || line
            .split_whitespace()
            .take(3)
            .any(|word| matches!(word, "ERROR" | "WARN"))
}

/// The lines of `log` at ERROR or WARN and the panics, except the alarms that contain one of `expected`.
/// A panic is never expected.
#[must_use]
pub fn unexpected<'a>(log: &'a str, expected: &[&str]) -> Vec<&'a str> {
    log.lines()
        .filter(|line| {
            let known = || expected.iter().any(|text| line.contains(text));
            is_panic(line) || (is_alarm(line) && !known())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarms_and_panics_are_found_and_expected_alarms_are_not() {
        let log = "2026-01-01T00:00:00Z  INFO affluent: no ERROR here, says topic=WARN\n\
                   2026-01-01T00:00:00Z  WARN broker: listener is open\n\
                   {\"timestamp\":\"x\",\"level\":\"ERROR\",\"message\":\"disk\"}\n\
                   thread 'main' panicked at src/main.rs: listener is open\n";
        let found = unexpected(log, &["listener is open"]);
        assert_eq!(found.len(), 2);
        assert!(found[0].contains("disk") && found[1].contains("panicked"));
    }
}
