use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;

use test_each_file::test_each_path;

use super::*;
use crate::cluster::{Member, Roll};
use crate::failover::{PromiseMade, Report};

test_each_path! { in "tests/golden/failover/monitor" => golden }

fn golden(path: &Path) {
    goldenscript::run(&mut Runner::default(), path).expect("golden script failed");
}

pub(super) const MS: i64 = 1_000_000;

pub(super) fn options(nodes: usize, policy: Policy) -> Options {
    let member = |node| (id(&format!("n{node}")), (format!("n{node}:1"), 1));
    Options {
        members: (1..=nodes).map(member).collect(),
        policy,
        choose: Choice::Latest,
        timing: Timing {
            heartbeat: Duration::from_millis(100),
            suspicion: Duration::from_millis(500),
            lease: Duration::from_millis(1000),
            drift: Duration::from_millis(100),
            drain: Duration::from_millis(1000),
        },
        failovers_max: 3,
        restart_grace: Duration::ZERO,
        failover_window: Duration::from_secs(300),
        lag_bytes_max: 1000,
        without: None,
    }
}

pub(super) fn id(name: &str) -> NodeId {
    name.parse().expect("a legal name")
}

#[derive(Default)]
struct Runner {
    machine: Option<Machine>,
    now: Moment,
    last: Vec<Command>,
}

/// Commands accepted in `tests/golden/failover/monitor`. Positions are written
/// `LSN@TERM` with a plain number as LSN, times are milliseconds.
#[derive(goldenscript::Command)]
enum Script {
    /// Starts a monitor of nodes n1 to nN: without state, or with that of a term and
    /// its leader.
    Start {
        nodes: usize,
        policy: String,
        #[arg(key)]
        term: Option<u64>,
        #[arg(key)]
        leader: Option<NodeId>,
        #[arg(key)]
        weakened: Option<bool>,
        /// `n2=0,n3=5`: priorities other than 1.
        #[arg(key)]
        priorities: Option<String>,
        #[arg(key)]
        choose: Option<String>,
        /// How long a leader's process may take to come back.
        #[arg(key)]
        grace: Option<u64>,
    },
    /// Time passes in steps of 20 ms; what happens meanwhile is shown.
    Wait(i64),
    /// Time passes and the monitor notices nothing of it.
    Sleep(i64),
    Connect(NodeId),
    Disconnect(NodeId),
    /// A node reports.
    Report {
        node: NodeId,
        term: u64,
        role: String,
        #[arg(key)]
        led: Option<u64>,
        #[arg(key)]
        leader: Option<NodeId>,
        #[arg(key)]
        end: Option<String>,
        /// If that is less than its end.
        #[arg(key)]
        durable: Option<u64>,
        /// How long ago it heard from the leader.
        #[arg(key)]
        seen: Option<u64>,
        #[arg(key)]
        unproven: Option<bool>,
        #[arg(key)]
        incarnation: Option<u64>,
        #[arg(key)]
        acks: Option<usize>,
        /// The newest policy record that it adopted.
        #[arg(key)]
        version: Option<u64>,
        /// The newest configuration that it knows to be committed.
        #[arg(key)]
        holds: Option<u64>,
        /// A newer one that it acts upon.
        #[arg(key)]
        told: Option<u64>,
    },
    /// A node promises.
    Promise {
        node: NodeId,
        term: u64,
        end: String,
        /// How long ago it granted a lease.
        #[arg(key)]
        age: Option<u64>,
        #[arg(key)]
        unproven: Option<bool>,
        #[arg(key)]
        incarnation: Option<u64>,
    },
    Refuse {
        node: NodeId,
        term: u64,
        held: u64,
        #[arg(key)]
        obeyed: Option<u64>,
    },
    Accept(NodeId, u64),
    /// A node did not get the tail that it was to fetch.
    Notfetched(NodeId, u64),
    Lease(NodeId, u64, i64),
    Frozen(NodeId, u64, String),
    Handover(NodeId, u64),
    Resign(NodeId, u64),
    Switchover {
        #[arg(key)]
        to: Option<NodeId>,
    },
    Failover {
        #[arg(key)]
        loss: Option<bool>,
    },
    /// An operator has the policy weakened to so many follower acknowledgements.
    Weaken(usize),
    Restore,
    /// An operator begins (`on`) or ends (`off`) a node's maintenance.
    Maintenance(NodeId, String),
    /// An operator has a node join, in another's place.
    Add {
        node: NodeId,
        #[arg(key)]
        replaces: Option<NodeId>,
    },
    /// An operator has a node leave.
    Drop(NodeId),
    /// Shows the phase, the term and its leader, and what blocks.
    Status,
    /// Shows the table of transitions as a diagram.
    Diagram,
}

