//! What monitor and nodes say to each other on connections of purpose `control`: one
//! JSON value a frame, one enum each way.
//!
//! JSON, since these are a few small messages a heartbeat which operators read in traces;
//! a field that the receiver doesn't know is an error, like anything else that it
//! doesn't understand.
//!
//! Monitor and node (the node dials):
//!
//! | from    | message            | when                                                    |
//! |---------|--------------------|---------------------------------------------------------|
//! | monitor | `welcome`          | first on the connection; the hello of an incarnation    |
//! | node    | `report`           | at once after `welcome`, each heartbeat, on change, when polled |
//! | node    | `lease_request`    | each heartbeat while in office                          |
//! | monitor | `grant`            | answers it, echoing the request                         |
//! | monitor | `promise_request`  | electing                                                |
//! | node    | `promised`, `refused` | answers it, once durable                             |
//! | monitor | `fetch`            | electing: get the tail that another member holds (rule 18) |
//! | node    | `promised`, `not_fetched` | answers it: the promise with the new end, or why not |
//! | monitor | `appoint`          | to the chosen node, once recorded                       |
//! | node    | `accepted`         | answers it, once recorded as led                        |
//! | monitor | `view`             | on change                                               |
//! | monitor | `policy`           | to the leader: demand fewer acknowledgements, as recorded (P19) |
//! | monitor | `restore`          | to the leader: demand more, and report once all is committed so |
//! | monitor | `members`          | to the leader: act under this configuration, as recorded (P22) |
//! | monitor | `freeze`, `thaw`   | planned hand-over: no new writes; take them again       |
//! | node    | `frozen`           | all that was begun is committed                         |
//! | monitor | `poll`             | wants a report now                                      |
//! | node    | `handover`         | the leader is told to stop and asks for a successor     |
//! | node    | `stepped_down`     | the leader ended its term itself                        |
//! | node    | `noticed`          | something that operators should read of, once           |
//!
//! Leader and peer (the leader dials): `lease_request` answered by `grant` or `refused`.
//! Who leads is answered by the connection's hello already.
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Moment, Rule};
use crate::cluster::{Configuration, NodeId, Role, Roll, View};
use crate::log::{LogEnd, Lsn, Term};

/// The largest message that is decoded, bytes.
pub const MESSAGE_MAX: usize = 1 << 20;

/// A frame holds no message.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    #[error("a control message of {0} bytes is above the limit of {MESSAGE_MAX}")]
    TooLarge(usize),
    #[error("malformed control message: {0}")]
    Malformed(#[from] serde_json::Error),
}

/// What a node tells the monitor.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ToMonitor {
    Report(Report),
    /// The leader of `term` asks for its lease; `sent` is on its own clock.
    LeaseRequest {
        term: Term,
        sent: Moment,
    },
    Promised(PromiseMade),
    /// The node won't promise `term`: it is bound to `held`, or obeys another incarnation.
    Refused {
        term: Term,
        held: Term,
        obeyed: u64,
    },
    /// The node, which promised `term`, did not get the tail that it was to fetch.
    NotFetched {
        term: Term,
        reason: String,
    },
    /// The node took office in `term`.
    Accepted {
        term: Term,
    },
    /// The leader takes no new writes, and all that its log holds is committed.
    Frozen {
        term: Term,
        end: LogEnd,
    },
    /// The leader is about to stop and asks for a successor.
    Handover {
        term: Term,
    },
    /// The leader ended `term` itself.
    SteppedDown {
        term: Term,
        reason: String,
    },
    Noticed(Notice),
}

/// What a node saw or did by itself: becomes an event.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notice {
    pub rule: Rule,
    pub term: Term,
    pub lsn: Option<Lsn>,
    /// One sentence.
    pub reason: String,
}

