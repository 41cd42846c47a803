//! The parser, the rules and their texts, against what `ConfigDef` of Apache Kafka 4.3.1 answers to the
//! same values.

use std::sync::LazyLock;

use super::*;

crate::config_keys! {
    /// One key of each type and rule.
    static SAMPLE: "Sample", "Keys with which the tests try types and rules." => {
        LONG "retention.ms" = "604800000" [at_least(-1), synonyms(&[
            Synonym::same("log.retention.ms"), Synonym::hours("log.retention.hours"),
        ])] "A long with a lower bound, for the tests.";
        INT "segment.bytes" = "1073741824" [at_least(1_048_576)] "An int, for the tests.";
        SHORT "offsets.topic.replication.factor" = "3" [at_least(1), cluster_wide]
            "A short, for the tests.";
        DOUBLE "min.cleanable.dirty.ratio" = "0.5" [between(0, 1)] "A double, for the tests.";
        DOUBLE "remote.log.manager.task.retry.jitter" = "0.2" [rule(Rule::BetweenDoubles(0.0, 0.5))]
            "A double with a fraction as its bound.";
        LIST "cleanup.policy" = "delete" [rule(Rule::EachOneOf {
            values: &["compact", "delete"], empty: true,
        })] "A list of known values, for the tests.";
        LIST "process.roles" = required [rule(Rule::EachOneOf {
            values: &["broker", "controller"], empty: false,
        })] "A required list of known values.";
        LIST "listeners" = "PLAINTEXT://:9092" [list(false, false), per_broker]
            "A list of anything, for the tests.";
        LIST "advertised.listeners" = null [list(false, true)] "A list that may be null.";
        BOOLEAN "preallocate" = "false" [] "A boolean, for the tests.";
        STRING "message.timestamp.type" = "CreateTime" [one_of(&["CreateTime", "LogAppendTime"])]
            "A string of known values.";
        STRING "group.consumer.migration.policy" = "bidirectional" [
            rule(Rule::OneOfIgnoreCase(&["DISABLED", "BIDIRECTIONAL"])),
        ] "A string of known values in any case.";
        STRING "rsm.prefix" = "rsm.config." [rule(Rule::NonEmptyString)] "A string that is not empty.";
        CLASS "principal.builder.class" = "a.Default" [classes(&["a.Other"])] "A class name, for the tests.";
        PASSWORD "ssl.key.password" = null [inert("the tests have no key"), differs("in a way.")]
            "A secret, for the tests.";
        INT "internal.segment.bytes" = null [internal] "An internal key, for the tests.";
    }
}

static TABLE: LazyLock<ConfigTable> = LazyLock::new(|| ConfigTable::new(vec![&SAMPLE]));

fn key(name: &str) -> &'static ConfigKey {
    TABLE.get(name).unwrap()
}

fn error(name: &str, text: &str) -> String {
    key(name).parse(text).unwrap_err().to_string()
}

fn shown(name: &str, text: &str) -> String {
    key(name).parse(text).unwrap().to_string()
}

#[test]
fn the_declarations_are_sound() {
    assert_eq!(TABLE.check(), Vec::<String>::new());
}

#[test]
fn a_bad_declaration_is_found() {
    crate::config_keys! {
        static BAD: "Bad", "Declarations that break their own rules." => {
            INT "a" = "0" [at_least(1)] "The default is below the bound.";
            INT "b" = "x" [] "The default does not parse.";
            INT "b" = "1" [] "short";
        }
    }
    static TABLE: LazyLock<ConfigTable> = LazyLock::new(|| ConfigTable::new(vec![&BAD]));
    assert_eq!(
        TABLE.check(),
        [
            "a: Invalid value 0 for configuration a: Value must be at least 1",
            "b: Invalid value x for configuration b: Not a number of type INT",
            "b is declared twice",
            "b has no documentation",
        ]
    );
}

#[test]
fn values_parse_as_in_java() {
    assert_eq!(
        key("retention.ms").parse(" +7 "),
        Ok(ConfigValue::Integer(7))
    );
    assert_eq!(
        key("preallocate").parse("TRUE"),
        Ok(ConfigValue::Boolean(true))
    );
    assert_eq!(
        key("min.cleanable.dirty.ratio").parse("0.5d"),
        Ok(ConfigValue::Double(0.5))
    );
    assert_eq!(
        shown("cleanup.policy", " delete , compact "),
        "delete,compact"
    );
    assert_eq!(shown("cleanup.policy", ""), "");
    assert_eq!(shown("cleanup.policy", "delete,delete"), "delete");
    assert_eq!(
        shown("group.consumer.migration.policy", "Disabled"),
        "Disabled"
    );
    assert_eq!(shown("principal.builder.class", "a.Other"), "a.Other");
}

