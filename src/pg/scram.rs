//! SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, 7677), the server's side.
//!
//! ```text
//! Offered --first--> Challenged --last--> server-final message
//!     \________________\_______________> error, FATAL
//! ```
//!
//! Nonces come in as arguments. An unknown user gets an exchange against a
//! verifier that is derived from a secret and the name, so that from outside it
//! looks like a wrong password.
use aws_lc_rs::{constant_time, digest, hmac, pbkdf2};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;

use super::wire::Reader;
use super::{SqlError, SqlState};

pub const SHA_256: &str = "SCRAM-SHA-256";
pub const SHA_256_PLUS: &str = "SCRAM-SHA-256-PLUS";

/// Rounds for verifiers made here, as in PostgreSQL.
pub const ITERATIONS: u32 = 4096;

/// More than any client would do willingly, and as much as one verifier may cost.
const ITERATIONS_MAX: u32 = 1_000_000;

const KEY_LENGTH: usize = 32;

/// What the server stores in place of a password, spelled as PostgreSQL does:
/// `SCRAM-SHA-256$4096:salt$StoredKey:ServerKey`, the last three in base 64.
#[derive(Clone, Eq, PartialEq)]
pub struct Verifier {
    iterations: u32,
    salt: Vec<u8>,
    stored_key: [u8; KEY_LENGTH],
    server_key: [u8; KEY_LENGTH],
}

/// The text is not a verifier.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a SCRAM verifier (SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey)")]
pub struct InvalidVerifier;

impl Verifier {
    /// Makes one; `salt` is random, 16 bytes are usual.
    pub fn from_password(password: &str, salt: &[u8], iterations: u32) -> Self {
        let iterations = iterations.clamp(1, ITERATIONS_MAX);
        let rounds = std::num::NonZeroU32::new(iterations).expect("clamped above zero");
        let mut salted = [0; KEY_LENGTH];
        let prepared = prepare(password);
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, salt, prepared.as_bytes(), &mut salted);
        Self {
            iterations,
            salt: salt.to_vec(),
            stored_key: sha256(&mac(&salted, &[b"Client Key"])),
            server_key: mac(&salted, &[b"Server Key"]),
        }
    }

    /// For a user who does not exist: always the same for one secret and name,
    /// and matched by no password.
    pub fn mock(secret: &[u8], user: &str) -> Self {
        let salt = mac(secret, &[b"salt", user.as_bytes()]);
        Self {
            iterations: ITERATIONS,
            salt: salt[..16].to_vec(),
            stored_key: mac(secret, &[b"stored key", user.as_bytes()]),
            server_key: mac(secret, &[b"server key", user.as_bytes()]),
        }
    }

    /// Whether `password` is the one this was made from. Takes as long as making one.
    pub fn matches(&self, password: &str) -> bool {
        let made = Self::from_password(password, &self.salt, self.iterations);
        constant_time::verify_slices_are_equal(&made.stored_key, &self.stored_key).is_ok()
    }
}

impl std::str::FromStr for Verifier {
    type Err = InvalidVerifier;

    fn from_str(text: &str) -> Result<Self, InvalidVerifier> {
        let parse = || {
            let (head, keys) = text.strip_prefix("SCRAM-SHA-256$")?.split_once('$')?;
            let (iterations, salt) = head.split_once(':')?;
            let (stored_key, server_key) = keys.split_once(':')?;
            let iterations = iterations.parse().ok()?;
            let verifier = Self {
                iterations,
                salt: BASE64.decode(salt).ok()?,
                stored_key: BASE64.decode(stored_key).ok()?.try_into().ok()?,
                server_key: BASE64.decode(server_key).ok()?.try_into().ok()?,
            };
            (1..=ITERATIONS_MAX).contains(&iterations).then_some(verifier)
        };
        parse().ok_or(InvalidVerifier)
    }
}

impl std::fmt::Display for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "SCRAM-SHA-256${}:{}${}:{}",
            self.iterations,
            BASE64.encode(&self.salt),
            BASE64.encode(self.stored_key),
            BASE64.encode(self.server_key)
        )
    }
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verifier(..)")
    }
}

