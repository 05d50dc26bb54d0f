//! sqlx, with rustls.

mod shared;

use futures_util::TryStreamExt as _;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{
    Column as _, ConnectOptions as _, Connection as _, Executor as _, Row as _, TypeInfo as _,
};

use shared::{ERRORS, Outcome, expect, lines, new_leader, quoted, tell, types, variable};

async fn connect(password: &str) -> Result<PgConnection, sqlx::Error> {
    PgConnectOptions::new_without_pgpass()
        .host(&variable("PGHOST"))
        .port(variable("PGPORT").parse().expect("a port"))
        .username(&variable("PGUSER"))
        .password(password)
        .database(&variable("PGDATABASE"))
        .ssl_mode(PgSslMode::VerifyFull)
        .ssl_root_cert(variable("PGSSLROOTCERT"))
        .connect()
        .await
}

fn code(error: &sqlx::Error) -> Option<String> {
    error.as_database_error()?.code().map(|code| code.into_owned())
}

async fn fails(
    connection: &mut PgConnection,
    query: &str,
    state: &str,
) -> Result<sqlx::Error, Box<dyn std::error::Error + Send + Sync>> {
    match connection.execute(query).await {
        Ok(_) => Err(format!("{query} did not fail").into()),
        Err(error) => {
            expect(code(&error).as_deref(), Some(state), query)?;
            Ok(error)
        }
    }
}

/// As text: sqlx asks simple queries for it. Binary otherwise.
async fn value<T>(connection: &mut PgConnection, table: &str, binary: bool) -> Outcome
where
    T: for<'a> sqlx::Decode<'a, sqlx::Postgres>
        + for<'a> sqlx::Encode<'a, sqlx::Postgres>
        + sqlx::Type<sqlx::Postgres>
        + Send
        + Unpin
        + 'static,
{
    let read = format!("SELECT v FROM {table}");
    let value: T = if binary {
        sqlx::query_scalar(&read).fetch_one(&mut *connection).await?
    } else {
        connection.fetch_one(read.as_str()).await?.try_get(0)?
    };
    let update = format!("UPDATE {table} SET w = $1");
    sqlx::query(&update).bind(value).execute(&mut *connection).await?;
    let same = format!("SELECT v::text = w::text FROM {table}");
    let same: bool = sqlx::query_scalar(&same).fetch_one(&mut *connection).await?;
    // The blanks of a JSON text are the client's.
    if !table.contains("json") {
        expect(same, true, table)?;
    }
    Ok(())
}

async fn round_trip(connection: &mut PgConnection, binary: bool) -> Outcome {
    let mut left = Vec::new();
    for (at, (name, literal)) in types().into_iter().enumerate() {
        let short = name.split([' ', '(', '[']).next().unwrap_or_default();
        let table = format!("typed{at}_{short}_{binary}");
        connection.execute(format!("CREATE TABLE {table} (v {name}, w {name})").as_str()).await?;
        let insert = format!("INSERT INTO {table} (v) VALUES ({})", quoted(&literal));
        connection.execute(insert.as_str()).await?;
        match name.as_str() {
            "boolean" => value::<bool>(connection, &table, binary).await?,
            "smallint" => value::<i16>(connection, &table, binary).await?,
            "integer" => value::<i32>(connection, &table, binary).await?,
            "bigint" => value::<i64>(connection, &table, binary).await?,
            "real" => value::<f32>(connection, &table, binary).await?,
            "double precision" => value::<f64>(connection, &table, binary).await?,
            "text" | "character varying(10)" | "character(5)" => {
                value::<String>(connection, &table, binary).await?;
            }
            "bytea" => value::<Vec<u8>>(connection, &table, binary).await?,
            "date" => value::<time::Date>(connection, &table, binary).await?,
            "time without time zone" => value::<time::Time>(connection, &table, binary).await?,
            "timestamp without time zone" => {
                value::<time::PrimitiveDateTime>(connection, &table, binary).await?
            }
            "timestamp with time zone" => {
                value::<time::OffsetDateTime>(connection, &table, binary).await?
            }
            "uuid" => value::<uuid::Uuid>(connection, &table, binary).await?,
            "json" | "jsonb" => value::<serde_json::Value>(connection, &table, binary).await?,
            "mood" => value::<Mood>(connection, &table, binary).await?,
            "integer[]" => value::<Vec<Option<i32>>>(connection, &table, binary).await?,
            "text[]" => value::<Vec<Option<String>>>(connection, &table, binary).await?,
            _ => left.push(name),
        }
    }
    expect(left, ["numeric", "interval"], "what it has no type for")
}

struct Mood(String);

impl sqlx::Type<sqlx::Postgres> for Mood {
    fn type_info() -> sqlx::postgres::PgTypeInfo {
        sqlx::postgres::PgTypeInfo::with_name("mood")
    }
}

impl<'r> sqlx::Decode<'r, sqlx::Postgres> for Mood {
    fn decode(value: sqlx::postgres::PgValueRef<'r>) -> Result<Self, sqlx::error::BoxDynError> {
        Ok(Self(value.as_str()?.to_owned()))
    }
}