#[test]
fn refusals_read_as_in_kafka() {
    for (name, text, expected) in [
        (
            "retention.ms",
            "abc",
            "Invalid value abc for configuration retention.ms: Not a number of type LONG",
        ),
        (
            "retention.ms",
            "",
            "Invalid value  for configuration retention.ms: Not a number of type LONG",
        ),
        (
            "retention.ms",
            "-5",
            "Invalid value -5 for configuration retention.ms: Value must be at least -1",
        ),
        (
            "segment.bytes",
            "99999999999",
            "Invalid value 99999999999 for configuration segment.bytes: Not a number of type INT",
        ),
        (
            "offsets.topic.replication.factor",
            "70000",
            "Invalid value 70000 for configuration offsets.topic.replication.factor: Not a number of type SHORT",
        ),
        (
            "min.cleanable.dirty.ratio",
            "1.5",
            "Invalid value 1.5 for configuration min.cleanable.dirty.ratio: Value must be no more than 1",
        ),
        (
            "min.cleanable.dirty.ratio",
            "inf",
            "Invalid value inf for configuration min.cleanable.dirty.ratio: Not a number of type DOUBLE",
        ),
        (
            "remote.log.manager.task.retry.jitter",
            "0.6",
            "Invalid value 0.6 for configuration remote.log.manager.task.retry.jitter: Value must be no more than 0.5",
        ),
        (
            "cleanup.policy",
            "x",
            "Invalid value x for configuration cleanup.policy: String must be one of: compact, delete",
        ),
        (
            "cleanup.policy",
            "delete,",
            "Configuration 'cleanup.policy' values must not be empty.",
        ),
        (
            "process.roles",
            "",
            "Configuration 'process.roles' must not be empty. Valid values include: [broker, controller]",
        ),
        (
            "listeners",
            "",
            "Configuration 'listeners' must not be empty. Valid values include: any non-empty value",
        ),
        (
            "listeners",
            "a,",
            "Configuration 'listeners' values must not be empty.",
        ),
        (
            "preallocate",
            "yes",
            "Invalid value yes for configuration preallocate: Expected value to be either true or false",
        ),
        (
            "message.timestamp.type",
            "createtime",
            "Invalid value createtime for configuration message.timestamp.type: String must be one of: CreateTime, LogAppendTime",
        ),
        (
            "group.consumer.migration.policy",
            "foo",
            "Invalid value foo for configuration group.consumer.migration.policy: String must be one of (case insensitive): DISABLED, BIDIRECTIONAL",
        ),
        (
            "rsm.prefix",
            "",
            "Invalid value  for configuration rsm.prefix: String must be non-empty",
        ),
        (
            "principal.builder.class",
            "foo.Bar",
            "Invalid value foo.Bar for configuration principal.builder.class: Class foo.Bar could not be found.",
        ),
    ] {
        assert_eq!(error(name, text), expected);
    }
}

#[test]
fn required_keys_and_null_defaults() {
    assert_eq!(
        key("process.roles")
            .default_value()
            .unwrap_err()
            .to_string(),
        "Missing required configuration \"process.roles\" which has no default value."
    );
    assert_eq!(key("advertised.listeners").default_value(), Ok(None));
    assert_eq!(
        key("listeners")
            .rule
            .check("listeners", None)
            .unwrap_err()
            .to_string(),
        "Configuration 'listeners' values must not be null."
    );
    assert_eq!(
        key("retention.ms")
            .rule
            .check("retention.ms", None)
            .unwrap_err()
            .to_string(),
        "Invalid value null for configuration retention.ms: Value must be non-null"
    );
}

#[test]
fn doubles_print_as_in_java() {
    for (value, text) in [
        (f64::MAX, "1.7976931348623157E308"),
        (0.001, "0.001"),
        (0.0001, "1.0E-4"),
        (1e7, "1.0E7"),
        (123_456_789.5, "1.234567895E8"),
        (100.0, "100.0"),
        (0.0, "0.0"),
        (f64::NAN, "NaN"),
        (f64::NEG_INFINITY, "-Infinity"),
    ] {
        assert_eq!(java_double(value), text);
    }
}

#[test]
fn a_password_never_prints() {
    let value = key("ssl.key.password").parse(" s3cret ").unwrap();
    assert_eq!(format!("{value} {value:?}"), "[hidden] Password([hidden])");
    let ConfigValue::Password(secret) = value else {
        panic!("not a password")
    };
    assert_eq!(secret.expose(), "s3cret");
}

#[test]
fn the_reference_page_shows_each_public_key() {
    let page = reference::markdown("Keys", "Intro.", &TABLE, reference::Audience::Resource);
    assert!(page.starts_with("# Keys\n\nIntro.\n\n## Sample\n"));
    assert!(page.contains(
        "### `retention.ms`\n\nA long with a lower bound, for the tests.\n\nType: long. Default: \
         `604800000`. Valid values: [-1,...]. Server default: `log.retention.ms`, \
         `log.retention.hours` (hours).\n"
    ));
    assert!(page.contains("no effect because the tests have no key. Differs: in a way.\n"));
    assert!(!page.contains("internal.segment.bytes"));
    let server = reference::markdown("Keys", "Intro.", &TABLE, reference::Audience::Server);
    assert!(server.contains("Default: `3`. Valid values: [1,...]. Update: cluster-wide."));
}
