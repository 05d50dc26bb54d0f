//! Nodes come back.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use rand::Rng as _;
use tokio::time::{sleep, timeout};

use super::cluster::LEASE;
use super::kill::write_much;
use super::stage::{SOON, Stage};

/// D37.
pub(super) async fn unshipped(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let leader = stage.leader.clone();
    die_with_a_tail(stage).await?;
    stage.new_leader().await?;
    stage.writes_go_on().await?;
    stage.start(&leader)?;
    stage.well().await?;
    let saved = saved_tails(stage, &leader)?;
    let found = saved.iter().any(|path| {
        fs::read_to_string(path).is_ok_and(|text| text.contains("INSERT INTO unshipped"))
    });
    stage.check(found, format!("none of {} files has the unshipped rows", saved.len()));
    no_tail(stage).await
}

/// D38: the leader that takes over writes more than is kept.
pub(super) async fn fork_before_retained(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let leader = stage.leader.clone();
    die_with_a_tail(stage).await?;
    stage.new_leader().await?;
    write_much(stage, 4).await?;
    let before = generation(stage, &leader)?;
    stage.start(&leader)?;
    stage.well().await?;
    let after = generation(stage, &leader)?;
    stage.check(after > before, format!("{leader} still has generation {before}: not re-seeded"));
    no_tail(stage).await
}

/// D41.
pub(super) async fn killed_meanwhile(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let leader = stage.leader.clone();
    die_with_a_tail(stage).await?;
    stage.new_leader().await?;
    for attempt in 0..10 {
        if attempt == 5 {
            // From here on what it needs is no longer in the log.
            write_much(stage, 6).await?;
        }
        stage.start(&leader)?;
        sleep(Duration::from_millis(rand::rng().random_range(10..600))).await;
        stage.kill(&leader).await?;
    }
    stage.start(&leader)?;
    stage.well().await?;
    no_tail(stage).await
}

/// The leader dies with a thousand rows in its log that nobody else has. The followers are
/// dead when they are written: a stopped one would find them in its socket. The proxy is
/// dead too: a write of the load, or a transaction that it left open, would be before them.
async fn die_with_a_tail(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let (leader, followers) = (stage.leader.clone(), stage.followers());
    let client = stage.client(&leader).await?;
    client.batch_execute("CREATE TABLE IF NOT EXISTS unshipped (round bigint, i bigint)").await?;
    stage.kill("proxy").await?;
    // What was on its way is through, or was not begun.
    sleep(LEASE / 4).await;
    for follower in &followers {
        stage.kill(follower).await?;
    }
    let insert =
        format!("INSERT INTO unshipped SELECT {}, g FROM generate_series(1, 1000) g", stage.round);
    let answer = timeout(LEASE / 2, client.batch_execute(&insert)).await;
    stage.check(!matches!(answer, Ok(Ok(()))), "the leader acknowledged what it alone has");
    stage.kill(&leader).await?;
    for follower in &followers {
        stage.start(follower)?;
    }
    stage.start("proxy")
}

async fn no_tail(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let left = stage.count("SELECT count(*) FROM unshipped").await?;
    stage.check(left == 0, format!("{left} unshipped rows are there"));
    Ok(())
}

fn data(stage: &Stage<'_>, node: &str) -> anyhow::Result<PathBuf> {
    stage.cluster.process(node)?.data.clone().context("a data directory")
}

fn saved_tails(stage: &Stage<'_>, node: &str) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(data(stage, node)?.join("diverged")).into_iter().flatten();
    Ok(entries.flatten().map(|entry| entry.path()).collect())
}

/// The number of the newest generation of a node's databases.
fn generation(stage: &Stage<'_>, node: &str) -> anyhow::Result<u64> {
    let entries = fs::read_dir(data(stage, node)?)?.flatten();
    let numbers = entries.filter_map(|entry| {
        entry.file_name().to_string_lossy().strip_prefix("gen-").and_then(|n| n.parse().ok())
    });
    Ok(numbers.max().unwrap_or_default())
}

/// The SQLite file that a node uses.
pub(super) fn database(stage: &Stage<'_>, node: &str) -> anyhow::Result<PathBuf> {
    let generation = data(stage, node)?.join(format!("gen-{}", generation(stage, node)?));
    let mut files = fs::read_dir(&generation)?.flatten().map(|entry| entry.path());
    let database = files.find(|path| path.extension().is_some_and(|ending| ending == "db"));
    database.with_context(|| format!("{} holds no database", generation.display()))
}

/// D40.
pub(super) async fn strangers(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let follower = stage.followers()[0].clone();
    let config = stage.cluster.process(&follower)?.config.clone();
    let data = data(stage, &follower)?;
    let text = fs::read_to_string(&config)?;
    let write = |name: &str, text: &str| -> anyhow::Result<PathBuf> {
        let path = config.with_file_name(name);
        fs::write(&path, text)?;
        Ok(path)
    };
    let elsewhere = stage.cluster.dir().join("elsewhere");
    let moved = text.replace(&data.display().to_string(), &elsewhere.display().to_string());

    stage.say(format!("a second {follower}, in the same directory"));
    let mut second = stage.cluster.launch(&follower, &config)?;
    let exit = timeout(SOON, second.wait()).await.context("the second one lives")??;
    stage.check(!exit.success(), "two processes run in one directory");
    stage.same_leader();

    stage.cluster.terminate(&follower).await?;
    let foreign = text.replacen("cluster = ", "cluster = \"foreign\" # ", 1);
    stage.say("a node of another cluster, in this one's directory");
    let mut stranger = stage.cluster.launch(&follower, &write("foreign.toml", &foreign)?)?;
    let exit = timeout(SOON, stranger.wait()).await.context("the stranger lives")??;
    stage.check(!exit.success(), "a node took another cluster's directory");

    stage.say("a node of another cluster, in this one's place");
    let foreign = moved.replacen("cluster = ", "cluster = \"foreign\" # ", 1);
    let mut stranger = stage.cluster.launch(&follower, &write("foreign.toml", &foreign)?)?;
    sleep(2 * LEASE).await;
    let heard = stage.cluster.view().is_some_and(|view| {
        view.nodes.iter().any(|node| node.name.as_str() == follower && node.healthy)
    });
    stage.check(!heard, "a node of another cluster was let in");
    stranger.kill().await?;
    remove(&elsewhere)?;

    stage.say(format!("{follower} from an old backup"));
    let backup = stage.cluster.dir().join("backup");
    copy(&data, &backup)?;
    stage.start(&follower)?;
    stage.well().await?;
    stage.writes_go_on().await?;
    stage.cluster.terminate(&follower).await?;
    remove(&data)?;
    fs::rename(&backup, &data)?;
    stage.start(&follower)?;
    stage.well().await?;
    stage.same_leader();
    Ok(())
}

fn remove(directory: &Path) -> anyhow::Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory).with_context(|| format!("{}", directory.display()))?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
