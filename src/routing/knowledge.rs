//! Who leads, as far as a router knows: the monitor's views, and what nodes say.
//!
//! The leader is picked **by term**, never by a claim: news of a lower term count
//! for nothing. Within one term there is one leader, ever, so news of the same term
//! only add what was not known.

use crate::cluster::{NodeId, View};
use crate::log::Term;

/// The newest that is known.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Knowledge {
    pub term: Term,
    pub leader: Option<NodeId>,
    /// Whether that leader takes writes, as far as anybody has said.
    pub open: bool,
    /// The last view from the monitor, or nothing.
    pub view: View,
}

impl Knowledge {
    /// Takes the monitor's view. Answers whether anything has changed.
    pub fn see(&mut self, view: View) -> bool {
        if view.term < self.term {
            // Positions and health are still news, its leader is not.
            let changed = self.view != view;
            self.view = view;
            return changed;
        }
        let changed = self.view != view;
        if view.term > self.term || view.leader.is_some() {
            self.leader.clone_from(&view.leader);
            self.open = view.open;
        }
        self.term = view.term;
        self.view = view;
        changed
    }

    /// Takes a node's word: in `term`, `leader` leads. Answers whether that is new.
    pub fn hear(&mut self, term: Term, leader: Option<&NodeId>, open: bool) -> bool {
        if term < self.term {
            return false;
        }
        if term > self.term {
            self.term = term;
            self.leader = leader.cloned();
            self.open = open;
            return true;
        }
        let Some(leader) = leader else { return false };
        match &self.leader {
            None => {
                self.leader = Some(leader.clone());
                self.open = open;
                true
            }
            Some(known) if known == leader && open && !self.open => {
                self.open = true;
                true
            }
            _ => false,
        }
    }

    /// Whether a node is known to lead and be open.
    pub fn leads(&self, node: &NodeId) -> bool {
        self.open && self.leader.as_ref() == Some(node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str) -> NodeId {
        name.parse().expect("a name")
    }

    fn view(term: u64, leader: Option<&str>, open: bool) -> View {
        View { term: Term(term), leader: leader.map(node), open, ..View::default() }
    }

    #[test]
    fn the_highest_term_wins_whoever_says_it() {
        let mut knowledge = Knowledge::default();
        assert!(knowledge.see(view(3, Some("a"), true)));
        assert!(!knowledge.hear(Term(2), Some(&node("b")), true));
        assert!(knowledge.leads(&node("a")));
        assert!(knowledge.hear(Term(4), Some(&node("b")), true));
        assert!(knowledge.leads(&node("b")));
        // The monitor's older view changes no leader.
        knowledge.see(view(3, Some("c"), true));
        assert!(knowledge.leads(&node("b")));
        assert!(knowledge.see(view(5, None, false)));
        assert_eq!(knowledge.leader, None);
    }

    #[test]
    fn a_term_that_is_known_keeps_its_leader() {
        let mut knowledge = Knowledge::default();
        assert!(knowledge.hear(Term(1), None, false));
        assert!(knowledge.hear(Term(1), Some(&node("a")), false));
        assert!(!knowledge.leads(&node("a")));
        assert!(!knowledge.hear(Term(1), Some(&node("b")), true));
        assert!(knowledge.hear(Term(1), Some(&node("a")), true));
        assert!(knowledge.leads(&node("a")));
        // A view of the same term without a leader takes nothing away.
        knowledge.see(view(1, None, false));
        assert!(knowledge.leads(&node("a")));
    }
}
