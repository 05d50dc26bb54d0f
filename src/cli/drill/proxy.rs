//! What clients feel.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use futures_util::SinkExt as _;
use nix::sys::signal::Signal;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::NoTls;

use super::cluster::LEASE;
use super::stage::{ANSWER, Stage};
use crate::workload;

/// The code of a cancel request, in place of a protocol version.
const CANCEL_REQUEST: u32 = 80_877_102;

/// Clients that vanish, and how long the proxy may take to notice: what keepalive does, and
/// some patience.
const HALF_OPEN: usize = 5;
const HALF_OPEN_MAX: Duration = Duration::from_secs(20);

/// D54.
pub(super) async fn followers_down(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let followers = stage.followers();
    for follower in &followers {
        stage.kill(follower).await?;
    }
    sleep(2 * LEASE).await;
    let client = stage.client("proxy").await?;
    let read = timeout(LEASE, client.query_one("SELECT count(*) FROM load", &[])).await;
    stage.check(matches!(read, Ok(Ok(_))), "a read is not answered by the leader");
    for follower in &followers {
        stage.start(follower)?;
    }
    stage.writes_go_on().await
}

/// D55.
pub(super) async fn prepared(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let leader = stage.leader.clone();
    let client = stage.client("proxy").await?;
    client.batch_execute("CREATE TABLE IF NOT EXISTS kept (round bigint, step int)").await?;
    client.batch_execute("SET application_name = 'drill'; SET TimeZone = 'Asia/Tokyo'").await?;
    client.batch_execute("PREPARE twice (int) AS SELECT $1 * 2").await?;
    let insert = client.prepare("INSERT INTO kept VALUES ($1, $2)").await?;
    let count = client.prepare("SELECT count(*) FROM kept WHERE round = $1").await?;
    let round = i64::from(stage.round);
    client.execute(&insert, &[&round, &1]).await?;
    stage.kill(&leader).await?;
    client.execute(&insert, &[&round, &2]).await.context("the first write after the failover")?;
    let there: i64 = client.query_one(&count, &[&round]).await?.get(0);
    stage.check(there == 2, format!("{there} rows, not 2"));
    let name: String = client.query_one("SHOW application_name", &[]).await?.get(0);
    stage.check(name == "drill", format!("application_name is {name:?}"));
    let zone: String = client.query_one("SHOW TimeZone", &[]).await?.get(0);
    stage.check(zone == "Asia/Tokyo", format!("TimeZone is {zone:?}"));
    let doubled: i32 = client.query_one("EXECUTE twice(21)", &[]).await?.get(0);
    stage.check(doubled == 42, format!("EXECUTE gave {doubled}"));
    stage.start(&leader)
}

/// D57.
pub(super) async fn cancel(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.strike("cancels");
    let client = stage.client("proxy").await?;
    let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[]).await?.get(0);
    let address = stage.cluster.process("proxy")?.sql.clone().context("an address")?;
    let long = "SELECT count(*) FROM generate_series(1, 3000000)";
    let counting = client.query_one(long, &[]);
    let cancelling = async {
        for secret in 0..50_u32 {
            let mut request = Vec::new();
            for word in [16, CANCEL_REQUEST, pid.cast_unsigned(), secret] {
                request.extend_from_slice(&word.to_be_bytes());
            }
            if let Ok(mut stream) = TcpStream::connect(&address).await {
                let _ = stream.write_all(&request).await;
            }
        }
    };
    let (counted, ()) = tokio::join!(counting, cancelling);
    stage.check(counted.is_ok(), "a cancel with a wrong secret cancelled");

    let token = client.cancel_token();
    let bystander = stage.client("proxy").await?;
    let mut cancelled = 0;
    for _ in 0..200 {
        let (answer, _, other) = tokio::join!(
            client.query_one("SELECT count(*) FROM generate_series(1, 20000)", &[]),
            token.cancel_query(NoTls),
            bystander.query_one("SELECT 1", &[]),
        );
        stage.check(other.is_ok(), "a cancel hit another session");
        match answer {
            Ok(_) => {}
            Err(error) if error.code().is_some_and(|code| code.code() == "57014") => cancelled += 1,
            Err(error) => stage.check(false, workload::describe(&error)),
        }
    }
    stage.say(format!("{cancelled} of 200 were cancelled"));
    // A cancel that came too late must not hit what comes next, once it has arrived.
    sleep(LEASE).await;
    for _ in 0..20 {
        let after = client.query_one("SELECT 1", &[]).await;
        stage.check(after.is_ok(), "a late cancel hit a later statement");
    }
    Ok(())
}

/// D58.
pub(super) async fn copy(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let leader = stage.leader.clone();
    let client = stage.client("proxy").await?;
    client.batch_execute("CREATE TABLE IF NOT EXISTS copied (i bigint, text text)").await?;
    let sink = client.copy_in::<_, Bytes>("COPY copied FROM STDIN").await?;
    let mut sink = Box::pin(sink);
    let line = |i: u32| Bytes::from(format!("{i}\t{}\n", "x".repeat(100)));
    for i in 0..5000 {
        sink.send(line(i)).await?;
    }
    sink.flush().await?;
    stage.kill(&leader).await?;
    let ended = async {
        for i in 5000..10_000 {
            sink.send(line(i)).await?;
        }
        sink.as_mut().finish().await
    };
    let ended = timeout(ANSWER, ended).await.context("the COPY hangs")?;
    stage.writes_go_on().await?;
    let there = stage.count("SELECT count(*) FROM copied").await?;
    stage.check(
        match &ended {
            Ok(rows) => u64::try_from(there) == Ok(*rows) && *rows == 10_000,
            Err(_) => there == 0,
        },
        format!("the COPY ended with {ended:?}, and {there} rows are there"),
    );
    let usable = client.query_one("SELECT 1", &[]).await;
    stage.check(usable.is_ok(), "the session is of no use after its COPY was cut");
    client.batch_execute("DELETE FROM copied").await?;
    stage.start(&leader)
}

