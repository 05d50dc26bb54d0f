//! What happens before a session: encryption, cancel requests, start-up, password.
//!
//! ```text
//!   accepted ──SSLRequest──► S ──handshake──► encrypted ─┐
//!      │ └────SSLRequest, GSSENCRequest──► N ─┐           │
//!      ├──────────────────────────────────────┴───────────┤
//!      │                                            StartupMessage ──► SCRAM ──► session
//!      └──CancelRequest──► closed
//! ```

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::BytesMut;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::serve::Shared;
use super::{Errand, LocalNode, Login, LoginRole, Standing};
use crate::net::{ClientReader, ClientStream, ClientTls, ClientWriter};
use crate::pg::backend::Writer;
use crate::pg::frontend::RawMessage;
use crate::pg::scram::{self, Offered, Verifier};
use crate::pg::settings::check;
use crate::pg::startup::{Packet, Startup, refuse_early_bytes};
use crate::pg::{SERVER_VERSION, Severity, SqlError, SqlState};

/// Bytes of a message before the session has begun.
const MESSAGE_MAX: usize = 65_536;

/// Who may log in besides the catalog's roles.
pub(super) struct Accounts {
    users: BTreeMap<String, Verifier>,
    /// Makes up salts for users who don't exist.
    mock_secret: [u8; 32],
    /// Nobody is configured: everybody may, under any name.
    open: bool,
    /// Sessions of roles that may have only so many.
    present: Arc<Present>,
}

/// A client that has said who it is.
pub(super) struct Introduced {
    pub reader: ClientReader,
    pub writer: ClientWriter,
    /// What it has sent ahead.
    pub inbound: BytesMut,
    pub identity: Identity,
}

/// Who a client is, and what it wants.
pub(super) struct Identity {
    pub user: String,
    pub standing: Standing,
    pub is_superuser: bool,
    /// As it names it. Whether there is one, a node knows.
    pub database: String,
    /// What its role and database begin with, and over that what it asks for.
    pub settings: BTreeMap<String, String>,
    /// One of the sessions that its role may have here.
    pub place: Option<Presence>,
}

/// Where the start-up led.
pub(super) enum Arrival {
    Session(Box<Introduced>),
    Cancel {
        /// To be closed once it is obeyed: some clients wait for that.
        stream: ClientStream,
        pid: i32,
        secret: i32,
    },
    /// It went away, or was told why not.
    Nothing,
}

impl Accounts {
    /// From (name, verifier) pairs; a verifier that can't be read names its user.
    pub(super) fn new(users: &[(String, String)]) -> Result<Self, String> {
        let mut known = BTreeMap::new();
        for (name, verifier) in users {
            let verifier = verifier
                .parse()
                .map_err(|error: scram::InvalidVerifier| format!("user {name:?}: {error}"))?;
            known.insert(name.clone(), verifier);
        }
        Ok(Self {
            open: known.is_empty(),
            users: known,
            mock_secret: rand::random(),
            present: Arc::default(),
        })
    }

    fn standing(&self, user: &str) -> Standing {
        if self.open {
            Standing::Claimed
        } else if self.users.contains_key(user) {
            Standing::Configured
        } else {
            Standing::Role
        }
    }

    /// What a user's password is held against.
    fn verifier(&self, user: &str, role: Option<&LoginRole>) -> Verifier {
        if let Some(configured) = self.users.get(user) {
            return configured.clone();
        }
        let stored = role.filter(|role| !role.expired).and_then(|role| role.verifier.as_deref());
        let known = stored.and_then(|stored| stored.parse().ok());
        known.unwrap_or_else(|| Verifier::mock(&self.mock_secret, user))
    }

    /// Lets a role in that has shown who it is, if it may log in now.
    fn admit(
        &self,
        user: &str,
        database: &str,
        role: &LoginRole,
    ) -> Result<Option<Presence>, SqlError> {
        if !role.can_login {
            let message = format!("role \"{user}\" is not permitted to log in");
            return Err(SqlError::fatal(SqlState::INVALID_AUTHORIZATION, message));
        }
        if !role.may_connect {
            let message = format!("permission denied for database \"{database}\"");
            return Err(SqlError::fatal(SqlState::INSUFFICIENT_PRIVILEGE, message)
                .with_detail("User does not have CONNECT privilege."));
        }
        if role.superuser || role.connection_limit < 0 {
            return Ok(None);
        }
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        let count = present.entry(user.to_owned()).or_default();
        if i64::try_from(*count).is_ok_and(|count| count >= role.connection_limit) {
            let message = format!("too many connections for role \"{user}\"");
            return Err(SqlError::fatal(SqlState::TOO_MANY_CONNECTIONS, message));
        }
        *count += 1;
        Ok(Some(Presence { user: user.to_owned(), present: Arc::clone(&self.present) }))
    }
}

/// One session of a role whose sessions are counted; dropping it ends it.
pub(super) struct Presence {
    user: String,
    present: Arc<Present>,
}

/// Sessions by role.
type Present = Mutex<BTreeMap<String, usize>>;

