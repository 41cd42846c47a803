//! The reference page of a table, in Markdown.

use super::key::{ConfigDefault, ConfigKey, SynonymUnit};
use super::table::ConfigTable;

/// Which columns of a key a page shows beside its type and default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Server keys: how they change at run time.
    Server,
    /// Keys of a resource: the server keys their defaults come from.
    Resource,
}

/// Renders every public key of `table` under `title`: an introduction, then one heading per section and
/// one per key. Internal keys are left out.
#[must_use]
pub fn markdown(title: &str, intro: &str, table: &ConfigTable, audience: Audience) -> String {
    let mut page = String::new();
    page.push_str(&format!("# {title}\n\n{intro}\n"));
    for section in table.sections() {
        let public: Vec<&ConfigKey> = section.keys.iter().filter(|key| !key.internal).collect();
        if public.is_empty() {
            continue;
        }
        page.push_str(&format!("\n## {}\n\n{}\n", section.title, section.intro));
        for key in public {
            write_key(&mut page, key, audience);
        }
    }
    page
}

fn write_key(page: &mut String, key: &ConfigKey, audience: Audience) {
    page.push_str(&format!(
        "\n### `{}`\n\n{}\n\n",
        key.name,
        key.documentation()
    ));
    let default = match key.default {
        ConfigDefault::Required => "none: it has to be given".to_owned(),
        ConfigDefault::Null => "null".to_owned(),
        ConfigDefault::Text("") => "empty".to_owned(),
        ConfigDefault::Text(text) => format!("`{text}`"),
    };
    page.push_str(&format!(
        "Type: {}. Default: {default}.",
        key.kind.name().to_lowercase()
    ));
    let valid = key.rule.describe();
    if !valid.is_empty() {
        page.push_str(&format!(" Valid values: {valid}."));
    }
    match audience {
        Audience::Server => {
            page.push_str(&format!(" Update: {}.", key.dynamic.name()));
        }
        Audience::Resource if key.synonyms.is_empty() => {}
        Audience::Resource => {
            let names: Vec<String> = key
                .synonyms
                .iter()
                .map(|synonym| match synonym.unit {
                    SynonymUnit::Same => format!("`{}`", synonym.name),
                    SynonymUnit::Minutes => format!("`{}` (minutes)", synonym.name),
                    SynonymUnit::Hours => format!("`{}` (hours)", synonym.name),
                })
                .collect();
            page.push_str(&format!(" Server default: {}.", names.join(", ")));
        }
    }
    page.push('\n');
}
