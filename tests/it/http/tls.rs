//! TLS with a certificate of our own, and one that is changed meanwhile.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use contactd::http::{ServeOptions, Tls, serve};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use super::fixture::Fixture;
use super::limits::configured;
use super::sockets::bounds;
use crate::support::instance::Instance;
use crate::support::services::skip;

const DEADLINE: Duration = Duration::from_secs(20);

/// A self-signed certificate for 127.0.0.1 and its key, by the openssl command.
pub(super) fn certificate(directory: &Path) -> bool {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-days", "2", "-subj", "/CN=contactd", "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", "key.pem"])
        .args(["-out", "cert.pem"])
        .current_dir(directory)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    made.is_ok_and(|status| status.success())
}

/// Who trusts nothing but that certificate.
fn trusting(certificate: &Path) -> TlsConnector {
    trusting_by(certificate, &[])
}

/// The same, speaking these protocols.
pub(super) fn trusting_by(certificate: &Path, protocols: &[&str]) -> TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    // A session that goes on shows no certificate.
    config.resumption = rustls::client::Resumption::disabled();
    TlsConnector::from(Arc::new(config))
}

async fn asked(connector: &TlsConnector, address: std::net::SocketAddr) -> std::io::Result<String> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let mut stream = connector.connect(name, stream).await?;
    stream.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn only_tls_is_spoken_and_a_renewed_certificate_is_shown_without_a_restart() {
    let test = "only_tls_is_spoken_and_a_renewed_certificate_is_shown_without_a_restart";
    let directory = tempfile::tempdir().unwrap();
    if !certificate(directory.path()) {
        skip(test, "there is no openssl command (apt-get install openssl)");
        return;
    }
    let (cert, key) = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
    let fixture = Fixture::with_contacts(0);
    let text = format!("server.tls_certificate = {cert:?}\nserver.tls_key = {key:?}");
    let router = configured(&fixture, &text);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let options = ServeOptions {
        first_byte_timeout: DEADLINE,
        header_timeout: DEADLINE,
        write_timeout: DEADLINE,
        drain_timeout: Duration::from_secs(5),
        connections: bounds(8),
        head_bytes_max: 64 * 1024,
        streams_max: 100,
        tls: Some(Arc::new(Tls::load(&cert, &key).unwrap())),
    };
    let serving = serve(listener, router, options, shutdown.clone());
    #[expect(clippy::disallowed_methods, reason = "the test itself waits for it")]
    let ended = tokio::spawn(async move { serving.await.unwrap() });

    let first = trusting(&cert);
    let answer = asked(&first, address).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("strict-transport-security: max-age="), "{answer}");
    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"));

    // A broken one first: the old one stays.
    std::fs::write(&cert, "no certificate").unwrap();
    assert!(certificate(directory.path()));
    let renewed = trusting(&cert);
    let end = std::time::Instant::now() + DEADLINE;
    while asked(&renewed, address).await.is_err() {
        assert!(std::time::Instant::now() < end, "the renewed certificate is not shown");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    asked(&first, address).await.unwrap_err();
    shutdown.cancel();
    tokio::time::timeout(DEADLINE, ended).await.expect("the drain ends").unwrap();
}

#[tokio::test]
async fn the_address_of_metrics_speaks_tls_where_the_api_does() {
    let directory = tempfile::tempdir().unwrap();
    if !certificate(directory.path()) {
        let test = "the_address_of_metrics_speaks_tls_where_the_api_does";
        skip(test, "there is no openssl command (apt-get install openssl)");
        return;
    }
    let file = |name: &str| directory.path().join(name);
    let instance = Instance::builder()
        .with("server.tls_certificate", file("cert.pem").display())
        .with("server.tls_key", file("key.pem").display())
        .with("telemetry.listen", "127.0.0.1:0")
        .begin(tempfile::tempdir().unwrap());
    let answer = asked(&trusting(&file("cert.pem")), instance.metrics_address).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let plain = reqwest::get(format!("http://{}/metrics", instance.metrics_address)).await;
    assert!(plain.is_err(), "{plain:?}");
}

#[test]
fn what_can_not_be_used_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let (cert, key) = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
    let error = Tls::load(&cert, &key).unwrap_err().to_string();
    assert!(error.contains("cert.pem"), "{error}");
    std::fs::write(&cert, "no certificate").unwrap();
    let error = Tls::load(&cert, &key).unwrap_err().to_string();
    assert!(error.contains("cert.pem") && error.contains("PEM"), "{error}");
    if !certificate(directory.path()) {
        skip("what_can_not_be_used_is_named", "there is no openssl command");
        return;
    }
    let other = tempfile::tempdir().unwrap();
    assert!(certificate(other.path()));
    let error = Tls::load(&cert, &other.path().join("key.pem")).unwrap_err().to_string();
    assert!(error.contains("cert.pem") && error.contains("key.pem"), "{error}");
    std::fs::write(&key, "secret but no PEM").unwrap();
    let error = Tls::load(&cert, &key).unwrap_err().to_string();
    assert!(error.contains("key.pem") && !error.contains("secret but"), "{error}");
}
