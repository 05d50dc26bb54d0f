//! A cluster's directory on one machine: certificates, configurations, `cluster.json`.
//! Whoever starts the processes decides where each listens.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::cluster_file::{ClusterFile, Process, Role};
use super::{certs, password};

/// What lies where in a cluster's directory.
pub(super) struct Layout {
    pub dir: PathBuf,
    pub file: ClusterFile,
}

/// What the configurations say beyond addresses.
pub(super) struct Choices<'a> {
    /// When a write counts as committed.
    pub policy: &'a str,
    /// Lines for one process, to stand before its tables.
    pub lines: &'a dyn Fn(&Process) -> String,
    /// A member's line of priority, where it is not the default.
    pub priority: &'a dyn Fn(&str) -> Option<u32>,
    /// Nodes that are no members in the beginning: only their own configurations list them.
    pub spares: &'a [String],
}

impl Layout {
    /// The processes of a cluster in `dir`: a monitor, nodes and proxies of these names.
    /// `place` gives each its addresses.
    pub(super) fn new(
        dir: &Path,
        login: &str,
        nodes: &[String],
        proxies: &[String],
        place: &dyn Fn(&str, Role) -> Place,
    ) -> Self {
        let process = |name: &str, role: Role| {
            let Place { sql, peer, http } = place(name, role);
            Process {
                name: name.to_owned(),
                role,
                pid: None,
                sql,
                peer,
                http,
                data: (role != Role::Proxy).then(|| dir.join(name)),
                config: dir.join("conf").join(format!("{name}.toml")),
            }
        };
        let mut processes = vec![process("monitor", Role::Monitor)];
        processes.extend(nodes.iter().map(|name| process(name, Role::Node)));
        processes.extend(proxies.iter().map(|name| process(name, Role::Proxy)));
        let text = || login.to_owned();
        let file = ClusterFile { database: text(), user: text(), password: text(), processes };
        Self { dir: dir.to_owned(), file }
    }

    pub(super) fn logs(&self) -> PathBuf {
        self.dir.join("logs")
    }

    /// Makes certificates for every process, clients and tools, unless they are there.
    /// `hosts` are addresses that they are valid for besides this machine's.
    pub(super) fn write_certificates(&self, hosts: &[String]) -> anyhow::Result<()> {
        let dir = self.dir.join("certs");
        if dir.join("admin.crt").exists() {
            return Ok(());
        }
        let mut names: Vec<String> = self.file.processes.iter().map(|p| p.name.clone()).collect();
        // The last one made marks the directory complete.
        names.extend(["sql".to_owned(), "admin".to_owned()]);
        certs::make(&dir, &names, hosts, certs::today(), 10)
    }

    pub(super) fn write_configurations(&self, choices: &Choices<'_>) -> anyhow::Result<()> {
        fs::create_dir_all(self.dir.join("conf"))?;
        let ClusterFile { database, user, password, processes } = &self.file;
        let verifier = password::verifier(password);
        let mut members = Vec::new();
        for node in processes.iter().filter(|p| p.role == Role::Node) {
            let peer = node.peer.as_deref().unwrap_or_default();
            let mut member = format!("\n[[members]]\nname = {:?}\npeer = {peer:?}\n", node.name);
            if let Some(priority) = (choices.priority)(&node.name) {
                member += &format!("priority = {priority}\n");
            }
            members.push((&node.name, member));
        }
        let monitor = self.file.process(Role::Monitor).and_then(|p| p.peer.clone());
        let monitor = format!("monitor = {:?}\n", monitor.unwrap_or_default());
        for process in processes {
            let name = &process.name;
            let mut text = format!("name = {name:?}\ncluster = {database:?}\n");
            let mut key = |key: &str, value: Option<String>| {
                if let Some(value) = value {
                    text += &format!("{key} = {value:?}\n");
                }
            };
            key("data", process.data.as_ref().map(|path| path.display().to_string()));
            key("peer_listen", process.peer.clone());
            key("http_listen", process.http.clone());
            key("policy", (process.role != Role::Proxy).then(|| choices.policy.to_owned()));
            if process.role != Role::Monitor {
                text += &monitor;
            }
            text += &(choices.lines)(process);
            if let Some(listen) = &process.sql {
                text += &format!(
                    "\n[sql]\nlisten = {listen:?}\ndatabase = {database:?}\n\
                     certificate = \"../certs/sql.crt\"\nkey = \"../certs/sql.key\"\n\
                     \n[[sql.users]]\nname = {user:?}\nverifier = {verifier:?}\n"
                );
            }
            text += &format!(
                "\n[tls]\nca = \"../certs/ca.crt\"\n\
                 certificate = \"../certs/{name}.crt\"\nkey = \"../certs/{name}.key\"\n"
            );
            let listed = |member: &String| member == name || !choices.spares.contains(member);
            for (_, member) in members.iter().filter(|(member, _)| listed(member)) {
                text += member;
            }
            fs::write(&process.config, text)
                .with_context(|| format!("{}", process.config.display()))?;
        }
        Ok(())
    }
}

/// Where a process listens.
#[derive(Default)]
pub(super) struct Place {
    pub sql: Option<String>,
    pub peer: Option<String>,
    pub http: Option<String>,
}
