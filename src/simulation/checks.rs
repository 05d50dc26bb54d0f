//! What must hold, said without the words of the machines.
use super::*;

impl World {
    pub(super) fn check_follower(&self, process: usize) -> Checked {
        let node = &self.nodes[process];
        for (at, frame) in node.log.iter().enumerate().take(node.commit) {
            if let Some((held, _)) = self.committed.get(&at)
                && held != frame
            {
                return Err(format!(
                    "n{process} holds {frame:?} at {at}, where {held:?} was committed"
                ));
            }
        }
        Ok(())
    }

    pub(super) fn check_opened(&mut self, process: usize) -> Checked {
        let log = &self.nodes[process].log;
        let term = self.nodes[process].bound.term;
        for (at, (frame, _)) in self.committed.iter().filter(|(_, (_, by))| *by < term) {
            if log.get(*at) != Some(frame) {
                return Err(format!("n{process} serves without the committed {frame:?} at {at}"));
            }
        }
        Ok(())
    }

    /// After ten quiet seconds one leader is open, everybody holds what it holds, and
    /// what was acknowledged is there.
    pub(super) fn check_end(&self) -> Checked {
        let leaders = (0..self.nodes.len()).filter(|node| {
            self.nodes[*node].oath.as_ref().is_some_and(|oath| oath.role() == Role::Leader)
        });
        let leaders: Vec<usize> = leaders.collect();
        let Some(&leader) = leaders.iter().max_by_key(|node| self.nodes[**node].bound.term) else {
            let acting = self.acting();
            let monitor = self.monitors[acting].machine.as_ref().map(|machine| {
                (machine.phase(), machine.view(self.local(self.nodes.len() + acting)).blocked)
            });
            return Err(format!("nobody leads in the end: {monitor:?}"));
        };
        if self.profile.policy != Policy::Async {
            for (term, at, frame) in &self.acknowledged {
                if self.nodes[leader].log.get(*at) != Some(frame) {
                    return Err(format!("lost: {frame:?} at {at}, acknowledged in term {term}"));
                }
            }
        }
        if leaders.len() > 1 {
            return Err(format!("{leaders:?} lead in the end"));
        }
        let held = &self.nodes[leader];
        let mut same = self.nodes.iter().filter(|node| node.log == held.log);
        if same.any(|node| node.disk.hash() != held.disk.hash()) {
            return Err("the same frames are not the same bytes".to_owned());
        }
        let late = self.able.last_key_value().map(|(_, (_, until))| *until);
        if late.is_none_or(|late| late < self.now - 1000 * MS) {
            return Err("the leader can't acknowledge in the end".to_owned());
        }
        Ok(())
    }
}