impl goldenscript::Runner for Runner {
    type Command = Script;

    fn run(
        &mut self,
        command: &Script,
        _: &goldenscript::Context,
    ) -> Result<String, Box<dyn Error>> {
        let message = |node: &NodeId, message| Input::Message { node: node.clone(), message };
        let input = match command {
            Script::Start { nodes, policy, term, leader, weakened, priorities, choose, grace } => {
                let mut options = options(*nodes, policy.parse()?);
                options.restart_grace = Duration::from_millis(grace.unwrap_or_default());
                for pair in priorities.iter().flat_map(|it| it.split(',')) {
                    let (node, priority) = pair.split_once('=').ok_or("node=priority")?;
                    options.members.get_mut(&id(node)).ok_or("a member")?.1 = priority.parse()?;
                }
                if choose.as_deref() == Some("seniority") {
                    options.choose = Choice::Seniority;
                }
                let term = term.unwrap_or_default();
                let start = if term == 0 {
                    Start::Lost { incarnation: 100 }
                } else {
                    let weakened = weakened.unwrap_or_default();
                    let acks = if weakened { 0 } else { options.policy.acks(*nodes) };
                    let term = Term(term);
                    Start::Recorded(MonitorState {
                        incarnation: 100,
                        term,
                        appointed: leader.clone().map(|node| Appointed { term, node }),
                        acks,
                        policy_version: 0,
                        weakened,
                        rebuilt: true,
                        weakened_to: None,
                        maintenance: BTreeSet::new(),
                        configuration: Configuration::default(),
                        unconfirmed: Vec::new(),
                        change: None,
                    })
                };
                let mut out = Vec::new();
                self.now = Moment(0);
                self.machine = Some(Machine::new(options, start, self.now, &mut out));
                return Ok(show(&out));
            }
            Script::Wait(ms) => {
                let mut text = String::new();
                let end = self.now.0 + ms * MS;
                while self.now.0 < end {
                    self.now.0 = (self.now.0 + 20 * MS).min(end);
                    let shown = self.step(Input::Tick)?;
                    if !shown.is_empty() {
                        writeln!(text, "at {} ms:\n{shown}", self.now.0 / MS)?;
                    }
                }
                return Ok(text);
            }
            Script::Sleep(ms) => {
                self.now.0 += ms * MS;
                return Ok(String::new());
            }
            Script::Status => {
                let machine = self.machine.as_ref().ok_or("no monitor")?;
                let view = machine.view(self.now);
                let leader = view.leader.map_or("-".to_owned(), |leader| leader.to_string());
                let open = if view.open { "open" } else { "not open" };
                let blocked =
                    view.blocked.map_or(String::new(), |text| format!("\nblocked: {text}"));
                let blocked = match view.change {
                    Some(change) => format!("{blocked}\nchanging: {change}"),
                    None => blocked,
                };
                return Ok(format!(
                    "{}, term {}, leader {leader} ({open}){blocked}",
                    machine.phase(),
                    view.term
                ));
            }
            Script::Diagram => return Ok(diagram()),
            Script::Connect(node) => Input::Connected { node: node.clone() },
            Script::Disconnect(node) => Input::Disconnected { node: node.clone() },
            Script::Report {
                node,
                term,
                role,
                led,
                leader,
                end,
                durable,
                seen,
                unproven,
                incarnation,
                acks,
                version,
                holds,
                told,
            } => {
                let end = end.as_deref().map_or(Ok(LogEnd::default()), position)?;
                let role = match role.as_str() {
                    "follower" => Role::Follower,
                    "opening" => Role::Opening,
                    "leader" => Role::Leader,
                    other => return Err(format!("no role: {other}").into()),
                };
                let report = Report {
                    incarnation: incarnation.unwrap_or(self.incarnation()),
                    term: Term(*term),
                    role,
                    leader: leader.clone(),
                    led: Term(led.unwrap_or_default()),
                    end,
                    durable: durable.map_or(end.lsn, Lsn),
                    commit: end.lsn,
                    applied: end.lsn,
                    acks: acks.unwrap_or(1),
                    policy_version: version.unwrap_or_default(),
                    leader_seen_ms: *seen,
                    unproven: unproven.unwrap_or_default(),
                    through: None,
                    roll: self.roll(*holds, *told),
                    sql: None,
                    reason: String::new(),
                };
                message(node, ToMonitor::Report(report))
            }
            Script::Promise { node, term, end, age, unproven, incarnation } => {
                let promise = PromiseMade {
                    term: Term(*term),
                    incarnation: incarnation.unwrap_or(self.incarnation()),
                    end: position(end)?,
                    grant_age_ns: age.unwrap_or(1_000_000) * MS.unsigned_abs(),
                    unproven: unproven.unwrap_or_default(),
                };
                message(node, ToMonitor::Promised(promise))
            }
            Script::Refuse { node, term, held, obeyed } => {
                let (term, held) = (Term(*term), Term(*held));
                message(node, ToMonitor::Refused { term, held, obeyed: obeyed.unwrap_or_default() })
            }
            Script::Accept(node, term) => message(node, ToMonitor::Accepted { term: Term(*term) }),
            Script::Notfetched(node, term) => {
                let reason = "it has no log".to_owned();
                message(node, ToMonitor::NotFetched { term: Term(*term), reason })
            }
            Script::Lease(node, term, sent) => {
                let sent = Moment(sent * MS);
                message(node, ToMonitor::LeaseRequest { term: Term(*term), sent })
            }
            Script::Frozen(node, term, end) => {
                message(node, ToMonitor::Frozen { term: Term(*term), end: position(end)? })
            }
            Script::Handover(node, term) => {
                message(node, ToMonitor::Handover { term: Term(*term) })
            }
            Script::Resign(node, term) => {
                let reason = "its disk failed".to_owned();
                message(node, ToMonitor::SteppedDown { term: Term(*term), reason })
            }
            Script::Switchover { to } => {
                Input::Operator { id: 1, operator: Operator::Switchover { to: to.clone() } }
            }
            Script::Weaken(acks) => {
                Input::Operator { id: 1, operator: Operator::Weaken { acks: *acks } }
            }
            Script::Restore => Input::Operator { id: 1, operator: Operator::Restore },
            Script::Maintenance(node, state) => {
                let (node, on) = (node.clone(), state == "on");
                Input::Operator { id: 1, operator: Operator::Maintenance { node, on } }
            }
            Script::Add { node, replaces } => {
                let (node, replaces) = (node.clone(), replaces.clone());
                let (peer, priority) = (format!("{node}:1"), 1);
                let operator = Operator::Add { node, peer, priority, replaces };
                Input::Operator { id: 1, operator }
            }
            Script::Drop(node) => {
                Input::Operator { id: 1, operator: Operator::Drop { node: node.clone() } }
            }
            Script::Failover { loss } => {
                let allow_data_loss = loss.unwrap_or_default();
                Input::Operator { id: 1, operator: Operator::Failover { allow_data_loss } }
            }
        };
        self.step(input)
    }
}

