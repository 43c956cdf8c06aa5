//! What `dev` says at the start: what this is, where everything is, and what to try.

use std::fmt::Write as _;
use std::path::Path;

use crate::app::Started;
use crate::config::Config;

/// What is known before the start.
pub(super) struct Banner {
    log: String,
    data: String,
    demo: String,
}

impl Banner {
    pub(super) fn new(config: &Config, ephemeral: bool, demo_rate: Option<f64>) -> Self {
        let log = if config.follows_kafka() {
            format!("Kafka topic {} at {}", config.kafka.topic, config.kafka.brokers.join(", "))
        } else {
            format!("embedded, in {}", absolute(&config.embedded_log.path))
        };
        let kept =
            if ephemeral { "removed at the end" } else { "kept; the next start goes on there" };
        Self {
            log,
            data: format!("{} ({kept})", absolute(&config.store.path)),
            demo: match demo_rate {
                Some(rate) => format!("{rate} events a second (--no-demo turns them off)"),
                None => "no events".to_owned(),
            },
        }
    }

    pub(super) fn text(&self, started: &Started) -> String {
        let url = format!("http://{}", started.address);
        let log_kind = if self.log.starts_with("embedded") { "embedded log" } else { "Kafka" };
        let mut text = format!(
            "\ncontactd {}: development, single node, {log_kind}, loopback only, no authentication\n\n\
             \x20 API      {url}/api/contacts\n\
             \x20 Metrics  {url}/metrics\n\
             \x20 Log      {}\n\
             \x20 Data     {}\n\
             \x20 Demo     {}\n\nTry:\n",
            env!("CARGO_PKG_VERSION"),
            self.log,
            self.data,
            self.demo,
        );
        if let Some(id) = &started.contact {
            let _ = writeln!(text, "  curl -s {url}/api/contacts/{id}");
            let _ = writeln!(text, "  curl -s {url}/api/contacts/{id}/history");
        }
        let _ = writeln!(text, "  curl -s '{url}/api/contacts?limit=3'");
        let _ = writeln!(text, "  curl -s {url}/api/stats");
        text.push_str("\nCtrl-C ends it.\n");
        text
    }
}

fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Mode;

    #[test]
    fn the_banner_says_where_everything_is() {
        let config = Config::built_in(Mode::Dev).unwrap();
        let started =
            Started { address: config.server.listen, contact: Some("some-id".to_owned()) };
        let text = Banner::new(&config, true, Some(3.0)).text(&started);
        for part in [
            "single node, embedded log, loopback only",
            "curl -s http://127.0.0.1:3000/api/contacts/some-id\n",
            "/.contactd (removed at the end)",
            "3 events a second",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }
}
