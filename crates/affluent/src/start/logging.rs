//! Structured logs on standard error, whose levels can change while the broker runs.
//!
//! Kafka's loggers are Java classes; here they are the crates and their modules (`broker`,
//! `broker::connection`), and `root` stands for all. What `log.level` sets comes first, what
//! `kafka-configs --entity-type broker-loggers` sets wins until the next start.

use std::collections::BTreeMap;
use std::fmt;
use std::io::IsTerminal;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use broker::{LogLevel, LogLevels, ROOT_LOGGER};
use cli::{Failure, Outcome};
use tracing_subscriber::EnvFilter;

use crate::settings::LogFormat;

/// The crates that log.
const CRATES: [&str; 9] = [
    "affluent",
    "broker",
    "cli",
    "client",
    "coordinator",
    "metastore",
    "security",
    "storage",
    "wire",
];

/// Installs the logger; `level` is a level or a list of directives. Returns its loggers.
pub(super) fn install(format: LogFormat, level: &str) -> Outcome<Arc<dyn LogLevels>> {
    let filter = parse(level)?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let (installed, reload) = match format {
        LogFormat::Human => {
            let builder = builder
                .with_ansi(std::io::stderr().is_terminal())
                .with_filter_reloading();
            let handle = builder.reload_handle();
            let reload: Reload = Box::new(move |filter| handle.reload(filter).is_ok());
            (builder.try_init(), reload)
        }
        LogFormat::Json => {
            let builder = builder.json().flatten_event(true).with_filter_reloading();
            let handle = builder.reload_handle();
            let reload: Reload = Box::new(move |filter| handle.reload(filter).is_ok());
            (builder.try_init(), reload)
        }
    };
    installed.map_err(|error| Failure::new(format!("cannot install the logger: {error}")))?;
    Ok(Arc::new(Loggers {
        directives: Mutex::new(Directives::of(level)),
        reload,
    }))
}

fn parse(level: &str) -> Outcome<EnvFilter> {
    EnvFilter::builder().parse(level).map_err(|error| {
        Failure::new(format!("log.level = '{level}' is not usable: {error}"))
            .remedy("--log-level info, or directives such as info,broker=debug")
    })
}

/// Puts another filter in force.
type Reload = Box<dyn Fn(EnvFilter) -> bool + Send + Sync>;

/// The installed logger's loggers.
struct Loggers {
    directives: Mutex<Directives>,
    reload: Reload,
}

impl fmt::Debug for Loggers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loggers").finish_non_exhaustive()
    }
}

impl Loggers {
    fn lock(&self) -> MutexGuard<'_, Directives> {
        self.directives
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl LogLevels for Loggers {
    fn levels(&self) -> BTreeMap<String, LogLevel> {
        self.lock().levels()
    }

    fn exists(&self, logger: &str) -> bool {
        self.lock().exists(logger)
    }

    fn set(&self, changes: &[(String, Option<LogLevel>)]) {
        let mut directives = self.lock();
        for (logger, level) in changes {
            directives.set(logger, *level);
        }
        // Names of crates and modules, and levels: it always parses.
        if let Ok(filter) = EnvFilter::builder().parse(directives.to_string()) {
            (self.reload)(filter);
        }
    }
}

/// A filter's text, taken apart: the level of all, those of single loggers, and what this does not understand,
/// such as filters of spans, which stays as it is.
#[derive(Debug, PartialEq)]
struct Directives {
    root: LogLevel,
    loggers: BTreeMap<String, LogLevel>,
    others: Vec<String>,
}

impl Directives {
    fn of(text: &str) -> Directives {
        let mut directives = Directives {
            // What `EnvFilter` takes for granted.
            root: LogLevel::Error,
            loggers: BTreeMap::new(),
            others: Vec::new(),
        };
        for directive in text.split(',').map(str::trim).filter(|d| !d.is_empty()) {
            match directive.split_once('=') {
                Some((logger, text)) if is_path(logger) && level(text).is_some() => {
                    let level = level(text).unwrap_or(LogLevel::Trace);
                    directives.loggers.insert(logger.to_owned(), level);
                }
                Some(_) => directives.others.push(directive.to_owned()),
                None => match level(directive) {
                    Some(level) => directives.root = level,
                    // A logger without a level says everything.
                    None if is_path(directive) => {
                        let logger = directive.to_owned();
                        directives.loggers.insert(logger, LogLevel::Trace);
                    }
                    None => directives.others.push(directive.to_owned()),
                },
            }
        }
        directives
    }

