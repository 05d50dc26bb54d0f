use std::io;

use rustls::{AlertDescription, CertificateError};

/// A connection between processes failed.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    #[error("{peer}: {source}")]
    Io { peer: String, source: io::Error },
    #[error("can't listen on {address}: {source}")]
    Listen { address: String, source: io::Error },
    /// A certificate or key is missing, broken, expired, or of the wrong CA.
    #[error("{0}")]
    Tls(String),
    #[error("{peer} refused: {reason}")]
    Refused { peer: String, reason: String },
    /// Refused, for the cluster's configuration of this version does not list the caller.
    #[error("{peer} refused: this node is no member in configuration {version}")]
    NotMember { peer: String, version: u64 },
    /// A frame above the limit, or a malformed hello.
    #[error("{peer}: protocol violation: {cause}")]
    Protocol { peer: String, cause: String },
    #[error("{peer}: timed out")]
    TimedOut { peer: String },
}

impl NetError {
    /// Sorts an IO error of a TLS stream: rustls hides its own errors inside.
    pub(super) fn from_stream(peer: &str, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::UnexpectedEof {
            // rustls's text explains TLS; what matters is that the other end is gone.
            let source = io::Error::new(source.kind(), "the connection ended without a goodbye");
            return Self::Io { peer: peer.to_owned(), source };
        }
        match source.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(tls) => Self::Tls(format!("{peer}: {}", explain(tls))),
            None => Self::Io { peer: peer.to_owned(), source },
        }
    }
}

/// A TLS error in an operator's words.
pub(super) fn explain(error: &rustls::Error) -> String {
    use rustls::Error::{AlertReceived, InvalidCertificate, NoCertificatesPresented};
    let text = match error {
        InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "its certificate is not signed by the cluster's CA"
        }
        InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "its certificate has expired"
        }
        InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => "its certificate is not valid yet",
        InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "its certificate names somebody else",
        InvalidCertificate(
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. },
        ) => "its certificate is not made for this use",
        NoCertificatesPresented => "it presented no certificate",
        AlertReceived(
            AlertDescription::UnknownCA
            | AlertDescription::DecryptError
            | AlertDescription::BadCertificate,
        ) => "it refused our certificate: not signed by its CA",
        AlertReceived(AlertDescription::CertificateExpired) => {
            "it refused our certificate: expired"
        }
        other => return other.to_string(),
    };
    text.to_owned()
}
