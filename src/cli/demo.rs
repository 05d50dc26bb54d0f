//! `towline demo`: a whole cluster on this machine, as child processes of this binary.
//!
//! The processes are the same ones that an operator runs by hand, started with
//! configurations that the demo writes; it adds nothing but the supervisor's part:
//! it waits for readiness, starts again what died, and ends all of it in order.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use comfy_table::{Table, presets};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::net::UnixDatagram;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep, timeout};

use super::cluster_file::{ClusterFile, Process, Role};
use super::layout::{Choices, Layout, Place};
use super::status;

/// Database, user and password: for the demo only.
const DEMO: &str = "demo";

/// How long after its death a child is started again.
const RESTART_AFTER: Duration = Duration::from_secs(2);

/// How long the cluster may take from the first process to an open leader.
const START_WITHIN: Duration = Duration::from_secs(60);

/// How long the cluster is not announced because a process is missing that it can do
/// without.
const COMPLETE_WITHIN: Duration = Duration::from_secs(5);

/// How long a port that the cluster needs may still belong to another process.
const PORTS_WITHIN: Duration = Duration::from_secs(5);

/// How often the children are looked after.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How long a process may take to end by itself after SIGTERM.
const STOP_WITHIN: Duration = Duration::from_secs(15);

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Where everything is kept; starting again in it goes on with its data.
    #[arg(long, value_name = "DIR", default_value = "towline-demo")]
    dir: PathBuf,
    /// How many nodes.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=9))]
    nodes: u16,
    /// The proxy's SQL port. The proxy's HTTP port is the next, then the monitor's peer
    /// and HTTP ports; node i has its SQL port at +10+i and its peer port at +20+i.
    #[arg(long, value_name = "P", default_value_t = 6432, value_parser = clap::value_parser!(u16).range(1..=65500))]
    port: u16,
    /// Whether a process that died is started again.
    #[arg(long, value_enum, default_value_t = Restart::Always)]
    restart: Restart,
    /// When a write counts as committed: async, quorum, "any N", "any N (names)" or
    /// "first N (names)".
    #[arg(long, value_name = "POLICY")]
    policy: Option<crate::cluster::Policy>,
    /// A further key of the nodes' configurations, such as retain_bytes=1000000.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
enum Restart {
    Always,
    Never,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    // One thread: a child that asks to end with its parent ends with the thread
    // that started it.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?;
    runtime.block_on(supervise(arguments))
}

async fn supervise(arguments: &Arguments) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("watching for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("watching for SIGINT")?;
    let dir = &arguments.dir;
    fs::create_dir_all(dir).with_context(|| format!("{}", dir.display()))?;
    let dir = fs::canonicalize(dir).with_context(|| format!("{}", dir.display()))?;
    let _lock = lock(&dir)?;
    let layout = prepare(arguments, &dir)?;
    check_ports(&layout).await?;
    let mut cluster = Cluster::start(&layout, arguments.restart)?;
    let mut announced = false;
    let started = Instant::now();
    let result = loop {
        tokio::select! {
            _ = terminate.recv() => break Ok(()),
            _ = interrupt.recv() => break Ok(()),
            step = cluster.watch() => if let Err(error) = step { break Err(error) },
        }
        if announced {
            continue;
        }
        let missing = cluster.missing();
        let enough = missing.is_empty() || started.elapsed() > COMPLETE_WITHIN;
        if enough && status::leader_is_open(&layout.dir).await {
            announced = true;
            announce(&layout);
            for name in missing {
                eprintln!("{name} does not run; its log says why");
            }
        } else if started.elapsed() > START_WITHIN {
            break Err(anyhow::anyhow!(
                "no leader within {START_WITHIN:?}; the logs are in {}",
                layout.logs().display()
            ));
        }
    };
    cluster.stop().await;
    result
}

