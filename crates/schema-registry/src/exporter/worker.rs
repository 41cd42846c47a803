//! One exporter at work: from the changes of this registry to requests to the other one.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use registry_client::{Method, Request};
use schema::{RuleSet, SchemaReference};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::destination::{Destination, ExportError};
use super::keys::KeyMirror;
use super::naming;
use crate::log::reader::Progress;
use crate::service::lookup::VersionId;
use crate::service::{Found, Registry};
use crate::state::exporters::ExporterProgress;
use crate::state::{Change, Config, Exporter};
use crate::subject::{self, DEFAULT_CONTEXT};

/// Between an error and the next try, first and at most.
const BACKOFF_FIRST: Duration = Duration::from_millis(200);
const BACKOFF_MAX: Duration = Duration::from_secs(60);

/// Changes between two times that progress is kept.
const BATCH: usize = 100;

/// How many versions are known to be over there without asking.
const KNOWN_MAX: usize = 10_000;

/// How deep references may lead.
const DEPTH_MAX: usize = 32;

/// What an exporter's worker knows.
#[derive(Debug)]
pub(super) struct Worker {
    registry: Arc<Registry>,
    client: reqwest::Client,
    source: String,
    pub(super) exporter: Exporter,
    news: watch::Receiver<Progress>,
    pub(super) keys: KeyMirror,
    /// Subjects and contexts over there that are in the mode `IMPORT`.
    importing: HashSet<String>,
    /// Versions that are over there.
    known: HashSet<(String, i32)>,
}

impl Worker {
    pub(super) fn new(
        registry: Arc<Registry>,
        client: reqwest::Client,
        source: String,
        exporter: Exporter,
        news: watch::Receiver<Progress>,
        keys: KeyMirror,
    ) -> Self {
        Self {
            registry,
            client,
            source,
            exporter,
            news,
            keys,
            importing: HashSet::new(),
            known: HashSet::new(),
        }
    }

    fn name(&self) -> &str {
        &self.exporter.value.name
    }

