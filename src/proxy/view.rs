use std::convert::Infallible;
use std::time::Duration;

use tokio::sync::watch;

use crate::cluster::View;
use crate::net::{Hello, NetError, PeerTls, dial};

const DIAL_TIMEOUT: Duration = Duration::from_secs(2);
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// Follows the monitor's view, through every loss of the connection.
pub(super) async fn follow(
    monitor: &str,
    tls: &PeerTls,
    hello: &Hello,
    silence: Duration,
    tell: &watch::Sender<View>,
) -> Infallible {
    let mut backoff = BACKOFF_MIN;
    // Said once, not at every attempt.
    let mut away = false;
    loop {
        let ended = receive(monitor, tls, hello, silence, tell, &mut backoff, &mut away).await;
        if let (Err(error), false) = (&ended, away) {
            away = true;
            tracing::info!(%error, "the monitor can't be reached; going on with what nodes say");
        }
        tokio::time::sleep(backoff).await;
        backoff = (backoff * 2).min(BACKOFF_MAX);
    }
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
