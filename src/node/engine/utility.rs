//! Statements that are neither a read nor a write: what they do to the session, and how
//! they answer.

use std::borrow::Cow;
use std::sync::Arc;

use super::cursor::Declared;
use super::explain::Explained;
use super::run::{Flow, Run};
use super::session::{EngineSession, Stop};
use crate::gateway::{Mode, Out};
use crate::log::Value;
use crate::node::errors;
use crate::node::plan::Plan;
use crate::node::rows::RowFormat;
use crate::pg::backend::Writer;
use crate::pg::{Oid, Severity, SqlError, SqlState};
use crate::sql::{Column, Kind, Tag, TransactionModes, Translated};

/// What a utility statement answers with.
pub(super) enum Answer {
    /// CommandComplete with this tag.
    Tag(Cow<'static, str>),
    CopyIn,
}

impl From<&'static str> for Answer {
    fn from(tag: &'static str) -> Self {
        Self::Tag(Cow::Borrowed(tag))
    }
}

impl EngineSession {
    pub(super) async fn utility(
        &mut self,
        plan: &Arc<Plan>,
        params: &[Value],
        format: &RowFormat,
        run: Run,
        out: &mut Out,
    ) -> Result<Flow, Stop> {
        let ends = matches!(
            plan.translated.kind,
            Kind::Commit { .. } | Kind::Rollback { .. } | Kind::RollbackTo(_)
        );
        if !ends {
            self.check_not_failed()?;
        }
        let answer = match &plan.translated.kind {
            Kind::Begin(_)
            | Kind::Commit { .. }
            | Kind::Rollback { .. }
            | Kind::Savepoint(_)
            | Kind::Release(_)
            | Kind::RollbackTo(_)
            | Kind::SetTransaction { .. } => {
                self.transaction_statement(&plan.translated, out).await?
            }
            Kind::Set { .. } | Kind::Show(_) | Kind::Reset(_) | Kind::Discard(_) => {
                self.setting_statement(&plan.translated.kind, run, out).await?
            }
            Kind::Prepare { name, params, statement } => {
                self.prepare_statement(name, params, statement, &plan.text).await?
            }
            Kind::Execute { name, arguments } => {
                return Box::pin(self.execute_statement(name, arguments, format, run, out)).await;
            }
            Kind::Deallocate(name) => self.deallocate(name.as_deref())?,
            Kind::Declare { name, binary, hold, scroll, query } => {
                let (binary, hold, scroll) = (*binary, *hold, *scroll);
                let types = &plan.translated.params;
                let said = &plan.text;
                let declared = Declared { name, binary, hold, scroll, query, said, types, params };
                Answer::Tag(self.declare(declared).await?)
            }
            Kind::Fetch { cursor, movement, discard } => {
                // Bind says for itself which format it wants.
                let binary = self.portals.get(cursor);
                let binary = binary.filter(|it| it.declared.is_some() && !run.extended);
                let binary = binary.map(|it| it.format.clone()).filter(|it| !it.formats.is_empty());
                let format = binary.as_ref().unwrap_or(format);
                if !run.extended && !*discard {
                    let columns = self.columns_of(plan);
                    if !columns.is_empty() {
                        Writer(&mut out.buffer).row_description(&format.fields(&columns));
                    }
                }
                Answer::Tag(self.fetch(cursor, *movement, *discard, format, out).await?)
            }
            Kind::Close(name) => Answer::Tag(self.close(name.as_deref())?),
            Kind::CopyIn { table, columns, options } => {
                self.begin_copy_in(plan, (table, columns), options, run.extended, out).await?;
                Answer::CopyIn
            }
            Kind::CopyOut { options } => {
                let count = self.copy_out(plan, options, out).await?;
                Answer::Tag(format!("COPY {count}").into())
            }
            Kind::Explain { json, analyze, prepared: None } => {
                let [step, statement] = plan.translated.statements.as_slice() else {
                    return Err(SqlError::unsupported("EXPLAIN of this statement").into());
                };
                let explained = Explained { plan, params, step: &step.text, text: &statement.text };
                self.explain(plan, explained, (*json, *analyze), run, out).await?
            }
            Kind::Explain { json, analyze, prepared: Some((name, arguments)) } => {
                let inner = self.prepared(name).await?;
                let params = self.arguments(&inner, name, arguments).await?;
                let reads = matches!(inner.translated.kind, Kind::Read { .. });
                let statement = inner.translated.statements.last();
                let Some(statement) =
                    statement.filter(|_| reads || matches!(inner.translated.kind, Kind::Write))
                else {
                    return Err(SqlError::unsupported("EXPLAIN of this statement").into());
                };
                let (text, step) =
                    (&statement.text, format!("EXPLAIN QUERY PLAN {}", statement.text));
                let explained = Explained { plan: &inner, params: &params, step: &step, text };
                self.explain(plan, explained, (*json, *analyze && reads), run, out).await?
            }
            Kind::Listen(channel) => {
                self.listen(channel.clone())?;
                "LISTEN".into()
            }
            Kind::Unlisten(channel) => {
                self.unlisten(channel.as_deref())?;
                "UNLISTEN".into()
            }
            Kind::Notify { channel, payload } => {
                let text = "SELECT pg_notify($1, $2)";
                let plan = self.plan(text, &[Oid::TEXT, Oid::TEXT]).await?;
                let params = vec![Value::Text(channel.clone()), Value::Text(payload.clone())];
                self.write(&plan, params, &RowFormat::default(), run.alone).await?;
                "NOTIFY".into()
            }
            Kind::Lock => {
                self.check_may_write("LOCK TABLE")?;
                if self.open.as_ref().is_none_or(|open| !open.explicit) && run.alone {
                    return Err(SqlError::new(
                        SqlState::NO_ACTIVE_SQL_TRANSACTION,
                        "LOCK TABLE can only be used in transaction blocks",
                    )
                    .into());
                }
                self.open(false, TransactionModes::default());
                self.loan().await?;
                "LOCK TABLE".into()
            }
            Kind::LargeObject { .. } => {
                self.select_large_object(plan, params, format, run, out).await?;
                "SELECT 1".into()
            }
            Kind::Vacuum { analyze } => self.vacuum(plan, *analyze, run).await?,
            Kind::Database(change) => {
                let verb = fixed(&plan.translated.tag);
                self.change_database(change, verb, run.alone, out).await?;
                verb.into()
            }
            Kind::Role(change) => {
                let verb = fixed(&plan.translated.tag);
                self.change_roles(change, verb, run.alone, out).await?;
                verb.into()
            }
            Kind::SetConstraints { constraints, deferred } => {
                self.check_not_failed()?;
                if self.open.as_ref().is_some_and(|open| open.explicit) {
                    self.set_constraints(constraints.as_deref(), *deferred).await?;
                } else {
                    let text = "SET CONSTRAINTS can only be used in transaction blocks";
                    warn(out, SqlState::NO_ACTIVE_SQL_TRANSACTION, text);
                }
                fixed(&plan.translated.tag).into()
            }
            Kind::Nothing => fixed(&plan.translated.tag).into(),
            Kind::Empty | Kind::Read { .. } | Kind::Write | Kind::Ddl { .. } | Kind::Advisory => {
                unreachable!("carried out by run_described")
            }
        };
        match answer {
            Answer::Tag(tag) => Writer(&mut out.buffer).command_complete(&tag),
            Answer::CopyIn => return Ok(Flow::CopyIn),
        }
        Ok(Flow::Done)
    }

