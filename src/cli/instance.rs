//! The running instance that commands talk to: where it is, the key to it, and how it proves who it is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use reqwest::{Url, redirect};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::auth::local_key;
use crate::config::{Config, Secret};
use crate::domain::texts::innermost;

use super::exit::Failure;
use super::pinned;

/// Which instance, and by which key.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct InstanceArgs {
    /// Address of the running instance; the configured one where nothing is said
    #[arg(long, env = "CONTACTD_URL")]
    pub(super) url: Option<String>,
    /// API key to ask with; that of the instance on this machine where nothing is said
    #[arg(long, env = "CONTACTD_API_KEY", hide_env_values = true)]
    pub(super) key: Option<String>,
    /// Certificates (PEM) of which one must stand behind the instance's, instead of the system's
    #[arg(long, env = "CONTACTD_CACERT", value_name = "FILE")]
    pub(super) cacert: Option<PathBuf>,
}

/// A way to ask one instance.
pub(super) struct Instance {
    /// Without a slash at its end.
    pub(super) url: String,
    /// The same of where its `/metrics` is.
    pub(super) metrics_url: String,
    pub(super) key: Option<Secret>,
    pub(super) client: reqwest::Client,
}

impl Instance {
    /// The configured one, or another.
    pub(super) fn new(
        config: &Config,
        args: &InstanceArgs,
        answer_wait: Duration,
    ) -> anyhow::Result<Self> {
        let url = match &args.url {
            Some(text) => checked_url("--url", text)?.as_str().trim_end_matches('/').to_owned(),
            None => url(config),
        };
        let metrics_url = match config.telemetry.listen {
            Some(listen) if is_configured(config, &url) => {
                address_on(listen, config.server.tls.is_some())
            }
            Some(_) | None => url.clone(),
        };
        let key = key(config, args.key.as_deref(), &url);
        let client = client(config, &url, args.cacert.as_deref(), answer_wait)?;
        Ok(Self { url, metrics_url, key, client })
    }
}

/// Asks one instance, and no other: a redirect would take the key to wherever the answer says.
pub(super) fn client(
    config: &Config,
    url: &str,
    cacert: Option<&Path>,
    answer_wait: Duration,
) -> anyhow::Result<reqwest::Client> {
    let client = trusting(config, url, cacert).context("can't set up TLS")?;
    let client = client.no_proxy().redirect(redirect::Policy::none()).timeout(answer_wait);
    Ok(client.build()?)
}

/// What the instance must show: the configured certificate where it is the configured one.
fn trusting(
    config: &Config,
    url: &str,
    cacert: Option<&Path>,
) -> anyhow::Result<reqwest::ClientBuilder> {
    let client = reqwest::Client::builder();
    if let Some(file) = cacert {
        let trusted = pinned::client_config_of(certificates(file)?)?;
        return Ok(client.tls_backend_preconfigured(trusted));
    }
    match &config.server.tls {
        Some(tls) if is_configured(config, url) => {
            Ok(client.tls_backend_preconfigured(pinned::client_config(&tls.certificate)?))
        }
        Some(_) | None => Ok(client),
    }
}

/// Whether that is the configured instance, by any name of this machine.
fn is_configured(config: &Config, address: &str) -> bool {
    let port = checked_url("--url", address).ok().and_then(|url| url.port_or_known_default());
    address == url(config) || (is_here(address) && port == Some(config.server.listen.port()))
}

fn certificates(file: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let wrong = |problem: String| Failure::Usage(format!("--cacert {}: {problem}", file.display()));
    let pem = std::fs::read(file).map_err(|error| wrong(error.to_string()))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let found = found.map_err(|error| wrong(error.to_string()))?;
    if found.is_empty() {
        return Err(wrong("has no certificate in PEM".to_owned()).into());
    }
    Ok(found)
}

/// Where the configured instance answers on this machine.
pub(super) fn url(config: &Config) -> String {
    address_on(config.server.listen, config.server.tls.is_some())
}

/// Where what listens there is reached from this machine.
pub(super) fn address_on(listen: SocketAddr, speaks_tls: bool) -> String {
    let scheme = if speaks_tls { "https" } else { "http" };
    format!("{scheme}://{}", reachable(listen))
}

