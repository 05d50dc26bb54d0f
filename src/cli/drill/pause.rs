//! Processes stop and go on.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::cluster::LEASE;
use super::stage::{ANSWER, Stage};

/// D13: what waits in the leader's sockets is refused, forwarded or unknown, and is there
/// at most once.
pub(super) async fn leader(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let leader = stage.leader.clone();
    let client = stage.client(&leader).await?;
    client.batch_execute("CREATE TABLE IF NOT EXISTS waiting (round bigint)").await?;
    let round = i64::from(stage.round);
    stage.pause(&leader)?;
    let insert =
        tokio::spawn(
            async move { client.execute("INSERT INTO waiting VALUES ($1)", &[&round]).await },
        );
    sleep(2 * LEASE).await;
    stage.resume(&leader)?;
    stage.new_leader().await?;
    let answer = timeout(ANSWER, insert).await;
    stage.check(answer.is_ok(), "a client of the paused leader got no answer");
    stage.writes_go_on().await?;
    let there = stage.count(&format!("SELECT count(*) FROM waiting WHERE round = {round}")).await?;
    let said = matches!(answer, Ok(Ok(Ok(_))));
    stage.check(
        if said { there == 1 } else { there <= 1 },
        format!("acknowledged: {said}, and it is there {there} times"),
    );
    Ok(())
}

/// D15.
pub(super) async fn monitor(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.pause("monitor")?;
    for _ in 0..3 {
        stage.writes_all_the_while(LEASE).await;
    }
    stage.resume("monitor")?;
    sleep(2 * LEASE).await;
    stage.well().await?;
    stage.same_leader();
    Ok(())
}

/// D16.
pub(super) async fn followers(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let followers = stage.followers();
    stage.pause(&followers[0])?;
    stage.writes_all_the_while(2 * LEASE).await;
    stage.pause(&followers[1])?;
    stage.no_writes(2 * LEASE).await;
    stage.resume(&followers[0])?;
    stage.writes_go_on().await?;
    stage.resume(&followers[1])
}

/// D17.
pub(super) async fn proxy(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let leader = stage.leader.clone();
    let client = stage.client("proxy").await?;
    client.batch_execute("CREATE TABLE IF NOT EXISTS waiting (round bigint)").await?;
    let round = i64::from(stage.round);
    stage.pause("proxy")?;
    stage.kill(&leader).await?;
    let insert =
        tokio::spawn(
            async move { client.execute("INSERT INTO waiting VALUES ($1)", &[&round]).await },
        );
    stage.new_leader().await?;
    sleep(2 * LEASE).await;
    stage.resume("proxy")?;
    let answer = timeout(ANSWER, insert).await;
    stage.check(answer.is_ok(), "a client of the paused proxy got no answer");
    stage.writes_go_on().await?;
    let there = stage.count(&format!("SELECT count(*) FROM waiting WHERE round = {round}")).await?;
    let said = matches!(answer, Ok(Ok(Ok(_))));
    stage.check(
        if said { there == 1 } else { there <= 1 },
        format!("acknowledged: {said}, and it is there {there} times"),
    );
    stage.start(&leader)
}

/// D18.
pub(super) async fn stall(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let leader = stage.leader.clone();
    stage.pause(&leader)?;
    sleep(Duration::from_millis(300)).await;
    stage.resume(&leader)?;
    stage.writes_go_on().await?;
    sleep(LEASE).await;
    stage.same_leader();
    Ok(())
}