impl Drop for Presence {
    fn drop(&mut self) {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = present.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                present.remove(&self.user);
            }
        }
    }
}

/// No place is left.
pub(super) fn too_many() -> SqlError {
    SqlError::fatal(SqlState::TOO_MANY_CONNECTIONS, "sorry, too many clients already")
}

/// Leads a client to its session. The caller bounds the time. `full` is whether the
/// last free place is taken.
pub(super) async fn arrive<N: LocalNode>(
    stream: TcpStream,
    shared: &Shared<N>,
    full: impl FnOnce() -> bool,
) -> io::Result<Arrival> {
    let mut inbound = BytesMut::with_capacity(8192);
    let encrypted = encrypt(stream, shared.tls.as_ref(), &mut inbound).await?;
    let (stream, binding, packet) = match encrypted {
        Encrypted::Ready { stream, binding, packet } => (stream, binding, packet),
        Encrypted::Refused { mut stream, error } => {
            let mut out = BytesMut::new();
            Writer(&mut out).error(&error);
            stream.write_all(&out).await?;
            stream.shutdown().await?;
            return Ok(Arrival::Nothing);
        }
        Encrypted::Left => return Ok(Arrival::Nothing),
    };
    let startup = match packet {
        Packet::CancelRequest { pid, secret } => {
            return Ok(Arrival::Cancel { stream, pid, secret });
        }
        Packet::Startup(startup) => startup,
        Packet::SslRequest | Packet::GssEncRequest => return Ok(Arrival::Nothing),
    };
    let (mut reader, mut writer) = stream.split();
    let mut out = BytesMut::new();
    match introduce(&mut reader, &mut writer, &mut inbound, startup, binding, shared, full).await {
        Ok(identity) => {
            Ok(Arrival::Session(Box::new(Introduced { reader, writer, inbound, identity })))
        }
        Err(Rejection::Told(error)) => {
            Writer(&mut out).error(&error);
            writer.write(&mut out).await?;
            writer.shutdown().await?;
            Ok(Arrival::Nothing)
        }
        Err(Rejection::Io(error)) => Err(error),
    }
}

enum Encrypted {
    /// `packet` is not about encryption.
    Ready {
        stream: ClientStream,
        binding: Option<Vec<u8>>,
        packet: Packet,
    },
    Refused {
        stream: ClientStream,
        error: SqlError,
    },
    Left,
}

/// Answers requests for encryption until another packet comes.
async fn encrypt(
    stream: TcpStream,
    tls: Option<&ClientTls>,
    inbound: &mut BytesMut,
) -> io::Result<Encrypted> {
    use tokio::io::AsyncReadExt as _;
    let mut stream = ClientStream::Plain(stream);
    let mut binding = None;
    loop {
        let packet = match Packet::take(inbound) {
            Ok(Some(packet)) => packet,
            Ok(None) => {
                if stream.read_buf(inbound).await? == 0 {
                    return Ok(Encrypted::Left);
                }
                continue;
            }
            Err(error) => return Ok(Encrypted::Refused { stream, error }),
        };
        if !matches!(packet, Packet::SslRequest | Packet::GssEncRequest) {
            return Ok(Encrypted::Ready { stream, binding, packet });
        }
        if let Err(error) = refuse_early_bytes(inbound) {
            return Ok(Encrypted::Refused { stream, error });
        }
        stream = match (packet, tls, stream) {
            (Packet::SslRequest, Some(tls), ClientStream::Plain(mut plain)) => {
                plain.write_all(b"S").await?;
                binding = scram::server_end_point(&tls.leaf());
                tls.accept(plain).await?
            }
            (_, _, mut stream) => {
                stream.write_all(b"N").await?;
                stream.flush().await?;
                stream
            }
        };
    }
}

enum Rejection {
    Told(Box<SqlError>),
    Io(io::Error),
}

impl From<SqlError> for Rejection {
    fn from(error: SqlError) -> Self {
        Self::Told(Box::new(error))
    }
}

