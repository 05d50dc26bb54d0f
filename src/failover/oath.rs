//! What a node is bound to (P2, P8, P15 to P18, P21, P24, rules 2 to 5).
use std::time::Duration;

use super::{Appointment, Fetch, Moment};
use crate::cluster::{NodeId, Role};
use crate::log::Term;

/// What a node must not forget.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Bound {
    /// The newest term recorded: promised, or known to have a leader.
    pub term: Term,
    /// The newest promise: (term, monitor incarnation).
    pub promised: Option<(Term, u64)>,
    /// The highest term that it led.
    pub led: Term,
    /// Counts for nothing yet (rule 16a).
    pub unproven: bool,
}

/// What a node does in its term.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Office {
    /// Takes what `leader` sends; `None` while it knows none in its term.
    Following { leader: Option<NodeId> },
    /// Appointed; older leases may run until `wait_until`.
    Opening { wait_until: Moment, committed: bool },
    /// Open.
    Leading,
}

/// Who says that a node leads.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Source {
    /// The monitor that is obeyed.
    Monitor,
    /// A member, in its own name or another's.
    Peer,
}

/// What a node may learn.
#[derive(Clone, Debug)]
pub enum OathInput {
    /// A monitor's hello.
    Welcome {
        incarnation: u64,
    },
    PromiseRequest {
        term: Term,
        incarnation: u64,
    },
    /// A monitor has it fetch a tail.
    Fetch(Fetch),
    /// The tail that was to be fetched in `term` is held.
    Fetched {
        term: Term,
    },
    Appoint(Appointment),
    LeaderKnown {
        term: Term,
        leader: NodeId,
        source: Source,
    },
    /// A member that leads `term` asks for its lease.
    PeerLease {
        from: NodeId,
        term: Term,
        sent: Moment,
    },
    /// The first frame of the own term is committed.
    TermStartCommitted {
        term: Term,
    },
    /// Everything that the leader of `term` has committed is held durably.
    CaughtUp {
        term: Term,
    },
    /// What it holds is being replaced by a snapshot (rule 16a).
    Reseeding,
    /// The own term can't go on.
    Failed {
        term: Term,
    },
    Tick,
}

/// What the driver does, in this order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum OathCommand {
    /// Acknowledge nothing from here on.
    EndLease,
    /// The log refuses appends of terms below.
    Fence(Term),
    /// Make the log durable.
    SyncLog,
    /// Record durably before going on.
    Persist(Bound),
    /// Tell the node's tasks.
    Publish {
        term: Term,
        role: Role,
        leader: Option<NodeId>,
    },
    /// Answer a promise request; the driver adds the durable end of the log.
    Promised {
        term: Term,
        incarnation: u64,
        grant_age: Duration,
    },
    /// Answer a promise request that is not granted.
    Refused {
        term: Term,
        held: Term,
        obeyed: u64,
    },
    /// Get what is lacked of another's log; then [`OathInput::Fetched`] follows.
    Fetch(Fetch),
    /// Answer an appointment.
    Accepted {
        term: Term,
    },
    GrantPeer {
        to: NodeId,
        term: Term,
        sent: Moment,
    },
    RefusePeer {
        to: NodeId,
        held: Term,
        leader: Option<NodeId>,
    },
    /// Tell the monitor that the own term is over.
    SteppedDown {
        term: Term,
    },
}

