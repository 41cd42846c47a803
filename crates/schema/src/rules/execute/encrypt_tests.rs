//! Fields and payloads through a registry in memory: there and back in each format, keys that expire, and what fails.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::encrypt::{Dek, DekId, DekRegistry, Kek, KeysError, LATEST_VERSION};
use super::tests::shape;
use super::*;
use crate::encryption::{Algorithm, Random, SystemRandom};
use crate::model::SchemaType;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

type DekKey = (String, String, &'static str, i32);

/// A registry and its service; a "wrapped" key is the key backwards.
#[derive(Debug, Default)]
struct Memory {
    keks: Mutex<BTreeMap<String, Kek>>,
    deks: Mutex<BTreeMap<DekKey, Dek>>,
    now_ms: AtomicI64,
    asked: AtomicUsize,
    /// Another client makes the DEK that is about to be made.
    is_raced: bool,
    /// Nothing is made any more.
    is_closed: Mutex<bool>,
    random: SystemRandom,
}

fn backwards(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().rev().copied().collect()
}

impl Memory {
    fn key(id: DekId<'_>) -> DekKey {
        (
            id.kek_name.to_owned(),
            id.subject.to_owned(),
            id.algorithm.name(),
            id.version,
        )
    }

    fn versions(&self) -> Vec<i32> {
        let deks = self.deks.lock().unwrap();
        deks.keys().map(|(.., version)| *version).collect()
    }

    fn pass(&self, days: i64) {
        self.now_ms.fetch_add(days * DAY_MS, Ordering::Relaxed);
    }

    fn share(&self, name: &str) {
        let kek = Kek {
            name: name.to_owned(),
            kms_type: "t".to_owned(),
            kms_key_id: "k".to_owned(),
            kms_props: BTreeMap::new(),
            shared: true,
        };
        self.keks.lock().unwrap().insert(name.to_owned(), kek);
    }
}

impl DekRegistry for Memory {
    fn kek(&self, name: &str, _deleted: bool) -> Result<Option<Kek>, KeysError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Ok(self.keks.lock().unwrap().get(name).cloned())
    }

    fn create_kek(
        &self,
        name: &str,
        kms_type: &str,
        kms_key_id: &str,
    ) -> Result<Option<Kek>, KeysError> {
        let kek = Kek {
            name: name.to_owned(),
            kms_type: kms_type.to_owned(),
            kms_key_id: kms_key_id.to_owned(),
            kms_props: BTreeMap::new(),
            shared: false,
        };
        self.keks
            .lock()
            .unwrap()
            .insert(name.to_owned(), kek.clone());
        Ok((!self.is_raced).then_some(kek))
    }

    fn dek(&self, id: DekId<'_>, _deleted: bool) -> Result<Option<Dek>, KeysError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let deks = self.deks.lock().unwrap();
        if id.version != LATEST_VERSION {
            return Ok(deks.get(&Self::key(id)).cloned());
        }
        Ok(deks.values().max_by_key(|dek| dek.version).cloned())
    }

    fn create_dek(
        &self,
        id: DekId<'_>,
        encrypted: Option<&[u8]>,
    ) -> Result<Option<Dek>, KeysError> {
        if *self.is_closed.lock().unwrap() {
            return Err(KeysError("closed".to_owned()));
        }
        let made = crate::encryption::DataKey::generate(id.algorithm, &self.random).unwrap();
        let dek = Dek {
            version: id.version,
            encrypted: encrypted.map_or_else(|| backwards(&made.material()), <[u8]>::to_vec),
            material: encrypted.is_none().then(|| made.material()),
            timestamp_ms: self.now_ms(),
        };
        self.deks.lock().unwrap().insert(Self::key(id), dek.clone());
        Ok((!self.is_raced).then_some(dek))
    }

    fn wrap(&self, _kek: &Kek, plaintext: &[u8]) -> Result<Vec<u8>, KeysError> {
        Ok(backwards(plaintext))
    }

    fn unwrap(&self, _kek: &Kek, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeysError> {
        Ok(Zeroizing::new(backwards(ciphertext)))
    }

    fn now_ms(&self) -> i64 {
        self.now_ms.load(Ordering::Relaxed)
    }

    fn random(&self) -> &dyn Random {
        &self.random
    }
}

fn avro() -> Shape {
    shape(
        SchemaType::Avro,
        r#"{"type":"record","name":"User","fields":[
            {"name":"name","type":"string","confluent:tags":["PII"]},
            {"name":"age","type":"int"},
            {"name":"mail","type":["null","string"],"default":null,"confluent:tags":["PII"]},
            {"name":"face","type":"bytes","confluent:tags":["PII"]},
            {"name":"open","type":"string"}]}"#,
    )
}