impl Runner {
    fn step(&mut self, input: Input) -> Result<String, Box<dyn Error>> {
        let machine = self.machine.take().ok_or("no monitor")?;
        self.last.clear();
        self.machine = Some(machine.step(self.now, input, &mut self.last));
        Ok(show(&self.last))
    }

    /// The configurations of these versions, as the monitor has recorded them.
    fn roll(&self, holds: Option<u64>, told: Option<u64>) -> Roll {
        let state = self.machine.as_ref().map(Machine::state);
        let find = |version: u64| {
            let state = state?;
            let mut lists = std::iter::once(&state.configuration).chain(&state.unconfirmed);
            lists.find(|list| list.version == version).cloned()
        };
        let committed = holds.and_then(find).unwrap_or_default();
        Roll { committed, pending: told.and_then(find) }
    }

    fn incarnation(&self) -> u64 {
        self.machine.as_ref().map_or(0, |machine| machine.state().incarnation)
    }
}

fn position(text: &str) -> Result<LogEnd, Box<dyn Error>> {
    let (lsn, term) = text.split_once('@').ok_or("lsn@term")?;
    Ok(LogEnd { term: Term(term.parse()?), lsn: Lsn(lsn.parse()?) })
}

/// A configuration: its version, and its members; in parentheses who does not count.
fn members(configuration: &Configuration) -> String {
    let member = |member: &Member| {
        if member.counts { member.name.to_string() } else { format!("({})", member.name) }
    };
    let names: Vec<String> = configuration.members.iter().map(member).collect();
    format!("{}:[{}]", configuration.version, names.join(" "))
}

