//! `towline log`: what a node's log holds, read from its directory, whether the node
//! runs or not. Nothing is changed.

use std::fs;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use comfy_table::{Table, presets};
use serde_json::json;

use crate::log::Lsn;
use crate::log::describe::describe;
use crate::storage::control_file::ControlFile;
use crate::storage::log_store::{FrameSeen, LogSeen, inspect};

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List the segments and terms.
    Ls(Target),
    /// Print the frames as SQL.
    Dump(Dump),
    /// Check every byte; damage is reported by file and offset.
    Verify(Target),
    /// List the tails that were cut off, or show one.
    Diverged(Diverged),
}

#[derive(clap::Args)]
struct Target {
    /// The node's data directory.
    data: PathBuf,
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
struct Dump {
    #[command(flatten)]
    target: Target,
    /// The first LSN wanted.
    #[arg(long, value_name = "LSN", default_value = "0/0")]
    from: Lsn,
    /// The LSN to end before.
    #[arg(long, value_name = "LSN")]
    to: Option<Lsn>,
}

#[derive(clap::Args)]
struct Diverged {
    #[command(flatten)]
    target: Target,
    /// The file to show, as listed.
    file: Option<String>,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let done = match &arguments.command {
        Command::Ls(target) => list(target),
        Command::Dump(dump) => print_frames(dump),
        Command::Verify(target) => verify(target),
        Command::Diverged(diverged) => show_diverged(diverged),
    };
    match done {
        // Whoever read the output has seen enough.
        Err(error) if is_broken_pipe(&error) => Ok(()),
        done => done,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let broken = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    error.chain().any(|cause| cause.downcast_ref().is_some_and(broken))
}

fn log_dir(data: &Path) -> anyhow::Result<PathBuf> {
    let dir = data.join("log");
    ensure!(dir.is_dir(), "{} is no node's data directory: it has no log", data.display());
    Ok(dir)
}

fn list(target: &Target) -> anyhow::Result<()> {
    let seen = inspect(&log_dir(&target.data)?, Lsn(0), &mut |_| Ok(()))?;
    let out = &mut BufWriter::new(io::stdout().lock());
    if target.json {
        writeln!(out, "{:#}", as_json(&seen))?;
        return Ok(out.flush()?);
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["SEGMENT", "FROM", "TO", "TERMS", "FRAMES", "BYTES", "STATE"]);
    for segment in &seen.segments {
        table.add_row([
            name_of(&segment.path),
            segment.start.to_string(),
            segment.end.to_string(),
            format!("{}..{}", segment.first_term, segment.last_term),
            segment.frames.to_string(),
            (segment.end.0 - segment.start.0).to_string(),
            if segment.is_sealed() { "sealed" } else { "open" }.to_owned(),
        ]);
    }
    writeln!(out, "{table}")?;
    for (term, start) in seen.history.starts() {
        writeln!(out, "term {term} from {start}")?;
    }
    writeln!(out, "{}", summary(&seen))?;
    Ok(out.flush()?)
}

fn as_json(seen: &LogSeen) -> serde_json::Value {
    let segment = seen.segments.iter().map(|segment| {
        json!({
            "file": name_of(&segment.path), "from": segment.start, "to": segment.end,
            "first_term": segment.first_term, "last_term": segment.last_term,
            "frames": segment.frames, "sealed": segment.is_sealed(),
            "hash": format!("{:016x}", segment.hash),
        })
    });
    let segments: Vec<_> = segment.collect();
    let terms = seen.history.starts().iter();
    let terms: Vec<_> = terms.map(|(term, start)| json!({ "term": term, "from": start })).collect();
    json!({
        "segments": segments, "terms": terms, "end": seen.end, "durable": seen.durable,
        "torn_bytes": seen.torn,
    })
}

fn summary(seen: &LogSeen) -> String {
    let mut text = format!("ends at {}", seen.end);
    if let Some(durable) = seen.durable {
        text.push_str(&format!(", durable up to {durable} at least"));
    }
    if seen.torn > 0 {
        text.push_str(&format!(", {} bytes of an unfinished frame behind it", seen.torn));
    }
    text
}

fn print_frames(dump: &Dump) -> anyhow::Result<()> {
    let Dump { target, from, to } = dump;
    let out = &mut BufWriter::new(io::stdout().lock());
    let mut next = *from;
    inspect(&log_dir(&target.data)?, *from, &mut |frame: FrameSeen<'_>| {
        let FrameSeen { span, entry, segment, offset } = frame;
        if span.start < next || to.is_some_and(|to| span.start >= to) {
            return Ok(());
        }
        next = span.end;
        let text = describe(&span, &entry);
        if !target.json {
            return out.write_all(text.as_bytes());
        }
        let frame = json!({
            "from": span.start, "to": span.end, "term": span.term,
            "file": name_of(segment), "offset": offset, "text": text.trim(),
        });
        writeln!(out, "{frame}")
    })?;
    Ok(out.flush()?)
}

fn verify(target: &Target) -> anyhow::Result<()> {
    let control = ControlFile::peek(&target.data.join("control"))?;
    let mut frames = 0u64;
    let seen = inspect(&log_dir(&target.data)?, Lsn(0), &mut |_| {
        frames += 1;
        Ok(())
    })?;
    ensure!(
        seen.end >= control.commit,
        "the log ends at {}, below {} which the control file records as committed",
        seen.end,
        control.commit
    );
    if target.json {
        println!("{:#}", json!({ "frames": frames, "log": as_json(&seen) }));
    } else {
        let count = seen.segments.len();
        println!("sound: {frames} frames in {count} segments; {}", summary(&seen));
    }
    Ok(())
}

fn show_diverged(diverged: &Diverged) -> anyhow::Result<()> {
    let Diverged { target, file } = diverged;
    let dir = target.data.join("diverged");
    let mut names = Vec::new();
    match fs::read_dir(&dir) {
        Ok(entries) => {
            for entry in entries {
                names.extend(entry?.file_name().into_string());
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("{}", dir.display())),
    }
    names.retain(|name| name.ends_with(".sql"));
    names.sort();
    if let Some(wanted) = file {
        let Some(name) = names.iter().find(|name| *name == wanted) else {
            bail!("{} holds no {wanted}", dir.display());
        };
        let path = dir.join(name);
        let text = fs::read(&path).with_context(|| format!("{}", path.display()))?;
        return Ok(io::stdout().lock().write_all(&text)?);
    }
    let mut tails = Vec::new();
    for name in names {
        let path = dir.join(&name);
        let text = fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
        let transactions = text.lines().filter(|line| *line == "COMMIT;").count();
        tails.push((name, transactions, text.len()));
    }
    if target.json {
        let tail = |(file, transactions, bytes): &(String, usize, usize)| json!({ "file": file, "transactions": transactions, "bytes": bytes });
        println!("{:#}", json!(tails.iter().map(tail).collect::<Vec<_>>()));
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["FILE", "TRANSACTIONS", "BYTES"]);
    for (name, transactions, bytes) in tails {
        table.add_row([name, transactions.to_string(), bytes.to_string()]);
    }
    println!("{table}");
    Ok(())
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
