//! Listeners and connections (`SocketServerConfigs`).

const ONE_BROKER: &str = "a single broker talks to no other";
const NO_PEERS: &str = "a single broker connects to no other";

base::config_keys! {
    /// Listeners.
    pub(super) static LISTENERS: "Listeners",
        "Where the broker accepts connections, and what it tells clients to connect to." => {
        LIST "listeners" = "PLAINTEXT://:9092" [
            list(false, false),
            per_broker,
            differs("a dynamic change takes effect at the next start."),
        ]
            "The addresses the broker listens on: `name://host:port`, separated by commas. An \
             empty host stands for all interfaces, port 0 for a free one. A name is either a \
             security protocol or is mapped to one by `listener.security.protocol.map`.";
        LIST "advertised.listeners" = null [list(false, true)]
            "The addresses given to clients, where they differ from `listeners`: behind a proxy, \
             in a container, in a cloud. Null advertises `listeners`. Each client is told the \
             address of the listener it came in by.";
        STRING "listener.security.protocol.map" =
            "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT" [
            per_broker,
            differs("a dynamic change takes effect at the next start."),
        ]
            "Which security protocol each listener name speaks, as `name:protocol` pairs. Two \
             listeners can speak the same protocol with different certificates or addresses.";
        STRING "inter.broker.listener.name" = null [inert(ONE_BROKER)]
            "The listener that brokers use among themselves; null picks it by \
             `security.inter.broker.protocol`.";
        STRING "security.inter.broker.protocol" = "PLAINTEXT" [
            one_of(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]),
            inert(ONE_BROKER),
        ]
            "The security protocol brokers use among themselves when `inter.broker.listener.name` \
             is null.";
        LIST "early.start.listeners" = null [
            list(true, true),
            inert("the broker serves no listener before it can answer"),
        ]
            "Listeners that open before the broker has read its metadata; null for those of the \
             controller.";
        LIST "controller.listener.names" = "CONTROLLER" [
            inert("metadata is kept by a store and no controller listens"),
            differs("Apache Kafka requires it."),
        ]
            "Names of the listeners that belong to the controller.";
        INT "socket.listen.backlog.size" = "50" [at_least(1)]
            "Connections the operating system may hold before the broker accepts them. A longer \
             queue rides out a burst of clients; the system's own limit (`net.core.somaxconn`) \
             caps it.";
    }
}

base::config_keys! {
    /// Connections.
    pub(super) static CONNECTIONS: "Connections",
        "How many clients there may be and what each may occupy." => {
        INT "socket.request.max.bytes" = "104857600" [at_least(1)]
            "The largest request taken, in bytes. A larger one closes its connection before \
             anything is allocated for it.";
        INT "socket.send.buffer.bytes" = "102400" []
            "The size of a connection's send buffer (`SO_SNDBUF`), in bytes; -1 leaves it to the \
             operating system. Long-distance links gain from a larger one.";
        INT "socket.receive.buffer.bytes" = "102400" []
            "The size of a connection's receive buffer (`SO_RCVBUF`), in bytes; -1 leaves it to \
             the operating system.";
        LONG "connections.max.idle.ms" = "600000" []
            "How long a connection may be idle before it is closed, in milliseconds; negative for \
             ever. Clients reconnect by themselves, so a shorter time costs handshakes and saves \
             memory.";
        INT "connection.failed.authentication.delay.ms" = "100" [at_least(0)]
            "How long a connection stays open after its authentication failed, in milliseconds. \
             The delay slows down clients that retry with bad credentials. Keep it below \
             `connections.max.idle.ms`.";
        INT "max.connections" = "2147483647" [at_least(0), cluster_wide]
            "The most connections at a time. Beyond it a new one waits to be accepted until \
             another closes; each connection costs memory and a file descriptor.";
        INT "max.connections.per.ip" = "2147483647" [at_least(0), cluster_wide]
            "The most connections at a time from one address; beyond it a new one is closed at \
             once. 0 admits only the addresses of `max.connections.per.ip.overrides`.";
        STRING "max.connections.per.ip.overrides" = "" [cluster_wide]
            "Limits for single addresses or host names, as `host:limit` pairs, which replace \
             `max.connections.per.ip` for them.";
        INT "max.connection.creation.rate" = "2147483647" [at_least(0), cluster_wide]
            "New connections accepted per second; the rest waits. It keeps a storm of reconnecting \
             clients from starving the connected ones.";
        INT "queued.max.requests" = "500" [at_least(1)]
            "Requests that may be in work at a time over all connections. Beyond it connections \
             are not read any further, which bounds the broker's memory.";
        LONG "queued.max.request.bytes" = "-1" []
            "Bytes of requests that may be in work at a time over all connections; -1 for no limit \
             but the number of requests.";
        INT "num.network.threads" = "3" [
            at_least(1),
            cluster_wide,
            inert(
                "connections are served by an asynchronous runtime with one thread per processor",
            ),
        ]
            "Threads that read and write connections.";
        INT "num.io.threads" = "8" [
            at_least(1),
            cluster_wide,
            inert("requests are served by an asynchronous runtime with one thread per processor"),
        ]
            "Threads that work on requests.";
        INT "request.timeout.ms" = "30000" []
            "How long the broker waits for an answer to a request of its own, in milliseconds.";
        LONG "socket.connection.setup.timeout.ms" = "10000" [inert(NO_PEERS)]
            "How long the broker waits for a connection of its own to be set up, in milliseconds.";
        LONG "socket.connection.setup.timeout.max.ms" = "30000" [inert(NO_PEERS)]
            "The longest such wait after repeated failures, in milliseconds.";
    }
}
