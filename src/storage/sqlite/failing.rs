//! What a statement failed at, which SQLite does not tell: it is run once more, with eyes on
//! the rows, and undone.

use super::keys::{BrokenKey, KeyRole};
use super::shape::quote;
use super::{Sqlite, SqliteError};
use crate::log::Value;

/// A row that was about to be written, with the table as stored.
pub type FailingRow = (String, Vec<Value>);

/// The triggers that note rows.
const TRIGGER: &str = "towline_failing";
/// Arguments that one call of a function takes at most, about.
const NOTED_AT_ONCE: usize = 64;

impl Sqlite {
    /// Runs what failed once more; the row that it came to last, of tables with these
    /// columns.
    pub fn failing_row(
        &mut self,
        tables: &[(&str, Vec<&str>)],
        again: impl FnOnce(&mut Self) -> Result<(), SqliteError>,
    ) -> Result<Option<FailingRow>, SqliteError> {
        let made = triggers(tables);
        self.trusted(|sqlite| made.iter().try_for_each(|(_, text)| sqlite.run_once(text)))?;
        let surroundings = self.handle.surroundings().clone();
        surroundings.take_failing();
        let undone = self.undone(again).map(|_| ());
        let dropped = self.trusted(|sqlite| {
            let mut dropped =
                made.iter().map(|(name, _)| sqlite.run_once(&format!("DROP TRIGGER temp.{name}")));
            dropped.try_for_each(|dropped| dropped)
        });
        undone.and(dropped)?;
        Ok(surroundings.take_failing())
    }

    /// Runs what failed once more, with all foreign keys deferred; the first key by which
    /// that breaks one.
    pub fn failing_key(
        &mut self,
        again: impl FnOnce(&mut Self) -> Result<(), SqliteError>,
    ) -> Result<Option<BrokenKey>, SqliteError> {
        self.watch_foreign_keys()?;
        self.set_defer_foreign_keys(true)?;
        let found = self.undone_after(again, |sqlite, failed| {
            let noted = sqlite.take_noted();
            // RESTRICT can't be deferred: what it refused is there again.
            let restricts =
                |note: &&BrokenKey| if failed { note.role == KeyRole::Referred } else { true };
            for note in noted.iter().filter(restricts) {
                if sqlite.trusted(|sqlite| sqlite.is_broken(note, failed))? {
                    return Ok(Some(note.clone()));
                }
            }
            Ok(None)
        });
        self.set_defer_foreign_keys(false)?;
        found
    }

    fn undone(
        &mut self,
        again: impl FnOnce(&mut Self) -> Result<(), SqliteError>,
    ) -> Result<(), SqliteError> {
        self.undone_after(again, |_, _| Ok(()))
    }

    /// Does something and undoes it, after a look at what it did, or that it failed.
    fn undone_after<T>(
        &mut self,
        again: impl FnOnce(&mut Self) -> Result<(), SqliteError>,
        look: impl FnOnce(&mut Self, bool) -> Result<T, SqliteError>,
    ) -> Result<T, SqliteError> {
        self.execute_batch("SAVEPOINT towline_again")?;
        let failed = again(self).is_err();
        let seen = look(self, failed);
        self.execute_batch("ROLLBACK TO towline_again; RELEASE towline_again")?;
        seen
    }

    fn run_once(&mut self, text: &str) -> Result<(), SqliteError> {
        self.prepare_once(text)?.step().map(|_| ())
    }
}

/// Triggers by name that note each row which is about to be put in or changed.
fn triggers(tables: &[(&str, Vec<&str>)]) -> Vec<(String, String)> {
    let mut made = Vec::new();
    for (number, (table, columns)) in tables.iter().enumerate() {
        let mut notes = String::new();
        for (at, columns) in columns.chunks(NOTED_AT_ONCE).enumerate() {
            let values: Vec<String> =
                columns.iter().map(|column| format!("NEW.{}", quote(column))).collect();
            let table = table.replace('\'', "''");
            notes.push_str(&format!("SELECT towline_failing('{table}', {at}, "));
            notes.push_str(&values.join(", "));
            notes.push_str("); ");
        }
        for event in ["INSERT", "UPDATE"] {
            let name = format!("{TRIGGER}_{event}_{number}");
            let text = format!(
                "CREATE TEMP TRIGGER {name} BEFORE {event} ON main.{} BEGIN {notes}END",
                quote(table)
            );
            made.push((name, text));
        }
    }
    made
}
