//! A proxy: the gateway without a node of its own. It keeps nothing: a proxy that is
//! killed loses its clients' connections and no acknowledged write.
//!
//! Four tasks: the gateway, the follower of the monitor's view, a small HTTP server for
//! health and metrics, and one that reads certificates again on SIGHUP. When the monitor is away the gateway goes on with
//! what nodes say.

mod http;
mod view;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::cluster::View;
use crate::config::ProxyConfig;
use crate::gateway::{Gateway, GatewayConfig, GatewayError, NoNode};
use crate::net::{Hello, NetError, PeerTls, Purpose, bind_tcp};
use crate::supervisor::Supervisor;

/// The shortest silence of the monitor after which its view is asked for anew.
const SILENCE_MIN: Duration = Duration::from_secs(3);

/// A proxy could not start.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    #[error(transparent)]
    Net(#[from] NetError),
    #[error(transparent)]
    Gateway(#[from] GatewayError),
}

/// Runs a proxy until `shutdown`, and tells `supervisor` once it listens.
///
/// # Errors
/// When it can't listen, or its certificates or users can't be read.
pub async fn run(
    config: ProxyConfig,
    supervisor: Arc<Supervisor>,
    shutdown: CancellationToken,
) -> Result<(), ProxyError> {
    let tls = PeerTls::load(&config.tls.ca, &config.tls.certificate, &config.tls.key)?;
    let hello = Hello {
        version: 1,
        cluster: config.cluster.clone(),
        name: config.name.clone(),
        purpose: Purpose::View,
        instance: 0,
    };
    let (tell, views) = watch::channel(View::default());
    let silence = (config.timing.heartbeat * 10).max(SILENCE_MIN);
    let gateway = GatewayConfig {
        sql: config.sql,
        cluster: config.cluster,
        name: config.name,
        nodes: config.nodes,
        tls: tls.clone(),
        leader_wait: config.leader_wait,
    };
    let gateway = Gateway::<NoNode>::bind(gateway, None).await?;
    let page = match &config.http_listen {
        Some(address) => Some(bind_tcp(address).await?),
        None => None,
    };
    tracing::info!(sql = %gateway.local_address(), "listening");
    let _page = page.map(|listener| {
        AbortOnDropHandle::new(tokio::spawn(http::serve(listener, gateway.watch())))
    });
    let _reloading =
        AbortOnDropHandle::new(tokio::spawn(tls.clone().reload_on_hangup(gateway.reloader())));
    let monitors = config.monitors;
    let _view = (!monitors.is_empty()).then(|| {
        AbortOnDropHandle::new(tokio::spawn(async move {
            let never: Infallible = view::follow(&monitors, &tls, &hello, silence, &tell).await;
            match never {}
        }))
    });
    supervisor.ready();
    tokio::select! {
        () = gateway.run(views, shutdown) => {}
        () = supervisor.keep_beating() => {}
    }
    Ok(())
}
