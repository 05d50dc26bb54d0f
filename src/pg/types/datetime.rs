//! Dates, times, timestamps: text in and out.
//!
//! | type        | value                                                    | text out                    |
//! |-------------|----------------------------------------------------------|-----------------------------|
//! | date        | days since 2000-01-01 (i32; ends of the range: infinity) | `2024-01-31`                |
//! | time        | µs since midnight, 24:00 included                        | `12:34:56.789`              |
//! | timetz      | that, and seconds east of UTC                            | `12:34:56+02`               |
//! | timestamp   | µs since 2000-01-01 00:00 (i64; ends: infinity)          | `2024-01-31 12:34:56.789`   |
//! | timestamptz | µs since 2000-01-01 00:00 UTC                            | `2024-01-31 12:34:56.789+00`|
//!
//! Output is PostgreSQL's DateStyle `ISO`, but for years outside 1 to 9999. So that all
//! dates sort by their text, these are written with a mark and seven digits:
//!
//! | year            | mark, digits                | stored as        | shown as ([`shown`]) |
//! |-----------------|-----------------------------|------------------|----------------------|
//! | before Christ   | `/`, 10000000 less the year | `/9999956-03-15` | `0044-03-15 BC`      |
//! | 10000 and later | `Y`, the year               | `Y0012024-03-15` | `12024-03-15`        |
//!
//! Input takes what PostgreSQL's parser takes in common use: ISO 8601, `1/8/1999`
//! (in the order that DateStyle says), `Jan 8, 1999`, `8-Jan-1999`, `19990108`, `1999.008`, `J2451187`,
//! times with AM and PM, zones by offset, abbreviation and name, `infinity`,
//! `epoch`; and, where the caller says what time it is, `now`, `today`, `tomorrow`
//! and `yesterday`.

mod fields;

use std::borrow::Cow;
use std::fmt::Write;

use self::fields::{Day, Fields};
use super::calendar::{
    Civil, JULIAN_EPOCH, MICROS_PER_DAY, MICROS_PER_SECOND, civil_from_days, days_from_civil,
    month_length, split_days,
};
use super::date_style::Order;
use super::invalid_datetime;
use super::zone::Zone;
use crate::pg::{SqlError, SqlState};

/// The timestamps `infinity` and `-infinity`.
pub const INFINITY: i64 = i64::MAX;
pub const NEGATIVE_INFINITY: i64 = i64::MIN;

/// The dates `infinity` and `-infinity`.
pub const DATE_INFINITY: i32 = i32::MAX;
pub const DATE_NEGATIVE_INFINITY: i32 = i32::MIN;

/// 1970-01-01, in days and microseconds.
pub const UNIX_EPOCH_DAYS: i32 = -10_957;
pub const UNIX_EPOCH: i64 = UNIX_EPOCH_DAYS as i64 * MICROS_PER_DAY;

/// Julian day 0 to 5874897-12-31, as PostgreSQL's date.
const DATE_MIN: i64 = -JULIAN_EPOCH;
const DATE_END: i64 = 2_147_483_494 - JULIAN_EPOCH;

/// Julian day 0 to 294276-12-31, as PostgreSQL's timestamp.
const TIMESTAMP_MIN: i64 = -JULIAN_EPOCH * MICROS_PER_DAY;
const TIMESTAMP_END: i64 = 9_223_371_331_200_000_000;

/// Whether a finite timestamp is one that PostgreSQL has.
pub fn timestamp_in_range(micros: i64) -> bool {
    (TIMESTAMP_MIN..TIMESTAMP_END).contains(&micros)
}

/// Whether a finite date is one that PostgreSQL has.
pub fn date_in_range(days: i64) -> bool {
    (DATE_MIN..DATE_END).contains(&days)
}

/// The marks of years before Christ, and of those from 10000 on: in front of all digits and
/// behind them, but between `-infinity` and `infinity`.
const EARLY: char = '/';
const LATE: char = 'Y';

/// What years before Christ are counted down from.
const EARLY_YEARS: i64 = 10_000_000;