/// Mechanisms are offered; the client's first message is awaited.
#[derive(Debug)]
pub struct Offered {
    user: String,
    verifier: Verifier,
    /// The `tls-server-end-point` of the connection, if it is encrypted and has one.
    binding: Option<Vec<u8>>,
}

impl Offered {
    /// Begins an exchange. `binding` is [`server_end_point`] of the certificate that
    /// the client was shown, `None` on a plain connection.
    pub fn new(user: &str, verifier: Verifier, binding: Option<Vec<u8>>) -> Self {
        Self { user: user.to_owned(), verifier, binding }
    }

    /// What to offer.
    pub fn mechanisms(&self) -> &'static [&'static str] {
        if self.binding.is_some() { &[SHA_256_PLUS, SHA_256] } else { &[SHA_256] }
    }

    /// Takes the SASLInitialResponse (the body of a `p` message) and a fresh random
    /// nonce; gives the data of AuthenticationSASLContinue.
    pub fn first(self, body: &Bytes, nonce: &[u8; 18]) -> Result<(Challenged, Vec<u8>), SqlError> {
        let mut body = Reader(body.clone());
        let mechanism = body.string().map_err(|_| malformed("The mechanism is not text."))?;
        let plus = match mechanism.as_str() {
            SHA_256 => false,
            SHA_256_PLUS if self.binding.is_some() => true,
            _ => {
                return Err(SqlError::fatal(
                    SqlState::PROTOCOL_VIOLATION,
                    "client selected an invalid SASL authentication mechanism",
                ));
            }
        };
        let data = body
            .value()
            .ok()
            .flatten()
            .filter(|_| body.finish().is_ok())
            .ok_or_else(|| malformed("The initial response is missing."))?;
        let text = ascii(&data)?;

        let mut fields = text.splitn(3, ',');
        let (flag, identity, bare) = (fields.next(), fields.next(), fields.next());
        let (Some(flag), Some(identity), Some(bare)) = (flag, identity, bare) else {
            return Err(malformed("The header is incomplete."));
        };
        match (flag, plus) {
            ("p=tls-server-end-point", true) | ("n", false) => {}
            ("y", false) if self.binding.is_some() => {
                return Err(SqlError::fatal(
                    SqlState::PROTOCOL_VIOLATION,
                    "SCRAM channel binding negotiation error",
                )
                .with_detail(
                    "The client supports SCRAM channel binding but thinks the server does not.  However, this server does support channel binding.",
                ));
            }
            ("y", false) => {}
            (flag, true) if flag.starts_with("p=") => {
                return Err(SqlError::fatal(
                    SqlState::PROTOCOL_VIOLATION,
                    "unsupported SCRAM channel-binding type",
                ));
            }
            _ => return Err(malformed("The channel-binding flag does not fit the mechanism.")),
        }
        if !identity.is_empty() {
            return Err(SqlError::fatal(
                SqlState::FEATURE_NOT_SUPPORTED,
                "client uses authorization identity, but it is not supported",
            ));
        }

        let mut attributes = bare.split(',');
        let name = attributes.next().unwrap_or_default();
        if name.starts_with("m=") {
            return Err(SqlError::fatal(
                SqlState::FEATURE_NOT_SUPPORTED,
                "client requires an unsupported SCRAM extension",
            ));
        }
        // The name in here is ignored: the start-up message's holds.
        if !name.starts_with("n=") {
            return Err(malformed("The user name is missing."));
        }
        let client_nonce = attributes
            .next()
            .and_then(|attribute| attribute.strip_prefix("r="))
            .filter(|nonce| !nonce.is_empty() && nonce.bytes().all(|b| b.is_ascii_graphic()))
            .ok_or_else(|| malformed("The nonce is missing or not printable."))?;

        let nonce = format!("{client_nonce}{}", BASE64.encode(nonce));
        let server_first = format!(
            "r={nonce},s={},i={}",
            BASE64.encode(&self.verifier.salt),
            self.verifier.iterations
        );
        let mut bound = format!("{flag},,").into_bytes();
        if plus {
            bound.extend_from_slice(self.binding.as_deref().unwrap_or_default());
        }
        let challenged = Challenged {
            user: self.user,
            verifier: self.verifier,
            channel: BASE64.encode(bound),
            nonce,
            transcript: format!("{bare},{server_first}"),
        };
        Ok((challenged, server_first.into_bytes()))
    }
}

