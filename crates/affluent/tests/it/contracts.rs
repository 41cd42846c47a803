//! `affluent schema-registry` against a registry beside a broker: a subject's life, a data contract with rules from a
//! file, what a dry run says, and a schema proposed from the records of a topic.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::wait::wait_for;

use crate::server::{Run, Server};

const LIMIT: Duration = Duration::from_secs(30);

/// A broker, a registry beside it, and a directory for files.
pub(crate) struct Setup {
    pub(crate) server: Server,
    endpoint: String,
}

pub(crate) fn setup() -> Setup {
    let listener = "schema.registry.listeners=http://127.0.0.1:0";
    let flags = ["--roles", "broker,schema-registry", "--override", listener];
    let server = Server::start_with(&flags, &[]);
    let endpoint = server.service("schema-registry");
    Setup { server, endpoint }
}

impl Setup {
    fn command(&self, arguments: &str) -> std::process::Command {
        let mut command = self.server.command(&format!("schema-registry {arguments}"));
        command
            .env("AFFLUENT_SCHEMA_REGISTRY", &self.endpoint)
            .current_dir(self.directory());
        command
    }

    pub(crate) fn run(&self, arguments: &str) -> Run {
        let mut command = self.command(arguments);
        Run::of(command.stdin(std::process::Stdio::null()).output().unwrap())
    }

    pub(crate) fn json(&self, arguments: &str) -> Value {
        serde_json::from_str(&self.run(&format!("{arguments} -o json")).ok()).unwrap()
    }

    fn directory(&self) -> &Path {
        self.server.directory()
    }

    pub(crate) fn file(&self, name: &str, text: &str) {
        std::fs::write(self.directory().join(name), text).unwrap();
    }

    fn user(&self, name: &str, more: &str) {
        let text = format!(
            r#"{{"type":"record","name":"User","fields":[{{"name":"id","type":"long"}}{more}]}}"#
        );
        self.file(name, &text);
    }
}

const EMAIL: &str = r#",{"name":"email","type":"string","default":""}"#;

#[test]
fn a_subject_from_its_first_schema_to_its_end() {
    let setup = setup();
    setup.user("v1.avsc", "");
    setup.user("v2.avsc", EMAIL);
    let created = setup
        .run("schema create --subject users-value --schema v1.avsc")
        .ok();
    assert_eq!(created, "Successfully registered schema with ID \"1\".\n");
    let created = setup.json("schema create --subject users-value --schema v2.avsc --type AVRO");
    assert_eq!(created, json!({"id": 2}));

    assert_eq!(
        setup.json("subject list"),
        json!([{"subject": "users-value"}])
    );
    assert_eq!(
        setup.json("subject describe users-value"),
        json!([{"version": 1}, {"version": 2}])
    );
    assert_eq!(
        setup.run("schema list").ok(),
        " ID | Subject     | Version\n----+-------------+---------\n  1 | users-value |       1\n  2 | users-value |       2\n"
    );
    let described = setup.run("schema describe 1").ok();
    assert!(
        described.starts_with("Schema ID: 1\nType: AVRO\nSchema:\n{\n    \"type\": \"record\","),
        "{described}"
    );
    let latest = setup.json("schema describe --subject users-value --version latest");
    assert_eq!((&latest["id"], &latest["version"]), (&json!(2), &json!(2)));
    let graph: Value =
        serde_json::from_str(&setup.run("schema describe 2 --show-references").ok()).unwrap();
    assert_eq!(graph["schemas"][0]["id"], 2);

    let diff = setup
        .run("schema diff --subject users-value --versions 1,2")
        .ok();
    assert_eq!(
        diff,
        "Subject \"users-value\", version 1 to 2:\n+ email: string, default \"\"\n"
    );
    let diff = setup.json("schema diff --subject users-value --versions 2,latest");
    assert_eq!(diff["changes"], json!([]));

    let deleted = setup
        .run("schema delete --subject users-value --version 1 --force")
        .ok();
    assert!(
        deleted.starts_with("Successfully soft deleted version \"1\" for subject \"users-value\"."),
        "{deleted}"
    );
    let refused = setup
        .run("schema delete --subject users-value --version 2 --permanent --force")
        .failed();
    assert!(refused.contains("you must first soft delete"), "{refused}");
    assert_eq!(
        setup.json("subject delete users-value --force"),
        json!([{"version": 2}])
    );
    assert_eq!(setup.json("subject list"), json!([]));
    assert_eq!(
        setup.json("subject list --all"),
        json!([{"subject": "users-value"}])
    );
    setup
        .run("schema delete --subject users-value --version all --permanent --force")
        .ok();
    assert_eq!(setup.json("subject list --all"), json!([]));
    let unknown = setup.run("subject describe users-value").failed();
    assert!(unknown.contains("error code: 40401"), "{unknown}");
    assert!(unknown.contains("Try: "), "{unknown}");
    let unasked = setup.run("subject delete users-value").failed();
    assert!(unasked.contains("40401"), "{unasked}");
}