/// `http://host:port`, with a path where the instance is behind one.
pub(super) fn checked_url(flag: &str, text: &str) -> Result<Url, Failure> {
    let wrong = |problem: &str| {
        Failure::Usage(format!("{flag} {problem}; it must be like http://127.0.0.1:3000"))
    };
    let url = Url::parse(text).map_err(|error| wrong(&format!("is no URL ({error})")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(wrong("is no http or https address"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("holds a user name or a password"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("has a query or a fragment"));
    }
    Ok(url)
}

/// An address to connect to, for one that is listened on: that of all interfaces is none.
pub(super) fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// The key that was given, or that which the instance on this machine leaves in its data directory.
/// That one goes to no other machine.
pub(super) fn key(config: &Config, given: Option<&str>, url: &str) -> Option<Secret> {
    match given {
        Some(key) => Some(Secret::new(key)),
        None if is_here(url) => local_key(&config.store.path),
        None => None,
    }
}

/// Whether a request to it stays on this machine, as the library that sends it reads the address.
pub(super) fn is_here(url: &str) -> bool {
    let Ok(url) = checked_url("--url", url) else {
        return false;
    };
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

/// What to do about 401 and 403.
pub(super) fn refused(url: &str, had_key: bool) -> String {
    let why = if had_key {
        "does not let this API key do that"
    } else if is_here(url) {
        "needs an API key, and none of a running instance was found in the data directory (--path \
         names another one)"
    } else {
        "needs an API key, and that of the instance on this machine is not sent to others"
    };
    format!(
        "{url} {why}; give one with --key or CONTACTD_API_KEY (`contactd key create` makes them)"
    )
}

/// What to do where no answer comes.
pub(super) fn unreachable(url: &str, error: &reqwest::Error) -> Failure {
    let why = innermost(error);
    let advice = if why.contains("certificate") {
        "; --cacert FILE names the certificates to trust"
    } else if why.contains("InvalidContentType") {
        "; does it speak TLS at all? If not, its address begins with http://"
    } else if error.is_connect() {
        "; start it, or name another one by --url"
    } else {
        ""
    };
    Failure::Unreachable(format!("{url} does not answer: {why}{advice}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_local_key_stays_on_this_machine() {
        for here in [
            "http://127.0.0.1:3000",
            "http://127.1",
            "http://localhost:1/",
            "HTTP://LOCALHOST",
            "http://[::1]:3000",
            "http://[::ffff:127.0.0.1]:3000",
            "https://127.0.0.1",
        ] {
            assert!(is_here(here), "{here}");
        }
        for away in [
            "http://10.0.0.1:3000",
            "http://localhost.example.com",
            "http://127.0.0.1.example.com:80",
            "http://localhost:80@evil.example",
            "http://127.0.0.1@evil.example",
            "http://evil.example/@127.0.0.1",
            "http://evil.example#@localhost",
            "http://evil.example\\@127.0.0.1",
            "http:evil.example",
            "file://localhost/etc",
            "localhost",
            "",
        ] {
            assert!(!is_here(away), "{away}");
        }
    }

    #[test]
    fn an_address_is_the_beginning_of_its_paths() {
        let checked = |text| checked_url("--url", text).map(|url| url.as_str().to_owned());
        assert_eq!(checked("https://example.com/crm").unwrap(), "https://example.com/crm");
        for wrong in [
            "127.0.0.1:3000",
            "example.com",
            "ftp://example.com",
            "http://u:p@example.com",
            "http://localhost:80@evil.example",
            "http://example.com/?a=b",
            "http://example.com/#a",
        ] {
            assert!(checked(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_listens_everywhere_is_reached_here() {
        for (listen, reached) in [
            ("0.0.0.0:3000", "127.0.0.1:3000"),
            ("[::]:1", "[::1]:1"),
            ("10.1.2.3:80", "10.1.2.3:80"),
        ] {
            assert_eq!(reachable(listen.parse().unwrap()).to_string(), reached);
        }
    }
}
