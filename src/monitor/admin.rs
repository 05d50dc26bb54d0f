//! What operators' tools ask: one JSON request, one JSON answer a frame.
//!
//! | request                                             | answer                            |
//! |-----------------------------------------------------|-----------------------------------|
//! | `{"request":"status"}`                              | `{"ok":{"view":…,"phase":…,…}}`   |
//! | `{"request":"events","limit":100}`                  | `{"ok":[…]}`, oldest first        |
//! | `{"request":"switchover","to":"n2"}` (`to` optional) | `{"ok":"n2 leads in term 7"}`     |
//! | `{"request":"failover","allow_data_loss":true}`      | `{"ok":…}`                        |
//! | `{"request":"weaken","acks":0}`, `{"request":"restore"}` | `{"ok":…}`                    |
//! | `{"request":"maintenance","node":"n2","on":true}`    | `{"ok":…}`                        |
//! | `{"request":"add","node":"n4","peer":"host:7001","replaces":"n2"}` (`replaces`, `priority` optional) | `{"ok":…}` |
//! | `{"request":"drop","node":"n2"}`                     | `{"ok":…}`                        |
//!
//! What is refused or fails is `{"error":"one sentence"}`. A switchover, and a change of
//! members, is answered when it is over; the latter, which may have a copy of the databases
//! to wait for, however long that takes, as long as the tool stays.
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};

use super::driver::{Happening, Outlook};
use super::events::{EventLog, Happened};
use crate::cluster::{NodeId, View};
use crate::config::PRIORITY;
use crate::failover::Operator;
use crate::net::FrameStream;

/// A command that has not ended by then is answered as under way, a change of members aside.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(30);
/// A tool that asks nothing for so long is disconnected.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Events sent at most, and when no limit is named.
const EVENTS_MAX: usize = 1000;

#[derive(Debug, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case", deny_unknown_fields)]
enum Request {
    Status {},
    Events {
        limit: Option<usize>,
    },
    Switchover {
        to: Option<NodeId>,
    },
    Failover {
        #[serde(default)]
        allow_data_loss: bool,
    },
    Weaken {
        acks: usize,
    },
    Restore {},
    Maintenance {
        node: NodeId,
        on: bool,
    },
    Add {
        node: NodeId,
        peer: String,
        #[serde(default = "priority")]
        priority: u32,
        replaces: Option<NodeId>,
    },
    Drop {
        node: NodeId,
    },
}

/// As a configuration file without one.
fn priority() -> u32 {
    PRIORITY
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Ok(Body),
    Error(String),
}

#[derive(Serialize)]
#[serde(untagged)]
enum Body {
    Status { view: Box<View>, phase: &'static str, incarnation: u64 },
    Events(Vec<Happened>),
    Done(String),
}

/// Serves one tool until it leaves.
pub(super) async fn serve(
    mut stream: FrameStream,
    outlook: watch::Receiver<Outlook>,
    events: &EventLog,
    happenings: &mpsc::Sender<Happening>,
) {
    while let Ok(Ok(Some(frame))) = tokio::time::timeout(IDLE_TIMEOUT, stream.recv()).await {
        let answer = match serde_json::from_slice(&frame) {
            Ok(request) => tokio::select! {
                answer = handle(request, &outlook, events, happenings) => answer,
                // It left, or does not wait for the answer.
                _ = stream.recv() => return,
            },
            Err(error) => Answer::Error(format!("malformed request: {error}")),
        };
        let text = serde_json::to_vec(&answer).expect("plain data");
        if stream.send(&text).await.is_err() {
            return;
        }
    }
}

async fn handle(
    request: Request,
    outlook: &watch::Receiver<Outlook>,
    events: &EventLog,
    happenings: &mpsc::Sender<Happening>,
) -> Answer {
    match request {
        Request::Status {} => {
            let Outlook { view, phase, incarnation } = outlook.borrow().clone();
            Answer::Ok(Body::Status { view: Box::new(view), phase, incarnation })
        }
        Request::Events { limit } => {
            let limit = limit.unwrap_or(EVENTS_MAX).min(EVENTS_MAX);
            Answer::Ok(Body::Events(events.recent(limit)))
        }
        Request::Switchover { to } => operate(Operator::Switchover { to }, happenings).await,
        Request::Failover { allow_data_loss } => {
            operate(Operator::Failover { allow_data_loss }, happenings).await
        }
        Request::Weaken { acks } => operate(Operator::Weaken { acks }, happenings).await,
        Request::Restore {} => operate(Operator::Restore, happenings).await,
        Request::Maintenance { node, on } => {
            operate(Operator::Maintenance { node, on }, happenings).await
        }
        Request::Add { node, peer, priority, replaces } => {
            operate(Operator::Add { node, peer, priority, replaces }, happenings).await
        }
        Request::Drop { node } => operate(Operator::Drop { node }, happenings).await,
    }
}

async fn operate(operator: Operator, happenings: &mpsc::Sender<Happening>) -> Answer {
    let (answer, answered) = oneshot::channel();
    let limit = match operator {
        Operator::Add { .. } | Operator::Drop { .. } => Duration::MAX,
        _ => OPERATION_TIMEOUT,
    };
    if happenings.send(Happening::Operator(operator, answer)).await.is_err() {
        return Answer::Error("the monitor is stopping".to_owned());
    }
    match tokio::time::timeout(limit, answered).await {
        Ok(Ok(Ok(done))) => Answer::Ok(Body::Done(done)),
        Ok(Ok(Err(refusal))) => Answer::Error(refusal),
        Ok(Err(_)) => Answer::Error("the monitor is stopping".to_owned()),
        Err(_) => {
            Answer::Error("still under way: see `towline status` and `towline events`".to_owned())
        }
    }
}
