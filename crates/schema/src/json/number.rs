//! JSON numbers as Java's `BigInteger` and `BigDecimal` hold and print them, without their arithmetic.
//!
//! Confluent's registry reads a schema with `USE_BIG_DECIMAL_FOR_FLOATS` and exact decimals and prints with
//! `BigDecimal.toString`: `1.50` stays `1.50`, `1e3` becomes `1E+3`, `-0` becomes `0`.

/// Digits of a number beyond which Jackson refuses it (`StreamReadConstraints.maxNumberLength`).
pub(super) const NUMBER_BYTES_MAX: usize = 1_000;

/// A number as sign, digits without leading zeros, and how many of them are behind the point.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Decimal {
    is_negative: bool,
    digits: String,
    scale: i64,
}

impl Decimal {
    /// Of the text of a JSON number.
    fn of(text: &str) -> Self {
        let (is_negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match text.find(['e', 'E']) {
            Some(at) => (
                text.get(..at).unwrap_or(text),
                text.get(at + 1..).unwrap_or_default(),
            ),
            None => (text, "0"),
        };
        // An exponent of more than 18 digits is beyond Java's scale in any case; the reader refuses it.
        let exponent: i64 = exponent
            .trim_start_matches('+')
            .parse()
            .unwrap_or(i64::MAX / 4);
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        let digits = digits.trim_start_matches('0');
        let fraction = i64::try_from(fraction.len()).unwrap_or(i64::MAX / 4);
        Self {
            is_negative: is_negative && !digits.is_empty(),
            digits: if digits.is_empty() { "0" } else { digits }.to_owned(),
            scale: fraction.saturating_sub(exponent),
        }
    }

    /// `BigDecimal.toString`.
    fn print(&self) -> String {
        let count = i64::try_from(self.digits.len()).unwrap_or(i64::MAX / 4);
        let adjusted = (count - 1).saturating_sub(self.scale);
        let mut out = String::with_capacity(self.digits.len() + 8);
        if self.is_negative {
            out.push('-');
        }
        if self.scale == 0 {
            out.push_str(&self.digits);
        } else if self.scale > 0 && adjusted >= -6 {
            let before = count - self.scale;
            if before > 0 {
                let (whole, fraction) = self.digits.split_at(usize::try_from(before).unwrap_or(0));
                out.push_str(whole);
                out.push('.');
                out.push_str(fraction);
            } else {
                out.push_str("0.");
                for _ in before..0 {
                    out.push('0');
                }
                out.push_str(&self.digits);
            }
        } else {
            let (first, rest) = self.digits.split_at(1);
            out.push_str(first);
            if !rest.is_empty() {
                out.push('.');
                out.push_str(rest);
            }
            if adjusted != 0 {
                out.push_str(&format!("E{adjusted:+}"));
            }
        }
        out
    }
}

/// The text of a JSON number as Java prints it back; none if Java's number types cannot hold it.
pub(super) fn canonical(text: &str) -> Option<String> {
    let decimal = Decimal::of(text);
    if text.contains(['.', 'e', 'E']) {
        i32::try_from(decimal.scale).ok()?;
    }
    Some(decimal.print())
}

/// What the number is, whatever way it is written: equal numbers have equal texts.
pub(super) fn plain_value(text: &str) -> String {
    let mut decimal = Decimal::of(text);
    let trimmed = decimal.digits.trim_end_matches('0');
    if trimmed.is_empty() {
        return "0".to_owned();
    }
    let dropped = i64::try_from(decimal.digits.len() - trimmed.len()).unwrap_or(0);
    decimal.scale = decimal.scale.saturating_sub(dropped);
    format!(
        "{}{trimmed}e{}",
        if decimal.is_negative { "-" } else { "" },
        decimal.scale.saturating_neg()
    )
}

/// The nearest double, as Java's `doubleValue`.
pub(super) fn to_f64(text: &str) -> f64 {
    text.parse().unwrap_or(f64::NAN)
}

/// The integer, if the number is one that fits: `3` and `3.0`, not `3.5`.
pub(super) fn to_i64(text: &str) -> Option<i64> {
    if let Ok(value) = text.parse() {
        return Some(value);
    }
    let value = to_f64(text);
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the range is checked just before"
    )]
    (value.fract() == 0.0 && value.abs() < 9e15).then_some(value as i64)
}

/// For `serde_json`: 64 bits where they suffice, else a double.
pub(super) fn to_serde(text: &str) -> serde_json::Value {
    if let Ok(value) = text.parse::<i64>() {
        return value.into();
    }
    if let Ok(value) = text.parse::<u64>() {
        return value.into();
    }
    let value = to_f64(text);
    let value = if value.is_finite() {
        value
    } else {
        f64::MAX.copysign(value)
    };
    value.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_printed_as_java_prints_them() {
        for (text, printed) in [
            ("0", "0"),
            ("-0", "0"),
            ("-0.0", "0.0"),
            ("1", "1"),
            ("1.0", "1.0"),
            ("1.50", "1.50"),
            ("-12.25", "-12.25"),
            ("1e3", "1E+3"),
            ("1E+3", "1E+3"),
            ("1.5e3", "1.5E+3"),
            ("12e1", "1.2E+2"),
            ("1e0", "1"),
            ("0.000001", "0.000001"),
            ("0.0000001", "1E-7"),
            ("0.00000012", "1.2E-7"),
            ("1e-3", "0.001"),
            ("0e5", "0E+5"),
            ("0.00", "0.00"),
            (
                "123456789012345678901234567890",
                "123456789012345678901234567890",
            ),
            ("1e400", "1E+400"),
        ] {
            assert_eq!(canonical(text).as_deref(), Some(printed), "{text}");
        }
        assert_eq!(canonical("1e99999999999"), None);
    }

    #[test]
    fn equal_numbers_have_one_value() {
        for (left, right) in [
            ("1", "1.0"),
            ("100", "1e2"),
            ("0", "-0.0"),
            ("0.10", "1e-1"),
        ] {
            assert_eq!(plain_value(left), plain_value(right));
        }
        assert_ne!(plain_value("1"), plain_value("-1"));
        assert_ne!(plain_value("10"), plain_value("1"));
    }

    #[test]
    fn an_integer_may_be_written_as_a_decimal() {
        assert_eq!(to_i64("3.0"), Some(3));
        assert_eq!(to_i64("3E+0"), Some(3));
        assert_eq!(to_i64("3.5"), None);
        assert_eq!(to_i64("1E+400"), None);
    }
}