/// A node's side of the protocol.
///
/// ```text
///               appointed at the term it promised
///  Following ─────────────────────────────────────► Opening
///     ▲  ▲                                             │ wait over and
///     │  └─────────────────────────────────────────────┤ term start committed
///     │     promises, a higher term's leader, failure  ▼
///     └──────────────────────────────────────────── Leading
/// ```
///
/// Invariants, asserted after each step:
///
/// * `term`, `led` and the promised term never decrease; `promised ≤ term`, `led ≤ term`.
/// * In office only in the very term that was promised and is recorded as led.
/// * What is persisted precedes the answer that depends on it.
/// * Having promised or adopted a term, it grants no lease of a lower one.
#[derive(Debug)]
pub struct Oath {
    me: NodeId,
    bound: Bound,
    /// The newest monitor incarnation heard; earlier ones are ignored.
    obeyed: u64,
    office: Office,
    /// When it last granted a lease, itself included; at first, when it started, since
    /// what it granted before is forgotten.
    granted: Moment,
    /// Whether the monitor has named the term since the start: an unproven node follows
    /// nobody before, as it may have forgotten a promise (P21).
    admitted: bool,
    /// A sentence of the protocol that is switched off, so that the simulation shows
    /// what it is for.
    #[cfg(test)]
    pub(crate) without: Option<u8>,
}

impl Oath {
    /// A node that starts at `now`, as a follower of nobody (rule 5).
    pub fn new(me: NodeId, bound: Bound, now: Moment) -> Self {
        let obeyed = bound.promised.map_or(0, |(_, incarnation)| incarnation);
        Self {
            me,
            bound,
            obeyed,
            office: Office::Following { leader: None },
            granted: now,
            admitted: false,
            #[cfg(test)]
            without: None,
        }
    }

    pub fn bound(&self) -> Bound {
        self.bound
    }

    pub fn office(&self) -> &Office {
        &self.office
    }

    /// The monitor incarnation that it obeys.
    pub fn obeyed(&self) -> u64 {
        self.obeyed
    }

    /// Whom it follows, or itself.
    pub fn leader(&self) -> Option<&NodeId> {
        match &self.office {
            Office::Following { leader } => leader.as_ref(),
            Office::Opening { .. } | Office::Leading => Some(&self.me),
        }
    }

    pub fn role(&self) -> Role {
        match self.office {
            Office::Following { .. } => Role::Follower,
            Office::Opening { .. } => Role::Opening,
            Office::Leading => Role::Leader,
        }
    }

    /// The leader asks the members for its lease, and thereby grants to itself.
    pub fn granted_to_self(&mut self, now: Moment) {
        self.granted = self.granted.max(now);
    }

    /// Consumes one input and appends the commands it calls for.
    pub fn step(&mut self, now: Moment, input: OathInput, out: &mut Vec<OathCommand>) {
        let before = self.bound;
        match input {
            OathInput::Welcome { incarnation } => self.obeyed = self.obeyed.max(incarnation),
            OathInput::PromiseRequest { term, incarnation } => {
                self.promise(now, term, incarnation, out);
            }
            OathInput::Fetch(fetch) => {
                if self.is_promised(fetch.term, fetch.incarnation) {
                    out.push(OathCommand::Fetch(fetch));
                }
            }
            OathInput::Fetched { term } => self.promise_more(now, term, out),
            OathInput::Appoint(appointment) => self.take_office(now, &appointment, out),
            OathInput::LeaderKnown { term, leader, source } => {
                self.follow(term, leader, source, out);
            }
            OathInput::PeerLease { from, term, sent } => self.grant(now, from, term, sent, out),
            OathInput::TermStartCommitted { term } => {
                if let Office::Opening { committed, .. } = &mut self.office
                    && term == self.bound.term
                {
                    *committed = true;
                }
                self.maybe_open(now, out);
            }
            OathInput::CaughtUp { term } => {
                if term == self.bound.term && self.bound.unproven && self.leader().is_some() {
                    self.bound.unproven = false;
                    out.push(OathCommand::Persist(self.bound));
                }
            }
            OathInput::Reseeding => {
                if !self.bound.unproven && self.role() == Role::Follower {
                    self.bound.unproven = true;
                    out.push(OathCommand::Persist(self.bound));
                }
            }
            OathInput::Failed { term } => {
                if term == self.bound.term && self.role() != Role::Follower {
                    out.push(OathCommand::EndLease);
                    // Before the report that it follows, which does not say why.
                    out.push(OathCommand::SteppedDown { term });
                    self.become_follower(None, out);
                }
            }
            OathInput::Tick => self.maybe_open(now, out),
        }
        self.check(before);
    }

