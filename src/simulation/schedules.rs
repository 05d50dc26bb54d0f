//! Sentences switched off, and what happens then.
use super::*;

impl World {
    /// Who holds an office, in the highest term that has one.
    fn office(&self, role: Role) -> Option<usize> {
        let holds =
            |node: &usize| self.nodes[*node].oath.as_ref().is_some_and(|oath| oath.role() == role);
        (0..self.nodes.len()).filter(holds).max_by_key(|node| self.nodes[*node].bound.term)
    }

    /// Runs until `condition` gives something, for at most ten seconds.
    fn run_until<T>(
        &mut self,
        what: &str,
        condition: impl Fn(&Self) -> Option<T>,
    ) -> Result<T, String> {
        let limit = self.now + 10_000 * MS;
        loop {
            if let Some(found) = condition(self) {
                return Ok(found);
            }
            let ((at, _), happening) = self.queue.pop_first().expect("processes tick");
            assert!(at < limit, "waited in vain for {what}:\n{}", self.trace.join("\n"));
            self.now = at;
            self.happen(happening)?;
        }
    }

    /// Cuts links, both ways.
    fn isolate(&mut self, links: &[(usize, usize)]) {
        for (one, other) in links {
            self.cut.extend([(*one, *other), (*other, *one)]);
        }
    }

    /// Ends a node, which stays away until it is started.
    fn stop(&mut self, node: usize) -> Checked {
        self.nodes[node].oath = None;
        self.note(format!("n{node} stops"));
        self.hang_up(node)
    }
}

/// What is switched off, or broken, must be missed: some seed finds the violation.
fn is_missed(profile: &Profile, seeds: std::ops::Range<u64>) {
    // That the cluster waits for an operator in the end is no violation found.
    let unsafe_in = |seed: &u64| {
        let violation = World::run(*seed, profile.clone()).err()?.0;
        (!violation.contains("in the end")).then_some((*seed, violation))
    };
    let found = seeds.clone().find_map(|seed| unsafe_in(&seed));
    let (seed, violation) = found.unwrap_or_else(|| panic!("none of {seeds:?}: {profile:?}"));
    println!("{profile:?}, seed {seed}: {violation}");
}

fn sentence_is_missed(sentence: u8, members: usize, policy: Policy, seeds: std::ops::Range<u64>) {
    is_missed(&Profile { without: Some(sentence), ..harsh(members, policy) }, seeds);
}

fn is_found_broken(broken: Broken, members: usize, policy: Policy, seeds: std::ops::Range<u64>) {
    is_missed(&Profile { broken: Some(broken), ..harsh(members, policy) }, seeds);
}

/// The schedule behind P4: A writes e1 alone in term 1. B leads 2 and writes e2 alone. A
/// leads 3, and e1 reaches C. B leads 4, and e1 is replaced by e2.
fn old_terms_write_reaches_a_majority_late(without: Option<u8>) -> Checked {
    let (members, policy) = (3, Policy::Any(1));
    let profile = Profile { without, fault_ms: 0, length_ms: 10_000, ..harsh(members, policy) };
    let mut world = World::new(1, profile);
    world.queue.retain(|_, happening| !matches!(happening, Happening::Fault | Happening::Write));
    let opened = |world: &World| world.office(Role::Leader);
    let opening = |world: &World| world.office(Role::Opening);
    let a = world.run_until("a first leader", opened)?;
    world.run_until("everybody to catch up", |world| {
        world.nodes.iter().all(|node| !node.bound.unproven && node.log.len() == 1).then_some(())
    })?;
    let others: Vec<usize> = (0..members).filter(|node| *node != a).collect();
    world.isolate(&[(a, others[0]), (a, others[1]), (others[0], others[1])]);
    world.write();
    world.nodes[a].synced = 2;
    world.stop(a)?;
    let b = world.run_until("a second leader", opening)?;
    let c = others[usize::from(others[0] == b)];
    world.nodes[b].synced = world.nodes[b].log.len();
    world.stop(b)?;
    world.start(a)?;
    let again = world.run_until("the first to lead again", opening)?;
    assert_eq!(again, a, "its log is the latest");
    // All that reaches C is e1.
    world.cut.clear();
    let (term, log) = (world.nodes[a].bound.term, world.nodes[a].log[..2].to_vec());
    world.append(a, c, term, log, 1)?;
    world.isolate(&[(a, c)]);
    world.arrive(c, a, Packet::Ack { term, len: 2 })?;
    world.stop(a)?;
    world.start(b)?;
    let again = world.run_until("the second to lead again", opened)?;
    assert_eq!(again, b, "its log is the latest");
    Ok(())
}

