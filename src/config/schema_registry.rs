//! Where the schemas of Avro records are.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;

use super::fields::{Fields, millis};
use super::secret::Secret;

/// A schema registry.
#[derive(Clone, Debug)]
pub struct SchemaRegistryConfig {
    /// Its address, with a slash at the end.
    pub url: Url,
    /// Who asks; none: nobody in particular.
    pub login: Option<(String, Secret)>,
    /// The certificate authorities that it is trusted by; none: those of the system.
    pub ca_file: Option<PathBuf>,
    /// How long it may take to answer.
    pub timeout: Duration,
    /// How old a record is at least when an id that is not known makes a dead letter of it.
    pub unknown_wait: Duration,
}

/// None: Avro records are dead letters.
pub(super) fn schema_registry(fields: &mut Fields<'_>) -> Option<SchemaRegistryConfig> {
    let url = url(fields);
    let user = fields.optional("schema_registry.user");
    let password = fields.secret("schema_registry.password");
    let login = match (user, password) {
        (Some(user), Some(password)) => Some((user, password)),
        (None, None) => None,
        (Some(_), None) => {
            let problem = "is set without schema_registry.password";
            fields.refuse("schema_registry.user", problem);
            None
        }
        (None, Some(_)) => {
            let problem = "is set without schema_registry.user";
            fields.refuse("schema_registry.password", problem);
            None
        }
    };
    let ca_file = fields.optional_path("schema_registry.ca_file");
    let timeout = fields.duration("schema_registry.timeout", millis(10, 60_000));
    let unknown_wait = fields.duration("schema_registry.unknown_wait", millis(0, 3_600_000));
    Some(SchemaRegistryConfig { url: url?, login, ca_file, timeout, unknown_wait })
}

fn url(fields: &mut Fields<'_>) -> Option<Url> {
    const KEY: &str = "schema_registry.url";
    let text = fields.optional(KEY)?;
    let mut refuse = |problem: &str| {
        fields.refuse(KEY, format!("{problem}; it must be like \"https://registry:8081\""));
        None
    };
    let Ok(mut url) = Url::parse(&text) else {
        return refuse("is no URL");
    };
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return refuse("is no http or https address");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("holds a user or a password, which have settings of their own");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return refuse("has a query or a fragment");
    }
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Some(url)
}

#[cfg(test)]
mod tests {
    use crate::config::{FlagSetting, Mode, SchemaRegistryConfig, Sources, load};

    fn loaded(settings: &[(&str, &str)]) -> Result<Option<SchemaRegistryConfig>, String> {
        let flag = |(key, value): &(&str, &str)| FlagSetting {
            flag: "--set".to_owned(),
            key: format!("schema_registry.{key}"),
            value: (*value).to_owned(),
        };
        let flags = settings.iter().map(flag).collect();
        let config = load(&Sources { flags, ..Sources::new(Mode::Dev) });
        config.map(|config| config.schema_registry).map_err(|errors| errors.to_string())
    }

    #[test]
    fn without_an_address_there_is_none() {
        assert!(loaded(&[]).unwrap().is_none());
    }

    #[test]
    fn an_address_keeps_its_path_and_a_login_its_secret() {
        let settings = [
            ("url", "http://registry:8080/apis/ccompat/v7"),
            ("user", "contactd"),
            ("password", "hunter2"),
        ];
        let config = loaded(&settings).unwrap().unwrap();
        assert_eq!(config.url.as_str(), "http://registry:8080/apis/ccompat/v7/");
        assert!(config.login.is_some() && !format!("{config:?}").contains("hunter2"));
    }

    #[test]
    fn what_is_wrong_is_named_and_shows_no_secret() {
        for (settings, problem) in [
            (vec![("url", "registry:8081")], "schema_registry.url is no http or https address"),
            (vec![("url", "http://u:hunter2@registry")], "holds a user or a password"),
            (vec![("url", "http://registry/?x=1")], "has a query"),
            (vec![("url", "::")], "schema_registry.url is no URL"),
            (vec![("user", "u")], "schema_registry.user is set without"),
            (vec![("password", "hunter2")], "schema_registry.password is set without"),
        ] {
            let error = loaded(&settings).unwrap_err();
            assert!(error.contains(problem) && !error.contains("hunter2"), "{error}");
        }
    }
}
