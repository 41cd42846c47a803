//! Metrics in Prometheus' text format (version 0.0.4).
//!
//! Four kinds meet here: what the broker counts through the `metrics` facade, what the storage counts in plain
//! atomics, what clients pushed (KIP-714), and what the operating system knows of this process (the names of Prometheus' own client
//! libraries: `process_cpu_seconds_total`, ...).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use broker::ClientMetrics;
use cli::{Failure, Outcome};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use storage::StorageMetrics;
use storage::metrics::{LATENCY_BUCKETS_US, LatencyHistogram};

/// Upper bounds of request durations, in seconds.
const DURATION_BUCKETS: [f64; 14] = [
    0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];

/// How often the recorder folds in what was recorded, so that its memory stays bounded without a scrape.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Renders all metrics. Clones share everything.
#[derive(Clone)]
pub(super) struct Exporter {
    recorded: PrometheusHandle,
    storage: Arc<OnceLock<Arc<StorageMetrics>>>,
    clients: Arc<OnceLock<Arc<ClientMetrics>>>,
    upkeep: Arc<AtomicBool>,
}

impl std::fmt::Debug for Exporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exporter").finish_non_exhaustive()
    }
}

/// Installs the process-wide recorder.
pub(super) fn install() -> Outcome<Exporter> {
    let recorded = PrometheusBuilder::new()
        .set_buckets(&DURATION_BUCKETS)
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|error| Failure::new(format!("cannot install the metrics recorder: {error}")))?;
    Ok(Exporter {
        recorded,
        storage: Arc::new(OnceLock::new()),
        clients: Arc::new(OnceLock::new()),
        upkeep: Arc::new(AtomicBool::new(false)),
    })
}

impl Exporter {
    /// Exports the storage's counters and the clients' metrics too.
    pub(super) fn watch(&self, storage: Arc<StorageMetrics>, clients: Arc<ClientMetrics>) {
        self.storage.get_or_init(|| storage);
        self.clients.get_or_init(|| clients);
    }

    /// Keeps the recorder small from now on, whether anybody scrapes or not.
    pub(super) fn keep_small(&self) {
        if self.upkeep.swap(true, Ordering::Relaxed) {
            return;
        }
        let recorded = self.recorded.clone();
        // Ends with the process.
        tokio::spawn(async move {
            let mut interval = tokio::time::interval(UPKEEP_INTERVAL);
            loop {
                interval.tick().await;
                recorded.run_upkeep();
            }
        });
    }

    /// The text of one scrape.
    pub(super) fn render(&self) -> String {
        let mut text = self.recorded.render();
        if let Some(storage) = self.storage.get() {
            render_storage(&mut text, storage);
        }
        if let Some(clients) = self.clients.get() {
            clients.render(&mut text);
        }
        if let Some(process) = Process::read() {
            process.render(&mut text);
        }
        let version = env!("CARGO_PKG_VERSION");
        metric(
            &mut text,
            "affluent_build_info",
            "gauge",
            "The version that runs",
        );
        line(
            &mut text,
            format_args!("affluent_build_info{{version=\"{version}\"}} 1"),
        );
        text
    }
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.push_str(&std::fmt::format(arguments));
    text.push('\n');
}

fn metric(text: &mut String, name: &str, kind: &str, help: &str) {
    line(text, format_args!("# HELP {name} {help}"));
    line(text, format_args!("# TYPE {name} {kind}"));
}

fn render_storage(text: &mut String, storage: &StorageMetrics) {
    for (name, help, value) in storage.counters() {
        // By the storage's convention only what is true "now" can also fall.
        let (kind, suffix) = if help.ends_with(" now") || help.contains(" now,") {
            ("gauge", "")
        } else {
            ("counter", "_total")
        };
        let name = format!("affluent_storage_{name}{suffix}");
        metric(text, &name, kind, help);
        line(text, format_args!("{name} {value}"));
    }
    let journal = "affluent_storage_journal_write_duration_seconds";
    let help = "How long a group took to become durable";
    render_histogram(text, journal, help, &storage.journal_write_latency);
    let segments = "affluent_storage_segment_sync_duration_seconds";
    let help = "How long an fdatasync of a segment took";
    render_histogram(text, segments, help, &storage.segment_sync_latency);
}

