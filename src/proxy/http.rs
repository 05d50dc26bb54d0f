//! Health and metrics.

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;

use crate::gateway::{GatewayStatus, GatewayWatch};
use crate::net::http::{self, Page};

/// Serves for as long as the process lives.
pub(super) async fn serve(listener: TcpListener, gateway: GatewayWatch) {
    http::serve(&listener, move |path| find(path, gateway.status())).await;
}

/// A proxy is healthy while it can reach any node: reads go on without a leader.
fn find(path: &str, status: GatewayStatus) -> Option<Page> {
    match path {
        "/healthz" if status.nodes_up > 0 => Some(Page::health(None)),
        "/healthz" => Some(Page::health(Some("no node can be reached"))),
        "/metrics" => Some(Page::metrics(&metrics(status))),
        _ => None,
    }
}

fn metrics(status: GatewayStatus) -> Registry {
    let mut registry = Registry::with_prefix("towline_proxy");
    let mut gauge = |name: &str, help: &str, value: usize| {
        let gauge = Gauge::<i64>::default();
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        registry.register(name, help, gauge);
    };
    gauge("sessions", "Client sessions", status.sessions);
    gauge("sessions_max", "Client sessions allowed", status.sessions_max);
    gauge("nodes", "Nodes of the cluster", status.nodes);
    gauge("nodes_up", "Nodes that can be reached", status.nodes_up);
    gauge("has_leader", "Whether a leader is known and open", status.has_leader.into());
    registry
}

#[cfg(test)]
mod tests {
    use hyper::StatusCode;

    use super::*;

    #[test]
    fn a_proxy_is_healthy_while_it_reaches_any_node() {
        let health = |nodes_up| {
            // Reads go on without a leader.
            let status = GatewayStatus { nodes: 3, nodes_up, ..GatewayStatus::default() };
            find("/healthz", status).map(|page| page.status)
        };
        assert_eq!(health(1), Some(StatusCode::OK));
        assert_eq!(health(0), Some(StatusCode::SERVICE_UNAVAILABLE));
    }

    #[test]
    fn metrics_tell_sessions_nodes_and_the_leader() {
        let status = GatewayStatus {
            sessions: 7,
            sessions_max: 100,
            nodes_up: 2,
            nodes: 3,
            has_leader: true,
        };
        let text = find("/metrics", status).expect("a page").body;
        for line in [
            "towline_proxy_sessions 7",
            "towline_proxy_sessions_max 100",
            "towline_proxy_nodes 3",
            "towline_proxy_nodes_up 2",
            "towline_proxy_has_leader 1",
        ] {
            assert!(text.lines().any(|found| found == line), "no {line:?} in {text}");
        }
    }
}
