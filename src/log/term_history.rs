use std::fmt;

use bytes::{BufMut, BytesMut};

use super::wire::{Reader, WireError, put_varint};
use super::{LogEnd, Lsn, Term};

/// Most terms remembered. Two logs that parted longer ago cannot be told apart,
/// and one of them re-seeds.
const TERMS_MAX: usize = 512;

/// Which LSN each term's frames begin at: the newest terms of a log, in order.
///
/// Invariants: terms strictly increase, LSNs strictly increase, at most 512.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TermHistory {
    starts: Vec<(Term, Lsn)>,
}

impl TermHistory {
    /// The terms and their first LSNs, oldest first.
    pub fn starts(&self) -> &[(Term, Lsn)] {
        &self.starts
    }

    /// Notes that `term` begins at `lsn`.
    pub fn push(&mut self, term: Term, lsn: Lsn) {
        if let Some(&(last, start)) = self.starts.last() {
            assert!(last < term && start < lsn, "term {term} at {lsn} after {last} at {start}");
        }
        if self.starts.len() == TERMS_MAX {
            self.starts.remove(0);
        }
        self.starts.push((term, lsn));
    }

    /// The newest term.
    pub fn last(&self) -> Option<Term> {
        self.starts.last().map(|&(term, _)| term)
    }

    /// The first LSN of `term`, if it is remembered.
    pub fn start_of(&self, term: Term) -> Option<Lsn> {
        self.starts.iter().find(|&&(t, _)| t == term).map(|&(_, lsn)| lsn)
    }

    /// Where `term` ends in a log that ends at `end`: where the next term begins.
    pub fn end_of(&self, term: Term, end: Lsn) -> Option<Lsn> {
        let place = self.starts.iter().position(|&(t, _)| t == term)?;
        Some(self.starts.get(place + 1).map_or(end, |&(_, lsn)| lsn))
    }

    /// The term of the frame that ends at or spans `lsn`; `None` before the oldest.
    pub fn term_before(&self, lsn: Lsn) -> Option<Term> {
        self.starts.iter().rev().find(|&&(_, start)| start < lsn).map(|&(term, _)| term)
    }

    /// Forgets terms that begin at or after `lsn`.
    pub fn cut(&mut self, lsn: Lsn) {
        self.starts.retain(|&(_, start)| start < lsn);
    }

    /// Up to where two logs, each with its end, are equal: the greatest LSN that
    /// both hold and both reached in one term. `None` where the histories don't
    /// reach back far enough to tell.
    ///
    /// A term has one leader, which appends only, so two frames of one term at one
    /// LSN are the same frame, and so is all that lies before them. The newest term
    /// that both know decides.
    pub fn divergence(&self, end: Lsn, other: &Self, other_end: Lsn) -> Option<LogEnd> {
        let shared =
            self.starts.iter().rev().find(|&&(term, lsn)| other.start_of(term) == Some(lsn));
        let shared = shared.map(|&(term, _)| term);
        match shared {
            Some(term) => {
                let lsn = self.end_of(term, end)?.min(other.end_of(term, other_end)?);
                Some(LogEnd { term, lsn })
            }
            None if self.reaches_origin() && other.reaches_origin() => Some(LogEnd::default()),
            None => None,
        }
    }

    fn reaches_origin(&self) -> bool {
        self.starts.first().is_none_or(|&(_, lsn)| lsn == Lsn(0))
    }

    /// Writes the history.
    pub fn encode(&self, out: &mut BytesMut) {
        put_varint(out, self.starts.len() as u64);
        for &(term, lsn) in &self.starts {
            out.put_u64_le(term.0);
            out.put_u64_le(lsn.0);
        }
    }

    /// Reads what [`TermHistory::encode`] wrote.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let count = reader.count(16)?;
        if count > TERMS_MAX {
            return Err(WireError::Malformed("term history: too long"));
        }
        let mut starts: Vec<(Term, Lsn)> = Vec::with_capacity(count);
        for _ in 0..count {
            let next = (Term(reader.u64()?), Lsn(reader.u64()?));
            if starts.last().is_some_and(|last| last.0 >= next.0 || last.1 >= next.1) {
                return Err(WireError::Malformed("term history: out of order"));
            }
            starts.push(next);
        }
        Ok(Self { starts })
    }
}

