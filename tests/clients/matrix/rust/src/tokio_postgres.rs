//! tokio-postgres, with rustls.

mod shared;

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, TryStreamExt as _};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use tokio::time::timeout;
use tokio_postgres::types::{FromSql, ToSql};
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use shared::{ERRORS, Outcome, expect, lines, new_leader, quoted, tell, types, variable};

fn tls() -> MakeRustlsConnect {
    let mut roots = rustls::RootCertStore::empty();
    let file = variable("PGSSLROOTCERT");
    for certificate in CertificateDer::pem_file_iter(file).expect("a certificate") {
        roots.add(certificate.expect("a certificate")).expect("a root");
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("TLS versions");
    MakeRustlsConnect::new(config.with_root_certificates(roots).with_no_client_auth())
}

async fn connect(password: &str) -> Result<Client, tokio_postgres::Error> {
    let mut config = Config::new();
    config.host(variable("PGHOST")).port(variable("PGPORT").parse().expect("a port"));
    config.user(variable("PGUSER")).password(password).dbname(variable("PGDATABASE"));
    config.ssl_mode(tokio_postgres::config::SslMode::Require);
    let (client, connection) = config.connect(tls()).await?;
    tokio::spawn(connection);
    Ok(client)
}

async fn fails(
    client: &Client,
    query: &str,
    state: &str,
) -> Result<tokio_postgres::Error, Box<dyn std::error::Error + Send + Sync>> {
    match client.batch_execute(query).await {
        Ok(()) => Err(format!("{query} did not fail").into()),
        Err(error) => {
            expect(error.code().map(|code| code.code()), Some(state), query)?;
            Ok(error)
        }
    }
}

async fn value<T: for<'a> FromSql<'a> + ToSql + Sync + Send>(
    client: &Client,
    table: &str,
) -> Outcome {
    let row = client.query_one(&format!("SELECT v FROM {table}"), &[]).await?;
    let value: T = row.get(0);
    client.execute(&format!("UPDATE {table} SET w = $1"), &[&value]).await?;
    let same = client.query_one(&format!("SELECT v::text = w::text FROM {table}"), &[]).await?;
    // The blanks of a JSON text are the client's.
    if !table.contains("json") {
        expect(same.get::<_, bool>(0), true, table)?;
    }
    client.execute(&format!("UPDATE {table} SET w = $1"), &[&None::<T>]).await?;
    let row = client.query_one(&format!("SELECT w FROM {table}"), &[]).await?;
    expect(row.get::<_, Option<T>>(0).is_none(), true, table)
}

async fn binary_types(client: &Client) -> Outcome {
    let mut left = BTreeMap::new();
    for (at, (name, literal)) in types().into_iter().enumerate() {
        let table = format!("typed{at}_{}", name.split([' ', '(', '[']).next().unwrap_or_default());
        client.batch_execute(&format!("CREATE TABLE {table} (v {name}, w {name})")).await?;
        client
            .batch_execute(&format!("INSERT INTO {table} (v) VALUES ({})", quoted(&literal)))
            .await?;
        match name.as_str() {
            "boolean" => value::<bool>(client, &table).await?,
            "smallint" => value::<i16>(client, &table).await?,
            "integer" => value::<i32>(client, &table).await?,
            "bigint" => value::<i64>(client, &table).await?,
            "real" => value::<f32>(client, &table).await?,
            "double precision" => value::<f64>(client, &table).await?,
            "text" | "character varying(10)" | "character(5)" => {
                value::<String>(client, &table).await?
            }
            "bytea" => value::<Vec<u8>>(client, &table).await?,
            "date" => value::<time::Date>(client, &table).await?,
            "time without time zone" => value::<time::Time>(client, &table).await?,
            "timestamp without time zone" => {
                value::<time::PrimitiveDateTime>(client, &table).await?
            }
            "timestamp with time zone" => value::<time::OffsetDateTime>(client, &table).await?,
            "uuid" => value::<uuid::Uuid>(client, &table).await?,
            "json" | "jsonb" => value::<serde_json::Value>(client, &table).await?,
            "integer[]" => value::<Vec<Option<i32>>>(client, &table).await?,
            "text[]" => value::<Vec<Option<String>>>(client, &table).await?,
            _ => drop(left.insert(name, ())),
        }
    }
    expect(
        left.into_keys().collect::<Vec<_>>(),
        ["interval", "mood", "numeric"],
        "what it has no type for",
    )
}

async fn run(name: &str) -> Result<Outcome, &'static str> {
    Ok(match name {
        "types" => return Err("it speaks binary"),
        _ => checked(name).await,
    })
}

