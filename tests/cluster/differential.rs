//! The same statements on PostgreSQL 15 and on a cluster, and what they answer compared
//! (`scripts/differential`).

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::demo::{Demo, assert_success, free_ports, wait_for};

const BINARIES: &str = "/usr/lib/postgresql/15/bin";

/// A PostgreSQL server in a directory of its own, which goes with it.
struct Postgres {
    directory: TempDir,
    port: u16,
}

/// A program as a user that PostgreSQL runs as: it refuses root.
fn as_user(program: &str) -> Command {
    if !nix::unistd::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--", program]);
    command
}

impl Postgres {
    fn start() -> Self {
        let (directory, port) = (TempDir::new().expect("a directory"), free_ports());
        if nix::unistd::geteuid().is_root() {
            let given = Command::new("chown").arg("postgres").arg(directory.path()).output();
            assert_success("chown", &given.expect("chown runs"));
        }
        let server = Self { directory, port };
        let data = server.data();
        let made = as_user(&format!("{BINARIES}/initdb"))
            .args([
                "-U",
                "demo",
                "-A",
                "trust",
                "--locale=C",
                "-E",
                "UTF8",
                "--no-sync",
                "-D",
                &data,
            ])
            .output();
        assert_success("initdb", &made.expect("initdb runs"));
        let options = format!(
            "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        );
        let log = server.directory.path().join("log");
        let started = as_user(&format!("{BINARIES}/pg_ctl"))
            .args(["-w", "-D", &data, "-o", &options, "start", "-l"])
            .arg(log)
            .output();
        assert_success("pg_ctl start", &started.expect("pg_ctl runs"));
        server
    }

    fn data(&self) -> String {
        self.directory.path().join("data").display().to_string()
    }

    fn dsn(&self) -> String {
        format!("host=127.0.0.1 port={} user=demo dbname=postgres", self.port)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = as_user(&format!("{BINARIES}/pg_ctl"))
            .args(["-m", "immediate", "-D", &self.data(), "stop"])
            .output();
    }
}

fn dsn(demo: &Demo) -> String {
    let address = demo.sql("proxy");
    let (host, port) = address.rsplit_once(':').expect("host:port");
    format!("host={host} port={port} user=demo password=demo dbname=demo")
}

fn script() -> Command {
    let python = std::env::var("TOWLINE_TEST_PYTHON")
        .expect("TOWLINE_TEST_PYTHON names the Python that scripts/test made");
    let mut command = Command::new(python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/differential"));
    command
}

#[test]
fn the_corpus_comes_out_as_postgresql_has_it() {
    let demo = Demo::start(&[]);
    let checked = script().args(["check", &dsn(&demo)]).output();
    assert_success("the corpus", &checked.expect("the script runs"));
}

#[test]
fn generated_statements_come_out_as_postgresql_has_them() {
    let (postgres, demo) = (Postgres::start(), Demo::start(&[]));
    wait_for("a leader", || demo.view());
    let compared = script()
        .args(["generate", "--seed", "1", "--count", "1000", &postgres.dsn(), &dsn(&demo)])
        .output();
    assert_success("generated statements", &compared.expect("the script runs"));
}
