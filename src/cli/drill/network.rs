//! A network of its own for a drill: every process in a namespace with an address of
//! its own, all on one bridge, the drill at its head.
//!
//! A packet from one to another is lost by a neighbour entry that leads nowhere: the
//! sender notices nothing, in that direction only, connections that exist included. That
//! needs no packet filter in the kernel. Delay and loss are netem's, where it exists.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};

/// Where packets go that are to be lost: an address that nobody has.
const NOWHERE: &str = "02:00:00:00:00:00";

/// What all names of interfaces and namespaces begin with, before the owner's pid.
const PREFIX: &str = "tld";

pub(super) struct Network {
    /// `tldPID`: the bridge's name.
    bridge: String,
    /// The first three bytes of all addresses.
    subnet: String,
    /// The last byte of each process's address.
    hosts: BTreeMap<String, u8>,
}

impl Network {
    /// Why there can be no network; `None` if there can.
    pub(super) fn missing() -> Option<String> {
        if !nix::unistd::geteuid().is_root() {
            return Some("network namespaces need root".into());
        }
        let probe = format!("{PREFIX}p{}", std::process::id());
        let made = ip(&["netns", "add", &probe]);
        let _ = ip(&["netns", "del", &probe]);
        made.err().map(|error| format!("network namespaces: {error:#}"))
    }

    /// Why there can be no delay; `None` if there can.
    pub(super) fn netem_missing() -> Option<String> {
        let name = format!("{PREFIX}q{}", std::process::id());
        let tried = ip(&["link", "add", &name, "type", "dummy"])
            .and_then(|()| run("tc", &["qdisc", "add", "dev", &name, "root", "netem"]));
        let _ = ip(&["link", "del", &name]);
        tried.err().map(|_| "the kernel has no netem".into())
    }

    /// Makes the network. What an earlier run, killed, left behind is removed.
    pub(super) fn make(names: &[String]) -> anyhow::Result<Self> {
        sweep();
        let bridge = format!("{PREFIX}{}", std::process::id());
        let subnet = free_subnet()?;
        let hosts = (2..).zip(names).map(|(host, name)| (name.clone(), host)).collect();
        let network = Self { bridge, subnet, hosts };
        network.build()?;
        Ok(network)
    }

