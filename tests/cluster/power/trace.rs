//! The file operations of processes, in order, as strace writes them down.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use super::disk::Change;

/// All by which a file or a directory is changed or made durable.
const CALLS: &str = "openat,mkdir,write,pwrite64,ftruncate,fallocate,rename,unlink,unlinkat,rmdir,\
                     fsync,fdatasync";

/// What was done to the file system between two moments.
pub(super) struct Trace {
    lines: Vec<Line>,
}

/// Something that a process asked for.
struct Line {
    /// The place of its beginning and of its end among those of all.
    asked: usize,
    done: usize,
    /// When it was done, since 1970.
    at: Duration,
    change: Change,
}

/// A trace that is being made.
pub(super) struct Tracing(JoinHandle<Trace>);

impl Tracing {
    /// The command before a command that is to be traced, and what comes of it, through the
    /// pipe at `pipe`. It ends with the last of the processes.
    pub(super) fn start(pipe: &Path) -> (Vec<String>, Self) {
        nix::unistd::mkfifo(pipe, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        let strace = format!(
            "strace -D -f --seccomp-bpf -qqq -y -xx -s 1000000000 -ttt -e signal=none \
             -e trace={CALLS} -o"
        );
        let mut command: Vec<String> = strace.split_whitespace().map(str::to_owned).collect();
        command.push(pipe.to_str().expect("UTF-8").to_owned());
        let pipe = pipe.to_owned();
        let reading = std::thread::spawn(move || {
            let trace = Trace::read(BufReader::new(File::open(&pipe).expect("opened")));
            // A test that fails takes its directory with it.
            let _ = std::fs::remove_file(&pipe);
            trace
        });
        (command, Self(reading))
    }

    /// Once every process has ended.
    pub(super) fn end(self) -> Trace {
        self.0.join().expect("a trace that can be read")
    }
}

impl Trace {
    fn read(from: impl BufRead) -> Self {
        let mut lines = Vec::new();
        // By thread: when it was asked for, and what is known of it.
        let mut unfinished: BTreeMap<String, (usize, String)> = BTreeMap::new();
        for (done, line) in from.lines().enumerate() {
            let line = line.expect("a line");
            let (thread, rest) = line.split_once(' ').expect("a thread");
            let (at, text) = rest.trim_start().split_once(' ').expect("a time and a call");
            if let Some(text) = text.strip_suffix(" <unfinished ...>") {
                unfinished.insert(thread.to_owned(), (done, text.to_owned()));
                continue;
            }
            let (asked, text) = match text.split_once(" resumed>") {
                Some((_, rest)) if text.starts_with("<...") => match unfinished.remove(thread) {
                    Some((asked, text)) => (asked, text + rest),
                    None => continue,
                },
                _ => (done, text.to_owned()),
            };
            let at = Duration::from_secs_f64(at.parse().expect("a time"));
            if let Some(change) = parse(&text) {
                lines.push(Line { asked, done, at, change });
            }
        }
        Self { lines }
    }

    /// How many changes it holds.
    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    /// What was done before the change `end`, in order; and until when, since 1970.
    pub(super) fn before(&self, end: usize) -> (Vec<&Change>, Duration) {
        let mut done: Vec<&Line> = self.lines[..end].iter().collect();
        // A sync is for what was done before it was asked for.
        done.sort_by_key(|line| match line.change {
            Change::Sync(_) => line.asked,
            _ => line.done,
        });
        let until = self.lines.get(end).map_or(Duration::MAX, |line| line.at);
        (done.into_iter().map(|line| &line.change).collect(), until)
    }
}

/// What a call changed, if it did; `text` is `name(arguments) = result`.
fn parse(text: &str) -> Option<Change> {
    let (call, result) = text.rsplit_once(" = ")?;
    let (name, arguments) = call.trim_end().strip_suffix(')')?.split_once('(')?;
    if result.starts_with('-') || result.starts_with('?') {
        return None;
    }
    let arguments: Vec<&str> = arguments.split(", ").collect();
    let number = |place: usize| arguments[place].parse::<u64>().expect("a number");
    let path = |place: usize| quoted(arguments[place]).and_then(path_of);
    let open = opened(arguments[0]);
    Some(match name {
        "openat" => match arguments[2] {
            flags if flags.contains("O_TRUNC") => Change::Empty(open?.join(path(1)?)),
            flags if flags.contains("O_CREAT") => Change::Create(open?.join(path(1)?)),
            _ => return None,
        },
        "mkdir" => Change::MakeDir(path(0)?),
        "write" => Change::Write(open?, None, quoted(arguments[1])?),
        "pwrite64" => Change::Write(open?, Some(number(3)), quoted(arguments[1])?),
        "ftruncate" => Change::Resize(open?, number(1)),
        "fallocate" => Change::Extend(open?, number(2) + number(3)),
        "rename" => Change::Rename(path(0)?, path(1)?),
        "unlink" | "rmdir" => Change::Remove(path(0)?),
        "unlinkat" => Change::Remove(open?.join(path(1)?)),
        "fsync" | "fdatasync" => Change::Sync(open?),
        _ => return None,
    })
}

/// The file or directory that an argument such as `5</a/file>` stands for.
fn opened(argument: &str) -> Option<PathBuf> {
    let path = argument.split_once('<')?.1.strip_suffix('>')?;
    path_of(bytes_of(path)).filter(|path| path.is_absolute())
}

fn quoted(argument: &str) -> Option<Vec<u8>> {
    Some(bytes_of(argument.strip_prefix('"')?.strip_suffix('"')?))
}

/// `\x61\x62` is `ab`.
fn bytes_of(text: &str) -> Vec<u8> {
    let digits = text.split("\\x").skip(1);
    digits.map(|byte| u8::from_str_radix(byte, 16).expect("two digits")).collect()
}

fn path_of(bytes: Vec<u8>) -> Option<PathBuf> {
    String::from_utf8(bytes).ok().map(PathBuf::from)
}
