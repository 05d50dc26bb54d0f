//! `towline password`: a verifier from a password, so that no configuration holds one.

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::{Context, ensure};

use crate::pg::scram;

/// Rounds of hashing, as PostgreSQL's default.
const ITERATIONS: u32 = 4096;

pub(super) fn run() -> anyhow::Result<()> {
    if io::stdin().is_terminal() {
        io::stderr().write_all(b"Password (shown as you type): ")?;
    }
    let mut password = String::new();
    io::stdin().lock().read_line(&mut password).context("reading the password")?;
    let password = password.trim_end_matches(['\r', '\n']);
    ensure!(!password.is_empty(), "the password is empty");
    println!("{}", verifier(password));
    Ok(())
}

/// A verifier with a salt of its own.
pub(super) fn verifier(password: &str) -> String {
    scram::Verifier::from_password(password, &rand::random::<[u8; 16]>(), ITERATIONS).to_string()
}