/// What the monitor tells a node.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ToNode {
    /// A monitor's hello; earlier incarnations are void from here on.
    Welcome {
        incarnation: u64,
    },
    View(View),
    /// The lease of `term` runs from `sent`, echoed from the request. Of no worth to a node
    /// that obeys another incarnation.
    Grant {
        term: Term,
        incarnation: u64,
        sent: Moment,
    },
    PromiseRequest {
        term: Term,
        incarnation: u64,
    },
    Fetch(Fetch),
    Appoint(Appointment),
    /// Take no new writes until thawed, or for `limit_ms`.
    Freeze {
        term: Term,
        limit_ms: u64,
    },
    Thaw {
        term: Term,
    },
    /// Demand only `acks` follower acknowledgements: recorded already (P19).
    Policy {
        term: Term,
        acks: usize,
        version: u64,
    },
    /// Demand `acks` follower acknowledgements again, under policy version `version`; report
    /// so once everything acknowledged is held by so many.
    Restore {
        term: Term,
        acks: usize,
        version: u64,
    },
    /// Act under `configuration` from here on, and demand no more than `acks` follower
    /// acknowledgements if `version` is new: both are recorded already. Write it into the
    /// log, and report once that frame is committed.
    Members {
        term: Term,
        configuration: Configuration,
        acks: usize,
        version: u64,
    },
    Poll,
}

/// What a leader asks of a member while the monitor is away.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ToPeer {
    LeaseRequest { term: Term, sent: Moment },
}

/// What the member answers.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FromPeer {
    /// The member's part of the lease of `term` runs from `sent`, echoed.
    Grant { term: Term, sent: Moment },
    /// It is bound to `held`, whose leader is `leader`, if it knows one.
    Refused { held: Term, leader: Option<NodeId> },
}

/// How a node is.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The incarnation of the monitor that it obeys.
    pub incarnation: u64,
    /// The term that it is bound to, promised ones included.
    pub term: Term,
    pub role: Role,
    /// Whom it follows in that term.
    pub leader: Option<NodeId>,
    /// The highest term that it led.
    pub led: Term,
    pub end: LogEnd,
    pub durable: Lsn,
    pub commit: Lsn,
    pub applied: Lsn,
    /// Follower acknowledgements that all it acknowledged in its term has, at least;
    /// of a follower, what it would demand.
    pub acks: usize,
    /// The newest policy record that it adopted in its term.
    pub policy_version: u64,
    /// How long ago it heard from the leader of `term`, milliseconds; `None` if never,
    /// or if the leader has closed the stream since.
    pub leader_seen_ms: Option<u64>,
    /// New, re-seeded or cut: counts for no election (rule 16a).
    pub unproven: bool,
    /// The follower by way of which it follows; `None`: the leader itself, or nobody.
    #[serde(default)]
    pub through: Option<NodeId>,
    /// The members that it knows, and acts upon.
    #[serde(default)]
    pub roll: Roll,
    /// host:port of its SQL listener.
    pub sql: Option<String>,
    /// Why it does not serve or follow; empty when all is well.
    pub reason: String,
}

/// A promise: the node ignores every term below, and holds its log up to `end`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromiseMade {
    pub term: Term,
    pub incarnation: u64,
    /// Durable.
    pub end: LogEnd,
    /// How long ago the node last granted a lease, nanoseconds; after a restart, how
    /// long ago it started (before that it may have).
    pub grant_age_ns: u64,
    /// As in [`Report`].
    pub unproven: bool,
}

/// Has a node that promised `term` get what it lacks of another's log, before anybody
/// leads (rule 18).
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fetch {
    pub term: Term,
    pub incarnation: u64,
    /// Promised `term`, too: its log stands still.
    pub from: NodeId,
    /// Where that log ends, by its promise.
    pub end: LogEnd,
}

/// Makes a node the leader of a term.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Appointment {
    pub term: Term,
    pub incarnation: u64,
    /// Older leases may run for so long, counted from receipt, nanoseconds.
    pub wait_ns: u64,
    /// Follower acknowledgements to demand.
    pub acks: usize,
    pub policy_version: u64,
    /// The members to act upon.
    #[serde(default)]
    pub configuration: Configuration,
}