impl fmt::Display for TermHistory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (term, lsn)) in self.starts.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            write!(f, "{comma}{term} from {lsn}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::log::format_page::Known::Number;
    use crate::log::format_page::{assert_limit, assert_table};

    fn history(starts: &[(u64, u64)]) -> TermHistory {
        let mut history = TermHistory::default();
        for &(term, lsn) in starts {
            history.push(Term(term), Lsn(lsn));
        }
        history
    }

    proptest! {
        #[test]
        fn histories_survive(steps in proptest::collection::vec((1u64..5, 1u64..5), 0..20)) {
            let mut original = TermHistory::default();
            let (mut term, mut lsn) = (0, 0);
            for (more, further) in steps {
                term += more;
                lsn += further;
                original.push(Term(term), Lsn(lsn));
            }
            let mut out = BytesMut::new();
            original.encode(&mut out);
            let mut reader = Reader::new(&out);
            prop_assert_eq!(TermHistory::decode(&mut reader), Ok(original));
            prop_assert_eq!(reader.finish(), Ok(()));
        }

        /// Against an oracle: logs as lists of the term of each byte, which grow as
        /// real ones do (a leader of a new term continues some log).
        #[test]
        fn divergence_is_the_longest_common_prefix(
            terms in proptest::collection::vec((0usize..4, 0usize..40, 1usize..5), 1..8),
            pick in (0usize..8, 0usize..8),
        ) {
            let mut logs: Vec<Vec<u64>> = vec![vec![]];
            for (term, (base, keep, add)) in terms.into_iter().enumerate() {
                let base = &logs[base % logs.len()];
                let mut log = base[..keep.min(base.len())].to_vec();
                log.extend(std::iter::repeat_n(term as u64 + 1, add));
                logs.push(log);
            }
            let (a, b) = (&logs[pick.0 % logs.len()], &logs[pick.1 % logs.len()]);
            let history_of = |log: &[u64]| {
                let mut history = TermHistory::default();
                for (lsn, &term) in log.iter().enumerate() {
                    if history.last() != Some(Term(term)) {
                        history.push(Term(term), Lsn(lsn as u64));
                    }
                }
                history
            };
            let common = a.iter().zip(b).take_while(|(x, y)| x == y).count() as u64;
            let found = history_of(a).divergence(Lsn(a.len() as u64), &history_of(b), Lsn(b.len() as u64));
            prop_assert_eq!(found.map(|end| end.lsn), Some(Lsn(common)));
        }
    }

    #[test]
    fn the_end_of_a_term_is_the_start_of_the_next() {
        let history = history(&[(1, 0), (3, 100)]);
        assert_eq!(history.end_of(Term(1), Lsn(150)), Some(Lsn(100)));
        assert_eq!(history.end_of(Term(3), Lsn(150)), Some(Lsn(150)));
        assert_eq!(history.end_of(Term(2), Lsn(150)), None);
        assert_eq!(history.term_before(Lsn(100)), Some(Term(1)));
        assert_eq!(history.term_before(Lsn(101)), Some(Term(3)));
        assert_eq!(history.term_before(Lsn(0)), None);
    }

    #[test]
    fn histories_that_forgot_their_common_past_cannot_tell() {
        let one = history(&[(5, 500), (6, 600)]);
        let other = history(&[(7, 550)]);
        assert_eq!(one.divergence(Lsn(700), &other, Lsn(700)), None);
    }

    #[test]
    fn a_history_is_as_the_page_says() {
        let mut out = BytesMut::new();
        history(&[(3, 100)]).encode(&mut out);
        let fields = [("count", Number(1)), ("term", Number(3)), ("LSN", Number(100))];
        assert_table("Term history", &out, &fields);
        assert_limit("terms in a term history", TERMS_MAX as u64);
    }
}
