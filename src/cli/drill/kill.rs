//! Processes die.

use std::time::Duration;

use serde_json::json;

use super::cluster::LEASE;
use super::stage::{SOON, Stage};
use crate::cli::cluster_file::Role;

/// D1.
pub(super) async fn leader(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let leader = stage.leader.clone();
    stage.kill(&leader).await?;
    stage.writes_go_on().await?;
    let next = stage.new_leader().await?;
    stage.check(next != leader, "a node that does not run leads");
    stage.start(&leader)
}

/// D2: whoever leads afterwards, it is not in the old term.
pub(super) async fn restarted(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let leader = stage.leader.clone();
    stage.kill(&leader).await?;
    stage.start(&leader)?;
    stage.new_leader().await.map(drop)
}

/// D3.
pub(super) async fn cannot_start(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let leader = stage.leader.clone();
    let config = stage.cluster.process(&leader)?.config.clone();
    let whole = std::fs::read_to_string(&config)?;
    std::fs::write(&config, format!("no-such-key = 1\n{whole}"))?;
    stage.kill(&leader).await?;
    for _ in 0..3 {
        stage.start(&leader)?;
        let exit = stage.cluster.reap(&leader).await?;
        stage.check(!exit.success(), "a process with a wrong configuration ended well");
    }
    let next = stage.new_leader().await?;
    stage.check(next != leader, "a node that does not run leads");
    stage.writes_go_on().await?;
    std::fs::write(&config, whole)?;
    stage.start(&leader)
}

/// D4.
pub(super) async fn host_gone(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let leader = stage.leader.clone();
    stage.strike(format!("the host of {leader} is gone"));
    stage.cluster.network()?.unplug(&leader)?;
    stage.kill(&leader).await?;
    stage.writes_go_on().await?;
    stage.new_leader().await?;
    stage.cluster.network()?.plug(&leader)?;
    stage.start(&leader)
}

/// D5.
pub(super) async fn follower(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let follower = stage.followers()[stage.round as usize % 2].clone();
    stage.kill(&follower).await?;
    stage.writes_all_the_while(2 * LEASE).await;
    stage.same_leader();
    stage.start(&follower)
}

/// D6.
pub(super) async fn monitor(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.kill("monitor").await?;
    for _ in 0..3 {
        stage.writes_all_the_while(LEASE).await;
    }
    stage.start("monitor")?;
    stage.well().await?;
    stage.same_leader();
    Ok(())
}

/// D7.
pub(super) async fn proxy(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let client = stage.client("proxy").await?;
    client.batch_execute("CREATE TABLE IF NOT EXISTS half (round bigint)").await?;
    client.batch_execute(&format!("BEGIN; INSERT INTO half VALUES ({})", stage.round)).await?;
    stage.kill("proxy").await?;
    let told = client.batch_execute("COMMIT").await;
    stage.check(told.is_err(), "a dead proxy acknowledged a COMMIT");
    stage.start("proxy")?;
    stage.writes_go_on().await?;
    let left = stage.count("SELECT count(*) FROM half").await?;
    stage.check(left == 0, "an uncommitted row is there");
    stage.same_leader();
    Ok(())
}

/// D8: with one of three nodes nothing can be decided; with either of the two back it goes
/// on.
pub(super) async fn two_leaders(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let first = stage.leader.clone();
    stage.kill(&first).await?;
    let second = stage.new_leader().await?;
    stage.writes_go_on().await?;
    stage.kill(&second).await?;
    let sentence = stage.blocked().await?;
    stage.check(
        sentence.contains(&first) || sentence.contains(&second),
        format!("{sentence:?} names nobody who is missing"),
    );
    let mut back = [first, second];
    if stage.round.is_multiple_of(2) {
        back.reverse();
    }
    stage.start(&back[0])?;
    stage.writes_go_on().await?;
    stage.start(&back[1])
}

/// D9.
pub(super) async fn leader_and_follower(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let leader = stage.leader.clone();
    let followers = stage.followers();
    stage.kill(&leader).await?;
    stage.kill(&followers[0]).await?;
    stage.blocked().await?;
    stage.no_writes(2 * LEASE).await;
    let refusal = stage.cluster.ask(json!({ "request": "failover" })).await;
    let says = match refusal {
        Ok(answer) => answer.to_string(),
        Err(error) => format!("{error:#}"),
    };
    stage.say(format!("failover says: {says}"));
    stage.check(says.contains(&leader) || says.contains(&followers[0]), "nobody missing is named");
    let accepted = stage.accept_loss();
    stage
        .wait("the survivor leads", |view| {
            view.leader.as_ref().is_some_and(|leader| leader.as_str() == followers[1])
        })
        .await?;
    stage.start(&followers[0])?;
    let answer = accepted.await??;
    stage.say(format!("it says: {answer}"));
    stage.writes_go_on().await?;
    stage.start(&leader)
}

/// D10: five nodes, so that two may be missing.
pub(super) async fn promoted(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let (first, term) = (stage.leader.clone(), stage.term);
    stage.kill(&first).await?;
    let view = stage
        .wait("somebody is appointed", |view| view.term > term && view.leader.is_some())
        .await?;
    let second = view.leader.map(|leader| leader.to_string()).unwrap_or_default();
    stage.kill(&second).await?;
    let promoted = view.term;
    stage.wait("a third leader is open", |view| view.open && view.term > promoted).await?;
    stage.writes_go_on().await?;
    stage.start(&first)?;
    stage.start(&second)
}

/// D11.
pub(super) async fn source(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let (leader, behind) = (stage.leader.clone(), stage.followers()[0].clone());
    stage.cluster.kill(&behind).await?;
    stage.say(format!("{behind} is down while much is written"));
    write_much(stage, 20).await?;
    stage.start(&behind)?;
    stage.kill(&leader).await?;
    stage.new_leader().await?;
    stage.writes_go_on().await?;
    stage.start(&leader)
}

/// Writes `megabytes` through the proxy.
pub(super) async fn write_much(stage: &mut Stage<'_>, megabytes: u32) -> anyhow::Result<()> {
    let client = stage.client("proxy").await?;
    client.batch_execute("CREATE TABLE IF NOT EXISTS bulk (id bigint, text text)").await?;
    for _ in 0..megabytes {
        // A row change a row: statements would ship as their text.
        let rows =
            "INSERT INTO bulk SELECT g, repeat(md5($1::text), 32) FROM generate_series(1, 10) g";
        for part in 0..10_i32 {
            // Its text is long, so that the log grows as much as the table.
            let text = format!("{}{part}", "x".repeat(100_000));
            client.execute(rows, &[&text]).await?;
        }
    }
    Ok(())
}

/// D12: three orders.
pub(super) async fn all(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let mut names = stage.cluster.names(Role::Node);
    let rotated = stage.round as usize % names.len();
    names.rotate_left(rotated);
    match stage.round % 3 {
        0 => names.extend(["monitor".to_owned(), "proxy".to_owned()]),
        1 => names.splice(0..0, ["monitor".to_owned(), "proxy".to_owned()]).for_each(drop),
        _ => names.splice(1..1, ["proxy".to_owned(), "monitor".to_owned()]).for_each(drop),
    }
    for name in &names {
        stage.strike(format!("SIGKILL to {name}"));
        stage.cluster.signal(name, nix::sys::signal::Signal::SIGKILL)?;
    }
    for name in &names {
        stage.cluster.reap(name).await?;
    }
    for name in &names {
        stage.start(name)?;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    stage.load.progress(50, SOON).await.map_err(|error| anyhow::anyhow!(error))
}
