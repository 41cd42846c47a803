//! What an idle connection costs in memory.

use anyhow::Result;
use testkit::Connection;
use wire::messages::ApiVersionsRequest;

use crate::contender::{Contender, Hall};
use crate::report::{Measurement, Sample, Target};

/// Of [`run`].
pub(crate) const MEASUREMENTS: &[Measurement] = &[
    Measurement {
        id: "rss",
        what: "2,000 idle connections: memory added",
        unit: "MB",
        targets: &[(Contender::Affluent, Target::AtMost(40.0))],
    },
    Measurement {
        id: "each",
        what: "— for each connection",
        unit: "kB",
        targets: &[],
    },
];

/// Opens the connections, has each negotiate its versions as a client does, and leaves them open.
pub(crate) fn run(hall: &Hall, contender: Contender) -> Result<Vec<Sample>> {
    let count: u32 = hall.size(2_000, 200);
    let broker = hall.start(contender, &[])?;
    let before = broker.usage()?.rss_bytes;
    let request = ApiVersionsRequest {
        client_software_name: "bench".to_owned(),
        client_software_version: "1".to_owned(),
        ..Default::default()
    };
    let mut connections: Vec<Connection> = Vec::new();
    for _ in 0..count {
        let mut connection = broker.connect()?;
        connection.call(3, &request)?;
        connections.push(connection);
    }
    let added = broker.usage()?.rss_bytes.saturating_sub(before);
    drop(connections);
    Ok(vec![
        Sample::new("rss", added as f64 / 1e6),
        Sample::new("each", added as f64 / 1e3 / f64::from(count)),
    ])
}
