//! Features and their finalized levels (KIP-584, KIP-778): what this release supports, and what was switched on.
//!
//! [`FEATURES`] declares each feature once: the levels it has here and the one a new data directory begins with.
//! The finalized levels are kept in the metadata store and grow an epoch with each change; ApiVersions answers
//! with both. A feature that a later release adds stays off in an older data directory until UpdateFeatures
//! switches it on, as in Kafka.
//!
//! Differs: Kafka's `metadata.version` names a format of its metadata log. There is no such log here, so its
//! level says which release clients may expect, and it cannot be lowered. Differs: `kraft.version` and
//! `eligible.leader.replicas.version` are not among the features, since they name the quorum of Kafka's controllers and
//! replicas that fell behind; there are neither here.

use std::collections::BTreeMap;

use metastore::resource::FeaturesResource;
use wire::ErrorCode;

use crate::topics::ApiError;

/// The feature that stands for the release.
const METADATA_VERSION: &str = "metadata.version";
/// The feature that stands for the group protocols.
pub(crate) const GROUP_VERSION: &str = "group.version";
/// The feature that stands for streams groups.
pub(crate) const STREAMS_VERSION: &str = "streams.version";

/// One feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Feature {
    /// Kafka's name of it.
    pub(crate) name: &'static str,
    /// The lowest level; 0 when it can be off.
    pub(crate) min_level: i16,
    /// The highest level.
    pub(crate) max_level: i16,
    /// The level of a new data directory.
    pub(crate) default_level: i16,
}

/// The feature that stands for share groups.
pub(crate) const SHARE_VERSION: &str = "share.version";

/// Every feature of this release, in the order of their names.
pub(crate) const FEATURES: &[Feature] = &[
    Feature {
        // Level 1 serves consumer groups (KIP-848).
        name: GROUP_VERSION,
        min_level: 0,
        max_level: 1,
        default_level: 1,
    },
    Feature {
        name: METADATA_VERSION,
        // Apache Kafka 3.3-IV3, the oldest level a 4.x broker supports.
        min_level: 7,
        // Apache Kafka 4.4-IV1.
        max_level: 32,
        default_level: 32,
    },
    Feature {
        // Level 1 serves share groups (KIP-932).
        name: SHARE_VERSION,
        min_level: 0,
        max_level: 1,
        default_level: 1,
    },
    Feature {
        // Level 1 serves streams groups (KIP-1071).
        name: STREAMS_VERSION,
        min_level: 0,
        max_level: 1,
        default_level: 1,
    },
    Feature {
        // 0 and 1 let clients use the classic protocol only, 2 that of KIP-890. The broker speaks both whatever
        // the level is: each request's version says which.
        name: "transaction.version",
        min_level: 0,
        max_level: 2,
        default_level: 2,
    },
];

/// The levels of a new data directory.
pub(crate) fn initial() -> FeaturesResource {
    FeaturesResource {
        epoch: 0,
        levels: FEATURES
            .iter()
            .filter(|feature| feature.default_level > 0)
            .map(|feature| (feature.name.to_owned(), feature.default_level))
            .collect(),
    }
}

/// Whether levels were ever finalized; a data directory of an early release has none.
pub(crate) fn are_finalized(features: &FeaturesResource) -> bool {
    features.levels.contains_key(METADATA_VERSION)
}

/// What a request wants of a feature's level (`FeatureUpdate.UpgradeType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UpgradeType {
    /// Raise it.
    Upgrade,
    /// Lower it, if nothing is lost by that.
    SafeDowngrade,
    /// Lower it whatever is lost.
    UnsafeDowngrade,
    /// A code that means nothing.
    Unknown,
}

impl UpgradeType {
    /// The meaning of a code on the wire.
    pub(crate) const fn from_code(code: i8) -> UpgradeType {
        match code {
            1 => UpgradeType::Upgrade,
            2 => UpgradeType::SafeDowngrade,
            3 => UpgradeType::UnsafeDowngrade,
            _ => UpgradeType::Unknown,
        }
    }
}

/// One feature's new level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FeatureUpdate {
    /// The feature.
    pub(crate) name: String,
    /// The level it is to have; 0 switches it off.
    pub(crate) level: i16,
    /// In which direction.
    pub(crate) upgrade_type: UpgradeType,
}

/// The levels after all updates of a request, or why the first that cannot be made makes none of them be made
/// (`FeatureControlManager.updateFeatures`). `node_id` names this broker in the texts.
///
/// # Errors
/// INVALID_UPDATE_VERSION in Kafka's words.
pub(crate) fn updated(
    current: &BTreeMap<String, i16>,
    updates: &[FeatureUpdate],
    node_id: i32,
) -> Result<BTreeMap<String, i16>, ApiError> {
    let mut levels = current.clone();
    for update in updates {
        let now = current.get(&update.name).copied().unwrap_or(0);
        if let Some(reason) = refusal(update, now, node_id) {
            let message = format!(
                "The update failed for all features since the following feature had an error: {reason}"
            );
            return Err(ApiError::new(ErrorCode::InvalidUpdateVersion, message));
        }
        if update.level == 0 {
            levels.remove(&update.name);
        } else {
            levels.insert(update.name.clone(), update.level);
        }
    }
    Ok(levels)
}