/// The salt is sent; the client's proof is awaited.
#[derive(Debug)]
pub struct Challenged {
    user: String,
    verifier: Verifier,
    /// What the client's `c=` must say.
    channel: String,
    /// Both nonces.
    nonce: String,
    /// The messages so far, as they enter the signature.
    transcript: String,
}

impl Challenged {
    /// Takes the SASLResponse (the body of a `p` message); gives the data of
    /// AuthenticationSASLFinal, after which the user is who they say.
    pub fn last(self, body: &[u8]) -> Result<Vec<u8>, SqlError> {
        let text = ascii(body)?;
        let (without_proof, proof) =
            text.rsplit_once(",p=").ok_or_else(|| malformed("The proof is missing."))?;
        let mut attributes = without_proof.split(',');
        let channel = attributes
            .next()
            .and_then(|attribute| attribute.strip_prefix("c="))
            .ok_or_else(|| malformed("The channel binding is missing."))?;
        let nonce = attributes
            .next()
            .and_then(|attribute| attribute.strip_prefix("r="))
            .ok_or_else(|| malformed("The nonce is missing."))?;
        if channel != self.channel {
            return Err(SqlError::fatal(
                SqlState::INVALID_AUTHORIZATION,
                "SCRAM channel binding check failed",
            ));
        }
        if nonce != self.nonce {
            return Err(malformed("The nonce does not match."));
        }
        let proof: [u8; KEY_LENGTH] = BASE64
            .decode(proof)
            .ok()
            .and_then(|proof| proof.try_into().ok())
            .ok_or_else(|| malformed("The proof is malformed."))?;

        let signed: [&[u8]; 3] = [self.transcript.as_bytes(), b",", without_proof.as_bytes()];
        let signature = mac(&self.verifier.stored_key, &signed);
        let mut client_key = proof;
        client_key.iter_mut().zip(signature).for_each(|(key, byte)| *key ^= byte);
        let stored_key = sha256(&client_key);
        if constant_time::verify_slices_are_equal(&stored_key, &self.verifier.stored_key).is_err() {
            return Err(password_failed(&self.user));
        }
        let signature = mac(&self.verifier.server_key, &signed);
        Ok(format!("v={}", BASE64.encode(signature)).into_bytes())
    }
}

/// The error for a wrong password or an unknown user, which look alike.
pub fn password_failed(user: &str) -> SqlError {
    SqlError::fatal(
        SqlState::INVALID_PASSWORD,
        format!("password authentication failed for user \"{user}\""),
    )
}

/// The channel-binding data `tls-server-end-point` (RFC 5929) of a DER certificate:
/// its hash by the algorithm of its own signature, SHA-256 in place of MD5 and
/// SHA-1. `None` where the signature has no hash of its own (Ed25519) or is unknown.
pub fn server_end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    const RSA: [u8; 8] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
    const ECDSA: [u8; 7] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03];
    let (outer, _) = der_element(certificate, 0x30)?;
    let (_, behind_tbs) = der_element(outer, 0x30)?;
    let (algorithm, _) = der_element(behind_tbs, 0x30)?;
    let (identifier, _) = der_element(algorithm, 0x06)?;
    let (last, family) = identifier.split_last()?;
    let algorithm = match (family, last) {
        (family, 4 | 5 | 11) if family == RSA => &digest::SHA256,
        (family, 12) if family == RSA => &digest::SHA384,
        (family, 13) if family == RSA => &digest::SHA512,
        (family, 2) if family == ECDSA => &digest::SHA256,
        (family, 3) if family == ECDSA => &digest::SHA384,
        (family, 4) if family == ECDSA => &digest::SHA512,
        _ => return None,
    };
    Some(digest::digest(algorithm, certificate).as_ref().to_vec())
}

