//! A text that PostgreSQL and SQLite both read, each its own part.
//!
//! PostgreSQL's comments nest, SQLite's do not, so in
//!
//! ```text
//! /*/**/ S --*/ P ⏎
//! ```
//!
//! PostgreSQL sees one comment and then P; SQLite sees a comment, S, and a comment to
//! the line's end. S may be of several lines and holds neither `/*` nor `*/`; P is of
//! one line. Where both are the same there are no marks.

use std::io::{self, Write};

use crate::sql::portable::one_line;

/// Who will read the text.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(super) enum Reader {
    Postgresql,
    Sqlite,
}

/// Marks the parts of a text.
#[derive(Clone, Copy)]
pub(super) struct Marks {
    /// The only reader there will be; then there are no marks.
    pub only: Option<Reader>,
}

impl Marks {
    /// `postgresql` for PostgreSQL, `sqlite` for SQLite. It may end its line.
    pub(super) fn either(self, postgresql: &str, sqlite: &str) -> String {
        match self.only {
            Some(Reader::Postgresql) => postgresql.to_owned(),
            Some(Reader::Sqlite) => sqlite.to_owned(),
            None if postgresql == sqlite => postgresql.to_owned(),
            None if can_be_commented(sqlite) => {
                format!("/*/**/{sqlite}--*/{}\n", one_line(postgresql))
            }
            None => format!("/*/**/--*/{}\n", one_line(postgresql)),
        }
    }
}

/// Whether PostgreSQL passes over `text` inside a comment.
pub(super) fn can_be_commented(text: &str) -> bool {
    !text.contains("/*") && !text.contains("*/")
}

/// The text as it is written.
pub(super) struct Script<W> {
    out: W,
    marks: Marks,
}

impl<W: Write> Script<W> {
    pub(super) fn new(out: W, marks: Marks) -> Self {
        Self { out, marks }
    }

    /// A statement without its semicolon, or a comment.
    pub(super) fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{text}")
    }

    /// A statement that both read.
    pub(super) fn both(&mut self, statement: &str) -> io::Result<()> {
        writeln!(self.out, "{statement};")
    }

    /// A statement, as PostgreSQL and as SQLite reads it; empty: not at all.
    pub(super) fn statement(&mut self, postgresql: &str, sqlite: &str) -> io::Result<()> {
        let ended = |text: &str| if text.is_empty() { String::new() } else { format!("{text};") };
        let text = self.marks.either(&ended(postgresql), &ended(sqlite));
        match text.trim_end() {
            "" => Ok(()),
            text => writeln!(self.out, "{text}"),
        }
    }

    /// A part of a statement.
    pub(super) fn part(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())
    }

    pub(super) fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reader_has_a_part_of_its_own_where_they_differ() {
        let both = Marks { only: None };
        assert_eq!(both.either("a", "a"), "a");
        assert_eq!(both.either("'\\x00'", "X'00'"), "/*/**/X'00'--*/'\\x00'\n");
        assert_eq!(both.either("a\n+ b", ""), "/*/**/--*/a + b\n");
        // PostgreSQL's comment would end too early.
        assert_eq!(both.either("a", "'*/'"), "/*/**/--*/a\n");
        assert_eq!(Marks { only: Some(Reader::Sqlite) }.either("a", "b"), "b");
        assert_eq!(Marks { only: Some(Reader::Postgresql) }.either("a", "b"), "a");
    }

    #[test]
    fn a_statement_may_be_one_readers_alone() {
        let written = |only| {
            let mut script = Script::new(Vec::new(), Marks { only });
            script.statement("CREATE TYPE a AS ENUM ('x')", "").expect("written");
            script.statement("", "PRAGMA foreign_keys=OFF").expect("written");
            String::from_utf8(script.finish().expect("flushed")).expect("UTF-8")
        };
        let both = "/*/**/--*/CREATE TYPE a AS ENUM ('x');\n/*/**/PRAGMA foreign_keys=OFF;--*/\n";
        assert_eq!(written(None), both);
        assert_eq!(written(Some(Reader::Sqlite)), "PRAGMA foreign_keys=OFF;\n");
        assert_eq!(written(Some(Reader::Postgresql)), "CREATE TYPE a AS ENUM ('x');\n");
    }
}