/// An encrypting rule with more parameters than it needs.
fn rule(parameters: &[(&str, &str)]) -> RuleSet {
    let mut params =
        json!({"encrypt.kek.name": "k", "encrypt.kms.type": "t", "encrypt.kms.key.id": "k"});
    for (name, value) in parameters {
        params[*name] = json!(value);
    }
    let rule = |rule_type: &str| {
        json!([{"name": "r", "kind": "TRANSFORM", "mode": "WRITEREAD", "type": rule_type,
        "tags": ["PII"], "params": params, "onFailure": "ERROR,ERROR"}])
    };
    let set = json!({"domainRules": rule("ENCRYPT"), "encodingRules": rule("ENCRYPT_PAYLOAD")});
    serde_json::from_value(set).unwrap()
}

fn run(
    set: &RuleSet,
    shape: &Shape,
    registry: &Arc<Memory>,
    passage: Passage,
    record: Value,
) -> Result<Value, RuleFailure> {
    let rules =
        Rules::new(set, None, shape, passage).with_keys(Arc::<Memory>::clone(registry), "s");
    rules.run(record)
}

fn what(result: Result<Value, RuleFailure>) -> String {
    result.unwrap_err().error.to_string()
}

#[test]
fn tagged_texts_and_bytes_are_encrypted_and_come_back() {
    let record = json!({"name": "Bo", "age": 20, "mail": {"string": "b@c"}, "face": "\u{0}\u{ff}x", "open": "o"});
    for algorithm in Algorithm::ALL {
        let registry = Arc::new(Memory::default());
        let set = rule(&[("encrypt.dek.algorithm", algorithm.name())]);
        let run = |passage, record| run(&set, &avro(), &registry, passage, record).unwrap();
        let sealed = run(Passage::Write, record.clone());
        for field in ["/name", "/mail/string", "/face"] {
            assert_ne!(sealed.pointer(field), record.pointer(field), "{field}");
        }
        for field in ["/age", "/open"] {
            assert_eq!(sealed.pointer(field), record.pointer(field), "{field}");
        }
        assert_eq!(run(Passage::Read, sealed.clone()), record);
        let again = run(Passage::Write, record.clone());
        assert_eq!(again == sealed, algorithm == Algorithm::Aes256Siv);
        assert_eq!(registry.versions(), [1]);
    }
}

#[test]
fn nothing_is_not_encrypted() {
    let registry = Arc::new(Memory::default());
    let record = json!({"name": "Bo", "age": 20, "mail": null, "face": "", "open": "o"});
    let run = |passage, record| run(&rule(&[]), &avro(), &registry, passage, record).unwrap();
    let sealed = run(Passage::Write, record.clone());
    assert_eq!(sealed["mail"], Value::Null);
    assert_eq!(run(Passage::Read, sealed), record);
}

