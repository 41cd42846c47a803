//! Subjects and the contexts they live in.
//!
//! A *context* is a name space of subjects, ids and defaults. A subject is written `:.context:subject`; one without
//! that prefix, or with `:.:`, is in the default context, which is called `.`. The *global* context, written
//! `:.__GLOBAL:`, holds no subjects: its config and mode are what every context falls back to. `:*:` is not a context
//! but a prefix that stands for all of them (`QualifiedSubject` of Confluent's schema-registry, 8.2).
//!
//! **Invariant:** everything past the edge of HTTP holds *normal* subjects, in which the default context is not
//! written ([`normalize`]); only so does one subject have one key in the log.

/// The name of the default context.
pub const DEFAULT_CONTEXT: &str = ".";

/// The context whose config and mode are everybody's last resort.
pub const GLOBAL_CONTEXT: &str = ".__GLOBAL";

/// Stands for the subjects of all contexts in a prefix.
pub const ALL_CONTEXTS: &str = ":*:";

/// Names that mean something else than a subject: where global permissions are, and the empty name
/// (`QualifiedSubject.GLOBAL_SUBJECT_NAME` and `EMPTY_SUBJECT_NAME`).
const SPECIAL_NAMES: [&str; 2] = ["__GLOBAL", "__EMPTY"];

/// Context and name of `subject`, which need not be normal.
#[must_use]
pub fn split(subject: &str) -> (&str, &str) {
    let Some(rest) = subject
        .strip_prefix(':')
        .filter(|rest| rest.starts_with('.'))
    else {
        return (DEFAULT_CONTEXT, subject);
    };
    rest.split_once(':').unwrap_or((rest, ""))
}

/// The context of `subject`.
#[must_use]
pub fn context_of(subject: &str) -> &str {
    split(subject).0
}

/// `subject` in `context`, in normal form.
#[must_use]
pub fn qualify(context: &str, subject: &str) -> String {
    if context == DEFAULT_CONTEXT {
        subject.to_owned()
    } else {
        format!(":{context}:{subject}")
    }
}

/// The normal form: the default context is not written.
#[must_use]
pub fn normalize(subject: &str) -> String {
    let (context, name) = split(subject);
    qualify(context, name)
}

/// A subject named by a schema in `context`: one that names no context is in the same.
#[must_use]
pub fn in_context_of(context: &str, subject: &str) -> String {
    if subject.starts_with(":.") {
        normalize(subject)
    } else {
        qualify(context, subject)
    }
}

/// The name of a context as a path or a query has it (`ctx`, `.ctx`, `:.ctx:`), with its dot; none for one with a colon
/// in it (`QualifiedSubject.normalizeContext`).
#[must_use]
pub fn context_name(text: &str) -> Option<String> {
    let bare = text.strip_prefix(':').unwrap_or(text);
    let bare = bare.strip_suffix(':').unwrap_or(bare);
    if bare.contains(':') {
        return None;
    }
    Some(if bare.starts_with('.') {
        bare.to_owned()
    } else {
        format!(".{bare}")
    })
}

/// Whether a subject may be registered under this name: neither empty, nor one of the names that mean something
/// else, nor with control characters (`QualifiedSubject.isValidSubject`).
#[must_use]
pub fn is_valid(subject: &str) -> bool {
    let is_global = context_of(subject) == GLOBAL_CONTEXT;
    !is_global && !subject.is_empty() && may_have_settings(subject)
}

/// Whether a config or a mode may be set for it: as for a subject, and for the global context too.
#[must_use]
pub fn may_have_settings(of: &str) -> bool {
    !SPECIAL_NAMES.contains(&split(of).1) && !of.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_split_and_put_together() {
        for (text, context, name) in [
            ("orders-value", ".", "orders-value"),
            (":.:orders-value", ".", "orders-value"),
            (":.prod:orders:v1", ".prod", "orders:v1"),
            (":.prod:", ".prod", ""),
            (":.prod", ".prod", ""),
            (":orders", ".", ":orders"),
        ] {
            assert_eq!(split(text), (context, name), "{text}");
            assert_eq!(normalize(text), qualify(context, name), "{text}");
            assert_eq!(normalize(&normalize(text)), normalize(text), "{text}");
        }
    }

    #[test]
    fn a_context_is_named_in_three_ways() {
        for text in ["prod", ".prod", ":.prod:"] {
            assert_eq!(context_name(text).as_deref(), Some(".prod"));
        }
        assert_eq!(context_name(".").as_deref(), Some("."));
        assert_eq!(context_name(".a:b"), None);
    }

    #[test]
    fn a_reference_is_looked_for_beside_the_schema() {
        assert_eq!(in_context_of(".a", "s"), ":.a:s");
        assert_eq!(in_context_of(".a", ":.b:s"), ":.b:s");
        assert_eq!(in_context_of(".a", ":.:s"), "s");
    }

    #[test]
    fn names_that_mean_something_else_are_no_subjects() {
        assert!(is_valid("orders-value") && is_valid(":.prod:orders") && is_valid("日本"));
        for bad in ["", "__GLOBAL", "__EMPTY", ":.__GLOBAL:x", "a\u{0}b"] {
            assert!(!is_valid(bad), "{bad:?}");
        }
        assert!(may_have_settings(":.__GLOBAL:") && may_have_settings("orders"));
        assert!(!may_have_settings("__EMPTY") && !may_have_settings("a\u{1}b"));
    }
}
