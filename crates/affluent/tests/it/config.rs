//! `affluent config`.

use std::fs;

use serde_json::Value;

use crate::server::{Run, affluent};

fn run(directory: &tempfile::TempDir, arguments: &[&str]) -> Run {
    let mut command = affluent();
    Run::of(
        command
            .arg("config")
            .args(arguments)
            .current_dir(directory.path())
            .output()
            .unwrap(),
    )
}

#[test]
fn a_check_shows_where_each_setting_comes_from() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(
        directory.path().join("affluent.toml"),
        "log.retention.ms = 5\n",
    )
    .unwrap();
    let flags = [
        "check",
        "--config",
        "affluent.toml",
        "--override",
        "num.partitions=3",
    ];
    let text = run(&directory, &[&flags[..], &["-o", "json"]].concat()).ok();
    let settings: Value = serde_json::from_str(&text).unwrap();
    let expected = serde_json::json!([
        {"name": "log.retention.ms", "value": "5", "source": "affluent.toml"},
        {"name": "num.partitions", "value": "3", "source": "--override"},
    ]);
    assert_eq!(settings, expected);
}

#[test]
fn a_check_refuses_what_a_start_only_warns_of() {
    let directory = tempfile::tempdir().unwrap();
    let text = run(&directory, &["check", "--override", "no.such.key=1"]).failed();
    assert!(
        text.contains("'no.such.key' is no configuration key"),
        "{text}"
    );
    let text = run(
        &directory,
        &["check", "--override", "log.retention.ms=soon"],
    )
    .failed();
    assert!(text.contains("set by --override"), "{text}");
}

#[test]
fn the_reference_names_every_kind() {
    let directory = tempfile::tempdir().unwrap();
    let topic = run(&directory, &["reference", "topic"]).ok();
    assert!(topic.starts_with("# Topic configuration\n"), "{topic}");
    assert!(topic.contains("retention.ms"));
    let all = run(&directory, &["reference"]).ok();
    for title in [
        "# Topic configuration",
        "# Broker configuration",
        "# Group configuration",
    ] {
        assert!(all.contains(title), "{title} is missing");
    }
}