/// A stored date or timestamp, or what begins with one, as DateStyle `ISO` shows it.
pub fn shown(stored: &str) -> Cow<'_, str> {
    let Some(marked) = stored.strip_prefix([EARLY, LATE]) else { return stored.into() };
    let Some((year, rest)) = marked.split_at_checked(7) else { return stored.into() };
    match year.parse::<i64>() {
        Ok(year) if stored.starts_with(LATE) => format!("{year}{rest}").into(),
        Ok(year) => format!("{:04}{rest} BC", EARLY_YEARS - year).into(),
        Err(_) => stored.into(),
    }
}

/// Whether there may be a date in the text that is not shown as it is stored.
pub fn is_marked(text: &str) -> bool {
    text.contains([EARLY, LATE])
}

/// Reads a date, stored ones too. `now` is the present moment, if words such as `today` are
/// allowed.
pub fn parse_date(text: &str, zone: &Zone, now: Option<i64>) -> Result<i32, SqlError> {
    parse_date_ordered(&shown(text), zone, now, Order::default())
}

/// Reads a date as clients write it, of numbers in an order.
pub fn parse_date_ordered(
    text: &str,
    zone: &Zone,
    now: Option<i64>,
    order: Order,
) -> Result<i32, SqlError> {
    let fields = Fields::parse(text, "date", zone, now, order)?;
    let days = match fields.date.ok_or_else(|| invalid_datetime("date", text))? {
        Day::Infinity => return Ok(DATE_INFINITY),
        Day::NegativeInfinity => return Ok(DATE_NEGATIVE_INFINITY),
        Day::Moment(moment) => split_days(moment_to_local(moment, zone)).0,
        Day::Days(days) => days,
    };
    if date_in_range(days) {
        Ok(days as i32)
    } else {
        Err(SqlError::new(
            SqlState::DATETIME_FIELD_OVERFLOW,
            format!("date out of range: \"{text}\""),
        ))
    }
}

/// Reads a time of day; a date or zone beside it is ignored.
pub fn parse_time(text: &str, zone: &Zone, now: Option<i64>) -> Result<i64, SqlError> {
    let fields = Fields::parse(text, "time", zone, now, Order::default())?;
    if let Some(Day::Moment(moment)) = fields.date
        && fields.time.is_none()
    {
        return Ok(split_days(to_local(moment, zone)).1);
    }
    // A zone by name has no clock without a date.
    let is_known = !fields.zone_needs_date();
    fields.time.filter(|_| is_known).ok_or_else(|| invalid_datetime("time", text))
}

/// Reads a time of day and its offset, which the zone gives where the text does
/// not (at its date, if it has one, else at `now`, else in 2000).
pub fn parse_timetz(text: &str, zone: &Zone, now: Option<i64>) -> Result<(i64, i32), SqlError> {
    let fields = Fields::parse(text, "time with time zone", zone, now, Order::default())?;
    if let Some(Day::Moment(moment)) = fields.date
        && fields.time.is_none()
    {
        return Ok((split_days(to_local(moment, zone)).1, zone.offset_at(moment)));
    }
    let is_known = !fields.zone_needs_date();
    let time = fields.time.filter(|_| is_known);
    let time = time.ok_or_else(|| invalid_datetime("time with time zone", text))?;
    let day = match (&fields.date, now) {
        (Some(Day::Days(days)), _) => *days,
        (_, Some(now)) => split_days(now).0,
        _ => 0,
    };
    let local = day.saturating_mul(MICROS_PER_DAY).saturating_add(time);
    Ok((time, fields.zone.as_ref().unwrap_or(zone).offset_at_local(local)))
}

/// Reads a timestamp without a zone, stored ones too; a zone in the text is ignored.
pub fn parse_timestamp(text: &str, zone: &Zone, now: Option<i64>) -> Result<i64, SqlError> {
    parse_timestamp_ordered(&shown(text), zone, now, Order::default())
}

/// Reads a timestamp as clients write it, of numbers in an order.
pub fn parse_timestamp_ordered(
    text: &str,
    zone: &Zone,
    now: Option<i64>,
    order: Order,
) -> Result<i64, SqlError> {
    if let Some((micros, "")) = parse_plain(text) {
        return Ok(micros);
    }
    let fields = Fields::parse(text, "timestamp", zone, now, order)?;
    let time = fields.time;
    match fields.date.ok_or_else(|| invalid_datetime("timestamp", text))? {
        Day::Infinity => Ok(INFINITY),
        Day::NegativeInfinity => Ok(NEGATIVE_INFINITY),
        Day::Moment(moment) => Ok(moment_to_local(moment, zone)),
        Day::Days(days) => in_range(days, time.unwrap_or(0), 0, text),
    }
}

