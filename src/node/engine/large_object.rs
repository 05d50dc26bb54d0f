//! Large objects: PostgreSQL's files inside the database, which clients read and write
//! by function calls (libpq's `lo_open` and its kin), or by queries that only call such a
//! function.
//!
//! An object is a row of `towline_large_object` with its size, and of
//! `towline_large_object_page` a row for each page that was ever written; what was not
//! is zeros. An object is its database's alone. Writes are logged as the statements that change those tables. Descriptors
//! end with their transaction, all of which runs on the writer's loan.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::BytesMut;

use super::run::Run;
use super::session::{EngineSession, Stop};
use crate::gateway::Out;
use crate::log::{Value, ValueRef};
use crate::node::errors;
use crate::node::execute::Work;
use crate::node::plan::{Given, Plan, Reading};
use crate::node::rows::RowFormat;
use crate::pg::backend::Writer;
use crate::pg::types::{self, Display, Format};
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::{Argument, Kind, TransactionModes};

/// Bytes of a page.
const PAGE: i64 = 8192;
/// Bytes that an object may have: as in PostgreSQL.
const SIZE_MAX: i64 = 4 << 40;
/// Bytes that one call may read.
const READ_MAX: i64 = 64 << 20;
/// Descriptors that a transaction may hold.
const OPEN_MAX: usize = 1024;

const FOR_WRITING: i32 = 0x0002_0000;
const FOR_READING: i32 = 0x0004_0000;

/// The objects that a transaction has open.
#[derive(Default)]
pub(super) struct LargeObjects(BTreeMap<i32, Descriptor>);

#[derive(Clone, Copy, Debug)]
struct Descriptor {
    object: i64,
    offset: i64,
    writes: bool,
}

impl LargeObjects {
    pub(super) fn close_all(&mut self) {
        self.0.clear();
    }

    fn get(&mut self, number: i32) -> Result<&mut Descriptor, SqlError> {
        self.0.get_mut(&number).ok_or_else(|| {
            SqlError::new(
                SqlState::UNDEFINED_OBJECT,
                format!("invalid large-object descriptor: {number}"),
            )
        })
    }
}

/// What a call gives back.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Answer {
    Int4(i32),
    Int8(i64),
    Bytes(Vec<u8>),
    Void,
}

impl Answer {
    /// As a client gets it.
    pub(super) fn encoded(&self, format: Format, display: &Display) -> Result<Vec<u8>, SqlError> {
        let (value, oid) = match self {
            Self::Int4(value) => (ValueRef::Integer((*value).into()), Oid::INT4),
            Self::Int8(value) => (ValueRef::Integer(*value), Oid::INT8),
            Self::Bytes(data) => (ValueRef::Blob(data), Oid::BYTEA),
            Self::Void => return Ok(Vec::new()),
        };
        let mut bytes = BytesMut::new();
        match format {
            Format::Binary => types::encode_binary(value, oid, &mut bytes)?,
            Format::Text => types::encode_text(value, oid, -1, display, &mut bytes)?,
        }
        Ok(bytes.to_vec())
    }
}

/// The functions, by the names that `pg_proc` has.
pub(super) fn is_one(name: &str) -> bool {
    matches!(
        name,
        "lo_close"
            | "lo_creat"
            | "lo_create"
            | "lo_from_bytea"
            | "lo_get"
            | "lo_lseek"
            | "lo_lseek64"
            | "lo_open"
            | "lo_put"
            | "lo_tell"
            | "lo_tell64"
            | "lo_truncate"
            | "lo_truncate64"
            | "lo_unlink"
            | "loread"
            | "lowrite"
    )
}