impl From<io::Error> for Rejection {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

async fn introduce<N: LocalNode>(
    reader: &mut ClientReader,
    writer: &mut ClientWriter,
    inbound: &mut BytesMut,
    startup: Startup,
    binding: Option<Vec<u8>>,
    shared: &Shared<N>,
    full: impl FnOnce() -> bool,
) -> Result<Identity, Rejection> {
    let accounts = &shared.accounts;
    let mut out = BytesMut::new();
    if startup.must_negotiate() {
        Writer(&mut out).negotiate_protocol_version(0, &startup.protocol_options);
    }
    let user = startup.user()?.to_owned();
    if startup.params.get("replication").is_some_and(|value| !is_off(value)) {
        return Err(SqlError::fatal(
            SqlState::FEATURE_NOT_SUPPORTED,
            "replication connections are not supported",
        )
        .into());
    }
    if full() {
        return Err(too_many().into());
    }
    let database = startup.database().unwrap_or(&user).to_owned();
    let standing = accounts.standing(&user);
    let login = look_up(shared, standing, &user, &database).await?;
    if !accounts.open {
        let verifier = accounts.verifier(&user, login.role.as_ref());
        authenticate(reader, writer, inbound, &mut out, &user, binding, verifier).await?;
    }
    let role = login.role.as_ref().filter(|_| standing != Standing::Configured);
    let place = match role {
        Some(role) => accounts.admit(&user, &database, role)?,
        None => None,
    };
    let is_superuser = role.is_none_or(|role| role.superuser);
    let mut settings = login.settings;
    for (name, value) in startup.settings()? {
        let name = name.to_ascii_lowercase();
        let value = match name.as_str() {
            "client_encoding" => value,
            _ => check(&name, &value)
                .map_err(|error| SqlError { severity: Severity::Fatal, ..error })?,
        };
        settings.insert(name, value);
    }
    if let Some(encoding) = settings.get("client_encoding") {
        let plain: String = encoding.chars().filter(char::is_ascii_alphanumeric).collect();
        if !matches!(plain.to_ascii_lowercase().as_str(), "utf8" | "unicode" | "sqlascii" | "auto")
        {
            return Err(SqlError::fatal(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("client encoding \"{encoding}\" is not supported: only UTF8 is"),
            )
            .into());
        }
        settings.remove("client_encoding");
    }
    Writer(&mut out).authentication_ok();
    writer.write(&mut out).await?;
    Ok(Identity { user, standing, is_superuser, database, settings, place })
}

/// What the catalog knows of a user. Those whom no node needs to vouch for get in without
/// one: they may want to see what is wrong.
async fn look_up<N: LocalNode>(
    shared: &Shared<N>,
    standing: Standing,
    user: &str,
    database: &str,
) -> Result<Login, Rejection> {
    let errand = Errand::LogIn { user: user.to_owned(), database: database.to_owned() };
    let answer = shared.nodes.run_errand(&errand, shared.leader_wait).await;
    match answer.and_then(|json| serde_json::from_slice(&json).ok()) {
        Some(login) => Ok(login),
        None if standing == Standing::Role => Err(SqlError::fatal(
            SqlState::CANNOT_CONNECT_NOW,
            "no node can tell now who may log in",
        )
        .into()),
        None => {
            tracing::warn!(user, "no node tells with what settings a session begins");
            Ok(Login::default())
        }
    }
}

async fn authenticate(
    reader: &mut ClientReader,
    writer: &mut ClientWriter,
    inbound: &mut BytesMut,
    out: &mut BytesMut,
    user: &str,
    binding: Option<Vec<u8>>,
    verifier: Verifier,
) -> Result<(), Rejection> {
    let offered = Offered::new(user, verifier, binding);
    Writer(out).authentication_sasl(offered.mechanisms());
    writer.write(out).await?;
    let first = response(reader, inbound).await?;
    let (challenged, data) = offered.first(&first.body(), &rand::random())?;
    Writer(out).authentication_sasl_continue(&data);
    writer.write(out).await?;
    let last = response(reader, inbound).await?;
    let data = challenged.last(&last.body())?;
    Writer(out).authentication_sasl_final(&data);
    Ok(())
}

/// The client's next message, which must be of the exchange.
async fn response(
    reader: &mut ClientReader,
    inbound: &mut BytesMut,
) -> Result<RawMessage, Rejection> {
    loop {
        if let Some(message) = RawMessage::take(inbound, MESSAGE_MAX)? {
            if message.tag() == b'p' {
                return Ok(message);
            }
            return Err(SqlError::fatal(
                SqlState::PROTOCOL_VIOLATION,
                format!("expected SASL response, got message type {}", message.tag()),
            )
            .into());
        }
        inbound.reserve(4096);
        if reader.read(inbound).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
}

fn is_off(value: &str) -> bool {
    matches!(value, "" | "0" | "off" | "false" | "no")
}

/// Parameters told at the start, from the session's first settings.
pub(super) fn parameter_statuses(
    settings: &BTreeMap<String, String>,
    (user, is_superuser): (&str, bool),
    standby: bool,
    writer: &mut Writer<'_>,
) {
    let setting =
        |name: &str, default: &str| settings.get(name).map_or(default, String::as_str).to_owned();
    let on_off = |yes| if yes { "on" } else { "off" };
    let statuses = [
        ("server_version", SERVER_VERSION.to_owned()),
        ("server_encoding", "UTF8".to_owned()),
        ("client_encoding", "UTF8".to_owned()),
        ("application_name", setting("application_name", "")),
        ("is_superuser", on_off(is_superuser).to_owned()),
        ("session_authorization", user.to_owned()),
        ("DateStyle", setting("datestyle", "ISO, MDY")),
        ("IntervalStyle", setting("intervalstyle", "postgres")),
        ("TimeZone", setting("timezone", "UTC")),
        ("integer_datetimes", "on".to_owned()),
        ("standard_conforming_strings", "on".to_owned()),
        ("default_transaction_read_only", setting("default_transaction_read_only", "off")),
        ("in_hot_standby", on_off(standby).to_owned()),
    ];
    for (name, value) in statuses {
        writer.parameter_status(name, &value);
    }
}
