//! The simulated clients: what they share is the way to the broker, with its delays and its failures.
//!
//! A request may reach the broker long after its client has given it up: that is how records of an aborted transaction
//! come late. Not so those of group members, and of classic transactional producers, which die with their connection: a
//! late OffsetCommit would take a later one back, a late EndTxn end the next transaction. The second is so in Kafka too (KAFKA-17754), and
//! what version 2 is for. An answer may be lost with the connection; the client then does not know what happened.

pub mod deleter;
pub mod group;
pub mod member;
pub mod plain;
pub mod processor;
pub mod scanner;
pub mod sharer;
pub mod streams;
pub mod transactional;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::task::Poll;

use chaos::checker::{Event, Place, Recorder};

use crate::broker::Broker;
use crate::core::Core;

/// How long a client waits for an answer.
const TIMEOUT_US: u64 = 400_000;

enum State<R> {
    Waiting,
    Done(R),
    Lost,
}

type Slot<R> = Rc<RefCell<State<R>>>;

/// Where an answer goes. One that is dropped is a broken connection.
pub struct Reply<R: 'static> {
    core: Rc<Core>,
    slot: Option<Slot<R>>,
}

impl<R> fmt::Debug for Reply<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reply")
    }
}

impl<R: 'static> Reply<R> {
    /// Sends the answer; it takes its time.
    pub fn send(mut self, answer: R) {
        if let Some(slot) = self.slot.take() {
            let delay = delay(&self.core);
            self.core
                .after(delay, move || put(&slot, State::Done(answer)));
        }
    }
}

impl<R: 'static> Drop for Reply<R> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            self.core.after(1_000, move || put(&slot, State::Lost));
        }
    }
}

fn put<R>(slot: &Slot<R>, state: State<R>) {
    let mut slot = slot.borrow_mut();
    if matches!(*slot, State::Waiting) {
        *slot = state;
    }
}

/// Most messages take less than two milliseconds, some a second.
fn delay(core: &Core) -> u64 {
    if core.chance(0.01) {
        core.pick(50_000..1_500_000)
    } else {
        core.pick(50..2_000)
    }
}

/// The world as clients see it. Clones are the same one.
#[derive(Clone)]
pub struct Net {
    /// Time and chance.
    pub core: Rc<Core>,
    /// The broker, when it is up.
    pub broker: Rc<RefCell<Option<Broker>>>,
    /// The history.
    pub recorder: Recorder,
    /// Until when the broker stands still.
    pub paused_until: Rc<Cell<u64>>,
    /// Clients begin nothing new.
    pub stopped: Rc<Cell<bool>>,
    /// Numbers transactions.
    pub next_txn: Rc<Cell<u64>>,
    /// Whether requests that this client has given up may reach the broker all the same.
    pub comes_late: bool,
    /// Partitions of each topic that clients know of.
    pub partitions: Rc<RefCell<BTreeMap<&'static str, i32>>>,
}

impl fmt::Debug for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Net")
            .field("core", &self.core)
            .finish_non_exhaustive()
    }
}

impl Net {
    /// Sends a request and waits for its answer; `None` when none came.
    pub async fn call<R: fmt::Debug + 'static>(
        &self,
        what: &'static str,
        run: impl FnOnce(&mut Broker, Reply<R>) + 'static,
    ) -> Option<R> {
        self.call_within(TIMEOUT_US, what, run).await
    }

    /// As [`Net::call`], with another patience.
    pub async fn call_within<R: fmt::Debug + 'static>(
        &self,
        timeout_us: u64,
        what: &'static str,
        run: impl FnOnce(&mut Broker, Reply<R>) + 'static,
    ) -> Option<R> {
        let slot: Slot<R> = Rc::new(RefCell::new(State::Waiting));
        let reply = Reply {
            core: Rc::clone(&self.core),
            slot: Some(Rc::clone(&slot)),
        };
        let to_broker = delay(&self.core);
        let (comes_late, is_lost) = (self.comes_late, Rc::clone(&slot));
        self.at_broker(to_broker, move |broker| {
            if comes_late || !matches!(*is_lost.borrow(), State::Lost) {
                run(broker, reply);
            }
        });
        let timed_out = Rc::clone(&slot);
        self.core
            .after(timeout_us, move || put(&timed_out, State::Lost));
        let answer = std::future::poll_fn(move |_| {
            // Once answered or lost, later answers change nothing.
            let state = std::mem::replace(&mut *slot.borrow_mut(), State::Lost);
            match state {
                State::Waiting => {
                    *slot.borrow_mut() = State::Waiting;
                    Poll::Pending
                }
                State::Done(answer) => Poll::Ready(Some(answer)),
                State::Lost => Poll::Ready(None),
            }
        })
        .await;
        self.core.trace(format_args!("{what} {answer:?}"));
        answer
    }

    /// Runs something at the broker in a while; it is dropped when the broker is down by then.
    pub fn at_broker(&self, delay_us: u64, run: impl FnOnce(&mut Broker) + 'static) {
        let net = self.clone();
        self.core.after(delay_us, move || {
            let paused = net.paused_until.get().saturating_sub(net.core.now_us());
            if paused > 0 {
                net.at_broker(paused, run);
                return;
            }
            if let Some(broker) = net.broker.borrow_mut().as_mut()
                && !broker.disk.is_gone()
            {
                run(broker);
                if !broker.disk.is_gone() {
                    broker.pump();
                }
            }
        });
    }

    /// Writes an event of the history down.
    pub fn record(&self, event: Event) {
        self.core.trace(format_args!("{event:?}"));
        self.recorder.record(event);
    }

    /// Waits for some milliseconds, more or less.
    pub async fn pause(&self, ms: u64) {
        let us = self.core.pick(ms * 500..ms * 1_500);
        self.core.sleep(us).await;
    }

    /// A partition of a topic.
    pub fn any_place(&self, topic: &'static str) -> Place {
        let count = self.partitions.borrow().get(topic).copied().unwrap_or(1);
        let index = self.core.pick(0..u64::from(count.unsigned_abs()));
        Place::new(topic, i32::try_from(index).unwrap_or(0))
    }

    /// A number for a transaction.
    pub fn new_txn(&self) -> u64 {
        self.next_txn.set(self.next_txn.get() + 1);
        self.next_txn.get()
    }
}
