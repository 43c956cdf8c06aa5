//! Which other topics are bridged into the contact log.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;

use crate::domain::decode::KeyForm;

use super::error::ConfigError;
use super::fields::{Fields, YES_OR_NO, free};
use super::sections::{KafkaConfig, LogChoice, LogConfig, PaymentsConfig};
use super::source_tables::{SourceTable, Tombstones};
use super::suggest::{did_you_mean, nearest};

/// What stands under `[input.<topic>]`.
const KEYS: [&str; 1] = ["source"];
/// Begins a pattern.
const PATTERN: char = '^';
/// Where records go that can't be applied.
const DEAD_LETTERS: &str = ".dlq";
/// Topics of the brokers' own.
const INTERNAL: &str = "__";
/// As for any source's name.
const SOURCE_BYTES_MAX: usize = 256;

/// The bridge.
#[derive(Clone, Debug, Default)]
pub struct BridgeConfig {
    /// In the order in which they are asked, names first; empty: no bridge.
    inputs: Vec<Input>,
    /// Tables of topics that a pattern means.
    named: BTreeMap<String, InputConfig>,
    /// What no pattern means.
    excluded: BTreeSet<String>,
    /// Whether records of the contact log that are not at home are appended there.
    pub rehome: bool,
    /// The consumer group, where one is set.
    pub group: Option<String>,
    /// Records that are taken at once.
    pub batch_records_max: usize,
    /// Bytes that are taken at once.
    pub batch_bytes_max: usize,
}

/// What is known of an input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InputConfig {
    /// Counts instead of the source that the events name.
    pub source: Option<String>,
    /// Each record is the whole contact that its key names; a null value deletes it.
    pub complete: bool,
    /// How its keys are written.
    pub key: KeyForm,
    /// What null values are.
    pub tombstones: Tombstones,
}

#[derive(Clone, Debug)]
struct Input {
    matcher: Matcher,
    config: InputConfig,
}

#[derive(Clone, Debug)]
enum Matcher {
    Name(String),
    Pattern(Regex),
}

impl BridgeConfig {
    /// Whether there is anything to bridge.
    pub fn is_on(&self) -> bool {
        !self.inputs.is_empty()
    }

    /// The inputs that are named.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.inputs.iter().filter_map(|input| match &input.matcher {
            Matcher::Name(name) => Some(name.as_str()),
            Matcher::Pattern(_) => None,
        })
    }

    /// Whether some inputs are only known by looking at what topics there are.
    pub fn has_patterns(&self) -> bool {
        self.inputs.iter().any(|input| matches!(input.matcher, Matcher::Pattern(_)))
    }

    /// Whether a topic is one of the contact log's own.
    pub(super) fn is_own(&self, topic: &str) -> bool {
        self.excluded.contains(topic)
    }

    /// What is known of a topic; none: it is no input.
    pub fn input(&self, topic: &str) -> Option<&InputConfig> {
        let is_own = self.excluded.contains(topic) || topic.starts_with(INTERNAL);
        let found = self.inputs.iter().find(|input| match &input.matcher {
            Matcher::Name(name) => name == topic,
            Matcher::Pattern(pattern) => !is_own && pattern.is_match(topic),
        });
        found.map(|input| self.named.get(topic).unwrap_or(&input.config))
    }
}