/// Makes certificates, configurations and `cluster.json`.
fn prepare(arguments: &Arguments, dir: &Path) -> anyhow::Result<Layout> {
    let nodes: Vec<String> = (1..=arguments.nodes).map(|i| format!("node{i}")).collect();
    if let Some(before) = ClusterFile::read(dir)? {
        let count = before.processes.iter().filter(|p| p.role == Role::Node).count();
        ensure!(
            count == nodes.len(),
            "{} holds a cluster of {count} nodes, and {} were asked for",
            dir.display(),
            nodes.len(),
        );
    }
    let at = |offset: u16| Some(format!("127.0.0.1:{}", arguments.port + offset));
    let place = |name: &str, role: Role| match role {
        Role::Monitor => Place { sql: None, peer: at(2), http: at(3) },
        Role::Proxy => Place { sql: at(0), peer: None, http: at(1) },
        Role::Node => {
            let i = (1..).zip(&nodes).find(|(_, node)| *node == name).map_or(0, |(i, _)| i);
            Place { sql: at(10 + i), peer: at(20 + i), http: None }
        }
    };
    let layout = Layout::new(dir, DEMO, &nodes, &["proxy".to_owned()], &place);
    layout.write_certificates(&[])?;
    let default = if arguments.nodes == 1 { "async" } else { "any 1" };
    let policy = arguments.policy.as_ref().map_or_else(|| default.to_owned(), |p| p.to_string());
    layout.write_configurations(&Choices {
        policy: &policy,
        lines: &|process| match process.role {
            Role::Node => arguments.set.iter().map(|line| format!("{line}\n")).collect(),
            Role::Monitor | Role::Proxy => String::new(),
        },
        priority: &|_| None,
        spares: &[],
    })?;
    layout.file.write(&layout.dir)?;
    Ok(layout)
}

/// Keeps a second demo out of the directory.
fn lock(dir: &Path) -> anyhow::Result<nix::fcntl::Flock<File>> {
    let path = dir.join("lock");
    let file = File::create(&path).with_context(|| format!("{}", path.display()))?;
    nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockExclusiveNonblock).map_err(
        |(_, errno)| match errno {
            nix::errno::Errno::EWOULDBLOCK => {
                anyhow::anyhow!("another demo runs in {}", dir.display())
            }
            errno => anyhow::anyhow!("{}: {errno}", path.display()),
        },
    )
}

/// A port in use is said now, by its owner-to-be, not minutes later in some log. What was
/// killed a moment ago keeps its ports until the kernel has taken it apart.
async fn check_ports(layout: &Layout) -> anyhow::Result<()> {
    let deadline = Instant::now() + PORTS_WITHIN;
    for process in &layout.file.processes {
        for address in [&process.sql, &process.peer, &process.http].into_iter().flatten() {
            while let Err(error) = TcpListener::bind(address) {
                if Instant::now() > deadline {
                    return Err(error).context(format!("{address}, for {}", process.name));
                }
                sleep(LOOK_EVERY).await;
            }
        }
    }
    Ok(())
}

fn announce(layout: &Layout) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["NAME", "ROLE", "SQL", "PEER", "HTTP", "DATA"]);
    for process in &layout.file.processes {
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".into());
        let data = process.data.as_ref().map(|path| path.display().to_string());
        table.add_row([
            process.name.clone(),
            format!("{:?}", process.role).to_lowercase(),
            text(&process.sql),
            text(&process.peer),
            text(&process.http),
            text(&data),
        ]);
    }
    println!("{table}");
    let proxy = layout.file.process(Role::Proxy).and_then(|process| process.sql.clone());
    let proxy = proxy.unwrap_or_default();
    let port = proxy.rsplit(':').next().unwrap_or_default();
    println!("\n  PGPASSWORD={DEMO} psql -h 127.0.0.1 -p {port} -U {DEMO} {DEMO}\n");
    println!("Logs are in {}. Ctrl-C ends all of it.", layout.logs().display());
}

/// The running children.
struct Cluster {
    dir: PathBuf,
    binary: PathBuf,
    file: ClusterFile,
    restart: Restart,
    /// By name.
    children: BTreeMap<String, Supervised>,
}

/// One child, or the place of one that died.
struct Supervised {
    child: Option<Child>,
    /// Where it says that it is ready: a socket as systemd's.
    notify: NotifySocket,
    ready: bool,
    /// When it is started again, if it is dead.
    start_at: Option<Instant>,
}

impl Cluster {
    fn start(layout: &Layout, restart: Restart) -> anyhow::Result<Self> {
        fs::create_dir_all(layout.logs())?;
        let mut cluster = Self {
            dir: layout.dir.clone(),
            binary: std::env::current_exe().context("finding this program's file")?,
            file: layout.file.clone(),
            restart,
            children: BTreeMap::new(),
        };
        for process in layout.file.processes.clone() {
            cluster.spawn(&process)?;
        }
        cluster.record()?;
        Ok(cluster)
    }

