//! Logs: where they go and how they look.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Sends events to standard error: readable at a terminal and under systemd,
/// JSON lines with `TOWLINE_LOG_FORMAT=json`. `TOWLINE_LOG` filters them
/// (default `info`).
pub fn init() {
    let filter = EnvFilter::try_from_env("TOWLINE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false);
    let json = std::env::var("TOWLINE_LOG_FORMAT").is_ok_and(|format| format == "json");
    // A second call (tests in one process) keeps the first subscriber.
    let _ = if json {
        builder.json().try_init()
    } else {
        builder.with_ansi(std::io::stderr().is_terminal()).try_init()
    };
}
