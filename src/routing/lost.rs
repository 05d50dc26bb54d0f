//! Answers for a transaction that went down with its node: as PostgreSQL answers in
//! a failed block, until the client ends it.

use bytes::{Bytes, BytesMut};

use super::unit::next_message;
use crate::pg::backend::{TransactionStatus, Writer};
use crate::pg::{SqlError, SqlState};
use crate::sql::Class;

/// Answers the messages of a part. Gives whether the transaction has ended with it,
/// and whether what is left of the unit is to be skipped.
///
/// `unheard`: no statement has been told that the transaction is lost. (A driver that
/// closes a prepared statement does not look at the answer.) Then COMMIT is an error:
/// the tag ROLLBACK passes for success with those who don't read it.
pub fn answer(
    part: &Bytes,
    unheard: bool,
    classify: &mut dyn FnMut(&str) -> Class,
    class_of: &dyn Fn(&[u8]) -> Option<Class>,
    out: &mut BytesMut,
) -> Answered {
    let mut answered = Answered::default();
    // Of the statement parsed last, and then of the one bound last.
    let (mut parsed, mut class) = (None, None);
    let mut at = 0;
    while let Some((tag, length)) = next_message(&part[at..]) {
        let body = &part[at + 5..at + length];
        at += length;
        let mut writer = Writer(out);
        let ends = |class| matches!(class, Some(Class::Commit | Class::Rollback));
        let deceives = |class| unheard && class == Some(Class::Commit);
        if answered.skipping && !matches!(tag, b'S' | b'Q') {
            continue;
        }
        match tag {
            b'Q' => {
                let class = text(body, 0).map(&mut *classify);
                answered.heard = true;
                answered.ended = ends(class);
                if deceives(class) {
                    writer.error(&lost());
                } else if answered.ended {
                    writer.command_complete("ROLLBACK");
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
                parsed = text(body, 0);
                class = text(body, 1).map(&mut *classify);
                if ends(class) {
                    answered.effects += 1;
                    writer.parse_complete();
                } else {
                    writer.error(&refusal());
                    answered.skipping = true;
                }
            }
            b'B' => {
                let bound = text(body, 1);
                if let Some(name) = bound.filter(|_| bound != parsed) {
                    class = class_of(name.as_bytes());
                }
                if ends(class) {
                    writer.bind_complete();
                } else {
                    writer.error(&refusal());
                    answered.skipping = true;
                    answered.heard = true;
                }
            }
            b'D' if body.first() == Some(&b'S') => {
                writer.parameter_description(&[]);
                writer.no_data();
            }
            b'D' => writer.no_data(),
            b'E' => {
                answered.ended = true;
                if deceives(class) {
                    writer.error(&lost());
                    answered.skipping = true;
                } else {
                    writer.command_complete("ROLLBACK");
                }
            }
            b'C' => {
                answered.effects += 1;
                writer.close_complete();
            }
            _ => {}
        }
    }
    answered
}

/// What [`answer`] did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Answered {
    pub ended: bool,
    /// A statement was told that the transaction has failed.
    pub heard: bool,
    pub skipping: bool,
    /// Effects of the part that took place, in order.
    pub effects: usize,
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

/// What became of the transaction.
pub fn lost() -> SqlError {
    SqlError::new(
        SqlState::SERIALIZATION_FAILURE,
        "the transaction was lost with the node that it ran on",
    )
    .with_hint("The transaction might succeed if retried.")
}

fn refusal() -> SqlError {
    SqlError::new(
        SqlState::IN_FAILED_SQL_TRANSACTION,
        "current transaction is aborted, commands ignored until end of transaction block",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a simple query is answered, and whether that ends the transaction.
    fn said(query: &str, unheard: bool) -> (Vec<u8>, Answered) {
        let mut part = BytesMut::new();
        part.extend_from_slice(b"Q");
        part.extend_from_slice(&u32::to_be_bytes(query.len() as u32 + 5));
        part.extend_from_slice(query.as_bytes());
        part.extend_from_slice(b"\0");
        let mut classify = |text: &str| match text {
            "COMMIT" => Class::Commit,
            "ROLLBACK" => Class::Rollback,
            _ => Class::Write,
        };
        let mut out = BytesMut::new();
        let answered = answer(&part.freeze(), unheard, &mut classify, &|_| None, &mut out);
        (out.to_vec(), answered)
    }

    #[test]
    fn rollback_may_be_prepared_under_a_name() {
        use crate::routing::session::message;
        let zero = |text: &str, out: &mut BytesMut| {
            out.extend_from_slice(text.as_bytes());
            out.extend_from_slice(&[0]);
        };
        let mut prepare = BytesMut::new();
        message(b'P', &mut prepare, |out| {
            zero("s", out);
            zero("ROLLBACK", out);
            out.extend_from_slice(&[0; 2]);
        });
        let mut run = BytesMut::new();
        message(b'B', &mut run, |out| {
            zero("", out);
            zero("s", out);
            out.extend_from_slice(&[0; 6]);
        });
        message(b'E', &mut run, |out| out.extend_from_slice(&[0; 5]));
        let said = |part: BytesMut, known| {
            let mut out = BytesMut::new();
            let answered =
                answer(&part.freeze(), false, &mut |_| Class::Rollback, &|_| known, &mut out);
            (out, answered)
        };
        let (out, answered) = said(prepare.clone(), None);
        assert!(out.starts_with(b"1") && answered.effects == 1 && !answered.ended);
        let (out, answered) = said(run.clone(), Some(Class::Rollback));
        assert!(out.starts_with(b"2") && answered.ended);
        prepare.extend_from_slice(&run);
        let (_, answered) = said(prepare, None);
        assert!(answered.effects == 1 && answered.ended);
    }

    #[test]
    fn a_commit_passes_for_none_before_the_loss_was_told() {
        let (out, answered) = said("COMMIT", true);
        assert!(out.starts_with(b"E") && out.windows(5).any(|bytes| bytes == b"40001"));
        assert!(answered.ended);
        // As PostgreSQL answers who knows already, or wanted nothing else.
        for (query, unheard) in [("COMMIT", false), ("ROLLBACK", true)] {
            let (out, answered) = said(query, unheard);
            assert!(out.starts_with(b"C") && answered.ended, "{query}");
        }
        let (out, answered) = said("INSERT", true);
        assert!(out.starts_with(b"E") && answered.heard && !answered.ended);
    }
}
