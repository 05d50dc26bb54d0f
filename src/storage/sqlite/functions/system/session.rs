//! The session: who asks, its settings and search path, what it tells other sessions.

use std::sync::Arc;

use super::super::IMPURE;
use super::super::call::{Answer, Call, Registry, boolean, integer, text};
use crate::log::{Value, ValueRef};
use crate::pg::{SqlError, SqlState};
use crate::sql::catalog::{FIRST_DATABASE, PUBLIC, default_setting, parts_of_written};

pub(super) fn register(registry: Registry<'_>) -> rusqlite::Result<()> {
    registry.define(
        IMPURE,
        &[
            ("current_catalog", 0, |call| text(call.environment().database.clone())),
            ("current_database", 0, |call| text(call.environment().database.clone())),
            ("current_role", 0, |call| text(call.environment().user.clone())),
            ("current_schema", 0, current_schema),
            ("current_schemas", 1, current_schemas),
            ("current_setting", 1, current_setting),
            ("current_setting", 2, current_setting),
            ("current_user", 0, |call| text(call.environment().user.clone())),
            ("inet_client_addr", 0, |call| match call.environment().client {
                Some(client) => text(client.ip().to_string()),
                None => Ok(Value::Null),
            }),
            ("inet_client_port", 0, |call| match call.environment().client {
                Some(client) => integer(client.port().into()),
                None => Ok(Value::Null),
            }),
            ("pg_backend_pid", 0, |call| integer(call.environment().backend_pid.into())),
            ("session_user", 0, |call| text(call.environment().session_user.clone())),
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
    call.surroundings.make_setting(super::super::SettingMade { name, value: value.clone(), local });
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
    let pid = call.environment().backend_pid;
    call.surroundings.make_notification(super::super::NotificationMade { pid, channel, payload });
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
    let environment = call.environment();
    if let Some(pid) = pid {
        environment.orders.give(channel, pid);
    }
    boolean(pid.is_some())
}

/// The schemas of the search path that exist, in order.
fn search_path(call: &Call<'_, '_>) -> Vec<String> {
    let environment = call.environment();
    let written =
        if environment.search_path.is_empty() { PUBLIC } else { environment.search_path.as_str() };
    let catalog = call.surroundings.catalog();
    let own = |name: String| if name == "$user" { environment.user.clone() } else { name };
    let names = written.split(',').filter_map(|name| parts_of_written(name).pop()).map(own);
    names.filter(|name| catalog.has_schema(name)).collect()
}

/// The schemas in which an unqualified name is looked for: the session's own first.
pub(super) fn lookup_path(call: &Call<'_, '_>) -> Vec<String> {
    let environment = call.environment();
    let own = environment.settings.get("towline.temporary_schema");
    let own = own.filter(|schema| !schema.is_empty());
    own.cloned().into_iter().chain(search_path(call)).collect()
}

pub(super) fn current_schema(call: &Call<'_, '_>) -> Answer {
    search_path(call).first().map_or(Ok(Value::Null), |name| text(name.as_str()))
}

pub(super) fn current_schemas(call: &Call<'_, '_>) -> Answer {
    let mut names = if call.boolean(0) { lookup_path(call) } else { search_path(call) };
    if call.boolean(0) && !names.iter().any(|name| name == "pg_catalog") {
        let behind_own = names.len() - search_path(call).len();
        names.insert(behind_own, "pg_catalog".to_owned());
    }
    let quoted: Vec<String> = names.iter().map(|name| array_item(name)).collect();
    text(format!("{{{}}}", quoted.join(",")))
}

/// A name as an item of an array's text.
pub(super) fn array_item(name: &str) -> String {
    let plain = name.chars().all(|char| char.is_alphanumeric() || char == '_');
    if plain && !name.is_empty() && !name.eq_ignore_ascii_case("null") {
        return name.to_owned();
    }
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

pub(super) fn current_setting(call: &Call<'_, '_>) -> Answer {
    let Some(name) = call.optional_text(0)? else { return Ok(Value::Null) };
    let environment = call.environment();
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
