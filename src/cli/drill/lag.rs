//! Nodes are behind.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use nix::sys::signal::Signal;

use super::kill::write_much;
use super::rejoin;
use super::stage::Stage;
use crate::cluster::View;
use crate::routing::route::BOUNDED_LAG_MAX;

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

/// D30: of two followers the longest-serving is cut off while the other acknowledges; then
/// the leader dies and both are there.
pub(super) async fn preferred_behind(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let (leader, followers) = (stage.leader.clone(), stage.followers());
    let (senior, junior) = (&followers[0], &followers[1]);
    stage.kill(junior).await?;
    stage.start(junior)?;
    stage.well().await?;
    // The monitor hears it all the while.
    stage.cut(std::slice::from_ref(senior), &[leader.clone(), junior.clone()])?;
    write_much(stage, 4).await?;
    stage.kill(&leader).await?;
    stage.heal()?;
    let term = stage.term.next();
    let next = stage.new_leader().await?;
    stage.check(next == *senior, format!("{senior} serves for longer than {next}"));
    let events = stage.cluster.events().await?;
    let fetched = events.iter().any(|event| {
        event["rule"] == "18" && event["after"] == "appointing" && event["term"] == term.0
    });
    stage.check(fetched, format!("{senior} did not fetch its tail in term {term}"));
    stage.writes_go_on().await?;
    stage.start(&leader)
}

/// D31: another program holds the lock of a follower's file, for longer than the follower
/// waits for it.
pub(super) async fn apply_stopped(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let follower = stage.followers().remove(0);
    stage.say(format!("sqlite3 locks the file of {follower}"));
    let lock = Lock::take(&rejoin::database(stage, &follower)?)?;
    write_much(stage, BOUNDED_MB).await?;
    let at = |view: &View| view.nodes.iter().find(|node| node.name.as_str() == follower).cloned();
    let is_behind = |view: &View| at(view).is_some_and(|node| node.lag_bytes > BOUNDED_LAG_MAX);
    let view = stage.wait("the follower is behind", is_behind).await?;
    let (node, term) = (at(&view), view.term);
    let holds = node.is_some_and(|node| node.durable > node.applied && node.term == term);
    stage.check(holds, format!("{follower} takes no log while it applies none"));
    // Whoever asks for reads within bounds is served by others.
    let rows = i64::from(BOUNDED_MB) * 100;
    for _ in 0..20 {
        let client = stage.client("proxy").await?;
        client.batch_execute("SET towline.read_level = bounded").await?;
        let seen: i64 = client.query_one("SELECT count(*) FROM bulk", &[]).await?.get(0);
        stage.check(seen >= rows, format!("a bounded read saw {seen} rows of {rows}"));
    }
    stage.writes_go_on().await?;
    stage.writes_all_the_while(LOCK_PATIENCE).await;
    drop(lock);
    stage.say("the lock is gone");
    let is_back = |view: &View| at(view).is_some_and(|node| node.lag_bytes < BOUNDED_LAG_MAX);
    stage.wait("the follower has caught up", is_back).await?;
    stage.same_leader();
    Ok(())
}

/// As long as a node waits for a lock before it says so, and a little more.
const LOCK_PATIENCE: Duration = Duration::from_secs(6);

/// More than a bounded read may miss, megabytes.
const BOUNDED_MB: u32 = 3;

/// `sqlite3` with an open write transaction.
struct Lock(Child);

impl Lock {
    fn take(database: &Path) -> anyhow::Result<Self> {
        let mut child = Command::new("sqlite3")
            .arg(database)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting sqlite3")?;
        let stdin = child.stdin.as_mut().context("sqlite3 reads")?;
        stdin.write_all(b".timeout 10000\nBEGIN IMMEDIATE; SELECT 'held';\n")?;
        stdin.flush()?;
        let mut said = String::new();
        BufReader::new(child.stdout.as_mut().context("sqlite3 writes")?).read_line(&mut said)?;
        let lock = Self(child);
        anyhow::ensure!(said.trim() == "held", "sqlite3 got no lock: {said}");
        Ok(lock)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