/// D59: explicit transactions all the while a leader dies; every answer against what is
/// there.
pub(super) async fn commits(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let leader = stage.leader.clone();
    let client = stage.client("proxy").await?;
    client.batch_execute("CREATE TABLE IF NOT EXISTS told (session bigint, i bigint)").await?;
    client.batch_execute("DELETE FROM told").await?;
    let stop = Arc::new(AtomicBool::new(false));
    let mut sessions = JoinSet::new();
    for session in 0..6_i64 {
        let config = stage.cluster.sql("proxy")?;
        let stop = Arc::clone(&stop);
        sessions.spawn(async move {
            let mut told = Vec::new();
            let client = workload::connect(&config).await?;
            for i in 0_i64.. {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                let begin = format!("BEGIN; INSERT INTO told VALUES ({session}, {i})");
                let answer = match client.batch_execute(&begin).await {
                    Ok(()) => client.batch_execute("COMMIT").await,
                    Err(error) => {
                        // Cut open: nothing was committed.
                        let _ = client.batch_execute("ROLLBACK").await;
                        Err(error)
                    }
                };
                let code = answer.err().map(|error| {
                    error.code().map(|code| code.code().to_owned()).unwrap_or_default()
                });
                if code.is_some() {
                    let _ = client.batch_execute("ROLLBACK").await;
                }
                told.push((i, code));
            }
            Ok::<_, tokio_postgres::Error>((session, told))
        });
    }
    sleep(LEASE).await;
    stage.kill(&leader).await?;
    stage.writes_go_on().await?;
    sleep(LEASE).await;
    stop.store(true, Ordering::SeqCst);
    let (mut done, mut unknown) = (0, 0);
    while let Some(ended) =
        timeout(ANSWER, sessions.join_next()).await.context("a session hangs")?
    {
        let (session, told) = ended??;
        for (i, code) in told {
            let query = format!("SELECT count(*) FROM told WHERE session = {session} AND i = {i}");
            let there: i64 = client.query_one(&query, &[]).await?.get(0);
            let fits = match code.as_deref() {
                None => there == 1,
                Some("08007") => there <= 1,
                Some(_) => there == 0,
            };
            done += usize::from(code.is_none());
            unknown += usize::from(code.as_deref() == Some("08007"));
            stage
                .check(fits, format!("{session}/{i} was told {code:?} and is there {there} times"));
        }
    }
    ensure!(done > 0, "no transaction was committed");
    stage.say(format!("{done} committed, {unknown} unknown"));
    stage.start(&leader)
}

/// D60.
pub(super) async fn leaks(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.strike("state in one session");
    let (one, other) = (stage.client("proxy").await?, stage.client("proxy").await?);
    one.batch_execute("CREATE TABLE IF NOT EXISTS numbered (id serial PRIMARY KEY, i int)").await?;
    one.batch_execute(
        "SET application_name = 'one'; PREPARE mine AS SELECT 1; \
         INSERT INTO numbered (i) VALUES (1)",
    )
    .await?;
    for (client, who) in
        [(&other, "a session beside it"), (&stage.client("proxy").await?, "a new one")]
    {
        let name: String = client.query_one("SHOW application_name", &[]).await?.get(0);
        stage.check(name != "one", format!("{who} has the first one's settings"));
        for (query, what) in [
            ("EXECUTE mine", "prepared statement"),
            ("SELECT lastval()", "last value of a sequence"),
        ] {
            let answer = client.query(query, &[]).await;
            stage.check(answer.is_err(), format!("{who} has the first one's {what}"));
        }
    }
    drop(one);
    let after = stage.client("proxy").await?;
    let gone = after.query("EXECUTE mine", &[]).await;
    stage.check(gone.is_err(), "a prepared statement outlived its session");
    Ok(())
}

/// D61.
pub(super) async fn reload(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let client = stage.client("proxy").await?;
    let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[]).await?.get(0);
    for _ in 0..5 {
        for name in stage.cluster.everybody() {
            stage.strike(format!("SIGHUP to {name}"));
            stage.cluster.signal(&name, Signal::SIGHUP)?;
        }
        stage.writes_all_the_while(Duration::from_millis(300)).await;
    }
    let same: i32 = client.query_one("SELECT pg_backend_pid()", &[]).await?.get(0);
    stage.check(same == pid, "another session answers");
    stage.same_leader();
    Ok(())
}

/// D62: they are idle; who waits for an answer is noticed sooner, by what is not acknowledged.
pub(super) async fn half_open(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let sockets = |stage: &Stage<'_>| stage.cluster.sockets().get("proxy2").copied();
    let mut clients = Vec::new();
    for _ in 0..HALF_OPEN {
        clients.push(stage.client("proxy2").await?);
    }
    let with = sockets(stage).context("proxy2 runs")?;
    stage.say(format!("{HALF_OPEN} clients of proxy2 are gone without a word"));
    stage.cluster.network()?.lose_drill("proxy2")?;
    let begun = Instant::now();
    while sockets(stage).context("proxy2 runs")? > with - HALF_OPEN {
        ensure!(begun.elapsed() < HALF_OPEN_MAX, "proxy2 keeps clients that are gone");
        sleep(Duration::from_millis(100)).await;
    }
    stage.say(format!("proxy2 has let go of them after {} ms", begun.elapsed().as_millis()));
    stage.cluster.network()?.pass_drill("proxy2")?;
    drop(clients);
    // It serves new ones.
    stage.client("proxy2").await?.query_one("SELECT 1", &[]).await?;
    Ok(())
}
