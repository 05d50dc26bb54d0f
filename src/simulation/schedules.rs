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

    /// Runs until a leader is open, and the monitor knows.
    fn known_leader(&mut self) -> Result<usize, String> {
        let monitor = self.nodes.len();
        self.run_until("a first leader, whom the monitor knows", |world| {
            let machine = world.monitors[0].machine.as_ref()?;
            let opened = machine.view(world.local(monitor)).open;
            world.office(Role::Leader).filter(|_| opened)
        })
    }

    /// Runs for so many ms.
    fn pass(&mut self, ms: i64) -> Checked {
        let until = self.now + ms * MS;
        self.run_until("time to pass", |world| (world.now >= until).then_some(()))
    }

    /// Cuts links, both ways.
    fn isolate(&mut self, links: &[(usize, usize)]) {
        for (one, other) in links {
            self.cut.extend([(*one, *other), (*other, *one)]);
        }
    }

    /// Cuts a node off from everybody.
    fn cut_off(&mut self, node: usize) {
        for other in (0..=self.nodes.len()).filter(|other| *other != node) {
            self.isolate(&[(node, other)]);
        }
    }

    /// Has the leader demand nothing of its followers.
    fn weaken(&mut self, leader: usize) -> Checked {
        self.monitor_hears(0, Input::Operator { id: 1, operator: Operator::Weaken { acks: 0 } })?;
        self.run_until("it to demand less", |world| {
            (world.nodes[leader].practice.demanded() == 0).then_some(())
        })
    }

    /// Ends the monitor, and starts it again at once.
    fn restart_monitor(&mut self) -> Checked {
        let monitor = self.nodes.len();
        (self.monitors[0].up, self.monitors[0].machine) = (false, None);
        self.start(monitor)
    }

    /// A node loses its power, and is back at once: nobody sees its connections end.
    fn blink(&mut self, node: usize) -> Checked {
        self.nodes[node].oath = None;
        self.restart_after(node, End::Lost)?;
        self.begin(node)
    }

    /// Ends a node, which stays away until it is started.
    fn stop(&mut self, node: usize) -> Checked {
        self.nodes[node].oath = None;
        self.note(format!("n{node} stops"));
        self.hang_up(node)
    }
}

/// Three nodes, any 1, and nothing happens but what the schedule says.
fn quiet(without: Option<u8>, spares: usize) -> World {
    let harsh = harsh(3, Policy::Any(1));
    let mut world = World::new(1, Profile { without, spares, fault_ms: 0, ..harsh });
    world.queue.retain(|_, happening| !matches!(happening, Happening::Fault | Happening::Write));
    world
}

/// The schedule holds under the sentence, and is missed without it.
fn bites(sentence: u8, schedule: fn(Option<u8>) -> Checked) {
    assert_eq!(schedule(None), Ok(()));
    let violation = schedule(Some(sentence)).expect_err("a violation");
    println!("without P{sentence}: {violation}");
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
    let members = 3;
    let mut world = quiet(without, 0);
    let opened = |world: &World| world.office(Role::Leader);
    let opening = |world: &World| world.office(Role::Opening);
    let a = world.run_until("a first leader", opened)?;
    world.run_until("everybody to catch up", |world| {
        world.nodes.iter().all(|node| !node.bound.unproven && node.log.len() == 1).then_some(())
    })?;
    let others: Vec<usize> = (0..members).filter(|node| *node != a).collect();
    world.isolate(&[(a, others[0]), (a, others[1]), (others[0], others[1])]);
    world.write()?;
    world.nodes[a].sync();
    world.stop(a)?;
    let b = world.run_until("a second leader", opening)?;
    let c = others[usize::from(others[0] == b)];
    world.nodes[b].sync();
    world.stop(b)?;
    world.start(a)?;
    let again = world.run_until("the first to lead again", opening)?;
    assert_eq!(again, a, "its log is the latest");
    // All that reaches C is e1.
    world.cut.clear();
    let (term, stream) = (world.nodes[a].bound.term, world.nodes[a].stream().first(2));
    world.append(a, c, term, stream, 1)?;
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
    sentence_is_missed(13, 5, Policy::Any(3), 130..200);
}

#[test]
fn where_new_nodes_count_a_committed_write_is_replaced() {
    sentence_is_missed(21, 3, Policy::Any(1), 0..40);
}

