//! The keys of mirrored subjects: a DEK goes with its subject, and its KEK before it, each as it is kept here.
//!
//! A DEK is sent as its KEK encrypted it; a registry in the mode `IMPORT` takes it without opening it. A KEK is sent
//! without the secrets among its properties, which are nobody's business over there, and only where there is none of
//! its name: what is over there already stays as it is.
//!
//! Which keys are over there is not kept: whoever begins sends them all again, and is told that they are there.
//!
//! **Not here:** keys that are deleted for good stay over there, as schemas do.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use registry_client::{Method, Request};
use serde_json::json;
use tokio::sync::watch;

use super::destination::{Destination, ExportError};
use super::naming;
use super::worker::Worker;
use crate::dek::DekRegistry;
use crate::dek::keks::shown;
use crate::dek::keys::Stored;
use crate::dek::records::{DekId, DekValue, KekValue};
use crate::log::reader::Progress;

/// What a worker knows of keys.
#[derive(Debug)]
pub(super) struct KeyMirror {
    registry: Arc<DekRegistry>,
    /// Tells of new records of keys.
    pub(super) news: watch::Receiver<Progress>,
    /// The DEKs that are over there, with the times of their records here.
    sent: HashMap<DekId, i64>,
    /// The KEKs that are over there.
    keks: HashSet<String>,
    /// Whether the other registry has no DEK registry.
    is_refused: bool,
}

impl KeyMirror {
    pub(super) fn new(registry: Arc<DekRegistry>, news: watch::Receiver<Progress>) -> Self {
        Self {
            registry,
            news,
            sent: HashMap::new(),
            keks: HashSet::new(),
            is_refused: false,
        }
    }

    /// The DEKs of subjects that are wanted and that are not over there as they are here.
    fn todo(&self, wants: impl Fn(&str) -> bool) -> Vec<(DekId, Stored<DekValue>)> {
        let keys = self.registry.keys();
        keys.deks(true)
            .filter(|(id, stored)| self.sent.get(id) != Some(&stored.timestamp_ms))
            .filter(|(id, _)| wants(&id.subject))
            .map(|(id, stored)| (id.clone(), stored.clone()))
            .collect()
    }

    fn kek(&self, name: &str) -> Option<KekValue> {
        let keys = self.registry.keys();
        keys.kek(name, true).map(|kek| kek.value.clone())
    }
}

impl Worker {
    /// Sends what has changed of the keys of mirrored subjects.
    pub(super) async fn export_keys(
        &mut self,
        destination: &Destination,
    ) -> Result<(), ExportError> {
        let todo = self.keys.todo(|subject| self.wants(subject));
        for (id, stored) in todo {
            if self.keys.is_refused {
                return Ok(());
            }
            let kek = naming::kek_over_there(&self.exporter.value, &id.kek_name);
            if stored.value.deleted {
                self.delete_dek(destination, &kek, &id).await?;
            } else if let Some(value) = self.keys.kek(&id.kek_name) {
                self.send_kek(destination, &kek, &value).await?;
                if !self.keys.is_refused {
                    let name = self.over_there(&id.subject);
                    self.import_into(destination, &name).await?;
                    send_dek(destination, &kek, &name, (&id, &stored.value), value.shared).await?;
                }
            }
            self.keys.sent.insert(id, stored.timestamp_ms);
        }
        Ok(())
    }

    async fn send_kek(
        &mut self,
        destination: &Destination,
        name: &str,
        value: &KekValue,
    ) -> Result<(), ExportError> {
        if self.keys.keks.contains(name) {
            return Ok(());
        }
        let body = json!({
            "name": name,
            "kmsType": value.kms_type,
            "kmsKeyId": value.kms_key_id,
            "kmsProps": shown(&value.kms_props),
            "doc": value.doc,
            "shared": value.shared,
        });
        let path = ["dek-registry", "v1", "keks"];
        let create = Request::new(Method::POST, &path).body(body);
        match destination.send(create).await {
            Ok(()) => {}
            Err(error) if error.is_there_already() => {}
            Err(error) if error.is_not_there() => {
                tracing::warn!(
                    exporter = self.exporter.value.name,
                    error = error.trace(),
                    "the other registry has no DEK registry; keys are not exported"
                );
                self.keys.is_refused = true;
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        self.keys.keks.insert(name.to_owned());
        Ok(())
    }

    async fn delete_dek(
        &self,
        destination: &Destination,
        kek: &str,
        id: &DekId,
    ) -> Result<(), ExportError> {
        let (name, version) = (self.over_there(&id.subject), id.version.to_string());
        let path = dek_path(kek, &name, &version);
        let delete = Request::new(Method::DELETE, &path).query("algorithm", id.algorithm.name());
        match destination.send(delete).await {
            Err(error) if !error.is_not_there() => Err(error),
            _ => Ok(()),
        }
    }
}

fn dek_path<'p>(kek: &'p str, subject: &'p str, version: &'p str) -> [&'p str; 8] {
    [
        "dek-registry",
        "v1",
        "keks",
        kek,
        "deks",
        subject,
        "versions",
        version,
    ]
}

/// Sends a DEK. One that is there, deleted, is taken back. One that is there with other material was encrypted anew here
/// since; it is put in its place, but for shared KEKs, whose DEKs the other registry encrypts anew itself.
async fn send_dek(
    destination: &Destination,
    kek: &str,
    subject: &str,
    (id, value): (&DekId, &DekValue),
    is_shared: bool,
) -> Result<(), ExportError> {
    let path = ["dek-registry", "v1", "keks", kek, "deks", subject];
    let body = json!({
        "subject": subject,
        "version": id.version,
        "algorithm": id.algorithm.name(),
        "encryptedKeyMaterial": value.encrypted_key_material,
    });
    let create = Request::new(Method::POST, &path).body(body.clone());
    match destination.send(create).await {
        Err(error) if error.is_there_already() => {}
        done => return done,
    }
    let version = id.version.to_string();
    let found = dek_path(kek, subject, &version);
    if is_shared {
        let path = [&found[..], &["undelete"]].concat();
        let undelete = Request::new(Method::POST, &path).query("algorithm", id.algorithm.name());
        return destination.send(undelete).await;
    }
    let ask = Request::get(&found)
        .query("algorithm", id.algorithm.name())
        .flag("deleted", true);
    let found = destination.ask(ask).await?;
    let is_same = found["encryptedKeyMaterial"].as_str() == value.encrypted_key_material.as_deref();
    if is_same {
        return Ok(());
    }
    let replace = Request::new(Method::POST, &path)
        .flag("rewrap", true)
        .body(body);
    destination.send(replace).await
}
