//! `allOf`, `anyOf` and `oneOf` against each other (`CombinedSchemaDiff`).
//!
//! The subschemas of both sides are matched so that as many as possible find one that takes their data; the order
//! does not count, and equal subschemas are one.

use std::collections::HashSet;
use std::rc::Rc;

use super::{At, Comparison, Found, matching};
use crate::error::SchemaError;
use crate::json::change::ChangeKind;
use crate::json::model::{Criterion, SchemaId};

/// A combined schema.
#[derive(Clone, Copy)]
pub(super) struct Side<'a> {
    /// Of which model.
    pub(super) side: usize,
    /// How many have to hold.
    pub(super) criterion: Criterion,
    /// The subschemas.
    pub(super) ids: &'a [SchemaId],
}

impl Comparison<'_> {
    /// The changes from one combined schema to another.
    pub(super) fn combinations(
        &mut self,
        found: &mut Found,
        original: Side<'_>,
        update: Side<'_>,
    ) -> Result<(), SchemaError> {
        if let Some(kind) = criterion_change(original, update) {
            self.add(found, "", kind);
            if kind == ChangeKind::CombinedTypeChanged {
                return Ok(());
            }
        }
        let (old, new) = (self.distinct(original), self.distinct(update));
        let is_product = update.criterion == Criterion::All;
        match (old.len().cmp(&new.len()), is_product) {
            (std::cmp::Ordering::Less, true) => {
                self.add(found, "", ChangeKind::ProductTypeExtended)
            }
            (std::cmp::Ordering::Less, false) => self.add(found, "", ChangeKind::SumTypeExtended),
            (std::cmp::Ordering::Greater, true) => {
                self.add(found, "", ChangeKind::ProductTypeNarrowed)
            }
            (std::cmp::Ordering::Greater, false) => {
                self.add(found, "", ChangeKind::SumTypeNarrowed)
            }
            (std::cmp::Ordering::Equal, _) => {}
        }
        let mut edges = Vec::with_capacity(old.len());
        let mut results = Vec::with_capacity(old.len());
        for &old in &old {
            let mut rights = Vec::new();
            let mut changes_of = Vec::new();
            for (index, &new) in new.iter().enumerate() {
                let changes = self.pair(found, old, new)?;
                if self.is_compatible(&changes) {
                    rights.push(index);
                    changes_of.push((index, Rc::clone(&changes)));
                }
            }
            edges.push(rights);
            results.push(changes_of);
        }
        let matched = matching::maximum(&edges, new.len(), |count| self.step(count))?;
        let mut count = 0;
        for (index, (right, results)) in matched.iter().zip(&results).enumerate() {
            let Some(right) = right else { continue };
            count += 1;
            if let Some((_, changes)) = results.iter().find(|(other, _)| other == right) {
                let path = format!("{}/{index}", original.criterion.keyword());
                self.take(found, &path, changes)?;
            }
        }
        if count < old.len().min(new.len()) {
            self.add(found, "", ChangeKind::CombinedTypeSubschemasChanged);
        }
        Ok(())
    }

    /// The subschemas without those whose text is that of an earlier one.
    fn distinct(&self, side: Side<'_>) -> Vec<At> {
        let mut seen = HashSet::new();
        side.ids
            .iter()
            .map(|&id| At {
                side: side.side,
                id,
            })
            .filter(|&at| {
                let fingerprint = self.schema(at).fingerprint;
                fingerprint == 0 || seen.insert(fingerprint)
            })
            .collect()
    }
}

fn criterion_change(original: Side<'_>, update: Side<'_>) -> Option<ChangeKind> {
    let is_single = |side: Side<'_>| side.ids.len() == 1;
    let is_extended = match update.criterion {
        same if same == original.criterion => return None,
        Criterion::Any => true,
        Criterion::One => is_single(original),
        Criterion::All => is_single(original) && is_single(update),
    };
    Some(if is_extended {
        ChangeKind::CombinedTypeExtended
    } else {
        ChangeKind::CombinedTypeChanged
    })
}
