use std::collections::BTreeSet;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};

use super::NetError;

/// The subject of every authority made here: an issuer is found by it, so that the
/// key alone is enough to issue further certificates.
const AUTHORITY_NAME: &str = "Towline cluster CA";

/// A cluster's certificate authority.
pub struct Authority {
    params: CertificateParams,
    key: KeyPair,
}

/// A certificate and its key, PEM.
pub struct Issued {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    /// A new authority, and its files. Valid for `years` from `today` (year, month, day).
    pub fn generate(today: (i32, u8, u8), years: i32) -> Result<(Self, Issued), NetError> {
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = Self::params()?;
        set_validity(&mut params, today, years);
        let certificate = params.self_signed(&key).map_err(failed)?.pem();
        let issued = Issued { certificate, key: key.serialize_pem() };
        Ok((Self { params, key }, issued))
    }

    /// An authority made here before, from its key's PEM.
    pub fn from_key(key: &str) -> Result<Self, NetError> {
        let key = KeyPair::from_pem(key)
            .map_err(|error| NetError::Tls(format!("the CA's key is not usable: {error}")))?;
        Ok(Self { params: Self::params()?, key })
    }

    /// A certificate for a process: `name` is its identity, `hosts` the host names
    /// and IP addresses under which clients reach it, `localhost` aside. Serves
    /// both ends of mutual TLS, and TLS towards SQL clients.
    pub fn issue(
        &self,
        name: &str,
        hosts: &[String],
        today: (i32, u8, u8),
        years: i32,
    ) -> Result<Issued, NetError> {
        let mut names = vec![name.to_owned()];
        for host in ["localhost", "127.0.0.1", "::1"].into_iter().map(str::to_owned) {
            names.push(host);
        }
        names.extend(hosts.iter().cloned());
        let mut seen = BTreeSet::new();
        names.retain(|name| seen.insert(name.clone()));

        let mut params = CertificateParams::new(names).map_err(failed)?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        set_validity(&mut params, today, years);

        let key = KeyPair::generate().map_err(failed)?;
        let issuer = Issuer::from_params(&self.params, &self.key);
        let certificate = params.signed_by(&key, &issuer).map_err(failed)?.pem();
        Ok(Issued { certificate, key: key.serialize_pem() })
    }

    fn params() -> Result<CertificateParams, NetError> {
        let mut params = CertificateParams::new(Vec::<String>::new()).map_err(failed)?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, AUTHORITY_NAME);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Ok(params)
    }
}

/// From the day before `today`, so that clocks and time zones need not agree.
fn set_validity(params: &mut CertificateParams, (year, month, day): (i32, u8, u8), years: i32) {
    params.not_before = date_time_ymd(year, month, day) - Duration::from_secs(24 * 3600);
    // The 29th of February has no counterpart in most years.
    params.not_after = date_time_ymd(year + years, month, day.min(28));
}

fn failed(error: rcgen::Error) -> NetError {
    NetError::Tls(format!("can't make a certificate: {error}"))
}
