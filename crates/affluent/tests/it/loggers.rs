//! Levels of loggers, changed while the broker runs.

use std::time::Duration;

use testkit::Connection;
use testkit::calls::set_config;
use testkit::wait::wait_for;

use crate::server::Server;

/// `BROKER_LOGGER`, as `ConfigResource.Type` numbers it.
const BROKER_LOGGER: i8 = 8;

#[test]
fn a_logger_says_more_when_told_to_and_less_again() {
    let server = Server::start();
    let port = server.bootstrap().rsplit(':').next().unwrap();
    let port: u16 = port.parse().unwrap();
    let node = server.ready()["node_id"].as_str().unwrap().to_owned();
    let mut admin = Connection::open(port).unwrap();
    let mut set = |logger: &str, level: &str| {
        let resource = (BROKER_LOGGER, node.as_str());
        let (code, message) = set_config(&mut admin, resource, (logger, level)).unwrap();
        assert_eq!(code.code(), 0, "{message}");
    };
    let closed = |server: &Server| server.log().matches("connection closed").count();
    // The broker tells of a connection that ends in DEBUG, which is not asked for at first.
    set("broker::connection", "DEBUG");
    drop(Connection::open(port).unwrap());
    wait_for("a line in DEBUG", Duration::from_secs(30), || {
        Ok((closed(&server) > 0).then_some(()))
    })
    .unwrap();
    set("root", "FATAL");
    set("broker::connection", "WARN");
    let before = server.log().len();
    drop(Connection::open(port).unwrap());
    set("broker::connection", "ERROR");
    assert_eq!(server.log().len(), before, "{}", server.log());
}

#[test]
fn client_metrics_are_part_of_the_metrics() {
    let server = Server::start();
    let (_, body) = server.get("/metrics");
    for expected in [
        "# TYPE affluent_client_metrics_pushes_total counter\n",
        "affluent_client_metrics_dropped_total 0\n",
        "affluent_throttled_requests_total{quota=\"produce\"} 0\n",
    ] {
        assert!(body.contains(expected), "{expected} is missing in\n{body}");
    }
}
