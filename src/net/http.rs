//! Pages over plain HTTP, for people, health checks and Prometheus: GET only, one
//! request a connection.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Connections at most.
const CONNECTIONS_MAX: usize = 64;
/// Time to send a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

const TEXT: &str = "text/plain";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What is found at a path.
#[derive(Debug)]
pub struct Page {
    pub status: StatusCode,
    kind: &'static str,
    pub body: String,
}

impl Page {
    pub fn html(body: String) -> Self {
        Self { status: StatusCode::OK, kind: "text/html; charset=utf-8", body }
    }

    /// Whether all is well, or what is not.
    pub fn health(ill: Option<&str>) -> Self {
        match ill {
            None => Self::text(StatusCode::OK, "ok"),
            Some(reason) => Self::text(StatusCode::SERVICE_UNAVAILABLE, reason),
        }
    }

    pub fn metrics(registry: &Registry) -> Self {
        let mut body = String::new();
        encode(&mut body, registry).expect("writing to a string never fails");
        Self { status: StatusCode::OK, kind: OPEN_METRICS, body }
    }

    fn text(status: StatusCode, line: &str) -> Self {
        Self { status, kind: TEXT, body: format!("{line}\n") }
    }

    fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from(self.body)));
        *response.status_mut() = self.status;
        let kind = self.kind.parse().expect("a legal header");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        response
    }
}

/// Serves what `find` finds at a path, for as long as this is awaited.
pub async fn serve<F>(listener: &TcpListener, find: F) -> Infallible
where
    F: Fn(&str) -> Option<Page> + Clone + Send + Sync + 'static,
{
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
        let find = find.clone();
        tokio::spawn(async move {
            let service = service_fn(|request: Request<Incoming>| {
                let page = answer(request.method(), request.uri().path(), &find);
                async move { Ok::<_, Infallible>(page.into_response()) }
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

fn answer(method: &Method, path: &str, find: impl Fn(&str) -> Option<Page>) -> Page {
    if method != Method::GET {
        return Page::text(StatusCode::METHOD_NOT_ALLOWED, "only GET is served");
    }
    find(path).unwrap_or_else(|| Page::text(StatusCode::NOT_FOUND, "not found"))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio::task::AbortHandle;

    use super::*;

    async fn asked(request: &str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let find = |path: &str| match path {
            "/well" => Some(Page::health(None)),
            "/ill" => Some(Page::health(Some("no node can be reached"))),
            _ => None,
        };
        let server = tokio::spawn(async move { serve(&listener, find).await });
        let _end = Ended(server.abort_handle());
        let mut stream = TcpStream::connect(address).await.expect("connects");
        let request = format!("{request} HTTP/1.1\r\nHost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("answered, and closed");
        answer
    }

    struct Ended(AbortHandle);

    impl Drop for Ended {
        fn drop(&mut self) {
            self.0.abort();
        }
    }

    #[tokio::test]
    async fn a_page_or_what_is_wrong_is_answered() {
        for (request, status, body) in [
            ("GET /well", "200 OK", "\r\n\r\nok\n"),
            ("GET /ill", "503 Service Unavailable", "\r\n\r\nno node can be reached\n"),
            ("GET /other", "404 Not Found", "\r\n\r\nnot found\n"),
            ("POST /well", "405 Method Not Allowed", "\r\n\r\nonly GET is served\n"),
        ] {
            let answer = asked(request).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{request}: {answer}");
            assert!(answer.ends_with(body), "{request}: {answer}");
        }
    }

    #[test]
    fn metrics_are_written_as_open_metrics() {
        let page = Page::metrics(&Registry::with_prefix("towline"));
        assert_eq!((page.kind, page.body.as_str()), (OPEN_METRICS, "# EOF\n"));
    }
}
