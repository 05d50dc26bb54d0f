use std::collections::VecDeque;

use bytes::Bytes;

use crate::log::Lsn;

/// Most bytes kept.
const BYTES_MAX: usize = 4 << 20;

/// The newest bytes of the log, as they were appended, so that senders and the
/// applier don't read back from files what was written a moment ago.
///
/// Invariant: the pieces lie one behind the other and begin at frames.
#[derive(Default)]
pub(super) struct Tail {
    pieces: VecDeque<(Lsn, Bytes)>,
    bytes: usize,
}

impl Tail {
    /// Adds the bytes that begin at `start`; forgets the oldest beyond the limit.
    pub(super) fn push(&mut self, start: Lsn, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        if let Some((last, piece)) = self.pieces.back() {
            assert_eq!(last.0 + piece.len() as u64, start.0, "the log's tail has a gap");
        }
        self.bytes += bytes.len();
        self.pieces.push_back((start, bytes));
        while self.bytes > BYTES_MAX {
            let Some((_, oldest)) = self.pieces.pop_front() else { break };
            self.bytes -= oldest.len();
        }
    }

    /// The bytes from `lsn` to the end of the piece that it lies in.
    pub(super) fn get(&self, lsn: Lsn) -> Option<Bytes> {
        // Most ask for the end.
        let place = match self.pieces.back() {
            Some((start, _)) if *start <= lsn => self.pieces.len() - 1,
            _ => self.pieces.partition_point(|(start, _)| *start <= lsn).checked_sub(1)?,
        };
        let (start, piece) = &self.pieces[place];
        let skip = usize::try_from(lsn.0 - start.0).ok().filter(|&skip| skip < piece.len())?;
        Some(piece.slice(skip..))
    }

    /// Forgets everything from `lsn` on.
    pub(super) fn cut(&mut self, lsn: Lsn) {
        while let Some((start, piece)) = self.pieces.back_mut() {
            if start.0 + piece.len() as u64 <= lsn.0 {
                break;
            }
            let kept = lsn.0.saturating_sub(start.0) as usize;
            self.bytes -= piece.len() - kept;
            piece.truncate(kept);
            if kept > 0 {
                break;
            }
            self.pieces.pop_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_gives_what_was_pushed_and_forgets_what_was_cut() {
        let mut tail = Tail::default();
        tail.push(Lsn(100), Bytes::from_static(b"abc"));
        tail.push(Lsn(103), Bytes::from_static(b"defg"));
        assert_eq!(tail.get(Lsn(99)), None);
        assert_eq!(tail.get(Lsn(101)), Some(Bytes::from_static(b"bc")));
        assert_eq!(tail.get(Lsn(103)), Some(Bytes::from_static(b"defg")));
        assert_eq!(tail.get(Lsn(107)), None);
        tail.cut(Lsn(105));
        assert_eq!(tail.get(Lsn(104)), Some(Bytes::from_static(b"e")));
        tail.cut(Lsn(103));
        assert_eq!(tail.get(Lsn(103)), None);
        tail.push(Lsn(103), Bytes::from_static(b"x"));
        assert_eq!(tail.get(Lsn(102)), Some(Bytes::from_static(b"c")));
    }

    #[test]
    fn it_stays_bounded() {
        let mut tail = Tail::default();
        for n in 0..20u64 {
            tail.push(Lsn(n << 20), vec![0; 1 << 20].into());
        }
        assert_eq!(tail.bytes, BYTES_MAX);
        assert_eq!(tail.get(Lsn(15 << 20)), None);
        assert!(tail.get(Lsn(16 << 20)).is_some());
    }
}