    fn spawn(&mut self, process: &Process) -> anyhow::Result<()> {
        let log = self.dir.join("logs").join(format!("{}.log", process.name));
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("{}", log.display()))?;
        let role = format!("{:?}", process.role).to_lowercase();
        let notify = match self.children.remove(&process.name) {
            Some(before) => before.notify,
            None => NotifySocket::bind(&process.name)?,
        };
        let child = Command::new(&self.binary)
            .arg(role)
            .arg("--config")
            .arg(&process.config)
            .arg("--with-parent")
            .env("NOTIFY_SOCKET", &notify.path)
            // Ctrl-C at the terminal is for the demo alone: it ends the children in order.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", process.name))?;
        let supervised = Supervised { child: Some(child), notify, ready: false, start_at: None };
        self.children.insert(process.name.clone(), supervised);
        Ok(())
    }

    /// Writes `cluster.json` with the processes as they are now.
    fn record(&mut self) -> anyhow::Result<()> {
        for process in &mut self.file.processes {
            let child = self.children.get(&process.name).and_then(|s| s.child.as_ref());
            process.pid = child.and_then(Child::id);
        }
        self.file.write(&self.dir)
    }

    /// Who is not ready yet.
    fn missing(&self) -> Vec<&str> {
        let children = self.children.iter().filter(|(_, supervised)| !supervised.ready);
        children.map(|(name, _)| name.as_str()).collect()
    }

    /// Looks after the children once, and deals with what happened to them.
    async fn watch(&mut self) -> anyhow::Result<()> {
        sleep(LOOK_EVERY).await;
        let mut changed = false;
        for process in self.file.processes.clone() {
            let Some(supervised) = self.children.get_mut(&process.name) else { continue };
            supervised.hear();
            if let Some(child) = &mut supervised.child
                && let Some(exit) = child.try_wait()?
            {
                eprintln!("{} ended: {exit}", process.name);
                // The others may do without a node.
                let needed = process.role != Role::Node;
                if needed && !supervised.ready && self.restart == Restart::Never {
                    bail!(
                        "{} did not start; see its log in {}/logs",
                        process.name,
                        self.dir.display()
                    );
                }
                supervised.child = None;
                supervised.ready = false;
                supervised.start_at =
                    (self.restart == Restart::Always).then(|| Instant::now() + RESTART_AFTER);
                changed = true;
            }
            if supervised.start_at.is_some_and(|at| at <= Instant::now()) {
                eprintln!("starting {} again", process.name);
                self.spawn(&process)?;
                changed = true;
            }
        }
        if changed { self.record() } else { Ok(()) }
    }

    /// Ends all children: first who takes statements, then who appoints, then the nodes,
    /// so that nobody promotes a node because another one is being stopped.
    async fn stop(&mut self) {
        for role in [Role::Proxy, Role::Monitor, Role::Node] {
            let mut ending = Vec::new();
            for process in self.file.processes.iter().filter(|process| process.role == role) {
                let child = self.children.get_mut(&process.name).and_then(|s| s.child.take());
                if let Some((child, id)) = child.and_then(|child| child.id().map(|id| (child, id)))
                {
                    let _ = kill(Pid::from_raw(id.cast_signed()), Signal::SIGTERM);
                    ending.push((process.name.clone(), child));
                }
            }
            for (name, mut child) in ending {
                if timeout(STOP_WITHIN, child.wait()).await.is_err() {
                    eprintln!("{name} did not end within {STOP_WITHIN:?}: killed");
                    let _ = child.kill().await;
                }
            }
        }
        if let Err(error) = self.record() {
            eprintln!("{error:#}");
        }
    }
}

impl Supervised {
    /// Reads what the child has told its supervisor.
    fn hear(&mut self) {
        let mut message = [0; 512];
        while let Ok(length) = self.notify.socket.try_recv(&mut message) {
            if message[..length].split(|&byte| byte == b'\n').any(|line| line == b"READY=1") {
                self.ready = true;
            }
        }
    }
}

/// A socket as systemd's `NOTIFY_SOCKET`. It lies in the temporary directory, because
/// the demo's may be too deep for a socket's name.
struct NotifySocket {
    socket: UnixDatagram,
    path: PathBuf,
}

impl NotifySocket {
    fn bind(name: &str) -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("towline-{}-{name}", std::process::id()));
        let _ = fs::remove_file(&path);
        let socket = UnixDatagram::bind(&path).with_context(|| format!("{}", path.display()))?;
        Ok(Self { socket, path })
    }
}

impl Drop for NotifySocket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_second_demo_leaves_the_first_ones_files_as_they_are() {
        let dir = tempfile::tempdir().expect("a directory");
        let _first = lock(dir.path()).expect("locked");
        let arguments = Arguments {
            dir: dir.path().to_owned(),
            nodes: 3,
            port: 1,
            restart: Restart::Never,
            policy: None,
            set: Vec::new(),
        };
        let refused = supervise(&arguments).await.expect_err("another one runs");
        assert!(refused.to_string().starts_with("another demo runs in"), "{refused}");
        let names = fs::read_dir(dir.path()).expect("listed");
        let names: Vec<_> = names.map(|entry| entry.expect("an entry").file_name()).collect();
        assert_eq!(names, ["lock"]);
    }
}
