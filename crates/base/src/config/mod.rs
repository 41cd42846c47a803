//! One declaration per configuration key: everything else is derived from it.
//!
//! Words used here:
//! - a **key** ([`ConfigKey`]) is one declaration: name, type, default, rule, documentation, and how it may
//!   be changed while the server runs;
//! - a **section** ([`ConfigSection`]) is a titled group of keys, a **table** ([`ConfigTable`]) all the
//!   sections of one kind of resource (topic, broker, group, client metrics);
//! - a **synonym** ([`Synonym`]) is a server-wide key that supplies the default of a narrower one;
//! - a **value** ([`ConfigValue`]) is text that was parsed by its key's type and passed its key's rule.
//!
//! From a table come the parser, the validator, the defaults, the rows of `DescribeConfigs` and the
//! reference page ([`reference`]). Types, rules and error texts are those of
//! `org.apache.kafka.common.config.ConfigDef` in Apache Kafka 4.3.1, because tools and test suites match
//! the texts.
//!
//! **Invariant:** a declared default parses by its own type and satisfies its own rule
//! ([`ConfigTable::check`] says which does not). This module knows no key: the tables live with whoever
//! reads the values.

mod error;
mod key;
pub mod reference;
mod rule;
mod table;
#[cfg(test)]
mod tests;
mod value;

pub use error::ConfigError;
pub use key::{ConfigDefault, ConfigKey, ConfigType, DynamicMode, Synonym, SynonymUnit};
pub use rule::Rule;
pub use table::{ConfigSection, ConfigTable};
pub use value::{ConfigValue, Secret, java_double};

/// Declares a [`ConfigSection`]: one entry per key.
///
/// An entry reads: the type in capitals (as Kafka's `ConfigDef.Type`), the name, `=` and the default
/// (a text, `null` or `required`), attributes in brackets (the builder methods of [`ConfigKey`]), and the
/// documentation, whose pieces are joined.
///
/// ```
/// base::config_keys! {
///     /// Keys of the example.
///     pub static EXAMPLE: "Example", "What the section is about." => {
///         INT "socket.listen.backlog.size" = "50" [at_least(1)]
///             "Connections the operating system may hold before they are accepted. "
///             "A longer queue rides out a burst of clients and costs a little kernel memory.";
///         STRING "broker.rack" = null []
///             "The rack of this broker; null when racks do not matter.";
///     }
/// }
/// assert_eq!(EXAMPLE.keys.len(), 2);
/// ```
#[macro_export]
macro_rules! config_keys {
    (
        $(#[$meta:meta])*
        $vis:vis static $section:ident: $title:literal, $intro:literal => {
            $(
                $kind:ident $name:literal = $default:tt
                [$( $attr:ident $( ( $($arg:expr),* $(,)? ) )? ),* $(,)?]
                $($doc:literal)+;
            )+
        }
    ) => {
        $(#[$meta])*
        $vis static $section: $crate::config::ConfigSection = $crate::config::ConfigSection {
            title: $title,
            intro: $intro,
            keys: &[
                $(
                    $crate::config::ConfigKey::new(
                        $name,
                        $crate::config::ConfigType::$kind,
                        $crate::config_keys!(@default $default),
                        concat!($($doc),+),
                    )
                    $( . $attr ( $( $($arg),* )? ) )*
                ),+
            ],
        };
    };
    (@default null) => { $crate::config::ConfigDefault::Null };
    (@default required) => { $crate::config::ConfigDefault::Required };
    (@default $text:literal) => { $crate::config::ConfigDefault::Text($text) };
}
