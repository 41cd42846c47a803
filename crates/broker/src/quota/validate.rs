//! What AlterClientQuotas may ask for. Order of the checks and texts are those of Kafka's
//! `ClientQuotaControlManager`.
//!
//! Differs: an address is an address, not a host name, whose meaning could change behind the quota's back; and
//! an amount that is no finite number is refused, where Kafka would take a limit that no rate can be compared
//! with.

use std::net::IpAddr;

use metastore::QuotaChange;
use metastore::quota::{QuotaEntity, QuotaName};
use wire::ErrorCode;

use super::limits::{CONNECTION_RATE, QuotaKind};
use crate::topics::ApiError;

/// How far an amount of a whole-number limit may be from a whole number.
const EPSILON: f64 = 1e-6;

/// The largest amount of a limit in bytes: 2^63, as near as a float comes to Java's `Long.MAX_VALUE`.
const LONG_MAX: f64 = 9_223_372_036_854_775_808.0;

/// A part of an entity as a request names it: type, and name or none for the default.
pub(crate) type EntityPart = (String, Option<String>);

/// One change of a request: key, and amount or none to remove.
pub(crate) type QuotaOp = (String, Option<f64>);

fn invalid(message: String) -> ApiError {
    ApiError::new(ErrorCode::InvalidRequest, message)
}

/// The entity a request names.
///
/// # Errors
/// INVALID_REQUEST for one that there cannot be.
pub(crate) fn entity_of(parts: &[EntityPart]) -> Result<QuotaEntity, ApiError> {
    const EMPTY: &str = "Invalid empty client quota entity";
    if parts.is_empty() {
        return Err(invalid(EMPTY.to_owned()));
    }
    let mut entity = QuotaEntity::default();
    for (kind, name) in parts {
        let Some(place) = entity.part_mut(kind) else {
            return Err(invalid(format!(
                "Unhandled client quota entity type: {kind}"
            )));
        };
        if place.is_some() {
            return Err(invalid(format!("{EMPTY}, duplicate entity entry {kind}")));
        }
        if name.as_deref() == Some("") {
            return Err(invalid(format!("Empty {kind} not supported")));
        }
        *place = Some(QuotaName::from(name.clone()));
    }
    match &entity.ip {
        None => {}
        Some(_) if entity.user.is_some() || entity.client_id.is_some() => {
            let message = "Invalid quota entity combination, IP entity shouldnot be combined with User or ClientId";
            return Err(invalid(message.to_owned()));
        }
        Some(QuotaName::Named(ip)) if ip.parse::<IpAddr>().is_err() => {
            return Err(invalid(format!(
                "{ip} is not a valid IP or resolvable host."
            )));
        }
        Some(_) => {}
    }
    Ok(entity)
}

/// The changes a request wants for an entity.
///
/// # Errors
/// INVALID_REQUEST for a key twice, a key the entity has not, or an amount the key cannot have.
pub(crate) fn validated_change(
    entity: &QuotaEntity,
    ops: &[QuotaOp],
) -> Result<QuotaChange, ApiError> {
    let mut change = QuotaChange::new();
    for (key, amount) in ops {
        if change.insert(key.clone(), *amount).is_some() {
            return Err(invalid(format!(
                "Duplicate quota key {key} not updating quota for this entity {}",
                shown(entity)
            )));
        }
    }
    for (key, amount) in &change {
        if let Some(amount) = amount {
            check_amount(entity, key, *amount)?;
        }
    }
    Ok(change)
}

fn check_amount(entity: &QuotaEntity, key: &str, amount: f64) -> Result<(), ApiError> {
    let is_known = if entity.ip.is_some() {
        key == CONNECTION_RATE
    } else {
        QuotaKind::ALL.into_iter().any(|kind| kind.key() == key)
    };
    if !is_known {
        return Err(invalid(format!("Invalid configuration key {key}")));
    }
    if !amount.is_finite() {
        return Err(invalid(format!(
            "Configuration {key} must be a finite number"
        )));
    }
    let is_fraction = [QuotaKind::Request, QuotaKind::ControllerMutation]
        .into_iter()
        .any(|kind| kind.key() == key);
    if amount <= 0.0 {
        return Err(invalid(format!("Quota {key} must be greater than 0")));
    }
    if is_fraction {
        return Ok(());
    }
    let (most, kind) = if key == CONNECTION_RATE {
        (f64::from(i32::MAX), "an INT")
    } else {
        (LONG_MAX, "a LONG")
    };
    if amount > most {
        return Err(invalid(format!(
            "Proposed value for {key} is too large for {kind}."
        )));
    }
    if (amount % 1.0).abs() > EPSILON {
        return Err(invalid(format!("{key} cannot be a fractional value.")));
    }
    Ok(())
}

