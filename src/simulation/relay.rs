//! Followers that follow a follower, by the rules of `node/replicate/relay.rs`: a relay
//! sends what it holds durably and knows to equal the leader's log of the term, and only
//! on from where the other's log ends; the leader counts nothing of it.
use super::*;

/// How long a relay may be silent, and how long the leader is followed after that.
const PATIENCE: i64 = 500 * MS;
const AFTER_FAILURE: i64 = 1000 * MS;

/// A node as a relay, and as one that follows by way of a relay.
#[derive(Default)]
pub(super) struct Way {
    /// Up to where its log equals that of the leader of the term.
    verified: (Term, usize),
    /// By way of whom it follows in the term, and when that one was last heard.
    through: Option<(Term, usize, i64)>,
    /// Before, it does not try again.
    after: i64,
}

impl World {
    /// What the leader itself sent is in the log of `process`.
    pub(super) fn verify(&mut self, process: usize, term: Term, len: usize) {
        let verified = &mut self.nodes[process].way.verified;
        let before = if verified.0 == term { verified.1 } else { 0 };
        *verified = (term, before.max(len));
    }

    /// Whether a relay sends it the log of `term`, so that it is deaf to the leader's.
    pub(super) fn is_relayed(&self, process: usize, term: Term) -> bool {
        let through = self.nodes[process].way.through;
        through.is_some_and(|(of, _, heard)| of == term && self.now - heard <= PATIENCE)
    }

    /// Asks the next node for the log, where it may.
    pub(super) fn ask_relay(&mut self, process: usize) {
        let node = &self.nodes[process];
        let (Some(oath), true) = (&node.oath, self.profile.cascade) else { return };
        let (term, relay) = (oath.bound().term, (process + 1) % self.nodes.len());
        let follows = oath.role() == Role::Follower
            && oath.leader().is_some_and(|leader| *leader != name(relay))
            && !oath.bound().unproven;
        if node.way.through.is_some() && !self.is_relayed(process, term) {
            self.leave_relay(process);
        }
        let node = &self.nodes[process];
        if follows && self.now >= node.way.after && node.roll.lists(&name(relay)) {
            self.send(process, relay, Packet::Follow { term, stream: node.stream() });
        }
    }

    pub(super) fn leave_relay(&mut self, process: usize) {
        let way = &mut self.nodes[process].way;
        way.through = None;
        way.after = self.now + AFTER_FAILURE;
    }

    /// Another asks for the log from where its own ends.
    pub(super) fn relay(&mut self, from: usize, to: usize, term: Term, held: &Stream) {
        let broken = self.profile.broken == Some(Broken::Relay);
        let relayed = self.is_relayed(to, term);
        let node = &self.nodes[to];
        let Some(oath) = &node.oath else { return };
        let follows = oath.bound().term == term
            && oath.role() == Role::Follower
            && oath.leader().is_some_and(|leader| *leader != name(from));
        let verified = if node.way.verified.0 == term { node.way.verified.1 } else { 0 };
        let has = verified.min(node.synced);
        let has = if broken { node.log.len() } else { has };
        let fits = node.log[..has].starts_with(held.log());
        let packet = if follows && fits && (broken || has > 0 && !relayed) {
            let commit = if broken { has } else { node.commit.min(has) };
            Packet::Relayed { term, stream: node.stream().first(has), commit }
        } else {
            Packet::NotRelayed { term }
        };
        self.send(to, from, packet);
    }

    /// What a relay sends, to one that still follows in the term.
    pub(super) fn take_relayed(
        &mut self,
        from: usize,
        to: usize,
        term: Term,
        stream: &Stream,
        commit: usize,
    ) -> Checked {
        let now = self.now;
        let node = &mut self.nodes[to];
        let follows = node.oath.as_ref().is_some_and(|oath| {
            oath.bound().term == term && oath.role() == Role::Follower && oath.leader().is_some()
        });
        // It goes on from where the log ended when it was asked.
        if !follows || node.fence > term || !stream.log().starts_with(&node.log) {
            return Ok(());
        }
        node.way.through = Some((term, from, now));
        self.relayed += 1;
        self.copy(from, to, term, stream)?;
        let node = &mut self.nodes[to];
        node.commit = node.commit.max(commit.min(stream.log().len()));
        node.sync();
        self.check_follower(to)?;
        self.settle_committed(to);
        Ok(())
    }
}
