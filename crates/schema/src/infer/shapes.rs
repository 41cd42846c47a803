//! What a string or a name looks like: types that JSON writes as strings, and probable personal data.
//!
//! A shape is recognised by form and, where there is one, by check digit (Luhn, ISO 7064): a guess that a person
//! confirms, no proof. Nothing is looked up anywhere.

use std::net::IpAddr;

/// What a string may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Uuid,
    DateTime,
    Date,
    Email,
    Phone,
    PaymentCard,
    Iban,
    NationalId,
    IpAddress,
}

impl Shape {
    /// All shapes, in the order of their counters.
    pub(crate) const ALL: [Self; 9] = [
        Self::Uuid,
        Self::DateTime,
        Self::Date,
        Self::Email,
        Self::Phone,
        Self::PaymentCard,
        Self::Iban,
        Self::NationalId,
        Self::IpAddress,
    ];

    /// The tag of personal data of that shape, and what it is called.
    pub(crate) fn tag(self) -> Option<(&'static str, &'static str)> {
        Some(match self {
            Self::Uuid | Self::DateTime | Self::Date => return None,
            Self::Email => ("EMAIL", "e-mail addresses"),
            Self::Phone => ("PHONE", "telephone numbers"),
            Self::PaymentCard => ("PAYMENT_CARD", "numbers of payment cards"),
            Self::Iban => ("IBAN", "numbers of bank accounts"),
            Self::NationalId => ("NATIONAL_ID", "national identity numbers"),
            Self::IpAddress => ("IP_ADDRESS", "IP addresses"),
        })
    }

    /// Whether `text` has the shape.
    pub(crate) fn fits(self, text: &str) -> bool {
        match self {
            Self::Uuid => is_uuid(text),
            Self::DateTime => is_date_time(text),
            Self::Date => is_date(text),
            Self::Email => is_email(text),
            Self::Phone => is_phone(text),
            Self::PaymentCard => is_payment_card(text),
            Self::Iban => is_iban(text),
            Self::NationalId => is_national_id(text),
            Self::IpAddress => text.contains(['.', ':']) && text.parse::<IpAddr>().is_ok(),
        }
    }
}

/// Whether `text` follows `pattern`: `9` is a digit, `A` a letter, `*` either, anything else itself.
fn follows(text: &str, pattern: &str) -> bool {
    text.len() == pattern.len()
        && text
            .bytes()
            .zip(pattern.bytes())
            .all(|(byte, wanted)| match wanted {
                b'9' => byte.is_ascii_digit(),
                b'A' => byte.is_ascii_alphabetic(),
                b'*' => byte.is_ascii_alphanumeric(),
                _ => byte == wanted,
            })
}

fn digits(text: &str) -> Vec<u32> {
    text.chars().filter_map(|ch| ch.to_digit(10)).collect()
}

/// The number at a place of a text of digits; 0 where there is none.
fn number(text: &str, range: std::ops::Range<usize>) -> u32 {
    text.get(range)
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(0)
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

fn is_date(text: &str) -> bool {
    follows(text, "9999-99-99")
        && (1..=12).contains(&number(text, 5..7))
        && (1..=31).contains(&number(text, 8..10))
}

/// RFC 3339.
fn is_date_time(text: &str) -> bool {
    let (Some(date), Some(rest)) = (text.get(..10), text.get(10..)) else {
        return false;
    };
    let (Some(time), Some(rest)) = (rest.get(1..9), rest.get(9..)) else {
        return false;
    };
    let zone = match rest.strip_prefix('.') {
        Some(rest) => rest.trim_start_matches(|ch: char| ch.is_ascii_digit()),
        None => rest,
    };
    is_date(date)
        && matches!(text.as_bytes().get(10), Some(b'T' | b't' | b' '))
        && follows(time, "99:99:99")
        && number(time, 0..2) < 24
        && number(time, 3..5) < 60
        && number(time, 6..8) <= 60
        && (zone.eq_ignore_ascii_case("z") || follows(zone, "+99:99") || follows(zone, "-99:99"))
}

fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else {
        return false;
    };
    let is_local = !local.is_empty()
        && local.len() <= 64
        && !local.starts_with('.')
        && !local.ends_with('.')
        && local
            .chars()
            .all(|ch| ch.is_alphanumeric() || "!#$%&'*+/=?^_`{|}~.-".contains(ch));
    let labels: Vec<&str> = domain.split('.').collect();
    let is_label = |label: &&str| {
        !label.is_empty()
            && !label.starts_with('-')
            && label.chars().all(|ch| ch.is_alphanumeric() || ch == '-')
    };
    let is_top = |label: &&str| label.len() >= 2 && label.chars().all(char::is_alphabetic);
    is_local
        && text.len() <= 254
        && labels.len() >= 2
        && labels.iter().all(is_label)
        && labels.last().is_some_and(is_top)
}

