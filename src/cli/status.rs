//! `status`: how the running instance is, in ten lines; for health checks by its exit code alone.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use reqwest::StatusCode;
use serde::Serialize;
use serde_json::Value;

use crate::config::Mode;

use super::exit::Failure;
use super::foreign::line;
use super::instance::{self, Instance, InstanceArgs};
use super::output;
use super::settings::SettingsArgs;

/// A health check has some seconds itself.
pub(super) const ANSWER_WAIT: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Exit code 0: it is ready (with --quiet: live); 1: it is not ready; 4: it does not \
answer.\n\nExamples:\n  contactd status\n  contactd status --json | jq .lagRecords\n  \
contactd status --quiet || systemctl restart contactd"
)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    instance: InstanceArgs,
    /// Print it as JSON
    #[arg(long, conflicts_with = "quiet")]
    json: bool,
    /// Print nothing: the exit code says whether it is live, as /livez does; needs no key
    #[arg(long)]
    quiet: bool,
}

pub(super) fn run(settings: &SettingsArgs, args: &StatusArgs) -> anyhow::Result<()> {
    let config = settings.load(Mode::Serve, Vec::new())?;
    let instance = Instance::new(&config, &args.instance, ANSWER_WAIT)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if args.quiet {
        let reply = runtime.block_on(Reply::to(&instance, "/livez"))?;
        return reply.json_of_success("/livez").map(|_| ());
    }
    let status = runtime.block_on(status(&instance))?;
    if args.json {
        output::write_json(&format!("{}\n", serde_json::to_string_pretty(&status)?))?;
    } else {
        output::write_all(status.lines().as_bytes())?;
    }
    if status.ready { Ok(()) } else { Err(anyhow::anyhow!("the instance is not ready")) }
}

/// What is known of an instance; what is not told is not there.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
    pub(super) url: String,
    pub(super) version: String,
    commit: String,
    pub(super) ready: bool,
    /// The parts that are not ready, each with why.
    pub(super) waiting: BTreeMap<String, String>,
    log: Option<Log>,
    pub(super) lag_records: Option<u64>,
    pub(super) lag_seconds: Option<f64>,
    contacts_active: Option<u64>,
    contacts_deleted: Option<u64>,
    store_bytes: Option<u64>,
    dead_letters: Option<u64>,
    checkpoint_age_ms: Option<u64>,
    snapshot_age_ms: Option<u64>,
    connections: Option<u64>,
    connections_max: Option<u64>,
    requests: Option<u64>,
    memory_bytes: Option<u64>,
    /// Why some of it is not known.
    unknown_because: Vec<String>,
    /// All metrics, as they were told.
    #[serde(skip)]
    metrics: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Log {
    kind: String,
    cluster: String,
    topic: String,
}

/// An answer, whatever its status.
struct Reply {
    url: String,
    had_key: bool,
    status: StatusCode,
    body: Vec<u8>,
}