async fn checked(name: &str) -> Outcome {
    let mut client = connect(&variable("PGPASSWORD")).await?;
    match name {
        "connect" => {
            expect(client.query_one("SELECT 1", &[]).await?.get::<_, i32>(0), 1, "SELECT 1")?;
            let told = connect("wrong").await.err().and_then(|error| error.code().cloned());
            expect(told.as_ref().map(|code| code.code()), Some("28P01"), "a wrong password")
        }
        "migrate" => {
            let transaction = client.transaction().await?;
            for statement in lines("migrate.sql") {
                transaction.batch_execute(&statement).await?;
            }
            transaction.commit().await?;
            let rows = client.query("SELECT * FROM both ORDER BY 1", &[]).await?;
            let rows: Vec<(String, i32)> =
                rows.iter().map(|row| (row.get(0), row.get(1))).collect();
            expect(rows, [("one".to_owned(), 1), ("two".to_owned(), 2)], "the view")
        }
        "binary types" => binary_types(&client).await,
        "errors" => {
            for (query, state) in ERRORS {
                fails(&client, query, state).await?;
            }
            let error = fails(&client, ERRORS[0].0, "23505").await?;
            let constraint = error.as_db_error().and_then(|error| error.constraint());
            expect(constraint, Some("parent_name_key"), "the constraint")
        }
        "transactions" => {
            let transaction = client.transaction().await?;
            transaction.execute("INSERT INTO written VALUES (-1)", &[]).await?;
            transaction.rollback().await?;
            let mut transaction = client.transaction().await?;
            transaction.execute("INSERT INTO written VALUES (-2)", &[]).await?;
            let savepoint = transaction.savepoint("s").await?;
            let twice = savepoint.execute("INSERT INTO written VALUES (-2)", &[]).await;
            expect(twice.is_err(), true, "a row that is there")?;
            let after = savepoint.query("SELECT 1", &[]).await.err();
            let code = after.as_ref().and_then(|error| error.code()).map(|code| code.code());
            expect(code, Some("25P02"), "a query afterwards")?;
            savepoint.rollback().await?;
            transaction.execute("INSERT INTO written VALUES (-3)", &[]).await?;
            transaction.commit().await?;
            let rows = client.query("SELECT i FROM written WHERE i < 0 ORDER BY i", &[]).await?;
            expect(rows.iter().map(|row| row.get(0)).collect::<Vec<i32>>(), [-3, -2], "rows")
        }
        "cursors" => {
            let transaction = client.transaction().await?;
            let portal = transaction.bind("SELECT i FROM many ORDER BY i", &[]).await?;
            let mut seen = Vec::<i32>::new();
            loop {
                let rows = transaction.query_portal(&portal, 100).await?;
                if rows.is_empty() {
                    break;
                }
                seen.extend(rows.iter().map(|row| row.get::<_, i32>(0)));
            }
            expect(seen, (1..=1000).collect::<Vec<i32>>(), "rows")
        }
        "copy" => {
            let sink = client.copy_in("COPY child (parent, amount) FROM STDIN").await?;
            let mut sink = pin!(sink);
            sink.send(&b"1\t10\n2\t\\N\n"[..]).await?;
            expect(sink.finish().await?, 2, "copied")?;
            let query = "COPY (SELECT parent, amount FROM child ORDER BY id) TO STDOUT CSV";
            let out: Vec<_> = client.copy_out(query).await?.try_collect().await?;
            expect(out.concat(), *b"1,1\n2,2\n1,10\n2,\n", "what came out")
        }
        "cancel" => {
            let token = client.cancel_token();
            let mut sleeps = pin!(fails(&client, "SELECT pg_sleep(60)", "57014"));
            // One that comes before the statement is for nothing.
            let ended = loop {
                token.cancel_query(tls()).await?;
                if let Ok(ended) = timeout(Duration::from_millis(100), &mut sleeps).await {
                    break ended;
                }
            };
            ended?;
            expect(client.query_one("SELECT 1", &[]).await?.get::<_, i32>(0), 1, "afterwards")
        }
        "introspection" => {
            let prepared = client.prepare("SELECT * FROM parent WHERE kept = $1").await?;
            let names: Vec<&str> = prepared.columns().iter().map(|it| it.type_().name()).collect();
            expect(names, ["int4", "varchar", "int8", "mood", "timestamptz"], "types")?;
            let labels = match prepared.params()[0].kind() {
                tokio_postgres::types::Kind::Enum(labels) => labels.clone(),
                _ => Vec::new(),
            };
            expect(labels, ["sad", "it's ok"], "labels")
        }
        "new leader" => {
            let insert = client.prepare("INSERT INTO written VALUES ($1)").await?;
            let change = new_leader();
            let (mut number, mut after) = (0_i32, 0);
            while after < 20 {
                client.execute(&insert, &[&number]).await?;
                number += 1;
                after += i32::from(change.is_finished());
            }
            expect(change.await??.success(), true, "the change of leader")?;
            let counted =
                client.query_one("SELECT count(*) FROM written WHERE i >= 0", &[]).await?;
            expect(counted.get::<_, i64>(0), i64::from(number), "rows")
        }
        other => Err(format!("no such check: {other}").into()),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    for name in lines("checks") {
        tell(&name, run(&name).await);
    }
}
