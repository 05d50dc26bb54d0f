//! Packets are lost.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rand::Rng as _;
use rand::seq::SliceRandom as _;
use tokio::time::{sleep, timeout};

use super::cluster::LEASE;
use super::stage::{SOON, Stage};
use crate::workload::load::Load;

/// How long a client of a node that is cut off is listened to.
const LISTEN: Duration = Duration::from_secs(3);

/// D19: and a client of the old leader is told of no success.
pub(super) async fn leader(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let leader = stage.leader.clone();
    let client = stage.client(&leader).await?;
    client.batch_execute("CREATE TABLE IF NOT EXISTS alone (round bigint)").await?;
    let alone = [leader.clone()];
    let rest = stage.rest(&alone);
    stage.cut(&alone, &rest)?;
    let round = i64::from(stage.round);
    let params: [&(dyn tokio_postgres::types::ToSql + Sync); 1] = [&round];
    let insert = client.execute("INSERT INTO alone VALUES ($1)", &params);
    let answer = timeout(LISTEN, insert).await;
    stage.check(!matches!(answer, Ok(Ok(_))), "the leader acknowledged alone");
    stage.writes_go_on().await?;
    stage.new_leader().await?;
    stage.heal()
}

/// D20: clients of the cut-off proxy wait, and are served when it is whole again.
pub(super) async fn leader_and_proxy(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let there = Load::start(stage.cluster.sql("proxy2")?, "load2", 2, 1).await?;
    there.progress(20, SOON).await.map_err(|error| anyhow::anyhow!(error))?;
    let cut = [stage.leader.clone(), "proxy2".to_owned()];
    let rest = stage.rest(&cut);
    stage.cut(&cut, &rest)?;
    stage.new_leader().await?;
    stage.writes_go_on().await?;
    let before = there.acknowledged();
    stage.writes_all_the_while(2 * LEASE).await;
    stage.check(there.acknowledged() == before, "writes were acknowledged on the cut-off side");
    stage.heal()?;
    let on = there.progress(20, SOON).await;
    stage.check(on.is_ok(), "the proxy that was cut off does not go on");
    let written = there.stop().await;
    let client = stage.client("proxy").await?;
    let rows = client.query("SELECT id FROM load2", &[]).await?;
    let present: BTreeSet<i64> = rows.iter().map(|row| row.get(0)).collect();
    let lost = written.acknowledged.iter().filter(|(id, _)| !present.contains(id)).count();
    stage.check(lost == 0, format!("{lost} rows acknowledged by the cut-off proxy are lost"));
    Ok(())
}

/// D21.
pub(super) async fn monitor_from_leader(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let leader = [stage.leader.clone()];
    stage.cut(&leader, &["monitor".to_owned()])?;
    for _ in 0..4 {
        stage.writes_all_the_while(LEASE).await;
    }
    stage.heal()?;
    stage.well().await?;
    stage.same_leader();
    Ok(())
}

/// D22: writes never stop. A monitor that heard the leader last of all may have begun a
/// term before it noticed that it hears nobody; that one it finishes (rule 2).
pub(super) async fn monitor(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let alone = ["monitor".to_owned()];
    let rest = stage.rest(&alone);
    stage.cut(&alone, &rest)?;
    for _ in 0..4 {
        stage.writes_all_the_while(LEASE).await;
    }
    stage.heal()?;
    let after = stage.well().await?;
    if after.term != stage.term {
        stage.say(format!("the monitor had begun term {}", after.term));
    }
    Ok(())
}

/// D23: what the leader can't commit it must not acknowledge, whoever leads in the end.
pub(super) async fn leader_from_followers(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let leader = [stage.leader.clone()];
    let followers = stage.followers();
    stage.cut(&leader, &followers)?;
    stage.no_writes(2 * LEASE).await;
    stage.heal()?;
    stage.writes_go_on().await
}

/// D24: odd rounds what the leader sends, even rounds what it is sent.
pub(super) async fn one_way(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let leader = [stage.leader.clone()];
    let rest = stage.rest(&leader);
    if stage.round.is_multiple_of(2) {
        stage.cut_one_way(&rest, &leader)?;
    } else {
        stage.cut_one_way(&leader, &rest)?;
    }
    stage.new_leader().await?;
    stage.writes_go_on().await?;
    stage.heal()
}

/// D25.
pub(super) async fn ring(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let nodes = stage.nodes();
    for (i, one) in nodes.iter().enumerate() {
        for (j, other) in nodes.iter().enumerate().skip(i + 1) {
            if j - i != 1 && j - i != nodes.len() - 1 {
                stage.cut(std::slice::from_ref(one), std::slice::from_ref(other))?;
            }
        }
    }
    sleep(5 * LEASE).await;
    stage.heal()?;
    stage.writes_go_on().await
}

/// D26.
pub(super) async fn random(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let until = Instant::now() + stage.soak;
    while Instant::now() < until {
        match rand::rng().random_range(0..4) {
            0 => halves(stage).await?,
            1 => {
                let nodes = stage.nodes();
                let victim = nodes[rand::rng().random_range(0..nodes.len())].clone();
                stage.kill(&victim).await?;
                pause_for(0..3000).await;
                stage.start(&victim)?;
            }
            2 => {
                stage.say("switchover");
                if let Err(error) = stage.cluster.switchover(None).await {
                    // It may not be the moment for one.
                    stage.say(format!("{error:#}"));
                }
            }
            _ => pause_for(0..3000).await,
        }
        stage.writes_go_on().await?;
    }
    Ok(())
}

async fn halves(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let mut names = stage.cluster.everybody();
    names.shuffle(&mut rand::rng());
    let middle = rand::rng().random_range(1..names.len());
    let (one, other) = names.split_at(middle);
    stage.cut(one, other)?;
    pause_for(500..5000).await;
    stage.heal()
}

async fn pause_for(ms: std::ops::Range<u64>) {
    sleep(Duration::from_millis(rand::rng().random_range(ms))).await;
}

/// D27.
pub(super) async fn flapping(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let leader = stage.leader.clone();
    for _ in 0..12 {
        stage.strike(format!("the link of {leader} is down"));
        stage.cluster.network()?.unplug(&leader)?;
        sleep(Duration::from_millis(400)).await;
        stage.say(format!("the link of {leader} is up"));
        stage.cluster.network()?.plug(&leader)?;
        sleep(Duration::from_millis(400)).await;
    }
    stage.writes_go_on().await
}

/// D28: writes take their time and go on.
pub(super) async fn slow(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.strike("250 ms and 1 % of loss on every way out");
    for name in stage.cluster.everybody() {
        stage.cluster.network()?.netem(&name, &["delay", "250ms", "20ms", "loss", "1%"])?;
    }
    sleep(10 * LEASE).await;
    stage.heal()?;
    stage.writes_go_on().await
}