    async fn transaction_statement(
        &mut self,
        statement: &Translated,
        out: &mut Out,
    ) -> Result<Answer, Stop> {
        match &statement.kind {
            Kind::Begin(modes) => {
                if self.open.as_ref().is_some_and(|open| open.explicit) {
                    let text = "there is already a transaction in progress";
                    warn(out, SqlState::ACTIVE_SQL_TRANSACTION, text);
                } else {
                    self.open(true, *modes);
                }
                Ok(match statement.tag {
                    Tag::Fixed(tag) => tag.into(),
                    _ => "BEGIN".into(),
                })
            }
            Kind::Commit { chain } => self.commit_statement(*chain, out).await,
            Kind::Rollback { chain } => {
                let explicit = self.open.as_ref().is_some_and(|open| open.explicit);
                if *chain && !explicit {
                    return Err(nothing_to_chain("ROLLBACK").into());
                }
                if !explicit {
                    let text = "there is no transaction in progress";
                    warn(out, SqlState::NO_ACTIVE_SQL_TRANSACTION, text);
                }
                let as_before = self.characteristics();
                self.roll_back().await;
                if *chain && explicit {
                    self.open(true, as_before);
                }
                Ok("ROLLBACK".into())
            }
            Kind::Savepoint(name) => {
                self.savepoint(name).await?;
                Ok("SAVEPOINT".into())
            }
            Kind::Release(name) => {
                self.release(name)?;
                Ok("RELEASE".into())
            }
            Kind::RollbackTo(name) => {
                self.roll_back_to(name)?;
                Ok("ROLLBACK".into())
            }
            Kind::SetTransaction { modes, session } => {
                self.set_transaction(*modes, *session, out)?;
                Ok("SET".into())
            }
            _ => unreachable!("not a transaction statement"),
        }
    }