impl EngineSession {
    /// Carries out a call of one of them.
    pub(super) async fn large_object(
        &mut self,
        name: &str,
        arguments: &[Value],
    ) -> Result<Answer, Stop> {
        self.check_may_write(name)?;
        self.open(false, TransactionModes::default());
        self.loan().await?;
        let number = |at: usize| match arguments.get(at) {
            Some(Value::Integer(number)) => *number,
            _ => 0,
        };
        let int4 = |value: i64, what: &str| {
            i32::try_from(value).map(Answer::Int4).map_err(|_| {
                Stop::Sql(SqlError::new(
                    SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
                    format!("{what} result out of range for large-object descriptor"),
                ))
            })
        };
        let descriptor = number(0) as i32;
        Ok(match name {
            "lo_creat" => Answer::Int4(self.create_object(0)? as i32),
            "lo_create" => Answer::Int4(self.create_object(number(0))? as i32),
            "lo_from_bytea" => {
                let object = self.create_object(number(0))?;
                self.put_object(object, 0, bytes(arguments.get(1)))?;
                Answer::Int4(object as i32)
            }
            "lo_get" => {
                let (from, wanted) = match arguments.len() {
                    1 => (0, self.existing_size(number(0))?),
                    _ => (number(1), number(2)),
                };
                let open = self.open_object(number(0), FOR_READING)?;
                self.seek_object(open, from, 0)?;
                let data = self.read_object(open, wanted);
                self.objects.0.remove(&open);
                Answer::Bytes(data?)
            }
            "lo_put" => {
                self.put_object(number(0), number(1), bytes(arguments.get(2)))?;
                Answer::Void
            }
            "lo_open" => Answer::Int4(self.open_object(number(0), number(1) as i32)?),
            "lo_close" => {
                self.objects.get(descriptor)?;
                self.objects.0.remove(&descriptor);
                Answer::Int4(0)
            }
            "loread" => Answer::Bytes(self.read_object(descriptor, number(1))?),
            "lowrite" => Answer::Int4(self.write_object(descriptor, bytes(arguments.get(1)))?),
            "lo_lseek" => int4(self.seek_object(descriptor, number(1), number(2))?, name)?,
            "lo_lseek64" => Answer::Int8(self.seek_object(descriptor, number(1), number(2))?),
            "lo_tell" => int4(self.objects.get(descriptor)?.offset, name)?,
            "lo_tell64" => Answer::Int8(self.objects.get(descriptor)?.offset),
            "lo_truncate" | "lo_truncate64" => {
                self.truncate_object(descriptor, number(1))?;
                Answer::Int4(0)
            }
            "lo_unlink" => {
                self.unlink_object(number(0))?;
                Answer::Int4(1)
            }
            _ => return Err(SqlError::unsupported(name).into()),
        })
    }

    /// `SELECT lo_…(…)` as a statement: one row.
    pub(super) async fn select_large_object(
        &mut self,
        plan: &Plan,
        params: &[Value],
        format: &RowFormat,
        run: Run,
        out: &mut Out,
    ) -> Result<(), Stop> {
        let Kind::LargeObject { function, arguments } = &plan.translated.kind else {
            return Ok(());
        };
        let mut values = Vec::with_capacity(arguments.len());
        for (oid, argument) in arguments {
            values.push(match argument {
                Argument::Parameter(number) => params.get(number - 1).cloned(),
                Argument::Expression(text) => Some(self.evaluate(text, *oid).await?),
            });
        }
        let values: Vec<Value> =
            values.into_iter().map(|value| value.unwrap_or(Value::Null)).collect();
        let answer = match values.contains(&Value::Null) {
            true => None,
            false => Some(self.large_object(function, &values).await?),
        };
        if !run.extended {
            let fields = format.fields(&plan.translated.columns);
            Writer(&mut out.buffer).row_description(&fields);
        }
        let wanted = format.formats.first().copied().unwrap_or(Format::Text);
        let value = answer.map(|answer| answer.encoded(wanted, &format.display)).transpose()?;
        let mut writer = Writer(&mut out.buffer);
        let mut row = writer.data_row(1);
        match value {
            Some(value) => row.field(|out| {
                out.extend_from_slice(&value);
                Ok(())
            })?,
            None => row.null(),
        }
        row.finish();
        Ok(())
    }

    /// Writes into an object that is not open.
    fn put_object(&mut self, object: i64, offset: i64, data: &[u8]) -> Result<(), Stop> {
        let open = self.open_object(object, FOR_WRITING)?;
        let written = match self.seek_object(open, offset, 0) {
            Ok(_) => self.write_object(open, data),
            Err(error) => Err(error),
        };
        self.objects.0.remove(&open);
        written.map(|_| ())
    }

    /// Makes an empty object under `wanted`, or under a free OID where that is 0.
    fn create_object(&mut self, wanted: i64) -> Result<i64, Stop> {
        let object = if wanted == 0 {
            let next = self.object_query("SELECT next FROM main.towline_oid", &[])?;
            let Some(Value::Integer(next)) = next else {
                return Err(SqlError::new(SqlState::INTERNAL_ERROR, "no OID is free").into());
            };
            self.object_change(
                "UPDATE main.towline_oid SET next = ?1",
                &[int(next.saturating_add(1))],
            )?;
            next
        } else {
            wanted
        };
        // OIDs are the whole file's.
        let text = "SELECT 1 FROM main.towline_large_object WHERE oid = ?1";
        if self.object_query(text, &[int(object)])?.is_some() {
            return Err(SqlError::new(
                SqlState::UNIQUE_VIOLATION,
                format!("large object {object} already exists"),
            )
            .into());
        }
        let text = "INSERT INTO main.towline_large_object (oid, size, database) VALUES (?1, 0, ?2)";
        self.object_change(text, &[int(object), int(self.place.number().into())])?;
        Ok(object)
    }