#[test]
fn levels_and_modes_are_set_for_all_and_for_one() {
    let setup = setup();
    setup.user("v1.avsc", "");
    setup
        .run("schema create --subject users-value --schema v1.avsc")
        .ok();
    assert_eq!(
        setup.json("config describe"),
        json!({"compatibility_level": "BACKWARD"})
    );
    assert_eq!(
        setup.run("config update --compatibility full").ok(),
        "Successfully updated top-level compatibility to \"FULL\".\n"
    );
    assert_eq!(
        setup
            .run("subject update users-value --compatibility NONE")
            .ok(),
        "Successfully updated subject-level compatibility to \"NONE\" for subject \"users-value\".\n"
    );
    assert_eq!(
        setup
            .run("configuration describe --subject users-value")
            .ok(),
        " Compatibility Level | NONE\n"
    );
    setup
        .run("config delete --subject users-value --force")
        .ok();
    let none = setup.run("config describe --subject users-value").failed();
    assert!(
        none.contains("does not have subject-level compatibility configured"),
        "{none}"
    );
    assert_eq!(
        setup
            .run("mode update --subject users-value --mode readonly")
            .ok(),
        "Successfully updated subject-level mode to \"READONLY\" for subject \"users-value\".\n"
    );
    assert_eq!(
        setup.json("mode describe --subject users-value"),
        json!({"mode": "READONLY"})
    );
    assert_eq!(setup.json("mode describe"), json!({"mode": "READWRITE"}));
    let both = setup
        .run("subject update users-value --mode import --compatibility none")
        .failed();
    assert!(both.contains("not both"), "{both}");
}

