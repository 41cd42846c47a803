//! The order of the sources, and what an error says of them.

use std::ffi::OsString;
use std::fs;

use super::*;

struct Sources {
    directory: tempfile::TempDir,
    args: SettingsArgs,
    environment: Vec<(OsString, OsString)>,
}

impl Sources {
    fn new() -> Sources {
        let directory = tempfile::tempdir().unwrap();
        Sources {
            directory,
            args: SettingsArgs::default(),
            environment: Vec::new(),
        }
    }

    fn file(&self, name: &str, text: &str) -> Option<PathBuf> {
        let path = self.directory.path().join(name);
        fs::write(&path, text).unwrap();
        Some(path)
    }

    fn properties(mut self, text: &str) -> Sources {
        self.args.properties = self.file("server.properties", text);
        self
    }

    fn toml(mut self, text: &str) -> Sources {
        self.args.config = self.file("affluent.toml", text);
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Sources {
        self.environment.push((name.into(), value.into()));
        self
    }

    fn flag(mut self, key: &str, value: &str) -> Sources {
        self.args.overrides.push((key.to_owned(), value.to_owned()));
        self
    }

    fn listener(mut self, value: &str) -> Sources {
        self.args.listener.push(value.to_owned());
        self
    }

    fn load(self) -> Outcome<Settings> {
        Settings::load(&self.args, self.environment.into_iter())
    }

    fn value(self, key: &str) -> String {
        self.load()
            .unwrap()
            .get(key)
            .map_or_else(String::new, |(value, _)| value.to_owned())
    }
}

#[test]
fn flags_win_over_environment_over_toml_over_properties() {
    let key = "log.retention.ms";
    let properties = || Sources::new().properties("log.retention.ms=1\n");
    let toml = || properties().toml("[log.retention]\nms = 2\n");
    let environment = || toml().variable("AFFLUENT_LOG_RETENTION_MS", "3");
    assert_eq!(Sources::new().value(key), "");
    assert_eq!(properties().value(key), "1");
    assert_eq!(toml().value(key), "2");
    assert_eq!(environment().value(key), "3");
    assert_eq!(environment().flag(key, "4").value(key), "4");
}

#[test]
fn own_settings_come_from_every_source_too() {
    let resolved = |sources: Sources| sources.load().unwrap().resolve().unwrap();
    let options = resolved(Sources::new());
    assert_eq!(options.data_dir, Path::new("./affluent-data"));
    assert_eq!(
        options.properties["listeners"],
        "PLAINTEXT://127.0.0.1:9092"
    );

    let options = resolved(Sources::new().toml("data-dir = \"/a\"\nadmin.listener = \"none\"\n"));
    assert_eq!(options.data_dir, Path::new("/a"));
    assert!(options.admin_listener.is_none());
    assert!(
        !options.properties.contains_key("data.dir"),
        "the broker knows no such key"
    );

    let options = resolved(Sources::new().variable("AFFLUENT_DATA_DIR", "/b"));
    assert_eq!(options.data_dir, Path::new("/b"));

    // A server.properties written for Apache Kafka says where the data goes.
    let options = resolved(Sources::new().properties("log.dirs=/var/lib/kafka\n"));
    assert_eq!(options.data_dir, Path::new("/var/lib/kafka"));
    let options = resolved(Sources::new().properties("log.dirs=/c\ndata.dir=/d\n"));
    assert_eq!(options.data_dir, Path::new("/d"));
}

#[test]
fn a_bad_value_is_named_with_its_source() {
    let failure = |sources: Sources| {
        let settings = sources.load().unwrap();
        settings.resolve().unwrap_err().to_string()
    };
    let text = failure(Sources::new().variable("AFFLUENT_ADMIN_LISTENER", "everywhere"));
    assert!(
        text.contains("admin.listener") && text.contains("'everywhere'"),
        "{text}"
    );
    assert!(
        text.contains("environment variable AFFLUENT_ADMIN_LISTENER"),
        "{text}"
    );
    let text = failure(Sources::new().flag("log.format", "xml"));
    assert!(
        text.contains("'xml'") && text.contains("human or json"),
        "{text}"
    );
    let text = failure(Sources::new().flag("roles", "broker,connect"));
    assert!(text.contains("'connect'"), "{text}");
    let text = failure(Sources::new().flag("roles", ""));
    assert!(text.contains("rest-proxy"), "{text}");
    let text = failure(Sources::new().flag("roles", "rest-proxy"));
    assert!(text.contains("--bootstrap-server"), "{text}");
    let text = failure(Sources::new().flag("kafka.rest.listeners", "https://localhost:8082"));
    assert!(text.contains("kafka.rest.listeners"), "{text}");
    let text = failure(Sources::new().properties("log.dirs=/a,/b\n"));
    assert!(
        text.contains("server.properties") && text.contains("one directory"),
        "{text}"
    );
}

#[test]
fn a_service_has_its_settings_apart_from_the_brokers() {
    let resolved = |sources: Sources| sources.load().unwrap().resolve().unwrap();
    let options = resolved(
        Sources::new()
            .flag("roles", "rest-proxy")
            .flag("bootstrap.servers", "kafka:9092")
            .variable("AFFLUENT_KAFKA_REST_LISTENERS", "http://127.0.0.1:0/")
            .flag("kafka.rest.producer.linger.ms", "5"),
    );
    assert_eq!(options.bootstrap_servers.as_deref(), Some("kafka:9092"));
    assert!(options.rest_listeners.asked_for);
    assert_eq!(options.rest_listeners.addresses[0].port(), 0);
    assert_eq!(options.rest_properties["producer.linger.ms"], "5");
    let of_service = |name: &&String| name.starts_with("kafka.rest");
    assert_eq!(options.properties.keys().find(of_service), None);
    let options = resolved(Sources::new());
    assert_eq!(options.rest_listeners.addresses[0].port(), 8082);
    assert!(options.roles.contains(&Role::Broker) && options.roles.contains(&Role::RestProxy));
}

#[test]
fn a_failure_of_the_broker_is_blamed_on_the_source_of_its_key() {
    let settings = Sources::new()
        .flag("log.retention.ms", "x")
        .flag("log", "y")
        .load()
        .unwrap();
    let text = settings
        .blame(Failure::new("Invalid value x for log.retention.ms: no"))
        .to_string();
    assert!(
        text.contains("change 'log.retention.ms', set by --override"),
        "{text}"
    );
    let text = settings.blame(Failure::new("the disk is gone")).to_string();
    assert!(!text.contains("set by"), "{text}");
}

#[test]
fn variables_that_stand_for_nothing_are_kept() {
    let settings = Sources::new()
        .variable("AFFLUENT_LOG_RETENTION_MSS", "1")
        .variable("AFFLUENT_BOOTSTRAP", "localhost:9092")
        .variable("HOME", "/")
        .load()
        .unwrap();
    assert_eq!(
        settings.unknown_environment(),
        ["AFFLUENT_LOG_RETENTION_MSS"]
    );
}

#[test]
fn an_unreadable_file_is_named() {
    let mut sources = Sources::new();
    sources.args.config = Some(PathBuf::from("/does/not/exist.toml"));
    let text = sources.load().unwrap_err().to_string();
    assert!(text.contains("TOML file '/does/not/exist.toml'"), "{text}");
    let text = Sources::new()
        .toml("a = [\n")
        .load()
        .unwrap_err()
        .to_string();
    assert!(text.contains("affluent.toml"), "{text}");
}

#[test]
fn listener_flags_replace_the_configured_listeners() {
    let sources = || Sources::new().properties("listeners=PLAINTEXT://:1\n");
    assert_eq!(sources().value("listeners"), "PLAINTEXT://:1");
    assert_eq!(
        sources().listener("127.0.0.1:0").value("listeners"),
        "PLAINTEXT://127.0.0.1:0"
    );
}
