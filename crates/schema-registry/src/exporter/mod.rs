//! Exporters at work: subjects of this registry mirrored to another one, over HTTP (Confluent's schema linking).
//!
//! ```text
//! state ──changes after an offset──▶ worker ──PUT mode, POST version, PUT config──▶ the other registry
//!                                      │
//!                                      └──EXPORTER_STATE──▶ the topic
//! ```
//!
//! Only the instance that writes has workers, one for each exporter that does not rest ([`Manager`]). A worker sends, in
//! the order of the topic, every version of the subjects it is for with its id and its number, soft deletes, and configs
//! ([`worker`]); what is over there already is sent again without harm, so progress need not be kept for each of them.
//! The keys of those subjects go with them ([`keys`]). [`naming`] says what is exported under which name, [`destination`] speaks to the other registry.
//!
//! **Invariant:** progress is kept after what it stands for is over there. A worker of an order that was changed since, or
//! of an instance that writes no more, keeps none.
//!
//! **Not here:** what is deleted for good stays over there, as with Confluent's; modes are not mirrored, since whoever is
//! mirrored to is in the mode `IMPORT`.

pub mod destination;
mod keys;
pub mod naming;
mod worker;

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::dek::DekRegistry;
use crate::log::reader::Progress;
use crate::metrics;
use crate::service::{Leadership, Registry};
use keys::KeyMirror;
use worker::Worker;

/// Sees that each exporter has its worker, and no other.
#[derive(Debug)]
pub struct Manager {
    registry: Arc<Registry>,
    keys: Arc<DekRegistry>,
    client: reqwest::Client,
    /// What this registry is called over there.
    source: String,
    progress: watch::Receiver<Progress>,
    key_progress: watch::Receiver<Progress>,
}

/// A worker that runs.
struct Running {
    generation: i64,
    stop: CancellationToken,
}

impl Manager {
    /// A manager; `progress` tells of new records, of schemas and of keys, `cluster_id` is the id of the Kafka cluster
    /// that holds them.
    #[must_use]
    pub fn new(
        registry: Arc<Registry>,
        keys: Arc<DekRegistry>,
        client: reqwest::Client,
        cluster_id: &str,
        [progress, key_progress]: [watch::Receiver<Progress>; 2],
    ) -> Self {
        let source = format!("{cluster_id}-{}", registry.config().group_id);
        Self {
            registry,
            keys,
            client,
            source,
            progress,
            key_progress,
        }
    }

    /// Manages until `stop`, and ends all workers then.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut leadership = self.registry.watch_leadership();
        let mut running: HashMap<String, Running> = HashMap::new();
        let mut workers = JoinSet::new();
        loop {
            self.adjust(&mut running, &mut workers, &stop);
            metrics::exporters(self.registry.exporter_counts());
            tokio::select! {
                () = stop.cancelled() => break,
                changed = leadership.changed() => if changed.is_err() { break },
                changed = self.progress.changed() => if changed.is_err() { break },
                Some(ended) = workers.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "an exporter panicked");
                    }
                }
            }
        }
        for running in running.into_values() {
            running.stop.cancel();
        }
        while workers.join_next().await.is_some() {}
    }

    fn adjust(
        &self,
        running: &mut HashMap<String, Running>,
        workers: &mut JoinSet<()>,
        stop: &CancellationToken,
    ) {
        let mut wanted = HashMap::new();
        if self.registry.leadership() == Leadership::Here {
            let state = self.registry.state();
            for (name, exporter) in state.exporters().iter() {
                if !exporter.value.paused {
                    wanted.insert(name.to_owned(), exporter.clone());
                }
            }
        }
        running.retain(|name, running| {
            let goes_on = wanted
                .get(name)
                .is_some_and(|exporter| exporter.generation == running.generation);
            if !goes_on {
                running.stop.cancel();
            }
            goes_on
        });
        for (name, exporter) in wanted {
            if running.contains_key(&name) {
                continue;
            }
            let stop = stop.child_token();
            let generation = exporter.generation;
            let worker = Worker::new(
                Arc::clone(&self.registry),
                self.client.clone(),
                self.source.clone(),
                exporter,
                self.progress.clone(),
                KeyMirror::new(Arc::clone(&self.keys), self.key_progress.clone()),
            );
            workers.spawn(worker.run(stop.clone()));
            running.insert(name, Running { generation, stop });
        }
    }
}