/// Seven to fifteen digits with the signs that people put between them; bare digits are no telephone number.
fn is_phone(text: &str) -> bool {
    let count = digits(text).len();
    let is_written = text
        .chars()
        .all(|ch| ch.is_ascii_digit() || "+ -().".contains(ch));
    (7..=15).contains(&count)
        && is_written
        && (text.starts_with('+') || text.starts_with('(') || text.contains([' ', '-']))
        && !text.get(1..).is_some_and(|rest| rest.contains('+'))
        && !text.get(..10).is_some_and(|date| follows(date, "9999-99-99"))
        // The forms of identity numbers, whatever their check digits.
        && !["999-99-9999", "999.999.999-99", "756.9999.9999.99"]
            .iter()
            .any(|form| follows(text, form))
}

fn is_payment_card(text: &str) -> bool {
    let digits = digits(text);
    (13..=19).contains(&digits.len())
        && text
            .chars()
            .all(|ch| ch.is_ascii_digit() || ch == ' ' || ch == '-')
        && digits.first().is_some_and(|first| (2..=6).contains(first))
        && is_luhn(&digits)
}

fn is_luhn(digits: &[u32]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| match at % 2 {
            0 => *digit,
            _ if *digit > 4 => digit * 2 - 9,
            _ => digit * 2,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// ISO 13616: two letters, two check digits, an account; the number modulo 97 is 1 (ISO 7064).
fn is_iban(text: &str) -> bool {
    let text: String = text.chars().filter(|ch| *ch != ' ').collect();
    let (Some(head), Some(account)) = (text.get(..4), text.get(4..)) else {
        return false;
    };
    if !follows(head, "AA99")
        || !(11..=30).contains(&account.len())
        || !account.bytes().all(|byte| byte.is_ascii_alphanumeric())
    {
        return false;
    }
    let rest = account
        .chars()
        .chain(head.chars())
        .try_fold(0_u32, |rest, ch| {
            let value = ch.to_digit(36)?;
            Some((rest * if value < 10 { 10 } else { 100 } + value) % 97)
        });
    rest == Some(1)
}

/// Brazil, China, France, Italy, Spain, Switzerland, the United Kingdom, the United States.
fn is_national_id(text: &str) -> bool {
    let upper = text.to_ascii_uppercase();
    let digits = digits(text);
    if follows(text, "999-99-9999") {
        // Social Security number.
        let area = number(text, 0..3);
        return area != 0
            && area != 666
            && area < 900
            && number(text, 4..6) != 0
            && number(text, 7..11) != 0;
    }
    if follows(&upper, "AA999999A") {
        return upper.ends_with(['A', 'B', 'C', 'D']);
    }
    if follows(&upper, "99999999A") {
        let letters = b"TRWAGMYFPDXBNJZSQVHLCKE";
        let letter = letters.get((number(text, 0..8) % 23) as usize);
        return upper.as_bytes().last() == letter;
    }
    if follows(&upper, "AAAAAA99A99A999A") {
        return true;
    }
    if follows(text, "999.999.999-99") {
        return is_cpf(&digits);
    }
    if follows(text, "756.9999.9999.99") {
        let sum: u32 = digits
            .iter()
            .enumerate()
            .map(|(at, digit)| digit * if at % 2 == 0 { 1 } else { 3 })
            .sum();
        return sum.is_multiple_of(10);
    }
    if follows(text, "999999999999999") && text.starts_with(['1', '2']) {
        let body = text.get(..13).and_then(|body| body.parse::<u64>().ok());
        return body.is_some_and(|body| 97 - body % 97 == u64::from(number(text, 13..15)));
    }
    follows(&upper, "99999999999999999*") && is_china(&upper)
}

fn is_cpf(digits: &[u32]) -> bool {
    let check = |count: usize| {
        let weights = (2..).take(count);
        let body = digits.iter().take(count).rev();
        let sum: u32 = body
            .zip(weights)
            .map(|(digit, weight)| digit * weight)
            .sum();
        let rest = sum * 10 % 11;
        digits.get(count) == Some(&(rest % 10))
    };
    check(9) && check(10)
}

fn is_china(text: &str) -> bool {
    let weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let sum: u32 = digits(text)
        .iter()
        .zip(weights)
        .map(|(digit, weight)| digit * weight)
        .sum();
    let check = b"10X98765432".get((sum % 11) as usize);
    text.as_bytes().last() == check && (1..=12).contains(&number(text, 10..12))
}

/// The words of a name: `customerEmail_2` is customer, email, 2.
pub(crate) fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut was_lower = false;
    let mut is_new = true;
    for ch in name.chars() {
        if !ch.is_alphanumeric() {
            is_new = true;
            continue;
        }
        if is_new || (was_lower && ch.is_uppercase()) {
            words.push(String::new());
        }
        is_new = false;
        was_lower = ch.is_lowercase() || ch.is_numeric();
        if let Some(word) = words.last_mut() {
            word.extend(ch.to_lowercase());
        }
    }
    words
}

/// The tag of personal data that a field's name speaks of.
pub(crate) fn tag_of_name(name: &str) -> Option<&'static str> {
    let words = words(name);
    let has = |word: &str| words.iter().any(|known| known == word);
    let any = |list: &[&str]| list.iter().any(|word| has(word));
    let pair = |first: &[&str], second: &[&str]| any(first) && any(second);
    let whole = words.concat();
    let tag = if any(&["email", "mail", "emails"]) {
        "EMAIL"
    } else if any(&[
        "phone",
        "mobile",
        "telephone",
        "tel",
        "msisdn",
        "fax",
        "cellphone",
    ]) {
        "PHONE"
    } else if any(&["iban"]) || pair(&["account"], &["number", "no"]) {
        "IBAN"
    } else if any(&["pan", "creditcard", "cardnumber"]) || pair(&["card"], &["number", "no"]) {
        "PAYMENT_CARD"
    } else if any(&["ssn", "passport", "nino", "cpf"])
        || pair(&["national", "tax", "insurance"], &["id", "number", "no"])
        || (has("social") && has("security"))
    {
        "NATIONAL_ID"
    } else if has("ip") || whole == "ipaddress" {
        "IP_ADDRESS"
    } else if any(&["birthday", "birthdate", "dob", "birth"]) {
        "BIRTH_DATE"
    } else if any(&["surname", "firstname", "lastname", "fullname"])
        || pair(
            &[
                "first", "last", "full", "given", "family", "middle", "maiden",
            ],
            &["name"],
        )
    {
        "NAME"
    } else if any(&["street", "postcode", "zipcode", "zip"])
        || pair(
            &["postal", "home", "billing", "shipping", "mailing"],
            &["address", "code"],
        )
    {
        "ADDRESS"
    } else {
        return None;
    };
    Some(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fitting(text: &str) -> Vec<Shape> {
        Shape::ALL
            .into_iter()
            .filter(|shape| shape.fits(text))
            .collect()
    }

    #[test]
    fn strings_have_the_shapes_they_look_like() {
        for (text, shape) in [
            ("8d9ce1c2-8624-0d98-53ec-66d14051c703", Shape::Uuid),
            ("2026-11-27T01:02:03Z", Shape::DateTime),
            ("2026-11-27T01:02:03.123456+01:00", Shape::DateTime),
            ("2026-11-27", Shape::Date),
            ("a.b+c@example.co.uk", Shape::Email),
            ("+49 30 1234567", Shape::Phone),
            ("(555) 123-4567", Shape::Phone),
            ("4111 1111 1111 1111", Shape::PaymentCard),
            ("DE89 3704 0044 0532 0130 00", Shape::Iban),
            ("GB82WEST12345698765432", Shape::Iban),
            ("123-45-6789", Shape::NationalId),
            ("QQ123456C", Shape::NationalId),
            ("12345678Z", Shape::NationalId),
            ("RSSMRA85T10A562S", Shape::NationalId),
            ("111.444.777-35", Shape::NationalId),
            ("756.9217.0769.85", Shape::NationalId),
            ("11010519491231002X", Shape::NationalId),
            ("192.168.0.1", Shape::IpAddress),
            ("2001:db8::1", Shape::IpAddress),
        ] {
            assert_eq!(fitting(text), [shape], "{text}");
        }
        for text in [
            "",
            "hello",
            "a@b",
            "@example.com",
            "4111 1111 1111 1112",
            "DE00 3704 0044 0532 0130 00",
            "000-45-6789",
            "12345678A",
            "2026-13-01",
            "1234567",
            "1.2.3",
            "é",
            "2026-11-27T25:00:00Z",
            "111.444.777-36",
            "é́́́́́́́́́é",
        ] {
            assert_eq!(fitting(text), [], "{text}");
        }
    }

    #[test]
    fn names_speak_of_personal_data() {
        assert_eq!(words("customerEmail_2-x"), ["customer", "email", "2", "x"]);
        for (name, tag) in [
            ("email", Some("EMAIL")),
            ("customerEmail", Some("EMAIL")),
            ("mobile_phone", Some("PHONE")),
            ("cardNumber", Some("PAYMENT_CARD")),
            ("national_id", Some("NATIONAL_ID")),
            ("firstName", Some("NAME")),
            ("date_of_birth", Some("BIRTH_DATE")),
            ("clientIp", Some("IP_ADDRESS")),
            ("shipping_address", Some("ADDRESS")),
            ("ship", None),
            ("name", None),
            ("panel", None),
        ] {
            assert_eq!(tag_of_name(name), tag, "{name}");
        }
    }
}
