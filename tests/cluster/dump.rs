//! `pg_dump` against the proxy: what it writes loads into PostgreSQL and into Towline.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::demo::{Demo, assert_success, free_ports, wait_for};

const POSTGRESQL: &str = "/usr/lib/postgresql/15/bin";

/// A PostgreSQL of the test's own.
pub(crate) struct PostgreSql {
    dir: TempDir,
    port: u16,
}

impl PostgreSql {
    /// `None` where there is no server on this machine, only its tools.
    pub(crate) fn start() -> Option<Self> {
        if !Path::new(POSTGRESQL).join("postgres").exists() {
            return None;
        }
        let server = Self { dir: tempfile::tempdir().expect("a directory"), port: free_ports() };
        if nix::unistd::geteuid().is_root() {
            let owned = Command::new("chown").arg("postgres").arg(server.dir.path()).output();
            assert_success("chown", &owned.expect("chown runs"));
        }
        let data = server.data();
        server
            .run("initdb", &["-D", &data, "-U", "demo", "-A", "trust", "-E", "UTF8", "--no-sync"]);
        let sockets = server.dir.path().display();
        let options = format!("-p {} -k {sockets} -c fsync=off -h 127.0.0.1", server.port);
        server.run("pg_ctl", &["-D", &data, "-w", "-o", &options, "-l", "/dev/null", "start"]);
        Some(server)
    }

    fn data(&self) -> String {
        self.dir.path().join("data").display().to_string()
    }

    /// Runs a program of the server's, which refuses to be root.
    fn run(&self, program: &str, arguments: &[&str]) {
        let program = Path::new(POSTGRESQL).join(program);
        let mut command = if nix::unistd::geteuid().is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(&program);
            command
        } else {
            Command::new(&program)
        };
        // The server goes on with what it is given: a pipe would never end.
        let status = command
            .args(arguments)
            .current_dir(self.dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        let status = status.unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        assert!(status.success(), "{}: {status}", program.display());
    }

    pub(crate) fn client(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("PGHOST", "127.0.0.1").env("PGPORT", self.port.to_string());
        command.env("PGUSER", "demo").env("PGDATABASE", "postgres");
        command
    }
}

impl Drop for PostgreSql {
    fn drop(&mut self) {
        self.run("pg_ctl", &["-D", &self.data(), "-m", "immediate", "stop"]);
    }
}

pub(crate) fn load(mut psql: Command, file: &Path) {
    psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f"]).arg(file);
    assert_success(&format!("psql -f {}", file.display()), &psql.output().expect("psql runs"));
}

fn dump(mut pg_dump: Command, to: &Path) -> Vec<String> {
    let output: Output = pg_dump.output().expect("pg_dump runs");
    assert_success("pg_dump", &output);
    std::fs::write(to, &output.stdout).expect("written");
    lines(&String::from_utf8(output.stdout).expect("UTF-8"))
}

/// What a dump says, without regard to the order of rows, owners, and storage.
fn lines(dump: &str) -> Vec<String> {
    let noise = |line: &&str| {
        line.is_empty()
            || ["--", "\\restrict", "\\unrestrict"].iter().any(|mark| line.starts_with(mark))
            || line.contains(" OWNER TO ")
            || line.starts_with("WITH (fillfactor")
            || line.contains("set_config('search_path'")
    };
    let mut lines: Vec<String> = dump
        .lines()
        .filter(|line| !noise(line))
        .map(|line| line.trim_end_matches(';').to_ascii_lowercase())
        .collect();
    lines.sort();
    lines
}

#[test]
fn what_it_reads_loads_into_postgresql_and_towline() {
    let demo = Demo::start(&[]);
    let origin = Path::new("tests/data/pg_dump.sql");
    load(demo.client_command("psql", "proxy"), origin);
    // Another order of making than of names, and what the file lacks.
    demo.psql(
        "CREATE VIEW a_view AS SELECT * FROM v; CREATE TYPE zz AS ENUM ('x', 'y');
         CREATE TYPE aa AS (z zz, i int); CREATE TABLE \"0\" (v aa DEFAULT NULL, i int DEFAULT
         nextval('s1')); INSERT INTO \"0\" (v) VALUES (row('x', 1)::aa)",
    );
    let file = demo.dir().join("dump.sql");
    let written = dump(demo.client_command("pg_dump", "proxy"), &file);
    demo.psql("CREATE DATABASE again");
    let again = |program| {
        let mut command = demo.client_command(program, "proxy");
        command.env("PGDATABASE", "again");
        command
    };
    load(again("psql"), &file);
    assert_eq!(dump(again("pg_dump"), &demo.dir().join("again.sql")), written);
    demo.assert_equal_content();

    let Some(server) = PostgreSql::start() else {
        eprintln!("no PostgreSQL 15 server here: its half of the test is left out");
        return;
    };
    wait_for("the server", || {
        server.client("psql").args(["-c", "SELECT 1"]).output().ok()?.status.success().then_some(())
    });
    load(server.client("psql"), &file);
    let there = dump(server.client("pg_dump"), &demo.dir().join("postgresql.sql"));
    let original = lines(&std::fs::read_to_string(origin).expect("readable"));
    let lost: Vec<&String> = original.iter().filter(|line| !there.contains(line)).collect();
    // What has been drawn from a sequence since says where it stands.
    let moved = |line: &&&String| !line.contains("setval('public.s1'");
    assert_eq!(lost.into_iter().filter(|line| moved(&line)).collect::<Vec<_>>(), [""; 0]);
}
