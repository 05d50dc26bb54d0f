//! The acceptance run, shortened: pgbench's load while the leader is killed twice and
//! comes back, real rows by `\copy`, and at the end every node the same.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use crate::demo::{Demo, assert_success, wait_for};

#[test]
fn pgbench_survives_two_killed_leaders_and_real_rows_load() {
    let demo = Demo::start(&[]);
    let init = demo.client_command("pgbench", "proxy").args(["-i", "-s", "10", "-q"]).output();
    assert_success("pgbench -i", &init.expect("pgbench runs"));
    assert_eq!(demo.psql("SELECT count(*) FROM pgbench_accounts"), "1000000");

    let load = demo
        .client_command("pgbench", "proxy")
        .args(["-c", "8", "-j", "2", "-T", "40", "--max-tries", "1000", "-n"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("pgbench runs");
    for _ in 0..2 {
        let (leader, term) = (demo.leader(), demo.term());
        let history = || demo.psql("SELECT count(*) FROM pgbench_history").parse::<u64>().ok();
        let before = history();
        wait_for("pgbench's progress", || (history() > before).then_some(()));
        demo.signal(&leader, Signal::SIGKILL);
        wait_for("a new leader", || (demo.view()?["term"].as_u64()? > term).then_some(()));
        demo.wait_until_well();
    }
    let output = load.wait_with_output().expect("pgbench's output");
    assert_success("pgbench under failover", &output);
    let report = String::from_utf8_lossy(&output.stdout);
    let processed = report
        .lines()
        .find_map(|line| line.strip_prefix("number of transactions actually processed: "))
        .and_then(|rest| rest.split(['/', ' ']).next()?.parse::<u64>().ok())
        .unwrap_or_else(|| panic!("no count in {report}"));
    // Every transaction that pgbench was told of is there, and none that it was not:
    // one history row each, and the balances add up.
    assert_eq!(demo.psql("SELECT count(*) FROM pgbench_history"), processed.to_string());
    let sums = demo.psql(
        "SELECT (SELECT sum(delta) FROM pgbench_history) = (SELECT sum(abalance) FROM pgbench_accounts)
            AND (SELECT sum(tbalance) FROM pgbench_tellers) = (SELECT sum(bbalance) FROM pgbench_branches)
            AND (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(bbalance) FROM pgbench_branches)",
    );
    assert_eq!(sums, "t");

    let csv = real_rows();
    let rows = std::fs::read_to_string(&csv).expect("the data set").lines().count() - 1;
    demo.psql(
        "CREATE TABLE airports (iata varchar(4) PRIMARY KEY, name text NOT NULL, city text,
             state char(2), country text, latitude numeric, longitude double precision)",
    );
    demo.psql(&format!("\\copy airports FROM '{}' WITH (FORMAT csv, HEADER)", csv.display()));
    assert_eq!(demo.psql("SELECT count(*) FROM airports"), rows.to_string());
    assert_eq!(
        demo.psql("SELECT name, state, round(latitude, 2) FROM airports WHERE iata = 'SFO'"),
        "San Francisco International|CA|37.62"
    );
    let most = "SELECT state, count(*) AS n FROM airports GROUP BY state ORDER BY n DESC LIMIT 1";
    assert_eq!(demo.psql(most), "AK|263");
    demo.assert_equal_content();
}

/// The airports of the United States, as a PyPI package ships them; installed by
/// `scripts/test` beside the Python that it names.
fn real_rows() -> PathBuf {
    let python = std::env::var("TOWLINE_TEST_PYTHON")
        .expect("TOWLINE_TEST_PYTHON names the Python that scripts/test made");
    let find = "import importlib.util as u; \
                print(u.find_spec('vega_datasets').submodule_search_locations[0])";
    let output = Command::new(python).args(["-c", find]).output().expect("python runs");
    assert_success("finding the data set", &output);
    Path::new(String::from_utf8_lossy(&output.stdout).trim()).join("_data/airports.csv")
}
