//! Digests of text and bytes: PostgreSQL's own functions, those of its extension pgcrypto,
//! and UUIDs that are made of names as uuid-ossp does.

use aws_lc_rs::digest as aws;
use md5::{Digest as _, Md5};
use uuid::{Builder, Uuid};

use super::PURE;
use super::call::{Answer, Call, Registry, text};
use super::text::hex;
use crate::log::Value;
use crate::pg::types::parse_uuid;
use crate::pg::{SqlError, SqlState};

pub(super) fn register(registry: Registry<'_>) -> rusqlite::Result<()> {
    registry.define_strict(
        PURE,
        &[
            ("digest", 2, |call| {
                let algorithm = Algorithm::named(&call.text(1)?)?;
                Ok(Value::Blob(algorithm.digest(&call.bytes(0)?)))
            }),
            ("hmac", 3, |call| {
                let algorithm = Algorithm::named(&call.text(2)?)?;
                Ok(Value::Blob(algorithm.hmac(&call.bytes(0)?, &call.bytes(1)?)))
            }),
            ("md5", 1, |call| text(hex(&Algorithm::Md5.digest(&call.bytes(0)?)))),
            ("sha224", 1, |call| sha(call, &aws::SHA224)),
            ("sha256", 1, |call| sha(call, &aws::SHA256)),
            ("sha384", 1, |call| sha(call, &aws::SHA384)),
            ("sha512", 1, |call| sha(call, &aws::SHA512)),
            ("uuid_generate_v3", 2, |call| {
                named_uuid(call, Algorithm::Md5, Builder::from_md5_bytes)
            }),
            ("uuid_generate_v5", 2, |call| named_uuid(call, SHA1, Builder::from_sha1_bytes)),
            ("uuid_nil", 0, |_| text(Uuid::nil().to_string())),
            ("uuid_ns_dns", 0, |_| text(Uuid::NAMESPACE_DNS.to_string())),
            ("uuid_ns_oid", 0, |_| text(Uuid::NAMESPACE_OID.to_string())),
            ("uuid_ns_url", 0, |_| text(Uuid::NAMESPACE_URL.to_string())),
            ("uuid_ns_x500", 0, |_| text(Uuid::NAMESPACE_X500.to_string())),
        ],
    )
}

enum Algorithm {
    Md5,
    Sha(&'static aws::Algorithm),
}

const SHA1: Algorithm = Algorithm::Sha(&aws::SHA1_FOR_LEGACY_USE_ONLY);

impl Algorithm {
    fn named(name: &str) -> Result<Self, SqlError> {
        Ok(match name.to_ascii_lowercase().as_str() {
            "md5" => Self::Md5,
            "sha1" => SHA1,
            "sha224" => Self::Sha(&aws::SHA224),
            "sha256" => Self::Sha(&aws::SHA256),
            "sha384" => Self::Sha(&aws::SHA384),
            "sha512" => Self::Sha(&aws::SHA512),
            _ => {
                return Err(SqlError::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    format!("Cannot use \"{name}\": No such hash algorithm"),
                ));
            }
        })
    }

    fn digest(&self, data: &[u8]) -> Vec<u8> {
        match self {
            Self::Md5 => Md5::digest(data).to_vec(),
            Self::Sha(algorithm) => aws::digest(algorithm, data).as_ref().to_vec(),
        }
    }

    /// As RFC 2104 has it.
    fn hmac(&self, data: &[u8], key: &[u8]) -> Vec<u8> {
        let block = match self {
            Self::Md5 => 64,
            Self::Sha(algorithm) => algorithm.block_len(),
        };
        let mut key = if key.len() > block { self.digest(key) } else { key.to_vec() };
        key.resize(block, 0);
        let keyed = |pad: u8, data: &[u8]| {
            let padded = key.iter().map(|byte| byte ^ pad).chain(data.iter().copied());
            self.digest(&padded.collect::<Vec<u8>>())
        };
        keyed(0x5c, &keyed(0x36, data))
    }
}

fn sha(call: &Call<'_, '_>, algorithm: &'static aws::Algorithm) -> Answer {
    Ok(Value::Blob(Algorithm::Sha(algorithm).digest(&call.bytes(0)?)))
}

/// A UUID of a name in a namespace, which is a UUID too.
fn named_uuid(call: &Call<'_, '_>, algorithm: Algorithm, build: fn([u8; 16]) -> Builder) -> Answer {
    let mut data = parse_uuid(&call.text(0)?)?.to_vec();
    data.extend_from_slice(call.text(1)?.as_bytes());
    let mut head = [0; 16];
    head.copy_from_slice(&algorithm.digest(&data)[..16]);
    text(build(head).into_uuid().to_string())
}

#[cfg(test)]
mod tests {
    use super::super::call::tests::check;

    #[test]
    fn digests_are_of_text_and_of_bytes() {
        check(&[
            ("md5('abc')", "900150983cd24fb0d6963f7d28e17f72"),
            ("md5(x'616263')", "900150983cd24fb0d6963f7d28e17f72"),
            (
                "sha256('abc')",
                "\\xba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            ),
            ("digest('abc', 'SHA1')", "\\xa9993e364706816aba3e25717850c26c9cd0d89d"),
            ("digest(x'616263', 'md5')", "\\x900150983cd24fb0d6963f7d28e17f72"),
            ("digest('abc', 'crc')", "22023"),
            (
                "hmac('what do ya want for nothing?', 'Jefe', 'md5')",
                "\\x750c783e6ab0b503eaa86e310a5db738",
            ),
            (
                "hmac('what do ya want for nothing?', 'Jefe', 'sha1')",
                "\\xeffcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
            ),
            (
                "uuid_generate_v3(uuid_ns_url(), 'http://www.postgresql.org')",
                "cf16fe52-3365-3a1f-8572-288d8d2aaa46",
            ),
            (
                "uuid_generate_v5(uuid_ns_url(), 'http://www.postgresql.org')",
                "e1ee1ad4-cd4e-5889-962a-4f605a68d94e",
            ),
        ]);
    }
}
