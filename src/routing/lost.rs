//! Answers for a transaction that went down with its node: as PostgreSQL answers in
//! a failed block, until the client ends it.

use bytes::{Bytes, BytesMut};

use super::unit::next_message;
use crate::pg::backend::{TransactionStatus, Writer};
use crate::pg::{SqlError, SqlState};
use crate::sql::Class;

/// Answers the messages of a part. Gives whether the transaction has ended with it,
/// and whether what is left of the unit is to be skipped.
pub fn answer(
    part: &Bytes,
    classify: &mut dyn FnMut(&str) -> Class,
    class_of: &dyn Fn(&[u8]) -> Option<Class>,
    out: &mut BytesMut,
) -> Answered {
    let mut answered = Answered::default();
    // Of the unnamed statement and portal, which is all that ROLLBACK needs.
    let mut class = None;
    let mut at = 0;
    while let Some((tag, length)) = next_message(&part[at..]) {
        let body = &part[at + 5..at + length];
        at += length;
        let mut writer = Writer(out);
        let ends = |class| matches!(class, Some(Class::Commit | Class::Rollback));
        if answered.skipping && !matches!(tag, b'S' | b'Q') {
            continue;
        }
        match tag {
            b'Q' => {
                let class = text(body, 0).map(&mut *classify);
                if ends(class) {
                    writer.command_complete("ROLLBACK");
                    answered.ended = true;
                } else {
                    writer.error(&refusal());
                }
                writer.ready_for_query(answered.status());
            }
            b'S' => {
                answered.skipping = false;
                writer.ready_for_query(answered.status());
            }
            b'P' => {
                class = text(body, 1).map(&mut *classify);
                if ends(class) {
                    writer.parse_complete();
                } else {
                    writer.error(&refusal());
                    answered.skipping = true;
                }
            }
            b'B' => {
                let named = text(body, 1).filter(|name| !name.is_empty());
                if let Some(name) = named {
                    class = class_of(name.as_bytes());
                }
                if ends(class) {
                    writer.bind_complete();
                } else {
                    writer.error(&refusal());
                    answered.skipping = true;
                }
            }
            b'D' if body.first() == Some(&b'S') => {
                writer.parameter_description(&[]);
                writer.no_data();
            }
            b'D' => writer.no_data(),
            b'E' => {
                writer.command_complete("ROLLBACK");
                answered.ended = true;
            }
            b'C' => writer.close_complete(),
            _ => {}
        }
    }
    answered
}

/// What [`answer`] did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Answered {
    pub ended: bool,
    pub skipping: bool,
}

impl Answered {
    fn status(self) -> TransactionStatus {
        if self.ended { TransactionStatus::Idle } else { TransactionStatus::Failed }
    }
}

/// The `n`th zero-terminated string, if it is UTF-8.
fn text(body: &[u8], n: usize) -> Option<&str> {
    let string = body.split(|byte| *byte == 0).nth(n)?;
    std::str::from_utf8(string).ok()
}

fn refusal() -> SqlError {
    SqlError::new(
        SqlState::IN_FAILED_SQL_TRANSACTION,
        "current transaction is aborted, commands ignored until end of transaction block",
    )
}
