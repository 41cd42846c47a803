//! The records of one request, in order, and what became of each.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use client::data::{DataError, RDKafkaErrorCode};

/// What became of a record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    /// All in-sync replicas have it.
    Written {
        /// Where.
        partition: i32,
        /// Where in the partition.
        offset: i64,
        /// The record's timestamp, as the broker has it.
        timestamp_ms: Option<i64>,
    },
    /// It is not known to be written.
    Failed(DataError),
}

/// The records of one request that have not been reported.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The number of the ticket at the front.
    first: u64,
    /// What is known of the tickets from there on.
    slots: VecDeque<Option<Outcome>>,
    waker: Option<Waker>,
}

/// A record's place in its lane.
#[derive(Debug)]
pub(crate) struct Ticket {
    lane: Arc<Lane>,
    number: u64,
    answered: bool,
}

impl Lane {
    /// The next place.
    pub(crate) fn ticket(self: &Arc<Self>) -> Ticket {
        let mut state = self.lock();
        let number = state.first + state.slots.len() as u64;
        state.slots.push_back(None);
        Ticket {
            lane: Arc::clone(self),
            number,
            answered: false,
        }
    }

    /// Takes the outcomes that are known, from the front on, up to the first that is not.
    pub(crate) fn take(&self, out: &mut VecDeque<Outcome>) {
        let mut state = self.lock();
        while let Some(Some(_)) = state.slots.front() {
            state.first += 1;
            out.extend(state.slots.pop_front().flatten());
        }
    }

    /// Waits until the front's outcome is known; at once when nothing waits.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn front(&self) {
        poll_fn(|context| {
            let mut state = self.lock();
            if matches!(state.slots.front(), Some(None)) {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        })
        .await;
    }

    /// Waits for all and takes them.
    pub(crate) async fn finish(&self) -> VecDeque<Outcome> {
        let mut out = VecDeque::new();
        while !self.lock().slots.is_empty() {
            self.front().await;
            self.take(&mut out);
        }
        out
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change is whole by itself.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, number: u64, outcome: Outcome) {
        let waker = {
            let mut state = self.lock();
            let Some(index) = number
                .checked_sub(state.first)
                .and_then(|index| usize::try_from(index).ok())
            else {
                return;
            };
            if let Some(slot) = state.slots.get_mut(index) {
                *slot = Some(outcome);
            }
            // Whoever waits, waits for the front.
            if index == 0 { state.waker.take() } else { None }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Ticket {
    /// Says what became of the record.
    pub(crate) fn answer(mut self, outcome: Outcome) {
        self.answered = true;
        self.lane.answer(self.number, outcome);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.answered {
            let closed = DataError::MessageProduction(RDKafkaErrorCode::PurgeQueue);
            self.lane.answer(self.number, Outcome::Failed(closed));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(offset: i64) -> Outcome {
        Outcome::Written {
            partition: 0,
            offset,
            timestamp_ms: None,
        }
    }

    proptest! {
        #[test]
        fn outcomes_come_in_the_order_of_the_tickets(order in Just((0..40_usize).collect::<Vec<_>>()).prop_shuffle()) {
            let lane = Arc::new(Lane::default());
            let mut tickets: Vec<_> = order.iter().map(|_| Some(lane.ticket())).collect();
            let mut found = VecDeque::new();
            for index in order {
                let ticket = tickets.get_mut(index).and_then(Option::take).expect("each index comes once");
                ticket.answer(written(index as i64));
                lane.take(&mut found);
            }
            let expected: Vec<_> = (0..40).map(written).collect();
            prop_assert_eq!(Vec::from(found), expected);
        }
    }

    #[tokio::test]
    async fn a_ticket_that_is_lost_is_answered() {
        let lane = Arc::new(Lane::default());
        let (first, second) = (lane.ticket(), lane.ticket());
        let waiting = tokio::spawn({
            let lane = Arc::clone(&lane);
            async move { lane.finish().await }
        });
        tokio::task::yield_now().await;
        second.answer(written(1));
        drop(first);
        let found = waiting.await.unwrap();
        assert!(matches!(found[0], Outcome::Failed(_)));
        assert_eq!(found[1], written(1));
        lane.front().await;
    }
}
