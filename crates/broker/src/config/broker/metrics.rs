//! Metrics (`MetricConfigs`).

const METRICS_ARE_SERVED_AT: &str = "metrics are served at `/metrics`";
const PROMETHEUS_COMPUTES_RATES_FROM: &str = "Prometheus computes rates from counters";

base::config_keys! {
    /// Metrics.
    pub(super) static METRICS: "Metrics",
        "What Kafka's own metrics library is told. Affluent serves Prometheus metrics over HTTP." => {
        LIST "metric.reporters" = "org.apache.kafka.common.metrics.JmxReporter" [
            list(true, false),
            cluster_wide,
            inert(METRICS_ARE_SERVED_AT),
        ]
            "Classes that publish metrics.";
        INT "metrics.num.samples" = "2" [at_least(1), inert(PROMETHEUS_COMPUTES_RATES_FROM)]
            "Samples kept for each rate.";
        LONG "metrics.sample.window.ms" = "30000" [
            at_least(1),
            inert(PROMETHEUS_COMPUTES_RATES_FROM),
        ]
            "The span of one sample, in milliseconds.";
        STRING "metrics.recording.level" = "INFO" [inert("every metric is always recorded")]
            "How detailed metrics are: INFO, DEBUG or TRACE.";
        LIST "kafka.metrics.reporters" = "" [list(true, false), inert(METRICS_ARE_SERVED_AT)]
            "Classes that publish the server's own metrics.";
        INT "kafka.metrics.polling.interval.secs" = "10" [at_least(1), inert(METRICS_ARE_SERVED_AT)]
            "How often such a class is asked, in seconds.";
    }
}