    async fn commit_statement(&mut self, chain: bool, out: &mut Out) -> Result<Answer, Stop> {
        if self.mode == Mode::Lookup {
            let tag = self.look_up_commit().await?;
            return Ok(Answer::Tag(tag.into()));
        }
        let explicit = self.open.as_ref().is_some_and(|open| open.explicit);
        if chain && !explicit {
            return Err(nothing_to_chain("COMMIT").into());
        }
        if !explicit {
            let text = "there is no transaction in progress";
            warn(out, SqlState::NO_ACTIVE_SQL_TRANSACTION, text);
        }
        let as_before = self.characteristics();
        let failed = self.open.as_ref().is_some_and(|open| open.failed);
        if failed {
            self.roll_back().await;
        } else {
            self.commit(Some("COMMIT")).await?;
        }
        if chain && explicit {
            self.open(true, as_before);
        }
        Ok(if failed { "ROLLBACK" } else { "COMMIT" }.into())
    }

    pub(super) fn characteristics(&self) -> TransactionModes {
        let settings = &self.settings;
        let (isolation, read_only, deferrable) = match &self.open {
            Some(open) => (open.isolation, open.read_only, open.deferrable),
            None => (
                settings.default_isolation(),
                settings.default_read_only(),
                settings.default_deferrable(),
            ),
        };
        TransactionModes {
            isolation: Some(isolation),
            read_only: Some(read_only),
            deferrable: Some(deferrable),
            complete: true,
        }
    }

    /// VACUUM: a checkpoint, and the writer gives all free pages back as soon as it is
    /// idle; with ANALYZE also that, as a logged write.
    async fn vacuum(&mut self, plan: &Arc<Plan>, analyze: bool, run: Run) -> Result<Answer, Stop> {
        if self.open.as_ref().is_some_and(|open| open.explicit) || !run.alone {
            return Err(SqlError::new(
                SqlState::ACTIVE_SQL_TRANSACTION,
                "VACUUM cannot run inside a transaction block",
            )
            .into());
        }
        self.check_may_write("VACUUM")?;
        if analyze && !plan.translated.statements.is_empty() {
            self.write(plan, Vec::new(), &RowFormat::default(), true).await?;
        }
        let mut reader = self.reader().await?;
        let free = tokio::task::block_in_place(|| {
            reader.checkpoint()?;
            reader.free_pages()
        });
        let free = free.map_err(|error| errors::translate_bare(&error))?;
        self.inner.hub.surplus.send_replace(free);
        Ok(fixed(&plan.translated.tag).into())
    }
}

pub(super) fn warn(out: &mut Out, state: SqlState, text: &str) {
    let notice = SqlError { severity: Severity::Warning, ..SqlError::new(state, text) };
    Writer(&mut out.buffer).notice(&notice);
}

fn fixed(tag: &Tag) -> &'static str {
    match tag {
        Tag::Fixed(text) => text,
        _ => "OK",
    }
}

pub(super) fn text_column(name: &str) -> Column {
    Column {
        name: name.to_owned(),
        oid: Oid::TEXT,
        typmod: -1,
        table: Oid(0),
        number: 0,
        made: None,
    }
}

pub(super) fn describe(columns: &[Column], run: Run, out: &mut Out) {
    if !run.extended {
        let fields = RowFormat::default().fields(columns);
        Writer(&mut out.buffer).row_description(&fields);
    }
}

pub(super) fn text_row(out: &mut Out, values: &[&str]) {
    let mut writer = Writer(&mut out.buffer);
    let mut row = writer.data_row(values.len());
    for value in values {
        let written = row.field(|out| {
            out.extend_from_slice(value.as_bytes());
            Ok(())
        });
        debug_assert!(written.is_ok(), "a setting's value fits in a row");
    }
    row.finish();
}

fn nothing_to_chain(verb: &str) -> SqlError {
    SqlError::new(
        SqlState::NO_ACTIVE_SQL_TRANSACTION,
        format!("{verb} AND CHAIN can only be used in transaction blocks"),
    )
}