/// What a word that names a moment is on the zone's clock: `epoch` is the same on every.
fn moment_to_local(moment: i64, zone: &Zone) -> i64 {
    if moment == UNIX_EPOCH { moment } else { to_local(moment, zone) }
}

/// Reads a moment, stored ones too; local where the text names no zone.
pub fn parse_timestamptz(text: &str, zone: &Zone, now: Option<i64>) -> Result<i64, SqlError> {
    parse_timestamptz_ordered(&shown(text), zone, now, Order::default())
}

/// Reads a moment as clients write it, of numbers in an order.
pub fn parse_timestamptz_ordered(
    text: &str,
    zone: &Zone,
    now: Option<i64>,
    order: Order,
) -> Result<i64, SqlError> {
    match parse_plain(text) {
        Some((micros, "+00" | "Z")) => return Ok(micros),
        Some((micros, "")) if *zone == Zone::UTC => return Ok(micros),
        _ => {}
    }
    let name = "timestamp with time zone";
    let fields = Fields::parse(text, name, zone, now, order)?;
    match fields.date.ok_or_else(|| invalid_datetime(name, text))? {
        Day::Infinity => Ok(INFINITY),
        Day::NegativeInfinity => Ok(NEGATIVE_INFINITY),
        Day::Moment(moment) => Ok(moment),
        Day::Days(days) => {
            let time = fields.time.unwrap_or(0);
            let local = in_range(days, time, 0, text)?;
            let offset = fields.zone.as_ref().unwrap_or(zone).offset_at_local(local);
            in_range(days, time, offset, text)
        }
    }
}

/// Prints a date as it is stored.
pub fn print_date(days: i32, out: &mut impl Write) {
    match days {
        DATE_INFINITY => put(out, "infinity"),
        DATE_NEGATIVE_INFINITY => put(out, "-infinity"),
        _ => {
            print_civil(civil_from_days(days.into()), out);
        }
    }
}

/// Prints a time of day.
pub fn print_time(micros: i64, out: &mut impl Write) {
    let seconds = micros / MICROS_PER_SECOND;
    put2(out, seconds / 3600);
    put(out, ":");
    put2(out, seconds / 60 % 60);
    put(out, ":");
    put2(out, seconds % 60);
    print_fraction(micros % MICROS_PER_SECOND, out);
}

/// Prints a time of day with its offset.
pub fn print_timetz(micros: i64, offset: i32, out: &mut impl Write) {
    print_time(micros, out);
    print_offset(offset, out);
}

/// Prints a timestamp without a zone as it is stored.
pub fn print_timestamp(micros: i64, out: &mut impl Write) {
    print_moment(micros, None, out);
}

/// Prints a moment by a zone's clock; by that of UTC it is as stored.
pub fn print_timestamptz(micros: i64, zone: &Zone, out: &mut impl Write) {
    print_moment(micros, Some(zone), out);
}

fn print_moment(micros: i64, zone: Option<&Zone>, out: &mut impl Write) {
    match micros {
        INFINITY => return put(out, "infinity"),
        NEGATIVE_INFINITY => return put(out, "-infinity"),
        _ => {}
    }
    let offset = zone.map(|zone| zone.offset_at(micros));
    let local = micros.saturating_add(i64::from(offset.unwrap_or(0)) * MICROS_PER_SECOND);
    let (days, time) = split_days(local);
    print_civil(civil_from_days(days), out);
    put(out, " ");
    print_time(time, out);
    if let Some(offset) = offset {
        print_offset(offset, out);
    }
}

/// Prints `+hh`, and minutes and seconds where there are any.
pub(super) fn print_offset(offset: i32, out: &mut impl Write) {
    put(out, if offset < 0 { "-" } else { "+" });
    let seconds = i64::from(offset.unsigned_abs());
    put2(out, seconds / 3600);
    if seconds % 3600 != 0 {
        put(out, ":");
        put2(out, seconds / 60 % 60);
    }
    if seconds % 60 != 0 {
        put(out, ":");
        put2(out, seconds % 60);
    }
}

