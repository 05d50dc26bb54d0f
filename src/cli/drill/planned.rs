//! What an operator does.

use std::fs;

use anyhow::{Context, bail};
use nix::sys::signal::Signal;
use serde_json::json;
use tokio::time::{sleep, timeout};

use super::cluster::LEASE;
use super::stage::{SOON, Stage};
use crate::cli::certs;
use crate::cli::cluster_file::Role;

/// D42.
pub(super) async fn switchover(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.strike("switchover");
    stage.cluster.switchover(None).await?;
    let leader = stage.new_leader().await?;
    stage.check(leader != stage.leader, "the same node leads");
    stage.writes_go_on().await
}

/// D43: the transaction commits and its row is there, or it fails and its row is not.
pub(super) async fn with_transaction(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let client = stage.client("proxy").await?;
    client.batch_execute("CREATE TABLE IF NOT EXISTS held (round bigint)").await?;
    let round = stage.round;
    client.batch_execute(&format!("BEGIN; INSERT INTO held VALUES ({round})")).await?;
    stage.strike("switchover");
    let handed = stage.cluster.switchover(None).await;
    stage.say(match &handed {
        Ok(()) => "handed over".to_owned(),
        Err(error) => format!("refused: {error:#}"),
    });
    let committed = client.batch_execute("COMMIT").await;
    if let Err(error) = &committed {
        let code = error.code().map(|code| code.code().to_owned()).unwrap_or_default();
        stage.check(code == "40001", format!("the transaction was told {code:?}, not 40001"));
        client.batch_execute("ROLLBACK").await?;
    }
    stage.writes_go_on().await?;
    let there = stage.count(&format!("SELECT count(*) FROM held WHERE round = {round}")).await?;
    // After an error the client ends the block; COMMIT of a cut transaction is a ROLLBACK.
    stage.check(
        there == i64::from(committed.is_ok()),
        format!("committed: {}, and it is there {there} times", committed.is_ok()),
    );
    Ok(())
}

/// D44.
pub(super) async fn to_lagging(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let behind = stage.followers()[0].clone();
    stage.pause(&behind)?;
    sleep(2 * LEASE).await;
    let refused = stage.cluster.switchover(Some(&behind)).await;
    match refused {
        Ok(()) => stage.check(false, format!("{behind} was made leader while it was stopped")),
        Err(error) => stage.say(format!("refused: {error:#}")),
    }
    stage.writes_go_on().await?;
    stage.resume(&behind)?;
    stage.same_leader();
    Ok(())
}

/// D45.
pub(super) async fn twenty(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    for _ in 0..20 {
        stage.strike("switchover");
        stage.cluster.switchover(None).await?;
        stage.writes_go_on().await?;
        stage.well().await?;
    }
    Ok(())
}

/// D46: a follower under maintenance is not chosen, its absence costs nothing; a leader
/// hands over first.
pub(super) async fn maintenance(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let (leader, follower) = (stage.leader.clone(), stage.followers()[0].clone());
    stage.strike(format!("maintenance of {follower}"));
    set_maintenance(stage, &follower, true).await?;
    stage.cluster.terminate(&follower).await?;
    stage.writes_all_the_while(2 * LEASE).await;
    stage.same_leader();
    stage.start(&follower)?;
    set_maintenance(stage, &follower, false).await?;
    stage.well().await?;

    stage.say(format!("maintenance of {leader}"));
    set_maintenance(stage, &leader, true).await?;
    let next = stage.new_leader().await?;
    stage.check(next != leader, "a node under maintenance leads");
    stage.cluster.terminate(&leader).await?;
    stage.writes_all_the_while(LEASE).await;
    stage.start(&leader)?;
    set_maintenance(stage, &leader, false).await?;
    stage.writes_go_on().await
}

async fn set_maintenance(stage: &mut Stage<'_>, node: &str, on: bool) -> anyhow::Result<()> {
    let request = json!({ "request": "maintenance", "node": node, "on": on });
    let answer = stage.cluster.ask(request).await?;
    stage.say(format!("maintenance of {node}: {answer}"));
    Ok(())
}

