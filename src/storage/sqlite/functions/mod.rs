//! The functions that Towline adds to SQLite, and what they may ask of their
//! connection.
//!
//! A function raises an error that a client should see by returning
//! [`Surroundings::raise`] (or a `rusqlite::Error::UserFunctionError` of a
//! [`crate::pg::SqlError`]). SQLite carries only a text upwards: `22012: division by zero`.
//! The connection recovers the whole error, detail and hint included, from what
//! [`Surroundings::raise`] put aside where the texts are equal, else state and
//! message from the text alone.
//!
//! All functions are registered `INNOCUOUS`, or views, triggers and defaults could
//! not call them under `trusted_schema=OFF`; `DETERMINISTIC` only where they are.
//!
//! Who answers for what:
//!
//! | file          | functions                                                           |
//! |---------------|---------------------------------------------------------------------|
//! | `determinism` | time, randomness, sequences: what every node must repeat            |
//! | `operators`   | arithmetic of numbers, dates and intervals; exact `sum` and `avg`   |
//! | `casts`       | `towline_cast_*`, `towline_text_*`, and names of types as functions |
//! | `text`        | text and bytea; `towline_format`                                    |
//! | `regex`       | `regexp_*`, `towline_regex`, `towline_like`, `towline_similar`      |
//! | `arrays`      | `array_*`, `towline_array*`, `towline_row_field`                    |
//! | `json`        | `json_*`, `jsonb_*`, `towline_json*`                                |
//! | `json_parts`  | what `json_each` and functions of records walk over; `json_object` |
//! | `jsonpath`    | `jsonb_path_*`, `towline_jsonb_path_query`                          |
//! | `money`       | `towline_money*`: what amounts of money do                         |
//! | `math`        | mathematics; `towline_round` and others that SQLite has otherwise   |
//! | `datetime`    | `date_trunc`, `to_char`, …; `towline_extract`                       |
//! | `degrees`     | trigonometry in degrees: `sind`, …                                  |
//! | `aggregates`  | `array_agg`, `json_agg`, `bool_and`, `stddev`, …                    |
//! | `regression`  | `corr`, `covar_*`, `regr_*`                                         |
//! | `packing`     | `towline_pack`, `towline_unpack`: rows as one value                   |
//! | `rows`        | `towline_record*`, `towline_cast_made`, and the order of rows       |
//! | `shapes`      | `towline_shape_*`: operators and functions of the geometric types   |
//! | `system`      | `pg_*`, `current_*`, `has_*`, `towline_reg*`, `towline_text_reg*`   |

mod advisory;
mod aggregates;
mod array_text;
mod arrays;
mod call;
mod casts;
mod datetime;
mod degrees;
mod determinism;
mod digests;
mod extents;
mod json;
mod json_parts;
mod jsonpath;
mod math;
mod moment;
mod money;
mod number_format;
mod numeric;
mod operators;
mod packing;
mod privileges;
mod regex;
mod regression;
mod rows;
mod shapes;
mod surroundings;
mod system;
mod text;
mod time_format;
mod time_parse;

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;

use self::call::Registry;
pub use advisory::{AdvisoryCall, AdvisoryKey, AdvisoryLocks, NEEDS_LOCK};
pub(super) use determinism::CHANGES_NATIVE_MAX;
pub use surroundings::{NEEDS_ROWS, NotificationMade, SettingMade, Shipped};
pub(super) use surroundings::{Sequences, Surroundings, WRITE_BY_LOCAL, fold_name};
pub use system::{CANCEL, CANCEL_REQUEST, Orders, TERMINATE, bare_channel, scoped_channel};

/// Flags of a function whose result depends on its arguments alone.
pub(super) const PURE: FunctionFlags = FunctionFlags::SQLITE_UTF8
    .union(FunctionFlags::SQLITE_DETERMINISTIC)
    .union(FunctionFlags::SQLITE_INNOCUOUS);

/// Flags of a function that also depends on its surroundings.
pub(super) const IMPURE: FunctionFlags =
    FunctionFlags::SQLITE_UTF8.union(FunctionFlags::SQLITE_INNOCUOUS);

/// Registers every function on a connection.
pub(super) fn register_all(
    connection: &Connection,
    surroundings: &Surroundings,
) -> rusqlite::Result<()> {
    let registry = Registry { connection, surroundings };
    determinism::register(registry)?;
    operators::register(registry)?;
    casts::register(registry)?;
    extents::register(registry)?;
    text::register(registry)?;
    digests::register(registry)?;
    arrays::register(registry)?;
    aggregates::register(registry)?;
    regression::register(registry)?;
    math::register(registry)?;
    money::register(registry)?;
    degrees::register(registry)?;
    datetime::register(registry)?;
    json::register(registry)?;
    json_parts::register(registry)?;
    jsonpath::register(registry)?;
    regex::register(registry)?;
    advisory::register(registry)?;
    packing::register(registry)?;
    rows::register(registry)?;
    shapes::register(registry)?;
    system::register(registry)
}