/// The content of the DER element at the front, and what lies behind it.
fn der_element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = bytes.split_first()?;
    let (&short, mut rest) = rest.split_first()?;
    let mut length = usize::from(short);
    if short >= 0x80 {
        let count = usize::from(short & 0x7f);
        if !(1..=4).contains(&count) || rest.len() < count {
            return None;
        }
        let (digits, behind) = rest.split_at(count);
        length = digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit));
        rest = behind;
    }
    (found == tag && length <= rest.len()).then(|| rest.split_at(length))
}

/// SASLprep; a password that it prohibits is taken as it stands, as in PostgreSQL.
fn prepare(password: &str) -> std::borrow::Cow<'_, str> {
    stringprep::saslprep(password).unwrap_or(std::borrow::Cow::Borrowed(password))
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; KEY_LENGTH] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    parts.iter().for_each(|part| context.update(part));
    context.sign().as_ref().try_into().expect("HMAC-SHA-256 gives 32 bytes")
}

fn sha256(bytes: &[u8]) -> [u8; KEY_LENGTH] {
    let hash = digest::digest(&digest::SHA256, bytes);
    hash.as_ref().try_into().expect("SHA-256 gives 32 bytes")
}

fn ascii(bytes: &[u8]) -> Result<&str, SqlError> {
    std::str::from_utf8(bytes)
        .ok()
        .filter(|text| !text.contains('\0'))
        .ok_or_else(|| malformed("The message is not text."))
}

fn malformed(detail: &str) -> SqlError {
    SqlError::fatal(SqlState::PROTOCOL_VIOLATION, "malformed SCRAM message").with_detail(detail)
}

#[cfg(test)]
mod tests {
    use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
    use proptest::prelude::*;

    use super::*;

    fn initial(mechanism: &str, data: &[u8]) -> Bytes {
        let mut body = format!("{mechanism}\0").into_bytes();
        body.extend_from_slice(&(data.len() as i32).to_be_bytes());
        body.extend_from_slice(data);
        body.into()
    }

    fn verifier(password: &str) -> Verifier {
        Verifier::from_password(password, b"0123456789abcdef", ITERATIONS)
    }

    /// Runs a client of another make against us.
    fn exchange(
        verifier: Verifier,
        password: &str,
        client: ChannelBinding,
        server: Option<Vec<u8>>,
        mechanism: &str,
    ) -> Result<(), SqlError> {
        let mut client = ScramSha256::new(password.as_bytes(), client);
        let offered = Offered::new("u", verifier, server);
        let (challenged, first) = offered.first(&initial(mechanism, client.message()), &[7; 18])?;
        client.update(&first).expect("the client takes the challenge");
        let last = challenged.last(client.message())?;
        client.finish(&last).expect("the client takes the signature");
        Ok(())
    }

    #[test]
    fn the_right_password_is_proved() {
        for password in ["pencil", "", "päßwörd", "\u{1}", "a\u{a0}b", "Ⅸ"] {
            let unsupported = ChannelBinding::unsupported;
            let done = exchange(verifier(password), password, unsupported(), None, SHA_256);
            assert_eq!(done, Ok(()), "{password}");
            let wrong = exchange(verifier("other"), password, unsupported(), None, SHA_256);
            assert_eq!(wrong, Err(password_failed("u")), "{password}");
        }
    }

    #[test]
    fn an_unknown_user_looks_like_a_wrong_password() {
        let mock = Verifier::mock(b"secret", "u");
        assert_eq!(mock, Verifier::mock(b"secret", "u"));
        assert_ne!(mock, Verifier::mock(b"secret", "v"));
        let done = exchange(mock, "pencil", ChannelBinding::unsupported(), None, SHA_256);
        assert_eq!(done, Err(password_failed("u")));
    }

