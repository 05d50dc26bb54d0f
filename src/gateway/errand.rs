//! What a gateway asks of a node for itself, in no client's name: who logs in, and that
//! a client's cancel reach the gateway which has its session.
//!
//! Nothing that is answered is kept: whoever logs in next is asked for again, so a
//! password that was changed holds at once. An errand is a request of a session of its
//! own, so it goes over the link like any other.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::link::Patience;
use super::nodes::{Nodes, Seat};
use super::{LocalNode, Mode, NodeSession, Out, ReplySink, Request, SessionParams, SettingsMap};

/// Time for one node to answer.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// Without news of the nodes they are tried again after this long.
const TRY_AGAIN: Duration = Duration::from_millis(50);

/// What a node is asked; as JSON in a request of mode [`Mode::Errand`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Errand {
    /// What the catalog knows of `user`, who wants to be in `database`: a [`Login`].
    LogIn { user: String, database: String },
    /// Tells all gateways that a client wants its session's statement cancelled.
    Cancel { pid: i32, secret: i32 },
}

/// What the catalog knows of somebody who logs in.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Login {
    /// `None` where there is no role of this name.
    pub role: Option<LoginRole>,
    /// With what its session begins, unless the client says otherwise.
    pub settings: SettingsMap,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LoginRole {
    pub can_login: bool,
    /// To the database that was asked for.
    pub may_connect: bool,
    pub superuser: bool,
    /// A SCRAM verifier; `None` is a role without a password.
    pub verifier: Option<String>,
    /// Its password's time is over.
    pub expired: bool,
    /// Sessions that it may have at one gateway; negative is any number.
    pub connection_limit: i64,
}

impl<N: LocalNode> Nodes<N> {
    /// Has an errand run by the leader, or by any other node where it does not answer;
    /// waits for a node as long as `patience` says. `None` if none answered.
    pub(super) async fn run_errand(&self, errand: &Errand, patience: Duration) -> Option<Bytes> {
        let messages = Bytes::from(serde_json::to_vec(errand).expect("an errand is plain JSON"));
        let until = Instant::now() + patience;
        let mut changes = self.changes();
        loop {
            self.ask_local();
            let (leader, numbers) = (self.leader(), self.numbers());
            let others = numbers.iter().copied().filter(|number| leader != Some(*number));
            for number in leader.into_iter().chain(others) {
                let Some(seat) = self.open(number, &SessionParams::default()) else { continue };
                let answer = ask(seat, self.request(messages.clone()));
                if let Ok(Some(answer)) = tokio::time::timeout(ANSWER_MAX, answer).await {
                    return Some(answer);
                }
            }
            if Instant::now() >= until || numbers.is_empty() {
                return None;
            }
            let _ = tokio::time::timeout(TRY_AGAIN, changes.changed()).await;
        }
    }

    fn request(&self, messages: Bytes) -> Request {
        Request { messages, see: self.begin_at(), token: None, mode: Mode::Errand }
    }
}

async fn ask<N: LocalNode>(seat: Seat<N>, request: Request) -> Option<Bytes> {
    let mut out = Out::new(Box::new(Nowhere));
    let answered = match seat {
        Seat::Local(mut session) => session.run(request, &mut out).await,
        Seat::Remote(mut session) => session.run(request, &mut out, Patience::Short).await,
    };
    answered.ok().map(|_| out.buffer.freeze())
}

/// An answer fits into the buffer.
struct Nowhere;

impl ReplySink for Nowhere {
    fn send<'a>(
        &'a mut self,
        _bytes: &'a mut BytesMut,
    ) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send + 'a>> {
        Box::pin(async { Ok(()) })
    }
}