#[test]
fn a_dry_run_tells_what_is_in_the_way_and_registers_nothing() {
    let setup = setup();
    setup.user("v1.avsc", "");
    let dry = "schema create --subject users-value --dry-run --schema";
    let fine = setup.run(&format!("{dry} v1.avsc")).ok();
    assert!(
        fine.contains("The schema may be registered under subject \"users-value\" (BACKWARD)."),
        "{fine}"
    );
    assert_eq!(setup.json("subject list"), json!([]));
    setup
        .run("schema create --subject users-value --schema v1.avsc")
        .ok();
    let again = setup.run(&format!("{dry} v1.avsc")).ok();
    assert!(again.contains("is version 1 of subject"), "{again}");

    setup.user("bad.avsc", r#",{"name":"email","type":"string"}"#);
    let refused = setup.run(&format!("{dry} bad.avsc --propose"));
    assert_eq!(refused.code, 1);
    for part in [
        "The schema may not follow those of subject \"users-value\" (BACKWARD):",
        "version 1, /fields/1: READER_FIELD_MISSING_DEFAULT_VALUE",
        "Remedy: ",
        "The nearest schema that may follow:",
        "User.email: made it optional, with null as default",
    ] {
        assert!(refused.stdout.contains(part), "{refused:?}");
    }
    let report = setup.run(&format!("{dry} bad.avsc --propose -o json"));
    let report: Value = serde_json::from_str(&report.stdout).unwrap();
    assert_eq!(report["is_compatible"], false);
    setup.file(
        "mended.avsc",
        report["proposal"]["schema"].as_str().unwrap(),
    );
    setup.run(&format!("{dry} mended.avsc")).ok();

    let verdict =
        setup.json("compatibility validate bad.avsc --subject users-value --version latest");
    assert_eq!(verdict["is_compatible"], false);
    assert!(verdict["messages"][0].as_str().unwrap().contains("remedy"));
    let refused = setup
        .run("schema create --subject users-value --schema bad.avsc")
        .failed();
    assert!(refused.contains("error code: 409"), "{refused}");
    setup.file("broken.avsc", "{");
    let broken = setup.run(&format!("{dry} broken.avsc")).failed();
    assert!(broken.contains("cannot be parsed"), "{broken}");
}

#[test]
fn a_data_contract_gets_its_rules_from_a_file() {
    let setup = setup();
    setup.user(
        "user.avsc",
        &format!(r#"{EMAIL},{{"name":"age","type":"int","default":0}}"#),
    );
    let metadata = json!({
        "properties": {"owner": "team-users", "sla": "99.9", "retention": "30d"},
        "tags": {"User.email": ["pii"]},
    });
    setup.file("metadata.json", &metadata.to_string());
    setup
        .run("schema create --subject users-value --schema user.avsc --metadata metadata.json")
        .ok();
    setup.file(
        "rules.yaml",
        "topic: users\ndata_quality_rules:\n  - {field: email, type: regex, pattern: '^[^@]+@[^@]+$'}\n  - {field: age, type: range, min: 0, max: 150}\n",
    );
    let dry = setup.run("quality apply -f rules.yaml --dry-run").ok();
    assert!(
        dry.starts_with("Would apply 2 rules to subject \"users-value\".\n"),
        "{dry}"
    );
    let applied = setup.run("quality apply -f rules.yaml").ok();
    assert!(
        applied
            .starts_with("Applied 2 rules to subject \"users-value\": version 2, schema ID 2.\n"),
        "{applied}"
    );
    let again = setup.json("quality apply -f rules.yaml");
    assert_eq!(
        (&again["changed"], &again["version"]),
        (&json!(false), &json!(2))
    );

    let latest = setup.json("schema describe --subject users-value --version latest");
    assert_eq!(latest["metadata"], metadata);
    let rules = latest["ruleSet"]["domainRules"].as_array().unwrap();
    let rules: Vec<(&str, &str, &str)> = rules
        .iter()
        .map(|rule| {
            let of = |name: &str| rule[name].as_str().unwrap();
            (of("name"), of("type"), of("expr"))
        })
        .collect();
    assert_eq!(
        rules,
        [
            (
                "email_regex",
                "CEL",
                r#"message.email.matches("^[^@]+@[^@]+$")"#
            ),
            ("age_range", "CEL", "message.age >= 0 && message.age <= 150"),
        ]
    );
    let diff = setup
        .run("schema diff --subject users-value --versions 1,2")
        .ok();
    assert!(diff.contains("+ domainRules.age_range: CEL, "), "{diff}");

    // A file that drops a rule drops it in the contract.
    setup.file(
        "fewer.yaml",
        "subject: users-value\ndata_quality_rules:\n  - {field: age, type: range, min: 0}\n",
    );
    let fewer = setup.json("quality apply -f fewer.yaml");
    assert_eq!(fewer["version"], 3);
    assert_eq!(fewer["rules"].as_array().unwrap().len(), 1);
    let unknown = setup
        .run("quality apply -f fewer.yaml --subject none")
        .failed();
    assert!(
        unknown.contains("has no schema to which rules could belong"),
        "{unknown}"
    );
    setup.file(
        "wrong.yaml",
        "data_quality_rules:\n  - {field: a, type: range, min: 3, max: 2}\n",
    );
    let wrong = setup
        .run("quality apply -f wrong.yaml --subject users-value")
        .failed();
    assert!(wrong.contains("line 2, column 5"), "{wrong}");
    setup.file(
        "lost.yaml",
        "data_quality_rules:\n  - {field: nope, type: range, min: 3}\n",
    );
    let lost = setup
        .run("quality apply -f lost.yaml --subject users-value --dry-run")
        .failed();
    let told = r#"rule "nope_range" is about the field "nope", which version "#;
    assert!(lost.contains(told), "{lost}");
}

#[test]
fn a_schema_is_proposed_from_the_records_of_a_topic() {
    let setup = setup();
    setup
        .server
        .run("kafka topic create orders --partitions 2")
        .ok();
    let lines: Vec<String> = (1..=20)
        .map(|n| {
            json!({"id": n, "email": format!("user{n}@example.com"), "total": 0.5}).to_string()
        })
        .collect();
    setup
        .server
        .run_with_input(
            "kafka topic produce orders",
            (lines.join("\n") + "\n").as_bytes(),
        )
        .ok();
    let proposal = setup.json("schema infer --topic orders --format avro --namespace com.example");
    assert_eq!(proposal["records"], 20);
    let schema: Value = serde_json::from_str(proposal["schema"].as_str().unwrap()).unwrap();
    assert_eq!(
        schema,
        json!({"type": "record", "name": "Orders", "namespace": "com.example", "fields": [
            {"name": "id", "type": "long"},
            {"name": "email", "type": "string", "confluent:tags": ["PII", "EMAIL"]},
            {"name": "total", "type": "double"},
        ]})
    );
    let text = setup.run("schema infer --topic orders").ok();
    assert!(
        text.contains("From 20 records of topic \"orders\"."),
        "{text}"
    );
    assert!(text.contains("PII ("), "{text}");
    let proto = setup
        .run("schema infer --topic orders --format protobuf --schema-only")
        .ok();
    assert!(proto.starts_with("syntax = \"proto3\";"), "{proto}");
    setup.file("orders.proto", &proto);
    setup
        .run("schema create --subject orders-value --schema orders.proto --type protobuf")
        .ok();
    let text = setup
        .run("schema infer --topic orders --format json --schema-only")
        .ok();
    assert!(serde_json::from_str::<Value>(&text).unwrap()["properties"]["email"].is_object());
    setup.server.run("kafka topic create empty").ok();
    let empty = setup.run("schema infer --topic empty").failed();
    assert!(empty.contains("there are no records"), "{empty}");
    let unknown = setup.run("schema infer --topic none").failed();
    assert!(unknown.contains("UNKNOWN_TOPIC_OR_PARTITION"), "{unknown}");
}

#[test]
fn a_registry_that_is_away_is_told_with_a_remedy() {
    let mut command = crate::server::affluent();
    command.args(["schema-registry", "subject", "list"]);
    command.args(["--schema-registry-endpoint", "http://127.0.0.1:1"]);
    let failed = Run::of(command.output().unwrap()).failed();
    assert!(
        failed.contains("the Schema Registry at http://127.0.0.1:1 does not answer"),
        "{failed}"
    );
    assert!(failed.contains("Try: start a registry"), "{failed}");
}

#[test]
fn an_exporter_mirrors_subjects_to_another_registry() {
    let (here, there) = (setup(), setup());
    here.user("v1.avsc", "");
    here.run("schema create --subject users-value --schema v1.avsc")
        .ok();
    let config = format!("schema.registry.url=http://{}", there.endpoint);
    assert_eq!(
        here.run(&format!(
            "exporter create away --config {config} --subjects users-value --context-type custom --context-name .here"
        ))
        .ok(),
        "Created schema exporter \"away\".\n"
    );
    assert_eq!(here.json("exporter list"), json!([{"name": "away"}]));
    let described = here.json("exporter describe away");
    assert_eq!(
        (
            &described["subjects"],
            &described["context_type"],
            &described["context"]
        ),
        (&json!("users-value"), &json!("CUSTOM"), &json!("here"))
    );
    let config = here.json("exporter configuration describe away");
    assert_eq!(
        config["schema.registry.url"],
        format!("http://{}", there.endpoint)
    );
    wait_for("the subject to be there", LIMIT, || {
        let subjects = there.json("subject list");
        Ok((subjects == json!([{"subject": ":.here:users-value"}])).then_some(()))
    })
    .unwrap();
    let status = here.json("exporter status describe away");
    assert_eq!(status["name"], "away");
    for (command, done) in [
        ("pause away", "Paused schema exporter \"away\".\n"),
        (
            "update away --subjects users-value,other --kek-format dc_${kek}",
            "Updated schema exporter \"away\".\n",
        ),
        ("reset away", "Reset schema exporter \"away\".\n"),
        ("resume away", "Resumed schema exporter \"away\".\n"),
        ("pause away", "Paused schema exporter \"away\".\n"),
        ("delete away --force", "Deleted schema exporter \"away\".\n"),
    ] {
        if command.starts_with("reset") {
            let described = here.json("exporter describe away");
            assert_eq!(described["kek_format"], "dc_${kek}");
        }
        assert_eq!(here.run(&format!("exporter {command}")).ok(), done);
    }
    assert_eq!(here.json("exporter list"), json!([]));
    let unknown = here.run("exporter describe away").failed();
    assert!(unknown.contains("error code: 404"), "{unknown}");
}