    fn build(&self) -> anyhow::Result<()> {
        let Self { bridge, subnet, .. } = self;
        ip(&["link", "add", bridge, "type", "bridge"])?;
        ip(&["addr", "add", &format!("{subnet}.1/24"), "dev", bridge])?;
        ip(&["link", "set", bridge, "up"])?;
        for (name, host) in &self.hosts {
            let (space, port) = (self.space(name), self.port(name));
            ip(&["netns", "add", &space])?;
            ip(&["link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &space])?;
            ip(&["link", "set", &port, "master", bridge, "up"])?;
            let address = format!("{subnet}.{host}/24");
            ip(&["-n", &space, "addr", "add", &address, "dev", "eth0"])?;
            ip(&["-n", &space, "link", "set", "eth0", "up"])?;
            ip(&["-n", &space, "link", "set", "lo", "up"])?;
        }
        Ok(())
    }

    fn host(&self, name: &str) -> u8 {
        self.hosts.get(name).copied().unwrap_or_default()
    }

    fn space(&self, name: &str) -> String {
        format!("{}-{}", self.bridge, self.host(name))
    }

    /// The host's end of a process's cable.
    fn port(&self, name: &str) -> String {
        format!("{}.{}", self.bridge, self.host(name))
    }

    pub(super) fn address(&self, name: &str) -> String {
        format!("{}.{}", self.subnet, self.host(name))
    }

    pub(super) fn addresses(&self) -> Vec<String> {
        self.hosts.keys().map(|name| self.address(name)).collect()
    }

    /// What runs a program in a process's namespace.
    pub(super) fn enter(&self, name: &str) -> Vec<String> {
        ["ip", "netns", "exec", &self.space(name)].map(str::to_owned).to_vec()
    }

    /// Loses what `from` sends to `to` from now on.
    pub(super) fn lose(&self, from: &str, to: &str) -> anyhow::Result<()> {
        let (space, to) = (self.space(from), self.address(to));
        let entry = ["lladdr", NOWHERE, "dev", "eth0", "nud", "permanent"];
        ip(&[&["-n", &space, "neigh", "replace", &to], &entry[..]].concat())
    }

    /// Lets what `from` sends to `to` through again.
    pub(super) fn pass(&self, from: &str, to: &str) -> anyhow::Result<()> {
        let (space, to) = (self.space(from), self.address(to));
        // There may be none.
        let _ = ip(&["-n", &space, "neigh", "del", &to, "dev", "eth0"]);
        Ok(())
    }

    /// Loses what passes between a process and the drill itself, both ways.
    pub(super) fn lose_drill(&self, name: &str) -> anyhow::Result<()> {
        let (space, drill) = (self.space(name), format!("{}.1", self.subnet));
        let nowhere = |dev| ["lladdr", NOWHERE, "dev", dev, "nud", "permanent"];
        ip(&[&["-n", &space, "neigh", "replace", &drill][..], &nowhere("eth0")].concat())?;
        ip(&[&["neigh", "replace", &self.address(name)][..], &nowhere(&self.bridge)].concat())
    }

    /// Lets it through again.
    pub(super) fn pass_drill(&self, name: &str) -> anyhow::Result<()> {
        let (space, drill) = (self.space(name), format!("{}.1", self.subnet));
        ip(&["-n", &space, "neigh", "del", &drill, "dev", "eth0"])?;
        ip(&["neigh", "del", &self.address(name), "dev", &self.bridge])
    }

    /// Everything passes, every cable is in, nothing is delayed.
    pub(super) fn heal(&self) -> anyhow::Result<()> {
        for from in self.hosts.keys() {
            self.plug(from)?;
            let _ = run("tc", &["-n", &self.space(from), "qdisc", "del", "dev", "eth0", "root"]);
            for to in self.hosts.keys().filter(|to| *to != from) {
                self.pass(from, to)?;
            }
        }
        Ok(())
    }

    /// Pulls a process's cable: nobody hears of it again, nor it of anybody.
    pub(super) fn unplug(&self, name: &str) -> anyhow::Result<()> {
        ip(&["link", "set", &self.port(name), "down"])
    }

    pub(super) fn plug(&self, name: &str) -> anyhow::Result<()> {
        ip(&["link", "set", &self.port(name), "up"])
    }

    /// Delays or loses what a process sends, in netem's words.
    pub(super) fn netem(&self, name: &str, words: &[&str]) -> anyhow::Result<()> {
        let space = self.space(name);
        let begin = ["-n", &space, "qdisc", "replace", "dev", "eth0", "root", "netem"];
        run("tc", &[&begin[..], words].concat())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for name in self.hosts.keys() {
            // The cable goes with its namespace.
            let _ = ip(&["link", "del", &self.port(name)]);
            let _ = ip(&["netns", "del", &self.space(name)]);
        }
        let _ = ip(&["link", "del", &self.bridge]);
    }
}

/// Removes the networks of drills that are not there any more.
fn sweep() {
    let Ok(listed) = Command::new("ip").args(["netns", "list"]).output() else { return };
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    for space in listed.lines().filter_map(|line| line.split_whitespace().next()) {
        let owner = space.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-'));
        let Some((pid, _)) = owner else { continue };
        let gone = pid.parse::<u32>().is_ok() && !std::path::Path::new("/proc").join(pid).exists();
        if gone {
            let _ = ip(&["netns", "del", space]);
            let _ = ip(&["link", "del", &format!("{PREFIX}{pid}")]);
        }
    }
}

/// Three bytes of addresses that this machine does not use.
fn free_subnet() -> anyhow::Result<String> {
    for _ in 0..64 {
        let subnet = format!("10.{}.{}", 100 + rand::random::<u8>() % 100, rand::random::<u8>());
        let routes = Command::new("ip").args(["route", "show", &format!("{subnet}.0/24")]).output();
        if routes.context("ip route")?.stdout.is_empty() {
            return Ok(subnet);
        }
    }
    bail!("no free addresses in 10.0.0.0/8")
}

fn ip(words: &[&str]) -> anyhow::Result<()> {
    run("ip", words)
}

fn run(program: &str, words: &[&str]) -> anyhow::Result<()> {
    let output = Command::new(program).args(words).stdin(Stdio::null()).output();
    let output = output.with_context(|| program.to_owned())?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} {}: {}", words.join(" "), said.trim());
    Ok(())
}
