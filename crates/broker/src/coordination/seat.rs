//! The seat of a machine: whoever has it runs the machine, and carries out what that yields.
//!
//! A request takes the seat on its own task when it is free and nobody is queued ([`Shared::enter`]): a heartbeat is then
//! answered without a change of task, and a commit's record is written by who waits for it. All else comes to the
//! coordinator's task ([`super::task`]): requests that found the seat taken, what became durable, deadlines, loading.
//!
//! **Invariants**
//! - One event at a time. Its actions are carried out before the next event, so that appends reach the log in the order of
//!   their ids. What has to wait for room in the journal is *held up*; until it is carried out, nobody but the task gets the
//!   seat.
//! - First come, first served, as far as anyone can tell: once something is queued, no request overtakes it.
//! - Nobody waits while in the seat, but the task for room in the journal.
//! - A machine that panicked is never run again: whoever waits for it is told NOT_COORDINATOR.

use std::collections::{HashMap, VecDeque};
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use base::Timestamp;
use coordinator::{Action, Actions, AppendError, CommitId, Token};
use storage::{Appended, Lsn, Storage, WhenToWrite};
use tokio::sync::{Mutex, MutexGuard, Notify, mpsc, oneshot};

use super::Coordinated;
use super::append::{self, Batch, Refused};
use super::task::{Command, Handle};
use crate::server::Server;
use crate::topics::Partition;

/// How often a request looks whether the seat has become free before it queues: a heartbeat has it for about as long.
const LOOKS: usize = 64;

/// What the handles of a coordinator and its task share.
pub(super) struct Shared<M: Coordinated> {
    seat: Mutex<Seat<M>>,
    /// Commands that were sent to the task and have not been run.
    pub(super) queued: AtomicUsize,
    /// The machine is not run any more.
    ended: AtomicBool,
    /// Tells the task to look at the seat.
    pub(super) wake: Notify,
    server: Weak<Server>,
    pub(super) partition: Partition,
    /// Weak, or the task would keep itself alive.
    pub(super) commands: mpsc::WeakSender<Command<M>>,
}

impl<M: Coordinated> std::fmt::Debug for Shared<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("topic", &M::TOPIC)
            .field("partition", &self.partition.index)
            .finish_non_exhaustive()
    }
}

/// What became of a request that was run at once.
pub(crate) enum Begun<R> {
    /// With this.
    Answered(R),
    /// Its answer comes later.
    Waits(oneshot::Receiver<R>),
}

impl<M: Coordinated> Shared<M> {
    pub(super) fn new(
        server: &Arc<Server>,
        partition: Partition,
        commands: mpsc::WeakSender<Command<M>>,
    ) -> Shared<M> {
        let seat = Seat {
            machine: M::create(server, &partition),
            replies: HashMap::new(),
            next_token: 0,
            appends: VecDeque::new(),
            actions: VecDeque::new(),
            room_wanted: None,
            answering: None,
            armed: Armed::default(),
        };
        Shared {
            seat: Mutex::new(seat),
            queued: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
            wake: Notify::new(),
            server: Arc::downgrade(server),
            partition,
            commands,
        }
    }

    /// The seat for the task, which waits for it.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(super) async fn take(&self) -> Seated<'_, M> {
        let seat = self.seat.lock().await;
        Seated { seat, shared: self }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// The seat, if it is free, or becomes so within a moment, and it is nobody else's turn.
    pub(super) fn enter(&self) -> Option<Seated<'_, M>> {
        let others = || self.queued.load(Ordering::Acquire) > 0 || self.has_ended();
        for _ in 0..LOOKS {
            if others() {
                return None;
            }
            if let Ok(seat) = self.seat.try_lock() {
                let seated = Seated { seat, shared: self };
                // Somebody may have queued before the seat was taken.
                return (!others() && seated.actions.is_empty()).then_some(seated);
            }
            std::hint::spin_loop();
        }
        None
    }

    /// Runs a request now, or gives it back because it is not its turn. Blocks for one small write of the journal at most.
    pub(super) fn request_now<R>(self: &Arc<Self>, run: R) -> Result<Begun<M::Response>, R>
    where
        R: FnOnce(&mut M, Token) -> Actions<M>,
    {
        let Some(server) = self.server.upgrade() else {
            return Err(run);
        };
        let Some(mut seat) = self.enter() else {
            return Err(run);
        };
        let token = seat.next_token();
        seat.answering = Some((token, None));
        let actions = run(&mut seat.machine, token);
        let appended = seat.carry_out(self, &server, WhenToWrite::Later, actions);
        let answer = seat.answering.take().and_then(|(_, answer)| answer);
        let begun = match answer {
            Some(answer) => Begun::Answered(answer),
            None => Begun::Waits(seat.expect(token)),
        };
        if !appended {
            seat.leave();
            return Ok(begun);
        }
        // Nobody else is kept out while the record is written.
        drop(seat);
        drop(server.storage().queue_writes());
        match self.seat.try_lock() {
            Ok(seat) => {
                let mut seat = Seated { seat, shared: self };
                if !self.has_ended() {
                    seat.settle(self, &server);
                }
                seat.leave();
            }
            Err(_) => self.wake.notify_one(),
        }
        Ok(begun)
    }

    /// Ends the machine: whoever waits for an answer is told that there is no coordinator.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
        // A request that has the seat now does not wait in it.
        loop {
            if let Ok(mut seat) = self.seat.try_lock() {
                seat.replies.clear();
                return;
            }
            std::thread::yield_now();
        }
    }
}