/// The schedule behind P20: A demands less, then as much as before, and that is recorded.
/// Then the first command comes again, A is cut off, and writes on.
fn a_weakening_comes_twice(without: Option<u8>) -> Checked {
    let mut world = quiet(without, 0);
    let a = world.known_leader()?;
    world.weaken(a)?;
    let (term, version) = (world.nodes[a].bound.term, world.nodes[a].practice.version());
    world.monitor_hears(0, Input::Operator { id: 2, operator: Operator::Restore })?;
    world.run_until("the restoration to be recorded", |world| {
        world.monitor_state.as_ref().filter(|state| !state.weakened && state.acks == 1).map(drop)
    })?;
    world.cut_off(a);
    let (monitor, again) = (world.nodes.len(), ToNode::Policy { term, acks: 0, version });
    world.arrive(monitor, a, Packet::ToNode(again))?;
    world.write()?;
    world.pass(5000)?;
    world.cut.clear();
    world.pass(5000)
}

#[test]
fn without_the_version_a_stale_weakening_loses_a_write() {
    assert_eq!(a_weakening_comes_twice(None), Ok(()));
    let violation = a_weakening_comes_twice(Some(20)).expect_err("a violation");
    assert!(violation.contains("committed"), "{violation}");
}

/// The schedule behind P22: A leads three nodes, any 1, and D joins. A is told that D counts,
/// and is cut off with it before the monitor hears that this is committed. D's is the one
/// acknowledgement that a write of A's gets; B and C, two of three, don't have it.
fn the_joining_nodes_acknowledgement_alone_counts(without: Option<u8>) -> Checked {
    let members = 3;
    let mut world = quiet(without, 1);
    let d = members;
    let a = world.known_leader()?;
    let (node, peer) = (name(d), "n3:1".to_owned());
    let operator = Operator::Add { node, peer, priority: 1, replaces: None };
    world.monitor_hears(0, Input::Operator { id: 1, operator })?;
    world.run_until("it to count for the leader", |world| {
        world.nodes[a].roll.newest().counts(&name(d)).then_some(())
    })?;
    let monitor = world.nodes.len();
    for other in (0..members).filter(|other| *other != a).chain([monitor]) {
        world.isolate(&[(a, other), (d, other)]);
    }
    world.write()?;
    world.run_until("the write to be acknowledged", |world| {
        (!world.acknowledged.is_empty()).then_some(())
    })?;
    // The others go on, if they can.
    world.pass(5000)?;
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

/// A monitor that paused for longer than its key lived goes on where another acts.
#[test]
fn without_the_key_two_monitors_appoint() {
    let profile = Profile { monitors: 2, without: Some(26), ..harsh(3, Policy::Any(1)) };
    is_missed(&profile, 0..60);
}

/// Rule 18: whoever is preferred leads without the tail that another has.
#[test]
fn a_preferred_node_that_fetches_nothing_loses_writes() {
    let profile =
        Profile { choose: Choice::Seniority, without: Some(18), ..harsh(3, Policy::Any(1)) };
    is_missed(&profile, 0..60);
}

#[test]
fn a_disk_that_does_not_sync_is_found() {
    is_found_broken(Broken::Sync, 3, Policy::Any(1), 15..21);
}

#[test]
fn an_apply_bound_beyond_the_commit_is_found() {
    is_found_broken(Broken::ApplyBound, 3, Policy::Any(1), 0..60);
}

#[test]
fn a_relay_that_sends_whatever_it_holds_is_found() {
    let broken = Some(Broken::Relay);
    is_missed(&Profile { cascade: true, broken, ..harsh(3, Policy::Any(1)) }, 0..60);
}

/// The schedule behind P8: C gets what A and B have committed, unsynced; A is gone, C is
/// chosen, and loses its power before it leads.
fn the_chosen_node_loses_what_it_reported(without: Option<u8>) -> Checked {
    let mut world = quiet(without, 0);
    let a = world.known_leader()?;
    let others: Vec<usize> = (0..3).filter(|node| *node != a).collect();
    // Of two with the same log the one that has been there for longer is chosen.
    let (b, c) = (others[0], others[1]);
    world.isolate(&[(a, c)]);
    world.write()?;
    world.run_until("the write to be acknowledged", |world| {
        (!world.acknowledged.is_empty()).then_some(())
    })?;
    let stream = world.nodes[a].stream();
    let node = &mut world.nodes[c];
    node.disk.copy(stream.log()[0].term, &stream)?;
    node.log = stream.log().to_vec();
    world.stop(a)?;
    world.run_until("one to be chosen", |world| {
        (world.monitors[0].machine.as_ref()?.phase() == "appointing").then_some(())
    })?;
    world.blink(c)?;
    world.pass(3000)?;
    assert_eq!(world.nodes[b].log.first(), world.nodes[c].log.first(), "one follows the other");
    Ok(())
}

#[test]
fn without_the_sync_before_a_promise_a_committed_write_is_cut() {
    bites(8, the_chosen_node_loses_what_it_reported);
}

/// The schedule behind P15: B leads a term, sends its first frame unsynced and loses it; it
/// is appointed again, and counts C's acknowledgement of that frame for another.
fn a_leader_is_appointed_twice(without: Option<u8>) -> Checked {
    let mut world = quiet(without, 0);
    let b = world.run_until("a first leader", |world| world.office(Role::Opening))?;
    let c = world.run_until("its frame to be at another", |world| {
        (0..3).find(|node| *node != b && world.nodes[*node].log.len() == 1)
    })?;
    let (term, incarnation) = world.nodes[b].bound.promised.expect("it promised");
    world.blink(b)?;
    assert!(world.nodes[b].log.is_empty() && world.nodes[c].log.len() == 1);
    let appointment = crate::failover::Appointment {
        term,
        incarnation,
        wait_ns: 0,
        acks: 1,
        policy_version: 0,
        configuration: world.file.clone(),
    };
    let monitor = world.nodes.len();
    world.arrive(monitor, b, Packet::ToNode(ToNode::Appoint(appointment)))?;
    world.nodes[b].sync();
    world.pass(3000)
}

#[test]
fn without_the_check_of_led_terms_a_term_is_led_twice() {
    bites(15, a_leader_is_appointed_twice);
}

/// The schedule behind P19: A demands nothing of its followers, and does not hear that it is
/// to again; it writes on alone.
fn a_restoration_is_not_heard(without: Option<u8>) -> Checked {
    let mut world = quiet(without, 0);
    let a = world.known_leader()?;
    world.weaken(a)?;
    world.run_until("the record", |world| {
        world.monitor_state.as_ref().filter(|state| state.weakened).map(drop)
    })?;
    world.cut_off(a);
    // What was on its way arrives.
    world.pass(20)?;
    world.monitor_hears(0, Input::Operator { id: 2, operator: Operator::Restore })?;
    world.write()?;
    world.pass(5000)?;
    world.cut.clear();
    world.pass(5000)
}

#[test]
fn without_tightening_first_a_lone_leaders_write_is_lost() {
    bites(19, a_restoration_is_not_heard);
}

/// The schedule behind P23: A is cut off while its lease, a long one, runs. B is appointed, to wait; the
/// monitor restarts before it says so, and begins the next term.
fn the_monitor_forgets_a_wait(without: Option<u8>) -> Checked {
    let mut world = quiet(without, 0);
    world.profile.lease_ms = 3000;
    let a = world.known_leader()?;
    world.pass(500)?;
    world.cut_off(a);
    world.run_until("another to be chosen", |world| {
        (world.monitors[0].machine.as_ref()?.phase() == "appointing").then_some(())
    })?;
    // What it has sent is lost.
    world.queue.retain(|_, happening| {
        !matches!(happening, Happening::Arrive { packet: Packet::ToNode(_), .. })
    });
    world.restart_monitor()?;
    world.pass(6000)
}

#[test]
fn without_the_wait_after_a_restart_two_terms_acknowledge() {
    bites(23, the_monitor_forgets_a_wait);
}

/// The schedule behind P24: A is cut off and replaced, and does not know. The monitor's state
/// is lost, and of all nodes it hears A alone.
fn only_a_stale_leader_answers(without: Option<u8>) -> Checked {
    let mut world = quiet(without, 0);
    let a = world.known_leader()?;
    world.cut_off(a);
    let term = world.nodes[a].bound.term;
    let b = world.run_until("another leader", |world| {
        world.office(Role::Leader).filter(|node| world.nodes[*node].bound.term > term)
    })?;
    let (c, monitor) = (3 - a - b, world.nodes.len());
    world.cut.clear();
    world.isolate(&[(a, b), (a, c), (monitor, b), (monitor, c)]);
    // What was on its way arrives.
    world.pass(20)?;
    world.monitor_state = None;
    world.restart_monitor()?;
    world.pass(6000)
}

#[test]
fn without_a_majority_of_answers_a_stale_leader_is_renewed() {
    bites(24, only_a_stale_leader_answers);
}

/// The schedule behind P25: A demands nothing of its followers, and the monitor's state is
/// lost; it adopts A, which then is cut off and writes on.
fn a_weakened_leader_is_adopted(without: Option<u8>) -> Checked {
    let mut world = quiet(without, 0);
    let a = world.known_leader()?;
    world.weaken(a)?;
    world.monitor_state = None;
    world.restart_monitor()?;
    world.run_until("it to be adopted", |world| {
        world.monitor_state.as_ref().filter(|state| state.appointed.is_some()).map(drop)
    })?;
    world.cut_off(a);
    world.write()?;
    world.pass(5000)?;
    world.cut.clear();
    world.pass(5000)
}

#[test]
fn without_what_a_leader_practises_a_lone_leaders_write_is_lost() {
    bites(25, a_weakened_leader_is_adopted);
}
