//! Real clients (librdkafka) that go on through every fault and write the checker's history.
//!
//! Plain and transactional producers, exactly-once loops, and groups of both protocols whose members come and go. The
//! threads share a [`Recorder`]; what each does is in its own file. The topics may be given more partitions meanwhile
//! ([`growth`]).

mod consumer;
mod ending;
mod growth;
mod producer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use testkit::wait::wait_for;
use testkit::{Server, calls};

use crate::checker::{History, Recorder};
use growth::Growth;

/// Plain records, which the loops read.
pub(crate) const INPUT: &str = "live-in";
/// The loops' results.
pub(crate) const OUTPUT: &str = "live-out";
/// Transactions over several partitions.
pub(crate) const MIX: &str = "live-mix";
/// Each topic and the partitions that it begins with.
pub(crate) const TOPICS: &[(&str, i32)] = &[(INPUT, 3), (OUTPUT, 2), (MIX, 3)];
/// The groups, with the protocol that librdkafka is told to use.
pub(crate) const GROUPS: &[(&str, &str, &str)] = &[
    ("loop-classic", "classic", INPUT),
    ("loop-consumer", "consumer", INPUT),
    ("readers-classic", "classic", MIX),
    ("readers-consumer", "consumer", MIX),
];
/// How long the clients may make no progress at all.
const PROGRESS_LIMIT: Duration = Duration::from_secs(90);

/// What the clients share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) bootstrap: String,
    pub(crate) recorder: Recorder,
    stopped: Arc<AtomicBool>,
    next_txn: Arc<AtomicU64>,
    /// Transactions committed.
    progress: Arc<AtomicU64>,
    growth: Growth,
}

impl Shared {
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    pub(crate) fn new_txn(&self) -> u64 {
        self.next_txn.fetch_add(1, Ordering::SeqCst)
    }

    pub(crate) fn advance(&self) {
        self.progress.fetch_add(1, Ordering::SeqCst);
    }
}

/// Clients at work.
#[derive(Debug)]
pub struct Live {
    shared: Shared,
    clients: Vec<(String, JoinHandle<Result<()>>)>,
}

impl Live {
    /// Creates the topics and starts the clients; `seed` decides what they do when.
    ///
    /// # Errors
    /// When a topic cannot be created.
    pub fn start(server: &Server, seed: u64) -> Result<Live> {
        for (topic, partitions) in TOPICS {
            let configs = [("segment.bytes", "1048576")];
            calls::create_topic(&mut server.connect()?, topic, *partitions, &configs)?;
        }
        let shared = Shared {
            bootstrap: server.bootstrap(),
            recorder: Recorder::default(),
            stopped: Arc::default(),
            next_txn: Arc::new(AtomicU64::new(1)),
            progress: Arc::default(),
            growth: Growth::new(),
        };
        let mut live = Live {
            shared,
            clients: Vec::new(),
        };
        live.spawn("plain-1", |shared| producer::run_plain(&shared, 1));
        for number in 11..=12 {
            live.spawn(&format!("mix-{number}"), move |shared| {
                producer::run_mix(&shared, number, seed)
            });
        }
        for (index, (group, protocol, topic)) in (0..).zip(GROUPS) {
            for member in 0..2 {
                let number = 20 + index * 2 + member;
                let is_loop = *topic == INPUT;
                live.spawn(&format!("{group}-{number}"), move |shared| {
                    let options = consumer::Options {
                        name: format!("{group}-{number}"),
                        group,
                        protocol,
                        topic,
                        number,
                        seed,
                    };
                    if is_loop {
                        consumer::run_loop(&shared, &options)
                    } else {
                        consumer::run_member(&shared, &options)
                    }
                });
            }
        }
        Ok(live)
    }

    fn spawn(&mut self, name: &str, run: impl FnOnce(Shared) -> Result<()> + Send + 'static) {
        let shared = self.shared.clone();
        let client = thread::spawn(move || run(shared));
        self.clients.push((name.to_owned(), client));
    }

    /// Waits until so much more was committed.
    ///
    /// # Errors
    /// When nothing moves for too long, or a client has given up.
    pub fn wait_for_progress(&self, steps: u64) -> Result<()> {
        let goal = self.shared.progress.load(Ordering::SeqCst) + steps;
        wait_for("transactions to be committed", PROGRESS_LIMIT, || {
            if let Some((name, _)) = self.clients.iter().find(|(_, c)| c.is_finished()) {
                bail!("client {name} has given up");
            }
            let now = self.shared.progress.load(Ordering::SeqCst);
            Ok((now >= goal).then_some(()))
        })
    }

    /// Stops the clients, waits for open transactions to end, and reads everything.
    ///
    /// # Errors
    /// The first that a client ended with, or when the end cannot be read.
    pub fn finish(self, server: &Server) -> Result<History> {
        self.shared.stopped.store(true, Ordering::SeqCst);
        for (name, client) in self.clients {
            let ended = client.join().map_err(|_| anyhow!("{name} panicked"))?;
            ended.map_err(|error| error.context(name))?;
        }
        ending::read(server, &self.shared)?;
        Ok(self.shared.recorder.take())
    }
}