/// D47: a node joins, one takes a follower's place, and the leader leaves, so that there are
/// as many as before. Who is outside then joins in the next round, as a new machine.
pub(super) async fn members(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let (leader, view) = (stage.leader.clone(), stage.cluster.view());
    let listed = |name: &String| {
        view.iter().flat_map(|view| &view.nodes).any(|node| node.name.as_str() == name)
    };
    let (inside, outside): (Vec<String>, Vec<String>) = stage.nodes().into_iter().partition(listed);
    let replaced = inside.into_iter().find(|node| *node != leader).context("a follower")?;
    let [first, second] = &outside[..] else { bail!("{outside:?} are outside, not two") };
    stage.strike(format!("{first} joins"));
    join(stage, first, None).await?;
    stage.strike(format!("{second} replaces {replaced}"));
    join(stage, second, Some(&replaced)).await?;
    ends(stage, &replaced).await?;
    stage.strike(format!("leader {leader} leaves"));
    let answer = stage.cluster.ask(json!({ "request": "drop", "node": leader })).await?;
    stage.say(format!("{answer}"));
    let next = stage.new_leader().await?;
    stage.check(next != leader, "a node that was dropped leads");
    ends(stage, &leader).await?;
    let view = stage.well().await?;
    let counts = view.nodes.iter().filter(|node| !node.joining).count();
    stage.check(counts == 3, format!("{counts} nodes count, not three"));
    stage.writes_go_on().await
}

/// Starts a node without data and has it join.
async fn join(stage: &mut Stage<'_>, name: &str, replaces: Option<&str>) -> anyhow::Result<()> {
    let process = stage.cluster.process(name)?.clone();
    let data = process.data.context("a data directory")?;
    if data.exists() {
        fs::remove_dir_all(&data)?;
    }
    stage.start(name)?;
    let peer = process.peer.context("a peer address")?;
    let request = json!({ "request": "add", "node": name, "peer": peer, "replaces": replaces });
    let answer = stage.cluster.ask(request).await?;
    stage.say(format!("{answer}"));
    stage.well().await?;
    stage.writes_go_on().await
}

/// Who was dropped ends by itself, in order.
async fn ends(stage: &mut Stage<'_>, name: &str) -> anyhow::Result<()> {
    let exit = stage.cluster.reap(name).await?;
    stage.check(exit.success(), format!("{name}, which was dropped, ended with {exit}"));
    Ok(())
}

/// D48.
pub(super) async fn new_monitor(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let data = stage.cluster.process("monitor")?.data.clone().context("a data directory")?;
    stage.kill("monitor").await?;
    fs::remove_dir_all(&data)?;
    stage.writes_all_the_while(2 * LEASE).await;
    stage.start("monitor")?;
    stage.well().await?;
    stage.same_leader();
    Ok(())
}

/// D49: followers, then the leader, the monitor and the proxy, each when all is well again.
pub(super) async fn rolling(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let mut order = stage.followers();
    order.extend([stage.leader.clone(), "monitor".to_owned()]);
    let mark = stage.load.mark();
    for name in &order {
        stage.strike(format!("SIGTERM to {name}"));
        stage.cluster.terminate(name).await?;
        stage.start(name)?;
        stage.well().await?;
        stage.writes_go_on().await?;
    }
    let failed = stage.load.since(mark).failed;
    let first = failed.first().cloned().unwrap_or_default();
    stage.check(failed.is_empty(), format!("{} writes failed: {first}", failed.len()));
    stage.strike("SIGTERM to proxy");
    stage.cluster.terminate("proxy").await?;
    stage.start("proxy")?;
    stage.writes_go_on().await
}

