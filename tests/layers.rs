//! Checks that modules import only downward and that each foreign subject has one
//! home, so that the code map in `lib.rs` stays true.

use std::fs;
use std::path::{Path, PathBuf};

/// The layers, bottom-up. A module may import from earlier rows, not from its own.
const LAYERS: &[&[&str]] = &[
    &["log"],
    &["pg"],
    &["sql"],
    &["cluster"],
    &["replication"],
    &["config", "failover", "routing"],
    &["net", "storage", "supervisor", "telemetry"],
    &["gateway"],
    &["monitor", "node", "proxy"],
    &["workload"],
    &["cli"],
    &["simulation"],
];

/// Crates that only one module may name.
const HOMES: &[(&str, &str)] = &[
    ("rusqlite", "storage"),
    ("libsqlite3_sys", "storage"),
    ("rustls", "net"),
    ("tokio_rustls", "net"),
    ("rcgen", "net"),
    ("clap", "cli"),
    ("anyhow", "cli"),
    ("sd_notify", "supervisor"),
];

#[test]
fn modules_import_only_from_lower_layers() {
    let mut violations = Vec::new();
    for (rank, row) in LAYERS.iter().enumerate() {
        for module in *row {
            let above = LAYERS[rank..].iter().flat_map(|row| row.iter());
            for other in above.filter(|other| *other != module) {
                for file in sources(module) {
                    if read(&file).contains(&format!("crate::{other}::")) {
                        violations.push(format!("{}: {module} imports {other}", file.display()));
                    }
                }
            }
        }
    }
    assert!(violations.is_empty(), "{violations:#?}");
}

#[test]
fn every_module_has_a_layer() {
    let listed: Vec<&str> = LAYERS.iter().flat_map(|row| row.iter().copied()).collect();
    for line in read(Path::new("src/lib.rs")).lines() {
        if let Some(module) = line.strip_prefix("pub mod ").and_then(|rest| rest.strip_suffix(';'))
        {
            assert!(listed.contains(&module), "{module} is in no layer");
        }
    }
}

#[test]
fn foreign_subjects_have_one_home() {
    let mut violations = Vec::new();
    for module in LAYERS.iter().flat_map(|row| row.iter()) {
        for file in sources(module) {
            let text = read(&file);
            for (foreign, _) in HOMES.iter().filter(|(_, home)| home != module) {
                let names = |line: &str| {
                    line.match_indices(foreign).any(|(at, _)| {
                        let before = line[..at].chars().next_back();
                        let part = |c: char| c.is_alphanumeric() || c == '_';
                        line[at + foreign.len()..].starts_with("::") && !before.is_some_and(part)
                    })
                };
                if text.lines().any(names) {
                    violations.push(format!("{}: {module} names {foreign}", file.display()));
                }
            }
        }
    }
    assert!(violations.is_empty(), "{violations:#?}");
}

#[test]
fn unsafe_code_has_one_home() {
    let mut homes: Vec<PathBuf> = LAYERS
        .iter()
        .flat_map(|row| row.iter())
        .flat_map(|module| sources(module))
        .filter(|file| read(file).lines().any(|line| line.contains("unsafe {")))
        .collect();
    homes.dedup();
    assert_eq!(homes, [PathBuf::from("src/storage/sqlite/ffi.rs")]);
}

/// The Rust files of a module, be it a file or a folder.
fn sources(module: &str) -> Vec<PathBuf> {
    let file = Path::new("src").join(format!("{module}.rs"));
    if file.exists() { vec![file] } else { rust_files(&Path::new("src").join(module)) }
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display())) {
        let path = entry.expect("directory entry is readable").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}
