//! Whom the command line trusts over TLS: the instance on this machine by the configured certificate,
//! whatever names stand in it and whoever signed it, and others by a file of certificates.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

/// Talks to nobody who can't prove to hold the key of the first certificate in this file.
pub(super) fn client_config(certificate: &Path) -> anyhow::Result<ClientConfig> {
    let expected = CertificateDer::from_pem_file(certificate)
        .with_context(|| format!("server.tls_certificate {}", certificate.display()))?;
    trusting(Verifier { own: vec![expected], signers: None, provider: provider() })
}

/// Talks to whom one of these certificates belongs, or whom they have signed, by the name that it is
/// asked by. webpki alone refuses the plain certificate that `openssl req -x509` makes: it may sign.
pub(super) fn client_config_of(own: Vec<CertificateDer<'static>>) -> anyhow::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in &own {
        roots.add(certificate.clone())?;
    }
    let signers =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build()?;
    trusting(Verifier { own, signers: Some(signers), provider: provider() })
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn trusting(verifier: Verifier) -> anyhow::Result<ClientConfig> {
    let config = ClientConfig::builder_with_provider(Arc::clone(&verifier.provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(config)
}

#[derive(Debug)]
struct Verifier {
    /// Trusted as they are.
    own: Vec<CertificateDer<'static>>,
    /// For all others, and for names; none: nobody else, and by any name.
    signers: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let is_own = self.own.contains(end_entity);
        match &self.signers {
            None if is_own => {}
            None => return Err(CertificateError::ApplicationVerificationFailure.into()),
            Some(_) if is_own => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
            }
            Some(signers) => {
                return signers.verify_server_cert(
                    end_entity,
                    intermediates,
                    server_name,
                    ocsp_response,
                    now,
                );
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
