//! Strings, numbers and enumerations (`StringSchemaDiff`, `NumberSchemaDiff`, `EnumSchemaDiff`).

use super::{Comparison, Found};
use crate::error::SchemaError;
use crate::json::change::ChangeKind;
use crate::json::model::{NumberRules, StringRules};
use crate::json::node::Node;

/// The names of the four ways in which a limit can change.
pub(super) struct LimitNames {
    pub(super) added: ChangeKind,
    pub(super) removed: ChangeKind,
    pub(super) increased: ChangeKind,
    pub(super) decreased: ChangeKind,
}

/// The names of the changes of a limit, from the middle of their variants' names.
macro_rules! limit {
    ($added:ident $removed:ident $increased:ident $decreased:ident) => {
        $crate::json::diff::scalar::LimitNames {
            added: ChangeKind::$added,
            removed: ChangeKind::$removed,
            increased: ChangeKind::$increased,
            decreased: ChangeKind::$decreased,
        }
    };
}
pub(super) use limit;

impl Comparison<'_> {
    /// The change of a limit at the keyword `path`.
    pub(super) fn limit<T: PartialOrd>(
        &self,
        found: &mut Found,
        path: &str,
        (old, new): (Option<T>, Option<T>),
        names: &LimitNames,
    ) {
        let kind = match (old, new) {
            (None, Some(_)) => names.added,
            (Some(_), None) => names.removed,
            (Some(old), Some(new)) if old < new => names.increased,
            (Some(old), Some(new)) if old > new => names.decreased,
            _ => return,
        };
        self.add(found, path, kind);
    }

    /// The changes from one string schema to another.
    pub(super) fn strings(&self, found: &mut Found, old: &StringRules, new: &StringRules) {
        self.limit(
            found,
            "maxLength",
            (old.max_length, new.max_length),
            &limit!(MaxLengthAdded MaxLengthRemoved MaxLengthIncreased MaxLengthDecreased),
        );
        self.limit(
            found,
            "minLength",
            (old.min_length, new.min_length),
            &limit!(MinLengthAdded MinLengthRemoved MinLengthIncreased MinLengthDecreased),
        );
        let kind = match (&old.pattern, &new.pattern) {
            (None, Some(_)) => ChangeKind::PatternAdded,
            (Some(_), None) => ChangeKind::PatternRemoved,
            (Some(old), Some(new)) if old != new => ChangeKind::PatternChanged,
            _ => return,
        };
        self.add(found, "pattern", kind);
    }

    /// The changes from one number schema to another.
    pub(super) fn numbers(&self, found: &mut Found, old: &NumberRules, new: &NumberRules) {
        self.limit(
            found,
            "maximum",
            (old.maximum, new.maximum),
            &limit!(MaximumAdded MaximumRemoved MaximumIncreased MaximumDecreased),
        );
        self.limit(
            found,
            "minimum",
            (old.minimum, new.minimum),
            &limit!(MinimumAdded MinimumRemoved MinimumIncreased MinimumDecreased),
        );
        self.limit(
            found,
            "exclusiveMaximum",
            (old.exclusive_maximum, new.exclusive_maximum),
            &limit!(ExclusiveMaximumAdded ExclusiveMaximumRemoved ExclusiveMaximumIncreased ExclusiveMaximumDecreased),
        );
        self.limit(
            found,
            "exclusiveMinimum",
            (old.exclusive_minimum, new.exclusive_minimum),
            &limit!(ExclusiveMinimumAdded ExclusiveMinimumRemoved ExclusiveMinimumIncreased ExclusiveMinimumDecreased),
        );
        if let Some(kind) = multiple_change(old.multiple_of, new.multiple_of) {
            self.add(found, "multipleOf", kind);
        }
        match (old.is_integer, new.is_integer) {
            (true, false) => self.add(found, "", ChangeKind::TypeExtended),
            (false, true) => self.add(found, "", ChangeKind::TypeNarrowed),
            _ => {}
        }
    }

    /// The change from one enumeration to another.
    pub(super) fn enums(
        &mut self,
        found: &mut Found,
        old: &[Node],
        new: &[Node],
    ) -> Result<(), SchemaError> {
        self.step((old.len() + new.len()) / 8)?;
        let hashes = |values: &[Node]| {
            values
                .iter()
                .map(Node::fingerprint)
                .collect::<std::collections::HashSet<_>>()
        };
        let (old, new) = (hashes(old), hashes(new));
        let kind = match (new.is_superset(&old), old.is_superset(&new)) {
            (true, true) => return Ok(()),
            (true, false) => ChangeKind::EnumArrayExtended,
            (false, true) => ChangeKind::EnumArrayNarrowed,
            (false, false) => ChangeKind::EnumArrayChanged,
        };
        self.add(found, "enum", kind);
        Ok(())
    }
}

/// Differs: Confluent's registry compares the integer parts, which makes 0.1 and 0.01 a division by zero; here the
/// ratio counts, as far as a double can tell it.
fn multiple_change(old: Option<f64>, new: Option<f64>) -> Option<ChangeKind> {
    let is_multiple = |of: f64, one: f64| {
        let ratio = of / one;
        (ratio - ratio.round()).abs() < 1e-9 * ratio.abs().max(1.0)
    };
    match (old, new) {
        (None, Some(_)) => Some(ChangeKind::MultipleOfAdded),
        (Some(_), None) => Some(ChangeKind::MultipleOfRemoved),
        (Some(old), Some(new)) if old.total_cmp(&new).is_eq() => None,
        (Some(old), Some(new)) if is_multiple(new, old) => Some(ChangeKind::MultipleOfExpanded),
        (Some(old), Some(new)) if is_multiple(old, new) => Some(ChangeKind::MultipleOfReduced),
        (Some(_), Some(_)) => Some(ChangeKind::MultipleOfChanged),
        (None, None) => None,
    }
}
