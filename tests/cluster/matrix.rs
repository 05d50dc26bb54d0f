//! The client matrix: each client does the same checks through the proxy of a cluster
//! of three nodes. `docs/clients.md` says what came out, and the test fails unless that
//! is what comes out. With `TOWLINE_ACCEPT_CLIENTS` set it writes the page.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::demo::{Demo, TOWLINE};

const PROGRAMS: &str = "tests/clients/matrix";
const PAGE: &str = "docs/clients.md";

/// Of each check what came out, and the reason.
type Outcomes = BTreeMap<String, (String, String)>;

/// A client's name, and the program that does its checks.
fn clients() -> Vec<(&'static str, Vec<String>)> {
    let variable = |name: &str| {
        std::env::var(name).unwrap_or_else(|_| panic!("{name} is set by scripts/test"))
    };
    let program = |name: &str| format!("{PROGRAMS}/{name}");
    let python = |name| vec![variable("TOWLINE_TEST_PYTHON"), program(name)];
    let rust = |name| vec![format!("{}/{name}", variable("TOWLINE_TEST_RUST_CLIENTS"))];
    let java = ["java", "-cp", "/usr/share/java/postgresql.jar"].map(str::to_owned);
    vec![
        ("psql", vec!["bash".to_owned(), program("psql_program")]),
        ("pgbench", vec!["bash".to_owned(), program("pgbench_program")]),
        ("psycopg2", python("psycopg2_program.py")),
        ("psycopg3", python("psycopg3_program.py")),
        ("asyncpg", python("asyncpg_program.py")),
        ("SQLAlchemy", python("sqlalchemy_program.py")),
        ("Django", python("django_program.py")),
        ("node-postgres", vec!["node".to_owned(), program("node_program.js")]),
        ("pgjdbc", [&java[..], &[program("JdbcProgram.java"), PROGRAMS.to_owned()]].concat()),
        ("tokio-postgres", rust("matrix-tokio-postgres")),
        ("sqlx", rust("matrix-sqlx")),
        ("PHP PDO", vec!["php".to_owned(), program("pdo_program.php")]),
    ]
}

/// What a client's program says.
fn outcomes(demo: &Demo, at: usize, program: &[String]) -> Outcomes {
    demo.wait_until_well();
    let database = format!("client{at}");
    demo.psql(&format!("CREATE DATABASE {database}"));
    let directory = demo.dir().display().to_string();
    let authority = demo.dir().join("certs/ca.crt");
    let change = format!("python3 {PROGRAMS}/new-leader {TOWLINE} {directory}");
    let output = demo
        .client_command("timeout", "proxy")
        .arg("180")
        .args(program)
        .env("PGDATABASE", &database)
        .env("PGSSLMODE", "verify-full")
        .env("PGSSLROOTCERT", authority)
        .env("NODE_PATH", std::env::var("TOWLINE_TEST_NODE_MODULES").unwrap_or_default())
        .env("TOWLINE_TEST_NEW_LEADER", change)
        .output()
        .unwrap_or_else(|error| panic!("{program:?}: {error}"));
    let told = String::from_utf8(output.stdout).expect("UTF-8");
    eprint!("{program:?}\n{told}{}", String::from_utf8_lossy(&output.stderr));
    told.lines()
        .filter_map(|line| {
            let (outcome, rest) = line.split_once(' ')?;
            let (name, reason) = rest.split_once(": ").unwrap_or((rest, ""));
            Some((name.to_owned(), (outcome.to_owned(), reason.to_owned())))
        })
        .collect()
}

fn page(checks: &[String], found: &[(&str, Outcomes)]) -> String {
    let mut page = String::from(
        "# Clients\n\nWhat each client does through the proxy of a cluster of three nodes. This page is \
         written by\n`tests/cluster/matrix.rs`, which fails unless it is true; \
         [`tests/clients/matrix`](../tests/clients/matrix)\nholds the programs and says what each \
         check asks.\n\n",
    );
    let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut head = vec!["client".to_owned()];
    head.extend(checks.iter().cloned());
    page.push_str(&row(head.clone()));
    page.push_str(&format!("|{}\n", "---|".repeat(head.len())));
    let mut reasons = String::new();
    for (client, outcomes) in found {
        let mut cells = vec![(*client).to_owned()];
        for check in checks {
            let unheard = ("fails".to_owned(), "its program ended before".to_owned());
            let (outcome, reason) = outcomes.get(check).unwrap_or(&unheard);
            cells.push(match outcome.as_str() {
                "ok" => "yes".to_owned(),
                "none" => "–".to_owned(),
                _ => "**no**".to_owned(),
            });
            if outcome != "ok" {
                writeln!(reasons, "* {client}, {check}: {reason}").expect("a string");
            }
        }
        page.push_str(&row(cells));
    }
    page.push_str("\nA dash where the client has no such thing, **no** where it fails:\n\n");
    page.push_str(&reasons);
    page
}

#[test]
fn the_page_about_clients_is_true() {
    let demo = Demo::start(&[]);
    let checks = std::fs::read_to_string(format!("{PROGRAMS}/checks")).expect("a list of checks");
    let checks: Vec<String> = checks.lines().map(str::to_owned).collect();
    let clients = clients();
    let found: Vec<_> = clients
        .iter()
        .enumerate()
        .map(|(at, (name, program))| (*name, outcomes(&demo, at, program)))
        .collect();
    demo.assert_equal_content();
    let page = page(&checks, &found);
    if std::env::var_os("TOWLINE_ACCEPT_CLIENTS").is_some() {
        std::fs::write(PAGE, &page).expect("written");
    }
    let written = std::fs::read_to_string(PAGE).expect("the page is there");
    let differs = |line: &&str| !written.contains(&format!("{line}\n"));
    let untrue: Vec<&str> = page.lines().filter(differs).collect();
    assert!(written == page, "{PAGE} does not say:\n{}", untrue.join("\n"));
}
