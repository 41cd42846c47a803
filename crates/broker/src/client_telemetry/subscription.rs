//! A subscription: a `client-metrics` config resource, resolved (`ClientMetricsConfigs`).
//!
//! Differs: patterns are Rust's regular expressions, which have no look-around and no back references, and take
//! time in proportion to the text whatever the pattern.

use metastore::resource::Configs;
use regex::{Regex, RegexBuilder};

use super::instance::ClientIdentity;
use crate::config::CLIENT_METRICS;

/// What a pattern may match.
const PARAMETERS: [&str; 6] = [
    "client_instance_id",
    "client_id",
    "client_software_name",
    "client_software_version",
    "client_source_address",
    "client_source_port",
];
/// The most memory one compiled pattern may take.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// Which clients push which metrics, and how often.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) metrics: Vec<String>,
    pub(super) interval_ms: i32,
    patterns: Vec<(&'static str, Regex)>,
}

/// Reads the elements of `match`.
///
/// # Errors
/// The element that is none.
pub(crate) fn parse_match(elements: &str) -> Result<Vec<(&'static str, Regex)>, &str> {
    elements
        .split(',')
        .map(str::trim)
        .filter(|element| !element.is_empty())
        .map(|element| parse_element(element).ok_or(element))
        .collect()
}

fn parse_element(element: &str) -> Option<(&'static str, Regex)> {
    let (name, pattern) = element.split_once('=')?;
    let (name, pattern) = (name.trim(), pattern.trim());
    let parameter = PARAMETERS.into_iter().find(|known| *known == name)?;
    if pattern.is_empty() || pattern.contains('=') {
        return None;
    }
    // The whole value has to match, as with Java's `matches()`.
    let regex = RegexBuilder::new(&format!("^(?:{pattern})$"))
        .size_limit(PATTERN_BYTES_MAX)
        .build()
        .ok()?;
    Some((parameter, regex))
}

impl Subscription {
    /// Resolves what was set; everything was checked before it was stored.
    pub(super) fn resolve(configs: &Configs) -> Subscription {
        let text = |name: &str| {
            let default = || CLIENT_METRICS.get(name)?.default_text();
            configs.get(name).map(String::as_str).or_else(default)
        };
        let metrics = text("metrics").unwrap_or_default().split(',');
        Subscription {
            metrics: metrics
                .map(str::trim)
                .filter(|prefix| !prefix.is_empty())
                .map(str::to_owned)
                .collect(),
            interval_ms: text("interval.ms")
                .and_then(|text| text.trim().parse().ok())
                .unwrap_or(super::instance::DEFAULT_INTERVAL_MS),
            patterns: parse_match(text("match").unwrap_or_default()).unwrap_or_default(),
        }
    }

    /// Whether it is about this client: each pattern matches.
    pub(super) fn matches(&self, client_instance_id: &str, client: &ClientIdentity) -> bool {
        self.patterns.iter().all(|(parameter, pattern)| {
            let value = match *parameter {
                "client_instance_id" => client_instance_id,
                "client_id" => &client.client_id,
                "client_software_name" => &client.software_name,
                "client_software_version" => &client.software_version,
                "client_source_address" => &client.source_address,
                _ => &client.source_port,
            };
            pattern.is_match(value)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> ClientIdentity {
        ClientIdentity {
            client_id: "app-1".to_owned(),
            software_name: "librdkafka".to_owned(),
            software_version: "2.6.1".to_owned(),
            source_address: "127.0.0.1".to_owned(),
            source_port: "50000".to_owned(),
        }
    }

    #[test]
    fn every_pattern_has_to_match_the_whole_value() {
        let matches = |patterns: &str| {
            let configs = Configs::from([("match".to_owned(), patterns.to_owned())]);
            Subscription::resolve(&configs).matches("id", &client())
        };
        assert!(matches(""));
        assert!(matches("client_id=app-.*"));
        assert!(!matches("client_id=app"));
        assert!(matches(
            "client_id=a.*|x, client_software_version=2\\.6\\..*"
        ));
        assert!(!matches("client_id=app-1,client_source_port=1"));
        assert!(matches(
            "client_instance_id=id,client_source_address=127.0.0.1"
        ));
    }

    #[test]
    fn what_is_no_pattern_is_named() {
        for element in [
            "client_id",
            "nobody=x",
            "client_id=",
            "client_id=a=b",
            "client_id=(",
        ] {
            let text = format!("client_software_name=x,{element}");
            assert_eq!(parse_match(&text).map(drop), Err(element));
        }
    }

    #[test]
    fn defaults_are_kafkas() {
        let subscription = Subscription::resolve(&Configs::new());
        assert!(subscription.metrics.is_empty());
        assert_eq!(subscription.interval_ms, 300_000);
    }
}