#[test]
fn without_the_term_start_frame_a_committed_write_is_replaced() {
    assert_eq!(old_terms_write_reaches_a_majority_late(None), Ok(()));
    let violation = old_terms_write_reaches_a_majority_late(Some(4)).expect_err("a violation");
    assert!(violation.contains("committed"), "{violation}");
}

#[test]
fn without_the_sync_before_a_promise_a_committed_write_is_cut() {
    sentence_is_missed(8, 5, Policy::Quorum, 5..15);
}

#[test]
fn without_the_count_two_terms_acknowledge() {
    sentence_is_missed(9, 5, Policy::Quorum, 0..20);
}

#[test]
fn without_the_reports_a_committed_write_is_replaced() {
    sentence_is_missed(10, 4, Policy::Any(1), 5..20);
}

#[test]
fn without_the_latest_log_a_committed_write_is_cut() {
    sentence_is_missed(11, 3, Policy::Any(1), 0..5);
}

#[test]
fn without_the_wait_two_terms_acknowledge() {
    sentence_is_missed(12, 3, Policy::Any(1), 0..30);
}

#[test]
fn without_the_record_a_leader_is_forgotten() {
    sentence_is_missed(13, 5, Policy::Any(3), 80..200);
}

#[test]
fn without_the_check_of_led_terms_a_term_is_led_twice() {
    sentence_is_missed(15, 3, Policy::Any(1), 20..30);
}

#[test]
fn without_tightening_first_a_lone_leaders_write_is_lost() {
    sentence_is_missed(19, 3, Policy::Any(1), 75..80);
}

#[test]
fn where_new_nodes_count_a_committed_write_is_replaced() {
    sentence_is_missed(21, 3, Policy::Any(1), 10..15);
}

/// The schedule behind P22: A leads three nodes, any 1, and D joins. A is told that D counts,
/// and is cut off with it before the monitor hears that this is committed. D's is the one
/// acknowledgement that a write of A's gets; B and C, two of three, don't have it.
fn the_joining_nodes_acknowledgement_alone_counts(without: Option<u8>) -> Checked {
    let (members, policy) = (3, Policy::Any(1));
    let profile =
        Profile { without, spares: 1, fault_ms: 0, length_ms: 60_000, ..harsh(members, policy) };
    let mut world = World::new(1, profile);
    world.queue.retain(|_, happening| !matches!(happening, Happening::Fault | Happening::Write));
    let d = members;
    let a = world.run_until("a first leader, whom the monitor knows", |world| {
        let opened = world.monitor.as_ref()?.view(world.local(world.monitor_index())).open;
        world.office(Role::Leader).filter(|_| opened)
    })?;
    let (node, peer) = (name(d), "n3:1".to_owned());
    let operator = Operator::Add { node, peer, priority: 1, replaces: None };
    world.monitor_hears(Input::Operator { id: 1, operator })?;
    world.run_until("it to count for the leader", |world| {
        world.nodes[a].roll.newest().counts(&name(d)).then_some(())
    })?;
    let monitor = world.monitor_index();
    for other in (0..members).filter(|other| *other != a).chain([monitor]) {
        world.isolate(&[(a, other), (d, other)]);
    }
    world.write();
    world.run_until("the write to be acknowledged", |world| {
        (!world.acknowledged.is_empty()).then_some(())
    })?;
    let cut_off = world.now;
    world.run_until("the others to go on, if they can", |world| {
        (world.now - cut_off > 5000 * MS).then_some(())
    })?;
    world.cut.clear();
    world.run_until("it to be confirmed", |world| {
        let confirmed = &world.monitor_state.as_ref()?.configuration;
        confirmed.counts(&name(d)).then_some(())
    })
}

#[test]
fn without_both_lists_a_committed_write_is_replaced() {
    assert_eq!(the_joining_nodes_acknowledgement_alone_counts(None), Ok(()));
    let violation = the_joining_nodes_acknowledgement_alone_counts(Some(22));
    let violation = violation.expect_err("a violation");
    assert!(violation.contains("committed"), "{violation}");
}

#[test]
fn a_disk_that_does_not_sync_is_found() {
    is_found_broken(Broken::Sync, 3, Policy::Any(1), 15..21);
}

#[test]
fn an_apply_bound_beyond_the_commit_is_found() {
    is_found_broken(Broken::ApplyBound, 3, Policy::Any(1), 0..7);
}
