//! From the schema's CamelCase to Rust's names.

/// `PartitionMaxBytes` becomes `partition_max_bytes`, `ISRNodes` becomes `isr_nodes`.
pub(crate) fn snake_case(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut out = String::with_capacity(name.len() + 4);
    for (at, letter) in letters.iter().enumerate() {
        if letter.is_ascii_uppercase() && at > 0 {
            let after_lower = !letters[at - 1].is_ascii_uppercase();
            let before_lower = letters.get(at + 1).is_some_and(char::is_ascii_lowercase);
            if after_lower || before_lower {
                out.push('_');
            }
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

/// The name of a struct field, escaped where it is a Rust keyword.
pub(crate) fn field_name(name: &str) -> String {
    let snake = snake_case(name);
    match snake.as_str() {
        "type" | "match" | "where" | "move" | "ref" => format!("r#{snake}"),
        _ => snake,
    }
}

/// `ProduceRequest` becomes `Produce`.
pub(crate) fn api_name(message: &str) -> &str {
    message
        .strip_suffix("Request")
        .or_else(|| message.strip_suffix("Response"))
        .unwrap_or(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acronyms_stay_together() {
        assert_eq!(snake_case("ThrottleTimeMs"), "throttle_time_ms");
        assert_eq!(snake_case("SASLHandshake"), "sasl_handshake");
        assert_eq!(snake_case("IsrNodes"), "isr_nodes");
        assert_eq!(field_name("Type"), "r#type");
        assert_eq!(api_name("ApiVersionsRequest"), "ApiVersions");
    }
}