fn render_histogram(text: &mut String, name: &str, help: &str, histogram: &LatencyHistogram) {
    metric(text, name, "histogram", help);
    let counts = histogram.counts();
    let mut cumulative = 0;
    for (bound_us, count) in LATENCY_BUCKETS_US.iter().zip(counts) {
        cumulative += count;
        let bound = seconds(*bound_us);
        line(
            text,
            format_args!("{name}_bucket{{le=\"{bound}\"}} {cumulative}"),
        );
    }
    let total: u64 = counts.iter().sum();
    line(text, format_args!("{name}_bucket{{le=\"+Inf\"}} {total}"));
    line(
        text,
        format_args!("{name}_sum {}", seconds(histogram.sum_us())),
    );
    line(text, format_args!("{name}_count {total}"));
}

fn seconds(us: u64) -> f64 {
    Duration::from_micros(us).as_secs_f64()
}

/// What `/proc/self` says of this process.
#[derive(Debug, PartialEq)]
struct Process {
    cpu_seconds: f64,
    threads: u64,
    virtual_bytes: u64,
    resident_bytes: u64,
    open_fds: u64,
}

impl Process {
    fn read() -> Option<Process> {
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        let open_fds = std::fs::read_dir("/proc/self/fd").ok()?.count();
        let ticks_per_second = rustix::param::clock_ticks_per_second();
        let page_bytes = rustix::param::page_size();
        let open_fds = u64::try_from(open_fds).ok()?;
        Process::parse(
            &stat,
            ticks_per_second,
            u64::try_from(page_bytes).ok()?,
            open_fds,
        )
    }

    /// Reads proc(5)'s `stat`. The command's name may hold anything, so fields count from its last `)`.
    fn parse(stat: &str, ticks_per_second: u64, page_bytes: u64, open_fds: u64) -> Option<Process> {
        let (_, rest) = stat.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // proc(5) counts from 1 and `rest` begins with field 3.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let ticks = field(14)?.checked_add(field(15)?)?;
        Some(Process {
            cpu_seconds: Duration::from_millis(ticks.checked_mul(1_000)? / ticks_per_second.max(1))
                .as_secs_f64(),
            threads: field(20)?,
            virtual_bytes: field(23)?,
            resident_bytes: field(24)?.checked_mul(page_bytes)?,
            open_fds,
        })
    }

    fn render(&self, text: &mut String) {
        let name = "process_cpu_seconds_total";
        metric(
            text,
            name,
            "counter",
            "User and system CPU time spent, in seconds",
        );
        line(text, format_args!("{name} {}", self.cpu_seconds));
        for (name, help, value) in [
            ("process_threads", "Threads of the process", self.threads),
            (
                "process_virtual_memory_bytes",
                "Virtual memory, in bytes",
                self.virtual_bytes,
            ),
            (
                "process_resident_memory_bytes",
                "Resident memory, in bytes",
                self.resident_bytes,
            ),
            ("process_open_fds", "Open file descriptors", self.open_fds),
        ] {
            metric(text, name, "gauge", help);
            line(text, format_args!("{name} {value}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_whose_name_has_a_bracket_is_read() {
        let stat = "42 (aff) luent) S 1 42 42 0 -1 4194560 1234 0 0 0 150 50 0 0 20 0 9 0 100 \
                    1048576 256 18446744073709551615 1 1 0";
        let expected = Process {
            cpu_seconds: 2.0,
            threads: 9,
            virtual_bytes: 1_048_576,
            resident_bytes: 256 * 4096,
            open_fds: 7,
        };
        assert_eq!(Process::parse(stat, 100, 4096, 7), Some(expected));
        assert_eq!(Process::parse("42 (a) S 1", 100, 4096, 7), None);
        assert!(Process::read().is_some_and(|process| process.resident_bytes > 0));
    }

    #[test]
    fn storage_counters_are_gauges_when_they_say_now() {
        let storage = StorageMetrics::default();
        storage.appended_batches.store(3, Ordering::Relaxed);
        storage
            .journal_write_latency
            .record(Duration::from_micros(150));
        let mut text = String::new();
        render_storage(&mut text, &storage);
        for expected in [
            "# TYPE affluent_storage_appended_batches_total counter\n\
             affluent_storage_appended_batches_total 3\n",
            "# TYPE affluent_storage_tail_bytes gauge\naffluent_storage_tail_bytes 0\n",
            "affluent_storage_journal_write_duration_seconds_bucket{le=\"0.0001\"} 0\n",
            "affluent_storage_journal_write_duration_seconds_bucket{le=\"0.0002\"} 1\n",
            "affluent_storage_journal_write_duration_seconds_bucket{le=\"+Inf\"} 1\n",
            "affluent_storage_journal_write_duration_seconds_sum 0.00015\n",
        ] {
            assert!(text.contains(expected), "{expected} is missing in\n{text}");
        }
    }
}