pub(super) fn bridge(
    fields: &mut Fields<'_>,
    log: &LogConfig,
    kafka: &KafkaConfig,
    sources: &BTreeMap<String, SourceTable>,
    payments: &PaymentsConfig,
) -> BridgeConfig {
    let mut tables = tables(fields, sources);
    let excluded = own_topics(log, kafka);
    let mut inputs = Vec::new();
    let mut topics = fields.list("bridge.topics");
    // An embedded log has no brokers whose topic that would be.
    let topic = payments.topic.clone().filter(|_| !kafka.brokers.is_empty());
    let of_payments = topic.filter(|topic| !topics.contains(topic));
    topics.extend(of_payments.clone());
    for topic in topics {
        match matcher(&topic, &excluded) {
            Ok(matcher) => {
                let config = tables.remove(&topic).unwrap_or_default();
                inputs.push(Input { matcher, config });
            }
            Err(problem) if of_payments.as_ref() == Some(&topic) => {
                fields.refuse("payments.topic", problem);
            }
            Err(problem) => fields.refuse("bridge.topics", problem),
        }
    }
    // What is said of a topic by its name counts before what a pattern says.
    inputs.sort_by_key(|input| matches!(input.matcher, Matcher::Pattern(_)));
    let bytes = fields.size("bridge.batch_bytes_max", 1 << 10..=64 << 20);
    let config = BridgeConfig {
        rehome: fields.choice("bridge.rehome", true, &YES_OR_NO),
        group: fields.optional("bridge.group"),
        batch_records_max: fields.count("bridge.batch_records_max", 1..=65_535),
        batch_bytes_max: usize::try_from(bytes).unwrap_or(usize::MAX),
        inputs,
        named: BTreeMap::new(),
        excluded,
    };
    for topic in tables.keys().filter(|topic| config.input(topic).is_none()) {
        let named = config.names().collect::<Vec<_>>();
        let meant = did_you_mean(topic, named.into_iter());
        let place = fields.place(&format!("input.{topic}.source"));
        fields.errors.push(ConfigError::Invalid {
            place,
            key: format!("input.{topic}"),
            problem: format!("is no input: bridge.topics neither names nor matches it{meant}"),
        });
    }
    BridgeConfig { named: tables, ..config }
}

/// What must never come in by the bridge: it would go round for ever, or is no event.
fn own_topics(log: &LogConfig, kafka: &KafkaConfig) -> BTreeSet<String> {
    let mut own = BTreeSet::from([
        kafka.control_topic.clone(),
        format!("{}{DEAD_LETTERS}", kafka.control_topic),
        format!("{}{DEAD_LETTERS}", kafka.topic),
    ]);
    // With an embedded log the topic of that name is another one.
    if log.kind != LogChoice::Embedded {
        own.insert(kafka.topic.clone());
    }
    own
}

fn matcher(topic: &str, excluded: &BTreeSet<String>) -> Result<Matcher, String> {
    if let Some(pattern) = topic.strip_prefix(PATTERN) {
        let whole = format!("^(?:{pattern})$");
        return Regex::new(&whole)
            .map(Matcher::Pattern)
            .map_err(|error| format!("has \"{topic}\", which is no pattern: {error}"));
    }
    if excluded.contains(topic) || topic.starts_with(INTERNAL) {
        return Err(format!(
            "has \"{topic}\", which is a topic of the contact log's or the brokers' own"
        ));
    }
    if !is_topic(topic) {
        return Err(format!(
            "has \"{topic}\", and must hold names of topics, or patterns that begin with ^"
        ));
    }
    Ok(Matcher::Name(topic.to_owned()))
}

/// Whether Kafka takes the name.
pub(super) fn is_topic(name: &str) -> bool {
    let is_legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=249).contains(&name.len()) && name.chars().all(is_legal) && !matches!(name, "." | "..")
}

