//! Which subjects are exported, and what they are called over there.
//!
//! ```text
//! *             all subjects of the default context
//! :*:           all subjects of all contexts
//! :.c:*         all subjects of the context .c
//! orders-*      those of the default context that start so
//! orders-value  one
//! ```
//!
//! What came from an exporter is not exported again because all contexts are: `:*:` leaves out the contexts that this
//! exporter makes, and with `AUTO` every one that has this registry's name in it. So registries that mirror each other, or
//! one that mirrors to itself, come to an end.
//!
//! A subject keeps its name unless there is a format to rename it; its context is what [`ContextType`] says: the own one
//! with another before it (`.a` and `.b` give `.a.b`), the own one, or the default one.

use schema::RuleSet;

use crate::dek::defaults::KEK_NAME;
use crate::state::exporters::{ContextType, ExporterValue};
use crate::subject::{self, ALL_CONTEXTS, DEFAULT_CONTEXT};

/// What is exported where nothing is said.
pub const DEFAULT_SUBJECTS: &str = "*";

/// What a format has in place of the subject's name.
const PLACEHOLDER: &str = "${subject}";

/// The same for KEKs.
const KEK_PLACEHOLDER: &str = "${kek}";

/// The most patterns of an exporter; each is looked at for each change.
const PATTERNS_MAX: usize = 1_000;

/// Says what is wrong with patterns, if something is.
///
/// # Errors
/// The first reason.
pub fn check(subjects: &[String]) -> Result<(), String> {
    if subjects.len() > PATTERNS_MAX {
        return Err(format!("there are more than {PATTERNS_MAX}"));
    }
    for pattern in subjects {
        if pattern.is_empty() {
            return Err("one is empty".to_owned());
        }
        if pattern.chars().any(char::is_control) {
            return Err(format!("'{pattern}' has control characters"));
        }
        let stars = pattern.matches('*').count();
        let everywhere = pattern.starts_with(ALL_CONTEXTS);
        let stars = if everywhere { stars - 1 } else { stars };
        if stars > 1 || stars == 1 && !pattern.ends_with('*') {
            return Err(format!(
                "'{pattern}' has a '*' elsewhere than at its end: names and prefixes can be chosen"
            ));
        }
    }
    Ok(())
}

/// Whether the exporter is for this subject, which is in normal form. `source` names this registry.
#[must_use]
pub fn wants(exporter: &ExporterValue, source: &str, subject: &str) -> bool {
    let context = subject::context_of(subject);
    let is_mirrored = match exporter.context_type {
        ContextType::Auto => has_part(context, source),
        ContextType::Custom => exporter
            .context
            .as_deref()
            .is_some_and(|made| made != DEFAULT_CONTEXT && is_within(context, made)),
        ContextType::None | ContextType::Default => false,
    };
    exporter.subjects.iter().any(|pattern| {
        let is_everywhere = pattern.starts_with(ALL_CONTEXTS);
        !(is_everywhere && is_mirrored) && matches_one(pattern, subject)
    })
}

/// Whether `context` is `outer`, or one that was put behind it.
fn is_within(context: &str, outer: &str) -> bool {
    context
        .strip_prefix(outer)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Whether a part of the name of `context`, between dots, is `part`.
fn has_part(context: &str, part: &str) -> bool {
    format!("{context}.").contains(&format!(".{part}."))
}

fn matches_one(pattern: &str, subject: &str) -> bool {
    let (context, name) = subject::split(subject);
    if let Some(rest) = pattern.strip_prefix(ALL_CONTEXTS) {
        return match rest.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => rest.is_empty() || name == rest,
        };
    }
    let (wanted_context, wanted) = subject::split(pattern);
    if wanted_context != context {
        return false;
    }
    match wanted.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        // A context alone means all that is in it.
        None => wanted == name || wanted.is_empty(),
    }
}

