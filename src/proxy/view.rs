use std::convert::Infallible;
use std::time::Duration;

use tokio::sync::watch;

use crate::cluster::View;
use crate::net::{Hello, NetError, PeerTls, dial};

const DIAL_TIMEOUT: Duration = Duration::from_secs(2);
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// Follows the view of the monitor, or of the one of several that acts, through every loss
/// of the connection.
pub(super) async fn follow(
    monitors: &[String],
    tls: &PeerTls,
    hello: &Hello,
    silence: Duration,
    tell: &watch::Sender<View>,
) -> Infallible {
    let mut backoff = BACKOFF_MIN;
    // Said once, not at every attempt.
    let mut away = false;
    for monitor in monitors.iter().cycle() {
        let ended = receive(monitor, tls, hello, silence, tell, &mut backoff, &mut away).await;
        if let (Err(error), false) = (&ended, away) {
            away = true;
            tracing::info!(%error, "the monitor can't be reached; going on with what nodes say");
        }
        tokio::time::sleep(backoff).await;
        backoff = (backoff * 2).min(BACKOFF_MAX);
    }
    std::future::pending().await
}

async fn receive(
    monitor: &str,
    tls: &PeerTls,
    hello: &Hello,
    silence: Duration,
    tell: &watch::Sender<View>,
    backoff: &mut Duration,
    away: &mut bool,
) -> Result<(), NetError> {
    let (mut stream, _) = dial(monitor, tls, None, hello, DIAL_TIMEOUT).await?;
    loop {
        let frame = tokio::time::timeout(silence, stream.recv())
            .await
            .map_err(|_| NetError::TimedOut { peer: monitor.to_owned() })??;
        let Some(frame) = frame else { return Ok(()) };
        let view = serde_json::from_slice(&frame).map_err(|error| NetError::Protocol {
            peer: monitor.to_owned(),
            cause: format!("malformed view: {error}"),
        })?;
        *backoff = BACKOFF_MIN;
        *away = false;
        tell.send_if_modified(|known| {
            let news = *known != view;
            *known = view;
            news
        });
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::log::Term;
    use crate::net::{Authority, FrameStream, HelloReply, PeerListener, Purpose};

    const SOON: Duration = Duration::from_secs(10);

    fn tls(directory: &Path, authority: &Authority, name: &str) -> PeerTls {
        let issued = authority.issue(name, &[], (2026, 1, 1), 100).expect("a certificate");
        let file = |suffix: &str| directory.join(format!("{name}.{suffix}"));
        std::fs::write(file("crt"), issued.certificate).expect("written");
        std::fs::write(file("key"), issued.key).expect("written");
        PeerTls::load(&directory.join("ca.crt"), &file("crt"), &file("key")).expect("loads")
    }

    async fn welcome(listener: &mut PeerListener) -> FrameStream {
        let accepted = tokio::time::timeout(SOON, listener.accept()).await.expect("a call");
        let (mut stream, hello, _) = accepted.expect("a proxy");
        assert_eq!(hello.purpose, Purpose::View);
        let name = "monitor".to_owned();
        let reply = HelloReply::Welcome { name, term: Term(1), leader: None };
        stream.answer(&reply).await.expect("sent");
        stream
    }

    async fn send(stream: &mut FrameStream, term: u64) {
        let view = View { term: Term(term), ..View::default() };
        stream.send(&serde_json::to_vec(&view).expect("plain data")).await.expect("sent");
    }

    #[tokio::test]
    async fn views_are_followed_through_silence_nonsense_and_loss() {
        let directory = tempfile::tempdir().expect("a directory");
        let (authority, ca) = Authority::generate((2026, 1, 1), 100).expect("an authority");
        std::fs::write(directory.path().join("ca.crt"), ca.certificate).expect("written");
        let tls = |name| tls(directory.path(), &authority, name);
        let mut listener = PeerListener::bind("127.0.0.1:0", tls("monitor")).await.expect("bound");
        let address = listener.local_address().to_string();
        let (tell, mut views) = watch::channel(View::default());
        let proxy = tls("proxy");
        let hello = Hello {
            version: 1,
            cluster: "test".into(),
            name: "proxy".into(),
            purpose: Purpose::View,
            instance: 0,
        };
        let silence = Duration::from_millis(300);
        let following = tokio::spawn(async move {
            follow(std::slice::from_ref(&address), &proxy, &hello, silence, &tell).await;
        });
        let mut seen = async |term: u64| {
            let seen = views.wait_for(|view| view.term == Term(term));
            tokio::time::timeout(SOON, seen).await.expect("in time").expect("followed");
        };
        let mut first = welcome(&mut listener).await;
        send(&mut first, 1).await;
        seen(1).await;
        send(&mut first, 2).await;
        seen(2).await;
        // A monitor that says nothing is dialled anew, and the last view is kept.
        let mut second = welcome(&mut listener).await;
        seen(2).await;
        second.send(b"no view").await.expect("sent");
        let mut third = welcome(&mut listener).await;
        send(&mut third, 3).await;
        seen(3).await;
        drop(third);
        let mut fourth = welcome(&mut listener).await;
        send(&mut fourth, 4).await;
        seen(4).await;
        following.abort();
    }
}