fn show(commands: &[Command]) -> String {
    let lines = commands.iter().map(|command| match command {
        Command::Persist(state) => {
            let leader = state.leader().map_or("none".to_owned(), ToString::to_string);
            let weakened = if state.weakened { ", weakened" } else { "" };
            let lists = std::iter::once(&state.configuration).chain(&state.unconfirmed);
            let lists: Vec<String> = lists.filter(|it| it.version > 0).map(members).collect();
            let lists = if lists.is_empty() {
                lists.join("")
            } else {
                format!(", {}", lists.join(" → "))
            };
            format!(
                "persist term {}, leader {leader}, k {}{weakened}{lists}",
                state.term, state.acks
            )
        }
        Command::Send { to, message } => match message {
            ToNode::PromiseRequest { term, .. } => format!("{to} ← promise {term}?"),
            ToNode::Appoint(it) => {
                let wait = it.wait_ns / MS.unsigned_abs();
                let told = match it.configuration.version {
                    0 => String::new(),
                    _ => format!(", members {}", members(&it.configuration)),
                };
                format!("{to} ← appointed in {}, wait {wait} ms{told}", it.term)
            }
            ToNode::Members { configuration, acks, version, .. } => {
                let members = members(configuration);
                format!("{to} ← members {members}, at least {acks} acks, version {version}")
            }
            ToNode::Grant { term, sent, .. } => {
                format!("{to} ← lease of {term} from {} ms", sent.0 / MS)
            }
            ToNode::Policy { acks, version, .. } => {
                format!("{to} ← demand {acks} acks from here on, version {version}")
            }
            ToNode::Restore { acks, version, .. } => {
                format!("{to} ← demand {acks} acks again, version {version}")
            }
            ToNode::Fetch(it) => {
                format!("{to} ← fetch {}'s log up to {} in {}", it.from, it.end, it.term)
            }
            ToNode::Welcome { incarnation } => format!("{to} ← welcome by {incarnation}"),
            other => format!("{to} ← {other:?}"),
        },
        Command::Event(event) => {
            format!("[{}] {} → {}: {}", event.rule, event.before, event.after, event.reason)
        }
        Command::Answer { result, .. } => format!("answer: {result:?}"),
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn diagram() -> String {
    let mut text = String::from("stateDiagram-v2");
    let mut done = BTreeSet::new();
    for it in TRANSITIONS {
        if !done.insert((it.from, it.to)) {
            continue;
        }
        let same = TRANSITIONS.iter().filter(|other| (other.from, other.to) == (it.from, it.to));
        let rules = same.map(|other| other.rule.number()).collect::<Vec<_>>().join(", ");
        let _ = write!(text, "\n    {} --> {} : {rules}", it.from, it.to);
    }
    text
}

/// The page that the documentation shows is the tables of the code. Run with
/// `UPDATE_GOLDENFILES=1` to write it anew.
#[test]
fn the_documented_rules_are_those_of_the_code() {
    let mut page = String::from(
        "# The monitor's phases, and the rules that its decisions cite\n\n\
         Generated from `RULES` and `TRANSITIONS` in `src/failover/rules.rs`; a test holds this page to them.\n\n",
    );
    let _ = write!(page, "```mermaid\n{}\n```\n\n| rule | says |\n|---|---|\n", diagram());
    for (number, sentence) in Rule::all() {
        let _ = writeln!(page, "| {number} | {sentence} |");
    }
    let _ = write!(page, "\n| from | to | rules |\n|---|---|---|\n");
    let mut done = BTreeSet::new();
    for it in TRANSITIONS.iter().filter(|it| done.insert((it.from, it.to))) {
        let same = TRANSITIONS.iter().filter(|other| (other.from, other.to) == (it.from, it.to));
        let rules = same.map(|other| other.rule.number()).collect::<Vec<_>>().join(", ");
        let _ = writeln!(page, "| {} | {} | {rules} |", it.from, it.to);
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/failover-rules.md");
    if std::env::var_os("UPDATE_GOLDENFILES").is_some() {
        std::fs::write(&path, &page).expect("writable");
    }
    let shown = std::fs::read_to_string(&path).expect("the page is there");
    assert_eq!(shown, page, "docs/failover-rules.md is stale: UPDATE_GOLDENFILES=1 writes it anew");
}
