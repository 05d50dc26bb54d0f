//! The status page, health and metrics.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::driver::Outlook;
use super::events::EventLog;
use crate::net::http::{self, Page};

/// Events shown on the page.
const EVENTS_SHOWN: usize = 50;

/// Serves the page, if there is to be one, for as long as this is awaited.
pub(super) async fn serve(
    listener: Option<&TcpListener>,
    outlook: watch::Receiver<Outlook>,
    events: Arc<EventLog>,
) -> Infallible {
    let Some(listener) = listener else { return std::future::pending().await };
    http::serve(listener, move |path| find(path, &outlook.borrow(), &events)).await
}

fn find(path: &str, outlook: &Outlook, events: &EventLog) -> Option<Page> {
    match path {
        "/" => Some(Page::html(page(outlook, events))),
        "/healthz" => Some(Page::health(None)),
        "/metrics" => Some(Page::metrics(&metrics(outlook))),
        _ => None,
    }
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct OfNode {
    node: String,
}

fn metrics(outlook: &Outlook) -> Registry {
    let view = &outlook.view;
    let mut registry = Registry::with_prefix("towline");
    let term = Gauge::<i64>::default();
    term.set(signed(view.term.0));
    registry.register("term", "Newest recorded term", term);
    let open = Gauge::<i64>::default();
    open.set(view.open.into());
    registry.register("leader_open", "Whether a leader is open for writes", open);
    let blocked = Gauge::<i64>::default();
    blocked.set(view.blocked.is_some().into());
    registry.register("blocked", "Whether something waits for an operator or a node", blocked);
    let [healthy, leads, applied, lag] = [(); 4].map(|()| Family::<OfNode, Gauge>::default());
    for node in &view.nodes {
        let of = OfNode { node: node.name.to_string() };
        healthy.get_or_create(&of).set(node.healthy.into());
        leads.get_or_create(&of).set((view.leader.as_ref() == Some(&node.name)).into());
        applied.get_or_create(&of).set(signed(node.applied.0));
        lag.get_or_create(&of).set(signed(node.lag_bytes));
    }
    registry.register("node_healthy", "Whether the node was heard lately", healthy);
    registry.register("node_leads", "Whether the node is the leader", leads);
    registry.register("node_applied_lsn", "LSN up to which the node has applied the log", applied);
    registry.register("node_lag_bytes", "Log that the node has yet to apply", lag);
    registry
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn page(outlook: &Outlook, events: &EventLog) -> String {
    let Outlook { view, phase, .. } = outlook;
    let mut page = String::from(concat!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=refresh content=2>",
        "<title>Towline</title><style>body{font:15px system-ui,sans-serif;margin:2em}",
        "table{border-collapse:collapse}td,th{padding:.3em .8em;text-align:left;",
        "border-bottom:1px solid #ccc}.bad{color:#b00}</style><h1>Towline</h1>",
    ));
    let leader = view.leader.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string);
    let open = if view.open { "open" } else { "not open" };
    let policy = view.policy.as_ref().map_or_else(String::new, |policy| policy.to_string());
    let _ =
        write!(page, "<p>Term {}, leader {leader} ({open}), policy {policy}, {phase}.", view.term);
    if let Some(blocked) = &view.blocked {
        let _ = write!(page, "<p class=bad>{}", Escaped(blocked));
    }
    page.push_str("<table><tr><th>node<th>role<th>state<th>term<th>durable<th>commit<th>applied<th>lag<th>reason");
    for node in &view.nodes {
        let (class, state) = if node.healthy { ("", "healthy") } else { (" class=bad", "away") };
        let _ = write!(
            page,
            "<tr><td>{}<td>{:?}<td{class}>{state}<td>{}<td>{}<td>{}<td>{}<td>{} B<td>{}",
            node.name,
            node.role,
            node.term,
            node.durable,
            node.commit,
            node.applied,
            node.lag_bytes,
            Escaped(&node.reason)
        );
    }
    page.push_str("</table><h2>Events</h2><table><tr><th>time<th>rule<th>term<th>phase<th>reason");
    for happened in events.recent(EVENTS_SHOWN).iter().rev() {
        let event = &happened.event;
        let _ = write!(
            page,
            "<tr><td>{:.3}<td title=\"{}\">{}<td>{}<td>{} → {}<td>{}",
            happened.time,
            Escaped(happened.sentence),
            event.rule,
            event.term,
            event.before,
            event.after,
            Escaped(&event.reason)
        );
    }
    page.push_str("</table>");
    page
}

/// Text from outside, harmless in HTML.
struct Escaped<'a>(&'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}
