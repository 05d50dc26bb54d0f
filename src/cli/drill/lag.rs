//! Nodes are behind.

use nix::sys::signal::Signal;

use super::kill::write_much;
use super::stage::Stage;
use crate::cluster::View;

/// How far the candidates fall behind: more than the guard allows, megabytes.
const BEHIND_MB: u32 = 24;

/// D29.
pub(super) async fn candidates_behind(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let (leader, followers) = (stage.leader.clone(), stage.followers());
    for follower in &followers {
        stage.say(format!("SIGSTOP to {follower}"));
        stage.cluster.signal(follower, Signal::SIGSTOP)?;
    }
    write_much(stage, BEHIND_MB).await?;
    stage.kill(&leader).await?;
    for follower in &followers {
        stage.resume(follower)?;
    }
    let says = |view: &View| view.blocked.as_ref().is_some_and(|text| text.contains("behind"));
    let view = stage.wait("the monitor says that nobody is near enough", says).await?;
    stage.say(format!("blocked: {}", view.blocked.unwrap_or_default()));
    let answer = stage.accept_loss().await??;
    stage.say(format!("it says: {answer}"));
    stage.writes_go_on().await?;
    stage.start(&leader)
}

/// D30: of two followers the longest-serving is paused while the other acknowledges; then
/// the leader dies and both are there.
pub(super) async fn preferred_behind(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let (leader, followers) = (stage.leader.clone(), stage.followers());
    let behind = &followers[0];
    stage.say(format!("SIGSTOP to {behind}"));
    stage.cluster.signal(behind, Signal::SIGSTOP)?;
    write_much(stage, 4).await?;
    stage.kill(&leader).await?;
    stage.resume(behind)?;
    stage.new_leader().await?;
    stage.writes_go_on().await?;
    stage.start(&leader)
}
