//! Health and metrics.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::gateway::{GatewayStatus, GatewayWatch};

const CONNECTIONS_MAX: usize = 64;
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves for as long as the process lives.
pub(super) async fn serve(listener: TcpListener, gateway: GatewayWatch) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let permit = Arc::clone(&connections).acquire_owned().await.expect("never closed");
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "can't accept an HTTP connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let gateway = gateway.clone();
        tokio::spawn(async move {
            let service = service_fn(|request: Request<Incoming>| {
                let response = respond(&request, gateway.status());
                async move { Ok::<_, Infallible>(response) }
            });
            let served = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service)
                .await;
            if let Err(error) = served {
                tracing::debug!(%error, "an HTTP connection ended early");
            }
            drop(permit);
        });
    }
}

/// A proxy is healthy while it can reach any node: reads go on without a leader.
fn respond<B>(request: &Request<B>, status: GatewayStatus) -> Response<Full<Bytes>> {
    let (code, kind, body) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/healthz") if status.nodes_up > 0 => {
            (StatusCode::OK, "text/plain", "ok\n".to_owned())
        }
        (&Method::GET, "/healthz") => {
            (StatusCode::SERVICE_UNAVAILABLE, "text/plain", "no node can be reached\n".to_owned())
        }
        (&Method::GET, "/metrics") => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            (StatusCode::OK, kind, metrics(status))
        }
        (&Method::GET, _) => (StatusCode::NOT_FOUND, "text/plain", "not found\n".to_owned()),
        _ => (StatusCode::METHOD_NOT_ALLOWED, "text/plain", "only GET is served\n".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, kind.parse().expect("a legal header"));
    response
}

fn metrics(status: GatewayStatus) -> String {
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
    let mut text = String::new();
    encode(&mut text, &registry).expect("writing to a string never fails");
    text
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    async fn get(method: Method, path: &str, status: GatewayStatus) -> (StatusCode, String) {
        let request = Request::builder().method(method).uri(path).body(()).expect("a request");
        let (head, body) = respond(&request, status).into_parts();
        let body = body.collect().await.expect("a body in memory").to_bytes();
        (head.status, String::from_utf8(body.to_vec()).expect("text"))
    }

    #[tokio::test]
    async fn a_proxy_is_healthy_while_it_reaches_any_node() {
        let mut status = GatewayStatus { nodes: 3, nodes_up: 1, ..GatewayStatus::default() };
        // Reads go on without a leader.
        assert_eq!(get(Method::GET, "/healthz", status).await.0, StatusCode::OK);
        status.nodes_up = 0;
        let (code, _) = get(Method::GET, "/healthz", status).await;
        assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE);
    }

    #[tokio::test]
    async fn metrics_tell_sessions_nodes_and_the_leader() {
        let status = GatewayStatus {
            sessions: 7,
            sessions_max: 100,
            nodes_up: 2,
            nodes: 3,
            has_leader: true,
        };
        let (code, text) = get(Method::GET, "/metrics", status).await;
        assert_eq!(code, StatusCode::OK);
        for line in [
            "towline_proxy_sessions 7",
            "towline_proxy_sessions_max 100",
            "towline_proxy_nodes 3",
            "towline_proxy_nodes_up 2",
            "towline_proxy_has_leader 1",
        ] {
            assert!(text.lines().any(|found| found == line), "no {line:?} in {text}");
        }
        assert!(text.ends_with("# EOF\n"), "{text}");
    }

    #[tokio::test]
    async fn anything_else_is_refused() {
        let status = GatewayStatus::default();
        assert_eq!(get(Method::GET, "/", status).await.0, StatusCode::NOT_FOUND);
        let (code, _) = get(Method::POST, "/healthz", status).await;
        assert_eq!(code, StatusCode::METHOD_NOT_ALLOWED);
    }
}