/// A message's frame.
pub fn encode(message: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(message).expect("messages have text keys and no failing serializers")
}

/// The message in a frame.
pub fn decode<M: DeserializeOwned>(frame: &[u8]) -> Result<M, MessageError> {
    if frame.len() > MESSAGE_MAX {
        return Err(MessageError::TooLarge(frame.len()));
    }
    Ok(serde_json::from_slice(frame)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn report() -> impl Strategy<Value = Report> {
        let role = prop_oneof![Just(Role::Follower), Just(Role::Opening), Just(Role::Leader)];
        let ends = (any::<u64>(), any::<u64>(), any::<u64>());
        (any::<u64>(), any::<u64>(), role, ends, any::<Option<u64>>(), any::<bool>(), ".*")
            .prop_map(|(incarnation, term, role, (a, b, c), leader_seen_ms, unproven, reason)| {
                Report {
                    incarnation,
                    term: Term(term),
                    role,
                    leader: "n1".parse().ok(),
                    led: Term(term / 2),
                    end: LogEnd { term: Term(a), lsn: Lsn(b) },
                    durable: Lsn(a),
                    commit: Lsn(b),
                    applied: Lsn(c),
                    acks: 1,
                    policy_version: c,
                    leader_seen_ms,
                    unproven,
                    through: "n2".parse().ok(),
                    roll: Roll::default(),
                    sql: None,
                    reason,
                }
            })
    }

    proptest! {
        #[test]
        fn what_is_said_is_heard(report in report(), sent in any::<i64>(), term in any::<u64>()) {
            for message in [
                ToMonitor::Report(report.clone()),
                ToMonitor::LeaseRequest { term: Term(term), sent: Moment(sent) },
                ToMonitor::SteppedDown { term: Term(term), reason: report.reason },
            ] {
                prop_assert_eq!(decode::<ToMonitor>(&encode(&message))?, message);
            }
        }

        #[test]
        fn any_bytes_are_a_message_or_an_error(bytes: Vec<u8>) {
            let _ = decode::<ToMonitor>(&bytes);
            let _ = decode::<ToNode>(&bytes);
            let _ = decode::<FromPeer>(&bytes);
        }

        #[test]
        fn a_truncated_message_is_an_error(report in report(), cut in any::<prop::sample::Index>()) {
            let bytes = encode(&ToMonitor::Report(report));
            prop_assert!(decode::<ToMonitor>(&bytes[..cut.index(bytes.len())]).is_err());
        }

        #[test]
        fn a_message_with_more_behind_it_is_an_error(report in report(), more in "[^ \t\r\n]{1,9}") {
            let mut bytes = encode(&ToMonitor::Report(report));
            bytes.extend_from_slice(more.as_bytes());
            prop_assert!(decode::<ToMonitor>(&bytes).is_err());
        }

        #[test]
        fn a_flipped_bit_is_another_message_or_an_error(
            report in report(),
            at in any::<prop::sample::Index>(),
            bit in 0u8..8,
        ) {
            let mut bytes = encode(&ToMonitor::Report(report));
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            // TLS vouches for the bytes: what reads must only be what they spell.
            if let Ok(message) = decode::<ToMonitor>(&bytes) {
                prop_assert_eq!(decode::<ToMonitor>(&encode(&message))?, message);
            }
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for bad in [
            &br#"{"welcome":{"incarnation":1,"more":2}}"#[..],
            br#"{"welcome":{"incarnation":1}} "#.strip_suffix(b" ").map_or(&[][..], |b| &b[1..]),
            br#"{"depose":{}}"#,
            br#""poll" "poll""#,
        ] {
            assert!(decode::<ToNode>(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
        assert!(matches!(
            decode::<ToNode>(&vec![b' '; MESSAGE_MAX + 1]),
            Err(MessageError::TooLarge(_))
        ));
    }

    #[test]
    fn its_limit_is_the_pages() {
        crate::log::format_page::assert_limit("control message", MESSAGE_MAX as u64);
    }
}
