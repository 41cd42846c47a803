//! The manifests: edges between crates, the workspace's lints in each, and where dependencies come from.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use toml::{Table, Value};

use super::edges::{self, DEV_EDGES, EDGES, Found};
use super::{Fault, read};

/// The one source of crates; a lock file written behind a mirror names another, and fails for everyone else.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Checks the manifests among `files`, and the lock file.
pub(super) fn check(root: &Path, files: &[PathBuf]) -> Result<Vec<Fault>> {
    let mut manifests = Vec::new();
    for file in files
        .iter()
        .filter(|file| file.ends_with("Cargo.toml") && **file != Path::new("Cargo.toml"))
    {
        let table: Table = read(root, file)?
            .parse()
            .with_context(|| format!("in {}", file.display()))?;
        // A workspace of its own, such as one for fuzzing with another toolchain, has rules of its own.
        if table.get("workspace").is_none() {
            manifests.push((file.as_path(), table));
        }
    }
    let names: BTreeSet<String> = manifests
        .iter()
        .filter_map(|(_, table)| package_name(table))
        .collect();
    let mut faults = Vec::new();
    let mut found = Vec::new();
    for (file, table) in &manifests {
        faults.extend(check_manifest(file, table));
        found.extend(internal_edges(table, &names));
    }
    faults.extend(edges::check(&found, EDGES, DEV_EDGES));
    faults.extend(check_lock(&read(root, Path::new("Cargo.lock"))?));
    Ok(faults)
}

fn package_name(manifest: &Table) -> Option<String> {
    Some(manifest.get("package")?.get("name")?.as_str()?.to_owned())
}

fn check_manifest(file: &Path, manifest: &Table) -> Vec<Fault> {
    let mut faults = Vec::new();
    let lints = manifest
        .get("lints")
        .and_then(|lints| lints.get("workspace"))
        .and_then(Value::as_bool);
    if lints != Some(true) {
        faults.push(Fault::new(
            file,
            None,
            "does not take the workspace's lints: add [lints] workspace = true",
        ));
    }
    let folder = file
        .parent()
        .and_then(Path::file_name)
        .and_then(|name| name.to_str());
    if package_name(manifest).as_deref() != folder {
        faults.push(Fault::new(file, None, "a crate is named as its folder"));
    }
    for (section, table) in dependency_tables(manifest) {
        for (name, entry) in table {
            if entry.get("workspace").and_then(Value::as_bool) != Some(true)
                && entry.get("path").is_none()
            {
                let what = format!(
                    "{section}.{name} names a version: versions stand in the root manifest, once"
                );
                faults.push(Fault::new(file, None, what));
            }
        }
    }
    faults
}

fn dependency_tables(manifest: &Table) -> impl Iterator<Item = (&'static str, &Table)> {
    ["dependencies", "build-dependencies", "dev-dependencies"]
        .into_iter()
        .filter_map(|section| Some((section, manifest.get(section)?.as_table()?)))
}

fn internal_edges(manifest: &Table, names: &BTreeSet<String>) -> Vec<Found> {
    let Some(from) = package_name(manifest) else {
        return Vec::new();
    };
    dependency_tables(manifest)
        .flat_map(|(section, table)| table.keys().map(move |to| (section, to)))
        .filter(|(_, to)| names.contains(*to))
        .map(|(section, to)| Found {
            from: from.clone(),
            to: to.clone(),
            dev: section == "dev-dependencies",
        })
        .collect()
}

fn check_lock(lock: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (index, line) in lock.lines().enumerate() {
        let Some(source) = line.strip_prefix("source = ") else {
            continue;
        };
        if source.trim_matches('"') != REGISTRY {
            let what = format!("comes from {source}, not from {REGISTRY}");
            faults.push(Fault::new(Path::new("Cargo.lock"), Some(index + 1), what));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(text: &str) -> Table {
        text.parse().unwrap()
    }

    fn faults(text: &str) -> Vec<String> {
        let file = Path::new("crates/thing/Cargo.toml");
        check_manifest(file, &manifest(text))
            .into_iter()
            .map(|fault| fault.what)
            .collect()
    }

    #[test]
    fn a_manifest_takes_lints_and_versions_from_the_workspace() {
        let sound = "[package]\nname = \"thing\"\n[lints]\nworkspace = true\n[dependencies]\nbytes.workspace = true\n";
        assert!(faults(sound).is_empty());
        assert!(faults(&sound.replace("thing", "other"))[0].contains("named as its folder"));
        assert!(faults(&sound.replace("[lints]\nworkspace = true\n", ""))[0].contains("lints"));
        assert!(
            faults(&sound.replace("bytes.workspace = true", "bytes = \"1\""))[0]
                .contains("dependencies.bytes")
        );
    }

    #[test]
    fn edges_are_read_from_all_sections() {
        let text = "[package]\nname = \"a\"\n[dependencies]\nb.workspace = true\nserde.workspace = true\n[dev-dependencies]\nc.workspace = true\n";
        let names = ["a", "b", "c"].map(str::to_owned).into();
        let found = internal_edges(&manifest(text), &names);
        let shown: Vec<(&str, bool)> = found
            .iter()
            .map(|edge| (edge.to.as_str(), edge.dev))
            .collect();
        assert_eq!(shown, [("b", false), ("c", true)]);
    }

    #[test]
    fn the_lock_file_names_the_public_registry_only() {
        let sound = format!("source = \"{REGISTRY}\"\n");
        assert!(check_lock(&sound).is_empty());
        let mirrored = "name = \"x\"\nsource = \"registry+https://elsewhere.example/index\"\n";
        assert_eq!(check_lock(mirrored)[0].line, Some(2));
    }
}