    /// Exports until `stop`. What is cut off then is sent again by the next worker.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.work() => {}
        }
    }

    async fn work(&mut self) {
        let mut progress = self.start();
        let mut backoff = BACKOFF_FIRST;
        loop {
            self.news.mark_unchanged();
            self.keys.news.mark_unchanged();
            match self.catch_up(&mut progress).await {
                Ok(()) => {
                    backoff = BACKOFF_FIRST;
                    progress.trace.clear();
                    self.keep(&progress).await;
                    let changed = tokio::select! {
                        changed = self.news.changed() => changed,
                        changed = self.keys.news.changed() => changed,
                    };
                    if changed.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    let trace = error.trace();
                    tracing::warn!(
                        exporter = self.name(),
                        error = trace,
                        "exporting failed; trying again"
                    );
                    progress.trace = trace;
                    self.keep(&progress).await;
                    // What was found out before may not hold any more.
                    self.importing.clear();
                    tokio::time::sleep(backoff).await;
                    backoff = (backoff * 2).min(BACKOFF_MAX);
                }
            }
        }
    }

    /// Where the last worker came to.
    fn start(&self) -> ExporterProgress {
        let state = self.registry.state();
        let kept = state.exporters().progress(self.name());
        kept.cloned().unwrap_or_else(|| ExporterProgress {
            name: self.name().to_owned(),
            offset: -1,
            ts: 0,
            trace: String::new(),
        })
    }

    async fn keep(&self, progress: &ExporterProgress) {
        let generation = self.exporter.generation;
        let kept = self.registry.keep_progress(generation, progress.clone());
        if let Err(error) = kept.await {
            tracing::debug!(exporter = self.name(), %error, "progress was not kept; the next will be");
        }
    }

    async fn catch_up(&mut self, progress: &mut ExporterProgress) -> Result<(), ExportError> {
        let config = &self.exporter.value.config;
        let destination = Destination::new(self.client.clone(), config)?;
        loop {
            let changes: Vec<(i64, Change)> = {
                let state = self.registry.state();
                let changes = state.changes_after(progress.offset).take(BATCH);
                changes
                    .map(|(offset, change)| (offset, change.clone()))
                    .collect()
            };
            if changes.is_empty() {
                return self.export_keys(&destination).await;
            }
            for (offset, change) in changes {
                if let Some(written_ms) = self.export(&destination, &change).await? {
                    progress.ts = written_ms;
                }
                progress.offset = offset;
            }
            progress.trace.clear();
            self.keep(progress).await;
        }
    }

    pub(super) fn wants(&self, subject: &str) -> bool {
        naming::wants(&self.exporter.value, &self.source, subject)
    }

    pub(super) fn over_there(&self, of: &str) -> String {
        naming::over_there(&self.exporter.value, &self.source, of)
    }

    /// Exports a change, and says when it was written here, in milliseconds since 1970, where that is known.
    async fn export(
        &mut self,
        destination: &Destination,
        change: &Change,
    ) -> Result<Option<i64>, ExportError> {
        match change {
            Change::Version(subject, version) if self.wants(subject) => {
                self.known.remove(&(subject.to_string(), *version));
                self.export_version(destination, subject, *version, 0).await
            }
            Change::Deleted(subject) if self.wants(subject) => {
                self.export_deletes(destination, subject).await?;
                Ok(None)
            }
            Change::Config(of) if self.wants(of) => {
                self.export_config(destination, of).await?;
                Ok(None)
            }
            Change::Version(..) | Change::Deleted(_) | Change::Config(_) => Ok(None),
        }
    }

    /// Exports a version, after what it refers to.
    fn export_version<'a>(
        &'a mut self,
        destination: &'a Destination,
        subject: &'a str,
        version: i32,
        depth: usize,
    ) -> BoxFuture<'a, Result<Option<i64>, ExportError>> {
        async move {
            let Some(found) = self.found(subject, version) else {
                // It is gone for good since; what was over there stays.
                return Ok(None);
            };
            let known = (subject.to_owned(), found.version);
            if self.known.contains(&known) {
                return Ok(None);
            }
            if depth > DEPTH_MAX {
                return Err(ExportError::Depth {
                    subject: subject.to_owned(),
                    version,
                });
            }
            let context = subject::context_of(subject);
            for reference in &found.body.references {
                let of = subject::in_context_of(context, &reference.subject);
                self.export_version(destination, &of, reference.version, depth + 1)
                    .await?;
            }
            self.send_version(destination, subject, &found).await?;
            if self.known.len() >= KNOWN_MAX {
                self.known.clear();
            }
            self.known.insert(known);
            Ok(Some(found.timestamp_ms))
        }
        .boxed()
    }

    async fn send_version(
        &mut self,
        destination: &Destination,
        subject: &str,
        found: &Found,
    ) -> Result<(), ExportError> {
        let name = self.over_there(subject);
        self.import_into(destination, &name).await?;
        let path = ["subjects", &name, "versions"];
        let body = self.request(subject, found);
        let register = Request::new(Method::POST, &path).body(body);
        destination.send(register).await?;
        if found.deleted {
            delete(destination, &name, found.version).await?;
        }
        Ok(())
    }

    fn found(&self, subject: &str, version: i32) -> Option<Found> {
        let version = if version < 0 {
            VersionId::Latest
        } else {
            VersionId::Number(version)
        };
        self.registry.version(subject, version, true)
    }

    /// The registration of a version over there.
    fn request(&self, subject: &str, found: &Found) -> Value {
        let body = &found.body;
        let references: Vec<SchemaReference> = body
            .references
            .iter()
            .map(|reference| SchemaReference {
                subject: naming::reference_over_there(
                    &self.exporter.value,
                    &self.source,
                    subject,
                    &reference.subject,
                ),
                ..reference.clone()
            })
            .collect();
        let mut request = json!({
            "schemaType": body.schema_type.name(),
            "schema": body.text,
            "id": found.id,
            "version": found.version,
        });
        if !references.is_empty() {
            request["references"] = json!(references);
        }
        if let Some(metadata) = &body.metadata {
            request["metadata"] = json!(metadata);
        }
        if let Some(rules) = &body.rule_set {
            let rules = RuleSet::clone(rules);
            request["ruleSet"] = json!(naming::rules_over_there(&self.exporter.value, rules));
        }
        request
    }

    /// Sees that ids may be chosen over there: in the context, or, since others use the default one, in the subject.
    pub(super) async fn import_into(
        &mut self,
        destination: &Destination,
        name: &str,
    ) -> Result<(), ExportError> {
        let of = match subject::context_of(name) {
            DEFAULT_CONTEXT => name.to_owned(),
            context => subject::qualify(context, ""),
        };
        if self.importing.contains(&of) {
            return Ok(());
        }
        let path = ["mode", &of];
        let ask = Request::get(&path).flag("defaultToGlobal", true);
        let found = match destination.ask(ask).await {
            Ok(found) => found,
            Err(error) if error.is_not_there() => Value::Null,
            Err(error) => return Err(error),
        };
        if found["mode"] != "IMPORT" {
            let import = json!({"mode": "IMPORT"});
            let set = Request::new(Method::PUT, &path).body(import);
            destination.send(set).await?;
        }
        if self.importing.len() >= KNOWN_MAX {
            self.importing.clear();
        }
        self.importing.insert(of);
        Ok(())
    }

    async fn export_deletes(
        &mut self,
        destination: &Destination,
        subject: &str,
    ) -> Result<(), ExportError> {
        let deleted: Vec<i32> = {
            let state = self.registry.state();
            let versions = state.versions(subject).into_iter().flatten();
            let deleted = versions.filter(|(_, version)| version.deleted);
            deleted.map(|(number, _)| *number).collect()
        };
        let name = self.over_there(subject);
        for version in deleted {
            delete(destination, &name, version).await?;
        }
        Ok(())
    }

    async fn export_config(
        &mut self,
        destination: &Destination,
        of: &str,
    ) -> Result<(), ExportError> {
        let name = self.over_there(of);
        if name.is_empty() {
            // The settings of a context that becomes the default one are not everybody's over there.
            return Ok(());
        }
        let config = self.registry.state().config_of(Some(of)).cloned();
        let path = ["config", &name];
        // What the config does not say any more is not to stay.
        match destination.send(Request::new(Method::DELETE, &path)).await {
            Ok(()) => {}
            Err(error) if error.is_not_there() => {}
            Err(error) => return Err(error),
        }
        if let Some(config) = config {
            let request = self.config_request(of, config);
            let set = Request::new(Method::PUT, &path).body(request);
            destination.send(set).await?;
        }
        Ok(())
    }

    fn config_request(&self, of: &str, config: Config) -> Value {
        let alias = config.alias.as_deref().map(|alias| {
            naming::reference_over_there(&self.exporter.value, &self.source, of, alias)
        });
        let renamed = |rules: RuleSet| naming::rules_over_there(&self.exporter.value, rules);
        let mut request = json!(Config {
            alias,
            default_rule_set: config.default_rule_set.map(renamed),
            override_rule_set: config.override_rule_set.map(renamed),
            ..config
        });
        // A request calls the level by another name than the record and the answer do.
        if let Some(fields) = request.as_object_mut()
            && let Some(level) = fields.remove("compatibilityLevel")
        {
            fields.insert("compatibility".to_owned(), level);
        }
        request
    }
}

/// Soft deletes a version over there, unless it is.
async fn delete(destination: &Destination, name: &str, version: i32) -> Result<(), ExportError> {
    let version = version.to_string();
    let path = ["subjects", name, "versions", &version];
    match destination.send(Request::new(Method::DELETE, &path)).await {
        Ok(()) => Ok(()),
        Err(error) if error.is_not_there() => Ok(()),
        Err(error) => Err(error),
    }
}
