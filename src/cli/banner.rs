//! What `dev` says at the start: what this is, where everything is, and what to try.

use std::fmt::Write as _;
use std::path::Path;

use crate::app::Started;
use crate::auth::{ACME_KEY_FILE, Accounts, FIRST_USER, LOCAL_KEY_FILE};
use crate::config::{Config, Secret};

use super::instance::address_on;

/// What is known before the start.
pub(super) struct Banner {
    log: String,
    data: String,
    demo: String,
    /// The first user's, on the first start.
    password: Option<Secret>,
    /// Those who can sign in, from the file of users.
    users: Vec<String>,
    local_key: String,
    /// The data directory.
    path: String,
    /// The certificate that curl is to trust, where TLS is spoken.
    certificate: Option<String>,
    /// Where the mock of Acme is, where one runs beside.
    pub(super) acme: Option<String>,
}

impl Banner {
    pub(super) fn new(
        config: &Config,
        ephemeral: bool,
        demo_rate: Option<f64>,
        password: Option<Secret>,
    ) -> Self {
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
                None if config.follows_kafka() => {
                    "no events, which are for the embedded log; `contactd produce` makes some"
                        .to_owned()
                }
                None => "no events".to_owned(),
            },
            password,
            users: users(config),
            local_key: shell_word(&shortest(&config.store.path.join(LOCAL_KEY_FILE))),
            path: shell_word(&shortest(&config.store.path)),
            certificate: config
                .server
                .tls
                .as_ref()
                .map(|tls| shell_word(&shortest(&tls.certificate))),
            acme: None,
        }
    }

    pub(super) fn text(&self, started: &Started) -> String {
        let speaks_tls = self.certificate.is_some();
        let url = address_on(started.address, speaks_tls);
        let metrics = address_on(started.metrics, speaks_tls);
        let log_kind = if self.log.starts_with("embedded") { "embedded log" } else { "Kafka" };
        let mut text = format!(
            "\ncontactd {}: development, single node, {log_kind}\n\n\
             \x20 API      {url}/api/contacts\n\
             \x20 Page     {url}/\n\
             \x20 Docs     {url}/docs\n\
             \x20 Metrics  {metrics}/metrics\n\
             \x20 Log      {}\n\
             \x20 Data     {}\n\
             \x20 Demo     {}\n\
             \x20 Sign in  {}\n",
            env!("CARGO_PKG_VERSION"),
            self.log,
            self.data,
            self.demo,
            self.sign_in(),
        );
        self.add_tries(&mut text, &url, started.contact.as_deref());
        text.push_str("\nCtrl-C ends it.\n");
        text
    }

    fn sign_in(&self) -> String {
        match &self.password {
            Some(password) => format!(
                "user {FIRST_USER}, password {} (shown this once; `contactd user passwd \
                 {FIRST_USER}` sets another)",
                password.expose()
            ),
            None => {
                let Some(first) =
                    self.users.iter().find(|user| *user == FIRST_USER).or(self.users.first())
                else {
                    return "no user yet; `contactd user add NAME --role admin` makes one"
                        .to_owned();
                };
                format!("as before; `contactd user passwd {first}` sets a new password for {first}")
            }
        }
    }

    /// Commands that work as they stand, pasted into a shell.
    fn add_tries(&self, text: &mut String, url: &str, contact: Option<&str>) {
        let _ = writeln!(text, "\nTry, with the key of this machine's commands:");
        let _ = writeln!(text, "  KEY=\"X-API-Key: $(cat {})\"", self.local_key);
        let trusted = self.certificate.as_ref().map(|file| format!(" --cacert {file}"));
        let trusted = trusted.unwrap_or_default();
        let curl = format!("curl -s{trusted}");
        if let Some(id) = contact {
            let _ = writeln!(text, "  {curl} -H \"$KEY\" {url}/api/contacts/{id}");
            let _ = writeln!(text, "  {curl} -H \"$KEY\" {url}/api/contacts/{id}/history");
        }
        let _ = writeln!(text, "  {curl} -H \"$KEY\" '{url}/api/contacts?limit=3'");
        let _ = writeln!(text, "Or signed webhooks on a bad day, compared in the end:");
        let _ = writeln!(text, "  contactd simulate --target {url}{trusted} --path {}", self.path);
        if let Some(acme) = &self.acme {
            let key = format!("$(cat {}/{ACME_KEY_FILE})", self.path);
            let bearer = "-H \"Authorization: Bearer $ACME\"";
            let login = format!(r#"-d "{{\"apiKey\":\"{key}\"}}" | cut -d'"' -f4"#);
            let body = r#"-X PUT -d '{"acme_title":"Countess"}'"#;
            let _ = writeln!(text, "Or at the Acme CRM, a mock, which has the same contacts:");
            let _ = writeln!(text, "  ACME=$(curl -s {acme}/acme/login {login})");
            let _ = writeln!(text, "  curl -s {bearer} {acme}/acme/contacts/ada {body}");
            let _ = writeln!(text, "  {curl} -H \"$KEY\" {url}/api/contacts/ada");
            let _ = writeln!(text, "  curl -s {acme}/acme/stats");
        }
        let Some(password) = &self.password else {
            return;
        };
        let body = format!(r#"{{"username":"{FIRST_USER}","password":"{}"}}"#, password.expose());
        let _ = writeln!(text, "Or signed in:");
        let _ = writeln!(
            text,
            "  TOKEN=$({curl} {url}/api/auth/login -H 'Content-Type: application/json' -d '{body}' \
             | sed 's/.*\"accessToken\":\"\\([^\"]*\\)\".*/\\1/')"
        );
        let _ = writeln!(text, "  {curl} -H \"Authorization: Bearer $TOKEN\" {url}/api/stats");
    }
}

/// A file that can't be read is the start's to complain about.
fn users(config: &Config) -> Vec<String> {
    let listed = Accounts::at(&config.auth.users_file).list().unwrap_or_default();
    listed.users.into_iter().map(|user| user.name).collect()
}

/// As it is typed from here.
fn shortest(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}

/// A word that a shell takes as it is.
fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%".contains(c);
    if text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Mode, TlsFiles};

    #[test]
    fn the_banner_says_where_everything_is() {
        let config = Config::built_in(Mode::Dev).unwrap();
        let (address, contact) = (config.server.listen, Some("some-id".to_owned()));
        let started = Started { address, metrics: address, contact };
        let password = Some(Secret::new("the-password"));
        let text = Banner::new(&config, true, Some(3.0), password).text(&started);
        for part in [
            "single node, embedded log\n",
            "Page     http://127.0.0.1:3000/\n",
            "Docs     http://127.0.0.1:3000/docs\n",
            "KEY=\"X-API-Key: $(cat .contactd/local.key)\"\n",
            "curl -s -H \"$KEY\" http://127.0.0.1:3000/api/contacts/some-id\n",
            "contactd simulate --target http://127.0.0.1:3000 --path .contactd\n",
            "user admin, password the-password (shown this once",
            "/.contactd (removed at the end)",
            "3 events a second",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        let later = |users: &[&str]| {
            let users = users.iter().map(|&name| name.to_owned()).collect();
            Banner { users, ..Banner::new(&config, false, None, None) }.text(&started)
        };
        let text = later(&["ada", "admin"]);
        assert!(text.contains("contactd user passwd admin") && !text.contains("accessToken"));
        assert!(later(&["ada"]).contains("contactd user passwd ada"));
        assert!(later(&[]).contains("contactd user add NAME --role admin"));
    }

    #[test]
    fn with_tls_its_commands_speak_it() {
        let mut config = Config::built_in(Mode::Dev).unwrap();
        let (certificate, key) = ("its cert.pem".into(), "key.pem".into());
        config.server.tls = Some(TlsFiles { certificate, key });
        let started =
            Started { address: config.server.listen, metrics: config.server.listen, contact: None };
        let text = Banner::new(&config, false, None, None).text(&started);
        let curl =
            "curl -s --cacert 'its cert.pem' -H \"$KEY\" 'https://127.0.0.1:3000/api/contacts";
        assert!(text.contains(curl) && !text.contains("http://"), "{text}");
    }

    #[test]
    fn any_path_is_one_word() {
        assert_eq!(shell_word("/tmp/x-1/local.key"), "/tmp/x-1/local.key");
        assert_eq!(shell_word("/tmp/it's here"), r"'/tmp/it'\''s here'");
    }
}
