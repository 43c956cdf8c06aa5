//! Which key a variable of the environment sets: the usual names, and `CONTACTD_SECTION__KEY`.

/// Every variable of ours begins with it.
pub(super) const PREFIX: &str = "CONTACTD_";

/// The usual names, that many a deployment has already.
const USUAL: [(&str, [&str; 2]); 20] = [
    ("PORT", ["server", "port"]),
    ("KAFKA_BROKERS", ["kafka", "brokers"]),
    ("KAFKA_CLIENT_ID", ["kafka", "client_id"]),
    ("REDIS_URL", ["redis", "url"]),
    ("REDIS_URL_FILE", ["redis", "url_file"]),
    ("RABBITMQ_URL", ["rabbitmq", "url"]),
    ("RABBITMQ_URL_FILE", ["rabbitmq", "url_file"]),
    ("REDIS_HOST", ["redis", "host"]),
    ("REDIS_PORT", ["redis", "port"]),
    ("REDIS_PASSWORD", ["redis", "password"]),
    ("REDIS_PASSWORD_FILE", ["redis", "password_file"]),
    ("JWT_SECRET", ["jwt", "secret"]),
    ("JWT_SECRET_FILE", ["jwt", "secret_file"]),
    ("JWT_SECRET_PREVIOUS", ["jwt", "secret_previous"]),
    ("JWT_SECRET_PREVIOUS_FILE", ["jwt", "secret_previous_file"]),
    ("JWT_EXPIRATION", ["jwt", "expiration"]),
    ("ACME_API_KEY", ["acme", "api_key"]),
    ("ACME_API_KEY_FILE", ["acme", "api_key_file"]),
    ("ACME_WEBHOOK_SECRET", ["acme", "webhook_secret"]),
    ("ACME_WEBHOOK_SECRET_FILE", ["acme", "webhook_secret_file"]),
];

/// Variables of ours that set no key: read by the command line, or by tests.
const OTHERS: [&str; 7] = [
    "CONTACTD_URL",
    "CONTACTD_API_KEY",
    "CONTACTD_CACERT",
    "CONTACTD_WEBHOOK_SECRET",
    "CONTACTD_CONFIG",
    "CONTACTD_FAULT",
    "CONTACTD_COMMIT",
];
const TESTS: [&str; 2] = ["CONTACTD_TEST_", "CONTACTD_CRASH_"];

/// What a variable is to us.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Sets this key, which may not exist.
    Key(Vec<String>),
    /// Of an earlier deployment, and without effect here.
    Ignored,
    /// `CONTACTD_` and no `__`: possibly a key written wrongly.
    SingleUnderscore,
    /// Somebody else's.
    Foreign,
}

/// What the variable `name` is to us.
pub(super) fn meaning(name: &str) -> Meaning {
    if let Some((_, key)) = USUAL.iter().find(|(usual, _)| *usual == name) {
        return Meaning::Key(key.iter().map(|part| (*part).to_owned()).collect());
    }
    if name == "NODE_ENV" || name == "DB_TYPE" || name.starts_with("POSTGRES_") {
        return Meaning::Ignored;
    }
    if OTHERS.contains(&name) || TESTS.iter().any(|prefix| name.starts_with(prefix)) {
        return Meaning::Foreign;
    }
    let Some(rest) = name.strip_prefix(PREFIX) else {
        return Meaning::Foreign;
    };
    let parts: Vec<String> = rest.split("__").map(str::to_lowercase).collect();
    match parts.as_slice() {
        [_] => Meaning::SingleUnderscore,
        // librdkafka's names have dots, which a variable can't.
        [kafka, properties, name] if kafka == "kafka" && properties == "properties" => {
            Meaning::Key(vec![kafka.clone(), properties.clone(), name.replace('_', ".")])
        }
        _ => Meaning::Key(parts),
    }
}

/// The variable that sets `key`.
pub(super) fn variable(key: &[String]) -> String {
    format!("{PREFIX}{}", key.join("__").to_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(parts: &[&str]) -> Meaning {
        Meaning::Key(parts.iter().map(|part| (*part).to_owned()).collect())
    }

    #[test]
    fn the_usual_names_and_ours_set_keys() {
        assert_eq!(meaning("PORT"), key(&["server", "port"]));
        assert_eq!(meaning("JWT_SECRET_FILE"), key(&["jwt", "secret_file"]));
        assert_eq!(meaning("CONTACTD_STORE__CACHE_BYTES"), key(&["store", "cache_bytes"]));
        assert_eq!(
            meaning("CONTACTD_KAFKA__PROPERTIES__SOCKET_TIMEOUT_MS"),
            key(&["kafka", "properties", "socket.timeout.ms"])
        );
        assert_eq!(variable(&["store".to_owned(), "path".to_owned()]), "CONTACTD_STORE__PATH");
    }

    #[test]
    fn other_names_set_nothing() {
        assert_eq!(meaning("HOME"), Meaning::Foreign);
        assert_eq!(meaning("CONTACTD_URL"), Meaning::Foreign);
        assert_eq!(meaning("CONTACTD_TEST_KAFKA"), Meaning::Foreign);
        assert_eq!(meaning("POSTGRES_HOST"), Meaning::Ignored);
        assert_eq!(meaning("CONTACTD_STORE_PATH"), Meaning::SingleUnderscore);
    }
}
