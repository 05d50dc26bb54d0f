//! PostgreSQL's system functions: what there is, how it is defined, and who asks.
//!
//! What they say of rights is in [`super::privileges`].

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use rusqlite::Connection;

use super::call::{
    Answer, Call, bad_argument, boolean, count, define, define_strict, integer, text,
};
use super::{IMPURE, PURE, Surroundings, fold_name, privileges};
use crate::log::{Lsn, Value, ValueRef};
use crate::pg::types::datetime::{UNIX_EPOCH, print_timestamptz};
use crate::pg::types::zone::Zone;
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::catalog::{
    BOOTSTRAP_ROLE, Catalog, FIRST_DATABASE, NAMESPACES, PUBLIC, builtin_function,
    builtin_functions, check_definition, constraint_definition, default_setting, index_definition,
    index_key_definition, parse_type, parts_of_written, quote_ident, quote_qualified, quote_stored,
    system_relation, system_relations, view_definition,
};

pub(super) fn register(
    connection: &Connection,
    surroundings: &Surroundings,
) -> rusqlite::Result<()> {
    process_start_us();
    register_session(connection, surroundings)?;
    register_node(connection, surroundings)?;
    register_catalog(connection, surroundings)?;
    register_names(connection, surroundings)?;
    privileges::register(connection, surroundings)?;
    register_absent(connection, surroundings)
}

fn register_session(connection: &Connection, surroundings: &Surroundings) -> rusqlite::Result<()> {
    define(
        connection,
        surroundings,
        IMPURE,
        &[
            ("current_catalog", 0, |call| text(environment(call).database.clone())),
            ("current_database", 0, |call| text(environment(call).database.clone())),
            ("current_query", 0, |_| text("")),
            ("current_role", 0, |call| text(environment(call).user.clone())),
            ("current_schema", 0, current_schema),
            ("current_schemas", 1, current_schemas),
            ("current_setting", 1, current_setting),
            ("current_setting", 2, current_setting),
            ("current_user", 0, |call| text(environment(call).user.clone())),
            ("pg_backend_pid", 0, |call| integer(environment(call).backend_pid.into())),
            ("session_user", 0, |call| text(environment(call).session_user.clone())),
            // The session takes the value over when the statement has ended.
            ("set_config", 3, set_config),
            // Sent when the transaction has been committed.
            ("pg_notify", 2, notify),
            ("pg_cancel_backend", 1, |call| order(call, CANCEL)),
            ("pg_terminate_backend", 1, |call| order(call, TERMINATE)),
            ("pg_terminate_backend", 2, |call| order(call, TERMINATE)),
        ],
    )
}

fn set_config(call: &Call<'_, '_>) -> Answer {
    let value = call.optional_text(1)?.map(std::borrow::Cow::into_owned);
    let local = call.boolean(2);
    let name = call.text(0)?.into_owned();
    call.surroundings.make_setting(super::SettingMade { name, value: value.clone(), local });
    text(value.unwrap_or_default())
}

/// Bytes of a payload, one more than are allowed.
const PAYLOAD_LIMIT: usize = 8000;
/// Bytes of a channel's name, one more than are allowed.
const CHANNEL_LIMIT: usize = 64;

fn notify(call: &Call<'_, '_>) -> Answer {
    let channel = call.optional_text(0)?.unwrap_or_default().into_owned();
    let payload = call.optional_text(1)?.unwrap_or_default().into_owned();
    let refused = |message| SqlError::new(SqlState::INVALID_PARAMETER_VALUE, message);
    if channel.len() >= CHANNEL_LIMIT {
        return Err(refused("channel name too long"));
    }
    if payload.len() >= PAYLOAD_LIMIT {
        return Err(refused("payload string too long"));
    }
    let refused = refused("channel name cannot be empty");
    let channel = scoped_channel(call.surroundings.database(), &channel).ok_or(refused)?;
    let pid = environment(call).backend_pid;
    call.surroundings.make_notification(super::NotificationMade { pid, channel, payload });
    text("")
}

/// With what channels begin that clients can't name.
const OWN_CHANNEL: char = '\u{1}';

/// By which name a channel of a database goes through the log and to the gateways: each
/// database has its own. `None` if it can't be a channel's name.
pub fn scoped_channel(database: u32, channel: &str) -> Option<String> {
    if channel.is_empty() || channel.starts_with(OWN_CHANNEL) {
        return None;
    }
    Some(match database {
        FIRST_DATABASE => channel.to_owned(),
        number => format!("{OWN_CHANNEL}{number}{OWN_CHANNEL}{channel}"),
    })
}

/// What clients call a channel.
pub fn bare_channel(scoped: &str) -> &str {
    let database = scoped.strip_prefix(OWN_CHANNEL).and_then(|rest| rest.split_once(OWN_CHANNEL));
    database.map_or(scoped, |(_, channel)| channel)
}

/// Channels by which gateways are told to stop sessions; the payload is whose. No client
/// can listen or send to them.
pub const CANCEL: &str = "\u{1}cancel";
pub const TERMINATE: &str = "\u{1}terminate";
/// As [`CANCEL`], for a client who must know the session's secret too.
pub const CANCEL_REQUEST: &str = "\u{1}cancel request";

