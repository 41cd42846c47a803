//! Virtual time, one generator, one queue of events, and clients as futures that wait for them.
//!
//! Whatever happens is an event at a virtual time; between two events the clients run as far as they can, in the order
//! in which they were started. Waking is not needed for that: each is polled, and polls what it waits for.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::hash::{DefaultHasher, Hasher};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use base::ManualClock;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// The wall clock when a run begins.
const START_MS: i64 = 1_700_000_000_000;
/// Lines of the trace that are kept; the hash is over all of them.
const TRACE_LINES_MAX: usize = 400_000;

type Event = Box<dyn FnOnce()>;
type Task = Pin<Box<dyn Future<Output = ()>>>;

/// What happened, as lines and as a hash over them.
#[derive(Debug, Default)]
pub struct Trace {
    /// The first lines.
    pub lines: Vec<String>,
    hash: DefaultHasher,
}

impl Trace {
    fn add(&mut self, line: String) {
        self.hash.write(line.as_bytes());
        self.hash.write_u8(b'\n');
        if self.lines.len() < TRACE_LINES_MAX {
            self.lines.push(line);
        }
    }

    /// Over every line.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash.finish()
    }
}

/// Time, chance and what is to come.
pub struct Core {
    /// The clock of everything inside the broker.
    pub clock: Arc<ManualClock>,
    now_us: Cell<u64>,
    sequence: Cell<u64>,
    rng: RefCell<SmallRng>,
    queue: RefCell<BTreeMap<(u64, u64), Event>>,
    tasks: RefCell<Vec<Task>>,
    started: RefCell<Vec<Task>>,
    trace: RefCell<Trace>,
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core")
            .field("now_us", &self.now_us)
            .finish_non_exhaustive()
    }
}

impl Core {
    /// The beginning of a run.
    #[must_use]
    pub fn new(seed: u64) -> Rc<Core> {
        Rc::new(Core {
            clock: Arc::new(ManualClock::new(START_MS)),
            now_us: Cell::new(0),
            sequence: Cell::new(0),
            rng: RefCell::new(SmallRng::seed_from_u64(seed)),
            queue: RefCell::default(),
            tasks: RefCell::default(),
            started: RefCell::default(),
            trace: RefCell::default(),
        })
    }

    /// Microseconds since the run began.
    #[must_use]
    pub fn now_us(&self) -> u64 {
        self.now_us.get()
    }

    /// A number from `range`, which must not be empty.
    pub fn pick(&self, range: std::ops::Range<u64>) -> u64 {
        self.rng.borrow_mut().random_range(range)
    }

    /// Whether something of this probability happens.
    pub fn chance(&self, probability: f64) -> bool {
        self.rng.borrow_mut().random_bool(probability)
    }

    /// 16 random bytes.
    pub fn bytes(&self) -> [u8; 16] {
        self.rng.borrow_mut().random()
    }

    /// Writes a line of the trace.
    pub fn trace(&self, line: fmt::Arguments<'_>) {
        let line = format!("{} {line}", self.now_us());
        self.trace.borrow_mut().add(line);
    }

    /// Takes the trace out.
    pub fn take_trace(&self) -> Trace {
        std::mem::take(&mut *self.trace.borrow_mut())
    }

    /// Does something in `delay_us`.
    pub fn after(&self, delay_us: u64, event: impl FnOnce() + 'static) {
        let sequence = self.sequence.get();
        self.sequence.set(sequence + 1);
        let at = (self.now_us() + delay_us, sequence);
        self.queue.borrow_mut().insert(at, Box::new(event));
    }

    /// Starts a client.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.started.borrow_mut().push(Box::pin(task));
    }

    /// Clients that have not come to their end.
    #[must_use]
    pub fn running(&self) -> usize {
        self.tasks.borrow().len() + self.started.borrow().len()
    }

    /// Waits.
    pub async fn sleep(self: &Rc<Core>, us: u64) {
        let due = Rc::new(Cell::new(false));
        let set = Rc::clone(&due);
        self.after(us, move || set.set(true));
        std::future::poll_fn(move |_| match due.get() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }

    /// Runs until `until_us`, or until `done` says so.
    pub fn run(&self, until_us: u64, done: impl Fn() -> bool) {
        loop {
            self.poll_tasks();
            if done() {
                return;
            }
            let next = {
                let mut queue = self.queue.borrow_mut();
                match queue.first_key_value() {
                    Some(((at, _), _)) if *at <= until_us => queue.pop_first(),
                    _ => None,
                }
            };
            let Some(((at, _), event)) = next else {
                self.move_to(until_us);
                return;
            };
            self.move_to(at);
            event();
        }
    }

    /// Forgets all that is to come, and every client.
    pub fn clear(&self) {
        let queue = std::mem::take(&mut *self.queue.borrow_mut());
        drop(queue);
        let tasks = std::mem::take(&mut *self.tasks.borrow_mut());
        drop(tasks);
        let later = std::mem::take(&mut *self.queue.borrow_mut());
        drop(later);
    }

    fn move_to(&self, us: u64) {
        let now = self.now_us();
        if us > now {
            self.clock.advance(Duration::from_micros(us - now));
            self.now_us.set(us);
        }
    }

    fn poll_tasks(&self) {
        let mut context = Context::from_waker(Waker::noop());
        let mut tasks = std::mem::take(&mut *self.tasks.borrow_mut());
        tasks.append(&mut self.started.borrow_mut());
        tasks.retain_mut(|task| task.as_mut().poll(&mut context).is_pending());
        *self.tasks.borrow_mut() = tasks;
    }
}