/// Prints `.` and microseconds without trailing zeros; nothing for zero.
pub(super) fn print_fraction(micros: i64, out: &mut impl Write) {
    if micros != 0 {
        let digits = format!("{micros:06}");
        put(out, ".");
        put(out, digits.trim_end_matches('0'));
    }
}

fn print_civil(civil: Civil, out: &mut impl Write) {
    // Writing to memory does not fail.
    let _ = match civil.year {
        year @ 1..=9999 => {
            put2(out, year / 100);
            put2(out, year % 100);
            Ok(())
        }
        // The year 0 is 1 BC.
        year @ ..=0 => write!(out, "{EARLY}{:07}", EARLY_YEARS - (1 - year)),
        year => write!(out, "{LATE}{year:07}"),
    };
    put(out, "-");
    put2(out, civil.month);
    put(out, "-");
    put2(out, civil.day);
}

pub(super) fn print_era(civil: Civil, out: &mut impl Write) {
    if civil.year <= 0 {
        put(out, " BC");
    }
}

fn put(out: &mut impl Write, text: &str) {
    let _ = out.write_str(text);
}

fn put2(out: &mut impl Write, number: i64) {
    let digit = |value: i64| char::from(b'0' + (value % 10) as u8);
    let _ = out.write_char(digit(number / 10));
    let _ = out.write_char(digit(number));
}

/// Rounds to `precision` digits behind the point of a second (0 to 6; others leave
/// it as it is).
pub fn round_micros(micros: i64, precision: i32) -> i64 {
    if !(0..6).contains(&precision) || matches!(micros, INFINITY | NEGATIVE_INFINITY) {
        return micros;
    }
    let unit = 10_i64.pow(6 - precision as u32);
    let half = unit / 2;
    // Half away from zero, as PostgreSQL does.
    let moved = if micros >= 0 { micros.saturating_add(half) } else { micros.saturating_sub(half) };
    moved / unit * unit
}

fn to_local(moment: i64, zone: &Zone) -> i64 {
    moment.saturating_add(i64::from(zone.offset_at(moment)) * MICROS_PER_SECOND)
}

fn in_range(days: i64, time: i64, offset: i32, text: &str) -> Result<i64, SqlError> {
    days.checked_mul(MICROS_PER_DAY)
        .and_then(|micros| {
            micros.checked_add(time)?.checked_sub(i64::from(offset) * MICROS_PER_SECOND)
        })
        .filter(|micros| timestamp_in_range(*micros))
        .ok_or_else(|| {
            SqlError::new(
                SqlState::DATETIME_FIELD_OVERFLOW,
                format!("timestamp out of range: \"{text}\""),
            )
        })
}

/// Reads `YYYY-MM-DD HH:MM:SS[.f…]` and gives what follows it: the form in which
/// values are stored, met far more often than all others.
fn parse_plain(text: &str) -> Option<(i64, &str)> {
    let bytes = text.as_bytes();
    if bytes.len() < 19 {
        return None;
    }
    let number = |from: usize, to: usize| {
        bytes[from..to].iter().try_fold(0_i64, |value, byte| {
            byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0'))
        })
    };
    let marks =
        [bytes[4], bytes[7], bytes[13], bytes[16]] == *b"--::" && matches!(bytes[10], b' ' | b'T');
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !marks
        || year == 0
        || !(1..=12).contains(&month)
        || day < 1
        || day > month_length(year, month)
        || hour > 23
        || minute > 59
        || second > 59
    {
        return None;
    }
    let mut end = 19;
    let mut fraction = 0;
    if bytes.get(end) == Some(&b'.') {
        let from = end + 1;
        end = from + bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if end - from > 6 {
            return None;
        }
        fraction = number(from, end)? * 10_i64.pow(6 - (end - from) as u32);
    }
    let seconds = (hour * 60 + minute) * 60 + second;
    let micros =
        days_from_civil(year, month, day) * MICROS_PER_DAY + seconds * MICROS_PER_SECOND + fraction;
    Some((micros, text.get(end..)?))
}