/// The context over there of what is in `context` here. `source` names this registry.
fn context_over_there(exporter: &ExporterValue, source: &str, context: &str) -> String {
    let before = match exporter.context_type {
        ContextType::None => return context.to_owned(),
        ContextType::Default => return DEFAULT_CONTEXT.to_owned(),
        ContextType::Auto => format!(".{source}"),
        ContextType::Custom => exporter
            .context
            .clone()
            .unwrap_or_else(|| DEFAULT_CONTEXT.to_owned()),
    };
    match (before.as_str(), context) {
        (_, DEFAULT_CONTEXT) => before,
        (DEFAULT_CONTEXT, _) => context.to_owned(),
        _ => format!("{before}{context}"),
    }
}

/// What a subject, or a context's settings (`:.c:`), are called over there, in normal form.
#[must_use]
pub fn over_there(exporter: &ExporterValue, source: &str, of: &str) -> String {
    let (context, name) = subject::split(of);
    let context = context_over_there(exporter, source, context);
    match &exporter.subject_rename_format {
        Some(format) if !name.is_empty() => {
            subject::qualify(&context, &format.replace(PLACEHOLDER, name))
        }
        _ => subject::qualify(&context, name),
    }
}

/// What a KEK is called over there.
#[must_use]
pub fn kek_over_there(exporter: &ExporterValue, name: &str) -> String {
    match &exporter.kek_rename_format {
        Some(format) => format.replace(KEK_PLACEHOLDER, name),
        None => name.to_owned(),
    }
}

/// The rules of a schema, with the names that their KEKs have over there.
#[must_use]
pub fn rules_over_there(exporter: &ExporterValue, mut rules: RuleSet) -> RuleSet {
    let lists = [&mut rules.domain_rules, &mut rules.encoding_rules];
    let params = lists.into_iter().flatten().flatten();
    let params = params.filter_map(|rule| rule.params.as_mut());
    for name in params.filter_map(|params| params.get_mut(KEK_NAME)) {
        *name = kek_over_there(exporter, name);
    }
    rules
}

/// A reference of a schema of `subject`, as a schema over there has to write it.
#[must_use]
pub fn reference_over_there(
    exporter: &ExporterValue,
    source: &str,
    subject: &str,
    reference: &str,
) -> String {
    let of = subject::in_context_of(subject::context_of(subject), reference);
    let over_there = over_there(exporter, source, &of);
    let context = subject::context_of(&over_there).to_owned();
    let own = over_there_context(exporter, source, subject);
    let is_qualified = reference.starts_with(":.");
    if !is_qualified && context == own {
        return subject::split(&over_there).1.to_owned();
    }
    if context == DEFAULT_CONTEXT && own != DEFAULT_CONTEXT {
        return format!(":{DEFAULT_CONTEXT}:{over_there}");
    }
    over_there
}

