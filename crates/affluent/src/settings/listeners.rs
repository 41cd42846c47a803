//! `--listener host:port`: Kafka's `listeners`, without its ceremony.

use cli::{Failure, Outcome};

const PROTOCOLS: &str =
    "PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL";

/// The settings that `--listener` flags stand for; none without a flag.
///
/// The first nameless listener is `PLAINTEXT`, further ones `PLAINTEXT_2` and so on, since names must differ.
pub(super) fn properties_of(flags: &[String]) -> Outcome<Vec<(&'static str, String)>> {
    if flags.is_empty() {
        return Ok(Vec::new());
    }
    let mut listeners = Vec::new();
    let mut protocols = PROTOCOLS.to_owned();
    for flag in flags {
        check(flag)?;
        if flag.contains("://") {
            listeners.push(flag.clone());
            continue;
        }
        let name = match listeners.len() {
            0 => "PLAINTEXT".to_owned(),
            others => format!("PLAINTEXT_{}", others + 1),
        };
        listeners.push(format!("{name}://{flag}"));
        if name != "PLAINTEXT" {
            protocols.push_str(&format!(",{name}:PLAINTEXT"));
        }
    }
    let mut properties = vec![("listeners", listeners.join(","))];
    if protocols != PROTOCOLS {
        properties.push(("listener.security.protocol.map", protocols));
    }
    Ok(properties)
}

fn check(flag: &str) -> Outcome {
    let address = flag.split_once("://").map_or(flag, |(_, address)| address);
    let port = address.rsplit_once(':').map(|(_, port)| port);
    if !flag.contains(',') && port.is_some_and(|port| port.parse::<u16>().is_ok()) {
        return Ok(());
    }
    Err(Failure::new(format!(
        "--listener '{flag}' is not usable: expected [NAME://]host:port"
    ))
    .remedy("--listener 127.0.0.1:9092, or port 0 for a free one"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(flags: &[&str]) -> Vec<(&'static str, String)> {
        let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        properties_of(&flags).unwrap()
    }

    #[test]
    fn one_listener_needs_no_name() {
        assert!(properties(&[]).is_empty());
        let expected = vec![("listeners", "PLAINTEXT://127.0.0.1:9092".to_owned())];
        assert_eq!(properties(&["127.0.0.1:9092"]), expected);
        assert_eq!(properties(&["PLAINTEXT://127.0.0.1:9092"]), expected);
    }

    #[test]
    fn further_listeners_get_names_of_their_own() {
        let expected = vec![
            (
                "listeners",
                "PLAINTEXT://127.0.0.1:1,PLAINTEXT_2://[::1]:2".to_owned(),
            ),
            (
                "listener.security.protocol.map",
                format!("{PROTOCOLS},PLAINTEXT_2:PLAINTEXT"),
            ),
        ];
        assert_eq!(properties(&["127.0.0.1:1", "[::1]:2"]), expected);
    }

    #[test]
    fn what_is_no_address_is_named() {
        for bad in [
            "9092",
            "localhost",
            "localhost:",
            "localhost:99999",
            "a:1,b:2",
        ] {
            let error = properties_of(&[bad.to_owned()]).unwrap_err().to_string();
            assert!(error.contains(&format!("'{bad}'")), "{error}");
        }
    }
}
