//! Ten thousand partitions on one node: creating them, their memory, and starting with them.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use testkit::calls;
use testkit::wait::retry;
use wire::messages::MetadataRequest;
use wire::messages::create_topics_request::CreatableTopic;

use crate::contender::{Contender, Hall, Running};
use crate::report::{Measurement, Sample, Target};

const PARTITIONS_PER_TOPIC: i32 = 100;
/// Apache Kafka's controller takes at most 10,000 changes in one request.
const TOPICS_PER_REQUEST: usize = 10;

/// Of [`run`].
pub(crate) const MEASUREMENTS: &[Measurement] = &[
    Measurement {
        id: "create",
        what: "10,000 partitions (100 topics, 10 a request): create, until Metadata names every leader",
        unit: "s",
        targets: &[(Contender::Affluent, Target::AtMost(10.0))],
    },
    Measurement {
        id: "rss",
        what: "— memory",
        unit: "MB",
        targets: &[(Contender::Affluent, Target::AtMost(500.0))],
    },
    Measurement {
        id: "restart",
        what: "— restart after kill -9, until Metadata names every leader",
        unit: "s",
        targets: &[(Contender::Affluent, Target::AtMost(5.0))],
    },
];

/// One round.
pub(crate) fn run(hall: &Hall, contender: Contender) -> Result<Vec<Sample>> {
    let topics: usize = hall.size(100, 10);
    let expected = topics * usize::try_from(PARTITIONS_PER_TOPIC)?;
    let mut broker = hall.start(contender, &[])?;
    let begin = Instant::now();
    let mut connection = broker.connect()?;
    connection.set_limit(Duration::from_secs(300))?;
    let names: Vec<String> = (0..topics).map(|index| format!("many-{index}")).collect();
    for names in names.chunks(TOPICS_PER_REQUEST) {
        let topics = names.iter().map(|name| CreatableTopic {
            name: name.clone(),
            num_partitions: PARTITIONS_PER_TOPIC,
            replication_factor: 1,
            ..Default::default()
        });
        calls::create_topics(&mut connection, topics.collect())?;
    }
    wait_for_leaders(&broker, expected)?;
    let create = begin.elapsed();
    let usage = broker.usage()?;
    let mut samples = vec![
        Sample::new("create", create.as_secs_f64()),
        Sample::new("rss", usage.rss_bytes as f64 / 1e6),
    ];
    let begin = Instant::now();
    match broker
        .kill_and_restart()
        .and_then(|()| wait_for_leaders(&broker, expected))
    {
        Ok(()) => samples.push(Sample::new("restart", begin.elapsed().as_secs_f64())),
        // It reads every log back after an unclean stop, and may not be done when its time is up.
        Err(error) if contender == Contender::Kafka => {
            eprintln!("    no value for kafka's restart: {error:#}");
        }
        Err(error) => return Err(error),
    }
    Ok(samples)
}

fn wait_for_leaders(broker: &Running, expected: usize) -> Result<()> {
    let mut connection = broker.connect()?;
    connection.set_limit(Duration::from_secs(60))?;
    let request = MetadataRequest {
        topics: None,
        ..Default::default()
    };
    retry(
        "a leader of every partition",
        Duration::from_secs(300),
        || {
            let answer = connection.call(12, &request)?;
            let led = answer
                .topics
                .iter()
                .filter(|topic| !topic.is_internal)
                .flat_map(|topic| &topic.partitions)
                .filter(|partition| partition.error_code == 0 && partition.leader_id >= 0)
                .count();
            ensure!(
                led == expected,
                "{led} of {expected} partitions have a leader"
            );
            Ok(())
        },
    )
}