    #[test]
    fn the_channel_is_bound() {
        let point = |byte| vec![byte; 32];
        let client = |byte| ChannelBinding::tls_server_end_point(point(byte));
        let server = |byte| Some(point(byte));
        let run = |client, server, mechanism| {
            exchange(verifier("pencil"), "pencil", client, server, mechanism)
        };
        assert_eq!(run(client(1), server(1), SHA_256_PLUS), Ok(()));
        let other = run(client(1), server(2), SHA_256_PLUS).expect_err("somebody is in between");
        assert_eq!(other.message, "SCRAM channel binding check failed");
        // The client could have, but was told that the server could not.
        assert!(run(ChannelBinding::unrequested(), server(1), SHA_256).is_err());
        assert_eq!(run(ChannelBinding::unrequested(), None, SHA_256), Ok(()));
        assert_eq!(run(ChannelBinding::unsupported(), server(1), SHA_256), Ok(()));
        assert!(run(client(1), None, SHA_256_PLUS).is_err());
        assert!(run(client(1), server(1), SHA_256).is_err());
    }

    #[test]
    fn verifiers_are_spelled_as_postgresql_does() {
        // Made by PostgreSQL 15 for the password "pencil".
        let text = include_str!("../../tests/golden/pg/scram_verifier").trim();
        let verifier: Verifier = text.parse().expect("it is one");
        assert_eq!(verifier.to_string(), text);
        assert!(verifier.matches("pencil"));
        assert!(!verifier.matches("Pencil"));
        for bad in [
            "",
            "md5abc",
            "SCRAM-SHA-256$0:AAAA$AAAA:AAAA",
            "SCRAM-SHA-256$4096:AAAA$AAAA:AAAA",
            "SCRAM-SHA-256$99999999:AAAA$AAAA:AAAA",
        ] {
            assert_eq!(bad.parse::<Verifier>(), Err(InvalidVerifier), "{bad}");
        }
        assert_eq!(format!("{verifier:?}"), "Verifier(..)");
    }

    #[test]
    fn malformed_messages_are_refused() {
        for data in [
            "",
            "n",
            "n,,",
            "n,,n=u",
            "n,,r=abc,n=u",
            "n,a=x,n=u,r=abc",
            "n,,m=x,n=u,r=abc",
            "n,,n=u,r=",
            "n,,n=u,r=a b",
            "x,,n=u,r=abc",
            "p=tls-unique,,n=u,r=abc",
        ] {
            let offered = Offered::new("u", verifier("p"), None);
            let error = offered.first(&initial(SHA_256, data.as_bytes()), &[0; 18]);
            assert!(error.is_err(), "{data}");
        }
        for body in [&b"SCRAM-SHA-1\0\0\0\0\0"[..], b"SCRAM-SHA-256\0\xff\xff\xff\xff", b"x"] {
            let offered = Offered::new("u", verifier("p"), None);
            assert!(offered.first(&Bytes::from_static(body), &[0; 18]).is_err(), "{body:?}");
        }
        for last in ["", "c=biws", "c=biws,r=x,p=AAAA", "r=x,p=", "c=biws,r=x"] {
            let offered = Offered::new("u", verifier("p"), None);
            let (challenged, _) = offered
                .first(&initial(SHA_256, b"n,,n=,r=abc"), &[0; 18])
                .expect("the first is right");
            assert!(challenged.last(last.as_bytes()).is_err(), "{last}");
        }
    }

    #[test]
    fn the_end_point_is_the_certificates_hash() {
        // Self-signed with ECDSA and SHA-384.
        let der = include_bytes!("../../tests/data/p384.der").as_slice();
        let expected = digest::digest(&digest::SHA384, der).as_ref().to_vec();
        assert_eq!(server_end_point(der), Some(expected));
        for cut in 0..der.len() {
            let _ = server_end_point(&der[..cut]);
        }
        assert_eq!(server_end_point(b"\x30\x84\xff\xff\xff\xff"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_or_refused(
            first in proptest::collection::vec(any::<u8>(), 0..60),
            text in "[npy],(a=.)?,n=.{0,3},r=.{0,5}(,.{0,5})?",
            last in "(c=.{0,6},)?(r=.{0,6},)?(p=.{0,6})?",
        ) {
            let offered = || Offered::new("u", Verifier::mock(b"", "u"), None);
            let _ = offered().first(&Bytes::from(first), &[0; 18]);
            if let Ok((challenged, _)) = offered().first(&initial(SHA_256, text.as_bytes()), &[0; 18]) {
                let _ = challenged.last(last.as_bytes());
            }
        }
    }
}
