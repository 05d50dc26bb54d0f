use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};
use tokio::signal::unix::{SignalKind, signal};

use super::NetError;
use super::error::explain;

/// CA, own certificate and key for mutual TLS; reloadable. Clones share one state.
#[derive(Clone)]
pub struct PeerTls(Arc<Shared>);

struct Shared {
    ca: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
    configs: ArcSwap<Configs>,
}

/// What the files said when they were last read.
struct Configs {
    name: PeerIdentity,
    accept: Arc<ServerConfig>,
    /// Checks that the certificate names the server asked for.
    dial_named: Arc<ClientConfig>,
    /// Checks the certificate's chain alone.
    dial_any: Arc<ClientConfig>,
}

/// Who is at the other end, by its certificate's first DNS name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PeerIdentity(pub String);

/// TLS's cryptography, never taken from a process-wide default.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

impl PeerTls {
    /// Reads PEM files. Errors name the file and what is wrong with it; a
    /// certificate that peers would refuse (expired, of another CA) is one.
    pub fn load(ca: &Path, certificate: &Path, key: &Path) -> Result<Self, NetError> {
        let configs = Configs::read(ca, certificate, key)?;
        Ok(Self(Arc::new(Shared {
            ca: ca.to_owned(),
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            configs: ArcSwap::from_pointee(configs),
        })))
    }

    /// Reads the same files again; connections made before go on. After an error
    /// the old certificates stay in use.
    pub fn reload(&self) -> Result<(), NetError> {
        let shared = &self.0;
        let configs = Configs::read(&shared.ca, &shared.certificate, &shared.key)?;
        shared.configs.store(Arc::new(configs));
        Ok(())
    }

    /// Reads the files again at every SIGHUP, and has `also` read what else there is. Runs
    /// until it is dropped.
    pub async fn reload_on_hangup(self, also: impl Fn() -> Result<(), NetError>) {
        let Ok(mut hangups) = signal(SignalKind::hangup()) else { return };
        while hangups.recv().await.is_some() {
            match self.reload().and_then(|()| also()) {
                Ok(()) => tracing::info!("certificates read again"),
                Err(error) => tracing::error!(%error, "certificates not read again"),
            }
        }
    }

    /// The name in the own certificate.
    pub fn name(&self) -> PeerIdentity {
        self.0.configs.load().name.clone()
    }

    pub(super) fn accept_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.configs.load().accept)
    }

    /// The configuration for dialling, and the server name to ask for.
    pub(super) fn dial_config(
        &self,
        expected: Option<&str>,
    ) -> Result<(Arc<ClientConfig>, ServerName<'static>), NetError> {
        let configs = self.0.configs.load();
        match expected {
            Some(name) => {
                let server = ServerName::try_from(name.to_owned())
                    .map_err(|_| NetError::Tls(format!("{name:?} can't stand in a certificate")))?;
                Ok((Arc::clone(&configs.dial_named), server))
            }
            None => {
                let server = ServerName::try_from("any").expect("a valid DNS name");
                Ok((Arc::clone(&configs.dial_any), server))
            }
        }
    }
}

impl Configs {
    fn read(ca: &Path, certificate: &Path, key: &Path) -> Result<Self, NetError> {
        let provider = provider();
        let mut roots = RootCertStore::empty();
        for root in read_certificates(ca)? {
            roots.add(root).map_err(|error| file_error(ca, explain(&error)))?;
        }
        let chain = read_certificates(certificate)?;
        check_own(&chain, &roots, &provider).map_err(|cause| file_error(certificate, cause))?;
        let name = identity(&chain[0])
            .ok_or_else(|| file_error(certificate, "it has no DNS name in it".to_owned()))?;
        let private = read_key(key)?;
        let roots = Arc::new(roots);

        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
                .build()
                .map_err(|error| file_error(ca, error.to_string()))?;
        let mut accept = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| NetError::Tls(explain(&error)))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain.clone(), private.clone_key())
            .map_err(|error| file_error(key, explain(&error)))?;
        accept.session_storage = Arc::new(NoServerSessionStorage {});
        accept.send_tls13_tickets = 0;

        let named =
            WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
                .build()
                .map_err(|error| file_error(ca, error.to_string()))?;
        let any = Arc::new(ChainVerifier { roots, provider: Arc::clone(&provider) });
        let dial = |verifier: Arc<dyn ServerCertVerifier>| {
            let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
                .with_protocol_versions(&[&rustls::version::TLS13])
                .map_err(|error| NetError::Tls(explain(&error)))?
                .dangerous()
                .with_custom_certificate_verifier(verifier)
                .with_client_auth_cert(chain.clone(), private.clone_key())
                .map_err(|error| file_error(key, explain(&error)))?;
            config.resumption = Resumption::disabled();
            Ok::<_, NetError>(Arc::new(config))
        };
        Ok(Self { name, accept: Arc::new(accept), dial_named: dial(named)?, dial_any: dial(any)? })
    }
}

/// What peers will check, checked at home first.
fn check_own(
    chain: &[CertificateDer<'_>],
    roots: &RootCertStore,
    provider: &CryptoProvider,
) -> Result<(), String> {
    ParsedCertificate::try_from(&chain[0])
        .and_then(|own| {
            rustls::client::verify_server_cert_signed_by_trust_anchor(
                &own,
                roots,
                &chain[1..],
                UnixTime::now(),
                provider.signature_verification_algorithms.all,
            )
        })
        .map_err(|error| explain(&error))
}

/// The first DNS name in a certificate.
pub(super) fn identity(certificate: &CertificateDer<'_>) -> Option<PeerIdentity> {
    let parsed = webpki::EndEntityCert::try_from(certificate).ok()?;
    let name = parsed.valid_dns_names().next()?;
    Some(PeerIdentity(name.to_owned()))
}

pub(super) fn read_certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, NetError> {
    let certificates: Vec<_> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|error| file_error(file, pem_cause(error)))?;
    if certificates.is_empty() {
        return Err(file_error(file, "it holds no certificate".to_owned()));
    }
    Ok(certificates)
}

pub(super) fn read_key(file: &Path) -> Result<PrivateKeyDer<'static>, NetError> {
    PrivateKeyDer::from_pem_file(file).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => {
            file_error(file, "it holds no private key".to_owned())
        }
        other => file_error(file, pem_cause(other)),
    })
}

fn pem_cause(error: rustls::pki_types::pem::Error) -> String {
    match error {
        rustls::pki_types::pem::Error::Io(error) => error.to_string(),
        other => format!("it is not valid PEM: {other}"),
    }
}

pub(super) fn file_error(file: &Path, cause: String) -> NetError {
    NetError::Tls(format!("{}: {cause}", file.display()))
}

/// Accepts any server whose certificate the CA signed, whatever its name: for
/// addresses of which only the role is known.
#[derive(Debug)]
struct ChainVerifier {
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for ChainVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        rustls::client::verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(end_entity)?,
            &self.roots,
            intermediates,
            now,
            self.provider.signature_verification_algorithms.all,
        )?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signed,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signed,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