    /// P8: the old stream stops, the log is durable, then the promise, then the answer.
    fn promise(&mut self, now: Moment, term: Term, incarnation: u64, out: &mut Vec<OathCommand>) {
        let again = self.is_promised(term, incarnation);
        if incarnation != self.obeyed || (term <= self.bound.term && !again) {
            out.push(OathCommand::Refused { term, held: self.bound.term, obeyed: self.obeyed });
            return;
        }
        if self.role() != Role::Follower {
            out.push(OathCommand::EndLease);
        }
        out.push(OathCommand::Fence(term));
        out.push(OathCommand::SyncLog);
        self.bound.term = term;
        self.bound.promised = Some((term, incarnation));
        out.push(OathCommand::Persist(self.bound));
        self.become_follower(None, out);
        let grant_age = now.since(self.granted);
        out.push(OathCommand::Promised { term, incarnation, grant_age });
    }

    /// Rule 18: the same promise, with more of the log behind it.
    fn promise_more(&mut self, now: Moment, term: Term, out: &mut Vec<OathCommand>) {
        let Some((promised, incarnation)) = self.bound.promised else { return };
        if promised == term && self.is_promised(term, incarnation) {
            out.push(OathCommand::SyncLog);
            let grant_age = now.since(self.granted);
            out.push(OathCommand::Promised { term, incarnation, grant_age });
        }
    }

    /// Whether it is bound by this very promise to the monitor that it obeys, and the term
    /// has had no leader since, as far as it knows.
    fn is_promised(&self, term: Term, incarnation: u64) -> bool {
        incarnation == self.obeyed
            && self.bound.promised == Some((term, incarnation))
            && self.bound.term == term
            && self.bound.led < term
            && self.leader().is_none()
    }

    /// P15: only at the term that it promised to this monitor, and never led.
    fn take_office(&mut self, now: Moment, appointment: &Appointment, out: &mut Vec<OathCommand>) {
        let Appointment { term, incarnation, wait_ns, .. } = *appointment;
        if self.role() != Role::Follower && self.bound.term == term {
            out.push(OathCommand::Accepted { term });
            return;
        }
        let may = self.is_promised(term, incarnation);
        #[cfg(test)]
        let may = may
            || self.without == Some(15)
                && self.bound.promised == Some((term, incarnation))
                && self.bound.term == term;
        if !may {
            return;
        }
        self.bound.led = term;
        // The log of whoever is appointed is the cluster's from here on: an unproven node
        // is chosen only where all are new, or an operator accepts what that means.
        self.bound.unproven = false;
        out.push(OathCommand::Persist(self.bound));
        let wait_until = now.plus(Duration::from_nanos(wait_ns));
        self.office = Office::Opening { wait_until, committed: false };
        self.publish(out);
        out.push(OathCommand::Accepted { term });
    }

    /// P16: opens when the wait is over and the first frame of its term is committed.
    fn maybe_open(&mut self, now: Moment, out: &mut Vec<OathCommand>) {
        let Office::Opening { wait_until, committed: true } = self.office else { return };
        if now < wait_until {
            return;
        }
        self.office = Office::Leading;
        self.publish(out);
    }

    /// P18: on a term at or above its own, whose leader it is not.
    fn follow(&mut self, term: Term, leader: NodeId, source: Source, out: &mut Vec<OathCommand>) {
        self.admitted |= source == Source::Monitor;
        if self.bound.unproven && !self.admitted {
            return;
        }
        // A node that led a term never resumes it, whoever still says that it does (P17).
        if leader == self.me
            || term < self.bound.term
            || self.leader() == Some(&leader) && term == self.bound.term
        {
            return;
        }
        if term > self.bound.term {
            if self.role() != Role::Follower {
                out.push(OathCommand::EndLease);
            }
            out.push(OathCommand::Fence(term));
            self.bound.term = term;
            out.push(OathCommand::Persist(self.bound));
        } else if self.leader().is_some() || self.bound.led == term {
            // A term has one leader; whoever claims otherwise is not believed.
            return;
        }
        self.become_follower(Some(leader), out);
    }