/// D50.
pub(super) async fn certificates(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let directory = stage.cluster.dir().join("certs");
    let mut names = stage.cluster.everybody();
    names.push("sql".to_owned());
    stage.strike("new certificates for everybody");
    certs::make(&directory, &names, &[], certs::today(), 10)?;
    for name in stage.cluster.everybody() {
        stage.cluster.signal(&name, Signal::SIGHUP)?;
    }
    stage.writes_all_the_while(2 * LEASE).await;
    // Connections made from now on use the new ones.
    let follower = stage.followers()[0].clone();
    stage.cluster.terminate(&follower).await?;
    stage.start(&follower)?;
    stage.well().await?;

    stage.say(format!("{follower} with another authority's certificate"));
    let foreign = stage.cluster.dir().join("foreign");
    certs::make(&foreign, std::slice::from_ref(&follower), &[], certs::today(), 10)?;
    stage.cluster.terminate(&follower).await?;
    let whole = fs::read_to_string(&stage.cluster.process(&follower)?.config)?;
    let changed = whole.replace("\"../certs/node", "\"../foreign/node");
    stage
        .cluster
        .configure(&follower, |_| changed.replace("../certs/ca.crt", "../foreign/ca.crt"))?;
    stage.start(&follower)?;
    sleep(2 * LEASE).await;
    let heard = stage.cluster.view().is_some_and(|view| {
        view.nodes.iter().any(|node| node.name.as_str() == follower && node.healthy)
    });
    stage.check(!heard, "a node with another authority's certificate was let in");
    stage.cluster.terminate(&follower).await?;
    stage.cluster.configure(&follower, |_| whole)?;
    stage.start(&follower)?;
    stage.well().await?;
    stage.same_leader();
    Ok(())
}

/// D51.
pub(super) async fn priorities(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let (leader, chosen) = (stage.leader.clone(), stage.followers()[1].clone());
    let config = stage.cluster.process("monitor")?.config.clone();
    let whole = fs::read_to_string(&config)?;
    let with = |may_lead: Option<&str>| {
        whole
            .lines()
            .flat_map(|line| {
                let node = line.strip_prefix("name = \"node");
                let is_chosen = may_lead.is_some_and(|chosen| line == format!("name = {chosen:?}"));
                let zero = node.is_some() && !is_chosen;
                [Some(line), zero.then_some("priority = 0")].into_iter().flatten()
            })
            .collect::<Vec<_>>()
            .join("\n")
    };
    stage.cluster.terminate("monitor").await?;
    stage.cluster.configure("monitor", |_| with(None))?;
    stage.start("monitor")?;
    let exit = stage.cluster.reap("monitor").await?;
    stage.check(!exit.success(), "a monitor runs that may appoint nobody");
    stage.cluster.configure("monitor", |_| with(Some(&chosen)))?;
    stage.start("monitor")?;
    stage.well().await?;
    stage.kill(&leader).await?;
    let next = stage.new_leader().await?;
    stage.check(next == chosen, format!("{next} leads, and only {chosen} may"));
    stage.writes_go_on().await?;
    stage.start(&leader)?;
    stage.cluster.terminate("monitor").await?;
    stage.cluster.configure("monitor", |_| whole.clone())?;
    stage.start("monitor")
}

/// D52.
pub(super) async fn leader_stopped(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let leader = stage.leader.clone();
    stage.strike(format!("SIGTERM to {leader}"));
    stage.cluster.terminate(&leader).await?;
    let next = stage.new_leader().await?;
    stage.check(next != leader, "a node that does not run leads");
    stage.writes_go_on().await?;
    stage.start(&leader)
}

/// D53.
pub(super) async fn power_cut(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let names = stage.cluster.everybody();
    stage.strike("power is cut");
    for name in &names {
        stage.cluster.signal(name, Signal::SIGKILL)?;
    }
    for name in &names {
        stage.cluster.reap(name).await?;
    }
    for name in &names {
        stage.start(name)?;
    }
    let nodes = stage.cluster.names(Role::Node).len();
    let all = stage.cluster.wait("all are there", SOON, |view| view.nodes.len() == nodes);
    timeout(SOON, all).await??;
    stage.writes_go_on().await
}
