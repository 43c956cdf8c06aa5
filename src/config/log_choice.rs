//! Which contact log is followed.

use super::Mode;
use super::fields::Fields;
use super::layers::Layer;
use super::sections::{KafkaConfig, LogChoice, LogConfig};

/// What a shell, a `.env` or a file says of brokers is meant for `serve`: trying contactd out touches no
/// topic unless a flag asks for that.
pub(super) fn log(
    fields: &mut Fields<'_>,
    kafka: &KafkaConfig,
    warnings: &mut Vec<String>,
) -> LogConfig {
    let words =
        [("auto", LogChoice::Auto), ("embedded", LogChoice::Embedded), ("kafka", LogChoice::Kafka)];
    let kind = fields.choice("log.kind", LogChoice::Auto, &words);
    if kind == LogChoice::Kafka && kafka.brokers.is_empty() {
        fields.refuse("log.kind", "is \"kafka\", but kafka.brokers (KAFKA_BROKERS) is not set");
    }
    let is_asked_for = fields.layered.layer(&["log", "kind"]) == Some(Layer::Flag);
    if fields.sources.mode == Mode::Serve || is_asked_for {
        return LogConfig { kind };
    }
    if kind == LogChoice::Kafka || (kind == LogChoice::Auto && !kafka.brokers.is_empty()) {
        warnings.push(format!(
            "brokers are configured ({}), and dev follows the embedded log all the same; \
             `contactd serve` follows the topic, and so does `contactd dev --set log.kind=kafka`",
            kafka.brokers.join(",")
        ));
    }
    LogConfig { kind: LogChoice::Embedded }
}
