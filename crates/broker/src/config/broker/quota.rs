//! Quotas (`QuotaConfig`).

const REPLICAS_ARE_NOT_COPIED: &str = "replicas are not copied from broker to broker";
const THERE_IS_ONE_DATA: &str = "there is one data directory";

base::config_keys! {
    /// Quotas.
    pub(super) static QUOTAS: "Quotas",
        "How rates are measured for quotas; the quotas themselves are set per user and client." => {
        INT "quota.window.num" = "11" [at_least(1)]
            "Samples kept to measure a client's rate. More smooth out bursts and remember them \
             longer.";
        INT "quota.window.size.seconds" = "1" [at_least(1)]
            "The span of one sample of a client's rate, in seconds.";
        INT "replication.quota.window.num" = "11" [at_least(1), inert(REPLICAS_ARE_NOT_COPIED)]
            "Samples kept to measure the rate of replication.";
        INT "replication.quota.window.size.seconds" = "1" [
            at_least(1),
            inert(REPLICAS_ARE_NOT_COPIED),
        ]
            "The span of one sample of the rate of replication, in seconds.";
        INT "alter.log.dirs.replication.quota.window.num" = "11" [
            at_least(1),
            inert(THERE_IS_ONE_DATA),
        ]
            "Samples kept to measure moves between directories.";
        INT "alter.log.dirs.replication.quota.window.size.seconds" = "1" [
            at_least(1),
            inert(THERE_IS_ONE_DATA),
        ]
            "The span of one sample of moves between directories, in seconds.";
        INT "controller.quota.window.num" = "11" [at_least(1)]
            "Samples kept to measure changes of topics.";
        INT "controller.quota.window.size.seconds" = "1" [at_least(1)]
            "The span of one sample of changes of topics, in seconds.";
        CLASS "client.quota.callback.class" = null [inert("there is no Java class loader")]
            "A class that works out quotas; null for the ones set in the cluster.";
    }
}