fn tables(
    fields: &mut Fields<'_>,
    sources: &BTreeMap<String, SourceTable>,
) -> BTreeMap<String, InputConfig> {
    let mut tables: BTreeMap<String, InputConfig> = BTreeMap::new();
    for ([_, topic, key], text) in free(fields, "input") {
        let name = format!("input.{topic}.{key}");
        let table = tables.entry(topic).or_default();
        let text = text.trim();
        match key.as_str() {
            "source" if text.len() > SOURCE_BYTES_MAX || text.contains(char::is_control) => {
                let problem = format!(
                    "must have at most {SOURCE_BYTES_MAX} bytes, and no control characters"
                );
                fields.refuse(&name, problem);
            }
            "source" => {
                let SourceTable { key, complete, tombstones, .. } =
                    sources.get(text).cloned().unwrap_or_default();
                let source = Some(text.to_owned()).filter(|text| !text.is_empty());
                *table = InputConfig { source, complete, key, tombstones };
            }
            _ => {
                let suggestion = nearest(&key, KEYS.into_iter()).map(str::to_owned);
                let place = fields.place(&name);
                fields.errors.push(ConfigError::UnknownKey { place, key: name, suggestion });
            }
        }
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::super::{FileText, FlagSetting, Mode, Sources, load};
    use super::*;

    fn loaded(text: &str) -> Result<BridgeConfig, Vec<String>> {
        let text = format!("[kafka]\nbrokers = \"localhost:9092\"\n{text}");
        let file = Some(FileText { name: "my.toml".to_owned(), text });
        let loaded = load(&Sources { file, ..Sources::new(Mode::Serve) });
        loaded
            .map(|config| config.bridge)
            .map_err(|errors| errors.0.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn names_come_before_patterns_and_patterns_never_mean_our_own_topics() {
        let config = loaded(
            r#"[bridge]
            topics = ['^(crm|contacts|contactd)\..*|contacts', "billing"]
            [input.'^(crm|contacts|contactd)\..*|contacts']
            source = "crm"
            [input."crm.whole"]
            source = "rows"
            [input.billing]
            source = "billing"
            [source.rows]
            complete = true
            [source.billing]
            complete = true
            tombstones = "ignore"
            key = "json:$.id""#,
        )
        .unwrap();
        let input = |topic: &str| config.input(topic).cloned();
        let crm = InputConfig { source: Some("crm".to_owned()), ..InputConfig::default() };
        assert_eq!(input("crm.users"), Some(crm.clone()));
        assert_eq!(input("contacts.created"), Some(crm.clone()));
        let rows = InputConfig {
            source: Some("rows".to_owned()),
            complete: true,
            tombstones: Tombstones::Delete,
            ..InputConfig::default()
        };
        assert_eq!(input("crm.whole"), Some(rows));
        let billing = InputConfig {
            source: Some("billing".to_owned()),
            complete: true,
            key: KeyForm::Json(vec!["id".to_owned()]),
            tombstones: Tombstones::Ignore,
        };
        assert_eq!(input("billing"), Some(billing));
        for other in ["contacts", "contacts.dlq", "contactd.control", "xcrm.users", "crm"] {
            assert_eq!(input(other), None, "{other}");
        }
        assert_eq!(config.names().collect::<Vec<_>>(), ["billing"]);
        assert!(config.has_patterns() && config.is_on());
        assert!(!loaded("").unwrap().is_on());
    }

    #[test]
    fn everything_wrong_is_named() {
        let problems = loaded(
            r#"[bridge]
            topics = ["contacts", "contactd.control", "contacts.dlq", "__consumer_offsets", "a b", "^(", "crm"]
            [input.crn]
            source = "x"
            [input.crm]
            sourc = "x""#,
        )
        .unwrap_err()
        .join("\n");
        for part in [
            "has \"contacts\", which is a topic of the contact log's or the brokers' own",
            "has \"contactd.control\"",
            "has \"contacts.dlq\"",
            "has \"__consumer_offsets\"",
            "has \"a b\", and must hold names",
            "has \"^(\", which is no pattern",
            "input.crn is no input: bridge.topics neither names nor matches it; did you mean \"crm\"?",
            "unknown key `input.crm.sourc`; did you mean `source`?",
        ] {
            assert!(problems.contains(part), "no {part:?} in:\n{problems}");
        }
        let no_brokers =
            FileText { name: "my.toml".to_owned(), text: "[bridge]\ntopics = \"crm\"".to_owned() };
        let sources = Sources { file: Some(no_brokers), ..Sources::new(Mode::Serve) };
        // Other commands need no broker.
        let problems = load(&sources).unwrap().require_fit_to_serve().unwrap_err().to_string();
        assert!(problems.contains("bridge.topics needs kafka.brokers"), "{problems}");
    }

    #[test]
    fn an_embedded_log_may_be_fed_from_the_topic_of_its_name() {
        let text = "[log]\nkind = \"embedded\"\n[bridge]\ntopics = \"contacts\"";
        assert!(loaded(text).unwrap().input("contacts").is_some());
    }

    #[test]
    fn a_flag_can_name_a_topic_with_dots() {
        let flag = |key: &str, value: &str| FlagSetting {
            flag: "--set".to_owned(),
            key: key.to_owned(),
            value: value.to_owned(),
        };
        let flags = vec![
            flag("kafka.brokers", "localhost:9092"),
            flag("bridge.topics", "crm.all.users"),
            flag("input.crm.all.users.source", "acme"),
        ];
        let config = load(&Sources { flags, ..Sources::new(Mode::Serve) }).unwrap();
        assert!(config.bridge.input("crm.all.users").is_some_and(|input| input.source.is_some()));
        let again = config.to_toml();
        assert!(again.contains("[input.\"crm.all.users\"]\nsource = \"acme\""), "{again}");
    }
}