/// Tells all gateways, by one of those channels, to stop the session with a number.
#[derive(Clone, Default)]
pub struct Orders(Option<Arc<OrderCarrier>>);

type OrderCarrier = dyn Fn(&'static str, i32) + Send + Sync;

impl Orders {
    pub fn new(carrier: impl Fn(&'static str, i32) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(carrier)))
    }
}

impl Orders {
    /// Gives an order to the session with a number.
    pub fn give(&self, channel: &'static str, pid: i32) {
        if let Some(carrier) = &self.0 {
            carrier(channel, pid);
        }
    }
}

impl std::fmt::Debug for Orders {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Orders").field(&self.0.is_some()).finish()
    }
}

/// At once, not with the transaction. Whether there is such a session is not known here.
fn order(call: &Call<'_, '_>, channel: &'static str) -> Answer {
    let pid = match call.value(0) {
        ValueRef::Integer(pid) => i32::try_from(pid).ok(),
        ValueRef::Null => return Ok(Value::Null),
        _ => call.text(0)?.trim().parse().ok(),
    };
    let environment = environment(call);
    if let Some(pid) = pid {
        environment.orders.give(channel, pid);
    }
    boolean(pid.is_some())
}

pub(super) fn environment(call: &Call<'_, '_>) -> Arc<crate::storage::sqlite::Environment> {
    call.surroundings.environment()
}

/// The schemas of the search path that exist, in order.
fn search_path(call: &Call<'_, '_>) -> Vec<String> {
    let environment = environment(call);
    let written =
        if environment.search_path.is_empty() { PUBLIC } else { environment.search_path.as_str() };
    let catalog = call.surroundings.catalog();
    let names = written.split(',').filter_map(|name| parts_of_written(name).pop());
    names.filter(|name| catalog.has_schema(name)).collect()
}

/// The schemas in which an unqualified name is looked for: the session's own first.
fn lookup_path(call: &Call<'_, '_>) -> Vec<String> {
    let environment = environment(call);
    let own = environment.settings.get("towline.temporary_schema");
    let own = own.filter(|schema| !schema.is_empty());
    own.cloned().into_iter().chain(search_path(call)).collect()
}

fn current_schema(call: &Call<'_, '_>) -> Answer {
    search_path(call).first().map_or(Ok(Value::Null), |name| text(name.as_str()))
}

fn current_schemas(call: &Call<'_, '_>) -> Answer {
    let mut names = search_path(call);
    if call.boolean(0) && !names.iter().any(|name| name == "pg_catalog") {
        names.insert(0, "pg_catalog".to_owned());
    }
    let quoted: Vec<String> = names.iter().map(|name| array_item(name)).collect();
    text(format!("{{{}}}", quoted.join(",")))
}

/// A name as an item of an array's text.
fn array_item(name: &str) -> String {
    let plain = name.chars().all(|char| char.is_alphanumeric() || char == '_');
    if plain && !name.is_empty() && !name.eq_ignore_ascii_case("null") {
        return name.to_owned();
    }
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

fn current_setting(call: &Call<'_, '_>) -> Answer {
    let Some(name) = call.optional_text(0)? else { return Ok(Value::Null) };
    let environment = environment(call);
    let set = environment.settings.iter().find(|(set, _)| set.eq_ignore_ascii_case(&name));
    if let Some((_, value)) = set {
        return text(value.clone());
    }
    match default_setting(&name) {
        Some(value) => text(value),
        None if call.boolean(1) => Ok(Value::Null),
        None => Err(SqlError::new(
            SqlState::UNDEFINED_OBJECT,
            format!("unrecognized configuration parameter \"{name}\""),
        )),
    }
}

fn register_node(connection: &Connection, surroundings: &Surroundings) -> rusqlite::Result<()> {
    define(
        connection,
        surroundings,
        IMPURE,
        &[
            ("getdatabaseencoding", 0, |_| text("UTF8")),
            ("pg_client_encoding", 0, |_| text("UTF8")),
            ("pg_conf_load_time", 0, |_| started()),
            ("pg_current_wal_flush_lsn", 0, written_lsn),
            ("pg_current_wal_insert_lsn", 0, written_lsn),
            ("pg_current_wal_lsn", 0, written_lsn),
            ("pg_current_xact_id", 0, transaction_number),
            ("pg_current_xact_id_if_assigned", 0, |_| Ok(Value::Null)),
            ("pg_is_in_recovery", 0, |call| boolean(environment(call).in_recovery)),
            ("pg_is_wal_replay_paused", 0, |_| boolean(false)),
            ("pg_last_wal_receive_lsn", 0, |call| replayed(call, |env| env.commit_lsn)),
            ("pg_last_wal_replay_lsn", 0, |call| replayed(call, |env| env.applied_lsn)),
            ("pg_last_xact_replay_timestamp", 0, |_| Ok(Value::Null)),
            ("pg_postmaster_start_time", 0, |_| started()),
            ("txid_current", 0, transaction_number),
            ("version", 0, |_| text(version())),
        ],
    )?;
    define_strict(
        connection,
        surroundings,
        IMPURE,
        &[
            ("pg_sleep", 1, sleep),
            ("pg_wal_lsn_diff", 2, |call| {
                let lsn = |at| -> Result<i128, SqlError> {
                    let written = call.text(at)?;
                    let parsed: Result<Lsn, _> = written.parse();
                    parsed.map(|lsn| lsn.0.into()).map_err(|_| {
                        SqlError::new(
                            SqlState::INVALID_TEXT_REPRESENTATION,
                            format!("invalid input syntax for type pg_lsn: \"{written}\""),
                        )
                    })
                };
                text((lsn(0)? - lsn(1)?).to_string())
            }),
        ],
    )
}

/// What `version()` says. Clients read PostgreSQL's version out of it.
fn version() -> String {
    format!(
        "PostgreSQL {} (Towline {}) on {}-{}, compiled by rustc, 64-bit",
        default_setting("server_version").unwrap_or("15"),
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH,
        std::env::consts::OS,
    )
}

/// When the process began to open databases, in microseconds since 1970.
fn process_start_us() -> i64 {
    static START: OnceLock<i64> = OnceLock::new();
    *START.get_or_init(|| {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    })
}

fn started() -> Answer {
    let mut printed = String::new();
    print_timestamptz(process_start_us() + UNIX_EPOCH, &Zone::UTC, &mut printed);
    text(printed)
}

fn written_lsn(call: &Call<'_, '_>) -> Answer {
    let environment = environment(call);
    if environment.in_recovery {
        return Err(SqlError::new(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            "recovery is in progress",
        )
        .with_hint("WAL control functions cannot be executed during recovery."));
    }
    text(environment.commit_lsn.to_string())
}

/// A position that only a follower has.
fn replayed(
    call: &Call<'_, '_>,
    position: fn(&crate::storage::sqlite::Environment) -> Lsn,
) -> Answer {
    let environment = environment(call);
    if environment.in_recovery { text(position(&environment).to_string()) } else { Ok(Value::Null) }
}

/// Transactions are numbered by where their frames begin.
/// Nobody counts transactions: the moment when one began, which none shares with it in
/// the same session, serves as its number.
fn transaction_number(call: &Call<'_, '_>) -> Answer {
    integer(call.surroundings.now_us())
}

/// How often a sleeper looks whether it is to stop.
const SLEEP_STEP: Duration = Duration::from_millis(10);

/// Readers only: on the writer everyone else would wait along.
fn sleep(call: &Call<'_, '_>) -> Answer {
    let seconds = call.real(0)?;
    if call.surroundings.is_writer() {
        return Err(SqlError::unsupported("pg_sleep in a transaction that writes"));
    }
    let wanted = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX);
    let start = std::time::Instant::now();
    while start.elapsed() < wanted {
        if call.surroundings.interrupted() {
            return Err(SqlError::new(
                SqlState::QUERY_CANCELED,
                "canceling statement due to user request",
            ));
        }
        std::thread::sleep(SLEEP_STEP.min(wanted - start.elapsed().min(wanted)));
    }
    text("")
}

fn register_catalog(connection: &Connection, surroundings: &Surroundings) -> rusqlite::Result<()> {
    define_strict(
        connection,
        surroundings,
        IMPURE,
        &[
            ("acldefault", 2, default_rights),
            ("pg_database_size", 1, |call| {
                integer(call.number(
                    "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
                )?)
            }),
            ("pg_tablespace_size", 1, |call| {
                integer(call.number(
                    "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
                )?)
            }),
            ("pg_char_to_encoding", 1, |call| {
                let name = call.text(0)?.to_uppercase();
                integer(if matches!(name.as_str(), "UTF8" | "UTF-8") { 6 } else { -1 })
            }),
            ("pg_encoding_to_char", 1, |call| {
                text(match call.integer(0)? {
                    0 => "SQL_ASCII",
                    6 => "UTF8",
                    8 => "LATIN1",
                    _ => "",
                })
            }),
            ("pg_function_is_visible", 1, |call| {
                let found = builtin_function(oid(call, 0)?);
                found.map_or(Ok(Value::Null), |_| boolean(true))
            }),
            ("pg_get_constraintdef", 1, constraintdef),
            ("pg_get_constraintdef", 2, constraintdef),
            ("pg_get_expr", 2, |call| text(call.text(0)?)),
            ("pg_get_expr", 3, |call| text(call.text(0)?)),
            ("pg_get_function_arguments", 1, function_arguments),
            ("pg_get_function_identity_arguments", 1, function_arguments),
            ("pg_get_function_result", 1, |call| {
                let found = builtin_function(oid(call, 0)?);
                found.map_or(Ok(Value::Null), |function| text(function.printed_result()))
            }),
            ("pg_get_indexdef", 1, indexdef),
            ("pg_get_indexdef", 3, indexdef),
            ("pg_get_serial_sequence", 2, serial_sequence),
            ("pg_get_userbyid", 1, |call| text(role_name(call, call.integer(0)?))),
            ("pg_get_viewdef", 1, viewdef),
            ("pg_get_viewdef", 2, viewdef),
            ("pg_relation_filenode", 1, |call| integer(call.integer(0)?)),
            ("pg_relation_is_publishable", 1, |call| {
                let relation = call.surroundings.catalog().relation(oid(call, 0)?).is_some();
                boolean(relation)
            }),
            ("pg_size_pretty", 1, size_pretty),
            ("pg_table_is_visible", 1, table_is_visible),
            ("obj_description", 1, |call| {
                let catalog = call.surroundings.catalog();
                comment(&catalog, oid(call, 0)?, None, 0)
            }),
            ("obj_description", 2, |call| {
                let catalog = call.surroundings.catalog();
                let class = system_relation("pg_catalog", &call.text(1)?);
                comment(&catalog, oid(call, 0)?, class.map(|class| class.oid), 0)
            }),
            ("col_description", 2, |call| {
                let catalog = call.surroundings.catalog();
                comment(&catalog, oid(call, 0)?, Some(Oid(1259)), call.integer(1)?)
            }),
        ],
    )?;
    define(
        connection,
        surroundings,
        IMPURE,
        &[("format_type", 2, |call| {
            if call.is_null(0) {
                return Ok(Value::Null);
            }
            let typmod = if call.is_null(1) { None } else { Some(call.integer(1)?) };
            let typmod = typmod.map(|typmod| i32::try_from(typmod).unwrap_or(-1));
            text(call.surroundings.catalog().format_type(oid(call, 0)?, typmod))
        })],
    )
}

fn oid(call: &Call<'_, '_>, at: usize) -> Result<Oid, SqlError> {
    Ok(Oid(u32::try_from(call.integer(at)?).unwrap_or(0)))
}

/// What COMMENT ON said of an object, of whatever catalog if `class` is `None`.
fn comment(catalog: &Catalog, object: Oid, class: Option<Oid>, number: i64) -> Answer {
    let found = catalog.comments.iter().find(|comment| {
        comment.object == object
            && class.is_none_or(|class| comment.class == class)
            && comment.number == number
    });
    found.map_or(Ok(Value::Null), |comment| text(comment.text.clone()))
}

fn constraintdef(call: &Call<'_, '_>) -> Answer {
    let catalog = call.surroundings.catalog();
    let wanted = oid(call, 0)?;
    if let Some(check) = catalog.domain_checks().find(|check| check.oid == wanted) {
        return text(check_definition(check.condition, call.boolean(1)));
    }
    let Some((_, constraint)) = catalog.constraint(wanted) else { return Ok(Value::Null) };
    text(constraint_definition(&catalog, constraint, call.boolean(1)))
}

fn indexdef(call: &Call<'_, '_>) -> Answer {
    let catalog = call.surroundings.catalog();
    let Some((relation, index)) = catalog.index(oid(call, 0)?) else { return Ok(Value::Null) };
    let number = if call.len() > 1 { call.integer(1)? } else { 0 };
    if number == 0 {
        return text(index_definition(&catalog, relation, index, call.boolean(2)));
    }
    let number = usize::try_from(number).unwrap_or(usize::MAX);
    text(index_key_definition(relation, index, number).unwrap_or_default())
}

fn viewdef(call: &Call<'_, '_>) -> Answer {
    let catalog = call.surroundings.catalog();
    let relation = match call.value(0) {
        ValueRef::Text(name) if name.parse::<u32>().is_err() => {
            find_stored(call, &catalog, name).and_then(|stored| catalog.relations.get(&stored))
        }
        _ => catalog.relation(oid(call, 0)?),
    };
    relation.and_then(view_definition).map_or(Ok(Value::Null), text)
}

fn function_arguments(call: &Call<'_, '_>) -> Answer {
    let found = builtin_function(oid(call, 0)?);
    found.map_or(Ok(Value::Null), |function| text(function.printed_arguments()))
}

fn serial_sequence(call: &Call<'_, '_>) -> Answer {
    let catalog = call.surroundings.catalog();
    let (written, column) = (call.text(0)?, call.text(1)?);
    let table = find_stored(call, &catalog, &written).ok_or_else(|| no_relation(&written))?;
    let relation = catalog.relations.get(&table).ok_or_else(|| no_relation(&written))?;
    if relation.attribute(&column).is_none() {
        return Err(SqlError::new(
            SqlState::UNDEFINED_COLUMN,
            format!("column \"{column}\" of relation \"{table}\" does not exist"),
        ));
    }
    let owned = catalog.sequences.values().find(|sequence| {
        sequence.owner.as_ref().is_some_and(|(owner, owned)| *owner == table && *owned == column)
    });
    owned.map_or(Ok(Value::Null), |sequence| text(quote_qualified(&catalog, &sequence.name)))
}

fn role_name(call: &Call<'_, '_>, oid: i64) -> String {
    let (catalog, environment) = (call.surroundings.catalog(), environment(call));
    let known = u32::try_from(oid)
        .ok()
        .and_then(|oid| catalog.roles.name(Oid(oid), &environment.owner).map(str::to_owned));
    known.unwrap_or_else(|| format!("unknown (OID={oid})"))
}

/// The rights to an object of a kind that nobody has changed: its owner's, and those of
/// everybody.
fn default_rights(call: &Call<'_, '_>) -> Answer {
    let kind = call.text(0)?;
    let (owner, everybody) = match &*kind {
        "c" => ("", ""),
        "r" => ("arwdDxt", ""),
        "s" => ("rwU", ""),
        "d" => ("CTc", "Tc"),
        "f" => ("X", "X"),
        "l" | "T" => ("U", "U"),
        "L" => ("rw", ""),
        "n" => ("UC", ""),
        "p" => ("sA", ""),
        "t" => ("C", ""),
        "F" | "S" => ("U", ""),
        other => {
            return Err(bad_argument(format!("unrecognized object type abbreviation: {other}")));
        }
    };
    let role = role_name(call, call.integer(1)?);
    let rights = [(String::new(), everybody), (role.clone(), owner)];
    let items = rights.iter().filter(|(_, rights)| !rights.is_empty());
    let item = |(who, rights): &(String, &str)| {
        let item = format!("{who}={rights}/{role}");
        let special =
            |char: char| char.is_whitespace() || matches!(char, '{' | '}' | ',' | '"' | '\\');
        if item.contains(special) { array_item(&item) } else { item }
    };
    let items: Vec<String> = items.map(item).collect();
    text(format!("{{{}}}", items.join(",")))
}

fn size_pretty(call: &Call<'_, '_>) -> Answer {
    let size = i128::from(call.integer(0)?);
    let (sign, mut rest) = (size.signum(), size.abs());
    // As PostgreSQL: the next unit from ten times its size on, halves rounded up.
    if rest < 10 * 1024 {
        return text(format!("{size} bytes"));
    }
    rest >>= 9;
    let units = ["kB", "MB", "GB", "TB", "PB"];
    for (at, unit) in units.iter().enumerate() {
        if rest < 2 * 10 * 1024 - 1 || at == units.len() - 1 {
            return text(format!("{} {unit}", sign * ((rest + 1) / 2)));
        }
        rest >>= 10;
    }
    Ok(Value::Null)
}

/// Whether a bare name finds the relation; NULL where there is none of this OID.
fn table_is_visible(call: &Call<'_, '_>) -> Answer {
    let wanted = oid(call, 0)?;
    if let Some(relation) = system_relations().iter().find(|relation| relation.oid == wanted) {
        return boolean(relation.schema == "pg_catalog");
    }
    let catalog = call.surroundings.catalog();
    match relation_name(&catalog, wanted) {
        Some(name) => {
            let (_, bare) = catalog.split_name(name);
            let found = catalog
                .find_stored(None, bare, &lookup_path(call), |stored| catalog.is_stored(stored));
            let hidden = system_relation("pg_catalog", bare).is_some();
            boolean(!hidden && found.as_deref() == Some(name))
        }
        None => Ok(Value::Null),
    }
}

fn relation_name(catalog: &Catalog, oid: Oid) -> Option<&str> {
    let relation = catalog.relation(oid).map(|relation| relation.name.as_str());
    let sequence = || {
        let found = catalog.sequences.values().find(|sequence| sequence.oid == oid);
        found.map(|sequence| sequence.name.as_str())
    };
    let index = || catalog.index(oid).map(|(_, index)| index.name.as_str());
    relation.or_else(sequence).or_else(index)
}

fn register_names(connection: &Connection, surroundings: &Surroundings) -> rusqlite::Result<()> {
    define_strict(
        connection,
        surroundings,
        IMPURE,
        &[
            ("to_regclass", 1, |call| {
                let found = find_relation(call, &call.text(0)?);
                found.map_or(Ok(Value::Null), number)
            }),
            ("to_regnamespace", 1, |call| find_namespace(call, &call.text(0)?)),
            ("to_regproc", 1, |call| find_function(&call.text(0)?)),
            ("to_regrole", 1, |call| find_role(call, &call.text(0)?)),
            ("to_regtype", 1, |call| {
                find_type(call, &call.text(0)?).map_or(Ok(Value::Null), number)
            }),
            ("towline_regclass", 1, |call| {
                named(call, |call, name| {
                    let found = find_relation(call, name);
                    found.map_or_else(|| Err(no_relation(name)), number)
                })
            }),
            ("towline_regnamespace", 1, |call| {
                named(call, |call, name| {
                    required(
                        find_namespace(call, name)?,
                        SqlState::INVALID_SCHEMA_NAME,
                        "schema",
                        name,
                    )
                })
            }),
            // A function is known by its name: overloads share it.
            ("towline_regproc", 1, |call| text(function_name(&call.text(0)?))),
            ("towline_regprocedure", 1, |call| text(function_name(&call.text(0)?))),
            ("towline_regrole", 1, |call| {
                named(call, |call, name| {
                    required(find_role(call, name)?, SqlState::UNDEFINED_OBJECT, "role", name)
                })
            }),
            ("towline_regtype", 1, |call| {
                named(call, |call, name| match find_type(call, name) {
                    Some(oid) => number(oid),
                    None => Err(SqlError::new(
                        SqlState::UNDEFINED_OBJECT,
                        format!("type \"{name}\" does not exist"),
                    )),
                })
            }),
            ("towline_text_regclass", 1, |call| printed(call, print_relation)),
            ("towline_text_regnamespace", 1, |call| {
                printed(call, |call, oid| {
                    let found =
                        NAMESPACES.into_iter().find(|(known, _)| *known == i64::from(oid.0));
                    let catalog = call.surroundings.catalog();
                    let made = catalog.schemas.iter().find(|(_, known)| **known == oid);
                    found
                        .map(|(_, name)| name.to_owned())
                        .or_else(|| made.map(|(name, _)| name.clone()))
                })
            }),
            ("towline_text_regproc", 1, |call| {
                printed(call, |_, oid| {
                    builtin_function(oid).map(|function| function.name.to_owned())
                })
            }),
            ("towline_text_regrole", 1, |call| {
                printed(call, |call, oid| Some(quote_ident(&role_name(call, oid.0.into()))))
            }),
            ("towline_text_regtype", 1, |call| {
                printed(call, |call, oid| {
                    let name = call.surroundings.catalog().format_type(oid, None);
                    Some(name).filter(|name| name != "???")
                })
            }),
        ],
    )
}

fn number(oid: Oid) -> Answer {
    integer(i64::from(oid.0))
}

/// A name looked up; a number, in digits or as one, is the OID itself.
fn named(call: &Call<'_, '_>, find: fn(&Call<'_, '_>, &str) -> Answer) -> Answer {
    match call.value(0) {
        ValueRef::Integer(oid) => integer(oid),
        _ => {
            let name = call.text(0)?;
            match name.trim() {
                "-" => integer(0),
                digits => match digits.parse::<u32>() {
                    Ok(oid) => number(Oid(oid)),
                    Err(_) => find(call, digits),
                },
            }
        }
    }
}

fn required(found: Value, state: SqlState, kind: &str, name: &str) -> Answer {
    match found {
        Value::Null => Err(SqlError::new(state, format!("{kind} \"{name}\" does not exist"))),
        found => Ok(found),
    }
}

/// An OID printed as a name; what has none, as the number.
fn printed(call: &Call<'_, '_>, name: fn(&Call<'_, '_>, Oid) -> Option<String>) -> Answer {
    if let ValueRef::Text(name) = call.value(0)
        && name.parse::<u32>().is_err()
    {
        return text(name);
    }
    let oid = oid(call, 0)?;
    if oid == Oid(0) {
        return text("-");
    }
    text(name(call, oid).unwrap_or_else(|| oid.0.to_string()))
}

fn print_relation(call: &Call<'_, '_>, oid: Oid) -> Option<String> {
    if let Some(relation) = system_relations().iter().find(|relation| relation.oid == oid) {
        let qualified = relation.schema != "pg_catalog";
        let schema = if qualified { format!("{}.", relation.schema) } else { String::new() };
        return Some(schema + relation.name);
    }
    let catalog = call.surroundings.catalog();
    relation_name(&catalog, oid).map(|stored| quote_stored(&catalog, stored))
}

fn no_relation(name: &str) -> SqlError {
    let name = name.strip_prefix("public.").unwrap_or(name);
    SqlError::new(SqlState::UNDEFINED_TABLE, format!("relation \"{name}\" does not exist"))
}

/// What a written name finds, under the name that it is stored by.
fn find_stored(call: &Call<'_, '_>, catalog: &Catalog, written: &str) -> Option<String> {
    let parts = parts_of_written(written);
    let (schema, name) = match parts.as_slice() {
        [name] => (None, name),
        [schema, name] | [_, schema, name] => (Some(schema.as_str()), name),
        _ => return None,
    };
    let own = lookup_path(call);
    let schema = match schema {
        Some("pg_temp") => own.first().map(String::as_str),
        schema => schema,
    };
    catalog.find_stored(schema, name, &own, |stored| catalog.is_stored(stored))
}

/// A relation by its name as written, perhaps with its schema.
pub(super) fn find_relation(call: &Call<'_, '_>, written: &str) -> Option<Oid> {
    let parts = parts_of_written(written);
    let system = match parts.as_slice() {
        [name] => system_relation("pg_catalog", name),
        [schema, name] => system_relation(schema, name),
        _ => None,
    };
    if let Some(relation) = system {
        return Some(relation.oid);
    }
    let catalog = call.surroundings.catalog();
    catalog.oid_of_stored(&find_stored(call, &catalog, written)?)
}

/// A type by its name as written, those that clients made included.
fn find_type(call: &Call<'_, '_>, written: &str) -> Option<Oid> {
    if let Some((oid, _)) = parse_type(written) {
        return Some(oid);
    }
    let catalog = call.surroundings.catalog();
    let (bare, is_array) = match written.trim().strip_suffix("[]") {
        Some(bare) => (bare, true),
        None => (written, false),
    };
    let parts = parts_of_written(bare);
    let (name, schema) = (parts.last()?, parts.len().checked_sub(2).map(|at| parts[at].as_str()));
    let stored = catalog.find_stored(schema, name, &lookup_path(call), |stored| {
        catalog.types.contains_key(stored)
    })?;
    catalog.types.get(&stored).map(|kind| if is_array { kind.array } else { kind.oid })
}

fn find_namespace(call: &Call<'_, '_>, written: &str) -> Answer {
    let name = parts_of_written(written).pop().unwrap_or_default();
    match call.surroundings.catalog().schema_oid(&name) {
        0 => Ok(Value::Null),
        oid => integer(oid),
    }
}

fn find_role(call: &Call<'_, '_>, written: &str) -> Answer {
    let found = role_named(call, &fold_name(written));
    found.map_or(Ok(Value::Null), number)
}

pub(super) fn role_named(call: &Call<'_, '_>, name: &str) -> Option<Oid> {
    match name == environment(call).owner {
        true => Some(BOOTSTRAP_ROLE),
        false => call.surroundings.catalog().roles.oid(name),
    }
}

/// A function's name as written, without schema and arguments.
fn function_name(written: &str) -> String {
    fold_name(written.split('(').next().unwrap_or(written))
}

fn find_function(written: &str) -> Answer {
    let name = function_name(written);
    let known = builtin_functions().iter().any(|function| function.name == name);
    if known { text(name) } else { Ok(Value::Null) }
}

/// Functions about features that are absent here, or that always hold.
fn register_absent(connection: &Connection, surroundings: &Surroundings) -> rusqlite::Result<()> {
    let holds: super::call::Definition = ("", -1, |_| boolean(true));
    let none: super::call::Definition = ("", -1, |_| Ok(Value::Null));
    let nothing: super::call::Definition = ("", -1, |_| text(""));
    let fails: super::call::Definition = ("", -1, |_| boolean(false));
    let zero: super::call::Definition = ("", -1, |_| integer(0));
    let named = |definition: super::call::Definition, names: &[&'static str]| {
        let definitions = names.iter().map(|name| (*name, definition.1, definition.2));
        definitions.collect::<Vec<super::call::Definition>>()
    };
    let groups = [
        named(
            holds,
            &[
                "has_foreign_data_wrapper_privilege",
                "has_function_privilege",
                "has_language_privilege",
                "has_parameter_privilege",
                "has_server_privilege",
                "has_tablespace_privilege",
                "pg_collation_is_visible",
                "pg_conversion_is_visible",
                "pg_opclass_is_visible",
                "pg_operator_is_visible",
                "pg_opfamily_is_visible",
                "pg_statistics_obj_is_visible",
                "pg_ts_config_is_visible",
                "pg_ts_dict_is_visible",
                "pg_ts_parser_is_visible",
                "pg_ts_template_is_visible",
                "pg_type_is_visible",
            ],
        ),
        named(
            none,
            &[
                "inet_client_addr",
                "inet_client_port",
                "inet_server_addr",
                "inet_server_port",
                "pg_get_function_sqlbody",
                "pg_get_functiondef",
                "pg_get_partkeydef",
                "pg_get_ruledef",
                "pg_get_statisticsobjdef",
                "pg_get_statisticsobjdef_columns",
                "pg_get_triggerdef",
                // Plain tables have no partitions above them.
                "pg_partition_ancestors",
                // To know the size of one table its pages would have to be counted.
                "pg_indexes_size",
                "pg_relation_size",
                "pg_table_size",
                "pg_total_relation_size",
                "shobj_description",
            ],
        ),
        named(nothing, &["pg_tablespace_location", "setseed"]),
        named(fails, &["pg_is_other_temp_schema", "row_security_active"]),
        named(zero, &["pg_my_temp_schema"]),
    ];
    for group in groups {
        define(connection, surroundings, IMPURE, &group)?;
    }
    define(
        connection,
        surroundings,
        PURE,
        &[
            ("pg_blocking_pids", 1, |_| text("{}")),
            ("pg_column_size", 1, |call| match call.value(0) {
                ValueRef::Null => Ok(Value::Null),
                ValueRef::Integer(_) | ValueRef::Real(_) => integer(8),
                _ => count(call.bytes(0)?.len() + 1),
            }),
            ("pg_input_is_valid", 2, |_| {
                Err(bad_argument("pg_input_is_valid needs PostgreSQL 16"))
            }),
        ],
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;
    use std::sync::Arc;

    use super::super::call::tests::evaluate_on;
    use crate::log::Lsn;
    use crate::storage::sqlite::{ConnectionKind, Environment, Sqlite};

    fn open() -> Sqlite {
        let path = Path::new(":memory:");
        let mut sqlite = Sqlite::open(path, ConnectionKind::Writer).expect("opens");
        sqlite
            .execute_batch(
                "CREATE TABLE parent(id INTEGER PRIMARY KEY, code TEXT UNIQUE);
                 CREATE TABLE \"Child\"(a INT REFERENCES parent(id) ON DELETE CASCADE);
                 CREATE VIEW v AS SELECT id FROM parent;",
            )
            .expect("runs");
        sqlite.set_environment(environment(false));
        sqlite
    }

    fn environment(in_recovery: bool) -> Environment {
        Environment {
            user: "ann".to_owned(),
            session_user: "ann".to_owned(),
            owner: "ann".to_owned(),
            database: "shop".to_owned(),
            in_recovery,
            backend_pid: 42,
            commit_lsn: Lsn(0x0001_0000_0010),
            applied_lsn: Lsn(16),
            settings: Arc::new(BTreeMap::from([("TimeZone".to_owned(), "UTC".to_owned())])),
            ..Environment::default()
        }
    }

    fn check(sqlite: &mut Sqlite, cases: &[(&str, &str)]) {
        for (expression, expected) in cases {
            assert_eq!(evaluate_on(sqlite, expression), *expected, "{expression}");
        }
    }

    #[test]
    fn the_session_is_told_who_and_where_it_is() {
        check(
            &mut open(),
            &[
                ("current_database()", "shop"),
                ("current_user()", "ann"),
                ("pg_backend_pid()", "42"),
                ("current_schema()", "public"),
                ("current_schemas(1)", "{pg_catalog,public}"),
                ("current_schemas(0)", "{public}"),
                ("current_setting('timezone')", "UTC"),
                ("current_setting('server_version_num')", "150018"),
                ("current_setting('nonsense')", "42704"),
                ("current_setting('nonsense', 1)", "NULL"),
                ("version() GLOB 'PostgreSQL 15.* (Towline *'", "1"),
                ("pg_database_size('shop') > 4096", "1"),
                ("pg_get_userbyid(10)", "ann"),
                ("pg_get_userbyid(77)", "unknown (OID=77)"),
            ],
        );
    }

    #[test]
    fn positions_are_told_by_role() {
        let mut sqlite = open();
        check(
            &mut sqlite,
            &[
                ("pg_is_in_recovery()", "0"),
                ("pg_current_wal_lsn()", "1/10"),
                ("pg_last_wal_replay_lsn()", "NULL"),
                ("pg_wal_lsn_diff('1/10', '0/10')", "4294967296"),
                ("pg_wal_lsn_diff('x', '0/10')", "22P02"),
            ],
        );
        sqlite.set_environment(environment(true));
        check(
            &mut sqlite,
            &[
                ("pg_is_in_recovery()", "1"),
                ("pg_current_wal_lsn()", "55000"),
                ("pg_last_wal_replay_lsn()", "0/10"),
            ],
        );
    }

    #[test]
    fn names_become_oids_and_back() {
        check(
            &mut open(),
            &[
                ("towline_regclass('pg_class')", "1259"),
                ("towline_regclass('pg_catalog.pg_class')", "1259"),
                ("towline_regclass('1259')", "1259"),
                ("towline_text_regclass(towline_regclass('public.parent'))", "parent"),
                ("towline_text_regclass(towline_regclass('\"Child\"'))", "\"Child\""),
                (
                    "towline_text_regclass(to_regclass('information_schema.tables'))",
                    "information_schema.tables",
                ),
                ("towline_regclass('nonsense')", "42P01"),
                ("towline_regclass('other.parent')", "42P01"),
                ("to_regclass('child')", "NULL"),
                ("towline_text_regclass(0)", "-"),
                ("towline_text_regclass(4000000)", "4000000"),
                ("to_regtype('int4')", "23"),
                ("to_regtype('nonsense')", "NULL"),
                ("towline_regtype('nonsense')", "42704"),
                ("towline_text_regtype(1043)", "character varying"),
                ("towline_text_regnamespace(11)", "pg_catalog"),
                ("towline_regnamespace('nonsense')", "3F000"),
                ("towline_regrole('ann')", "10"),
                ("to_regproc('pg_catalog.lower')", "lower"),
                ("format_type(1043, 14)", "character varying(10)"),
                ("format_type(NULL, 14)", "NULL"),
                ("format_type(1042, NULL)", "character"),
            ],
        );
    }

    #[test]
    fn definitions_are_printed() {
        let class = |name: &str| format!("towline_regclass('{name}')");
        check(
            &mut open(),
            &[
                (
                    "(SELECT pg_get_constraintdef(oid, 1) FROM pg_constraint WHERE contype = 'f')",
                    "FOREIGN KEY (a) REFERENCES parent(id) ON DELETE CASCADE",
                ),
                (
                    &format!("pg_get_indexdef({}, 0, 1)", class("parent_code_key")),
                    "CREATE UNIQUE INDEX parent_code_key ON parent USING btree (code)",
                ),
                (&format!("pg_get_indexdef({}, 1, 1)", class("parent_code_key")), "code"),
                (&format!("pg_get_viewdef({})", class("v")), " SELECT id FROM parent;"),
                (&format!("pg_table_is_visible({})", class("parent")), "1"),
                ("pg_table_is_visible(1259)", "1"),
                ("pg_table_is_visible(to_regclass('information_schema.tables'))", "0"),
                ("pg_table_is_visible(4000000)", "NULL"),
                ("pg_get_serial_sequence('parent', 'id')", "NULL"),
                ("pg_get_serial_sequence('parent', 'x')", "42703"),
                ("pg_get_serial_sequence('x', 'x')", "42P01"),
                ("pg_get_function_result(870)", "text"),
                ("obj_description(1, 'pg_class')", "NULL"),
            ],
        );
    }

    #[test]
    fn sizes_print_as_in_postgresql() {
        check(
            &mut open(),
            &[
                ("pg_size_pretty(10239)", "10239 bytes"),
                ("pg_size_pretty(10240)", "10 kB"),
                ("pg_size_pretty(10485247)", "10239 kB"),
                ("pg_size_pretty(10485248)", "10 MB"),
                ("pg_size_pretty(-10240)", "-10 kB"),
                ("pg_size_pretty(1234567890123)", "1150 GB"),
            ],
        );
    }
}