    fn levels(&self) -> BTreeMap<String, LogLevel> {
        let names = CRATES.into_iter().map(str::to_owned);
        let names = names.chain(self.loggers.keys().cloned());
        let mut levels: BTreeMap<String, LogLevel> = names
            .map(|name| (name.clone(), self.level_of(&name)))
            .collect();
        levels.insert(ROOT_LOGGER.to_owned(), self.root);
        levels
    }

    /// The level of the nearest logger above that has one.
    fn level_of(&self, logger: &str) -> LogLevel {
        let mut path = logger;
        loop {
            if let Some(level) = self.loggers.get(path) {
                return *level;
            }
            match path.rsplit_once("::") {
                Some((parent, _)) => path = parent,
                None => return self.root,
            }
        }
    }

    fn exists(&self, logger: &str) -> bool {
        let of_crate = logger.split("::").next().unwrap_or_default();
        logger == ROOT_LOGGER
            || self.loggers.contains_key(logger)
            || (CRATES.contains(&of_crate) && is_path(logger))
    }

    fn set(&mut self, logger: &str, level: Option<LogLevel>) {
        match level {
            Some(level) if logger == ROOT_LOGGER => self.root = level,
            Some(level) => drop(self.loggers.insert(logger.to_owned(), level)),
            None => drop(self.loggers.remove(logger)),
        }
    }
}

impl fmt::Display for Directives {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(word(self.root))?;
        for (logger, level) in &self.loggers {
            write!(f, ",{logger}={}", word(*level))?;
        }
        for other in &self.others {
            write!(f, ",{other}")?;
        }
        Ok(())
    }
}

fn is_path(text: &str) -> bool {
    let is_name = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    text.split("::").all(is_name)
}

/// A level as `tracing` writes it, or as a number.
fn level(text: &str) -> Option<LogLevel> {
    let filter = tracing_subscriber::filter::LevelFilter::from_str(text).ok()?;
    let at = LogLevel::ALL
        .into_iter()
        .find(|level| word(*level).eq_ignore_ascii_case(&filter.to_string()));
    at.or(Some(LogLevel::Fatal))
}

const fn word(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Fatal => "off",
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_taken_apart_and_put_together() {
        for (text, expected) in [
            ("info", "info"),
            ("INFO,broker=debug", "info,broker=debug"),
            (
                "warn, storage::wal=trace ,broker",
                "warn,broker=trace,storage::wal=trace",
            ),
            (
                "off,[request{api=Fetch}]=debug",
                "off,[request{api=Fetch}]=debug",
            ),
            ("broker=info", "error,broker=info"),
        ] {
            let directives = Directives::of(text);
            assert_eq!(directives.to_string(), expected);
            assert_eq!(Directives::of(expected), directives);
            assert!(EnvFilter::builder().parse(expected).is_ok());
        }
    }

    #[test]
    fn loggers_follow_the_nearest_one_with_a_level() {
        let mut directives = Directives::of("info,broker=warn");
        directives.set("broker::connection", Some(LogLevel::Trace));
        let levels = directives.levels();
        assert_eq!(levels["root"], LogLevel::Info);
        assert_eq!(levels["storage"], LogLevel::Info);
        assert_eq!(levels["broker"], LogLevel::Warn);
        assert_eq!(
            directives.level_of("broker::connection::frame"),
            LogLevel::Trace
        );
        directives.set("broker", None);
        directives.set(ROOT_LOGGER, Some(LogLevel::Fatal));
        assert_eq!(directives.level_of("broker::fetch"), LogLevel::Fatal);
        assert_eq!(directives.to_string(), "off,broker::connection=trace");
    }

    #[test]
    fn loggers_that_can_be_exist() {
        let directives = Directives::of("info,hyper=warn");
        for known in ["root", "broker", "broker::fetch::read", "hyper"] {
            assert!(directives.exists(known), "{known}");
        }
        for unknown in ["", "kafka.server", "tokio", "broker::", "broker=debug"] {
            assert!(!directives.exists(unknown), "{unknown}");
        }
    }
}
