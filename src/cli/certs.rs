//! `towline certs`: a certificate authority for one cluster, and what its processes
//! need to know each other.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use jiff::Zoned;
use jiff::civil::Date;

use crate::net::Authority;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Where the files go. A `ca.crt` and `ca.key` found there are used, else made.
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Host names and addresses that the certificates are valid for, besides
    /// localhost, 127.0.0.1 and ::1.
    #[arg(long = "host", value_name = "HOST")]
    hosts: Vec<String>,
    /// The first day on which the certificates are valid; today if not given.
    #[arg(long, value_name = "YYYY-MM-DD")]
    from: Option<Date>,
    /// For how many years they are valid.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(i32).range(1..=50))]
    years: i32,
    /// Names of nodes, proxies and monitors; each gets NAME.crt and NAME.key.
    /// A name whose files exist gets new ones.
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    for name in &arguments.names {
        anyhow::ensure!(name != "ca", "\"ca\" is the authority's own name");
    }
    let from = arguments.from.unwrap_or_else(today);
    make(&arguments.dir, &arguments.names, &arguments.hosts, from, arguments.years)?;
    println!("{}: certificates for {}", arguments.dir.display(), arguments.names.join(", "));
    Ok(())
}

pub(super) fn today() -> Date {
    Zoned::now().date()
}

/// Makes certificates in `dir` under its authority, which is made if it is not there.
pub(super) fn make(
    dir: &Path,
    names: &[String],
    hosts: &[String],
    from: Date,
    years: i32,
) -> anyhow::Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("{}", dir.display()))?;
    let day = |date: Date| {
        (i32::from(date.year()), date.month().cast_unsigned(), date.day().cast_unsigned())
    };
    let ca_key = dir.join("ca.key");
    let authority = if ca_key.exists() {
        let key = fs::read_to_string(&ca_key).with_context(|| format!("{}", ca_key.display()))?;
        Authority::from_key(&key).with_context(|| format!("{}", ca_key.display()))?
    } else {
        // The authority outlives what it issues, whenever that is.
        let (authority, issued) = Authority::generate(day(from), years + 10)?;
        write(&dir.join("ca.crt"), &issued.certificate, 0o644)?;
        write(&ca_key, &issued.key, 0o600)?;
        authority
    };
    for name in names {
        let issued = authority
            .issue(name, hosts, day(from), years)
            .with_context(|| format!("certificate of {name}"))?;
        write(&dir.join(format!("{name}.key")), &issued.key, 0o600)?;
        write(&dir.join(format!("{name}.crt")), &issued.certificate, 0o644)?;
    }
    Ok(())
}

/// Keys are never readable for others, not even between creation and a chmod.
fn write(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let partial = path.with_extension("partial");
    let _ = fs::remove_file(&partial);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&partial)
        .with_context(|| format!("{}", partial.display()))?;
    file.write_all(text.as_bytes()).with_context(|| format!("{}", partial.display()))?;
    file.sync_all().with_context(|| format!("{}", partial.display()))?;
    fs::rename(&partial, path).with_context(|| format!("{}", path.display()))
}
