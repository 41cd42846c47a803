//! What a process has used: CPU time and memory, read from `/proc`.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// What Linux counts CPU time in for `/proc` (`USER_HZ`): 100 on every architecture Affluent is built for.
const TICKS_PER_SECOND: u64 = 100;

/// A reading of `/proc/PID/stat` and `/proc/PID/status`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// User and system time of all threads, those that ended included; in steps of a clock tick (10 ms).
    pub cpu: Duration,
    /// Resident memory now, in bytes.
    pub rss_bytes: u64,
    /// The most resident memory the process has had, in bytes.
    pub rss_peak_bytes: u64,
    /// Threads now.
    pub threads: u64,
}

impl Usage {
    /// Reads the usage of a live process.
    ///
    /// # Errors
    /// When the process is gone or `/proc` is not Linux's.
    pub fn of(pid: u32) -> Result<Usage> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))
            .with_context(|| format!("process {pid} is gone"))?;
        let status = fs::read_to_string(format!("/proc/{pid}/status"))
            .with_context(|| format!("process {pid} is gone"))?;
        let kib = |key: &str| number(&status, key).map(|kib| kib * 1024);
        Ok(Usage {
            cpu: parse_cpu(&stat, TICKS_PER_SECOND)
                .with_context(|| format!("/proc/{pid}/stat reads {stat:?}"))?,
            rss_bytes: kib("VmRSS:").unwrap_or(0),
            rss_peak_bytes: kib("VmHWM:").unwrap_or(0),
            threads: number(&status, "Threads:").unwrap_or(0),
        })
    }
}

/// CPU time of this process's children that have ended and were waited for.
///
/// # Errors
/// When `/proc` is not Linux's.
pub fn children_cpu() -> Result<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").context("there is no /proc/self/stat")?;
    times_at(&stat, 13, TICKS_PER_SECOND).with_context(|| format!("/proc/self/stat reads {stat:?}"))
}

fn number(status: &str, key: &str) -> Option<u64> {
    let line = status.lines().find(|line| line.starts_with(key))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Fields 14 and 15, in clock ticks.
fn parse_cpu(stat: &str, ticks_per_second: u64) -> Option<Duration> {
    times_at(stat, 11, ticks_per_second)
}

/// Two fields added up, of which the first is `skip` behind the state. The program's name, field 2, may hold blanks and
/// parentheses.
fn times_at(stat: &str, skip: usize, ticks_per_second: u64) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(skip);
    let user: u64 = times.next()?.parse().ok()?;
    let system: u64 = times.next()?.parse().ok()?;
    Some(Duration::from_millis(
        (user + system) * 1_000 / ticks_per_second,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_an_odd_program_name() {
        let stat = "7 (a ) b) S 1 2 3 4 5 6 7 8 9 10 150 50 13 14";
        assert_eq!(parse_cpu(stat, 100), Some(Duration::from_secs(2)));
        assert_eq!(times_at(stat, 13, 100), Some(Duration::from_millis(270)));
        assert_eq!(parse_cpu("7 (a) S 1 2", 100), None);
    }

    #[test]
    fn our_own_process_has_memory_and_threads() {
        let usage = Usage::of(std::process::id()).unwrap();
        assert!(usage.rss_bytes > 100_000 && usage.rss_peak_bytes >= usage.rss_bytes);
        assert!(usage.threads >= 1);
    }
}
