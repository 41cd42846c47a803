//! `affluent schema-registry kek` and `dek` against a registry beside a broker: keys from their making to their end.

use serde_json::{Value, json};

use crate::contracts::{Setup, setup};

const KEK: &str = "--kek-name users --subject users-value";

fn shared_kek(setup: &Setup) -> Value {
    setup.json(
        "kek create users --kms-type local-kms --kms-key key-1 --kms-properties secret=hidden,owner=me --doc words --shared",
    )
}

#[test]
fn a_kek_from_its_making_to_its_end() {
    let setup = setup();
    let made = shared_kek(&setup);
    for (field, value) in [
        ("name", json!("users")),
        ("kms_type", json!("local-kms")),
        ("kms_key", json!("key-1")),
        ("doc", json!("words")),
        ("is_shared", json!(true)),
    ] {
        assert_eq!(made[field], value, "{made}");
    }
    setup
        .run("kek create other --kms-type local-kms --kms-key key-2")
        .ok();
    let again = setup.run("kek create users --kms-type local-kms --kms-key key-1");
    assert!(again.failed().contains("40971"), "it is there already");

    let listed = setup.run("kek list").ok();
    for word in ["users", "other", "key-1", "key-2", "KMS Type"] {
        assert!(listed.contains(word), "{word}: {listed}");
    }
    assert!(!listed.contains("hidden"), "a secret is shown: {listed}");

    let nothing = setup.run("kek update users").failed();
    assert!(nothing.contains("--doc"), "{nothing}");
    let updated = setup.json("kek update users --doc others --shared=false");
    assert_eq!(
        (&updated["doc"], &updated["kms_key"]),
        (&json!("others"), &json!("key-1"))
    );
    assert!(updated.get("is_shared").is_none(), "{updated}");
    assert_eq!(setup.json("kek describe users")["doc"], "others");

    // Somebody has to say yes, and nobody is there to be asked.
    setup.run("kek delete users").failed();
    let deleted = setup.run("kek delete users other --force").ok();
    assert!(deleted.contains("Deleted KEK \"users\"."), "{deleted}");
    assert_eq!(setup.json("kek list"), json!([]));
    assert_eq!(setup.json("kek list --all").as_array().unwrap().len(), 2);
    assert!(setup.run("kek describe users").failed().contains("40470"));
    assert_eq!(setup.json("kek describe users --all")["is_deleted"], true);
    setup.run("kek undelete users").ok();
    assert_eq!(setup.json("kek describe users")["name"], "users");
    setup.run("kek delete users --force").ok();
    setup.run("kek delete users --force --permanent").ok();
    assert!(
        setup
            .run("kek describe users --all")
            .failed()
            .contains("40470")
    );
}

#[test]
fn a_dek_from_its_making_to_its_end() {
    let setup = setup();
    shared_kek(&setup);
    // The registry shares the KEK, so it makes the key and shows it.
    let first = setup.json(&format!("dek create {KEK} --version 1"));
    assert_eq!(
        (
            &first["kek_name"],
            &first["subject"],
            &first["version"],
            &first["algorithm"]
        ),
        (
            &json!("users"),
            &json!("users-value"),
            &json!(1),
            &json!("AES256_GCM")
        )
    );
    for field in ["encrypted_key_material", "key_material"] {
        assert!(
            first[field].as_str().is_some_and(|key| !key.is_empty()),
            "{first}"
        );
    }
    let siv = setup.json(&format!(
        "dek create {KEK} --version 1 --algorithm AES256_SIV"
    ));
    assert_eq!(siv["algorithm"], "AES256_SIV");
    setup.json(&format!("dek create {KEK} --version 2"));
    // Without access to the key's service, whoever makes a DEK has to bring it.
    setup
        .run("kek create far --kms-type local-kms --kms-key key-2")
        .ok();
    let far = "--kek-name far --subject users-value";
    let brought = setup.json(&format!(
        "dek create {far} --version 1 --encrypted-key-material c2VhbGVk"
    ));
    assert_eq!(
        (&brought["encrypted_key_material"], &brought["key_material"]),
        (&json!("c2VhbGVk"), &json!(""))
    );

    let described = setup.json(&format!("dek describe {KEK} --version 1"));
    assert_eq!(described["key_material"], first["key_material"]);
    let versions = |more: &str| {
        let listed = setup.json(&format!("dek version list {KEK} {more}"));
        let rows = listed.as_array().unwrap().clone();
        rows.into_iter()
            .map(|row| row["version"].as_i64().unwrap())
            .collect::<Vec<i64>>()
    };
    assert_eq!(versions(""), [1, 2]);
    assert_eq!(versions("--algorithm AES256_SIV"), [1]);
    for list in ["dek list", "dek subject list"] {
        let subjects = setup.json(&format!("{list} --kek-name users"));
        assert_eq!(subjects, json!([{"subject": "users-value"}]), "{list}");
    }

    // A KEK goes after its DEKs.
    let kept = setup.run("kek delete users --force").failed();
    assert!(kept.contains("42272"), "{kept}");
    setup.run(&format!("dek delete {KEK} --version 2")).failed();
    setup
        .run(&format!("dek delete {KEK} --version 2 --force"))
        .ok();
    assert_eq!((versions(""), versions("--all")), (vec![1], vec![1, 2]));
    let gone = setup
        .run(&format!("dek describe {KEK} --version 2"))
        .failed();
    assert!(
        gone.contains("40471") || gone.contains("not found"),
        "{gone}"
    );
    setup.run(&format!("dek undelete {KEK} --version 2")).ok();
    assert_eq!(versions(""), [1, 2]);
    setup.run(&format!("dek delete {KEK} --force")).ok();
    setup
        .run(&format!("dek delete {KEK} --force --permanent"))
        .ok();
    let left = setup.json("dek list --kek-name users");
    // That of the other algorithm is a key of its own.
    assert_eq!(left, json!([{"subject": "users-value"}]));
    let other = format!("dek delete {KEK} --algorithm AES256_SIV --force");
    setup.run(&other).ok();
    setup.run(&format!("{other} --permanent")).ok();
    assert_eq!(setup.json("dek list --kek-name users --all"), json!([]));
    setup.run("kek delete users --force").ok();
    setup.run("kek delete users --force --permanent").ok();
}