    /// P2: only to the leader of exactly its own term.
    fn grant(
        &mut self,
        now: Moment,
        from: NodeId,
        term: Term,
        sent: Moment,
        out: &mut Vec<OathCommand>,
    ) {
        let own = term == self.bound.term && self.leader().is_none();
        if own || term > self.bound.term {
            self.follow(term, from.clone(), Source::Peer, out);
        }
        if term == self.bound.term && self.leader() == Some(&from) && !self.bound.unproven {
            self.granted = self.granted.max(now);
            out.push(OathCommand::GrantPeer { to: from, term, sent });
        } else {
            let leader = self.leader().cloned();
            out.push(OathCommand::RefusePeer { to: from, held: self.bound.term, leader });
        }
    }

    fn become_follower(&mut self, leader: Option<NodeId>, out: &mut Vec<OathCommand>) {
        self.office = Office::Following { leader };
        self.publish(out);
    }

    fn publish(&self, out: &mut Vec<OathCommand>) {
        let leader = self.leader().cloned();
        out.push(OathCommand::Publish { term: self.bound.term, role: self.role(), leader });
    }

    fn check(&self, before: Bound) {
        let Bound { term, promised, led, .. } = self.bound;
        assert!(term >= before.term && led >= before.led, "{before:?} → {:?}", self.bound);
        let promised_term = promised.map(|(term, _)| term);
        assert!(promised_term >= before.promised.map(|(term, _)| term), "a promise was lowered");
        assert!(promised_term.unwrap_or_default() <= term && led <= term, "{:?}", self.bound);
        if self.role() != Role::Follower {
            assert!(promised_term == Some(term) && led == term, "in office at {:?}", self.bound);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::path::Path;

    use test_each_file::test_each_path;

    use super::*;
    use crate::cluster::Configuration;
    use crate::log::LogEnd;

    test_each_path! { in "tests/golden/failover/oath" => golden }

    fn golden(path: &Path) {
        goldenscript::run(&mut Runner::default(), path).expect("golden script failed");
    }

    const MS: i64 = 1_000_000;

    #[derive(Default)]
    struct Runner {
        oath: Option<Oath>,
        now: Moment,
    }

    /// Commands accepted in `tests/golden/failover/oath`; times are milliseconds.
    #[derive(goldenscript::Command)]
    enum Script {
        /// Starts node n1, obeying monitor incarnation 100 once welcomed.
        Start {
            #[arg(key)]
            term: Option<u64>,
            /// Incarnation that it promised `term` to.
            #[arg(key)]
            promised: Option<u64>,
            #[arg(key)]
            led: Option<u64>,
            #[arg(key)]
            unproven: Option<bool>,
        },
        Wait(i64),
        Welcome(u64),
        /// A monitor asks for a promise: term, incarnation.
        Promise(u64, u64),
        /// A monitor appoints: term, incarnation, wait.
        Appoint(u64, u64, u64),
        /// Somebody says who leads a term.
        Leads {
            term: u64,
            leader: NodeId,
            #[arg(key)]
            monitor: Option<bool>,
        },
        /// A member asks for its lease.
        Lease(NodeId, u64),
        /// A monitor has n2's log fetched: term, incarnation.
        Fetch(u64, u64),
        Fetched(u64),
        Committed(u64),
        Caughtup(u64),
        Failed(u64),
    }

    impl goldenscript::Runner for Runner {
        type Command = Script;

        fn run(
            &mut self,
            command: &Script,
            _: &goldenscript::Context,
        ) -> Result<String, Box<dyn Error>> {
            let input = match *command {
                Script::Start { term, promised, led, unproven } => {
                    let term = Term(term.unwrap_or_default());
                    let bound = Bound {
                        term,
                        promised: promised.map(|incarnation| (term, incarnation)),
                        led: Term(led.unwrap_or_default()),
                        unproven: unproven.unwrap_or_default(),
                    };
                    self.oath = Some(Oath::new("n1".parse()?, bound, self.now));
                    return Ok(String::new());
                }
                Script::Wait(ms) => {
                    self.now.0 += ms * MS;
                    OathInput::Tick
                }
                Script::Welcome(incarnation) => OathInput::Welcome { incarnation },
                Script::Promise(term, incarnation) => {
                    OathInput::PromiseRequest { term: Term(term), incarnation }
                }
                Script::Appoint(term, incarnation, wait) => OathInput::Appoint(Appointment {
                    term: Term(term),
                    incarnation,
                    wait_ns: wait * MS.unsigned_abs(),
                    acks: 1,
                    policy_version: 0,
                    configuration: Configuration::default(),
                }),
                Script::Leads { term, ref leader, monitor } => {
                    let by_monitor = monitor.unwrap_or_default();
                    let source = if by_monitor { Source::Monitor } else { Source::Peer };
                    OathInput::LeaderKnown { term: Term(term), leader: leader.clone(), source }
                }
                Script::Lease(ref from, term) => {
                    OathInput::PeerLease { from: from.clone(), term: Term(term), sent: Moment(0) }
                }
                Script::Fetch(term, incarnation) => OathInput::Fetch(Fetch {
                    term: Term(term),
                    incarnation,
                    from: "n2".parse()?,
                    end: LogEnd::default(),
                }),
                Script::Fetched(term) => OathInput::Fetched { term: Term(term) },
                Script::Committed(term) => OathInput::TermStartCommitted { term: Term(term) },
                Script::Caughtup(term) => OathInput::CaughtUp { term: Term(term) },
                Script::Failed(term) => OathInput::Failed { term: Term(term) },
            };
            let mut out = Vec::new();
            self.oath.as_mut().ok_or("no node")?.step(self.now, input, &mut out);
            Ok(out.iter().map(show).collect::<Vec<_>>().join("\n"))
        }
    }

    fn show(command: &OathCommand) -> String {
        let named = |leader: &Option<NodeId>| {
            leader.as_ref().map_or("nobody".to_owned(), ToString::to_string)
        };
        match command {
            OathCommand::EndLease => "end the lease".to_owned(),
            OathCommand::Fence(term) => format!("fence the log below {term}"),
            OathCommand::SyncLog => "sync the log".to_owned(),
            OathCommand::Persist(bound) => {
                let unproven = if bound.unproven { ", unproven" } else { "" };
                format!(
                    "persist term {}, promised {:?}, led {}{unproven}",
                    bound.term,
                    bound.promised.map(|(term, to)| (term.0, to)),
                    bound.led
                )
            }
            OathCommand::Publish { term, role, leader } => {
                format!("{role:?} in {term}, leader {}", named(leader))
            }
            OathCommand::Promised { term, incarnation, grant_age } => {
                format!(
                    "→ promised {term} to {incarnation}, last grant {} ms ago",
                    grant_age.as_millis()
                )
            }
            OathCommand::Refused { term, held, obeyed } => {
                format!("→ refused {term}: bound to {held}, obeying {obeyed}")
            }
            OathCommand::Fetch(Fetch { term, from, .. }) => {
                format!("fetch the log of {from} in {term}")
            }
            OathCommand::Accepted { term } => format!("→ accepted {term}"),
            OathCommand::GrantPeer { to, term, .. } => format!("→ {to}: granted in {term}"),
            OathCommand::RefusePeer { to, held, leader } => {
                format!("→ {to}: refused, bound to {held}, leader {}", named(leader))
            }
            OathCommand::SteppedDown { term } => format!("→ stepped down from {term}"),
        }
    }
}