impl Reply {
    async fn to(instance: &Instance, path: &str) -> Result<Self, Failure> {
        let Instance { url, metrics_url, key, client } = instance;
        let url = if path == "/metrics" { metrics_url } else { url };
        let mut request = client.get(format!("{url}{path}"));
        // Whoever needs none is told none.
        if let Some(key) = key.as_ref().filter(|_| path.starts_with("/api/") || path == "/metrics")
        {
            request = request.header("X-API-Key", key.expose());
        }
        let answered = async {
            let response = request.send().await?;
            Ok((response.status(), response.bytes().await?.to_vec()))
        };
        let (status, body) =
            answered.await.map_err(|error: reqwest::Error| instance::unreachable(url, &error))?;
        Ok(Self { url: url.clone(), had_key: key.is_some(), status, body })
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    fn json_of_success(&self, path: &str) -> anyhow::Result<Value> {
        if self.status.is_success() {
            return Ok(self.json());
        }
        Err(Failure::Unreachable(format!("{}{path}: {}", self.url, self.why())).into())
    }

    /// Why it is no success.
    fn why(&self) -> String {
        if matches!(self.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return instance::refused(&self.url, self.had_key);
        }
        let told = self.json().pointer("/error/message").and_then(Value::as_str).map(str::to_owned);
        told.unwrap_or_else(|| format!("it answers {}", self.status))
    }
}

pub(super) async fn status(instance: &Instance) -> anyhow::Result<Status> {
    let health = Reply::to(instance, "/healthz").await?.json_of_success("/healthz")?;
    let mut status = Status { url: instance.url.clone(), ..Status::default() };
    status.take_health(&health);
    let ready = Reply::to(instance, "/readyz").await?;
    status.take_readiness(ready.status.is_success(), &ready.json());
    let stats = Reply::to(instance, "/api/stats").await?;
    if stats.status.is_success() {
        status.take_stats(&stats.json());
    } else {
        status.unknown_because.push(stats.why());
    }
    let metrics = Reply::to(instance, "/metrics").await?;
    if metrics.status.is_success() {
        status.metrics = String::from_utf8_lossy(&metrics.body).into_owned();
        status.take_metrics(&status.metrics.clone());
    } else {
        status.unknown_because.push(metrics.why());
    }
    status.unknown_because.dedup();
    Ok(status)
}

fn text_at(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

impl Status {
    fn take_health(&mut self, health: &Value) {
        self.version = text_at(health, "/version");
        self.commit = text_at(health, "/commit");
        self.log = health.get("log").filter(|log| log.is_object()).map(|log| Log {
            kind: text_at(log, "/kind"),
            cluster: text_at(log, "/cluster"),
            topic: text_at(log, "/topic"),
        });
    }

    fn take_readiness(&mut self, ready: bool, readiness: &Value) {
        self.ready = ready;
        let parts = readiness.get("parts").and_then(Value::as_object).into_iter().flatten();
        self.waiting =
            parts.map(|(part, state)| (part.clone(), text_at(state, "/reason"))).collect();
    }

    fn take_stats(&mut self, stats: &Value) {
        let number = |pointer: &str| stats.pointer(pointer).and_then(Value::as_u64);
        self.contacts_active = number("/contacts/active");
        self.contacts_deleted = number("/contacts/deleted");
        let parts = ["journalBytes", "engineBytes", "heapBytes", "snapshotBytes"];
        self.store_bytes = parts.iter().map(|part| number(&format!("/storage/{part}"))).sum();
        self.checkpoint_age_ms = number("/checkpoint/ageMs");
        self.snapshot_age_ms = number("/snapshot/ageMs");
    }

    fn take_metrics(&mut self, text: &str) {
        let whole = |number: f64| number as u64;
        let of_pool = |name: &str, pool: &str| sum(text, name, &[("pool", pool)]).map(whole);
        if let Some(log) = &self.log {
            let of_log = [("topic", log.topic.as_str())];
            self.lag_records = sum(text, "contactd_consumer_lag_records", &of_log).map(whole);
            let seconds = samples(text, "contactd_consumer_lag_seconds", &of_log);
            self.lag_seconds = seconds.filter(|seconds| !seconds.is_nan()).reduce(f64::max);
        }
        self.dead_letters = sum(text, "contactd_dead_letters", &[]).map(whole);
        self.connections = of_pool("contactd_pool_taken", "connections");
        self.connections_max = of_pool("contactd_pool_max", "connections");
        self.requests = of_pool("contactd_pool_taken", "requests");
        self.memory_bytes = sum(text, "process_resident_memory_bytes", &[]).map(whole);
    }

    /// All metrics, as they were told.
    pub(super) fn metrics(&self) -> &str {
        &self.metrics
    }

    /// Of a metric's samples with these labels.
    pub(super) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        sum(&self.metrics, name, labels)
    }

    fn lines(&self) -> String {
        let waiting = self.waiting.iter().map(|(part, why)| format!("{part}: {why}"));
        let state = if self.ready {
            "ready".to_owned()
        } else {
            format!("not ready: {}", waiting.collect::<Vec<_>>().join("; "))
        };
        let log =
            self.log.as_ref().map(|log| format!("{} {} of {}", log.kind, log.topic, log.cluster));
        let lag = self.lag_records.map(|records| match self.lag_seconds {
            Some(seconds) if records > 0 => format!("{records} records, {}", age(seconds)),
            _ => format!("{records} records"),
        });
        let contacts = self.contacts_active.zip(self.contacts_deleted);
        let contacts =
            contacts.map(|(active, deleted)| format!("{active} active, {deleted} deleted"));
        let ago = |ms: u64| format!("{} ago", age(ms as f64 / 1e3));
        let checkpoint = self.checkpoint_age_ms.map(|ms| {
            let snapshot = self.snapshot_age_ms.map_or_else(|| "none yet".to_owned(), ago);
            format!("{}; snapshot {snapshot}", ago(ms))
        });
        let connections = self.connections.zip(self.connections_max).map(|(taken, max)| {
            format!("{taken} of {max}; requests under way: {}", self.requests.unwrap_or_default())
        });
        let rows = [
            ("state", Some(state)),
            ("log", log),
            ("lag", lag),
            ("contacts", contacts),
            ("store", self.store_bytes.map(size)),
            ("dead letters", self.dead_letters.map(|count| count.to_string())),
            ("checkpoint", checkpoint),
            ("connections", connections),
            ("memory", self.memory_bytes.map(size)),
        ];
        let mut text =
            format!("contactd {} (commit {}) at {}\n", self.version, self.commit, self.url);
        for (name, value) in rows {
            let value = value.unwrap_or_else(|| "unknown".to_owned());
            text.push_str(&format!("{name:<13}{}\n", line(&value)));
        }
        for why in &self.unknown_because {
            text.push_str(&format!("unknown because {}\n", line(why)));
        }
        text
    }
}

/// The samples of a metric in Prometheus's text format that have these labels.
fn samples<'t>(
    text: &'t str,
    name: &'t str,
    labels: &[(&str, &str)],
) -> impl Iterator<Item = f64> + 't {
    let wanted: Vec<String> =
        labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
    text.lines().filter_map(move |sample| {
        let rest = sample.strip_prefix(name)?;
        let (labels, value) = match rest.strip_prefix('{') {
            Some(rest) => rest.split_once("} ")?,
            None => ("", rest.strip_prefix(' ')?),
        };
        let has_all = wanted.iter().all(|wanted| labels.split(',').any(|label| label == wanted));
        has_all.then(|| value.parse().ok()).flatten()
    })
}

