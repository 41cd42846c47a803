//! A few schedules, the same one twice, and each planted fault. `cargo xtask chaos --nightly` runs many more.

use sim::{Outcome, Plant, Schedule, run};

const FAULTS_MS: u64 = 8_000;
/// Seeds that are tried for a planted fault: a fault at the wrong moment shows nothing.
const PLANT_SEEDS: u64 = 12;

fn schedule(seed: u64, plant: Option<Plant>) -> Outcome {
    run(&Schedule {
        seed,
        plant,
        faults_ms: FAULTS_MS,
    })
}

#[test]
fn schedules_are_clean_and_show_something() {
    let mut crashes = 0;
    for seed in 1..=3 {
        let outcome = schedule(seed, None);
        crashes += outcome.crashes;
        assert_eq!(outcome.findings, [], "seed {seed}");
        let counts = outcome.counts;
        assert!(
            counts.committed > 20
                && counts.aborted > 0
                && counts.polled > 100
                && counts.assigned > 5
                && counts.settled > 50
                && counts.epochs > 20
                && counts.deletions > 2
                && outcome.cleaned > 0
                && outcome.copied > 0,
            "seed {seed}: {counts}"
        );
    }
    assert!(crashes > 0);
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let [first, second] = [schedule(7, None), schedule(7, None)];
    let differs = first
        .trace
        .lines
        .iter()
        .zip(&second.trace.lines)
        .find(|(a, b)| a != b);
    assert_eq!(differs, None);
    assert_eq!(first.trace.lines.len(), second.trace.lines.len());
    assert_eq!(first.trace.hash(), second.trace.hash());
    assert_ne!(first.trace.hash(), schedule(8, None).trace.hash());
}

/// The planted fault is found, by a rule that is meant for it.
fn is_found(plant: Plant) {
    let mut others = Vec::new();
    for seed in 1..=PLANT_SEEDS {
        let found = schedule(seed, Some(plant)).findings;
        if found
            .iter()
            .any(|finding| plant.found_by().contains(&finding.name.as_str()))
        {
            return;
        }
        others.extend(found.into_iter().map(|finding| finding.name));
    }
    panic!("{} was not found; only {others:?}", plant.name());
}

macro_rules! planted {
    ($($name:ident: $plant:ident,)*) => {
        $(#[test]
        fn $name() {
            is_found(Plant::$plant);
        })*

        #[test]
        fn every_fault_is_planted() {
            assert_eq!(&[$(Plant::$plant),*], Plant::ALL);
        }
    };
}

planted! {
    an_early_acknowledgement_is_found: AckBeforeDurable,
    a_lying_sync_is_found: SyncIsALie,
    forgotten_sequences_are_found: SequencesForgotten,
    a_lost_marker_is_found: LostMarker,
    a_decision_that_was_not_logged_is_found: DecisionNotLogged,
    an_ignored_stable_offset_is_found: StableOffsetIgnored,
    an_ignored_list_of_aborted_transactions_is_found: AbortedListIgnored,
    an_epoch_that_is_not_fenced_is_found: EpochNotFenced,
    offsets_outside_of_their_transaction_are_found: OffsetsOutsideTransaction,
    offsets_rolled_back_are_found: OffsetsRolledBack,
    a_partition_given_twice_is_found: PartitionGivenTwice,
    a_fetch_that_skips_is_found: FetchSkips,
    a_fetch_that_repeats_is_found: FetchRepeats,
    an_epoch_that_goes_back_is_found: EpochGoesBack,
    a_task_given_twice_is_found: TaskGivenTwice,
    keys_mixed_up_are_found: KeysMixedUp,
    a_lying_sync_of_the_cleaner_is_found: CleanerSyncIsALie,
    an_early_answer_to_delete_records_is_found: DeleteBeforeDurable,
    a_share_group_that_begins_at_the_end_is_found: ShareBeginsAtTheEnd,
    an_acknowledgement_that_was_not_written_is_found: ShareAckNotWritten,
    ignored_share_locks_are_found: ShareLocksIgnored,
    a_forgotten_delivery_count_is_found: ShareCountForgotten,
    a_remote_store_that_keeps_nothing_is_found: RemoteCopyIsALie,
    a_remote_store_that_deletes_nothing_is_found: RemoteDeleteIsALie,
}
