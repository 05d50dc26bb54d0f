//! What a router reads of replies: the types of messages, and nothing else. Only
//! parts that change prepared statements need it; all others pass through unread.

/// Counts messages in a stream of backend messages that may be cut anywhere.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ReplyScan {
    /// ParseComplete and CloseComplete seen.
    pub effects: usize,
    /// An ErrorResponse was among them.
    pub failed: bool,
    header: [u8; 5],
    /// Bytes of the current header that have come.
    have: usize,
    /// Bytes of the current message's body still to come.
    skip: usize,
}

impl ReplyScan {
    /// Begins behind `skip` bytes that are none of its business.
    pub fn behind(skip: usize) -> Self {
        Self { skip, ..Self::default() }
    }

    /// Takes the next bytes.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            if bytes.is_empty() {
                return;
            }
            let taken = (5 - self.have).min(bytes.len());
            self.header[self.have..self.have + taken].copy_from_slice(&bytes[..taken]);
            self.have += taken;
            bytes = &bytes[taken..];
            if self.have < 5 {
                return;
            }
            self.have = 0;
            let [tag, length @ ..] = self.header;
            self.skip = (u32::from_be_bytes(length) as usize).saturating_sub(4);
            match tag {
                b'1' | b'3' => self.effects += 1,
                b'E' => self.failed = true,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn cuts_make_no_difference(
            messages in prop::collection::vec((0_u8..4, prop::collection::vec(any::<u8>(), 0..20)), 0..20),
            cuts in prop::collection::vec(1_usize..9, 1..50),
        ) {
            let mut bytes = Vec::new();
            let (mut effects, mut failed) = (0, false);
            for (kind, body) in &messages {
                let tag = b"13ED"[usize::from(*kind)];
                effects += usize::from(*kind < 2);
                failed |= *kind == 2;
                bytes.push(tag);
                bytes.extend_from_slice(&(4 + body.len() as u32).to_be_bytes());
                bytes.extend_from_slice(body);
            }
            let mut scan = ReplyScan::default();
            let (mut rest, mut cut) = (bytes.as_slice(), cuts.iter().cycle());
            while !rest.is_empty() {
                let length = cut.next().map_or(1, |cut| *cut).min(rest.len());
                scan.feed(&rest[..length]);
                rest = &rest[length..];
            }
            prop_assert_eq!((scan.effects, scan.failed), (effects, failed));
        }
    }
}