/// Somebody in the seat.
pub(super) struct Seated<'a, M: Coordinated> {
    seat: MutexGuard<'a, Seat<M>>,
    shared: &'a Shared<M>,
}

impl<M: Coordinated> Seated<'_, M> {
    /// Leaves the seat, and tells the task if there is something for it to do.
    pub(super) fn leave(self) {
        let wake = self.seat.wants_task();
        let shared = self.shared;
        drop(self);
        if wake {
            shared.wake.notify_one();
        }
    }
}

impl<M: Coordinated> Deref for Seated<'_, M> {
    type Target = Seat<M>;

    fn deref(&self) -> &Seat<M> {
        &self.seat
    }
}

impl<M: Coordinated> DerefMut for Seated<'_, M> {
    fn deref_mut(&mut self) -> &mut Seat<M> {
        &mut self.seat
    }
}

impl<M: Coordinated> Drop for Seated<'_, M> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // What the machine holds now is nobody's idea of a group.
            self.shared.ended.store(true, Ordering::Release);
            self.seat.replies.clear();
            self.shared.wake.notify_one();
        }
    }
}

/// What the task waits for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Armed {
    /// The first append whose outcome is open.
    pub(super) append: Option<Lsn>,
    /// The machine's deadline.
    pub(super) deadline: Option<Timestamp>,
}

/// A machine, and what is between it and the log.
pub(super) struct Seat<M: Coordinated> {
    pub(super) machine: M,
    replies: HashMap<Token, oneshot::Sender<M::Response>>,
    next_token: u64,
    /// Appends whose outcome is open, in order.
    pub(super) appends: VecDeque<(CommitId, Lsn)>,
    /// Actions still to be carried out. There are none between events, unless they are held up.
    actions: VecDeque<Action<M::Response, M::Effect>>,
    /// The bytes for which the first of `actions` waits.
    room_wanted: Option<usize>,
    /// The request that is being run, and its answer.
    answering: Option<(Token, Option<M::Response>)>,
    armed: Armed,
}

impl<M: Coordinated> Seat<M> {
    pub(super) fn next_token(&mut self) -> Token {
        let token = Token(self.next_token);
        self.next_token += 1;
        token
    }

    /// Where the answer to a request will come.
    fn expect(&mut self, token: Token) -> oneshot::Receiver<M::Response> {
        let (reply, answer) = oneshot::channel();
        self.send_to(token, reply);
        answer
    }

    /// Where the answer to a request goes.
    pub(super) fn send_to(&mut self, token: Token, reply: oneshot::Sender<M::Response>) {
        self.replies.insert(token, reply);
    }

    /// What there is to wait for. The task waits for that until it asks again.
    pub(super) fn arm(&mut self) -> Armed {
        self.armed = Armed {
            append: self.appends.front().map(|(_, lsn)| *lsn),
            deadline: self.machine.next_deadline(),
        };
        self.armed
    }

    /// Whether there is something that the task does not wait for.
    fn wants_task(&self) -> bool {
        let earlier = match (self.machine.next_deadline(), self.armed.deadline) {
            (Some(next), Some(armed)) => next < armed,
            (next, _) => next.is_some(),
        };
        let unwatched = !self.appends.is_empty() && self.armed.append.is_none();
        earlier || unwatched || !self.actions.is_empty()
    }

