//! Random walks through every state of the monitor.
use std::collections::BTreeSet;

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, IteratorRandom as _};
use rand::{Rng as _, SeedableRng as _};

use super::tests::{MS, id, options};
use super::*;
use crate::cluster::Roll;
use crate::failover::{PromiseMade, Report};

/// Every phase meets every kind of input, sensible or not, in long random walks: nothing
/// panics, and what the machine asserts of itself holds. Every transition of the table
/// is taken, so the table lists nothing that can't happen.
#[test]
fn every_phase_meets_every_input() {
    let mut met = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for seed in 0..9000 {
        walk(seed, &mut met, &mut taken);
    }
    let phases = ["starting", "watching", "draining", "promising", "fetching", "appointing"];
    let kinds: BTreeSet<&str> = met.iter().map(|(_, kind)| *kind).collect();
    assert_eq!(kinds.len(), 19, "{kinds:?}");
    for phase in phases {
        for kind in &kinds {
            assert!(met.contains(&(phase, *kind)), "{phase} never met {kind}");
        }
    }
    for it in TRANSITIONS {
        let transition = (it.from.to_owned(), it.to.to_owned(), it.rule);
        assert!(taken.contains(&transition), "{transition:?} is never taken");
    }
}

fn walk(
    seed: u64,
    met: &mut BTreeSet<(&'static str, &'static str)>,
    taken: &mut BTreeSet<(String, String, Rule)>,
) {
    let mut rng = StdRng::seed_from_u64(seed);
    let nodes = rng.random_range(1..=4);
    let policies = [Policy::Async, Policy::Any(1), Policy::Quorum];
    let policy = policies.choose(&mut rng).expect("some").clone();
    let names: Vec<NodeId> = (1..=nodes + 1).map(|node| id(&format!("n{node}"))).collect();
    let mut now = Moment(0);
    let mut out = Vec::new();
    let start = if rng.random_bool(0.5) {
        Start::Lost { incarnation: 5 }
    } else {
        let appointed =
            rng.random_bool(0.7).then(|| Appointed { term: Term(3), node: names[0].clone() });
        Start::Recorded(MonitorState {
            incarnation: 5,
            term: Term(3),
            appointed,
            acks: policy.acks(nodes),
            policy_version: 0,
            weakened: rng.random_bool(0.3),
            rebuilt: true,
            weakened_to: None,
            maintenance: BTreeSet::new(),
            configuration: Configuration::default(),
            unconfirmed: Vec::new(),
            change: None,
        })
    };
    let mut options = options(nodes, policy);
    if seed % 4 == 2 || rng.random_bool(0.3) {
        options.choose = Choice::Seniority;
    }
    let mut machine = Machine::new(options, start, now, &mut out);
    let mut fetch = None;
    // Members that come and go leave little time for anything else.
    let changing = seed.is_multiple_of(3);
    for _ in 0..80 {
        let pause = [1, 20, 20, 60, 700].choose(&mut rng).expect("some");
        now = Moment(now.0 + pause * MS);
        let state = machine.state().clone();
        let node = names.choose(&mut rng).expect("some").clone();
        // Mostly from the one that it would matter from, in the term that it would.
        let node = match state.leader() {
            Some(leader) if rng.random_bool(0.4) => leader.clone(),
            _ => node,
        };
        // A hand-over needs several sensible answers in a row.
        let draining = machine.phase() == "draining";
        let off = [0, 0, 0, 0, 0, 0, 0, 1, -1].choose(&mut rng).expect("some");
        let off = if draining && rng.random_bool(0.9) { &0 } else { off };
        // Or the leader falls silent meanwhile.
        let silent = draining && seed % 5 == 1;
        let term = Term(state.term.0.saturating_add_signed(*off));
        let newer = rng.random_bool(if machine.phase() == "fetching" { 0.1 } else { 0.02 });
        let incarnation = state.incarnation + u64::from(newer);
        let lsn = Lsn(rng.random_range(0..4));
        let end = LogEnd { term: Term(rng.random_range(0..=term.0.min(4))), lsn };
        let sensible = draining && !silent && rng.random_bool(0.7);
        let end = if sensible { LogEnd { term: state.term, lsn: Lsn(3) } } else { end };
        // Who fetches is done, or whose tail it is is gone.
        let ends = machine.phase() == "fetching" && rng.random_bool(0.2);
        let gone = ends && rng.random_bool(0.2);
        let (node, end) = match fetch.clone().filter(|_| ends) {
            Some((_, from)) if gone => (from, end),
            Some((to, _)) => (to, LogEnd { term: state.term, lsn: Lsn(3) }),
            None => (node, end),
        };
        let choice = match machine.phase() {
            "draining" if silent => *[0, 7, 7, 7].choose(&mut rng).expect("some"),
            "draining" if sensible => *[7, 19].choose(&mut rng).expect("some"),
            "draining" if changing && rng.random_bool(0.2) => 24,
            // What was asked for is done at the next tick, if it can be.
            "watching" if state.change.is_some() && rng.random_bool(0.4) => 0,
            _ if ends => {
                if gone {
                    3
                } else {
                    12
                }
            }
            // That is seldom reached, and soon left.
            "promising" if seed % 4 == 2 && rng.random_bool(0.5) => 13,
            "fetching" if rng.random_bool(0.5) => {
                *[2, 4, 15, 15, 15, 18, 19, 20, 21, 22, 23, 24, 25].choose(&mut rng).expect("some")
            }
            "watching" if rng.random_bool(0.3) => {
                let few = [4, 7, 20, 20, 23, 25, 25];
                *few[..if changing { 7 } else { 5 }].choose(&mut rng).expect("some")
            }
            _ => rng.random_range(0..if changing { 26 } else { 24 }),
        };
        let node = match state.leader() {
            // From the one that it is awaited from.
            Some(leader) if sensible && choice == 19 => leader.clone(),
            Some(leader) if sensible && node == *leader => {
                names.iter().find(|name| *name != leader).cloned().unwrap_or(node)
            }
            Some(leader) if silent => {
                let others = names[..nodes].iter().filter(|name| *name != leader);
                others.choose(&mut rng).cloned().unwrap_or(node)
            }
            _ => node,
        };
        let (kind, input) = match choice {
            0..=1 => ("tick", Input::Tick),
            2 => ("connected", Input::Connected { node }),
            3 => ("disconnected", Input::Disconnected { node }),
            4 => {
                let to = rng.random_bool(0.5).then_some(node);
                ("switchover", Input::Operator { id: 1, operator: Operator::Switchover { to } })
            }
            5 => {
                let allow_data_loss = rng.random_bool(0.3);
                (
                    "failover",
                    Input::Operator { id: 2, operator: Operator::Failover { allow_data_loss } },
                )
            }
            6..=11 => {
                let role =
                    *[Role::Follower, Role::Opening, Role::Leader].choose(&mut rng).expect("some");
                let leads = state.leader() == Some(&node);
                let role = if leads && rng.random_bool(0.7) { Role::Leader } else { role };
                let role = if !leads && rng.random_bool(0.8) { Role::Follower } else { role };
                let report = Report {
                    incarnation,
                    term,
                    role,
                    leader: state.leader().cloned(),
                    led: if rng.random_bool(0.2) { term } else { Term(0) },
                    end,
                    durable: lsn,
                    commit: lsn,
                    applied: lsn,
                    acks: rng.random_range(0..3),
                    policy_version: state.policy_version.saturating_sub(rng.random_range(0..3) / 2),
                    leader_seen_ms: (!silent && rng.random_bool(0.3)).then_some(10),
                    unproven: rng.random_bool(0.1),
                    through: None,
                    roll: {
                        let newest = state.unconfirmed.last().unwrap_or(&state.configuration);
                        let pending =
                            (changing && rng.random_bool(0.02)).then(|| newest.without(&names[0]));
                        let committed = if rng.random_bool(0.5) {
                            newest.clone()
                        } else {
                            Configuration::default()
                        };
                        Roll { committed, pending }
                    },
                    sql: None,
                    reason: String::new(),
                };
                ("report", Input::Message { node, message: ToMonitor::Report(report) })
            }
            12..=14 => {
                let (grant_age_ns, unproven) =
                    (rng.random_range(0..2_000_000_000), rng.random_bool(0.1));
                let promise = PromiseMade { term, incarnation, end, grant_age_ns, unproven };
                ("promised", Input::Message { node, message: ToMonitor::Promised(promise) })
            }
            15 => match rng.random_range(0..3) {
                1 => {
                    let message = ToMonitor::NotFetched { term, reason: "gone".into() };
                    ("not fetched", Input::Message { node, message })
                }
                0 => {
                    let refused = ToMonitor::Refused { term, held: term, obeyed: incarnation };
                    ("refused", Input::Message { node, message: refused })
                }
                _ => {
                    let message = ToMonitor::SteppedDown { term, reason: "tired".into() };
                    ("stepped down", Input::Message { node, message })
                }
            },
            16..=17 => ("accepted", Input::Message { node, message: ToMonitor::Accepted { term } }),
            18 => (
                "lease",
                Input::Message { node, message: ToMonitor::LeaseRequest { term, sent: now } },
            ),
            21 => {
                let acks = rng.random_range(0..2);
                ("weaken", Input::Operator { id: 3, operator: Operator::Weaken { acks } })
            }
            22 => ("restore", Input::Operator { id: 4, operator: Operator::Restore }),
            23 => {
                // Mostly the leader's, which hands over first; others' is mostly ended.
                let leader = state.leader().filter(|_| rng.random_bool(0.6));
                let on = rng.random_bool(if leader.is_some() { 0.9 } else { 0.2 });
                let node = leader.cloned().unwrap_or(node);
                let operator = Operator::Maintenance { node, on };
                ("maintenance", Input::Operator { id: 5, operator })
            }
            24 => {
                let replaces = rng.random_bool(0.3).then(|| names[0].clone());
                let (peer, priority) = (format!("{node}:1"), 1);
                let operator = Operator::Add { node, peer, priority, replaces };
                ("add", Input::Operator { id: 6, operator })
            }
            25 => {
                let leader = state.leader().filter(|_| rng.random_bool(0.6));
                let node = leader.cloned().unwrap_or(node);
                ("drop", Input::Operator { id: 7, operator: Operator::Drop { node } })
            }
            20 => ("handover", Input::Message { node, message: ToMonitor::Handover { term } }),
            _ => ("frozen", Input::Message { node, message: ToMonitor::Frozen { term, end } }),
        };
        met.insert((machine.phase(), kind));
        out.clear();
        machine = machine.step(now, input, &mut out);
        let view = machine.view(now);
        assert_eq!(view.term, machine.state().term);
        for command in &out {
            if let Command::Send { to, message: ToNode::Fetch(it) } = command {
                fetch = Some((to.clone(), it.from.clone()));
            }
            if let Command::Event(event) = command {
                assert!(!event.reason.is_empty(), "{event:?}");
                taken.insert((event.before.clone(), event.after.clone(), event.rule));
            }
        }
    }
}