    fn open_object(&mut self, object: i64, mode: i32) -> Result<i32, Stop> {
        if mode & (FOR_READING | FOR_WRITING) == 0 {
            return Err(SqlError::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("invalid flags for opening a large object: {mode}"),
            )
            .into());
        }
        self.existing_size(object)?;
        let open = &mut self.objects.0;
        if open.len() >= OPEN_MAX {
            return Err(SqlError::new(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                "too many open large objects",
            )
            .into());
        }
        let free = (0..).find(|number| !open.contains_key(number)).expect("fewer than OPEN_MAX");
        open.insert(free, Descriptor { object, offset: 0, writes: mode & FOR_WRITING != 0 });
        Ok(free)
    }

    fn read_object(&mut self, number: i32, wanted: i64) -> Result<Vec<u8>, Stop> {
        if !(0..=READ_MAX).contains(&wanted) {
            return Err(SqlError::new(
                SqlState::INVALID_PARAMETER_VALUE,
                "invalid length to read from a large object",
            )
            .into());
        }
        let Descriptor { object, offset, .. } = *self.objects.get(number)?;
        let end = self.existing_size(object)?.min(offset.saturating_add(wanted));
        let mut data = Vec::new();
        let mut at = offset;
        while at < end {
            let (page, start) = (at / PAGE, (at % PAGE) as usize);
            let stop = (end - page * PAGE).min(PAGE) as usize;
            let mut bytes = self.object_page(object, page)?;
            bytes.resize(PAGE as usize, 0);
            data.extend_from_slice(&bytes[start..stop]);
            at = (page + 1) * PAGE;
        }
        self.objects.get(number)?.offset = offset + data.len() as i64;
        Ok(data)
    }

    fn write_object(&mut self, number: i32, data: &[u8]) -> Result<i32, Stop> {
        let Descriptor { object, offset, .. } = self.writable(number)?;
        let size = self.existing_size(object)?;
        let end = offset.saturating_add(data.len() as i64);
        check_size(end)?;
        let (mut at, mut left) = (offset, data);
        while !left.is_empty() {
            let (page, start) = (at / PAGE, (at % PAGE) as usize);
            let (now, later) = left.split_at(left.len().min(PAGE as usize - start));
            let mut bytes = self.object_page(object, page)?;
            if bytes.len() < start + now.len() {
                bytes.resize(start + now.len(), 0);
            }
            bytes[start..start + now.len()].copy_from_slice(now);
            self.put_page(object, page, bytes)?;
            at += now.len() as i64;
            left = later;
        }
        if end > size {
            self.resize_object(object, end)?;
        }
        self.objects.get(number)?.offset = end;
        Ok(data.len() as i32)
    }

    fn seek_object(&mut self, number: i32, distance: i64, whence: i64) -> Result<i64, Stop> {
        let Descriptor { object, offset, .. } = *self.objects.get(number)?;
        let from = match whence {
            0 => Some(0),
            1 => Some(offset),
            2 => Some(self.existing_size(object)?),
            _ => None,
        };
        let target = from.and_then(|from| from.checked_add(distance));
        let target = target.filter(|target| (0..=SIZE_MAX).contains(target)).ok_or_else(|| {
            SqlError::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("invalid large object seek target: {distance}"),
            )
        })?;
        self.objects.get(number)?.offset = target;
        Ok(target)
    }

    fn truncate_object(&mut self, number: i32, size: i64) -> Result<(), Stop> {
        let Descriptor { object, .. } = self.writable(number)?;
        self.existing_size(object)?;
        check_size(size)?;
        let (page, rest) = (size / PAGE, (size % PAGE) as usize);
        let text = "DELETE FROM main.towline_large_object_page WHERE oid = ?1 AND page >= ?2";
        let first_gone = if rest == 0 { page } else { page + 1 };
        self.object_change(text, &[int(object), int(first_gone)])?;
        let mut last = self.object_page(object, page)?;
        if rest > 0 && last.len() > rest {
            last.truncate(rest);
            self.put_page(object, page, last)?;
        }
        self.resize_object(object, size)
    }

    fn unlink_object(&mut self, object: i64) -> Result<(), Stop> {
        self.existing_size(object)?;
        for text in [
            "DELETE FROM main.towline_large_object_page WHERE oid = ?1",
            "DELETE FROM main.towline_large_object WHERE oid = ?1",
        ] {
            self.object_change(text, &[int(object)])?;
        }
        self.objects.0.retain(|_, open| open.object != object);
        Ok(())
    }

    fn writable(&mut self, number: i32) -> Result<Descriptor, SqlError> {
        let descriptor = *self.objects.get(number)?;
        if descriptor.writes {
            return Ok(descriptor);
        }
        Err(SqlError::new(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("large object descriptor {number} was not opened for writing"),
        ))
    }

    fn object_size(&mut self, object: i64) -> Result<Option<i64>, Stop> {
        let text = "SELECT size FROM main.towline_large_object WHERE oid = ?1 AND database = ?2";
        let database = int(self.place.number().into());
        Ok(match self.object_query(text, &[int(object), database])? {
            Some(Value::Integer(size)) => Some(size),
            _ => None,
        })
    }

    fn existing_size(&mut self, object: i64) -> Result<i64, Stop> {
        self.object_size(object)?.ok_or_else(|| {
            Stop::Sql(SqlError::new(
                SqlState::UNDEFINED_OBJECT,
                format!("large object {object} does not exist"),
            ))
        })
    }

    fn resize_object(&mut self, object: i64, size: i64) -> Result<(), Stop> {
        let text = "UPDATE main.towline_large_object SET size = ?2 WHERE oid = ?1";
        self.object_change(text, &[int(object), int(size)])
    }

    fn object_page(&mut self, object: i64, page: i64) -> Result<Vec<u8>, Stop> {
        let text = "SELECT data FROM main.towline_large_object_page WHERE oid = ?1 AND page = ?2";
        Ok(match self.object_query(text, &[int(object), int(page)])? {
            Some(Value::Blob(data)) => data,
            _ => Vec::new(),
        })
    }

    fn put_page(&mut self, object: i64, page: i64, data: Vec<u8>) -> Result<(), Stop> {
        let text = "INSERT INTO main.towline_large_object_page (oid, page, data) VALUES (?1, ?2, ?3) \
                    ON CONFLICT (oid, page) DO UPDATE SET data = excluded.data";
        self.object_change(text, &[int(object), int(page), Value::Blob(data)])
    }

    /// The first column of the first row.
    fn object_query(&mut self, text: &str, params: &[Value]) -> Result<Option<Value>, Stop> {
        let open = self.open.as_mut().expect("the caller has opened it");
        let loan = open.loan.as_mut().expect("the caller has taken it");
        let mut sqlite = loan.take().map_err(|revoked| revoked.error())?;
        let failed = |error| Stop::Sql(errors::translate_bare(&error));
        let mut statement = sqlite.prepare(text).map_err(failed)?;
        statement.bind_all(params).map_err(failed)?;
        let found = statement.step().map_err(failed)?;
        Ok(found.then(|| statement.column(0).to_owned()))
    }

    /// Runs a statement in SQLite's own dialect, to be logged.
    fn object_change(&mut self, text: &str, params: &[Value]) -> Result<(), Stop> {
        let reading = Reading { sqlite_dialect: true, ..Reading::default() };
        let types = vec![Oid::UNSPECIFIED; params.len()];
        let given = Given { types, reading: reading.into(), ..Given::default() };
        let open = self.open.as_mut().expect("the caller has opened it");
        let loan = open.loan.as_mut().expect("the caller has taken it");
        // It names Towline's own tables alone, which are the whole file's.
        let plan = Plan::make(text, given, Arc::default())?;
        open.begun = true;
        let work = Work {
            plan: &plan,
            params,
            format: &RowFormat::default(),
            limits: &Default::default(),
            now_us: loan.now_us(),
            registers: Default::default(),
            repeats: None,
        };
        loan.run(&work)?;
        Ok(())
    }
}

fn bytes(argument: Option<&Value>) -> &[u8] {
    match argument {
        Some(Value::Blob(data)) => data,
        _ => &[],
    }
}

fn int(value: i64) -> Value {
    Value::Integer(value)
}

fn check_size(size: i64) -> Result<(), SqlError> {
    if (0..=SIZE_MAX).contains(&size) {
        return Ok(());
    }
    Err(SqlError::new(
        SqlState::INVALID_PARAMETER_VALUE,
        format!("invalid large object size: {size}"),
    ))
}
