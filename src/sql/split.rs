//! Cuts a simple-query string at its top-level semicolons.

use super::scan::{Scanner, Token};
use crate::pg::SqlError;

/// Cuts a simple-query string into its statements, without their semicolons.
/// Empty ones (white space and comments alone) are left out. The bodies of SQLite's
/// triggers and of SQL-standard functions hold semicolons of their own:
/// `CREATE TRIGGER … BEGIN …; END` and `… BEGIN ATOMIC …; END` stay whole.
pub fn split(text: &str) -> Result<Vec<&str>, SqlError> {
    let mut statements = Vec::new();
    let mut scanner = Scanner::new(text);
    let mut statement = Progress::default();
    loop {
        let token = scanner.next().map_err(|unterminated| unterminated.into_error(text))?;
        match token {
            None => break,
            Some(Token::Symbol(b';')) if statement.blocks == 0 => {
                if let Some(begin) = statement.begin {
                    statements.push(text[begin..scanner.start].trim_end());
                }
                statement = Progress::default();
            }
            Some(token) => statement.step(token, scanner.start),
        }
    }
    if let Some(begin) = statement.begin {
        statements.push(text[begin..].trim_end());
    }
    Ok(statements)
}

/// Where in a statement the cutter is.
#[derive(Default)]
struct Progress {
    /// Byte offset of the first token.
    begin: Option<usize>,
    /// Whether it began with CREATE, and then named a TRIGGER.
    create: bool,
    trigger: bool,
    after_begin: bool,
    /// BEGIN or CASE not yet closed by END.
    blocks: usize,
}

impl Progress {
    fn step(&mut self, token: Token<'_>, offset: usize) {
        if self.begin.is_none() {
            self.begin = Some(offset);
            self.create = token.is("create");
            return;
        }
        if !self.create {
            return;
        }
        let was_begin = std::mem::take(&mut self.after_begin);
        if token.is("trigger") {
            self.trigger = true;
        } else if token.is("begin") && self.blocks == 0 {
            if self.trigger {
                self.blocks = 1;
            } else {
                self.after_begin = true;
            }
        } else if was_begin && token.is("atomic") {
            self.blocks = 1;
        } else if self.blocks > 0 && token.is("case") {
            self.blocks += 1;
        } else if self.blocks > 0 && token.is("end") {
            self.blocks -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_at_top_level_semicolons_only() {
        let cases: &[(&str, &[&str])] = &[
            ("", &[]),
            (" ; ;-- x\n ; /* ; */", &[]),
            ("select 1", &["select 1"]),
            ("select 1; select 2 ;", &["select 1", "select 2"]),
            ("select ';'; select \"a;b\"", &["select ';'", "select \"a;b\""]),
            ("select e'\\';'; select 2", &["select e'\\';'", "select 2"]),
            ("select '\\'; select 2", &["select '\\'", "select 2"]),
            ("select $$;$$; select $a$ $$;$b$ $a$", &["select $$;$$", "select $a$ $$;$b$ $a$"]),
            ("select 1 /* ; /* ; */ ; */ ; select 2", &["select 1 /* ; /* ; */ ; */", "select 2"]),
            ("select 1 -- ; \n ; select $1;", &["select 1 -- ;", "select $1"]),
            ("begin; end", &["begin", "end"]),
            (
                "create trigger t after insert on a begin select case 1 when 1 then 2 end; \
                 delete from b; end; select 1",
                &[
                    "create trigger t after insert on a begin select case 1 when 1 then 2 end; \
                     delete from b; end",
                    "select 1",
                ],
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(split(text).as_deref(), Ok(*expected), "{text}");
        }
    }

    #[test]
    fn refuses_what_never_closes() {
        for text in ["select 'a", "select \"a", "select $$a", "select /* a", "e'\\'"] {
            let error = split(text).expect_err(text);
            assert_eq!(error.state.0, "42601");
            assert!(error.position.is_some());
        }
    }
}
