//! What `serve` needs of this machine besides a right configuration, looked at without binding, writing or
//! asking anybody.

use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Access, access};

use crate::auth::Auth;
use crate::config::{Config, ConfigError, ConfigErrors};
use crate::event_log::kafka::check_settings;
use crate::http::Tls;
use crate::ingest::Webhooks;
use crate::schema_registry::SchemaRegistry;
use crate::shared_state::SharedState;
use crate::telemetry::Metrics;

#[cfg(feature = "rabbitmq")]
use super::publish::open_rabbitmq;
use super::setup::ApplySetup;
use super::simulator::open_simulator;

/// Everything that would keep `serve` from starting, at once; `wrong`: what is known to be wrong with the
/// configuration itself.
///
/// # Errors
/// All of it, each with the place that says so.
pub fn check(config: &Config, wrong: Vec<ConfigError>) -> Result<(), ConfigErrors> {
    let is_right = wrong.is_empty();
    let errors = wrong.into_iter().chain(config.unfit_to_serve.iter().cloned()).collect();
    let mut found = Found { config, errors };
    match ApplySetup::new(config) {
        Ok(setup) => {
            found.note("webhooks", Webhooks::new(&config.webhooks, setup.present).map(drop));
        }
        Err(errors) if is_right => found.errors.extend(errors.0),
        // It would say the same once more.
        Err(_) => {}
    }
    if let Some(tls) = &config.server.tls {
        found.note("server.tls_certificate", Tls::load(&tls.certificate, &tls.key).map(drop));
    }
    match Metrics::new() {
        Ok(metrics) => found.look_at_services(&Arc::new(metrics)),
        Err(error) => found.add("telemetry", error.to_string()),
    }
    if config.follows_kafka() {
        found.look_at_kafka();
    }
    found.look_at_directories();
    if found.errors.is_empty() { Ok(()) } else { Err(ConfigErrors(found.errors)) }
}

struct Found<'c> {
    config: &'c Config,
    errors: Vec<ConfigError>,
}

impl Found<'_> {
    fn add(&mut self, key: &str, problem: String) {
        let place = self.config.place(key);
        self.errors.push(ConfigError::Invalid { place, key: key.to_owned(), problem });
    }

    fn note<E: std::fmt::Display>(&mut self, key: &str, result: Result<(), E>) {
        if let Err(error) = result {
            self.add(key, format!("can't be used: {error}"));
        }
    }

    fn look_at_services(&mut self, metrics: &Arc<Metrics>) {
        match SharedState::new(self.config, metrics) {
            Ok(shared) => {
                let auth = Auth::new(self.config, &shared, Arc::clone(metrics));
                self.note("auth.users_file", auth.map(drop));
            }
            Err(error) => self.add("redis.url", format!("can't be used: {error}")),
        }
        if let Some(registry) = &self.config.schema_registry {
            let registry = SchemaRegistry::new(registry, Arc::clone(metrics));
            self.note("schema_registry.ca_file", registry.map(drop));
        }
        #[cfg(feature = "rabbitmq")]
        match open_rabbitmq(self.config) {
            Ok(_) => {}
            Err(errors) => self.errors.extend(errors.0),
        }
        match open_simulator(self.config, self.config.server.listen, metrics) {
            Ok(_) => {}
            Err(errors) => self.errors.extend(errors.0),
        }
    }

    fn look_at_kafka(&mut self) {
        let kafka = &self.config.kafka;
        self.note("kafka.properties", check_settings(kafka));
        for (key, file) in [
            ("kafka.ssl_ca_location", &kafka.ssl_ca_location),
            ("kafka.ssl_certificate_location", &kafka.ssl_certificate_location),
            ("kafka.ssl_key_location", &kafka.ssl_key_location),
        ] {
            // librdkafka takes a directory of authorities as well.
            if let Some(file) = file
                && let Err(error) = access(file, Access::READ_OK)
            {
                self.add(key, format!("{} can't be read: {error}", file.display()));
            }
        }
    }

    fn look_at_directories(&mut self) {
        let config = self.config;
        let (has_log, has_outbox) = (!config.follows_kafka(), config.outbox.bytes_max > 0);
        let wanted = [
            ("store.path", &config.store.path, true),
            ("embedded_log.path", &config.embedded_log.path, has_log),
            ("outbox.path", &config.outbox.path, !has_log && has_outbox),
        ];
        let mut told: Vec<&Path> = Vec::new();
        for (key, directory, _) in wanted.into_iter().filter(|(_, _, is_wanted)| *is_wanted) {
            // What lies in one that was told of has the same trouble.
            if !told.iter().any(|outer| directory.starts_with(outer))
                && let Err(problem) = check_writable(directory)
            {
                self.add(key, problem);
                told.push(directory);
            }
        }
    }
}

/// Whether files could be made in a directory, which may itself be still to be made.
fn check_writable(directory: &Path) -> Result<(), String> {
    let absolute = std::path::absolute(directory).map_err(|error| error.to_string())?;
    let Some(there) = absolute.ancestors().find(|path| path.exists()) else {
        return Err(format!("{} is nowhere", absolute.display()));
    };
    if !there.is_dir() {
        return Err(format!("{} is no directory", there.display()));
    }
    access(there, Access::WRITE_OK | Access::EXEC_OK)
        .map_err(|error| format!("{} can't be written: {error}", there.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_writable_where_it_could_be_made() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(check_writable(&directory.path().join("a/b/c")), Ok(()));
        let file = directory.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(check_writable(&file.join("x")).unwrap_err().contains("file is no directory"));
    }
}