/// Why a feature cannot get this level.
fn refusal(update: &FeatureUpdate, now: i16, node_id: i32) -> Option<String> {
    let FeatureUpdate {
        name,
        level,
        upgrade_type,
    } = update;
    let invalid = |reason: &str| {
        Some(format!(
            "Invalid update version {level} for feature {name}. {reason}"
        ))
    };
    if *upgrade_type == UpgradeType::Unknown {
        return invalid("The controller does not support the given upgrade type.");
    }
    if *level < 0 {
        return invalid("A feature version cannot be less than 0.");
    }
    let supported = FEATURES.iter().find(|feature| feature.name == name);
    let (min, max) = supported.map_or((0, 0), |feature| (feature.min_level, feature.max_level));
    if !(min..=max).contains(level) {
        let what = match (min, max) {
            (_, 0) => "does not support this feature.".to_owned(),
            (min, max) if min == max => format!("only supports versions {min}"),
            (min, max) => format!("only supports versions {min}-{max}"),
        };
        return invalid(&format!("Local controller {node_id} {what}"));
    }
    if supported.is_none() {
        return invalid(&format!("Feature {name} not found."));
    }
    if *level < now && *upgrade_type == UpgradeType::Upgrade {
        return invalid(
            "Can't downgrade the version of this feature without setting the upgrade type to either \
             safe or unsafe downgrade.",
        );
    }
    if *level > now && *upgrade_type != UpgradeType::Upgrade {
        return invalid("Can't downgrade to a newer version.");
    }
    if name == METADATA_VERSION && *level < now {
        let reason = if *upgrade_type == UpgradeType::UnsafeDowngrade {
            "Unsafe metadata downgrade is not supported in this version."
        } else {
            "Refusing to perform the requested downgrade because it might delete metadata information."
        };
        return Some(format!("Invalid metadata.version {level}. {reason}"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(name: &str, level: i16, upgrade_type: UpgradeType) -> Vec<FeatureUpdate> {
        vec![FeatureUpdate {
            name: name.to_owned(),
            level,
            upgrade_type,
        }]
    }

    fn refused(name: &str, level: i16, upgrade_type: UpgradeType) -> String {
        let levels = initial().levels;
        let error = updated(&levels, &update(name, level, upgrade_type), 1).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidUpdateVersion);
        error.message
    }

    #[test]
    fn each_refusal_is_in_kafkas_words() {
        use UpgradeType::{SafeDowngrade, Unknown, UnsafeDowngrade, Upgrade};
        for (name, level, kind, expected) in [
            (
                "metadata.version",
                33,
                Upgrade,
                "Local controller 1 only supports versions 7-32",
            ),
            (
                "metadata.version",
                0,
                SafeDowngrade,
                "Local controller 1 only supports versions 7-32",
            ),
            (
                "metadata.version",
                -1,
                Upgrade,
                "A feature version cannot be less than 0.",
            ),
            (
                "metadata.version",
                32,
                Unknown,
                "does not support the given upgrade type.",
            ),
            (
                "metadata.version",
                30,
                Upgrade,
                "without setting the upgrade type",
            ),
            (
                "metadata.version",
                30,
                SafeDowngrade,
                "might delete metadata information.",
            ),
            (
                "metadata.version",
                30,
                UnsafeDowngrade,
                "Unsafe metadata downgrade",
            ),
            (
                "no.such.version",
                1,
                Upgrade,
                "Local controller 1 does not support this feature.",
            ),
            (
                "no.such.version",
                0,
                SafeDowngrade,
                "Feature no.such.version not found.",
            ),
        ] {
            let message = refused(name, level, kind);
            assert!(message.contains(expected), "{name}={level}: {message}");
            assert!(message.starts_with("The update failed for all features since"));
        }
    }

    #[test]
    fn transactions_can_be_held_at_the_classic_protocol() {
        let levels = initial().levels;
        assert_eq!(levels["transaction.version"], 2);
        let classic = update("transaction.version", 0, UpgradeType::SafeDowngrade);
        let lowered = updated(&levels, &classic, 1).unwrap();
        assert!(!lowered.contains_key("transaction.version"));
        let again = update("transaction.version", 2, UpgradeType::Upgrade);
        assert_eq!(updated(&lowered, &again, 1).unwrap(), levels);
    }

    #[test]
    fn the_same_level_is_no_change() {
        let levels = initial().levels;
        let same = update("metadata.version", 32, UpgradeType::Upgrade);
        assert_eq!(updated(&levels, &same, 1).unwrap(), levels);
        let mut older = levels.clone();
        older.insert("metadata.version".to_owned(), 30);
        assert_eq!(updated(&older, &same, 1).unwrap(), levels);
    }
}