fn over_there_context(exporter: &ExporterValue, source: &str, subject: &str) -> String {
    context_over_there(exporter, source, subject::context_of(subject))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exporter(context_type: ContextType, context: Option<&str>) -> ExporterValue {
        ExporterValue {
            context_type,
            context: context.map(str::to_owned),
            ..ExporterValue::default()
        }
    }

    #[test]
    fn patterns_mean_names_prefixes_and_contexts() {
        for (pattern, subject, expected) in [
            ("*", "orders", true),
            ("*", ":.c:orders", false),
            (":*:", ":.c:orders", true),
            (":*:", "orders", true),
            (":*:or*", ":.c:orders", true),
            (":*:or*", ":.c:users", false),
            (":.c:*", ":.c:orders", true),
            (":.c:", ":.c:orders", true),
            (":.c:*", "orders", false),
            ("orders-*", "orders-value", true),
            ("orders-*", "users-value", false),
            ("orders-value", "orders-value", true),
            ("orders-value", "orders-value-2", false),
        ] {
            let found = matches_one(pattern, subject);
            assert_eq!(found, expected, "{pattern} {subject}");
        }
        assert!(check(&["a*".to_owned(), ":*:".to_owned(), ":*:b*".to_owned()]).is_ok());
        for bad in ["", "a*b", "**", ":*:a*b", "a\u{0}"] {
            assert!(check(&[bad.to_owned()]).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_was_mirrored_is_not_mirrored_again_with_all_the_rest() {
        let for_subjects = |exporter: ExporterValue, pattern: &str| ExporterValue {
            subjects: vec![pattern.to_owned()],
            ..exporter
        };
        let auto = for_subjects(exporter(ContextType::Auto, None), ":*:");
        let custom = for_subjects(exporter(ContextType::Custom, Some(".far")), ":*:");
        for (subject, by_auto, by_custom) in [
            ("s", true, true),
            (":.c:s", true, true),
            (":.src:s", false, true),
            (":.other.src:s", false, true),
            (":.source:s", true, true),
            (":.far:s", true, false),
            (":.far.c:s", true, false),
            (":.farther:s", true, true),
        ] {
            assert_eq!(wants(&auto, "src", subject), by_auto, "{subject}");
            assert_eq!(wants(&custom, "src", subject), by_custom, "{subject}");
        }
        // Unless it is asked for by its name.
        assert!(wants(&for_subjects(custom, ":.far:*"), "src", ":.far:s"));
    }

    #[test]
    fn a_context_is_put_before_kept_or_left() {
        let to = |exporter: &ExporterValue, subject| over_there(exporter, "src", subject);
        let auto = exporter(ContextType::Auto, None);
        assert_eq!(to(&auto, "s"), ":.src:s");
        assert_eq!(to(&auto, ":.c:s"), ":.src.c:s");
        let custom = exporter(ContextType::Custom, Some(".far"));
        assert_eq!(to(&custom, "s"), ":.far:s");
        assert_eq!(to(&custom, ":.c:s"), ":.far.c:s");
        let none = exporter(ContextType::None, None);
        assert_eq!(
            (to(&none, "s"), to(&none, ":.c:s")),
            ("s".into(), ":.c:s".into())
        );
        let default = exporter(ContextType::Default, None);
        assert_eq!(to(&default, ":.c:s"), "s");
        let renamed = ExporterValue {
            subject_rename_format: Some("dc_${subject}".to_owned()),
            ..none
        };
        assert_eq!(to(&renamed, ":.c:s"), ":.c:dc_s");
        assert_eq!(to(&renamed, ":.c:"), ":.c:");
    }

    #[test]
    fn a_kek_is_renamed_in_rules_too() {
        let text = r#"{"domainRules":[
            {"name":"a","type":"ENCRYPT","params":{"encrypt.kek.name":"k","other":"k"}},{"name":"b","type":"CEL"}],
            "encodingRules":[{"name":"c","type":"ENCRYPT_PAYLOAD","params":{"encrypt.kek.name":"l"}}]}"#;
        let rules: RuleSet = serde_json::from_str(text).unwrap();
        let plain = exporter(ContextType::None, None);
        assert_eq!(rules_over_there(&plain, rules.clone()), rules);
        let renaming = ExporterValue {
            kek_rename_format: Some("dc_${kek}".to_owned()),
            ..plain
        };
        let renamed = text.replace(r#""encrypt.kek.name":""#, r#""encrypt.kek.name":"dc_"#);
        let expected: RuleSet = serde_json::from_str(&renamed).unwrap();
        assert_eq!(rules_over_there(&renaming, rules), expected);
    }

    #[test]
    fn a_reference_leads_to_what_was_exported() {
        let auto = exporter(ContextType::Auto, None);
        let to = |exporter: &ExporterValue, subject, reference| {
            reference_over_there(exporter, "src", subject, reference)
        };
        assert_eq!(to(&auto, "s", "base"), "base");
        assert_eq!(to(&auto, ":.c:s", "base"), "base");
        assert_eq!(to(&auto, ":.c:s", ":.:base"), ":.src:base");
        let none = exporter(ContextType::None, None);
        assert_eq!(to(&none, ":.c:s", ":.:base"), ":.:base");
        assert_eq!(to(&none, "s", ":.c:base"), ":.c:base");
        let renamed = ExporterValue {
            subject_rename_format: Some("dc_${subject}".to_owned()),
            ..none
        };
        assert_eq!(to(&renamed, "s", "base"), "dc_base");
    }
}
