//! Laying new state batches over known ones.
//!
//! Of an offset that several batches speak of, the one with the higher delivery count holds, and of equal counts
//! the one with the higher delivery state: that is the later one in the life of a record. So the order in which
//! batches arrive does not matter. Neighbours that say the same become one batch. Source:
//! `PersisterStateBatchCombiner`.

use std::collections::BTreeMap;

use base::Offset;

use super::StateBatch;

/// What decides between two batches, the later one in a record's life above.
type Delivery = (i16, i8);

/// The batches of `known` and `new` without overlap, in order; nothing below `start_offset`, unless that is -1.
///
/// Takes time proportional to n log n.
pub(super) fn combine(
    known: &[StateBatch],
    new: &[StateBatch],
    start_offset: Offset,
) -> Vec<StateBatch> {
    let pruned = known
        .iter()
        .chain(new)
        .filter_map(|batch| from_start(batch, start_offset));
    // At each offset where a batch begins or has ended: what begins (+1) and what ends (-1) there.
    let mut edges: BTreeMap<i64, Vec<(Delivery, bool)>> = BTreeMap::new();
    for batch in pruned {
        let delivery = (batch.delivery_count, batch.delivery_state);
        let end = batch.last_offset.0.saturating_add(1);
        let begins = edges.entry(batch.first_offset.0).or_default();
        begins.push((delivery, true));
        edges.entry(end).or_default().push((delivery, false));
    }
    let mut open: BTreeMap<Delivery, usize> = BTreeMap::new();
    let mut combined: Vec<StateBatch> = Vec::new();
    let mut from = i64::MIN;
    for (at, changes) in edges {
        if let Some((delivery, _)) = open.last_key_value() {
            extend(&mut combined, from, at, *delivery);
        }
        for (delivery, begins) in changes {
            crate::consumer::group::tally(&mut open, delivery, begins);
        }
        from = at;
    }
    combined
}

fn from_start(batch: &StateBatch, start_offset: Offset) -> Option<StateBatch> {
    let first_offset = if start_offset.0 == -1 {
        batch.first_offset
    } else {
        batch.first_offset.max(start_offset)
    };
    (first_offset <= batch.last_offset).then_some(StateBatch {
        first_offset,
        ..*batch
    })
}

/// Adds the offsets from `from` to before `end`, to the last batch if that says the same of those before.
fn extend(combined: &mut Vec<StateBatch>, from: i64, end: i64, delivery: Delivery) {
    let (delivery_count, delivery_state) = delivery;
    let last_offset = Offset(end - 1);
    if let Some(last) = combined.last_mut()
        && last.last_offset.0 == from - 1
        && (last.delivery_count, last.delivery_state) == delivery
    {
        last.last_offset = last_offset;
        return;
    }
    combined.push(StateBatch {
        first_offset: Offset(from),
        last_offset,
        delivery_state,
        delivery_count,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const AVAILABLE: i8 = 0;
    const ACKNOWLEDGED: i8 = 2;
    const ARCHIVED: i8 = 4;

    type Plain = (i64, i64, i8, i16);

    fn batch((first, last, delivery_state, delivery_count): Plain) -> StateBatch {
        StateBatch {
            first_offset: Offset(first),
            last_offset: Offset(last),
            delivery_state,
            delivery_count,
        }
    }

    fn check(known: &[Plain], new: &[Plain], start: i64, expected: &[Plain]) {
        let of = |plain: &[Plain]| plain.iter().copied().map(batch).collect::<Vec<_>>();
        let combined = combine(&of(known), &of(new), Offset(start));
        assert_eq!(combined, of(expected));
        let swapped = combine(&of(new), &of(known), Offset(start));
        assert_eq!(swapped, of(expected), "the order of arrival matters");
    }

    #[test]
    fn the_later_delivery_holds() {
        let known = [(100, 109, AVAILABLE, 1)];
        check(
            &known,
            &[(100, 109, AVAILABLE, 2)],
            -1,
            &[(100, 109, AVAILABLE, 2)],
        );
        check(
            &known,
            &[(103, 105, ACKNOWLEDGED, 1)],
            -1,
            &[
                (100, 102, AVAILABLE, 1),
                (103, 105, ACKNOWLEDGED, 1),
                (106, 109, AVAILABLE, 1),
            ],
        );
        check(
            &[(100, 109, ARCHIVED, 3)],
            &[(105, 115, AVAILABLE, 2)],
            -1,
            &[(100, 109, ARCHIVED, 3), (110, 115, AVAILABLE, 2)],
        );
    }

    #[test]
    fn neighbours_that_say_the_same_are_one() {
        check(&[(0, 4, 0, 1)], &[(5, 9, 0, 1)], -1, &[(0, 9, 0, 1)]);
        check(
            &[(0, 4, 0, 1)],
            &[(6, 9, 0, 1)],
            -1,
            &[(0, 4, 0, 1), (6, 9, 0, 1)],
        );
        check(
            &[(0, 9, 0, 1), (0, 9, 0, 1)],
            &[(3, 20, 0, 1)],
            -1,
            &[(0, 20, 0, 1)],
        );
    }

    #[test]
    fn nothing_is_kept_below_the_start_offset() {
        check(&[(0, 4, 0, 1), (5, 9, 2, 1)], &[], 7, &[(7, 9, 2, 1)]);
        check(&[(0, 4, 0, 1)], &[], 5, &[]);
        check(&[(0, 4, 0, 1)], &[], -1, &[(0, 4, 0, 1)]);
    }

    #[test]
    fn batches_at_the_ends_of_the_offsets_do_no_harm() {
        check(&[(5, 2, 0, 1)], &[], -1, &[]);
        check(
            &[(i64::MIN, i64::MAX, 0, 1)],
            &[],
            0,
            &[(0, i64::MAX - 1, 0, 1)],
        );
    }
}
