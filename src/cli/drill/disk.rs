//! Disks and clocks.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use super::cluster::LEASE;
use super::stage::{SOON, Stage};

/// How long every fsync takes longer, microseconds.
const SLOW_US: u32 = 2_000_000;

/// D32.
pub(super) async fn slow_leader(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let leader = stage.leader.clone();
    stage.strike(format!("every fsync of {leader} takes two seconds longer"));
    let slow = slow_down(stage, &leader)?;
    sleep(8 * LEASE).await;
    speed_up(slow).await?;
    stage.say(format!("{leader} is as fast as before"));
    stage.writes_go_on().await
}

/// D33.
pub(super) async fn slow_monitor(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.say("every fsync of the monitor takes two seconds longer");
    let slow = slow_down(stage, "monitor")?;
    // The tracer needs a moment to be there.
    sleep(LEASE).await;
    let leader = stage.leader.clone();
    stage.kill(&leader).await?;
    stage.new_leader().await?;
    stage.writes_go_on().await?;
    speed_up(slow).await?;
    stage.start(&leader)
}

fn slow_down(stage: &Stage<'_>, name: &str) -> anyhow::Result<Child> {
    let calls = "fsync,fdatasync";
    Command::new("strace")
        .args(["-f", "-q", "-o", "/dev/null", "-e", &format!("trace={calls}")])
        .args(["-e", &format!("inject={calls}:delay_enter={SLOW_US}")])
        .args(["-p", &stage.cluster.pid(name)?.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("strace")
}

async fn speed_up(mut strace: Child) -> anyhow::Result<()> {
    if let Some(pid) = strace.id() {
        kill(Pid::from_raw(pid.cast_signed()), Signal::SIGTERM)?;
    }
    strace.wait().await?;
    Ok(())
}

/// D34: on a follower it costs nothing, on the monitor nothing is decided that is not
/// durable, a leader gives way.
pub(super) async fn full(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let follower = stage.followers()[0].clone();
    fill(stage, &follower)?;
    stage.writes_all_the_while(3 * LEASE).await;
    empty(stage, &follower).await?;
    stage.well().await?;

    fill(stage, "monitor")?;
    stage.writes_all_the_while(3 * LEASE).await;
    empty(stage, "monitor").await?;
    stage.well().await?;

    let view = stage.well().await?;
    let leader = view.leader.context("a leader")?.to_string();
    fill(stage, &leader)?;
    // It stops taking writes in time, or ends its term because one met the end of the disk.
    stage
        .wait("the leader stops for want of space", |view| {
            let leads = view.leader.as_ref().is_some_and(|name| name.as_str() == leader);
            let node = view.nodes.iter().find(|node| node.name.as_str() == leader);
            !leads || node.is_some_and(|node| node.reason.starts_with("disk nearly full"))
        })
        .await?;
    sleep(3 * LEASE).await;
    empty(stage, &leader).await?;
    stage.writes_go_on().await?;
    stage.well().await.map(drop)
}

fn ballast(stage: &Stage<'_>, name: &str) -> anyhow::Result<PathBuf> {
    Ok(stage.cluster.process(name)?.data.clone().context("a data directory")?.join("ballast"))
}

fn fill(stage: &mut Stage<'_>, name: &str) -> anyhow::Result<()> {
    stage.strike(format!("the disk of {name} is full"));
    let mut file = File::create(ballast(stage, name)?)?;
    let mut size = 1 << 20;
    while size > 0 {
        if file.write_all(&vec![0; size]).is_err() {
            size /= 2;
        }
    }
    Ok(())
}

async fn empty(stage: &mut Stage<'_>, name: &str) -> anyhow::Result<()> {
    fs::remove_file(ballast(stage, name)?)?;
    stage.say(format!("the disk of {name} has room"));
    stage.revive(name).await
}

/// D35: leases are measured on clocks that nobody sets; the wall clock is for people.
pub(super) async fn wrong_clock(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let library = faketime_library().context("faketime's library")?;
    let preload = format!("LD_PRELOAD={}", library.display());
    let follower = stage.followers()[0].clone();
    for (name, offset) in [(follower.as_str(), "FAKETIME=+3600"), ("monitor", "FAKETIME=-3600")] {
        let words = ["env", &preload, offset, "FAKETIME_DONT_FAKE_MONOTONIC=1"];
        stage.cluster.wrap(name, &words);
        stage.cluster.terminate(name).await?;
        stage.start(name)?;
    }
    stage.well().await?;
    let leader = stage.leader.clone();
    stage.kill(&leader).await?;
    stage.new_leader().await?;
    stage.writes_go_on().await?;
    for name in [follower.as_str(), "monitor"] {
        stage.cluster.wrap(name, &[]);
        stage.cluster.terminate(name).await?;
        stage.start(name)?;
    }
    stage.start(&leader)
}

/// Where Debian keeps it, by architecture.
pub(super) fn faketime_library() -> Option<PathBuf> {
    let directories = fs::read_dir("/usr/lib").ok()?.filter_map(Result::ok);
    let mut files = directories.map(|entry| entry.path().join("faketime/libfaketime.so.1"));
    files.find(|file| file.exists())
}

/// D36: a torn tail is cut and fetched again; damage in the middle stops the node, which is
/// seeded anew when its directory is gone.
pub(super) async fn damaged_log(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let follower = stage.followers()[0].clone();
    let data = stage.cluster.process(&follower)?.data.clone().context("a data directory")?;
    stage.kill(&follower).await?;
    let (segment, used) = last_segment(&data)?;
    stage.say(format!("the last 7 bytes of {follower}'s log are torn off"));
    overwrite(&segment, used.saturating_sub(7), &[0; 7])?;
    stage.start(&follower)?;
    stage.well().await?;

    stage.kill(&follower).await?;
    let (segment, used) = last_segment(&data)?;
    stage.say(format!("a bit of {follower}'s log is flipped"));
    let at = used / 2;
    let mut byte = [0];
    let mut file = File::open(&segment)?;
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(&mut byte)?;
    overwrite(&segment, at, &[byte[0] ^ 0x10])?;
    stage.start(&follower)?;
    let deadline = Instant::now() + SOON;
    while !stage.cluster.has_ended(&follower)? {
        let healed = stage.cluster.view().is_some_and(|view| {
            view.nodes
                .iter()
                .any(|n| n.name.as_str() == follower && n.healthy && n.reason.is_empty())
        });
        if healed {
            stage.say(format!("{follower} mended it by itself"));
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{follower} neither stopped nor recovered");
        sleep(Duration::from_millis(50)).await;
    }
    let exit = stage.cluster.reap(&follower).await?;
    stage.check(!exit.success(), "a node with a damaged log ended well");
    stage.say(format!("{follower} stopped; its directory is removed"));
    fs::remove_dir_all(&data)?;
    stage.start(&follower)
}

/// The newest segment of a node's log, and how much of it is used.
fn last_segment(data: &Path) -> anyhow::Result<(PathBuf, u64)> {
    let entries = fs::read_dir(data.join("log"))?.filter_map(Result::ok);
    let mut segments: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    segments.sort();
    let segment = segments.pop().context("a log has a segment")?;
    let bytes = fs::read(&segment)?;
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    Ok((segment, used as u64))
}

fn overwrite(path: &Path, at: u64, bytes: &[u8]) -> anyhow::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    file.seek(SeekFrom::Start(at))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(())
}