#[test]
fn protobuf_and_json_have_their_own_bytes() {
    let proto = shape(
        SchemaType::Protobuf,
        r#"syntax = "proto3"; import "confluent/meta.proto";
        message User {
            string name = 1 [(confluent.field_meta) = { tags: "PII" }];
            bytes face = 2 [(confluent.field_meta) = { tags: "PII" }];
        }"#,
    );
    let registry = Arc::new(Memory::default());
    let record = json!({"name": "Bo", "face": "AP94"});
    let run_proto = |passage, record| run(&rule(&[]), &proto, &registry, passage, record).unwrap();
    let sealed = run_proto(Passage::Write, record.clone());
    assert_ne!(sealed["face"], record["face"]);
    assert_eq!(run_proto(Passage::Read, sealed), record);
    let text = r#"{"type": "object", "properties": {"name": {"type": "string", "confluent:tags": ["PII"]}}}"#;
    let schema = shape(SchemaType::Json, text);
    let record = json!({"name": "Bö"});
    let run_json = |passage, record| run(&rule(&[]), &schema, &registry, passage, record).unwrap();
    let sealed = run_json(Passage::Write, record.clone());
    assert_ne!(sealed, record);
    assert_eq!(run_json(Passage::Read, sealed), record);
}

#[test]
fn a_payload_is_encrypted_as_a_whole() {
    let registry = Arc::new(Memory::default());
    let set = rule(&[]);
    let run = |passage, payload: &[u8]| {
        let rules =
            Rules::of_payload(&set, None, passage).with_keys(Arc::<Memory>::clone(&registry), "s");
        rules.run_payload(None, payload.to_vec())
    };
    let sealed = run(Passage::Write, b"payload").unwrap();
    assert_eq!(sealed.len(), b"payload".len() + 28);
    assert_eq!(run(Passage::Read, &sealed).unwrap(), b"payload");
    assert!(run(Passage::Read, b"payload").is_err());
    let without_keys = Rules::of_payload(&set, None, Passage::Write).run_payload(None, Vec::new());
    let error = without_keys.unwrap_err().error;
    assert!(matches!(error, RuleError::NoExecutor { .. }), "{error}");
}

#[test]
fn keys_are_fetched_once() {
    let registry = Arc::new(Memory::default());
    let (set, shape) = (rule(&[]), avro());
    let rules = Rules::new(&set, None, &shape, Passage::Write)
        .with_keys(Arc::<Memory>::clone(&registry), "s");
    let record = json!({"name": "Bo", "mail": {"string": "b"}, "face": "x"});
    rules.run(record.clone()).unwrap();
    let asked = registry.asked.load(Ordering::Relaxed);
    rules.run(record).unwrap();
    assert_eq!(registry.asked.load(Ordering::Relaxed), asked);
}

#[test]
fn a_key_that_expires_is_followed_by_the_next() {
    let registry = Arc::new(Memory::default());
    let (set, shape) = (rule(&[("encrypt.dek.expiry.days", "1")]), avro());
    let rules = Rules::new(&set, None, &shape, Passage::Write)
        .with_keys(Arc::<Memory>::clone(&registry), "s");
    let record = json!({"name": "Bo", "face": "x"});
    let first = rules.run(record.clone()).unwrap();
    registry.pass(1);
    rules.run(record.clone()).unwrap();
    assert_eq!(registry.versions(), [1]);
    registry.pass(1);
    let second = rules.run(record.clone()).unwrap();
    assert_eq!(registry.versions(), [1, 2]);
    for (sealed, version) in [(&first, 1), (&second, 2)] {
        let face = sealed["face"].as_str().unwrap();
        let prefix: Vec<u32> = face.chars().take(5).map(u32::from).collect();
        assert_eq!(prefix, [0, 0, 0, 0, version]);
        let opened = run(&set, &shape, &registry, Passage::Read, sealed.clone());
        assert_eq!(opened.unwrap(), record);
    }
    // Once nothing can be made, an old key is better than none.
    *registry.is_closed.lock().unwrap() = true;
    registry.pass(9);
    let third = run(&set, &shape, &registry, Passage::Write, record.clone()).unwrap();
    let opened = run(&set, &shape, &registry, Passage::Read, third).unwrap();
    assert_eq!(opened, record);
    let short = run(
        &set,
        &shape,
        &registry,
        Passage::Read,
        json!({"face": "\u{0}"}),
    );
    assert_eq!(what(short), "no version found in ciphertext");
}