impl sqlx::Encode<'_, sqlx::Postgres> for Mood {
    fn encode_by_ref(
        &self,
        buffer: &mut sqlx::postgres::PgArgumentBuffer,
    ) -> Result<sqlx::encode::IsNull, sqlx::error::BoxDynError> {
        buffer.extend_from_slice(self.0.as_bytes());
        Ok(sqlx::encode::IsNull::No)
    }
}

async fn checked(name: &str) -> Outcome {
    let mut connection = connect(&variable("PGPASSWORD")).await?;
    match name {
        "connect" => {
            let one: i32 = sqlx::query_scalar("SELECT 1").fetch_one(&mut connection).await?;
            expect(one, 1, "SELECT 1")?;
            let told = connect("wrong").await.err().as_ref().and_then(code);
            expect(told.as_deref(), Some("28P01"), "a wrong password")
        }
        "migrate" => {
            let mut transaction = connection.begin().await?;
            for statement in lines("migrate.sql") {
                transaction.execute(statement.as_str()).await?;
            }
            transaction.commit().await?;
            let query = "SELECT * FROM both ORDER BY 1";
            let rows: Vec<(String, i32)> = sqlx::query_as(query).fetch_all(&mut connection).await?;
            expect(rows, [("one".to_owned(), 1), ("two".to_owned(), 2)], "the view")
        }
        "types" => round_trip(&mut connection, false).await,
        "binary types" => round_trip(&mut connection, true).await,
        "errors" => {
            for (query, state) in ERRORS {
                fails(&mut connection, query, state).await?;
            }
            let error = fails(&mut connection, ERRORS[0].0, "23505").await?;
            let error = error.as_database_error().ok_or("not of the database")?;
            expect(error.is_unique_violation(), true, "its kind")?;
            expect(error.constraint(), Some("parent_name_key"), "the constraint")
        }
        "transactions" => {
            let mut transaction = connection.begin().await?;
            transaction.execute("INSERT INTO written VALUES (-1)").await?;
            transaction.rollback().await?;
            let mut transaction = connection.begin().await?;
            transaction.execute("INSERT INTO written VALUES (-2)").await?;
            let mut savepoint = transaction.begin().await?;
            fails(&mut savepoint, "INSERT INTO written VALUES (-2)", "23505").await?;
            fails(&mut savepoint, "SELECT 1", "25P02").await?;
            savepoint.rollback().await?;
            transaction.execute("INSERT INTO written VALUES (-3)").await?;
            transaction.commit().await?;
            let query = "SELECT i FROM written WHERE i < 0 ORDER BY i";
            let rows: Vec<i32> = sqlx::query_scalar(query).fetch_all(&mut connection).await?;
            expect(rows, [-3, -2], "rows")
        }
        "cursors" => {
            let query = "SELECT i FROM many ORDER BY i";
            let mut rows = sqlx::query_scalar::<_, i32>(query).fetch(&mut connection);
            let mut seen = Vec::new();
            while let Some(row) = rows.try_next().await? {
                seen.push(row);
            }
            expect(seen, (1..=1000).collect::<Vec<i32>>(), "rows")
        }
        "copy" => {
            let mut copy = connection.copy_in_raw("COPY child (parent, amount) FROM STDIN").await?;
            copy.send(&b"1\t10\n2\t\\N\n"[..]).await?;
            expect(copy.finish().await?, 2, "copied")?;
            let query = "COPY (SELECT parent, amount FROM child ORDER BY id) TO STDOUT CSV";
            let out: Vec<_> = connection.copy_out_raw(query).await?.try_collect().await?;
            expect(out.concat(), *b"1,1\n2,2\n1,10\n2,\n", "what came out")
        }
        "introspection" => {
            let described = connection.describe("SELECT * FROM parent WHERE kept = $1").await?;
            let names: Vec<String> = described
                .columns()
                .iter()
                .map(|column| format!("{} {}", column.name(), column.type_info().name()))
                .collect();
            let wanted =
                ["id INT4", "name VARCHAR", "renamed INT8", "kept mood", "made TIMESTAMPTZ"];
            expect(names, wanted, "columns")?;
            let nullable: Vec<_> = (0..3).map(|at| described.nullable(at)).collect();
            expect(nullable, [Some(false), Some(false), Some(true)], "what may be NULL")
        }
        "new leader" => {
            let change = new_leader();
            let (mut number, mut after) = (0_i32, 0);
            while after < 20 {
                let insert = sqlx::query("INSERT INTO written VALUES ($1)").bind(number);
                insert.execute(&mut connection).await?;
                number += 1;
                after += i32::from(change.is_finished());
            }
            expect(change.await??.success(), true, "the change of leader")?;
            let count = "SELECT count(*) FROM written WHERE i >= 0";
            let count: i64 = sqlx::query_scalar(count).fetch_one(&mut connection).await?;
            expect(count, i64::from(number), "rows")
        }
        other => Err(format!("no such check: {other}").into()),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    for name in lines("checks") {
        let outcome = match name.as_str() {
            "cancel" => Err("it has no such call"),
            name => Ok(checked(name).await),
        };
        tell(&name, outcome);
    }
}