/// The entity as Kafka's messages show it.
fn shown(entity: &QuotaEntity) -> String {
    let parts: Vec<String> = entity
        .parts()
        .map(|(kind, name)| format!("{kind}={}", name.as_option().unwrap_or("null")))
        .collect();
    format!("ClientQuotaEntity(entries={{{}}})", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(named: &[(&str, Option<&str>)]) -> Vec<EntityPart> {
        named
            .iter()
            .map(|(kind, name)| ((*kind).to_owned(), name.map(str::to_owned)))
            .collect()
    }

    fn refusal(named: &[(&str, Option<&str>)]) -> String {
        entity_of(&parts(named)).unwrap_err().message
    }

    #[test]
    fn entities_there_cannot_be_are_refused_in_kafkas_words() {
        assert_eq!(refusal(&[]), "Invalid empty client quota entity");
        assert_eq!(
            refusal(&[("group", Some("g"))]),
            "Unhandled client quota entity type: group"
        );
        assert_eq!(refusal(&[("user", Some(""))]), "Empty user not supported");
        assert_eq!(
            refusal(&[("ip", Some("1.2.3.4")), ("user", None)]),
            "Invalid quota entity combination, IP entity shouldnot be combined with User or ClientId"
        );
        assert_eq!(
            refusal(&[("ip", Some("nowhere"))]),
            "nowhere is not a valid IP or resolvable host."
        );
        let both = parts(&[("client-id", None), ("user", Some("u"))]);
        let entity = entity_of(&both).unwrap();
        assert_eq!(entity.client_id, Some(QuotaName::Default));
        assert_eq!(entity.user, Some(QuotaName::Named("u".to_owned())));
    }

    #[test]
    fn keys_and_amounts_are_checked_by_the_kind_of_entity() {
        let user = entity_of(&parts(&[("user", None)])).unwrap();
        let ip = entity_of(&parts(&[("ip", None)])).unwrap();
        let change = |entity: &QuotaEntity, key: &str, amount: f64| {
            let ops = [(key.to_owned(), Some(amount))];
            validated_change(entity, &ops).map_err(|error| error.message)
        };
        assert!(change(&user, "producer_byte_rate", 1e6).is_ok());
        assert!(change(&user, "request_percentage", 12.5).is_ok());
        assert!(change(&ip, CONNECTION_RATE, 5.0).is_ok());
        for (entity, key, amount, expected) in [
            (&ip, "producer_byte_rate", 1.0, "Invalid configuration key"),
            (&user, CONNECTION_RATE, 1.0, "Invalid configuration key"),
            (
                &user,
                "producer_byte_rate",
                1.5,
                "cannot be a fractional value",
            ),
            (&user, "consumer_byte_rate", -1.5, "must be greater than 0"),
            (&user, "request_percentage", 0.0, "must be greater than 0"),
            (&user, "consumer_byte_rate", 1e19, "too large for a LONG"),
            (&ip, CONNECTION_RATE, 3e9, "too large for an INT"),
            (&user, "request_percentage", f64::NAN, "finite"),
        ] {
            let error = change(entity, key, amount).unwrap_err();
            assert!(error.contains(expected), "{key}={amount}: {error}");
        }
        let twice = [("a".to_owned(), None), ("a".to_owned(), None)];
        let error = validated_change(&user, &twice).unwrap_err().message;
        assert_eq!(
            error,
            "Duplicate quota key a not updating quota for this entity \
             ClientQuotaEntity(entries={user=null})"
        );
        // A key that is to be removed need not exist.
        let removed = [("nonsense".to_owned(), None)];
        assert!(validated_change(&user, &removed).is_ok());
    }
}
