//! `towline node`, `proxy` and `monitor`: read the configuration, run, and tell the
//! supervisor how it goes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;

use anyhow::Context;
use tokio::runtime::{self, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::{self, ConfigError};
use crate::supervisor::Supervisor;
use crate::{monitor, node, proxy, telemetry};

/// One decides, the other lets its driver and its status page be heard meanwhile.
const MONITOR_WORKERS: usize = 2;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The configuration file; `conf/` documents every key.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Check the configuration and end.
    #[arg(long)]
    check: bool,
    /// End when the process that started this one ends.
    #[arg(long, hide = true)]
    with_parent: bool,
}

pub(super) fn node(arguments: &Arguments) -> anyhow::Result<()> {
    let Some(config) = arguments.resolve(config::node)? else { return Ok(()) };
    arguments.run(config.sql.workers, async |supervisor, shutdown| {
        Ok(node::run(config, supervisor, shutdown).await?)
    })
}

pub(super) fn proxy(arguments: &Arguments) -> anyhow::Result<()> {
    let Some(config) = arguments.resolve(config::proxy)? else { return Ok(()) };
    arguments.run(config.sql.workers, async |supervisor, shutdown| {
        Ok(proxy::run(config, supervisor, shutdown).await?)
    })
}

pub(super) fn monitor(arguments: &Arguments) -> anyhow::Result<()> {
    let Some(config) = arguments.resolve(config::monitor)? else { return Ok(()) };
    arguments.run(MONITOR_WORKERS, async |supervisor, shutdown| {
        Ok(monitor::run(config, supervisor, shutdown).await?)
    })
}

impl Arguments {
    /// The resolved configuration, or `None` where a check was all that was asked.
    fn resolve<T>(
        &self,
        resolve: impl FnOnce(&Path, &str) -> Result<T, ConfigError>,
    ) -> anyhow::Result<Option<T>> {
        let file = std::path::absolute(&self.config)
            .with_context(|| format!("{}", self.config.display()))?;
        let text = fs::read_to_string(&file).with_context(|| format!("{}", file.display()))?;
        let config = resolve(&file, &text)?;
        if self.check {
            println!("{}: valid", file.display());
            return Ok(None);
        }
        Ok(Some(config))
    }

    /// Runs a daemon until it ends by itself or SIGTERM or SIGINT asks it to.
    fn run(
        &self,
        workers: usize,
        daemon: impl AsyncFnOnce(Arc<Supervisor>, CancellationToken) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        if self.with_parent {
            die_with_parent()?;
        }
        telemetry::init();
        let runtime = runtime(workers)?;
        let result = runtime.block_on(async {
            let shutdown = CancellationToken::new();
            let supervisor = Arc::new(Supervisor::from_env());
            tokio::spawn(cancel_on_signal(Arc::clone(&supervisor), shutdown.clone())?);
            daemon(supervisor, shutdown).await
        });
        // Blocking threads of abandoned work must not hold up the exit.
        runtime.shutdown_background();
        result
    }
}

fn runtime(workers: usize) -> anyhow::Result<Runtime> {
    runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
        .context("starting the runtime")
}

/// Cancels `shutdown` at the first signal; a second one ends the process at once.
fn cancel_on_signal(
    supervisor: Arc<Supervisor>,
    shutdown: CancellationToken,
) -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate()).context("watching for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("watching for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        supervisor.stopping();
        shutdown.cancel();
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::warn!("second signal: ending at once");
        process::exit(1);
    })
}

fn die_with_parent() -> anyhow::Result<()> {
    let parent = nix::unistd::getppid();
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGTERM)
        .context("asking to end with the parent")?;
    // The parent may have ended before the request was made.
    anyhow::ensure!(parent == nix::unistd::getppid(), "the parent process has ended");
    Ok(())
}