/// None: there are none, or one of them is not known.
fn sum(text: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    samples(text, name, labels).reduce(|sum, value| sum + value).filter(|sum| !sum.is_nan())
}

fn size(bytes: u64) -> String {
    let mib = bytes as f64 / f64::from(1 << 20);
    if mib < 1024.0 { format!("{mib:.1} MiB") } else { format!("{:.1} GiB", mib / 1024.0) }
}

fn age(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 120.0 => format!("{seconds:.0} s"),
        seconds if seconds < 7_200.0 => format!("{:.0} min", seconds / 60.0),
        seconds if seconds < 172_800.0 => format!("{:.0} h", seconds / 3_600.0),
        seconds => format!("{:.0} d", seconds / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const METRICS: &str = "# HELP contactd_consumer_lag_records Records\n\
        contactd_consumer_lag_records{partition=\"0\",topic=\"contacts\"} 3\n\
        contactd_consumer_lag_records{partition=\"1\",topic=\"contacts\"} 4\n\
        contactd_consumer_lag_records{partition=\"0\",topic=\"contactd.control\"} 50\n\
        contactd_consumer_lag_seconds{partition=\"0\",topic=\"contacts\"} 90\n\
        contactd_dead_letters{reason=\"not_json\"} 2\n\
        contactd_dead_letters{reason=\"too_large\"} 1\n\
        contactd_dead_letters_bytes 4096\n\
        contactd_pool_max{pool=\"connections\"} 4096\n\
        contactd_pool_taken{pool=\"connections\"} 5\n\
        contactd_pool_taken{pool=\"requests\"} 1\n\
        process_resident_memory_bytes 88080384\n";

    fn filled() -> Status {
        let mut status = Status { url: "http://here".to_owned(), ..Status::default() };
        let log = json!({ "kind": "kafka", "cluster": "c1", "topic": "contacts" });
        status.take_health(&json!({ "version": "1.2.3", "commit": "abc", "log": log }));
        status.take_readiness(true, &json!({ "status": "ready", "parts": {} }));
        status.take_stats(&json!({
            "contacts": { "active": 120, "deleted": 3 },
            "storage": { "journalBytes": 1 << 20, "engineBytes": 0, "heapBytes": 0, "snapshotBytes": 0 },
            "checkpoint": { "ageMs": 4_000 }, "snapshot": { "ageMs": 3_600_000 },
        }));
        status.take_metrics(METRICS);
        status
    }

    #[test]
    fn ten_lines_say_how_it_is() {
        let lines = filled().lines();
        let expected = "contactd 1.2.3 (commit abc) at http://here\nstate        ready\n\
            log          kafka contacts of c1\nlag          7 records, 90 s\n\
            contacts     120 active, 3 deleted\nstore        1.0 MiB\ndead letters 3\n\
            checkpoint   4 s ago; snapshot 60 min ago\n\
            connections  5 of 4096; requests under way: 1\nmemory       84.0 MiB\n";
        assert_eq!(lines, expected);
    }

    #[test]
    fn what_is_not_told_is_unknown_and_why() {
        let mut status = Status::default();
        status
            .take_readiness(false, &json!({ "parts": { "store": { "reason": "opening: 34 %" } } }));
        status.take_metrics("contactd_dead_letters{reason=\"x\"} NaN\n");
        status.unknown_because.push("it needs an API key".to_owned());
        let lines = status.lines();
        for part in [
            "not ready: store: opening: 34 %\n",
            "contacts     unknown\n",
            "dead letters unknown\n",
            "unknown because it needs an API key\n",
        ] {
            assert!(lines.contains(part), "no {part:?} in {lines}");
        }
    }
}