    /// The bytes of journal that what is held up waits for; none when nothing is.
    pub(super) fn room_wanted(&self) -> Option<usize> {
        self.room_wanted
    }

    /// Carries out actions, and those that their failures yield, as far as there is room in the journal. Whether anything was
    /// appended.
    pub(super) fn carry_out(
        &mut self,
        shared: &Arc<Shared<M>>,
        server: &Arc<Server>,
        write: WhenToWrite,
        actions: Actions<M>,
    ) -> bool {
        self.actions.extend(actions);
        self.room_wanted = None;
        let mut any = false;
        while let Some(action) = self.actions.pop_front() {
            let (commit, batch) = match &action {
                Action::Append { commit, records } => {
                    let batch = append::of_records(server, &shared.partition, records);
                    (*commit, batch)
                }
                Action::AppendTransactional {
                    commit,
                    producer,
                    records,
                } => {
                    let partition = &shared.partition;
                    let batch = append::of_transaction(server, partition, *producer, records);
                    (*commit, batch)
                }
                Action::AppendMarker { commit, marker } => {
                    (*commit, append::of_marker(server, *marker))
                }
                Action::Reply { .. } | Action::Effect(_) => {
                    self.answer(shared, server, action);
                    continue;
                }
            };
            let is_marker = matches!(action, Action::AppendMarker { .. });
            let append = |batch: Batch| batch.append(server, &shared.partition, write);
            match batch.map_err(Refused::from).and_then(append) {
                Ok(appended) => {
                    self.note(commit, appended, is_marker);
                    any = true;
                }
                Err(Refused::Failed(error)) => {
                    let failed = self.machine.failed(commit, error);
                    self.actions.extend(failed);
                }
                Err(Refused::NoRoom(bytes)) => {
                    self.room_wanted = Some(bytes);
                    self.actions.push_front(action);
                    break;
                }
            }
        }
        any
    }

    fn answer(
        &mut self,
        shared: &Arc<Shared<M>>,
        server: &Arc<Server>,
        action: Action<M::Response, M::Effect>,
    ) {
        match action {
            Action::Reply { token, response } => match &mut self.answering {
                Some((asked, answer)) if *asked == token => *answer = Some(response),
                _ => {
                    if let Some(reply) = self.replies.remove(&token) {
                        // A client that hung up does not hear its answer.
                        drop(reply.send(response));
                    }
                }
            },
            Action::Effect(effect) => {
                if let Some(handle) = Handle::of(shared) {
                    M::perform(server, &shared.partition, handle, effect);
                }
            }
            Action::Append { .. }
            | Action::AppendTransactional { .. }
            | Action::AppendMarker { .. } => {}
        }
    }

    /// Records are in the log. The machine is told where, but not of its markers.
    fn note(&mut self, commit: CommitId, appended: Appended, is_marker: bool) {
        if !is_marker {
            self.machine.appended(commit, appended.base_offset);
        }
        self.appends.push_back((commit, appended.lsn));
    }

    /// There will be no room for what is held up first.
    pub(super) fn fail_held_up(&mut self, error: AppendError) {
        self.room_wanted = None;
        match self.actions.pop_front() {
            Some(
                Action::Append { commit, .. }
                | Action::AppendTransactional { commit, .. }
                | Action::AppendMarker { commit, .. },
            ) => {
                let failed = self.machine.failed(commit, error);
                self.actions.extend(failed);
            }
            Some(other) => self.actions.push_front(other),
            None => {}
        }
    }

    /// The first append whose outcome is open, if it is durable.
    pub(super) fn next_durable(&mut self, storage: &Storage) -> Option<CommitId> {
        let (commit, lsn) = *self.appends.front()?;
        if !storage.is_durable(lsn) {
            return None;
        }
        self.appends.pop_front();
        Some(commit)
    }

    /// Tells the machine what has become durable, as long as nothing is held up.
    fn settle(&mut self, shared: &Arc<Shared<M>>, server: &Arc<Server>) {
        while self.actions.is_empty()
            && let Some(commit) = self.next_durable(server.storage())
        {
            let actions = self.machine.committed(commit);
            self.carry_out(shared, server, WhenToWrite::AtOnce, actions);
        }
    }
}
