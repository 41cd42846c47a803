//! `AFFLUENT_LOG_RETENTION_MS` is `log.retention.ms`.
//!
//! One underscore is a dot, two are an underscore, three are a dash: the rule of Confluent's container images
//! (`KAFKA_LOG_RETENTION_MS`). A variable counts only when it stands for a key that is known, so that
//! variables of other tools under the same prefix do no harm.

use broker::config::BROKER;

use super::own;

const PREFIX: &str = "AFFLUENT_";

/// Variables with the prefix that are no settings: they name files, or belong to the command line and tools.
const NOT_SETTINGS: [&str; 5] = [
    "AFFLUENT_BIN",
    "AFFLUENT_BOOTSTRAP",
    "AFFLUENT_CACHE",
    "AFFLUENT_CONFIG",
    "AFFLUENT_PROPERTIES",
];

/// What a variable stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A setting of this name.
    Setting(String),
    /// It has the prefix, but names no setting.
    Unknown,
    /// It is none of this program's business.
    Other,
}

pub(super) fn key_of(variable: &str) -> Meaning {
    let Some(rest) = variable.strip_prefix(PREFIX) else {
        return Meaning::Other;
    };
    if NOT_SETTINGS.contains(&variable) {
        return Meaning::Other;
    }
    let key = dotted(rest);
    if own::is_own(&key) || BROKER.get(&key).is_some() || key.starts_with("listener.name.") {
        Meaning::Setting(key)
    } else {
        Meaning::Unknown
    }
}

fn dotted(rest: &str) -> String {
    let mut key = String::with_capacity(rest.len());
    let mut underscores = 0;
    for character in rest.chars().chain(['\0']) {
        if character == '_' && underscores < 3 {
            underscores += 1;
            continue;
        }
        match underscores {
            1 => key.push('.'),
            2 => key.push('_'),
            3 => key.push('-'),
            _ => {}
        }
        underscores = usize::from(character == '_');
        if !matches!(character, '_' | '\0') {
            key.push(character.to_ascii_lowercase());
        }
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn underscores_become_dots_underscores_and_dashes() {
        assert_eq!(dotted("LOG_RETENTION_MS"), "log.retention.ms");
        assert_eq!(dotted("A__B___C_D"), "a_b-c.d");
        assert_eq!(dotted("A____B"), "a-.b");
        assert_eq!(dotted("LISTENERS"), "listeners");
    }

    #[test]
    fn only_known_keys_are_settings() {
        let setting = |key: &str| Meaning::Setting(key.to_owned());
        assert_eq!(
            key_of("AFFLUENT_LOG_RETENTION_MS"),
            setting("log.retention.ms")
        );
        assert_eq!(key_of("AFFLUENT_DATA_DIR"), setting("data.dir"));
        assert_eq!(
            key_of("AFFLUENT_LISTENER_NAME_INTERNAL_SSL_KEYSTORE_TYPE"),
            setting("listener.name.internal.ssl.keystore.type")
        );
        assert_eq!(key_of("AFFLUENT_NO_SUCH_KEY"), Meaning::Unknown);
        assert_eq!(key_of("AFFLUENT_BOOTSTRAP"), Meaning::Other);
        assert_eq!(key_of("KAFKA_LOG_RETENTION_MS"), Meaning::Other);
    }
}