#[test]
fn who_loses_a_race_takes_the_winners_key() {
    let registry = Arc::new(Memory {
        is_raced: true,
        ..Memory::default()
    });
    let record = json!({"name": "Bo"});
    let run = |passage, record| run(&rule(&[]), &avro(), &registry, passage, record).unwrap();
    let sealed = run(Passage::Write, record.clone());
    assert_eq!(run(Passage::Read, sealed), record);
}

#[test]
fn a_shared_kek_has_the_registry_make_keys() {
    let registry = Arc::new(Memory::default());
    registry.share("k");
    let record = json!({"name": "Bo"});
    let run = |passage, record| run(&rule(&[]), &avro(), &registry, passage, record).unwrap();
    let sealed = run(Passage::Write, record.clone());
    assert_eq!(run(Passage::Read, sealed), record);
}

#[test]
fn what_cannot_be_encrypted_is_told() {
    let registry = Arc::new(Memory::default());
    let record = json!({"name": "Bo"});
    for (parameters, told) in [
        (
            [("encrypt.kek.name", "")],
            "empty kek name: set encrypt.kek.name",
        ),
        (
            [("encrypt.dek.algorithm", "ROT13")],
            "invalid dek algorithm \"ROT13\"",
        ),
        ([("encrypt.dek.expiry.days", "-1")], "negative expiry days"),
        ([("encrypt.dek.expiry.days", "soon")], "invalid expiry days"),
        (
            [("encrypt.kms.type", "")],
            "no kms type found for k during produce",
        ),
        (
            [("encrypt.kms.key.id", "")],
            "no kms key id found for k during produce",
        ),
    ] {
        let written = run(
            &rule(&parameters),
            &avro(),
            &registry,
            Passage::Write,
            record.clone(),
        );
        assert_eq!(what(written), told);
    }
    let read = run(
        &rule(&[]),
        &avro(),
        &registry,
        Passage::Read,
        json!({"name": "Qm8="}),
    );
    assert_eq!(what(read), "no kek found for k during consume");
    run(
        &rule(&[]),
        &avro(),
        &registry,
        Passage::Write,
        record.clone(),
    )
    .unwrap();
    let other = rule(&[("encrypt.kms.key.id", "l")]);
    let differs = run(&other, &avro(), &registry, Passage::Write, record.clone());
    assert_eq!(
        what(differs),
        "found k with kms key id k which differs from rule kms key id l"
    );
    for broken in ["%", "Qm8=", ""] {
        let read = json!({"name": broken});
        let read = run(&rule(&[]), &avro(), &registry, Passage::Read, read);
        assert!(matches!(
            read.unwrap_err().error,
            RuleError::Encryption { .. }
        ));
    }
    let numbers = shape(
        SchemaType::Avro,
        r#"{"type":"record","name":"A","fields":[{"name":"age","type":"int","confluent:tags":["PII"]}]}"#,
    );
    let age = json!({"age": 20});
    let written = run(&rule(&[]), &numbers, &registry, Passage::Write, age.clone());
    assert!(what(written).starts_with("type INT not supported for encryption"));
    let read = run(&rule(&[]), &numbers, &registry, Passage::Read, age.clone());
    assert_eq!(read.unwrap(), age);
}

#[test]
fn parameters_may_be_the_contracts() {
    let registry = Arc::new(Memory::default());
    let set = json!({"domainRules": [{"name": "r", "kind": "TRANSFORM", "mode": "WRITEREAD", "type": "ENCRYPT", "tags": ["PII"]}]});
    let set: RuleSet = serde_json::from_value(set).unwrap();
    let metadata = json!({"properties": {"encrypt.kek.name": "k", "encrypt.kms.type": "t", "encrypt.kms.key.id": "k"}});
    let metadata: Metadata = serde_json::from_value(metadata).unwrap();
    let shape = avro();
    let rules = Rules::new(&set, Some(&metadata), &shape, Passage::Write)
        .with_keys(Arc::<Memory>::clone(&registry), "s");
    assert_ne!(
        rules.run(json!({"name": "Bo"})).unwrap(),
        json!({"name": "Bo"})
    );
}
