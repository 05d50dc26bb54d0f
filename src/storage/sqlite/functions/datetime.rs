//! PostgreSQL's date and time functions. Arithmetic on them is in `operators`.
//!
//! What depends on the session's time zone gets it, or a time by its clock, from the
//! translator: a function must give the same on every node.

use bigdecimal::BigDecimal;

use super::call::{Answer, Call, Registry, bad_argument, boolean, text};
use super::moment::{
    Clock, Moment, century, counted_year, decade, millennium, truncate, truncate_interval,
    unit_name, unknown_unit,
};
use super::numeric::{divide, printed};
use super::{IMPURE, PURE, number_format, time_format, time_parse};
use crate::log::{Value, ValueRef};
use crate::pg::types::calendar::{
    MICROS_PER_DAY, MICROS_PER_SECOND, days_from_civil, month_length,
};
use crate::pg::types::datetime::{
    INFINITY, UNIX_EPOCH, print_date, print_time, print_timestamp, print_timestamptz,
    timestamp_in_range,
};
use crate::pg::types::interval::{Interval, age, interval_out_of_range, timestamp_plus};
use crate::pg::types::zone::Zone;
use crate::pg::{SqlError, SqlState};

pub(super) fn register(registry: Registry<'_>) -> rusqlite::Result<()> {
    registry.define_strict(
        PURE,
        &[
            ("age", 2, |call| between(moment(call, 0)?, moment(call, 1)?)),
            ("age", 3, |call| {
                let zone = zone(&call.text(2)?)?;
                between(shown(moment(call, 0)?, &zone), shown(moment(call, 1)?, &zone))
            }),
            ("date_bin", 3, date_bin),
            ("towline_moment_us", 1, |call| {
                Ok(moment(call, 0)?.micros().map_or(Value::Null, Value::Integer))
            }),
            ("date_part", 2, date_part),
            ("date_part", 3, date_part),
            ("date_trunc", 2, trunc),
            ("date_trunc", 3, trunc),
            // In capitals it would be a number's.
            ("isfinite", 1, |call| boolean(!call.text(0)?.ends_with("infinity"))),
            ("justify_days", 1, |call| justified(call, Interval::justify_days)),
            ("justify_hours", 1, |call| justified(call, Interval::justify_hours)),
            ("justify_interval", 1, |call| justified(call, justify)),
            ("make_date", 3, |call| {
                let mut date = String::new();
                let days = date_days(call)?;
                print_date(i32::try_from(days).map_err(|_| out_of_range("date"))?, &mut date);
                text(date)
            }),
            ("make_interval", -1, make_interval),
            ("make_time", 3, |call| {
                let mut time = String::new();
                print_time(time_micros(call, 0)?, &mut time);
                text(time)
            }),
            ("make_timestamp", 6, |call| {
                let mut timestamp = String::new();
                print_timestamp(timestamp_micros(call)?, &mut timestamp);
                text(timestamp)
            }),
            ("make_timestamptz", 6, make_timestamptz),
            ("make_timestamptz", 7, make_timestamptz),
            ("to_char", 2, to_char),
            ("to_char", 3, to_char),
            ("to_date", 2, |call| {
                let micros = time_parse::parse(&call.text(0)?, &call.text(1)?)?;
                let days = i32::try_from(micros.div_euclid(MICROS_PER_DAY));
                let mut date = String::new();
                print_date(days.map_err(|_| out_of_range("date"))?, &mut date);
                text(date)
            }),
            ("to_number", 2, |call| {
                let number = number_format::parse(&call.text(0)?, &call.text(1)?)?;
                Ok(number.map_or(Value::Null, Value::Text))
            }),
            ("to_timestamp", 1, |call| from_unix(call.real(0)?)),
            ("to_timestamp", 3, |call| {
                let local = time_parse::parse(&call.text(0)?, &call.text(1)?)?;
                let offset = zone(&call.text(2)?)?.offset_at_local(local);
                printed_utc(local - i64::from(offset) * MICROS_PER_SECOND)
            }),
            ("towline_extract", 2, extract),
            ("towline_extract", 3, extract),
        ],
    )?;
    registry.define(PURE, &[("towline_overlaps", 4, overlaps)])?;
    registry.define_strict(
        IMPURE,
        &[("timeofday", 0, |call| {
            let now = call.surroundings.clock_us() + UNIX_EPOCH;
            let format = "Dy Mon DD HH24:MI:SS.US YYYY";
            text(time_format::print(Moment::Timestamp(now), format, &Zone::UTC)? + " UTC")
        })],
    )
}

fn moment(call: &Call<'_, '_>, at: usize) -> Result<Moment, SqlError> {
    Moment::parse(&call.text(at)?)
}

fn out_of_range(kind: &str) -> SqlError {
    SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, format!("{kind} out of range"))
}

fn between(later: Moment, earlier: Moment) -> Answer {
    match (later.micros(), earlier.micros()) {
        (Some(later), Some(earlier)) => text(age(later, earlier)?.to_string()),
        _ => Err(bad_argument("age of an interval")),
    }
}

fn justified(call: &Call<'_, '_>, justify: fn(Interval) -> Option<Interval>) -> Answer {
    let interval = Interval::parse(&call.text(0)?)?;
    text(justify(interval).ok_or_else(interval_out_of_range)?.to_string())
}

/// Hours to days, days to months, and all three of one sign where that can be.
fn justify(interval: Interval) -> Option<Interval> {
    let mut result = interval;
    let whole = i32::try_from(result.micros / MICROS_PER_DAY).ok()?;
    result.micros %= MICROS_PER_DAY;
    result.days = result.days.checked_add(whole)?;
    result.months = result.months.checked_add(result.days / 30)?;
    result.days %= 30;
    let below = |days: i32, micros: i64| days < 0 || (days == 0 && micros < 0);
    let above = |days: i32, micros: i64| days > 0 || (days == 0 && micros > 0);
    if result.months > 0 && below(result.days, result.micros) {
        result.days += 30;
        result.months -= 1;
    } else if result.months < 0 && above(result.days, result.micros) {
        result.days -= 30;
        result.months += 1;
    }
    if result.days > 0 && result.micros < 0 {
        result.micros += MICROS_PER_DAY;
        result.days -= 1;
    } else if result.days < 0 && result.micros > 0 {
        result.micros -= MICROS_PER_DAY;
        result.days += 1;
    }
    Some(result)
}

fn printed_utc(micros: i64) -> Answer {
    let mut timestamp = String::new();
    print_timestamptz(micros, &Zone::UTC, &mut timestamp);
    text(timestamp)
}

#[allow(clippy::cast_possible_truncation)]
fn from_unix(seconds: f64) -> Answer {
    if seconds.is_infinite() {
        return text(if seconds > 0.0 { "infinity" } else { "-infinity" });
    }
    let micros = (seconds * 1e6).round();
    let micros = if micros.abs() < 9e18 { (micros as i64).checked_add(UNIX_EPOCH) } else { None };
    match micros.filter(|micros| timestamp_in_range(*micros)) {
        Some(micros) => printed_utc(micros),
        None => Err(out_of_range("timestamp")),
    }
}

/// A numeric with so many decimals, of a number counted in its last one.
fn decimal(units: i64, scale: i64) -> Value {
    printed(&BigDecimal::new(units.into(), scale))
}

fn whole(value: i64) -> Value {
    Value::Text(value.to_string())
}

/// `date_part(field, moment [, zone])`: as [`extract`], but a float.
fn date_part(call: &Call<'_, '_>) -> Answer {
    Ok(match extract(call)? {
        Value::Text(number) => number.parse().map_or(Value::Text(number), Value::Real),
        other => other,
    })
}

/// `extract(field from moment)`, as a numeric. A moment with a zone shows what the clock
/// of `zone` shows.
fn extract(call: &Call<'_, '_>) -> Answer {
    let field = call.text(0)?.trim().to_ascii_lowercase();
    let field = unit_name(&field);
    match moment(call, 1)? {
        Moment::Interval(interval) => extract_of_interval(field, interval),
        Moment::Timetz(micros, offset) => extract_of_timetz(field, micros, offset),
        Moment::Timestamptz(micros) => {
            let zone = if call.len() > 2 { zone(&call.text(2)?)? } else { Zone::UTC };
            let offset = zone.offset_at(micros);
            let local = micros.saturating_add(i64::from(offset) * MICROS_PER_SECOND);
            match field {
                "epoch" => Ok(epoch(micros)),
                _ => extract_of_zone(field, offset).map_or_else(
                    || extract_of_moment(field, Moment::Timestamptz(micros), local),
                    Ok,
                ),
            }
        }
        moment => {
            let micros = moment.micros().unwrap_or(0);
            if !moment.is_finite() {
                return extract_of_infinity(field, moment, micros);
            }
            extract_of_moment(field, moment, micros)
        }
    }
}

/// What grows without bound is infinite; what goes round is unknown.
fn extract_of_infinity(field: &str, moment: Moment, micros: i64) -> Answer {
    extract_of_moment(field, moment, 0)?;
    let grows = matches!(
        field,
        "year" | "decade" | "century" | "millennium" | "julian" | "isoyear" | "epoch"
    );
    if !grows {
        return Ok(Value::Null);
    }
    text(if micros == INFINITY { "Infinity" } else { "-Infinity" })
}

fn extract_of_moment(field: &str, moment: Moment, micros: i64) -> Answer {
    let clock = Clock::at(micros);
    let year = clock.date.year;
    let is_date = matches!(moment, Moment::Date(_));
    let sub_minute = clock.second * MICROS_PER_SECOND + clock.micros;
    Ok(match field {
        "century" => whole(century(year)),
        "day" | "days" => whole(clock.date.day),
        "decade" => whole(decade(year)),
        "dow" => whole(clock.weekday()),
        "doy" => whole(clock.day_of_year()),
        "epoch" if is_date => whole((micros - UNIX_EPOCH) / MICROS_PER_SECOND),
        "epoch" => epoch(micros),
        "isodow" => whole(clock.iso_weekday()),
        "isoyear" => whole(counted_year(clock.iso_week().0)),
        "julian" if is_date => whole(clock.julian()),
        "julian" => {
            let part = divide(&BigDecimal::from(clock.time()), &BigDecimal::from(MICROS_PER_DAY))?;
            printed(&(BigDecimal::from(clock.julian()) + part))
        }
        "millennium" => whole(millennium(year)),
        "month" | "months" => whole(clock.date.month),
        "quarter" => whole((clock.date.month - 1) / 3 + 1),
        "week" => whole(clock.iso_week().1),
        "year" | "years" => whole(clock.year()),
        "hour" | "hours" if !is_date => whole(clock.hour),
        "minute" | "minutes" if !is_date => whole(clock.minute),
        "second" | "seconds" if !is_date => decimal(sub_minute, 6),
        "milliseconds" | "millisecond" if !is_date => decimal(sub_minute, 3),
        "microseconds" | "microsecond" if !is_date => whole(sub_minute),
        "hour" | "minute" | "second" | "milliseconds" | "microseconds" | "timezone"
        | "timezone_hour" | "timezone_minute" => return Err(unsupported_unit(field, moment)),
        _ => return Err(unknown_unit(field, moment.kind())),
    })
}

/// Seconds since 1970, of microseconds since 2000.
fn epoch(micros: i64) -> Value {
    let since = i128::from(micros) - i128::from(UNIX_EPOCH);
    printed(&BigDecimal::new(since.into(), 6))
}

fn extract_of_zone(field: &str, offset: i32) -> Option<Value> {
    Some(match field {
        "timezone" => whole(i64::from(offset)),
        "timezone_hour" => whole(i64::from(offset / 3600)),
        "timezone_minute" => whole(i64::from(offset / 60 % 60)),
        _ => return None,
    })
}

fn extract_of_timetz(field: &str, micros: i64, offset: i32) -> Answer {
    if let Some(value) = extract_of_zone(field, offset) {
        return Ok(value);
    }
    match field {
        "epoch" => Ok(decimal(micros - i64::from(offset) * MICROS_PER_SECOND, 6)),
        "hour" | "hours" | "minute" | "minutes" | "second" | "seconds" | "milliseconds"
        | "millisecond" | "microseconds" | "microsecond" => {
            extract_of_interval(field, Interval { micros, ..Interval::default() })
        }
        "day" | "month" | "year" | "week" | "quarter" | "dow" | "doy" | "century" | "decade" => {
            Err(unsupported_unit(field, Moment::Timetz(micros, offset)))
        }
        _ => Err(unknown_unit(field, "time with time zone")),
    }
}

fn unsupported_unit(field: &str, moment: Moment) -> SqlError {
    SqlError::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        format!("unit \"{field}\" not supported for type {}", moment.kind()),
    )
}

fn extract_of_interval(field: &str, interval: Interval) -> Answer {
    let Interval { months, days, micros } = interval;
    let (years, months) = (i64::from(months / 12), i64::from(months % 12));
    let seconds = micros / MICROS_PER_SECOND;
    let sub_minute = micros % (60 * MICROS_PER_SECOND);
    Ok(match field {
        "century" => whole(years / 100),
        "day" | "days" => whole(i64::from(days)),
        "decade" => whole(years / 10),
        "epoch" => {
            // A year has 365.25 days, a month 30.
            let seconds = years * 31_557_600 + months * 2_592_000 + i64::from(days) * 86_400;
            let total = i128::from(seconds) * i128::from(MICROS_PER_SECOND) + i128::from(micros);
            printed(&BigDecimal::new(total.into(), 6))
        }
        "hour" | "hours" => whole(seconds / 3600),
        "microseconds" | "microsecond" => whole(sub_minute),
        "millennium" => whole(years / 1000),
        "milliseconds" | "millisecond" => decimal(sub_minute, 3),
        "minute" | "minutes" => whole(seconds / 60 % 60),
        "month" | "months" => whole(months),
        "quarter" => whole(months / 3 + 1),
        "second" | "seconds" => decimal(sub_minute, 6),
        "year" | "years" => whole(years),
        "dow" | "doy" | "isodow" | "isoyear" | "julian" | "week" | "timezone" | "timezone_hour"
        | "timezone_minute" => {
            return Err(unsupported_unit(field, Moment::Interval(interval)));
        }
        _ => return Err(unknown_unit(field, "interval")),
    })
}

fn zone(name: &str) -> Result<Zone, SqlError> {
    Zone::parse(name).ok_or_else(|| bad_argument(format!("time zone \"{name}\" not recognized")))
}

/// `date_trunc(unit, moment [, zone])`.
fn trunc(call: &Call<'_, '_>) -> Answer {
    let unit = call.text(0)?.trim().to_ascii_lowercase();
    let unit = unit_name(&unit);
    let moment = moment(call, 1)?;
    let unknown = || unknown_unit(unit, moment.kind());
    if !moment.is_finite() {
        truncate(0, unit).ok_or_else(unknown)?;
        return text(call.text(1)?);
    }
    match moment {
        Moment::Interval(interval) => {
            if unit == "week" {
                return Err(unsupported_unit(unit, moment)
                    .with_detail("Months usually have fractional weeks."));
            }
            text(truncate_interval(interval, unit).ok_or_else(unknown)?.to_string())
        }
        Moment::Timetz(..) => Err(SqlError::new(
            SqlState::UNDEFINED_FUNCTION,
            "function date_trunc(text, time with time zone) does not exist",
        )),
        Moment::Timestamptz(micros) => {
            let zone = if call.len() > 2 { zone(&call.text(2)?)? } else { Zone::UTC };
            let offset = |seconds: i32| i64::from(seconds) * MICROS_PER_SECOND;
            let now = offset(zone.offset_at(micros));
            let cut = truncate(micros.saturating_add(now), unit).ok_or_else(unknown)?;
            // Hours are of the clock as it stands, though that may show them twice.
            let within =
                unit.contains("hour") || unit.contains("minute") || unit.contains("second");
            let then = if within { now } else { offset(zone.offset_at_local(cut)) };
            printed_utc(cut.saturating_sub(then))
        }
        Moment::Date(micros) | Moment::Timestamp(micros) => {
            let mut timestamp = String::new();
            print_timestamp(truncate(micros, unit).ok_or_else(unknown)?, &mut timestamp);
            text(timestamp)
        }
    }
}

/// Days of the date in arguments 0 to 2; a negative year is BC.
fn date_days(call: &Call<'_, '_>) -> Result<i64, SqlError> {
    let (year, month, day) = (call.integer(0)?, call.integer(1)?, call.integer(2)?);
    let counted = if year < 0 { year + 1 } else { year };
    let valid = year != 0
        && year.abs() < 300_000
        && (1..=12).contains(&month)
        && (1..=month_length(counted, month)).contains(&day);
    if !valid {
        return Err(SqlError::new(
            SqlState::DATETIME_FIELD_OVERFLOW,
            format!("date field value out of range: {year}-{month:02}-{day:02}"),
        ));
    }
    Ok(days_from_civil(counted, month, day))
}

/// Microseconds of the time in three arguments.
#[allow(clippy::cast_possible_truncation)]
fn time_micros(call: &Call<'_, '_>, at: usize) -> Result<i64, SqlError> {
    let (hour, minute) = (call.integer(at)?, call.integer(at + 1)?);
    let seconds = call.real(at + 2)?;
    let valid = (0..=24).contains(&hour)
        && (0..60).contains(&minute)
        && (0.0..=60.0).contains(&seconds)
        && (hour < 24 || (minute == 0 && seconds == 0.0));
    if !valid {
        return Err(SqlError::new(
            SqlState::DATETIME_FIELD_OVERFLOW,
            format!("time field value out of range: {hour}:{minute:02}:{seconds:02}"),
        ));
    }
    Ok((hour * 3600 + minute * 60) * MICROS_PER_SECOND + (seconds * 1e6).round() as i64)
}

fn timestamp_micros(call: &Call<'_, '_>) -> Result<i64, SqlError> {
    let micros = date_days(call)? * MICROS_PER_DAY + time_micros(call, 3)?;
    if timestamp_in_range(micros) { Ok(micros) } else { Err(out_of_range("timestamp")) }
}

fn make_timestamptz(call: &Call<'_, '_>) -> Answer {
    let local = timestamp_micros(call)?;
    let zone = if call.len() > 6 { zone(&call.text(6)?)? } else { Zone::UTC };
    printed_utc(local - i64::from(zone.offset_at_local(local)) * MICROS_PER_SECOND)
}

/// Years, months, weeks, days, hours, minutes, seconds: all optional.
#[allow(clippy::cast_possible_truncation)]
fn make_interval(call: &Call<'_, '_>) -> Answer {
    let part = |at: usize| if at < call.len() { call.integer(at) } else { Ok(0) };
    let seconds = if call.len() > 6 { call.real(6)? } else { 0.0 };
    let months = part(0)?.checked_mul(12).and_then(|months| months.checked_add(part(1).ok()?));
    let days = part(2)?.checked_mul(7).and_then(|days| days.checked_add(part(3).ok()?));
    let minutes = part(4)?.checked_mul(60).and_then(|minutes| minutes.checked_add(part(5).ok()?));
    let micros = minutes
        .and_then(|minutes| minutes.checked_mul(60 * MICROS_PER_SECOND))
        .and_then(|micros| micros.checked_add((seconds * 1e6).round() as i64));
    let narrow = |value: Option<i64>| value.and_then(|value| i32::try_from(value).ok());
    match (narrow(months), narrow(days), micros) {
        (Some(months), Some(days), Some(micros)) => {
            text(Interval { months, days, micros }.to_string())
        }
        _ => Err(interval_out_of_range()),
    }
}

/// `to_char` of what the first argument is.
fn to_char(call: &Call<'_, '_>) -> Answer {
    let format = call.text(1)?;
    let value = call.text(0)?;
    let is_number = match call.value(0) {
        ValueRef::Integer(_) | ValueRef::Real(_) => true,
        _ => {
            value.parse::<BigDecimal>().is_ok()
                || matches!(&*value, "NaN" | "Infinity" | "-Infinity")
        }
    };
    if is_number {
        return text(number_format::print(&value, &format)?);
    }
    let zone = if call.len() > 2 { zone(&call.text(2)?)? } else { Zone::UTC };
    let moment = Moment::parse(&value)?;
    if !moment.is_finite() {
        return Ok(Value::Null);
    }
    text(time_format::print(moment, &format, &zone)?)
}

/// A moment with a zone as the clock of `zone` shows it.
fn shown(moment: Moment, zone: &Zone) -> Moment {
    match moment {
        Moment::Timestamptz(micros) if moment.is_finite() => {
            let offset = i64::from(zone.offset_at(micros)) * MICROS_PER_SECOND;
            Moment::Timestamp(micros.saturating_add(offset))
        }
        moment => moment,
    }
}

/// `date_bin(stride, moment, origin)`: where the stride begins that the moment lies in.
fn date_bin(call: &Call<'_, '_>) -> Answer {
    let stride = Interval::parse(&call.text(0)?)?;
    let (source, origin) = (moment(call, 1)?, moment(call, 2)?);
    let zero_or_months = |message: &str| SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, message);
    if stride.months != 0 {
        return Err(SqlError::unsupported(
            "a timestamp cut into bins of an interval of months or years",
        ));
    }
    let width = i64::from(stride.days)
        .checked_mul(MICROS_PER_DAY)
        .and_then(|width| width.checked_add(stride.micros))
        .ok_or_else(|| zero_or_months("interval out of range"))?;
    if width <= 0 {
        return Err(zero_or_months("stride must be greater than zero"));
    }
    let (Some(at), Some(from)) = (source.micros(), origin.micros()) else {
        return Err(bad_argument("date_bin takes timestamps".to_owned()));
    };
    if !source.is_finite() {
        return text(call.text(1)?);
    }
    let out_of_range = || zero_or_months("timestamp out of range");
    let behind = at.checked_sub(from).ok_or_else(out_of_range)?;
    let begin =
        behind.div_euclid(width).checked_mul(width).and_then(|whole| from.checked_add(whole));
    let begin = begin.filter(|begin| timestamp_in_range(*begin)).ok_or_else(out_of_range)?;
    match source {
        Moment::Timestamptz(_) => printed_utc(begin),
        _ => {
            let mut timestamp = String::new();
            print_timestamp(begin, &mut timestamp);
            text(timestamp)
        }
    }
}

/// `(from, to) OVERLAPS (from, to)`; an end may be the length of its period.
fn overlaps(call: &Call<'_, '_>) -> Answer {
    let read = |at: usize| match call.value(at) {
        ValueRef::Null => Ok(None),
        _ => moment(call, at).map(Some),
    };
    let period = |at: usize| {
        let (from, to) = (read(at)?, read(at + 1)?);
        let from = from.and_then(Moment::micros);
        let to = match to {
            Some(Moment::Interval(length)) => {
                from.map(|from| timestamp_plus(from, length)).transpose()?
            }
            to => to.and_then(Moment::micros),
        };
        // The earlier first; one that is not known last.
        Ok::<_, SqlError>(match (from, to) {
            (Some(from), Some(to)) => (Some(from.min(to)), Some(from.max(to))),
            (from, to) => (from.or(to), None),
        })
    };
    let ((from, to), (other_from, other_to)) = (period(0)?, period(2)?);
    let (Some(from), Some(other_from)) = (from, other_from) else { return Ok(Value::Null) };
    let (later, earlier_end, later_end) = match from.cmp(&other_from) {
        std::cmp::Ordering::Greater => (from, other_to, to),
        std::cmp::Ordering::Less => (other_from, to, other_to),
        std::cmp::Ordering::Equal => {
            return if to.is_some() && other_to.is_some() {
                boolean(true)
            } else {
                Ok(Value::Null)
            };
        }
    };
    match (earlier_end, later_end) {
        (None, _) => Ok(Value::Null),
        (Some(end), _) if later < end => boolean(true),
        (_, None) => Ok(Value::Null),
        _ => boolean(false),
    }
}

#[cfg(test)]
mod tests {
    use super::super::call::tests::check;

    #[test]
    fn fields_are_postgresqls() {
        let at = |field: &str, moment: &str| format!("towline_extract('{field}', '{moment}')");
        let stamp = "2024-02-29 12:34:56.789";
        let cases = [
            (at("epoch", stamp), "1709210096.789000"),
            (at("second", stamp), "56.789000"),
            (at("milliseconds", stamp), "56789.000"),
            (at("microseconds", stamp), "56789000"),
            (at("century", stamp), "21"),
            (at("decade", stamp), "202"),
            (at("millennium", "2001-02-16 00:00:00"), "3"),
            (at("dow", "2024-03-03 00:00:00"), "0"),
            (at("isodow", "2024-03-03 00:00:00"), "7"),
            (at("doy", "2024-03-03 00:00:00"), "63"),
            (at("week", "2021-01-03 00:00:00"), "53"),
            (at("isoyear", "2021-01-03 00:00:00"), "2020"),
            (at("quarter", "2024-05-05 00:00:00"), "2"),
            (at("julian", "2024-05-05 12:00:00"), "2460436.50000000000000000000"),
            (at("year", "0044-03-15 00:00:00 BC"), "-44"),
            (at("epoch", "2024-02-29"), "1709164800"),
            (at("julian", "2024-02-29"), "2460370"),
            (at("hour", "2024-02-29"), "0A000"),
            (at("foo", stamp), "22023"),
            (at("epoch", "1 mon 2 days 03:04:05.5"), "2775845.500000"),
            (at("hour", "50:00:00"), "50"),
            (at("month", "1 year 3 mons"), "3"),
            (at("year", "1 year 3 mons"), "1"),
            (at("epoch", "1 year"), "31557600.000000"),
            (at("day", "40 days"), "40"),
            (at("second", "00:00:05.5"), "5.500000"),
            (at("quarter", "1 year 3 mons"), "2"),
            (at("timezone", "2024-01-01 00:00:00+00"), "0"),
            (at("epoch", "2024-02-29 12:34:56.789+00"), "1709210096.789000"),
            (at("year", "infinity"), "Infinity"),
            (at("hour", "infinity"), "NULL"),
            (format!("date_part('epoch', '{stamp}')"), "1709210096.789"),
            ("date_part('second', '00:00:01.5')".to_owned(), "1.5"),
        ];
        let cases: Vec<_> = cases.iter().map(|(call, answer)| (call.as_str(), *answer)).collect();
        check(&cases);
    }

    #[test]
    fn answers_are_postgresqls() {
        check(&[
            ("date_trunc('hour', '2024-02-29 12:34:56.789')", "2024-02-29 12:00:00"),
            ("date_trunc('week', '2024-02-29 12:34:56')", "2024-02-26 00:00:00"),
            ("date_trunc('quarter', '2024-05-29 12:34:56')", "2024-04-01 00:00:00"),
            ("date_trunc('decade', '2024-05-29 00:00:00')", "2020-01-01 00:00:00"),
            ("date_trunc('century', '2024-05-29 00:00:00')", "2001-01-01 00:00:00"),
            ("date_trunc('millennium', '2024-05-29 00:00:00')", "2001-01-01 00:00:00"),
            ("date_trunc('milliseconds', '2024-02-29 12:34:56.789123')", "2024-02-29 12:34:56.789"),
            ("date_trunc('day', '2024-02-29 12:34:56+00')", "2024-02-29 00:00:00+00"),
            (
                "date_trunc('day', '2024-02-29 02:34:56+00', 'America/New_York')",
                "2024-02-28 05:00:00+00",
            ),
            ("date_trunc('hour', '1 day 02:34:56')", "1 day 02:00:00"),
            ("date_trunc('month', '1 year 3 mons 10 days')", "1 year 3 mons"),
            ("date_trunc('quarter', '1 year 5 mons 10 days')", "1 year 3 mons"),
            ("date_trunc('year', '2 years 3 mons')", "2 years"),
            ("date_trunc('foo', '2024-01-01 00:00:00')", "22023"),
            ("date_trunc('day', 'infinity')", "infinity"),
            ("age('2001-04-10 00:00:00', '1957-06-13 00:00:00')", "43 years 9 mons 27 days"),
            ("age('2024-03-01', '2024-01-31')", "1 mon 1 day"),
            ("justify_days('35 days')", "1 mon 5 days"),
            ("justify_hours('27:00:00')", "1 day 03:00:00"),
            ("justify_interval('1 mon -01:00:00')", "29 days 23:00:00"),
            ("make_date(2013, 7, 15)", "2013-07-15"),
            ("make_date(-44, 3, 15)", "/9999956-03-15"),
            ("make_date(2013, 2, 30)", "22008"),
            ("make_time(8, 15, 23.5)", "08:15:23.5"),
            ("make_time(25, 0, 0)", "22008"),
            ("make_timestamp(2013, 7, 15, 8, 15, 23.5)", "2013-07-15 08:15:23.5"),
            (
                "make_timestamptz(2013, 7, 15, 8, 15, 23.5, 'America/New_York')",
                "2013-07-15 12:15:23.5+00",
            ),
            ("make_interval(1, 2, 3, 4, 5, 6, 7.5)", "1 year 2 mons 25 days 05:06:07.5"),
            ("isfinite('2024-01-01')", "1"),
            ("isfinite('infinity')", "0"),
            ("to_timestamp(1284352323.5)", "2010-09-13 04:32:03.5+00"),
            ("to_timestamp(9e999)", "infinity"),
            ("to_timestamp(1e18)", "22008"),
        ]);
    }

    #[test]
    fn formats_are_postgresqls() {
        let full = "2024-02-09 15:04:05.678901";
        let format = |format: &str| format!("to_char('{full}', '{format}')");
        let cases = [
            (format("YYYY-MM-DD HH24:MI:SS.US"), full),
            (format("Day, DD  HH12:MI:SS am"), "Friday   , 09  03:04:05 pm"),
            (format("FMDay, FMDD  HH12:MI:SS PM"), "Friday, 9  03:04:05 PM"),
            (
                format("Mon MON mon Month|MONTH|FMMonth|RM|Q|WW|IW|W|D|ID|DDD|J|CC|DY|Dy|dy"),
                "Feb FEB feb February |FEBRUARY |February|II  |1|06|06|2|6|5|040|2460350|21|FRI|Fri|fri",
            ),
            (
                format("DDth Dth \"at\" YY Y,YYY IYYY AD b.c. FMMM"),
                "09th 6th at 24 2,024 2024 AD a.d. 2",
            ),
            (format("MS SSSS HH"), "678 54245 03"),
            (
                "to_char('2024-02-09 15:04:05+00', 'TZ tz OF TZH:TZM')".to_owned(),
                "UTC utc +00 +00:00",
            ),
            ("to_char('15:02:12', 'HH24:MI:SS')".to_owned(), "15:02:12"),
            ("to_char('3 days 40:00:00', 'DD HH24')".to_owned(), "03 40"),
            ("to_date('05 Dec 2000', 'DD Mon YYYY')".to_owned(), "2000-12-05"),
            ("to_date('20240209', 'YYYYMMDD')".to_owned(), "2024-02-09"),
            ("to_date('2024 040', 'YYYY DDD')".to_owned(), "2024-02-09"),
            (
                "to_timestamp('05 Dec 2000 12:34', 'DD Mon YYYY HH24:MI', 'UTC')".to_owned(),
                "2000-12-05 12:34:00+00",
            ),
            (
                "to_timestamp('2024-02-09 03:04:05.5 PM', 'YYYY-MM-DD HH12:MI:SS.MS PM', 'UTC')"
                    .to_owned(),
                "2024-02-09 15:04:05.5+00",
            ),
            ("to_date('2024-13-01', 'YYYY-MM-DD')".to_owned(), "22008"),
            ("to_date('abc', 'YYYY')".to_owned(), "22007"),
            ("to_char('125.8', '999D9')".to_owned(), " 125.8"),
            ("to_char('-125.8', '999D99S')".to_owned(), "125.80-"),
            ("to_char(125, '999')".to_owned(), " 125"),
            ("to_char('-1234.567', 'FM9,999.00')".to_owned(), "-1,234.57"),
            ("to_char('0.1', '0.9')".to_owned(), " 0.1"),
            ("to_char(12, '9990999.9')".to_owned(), "    0012.0"),
            ("to_char(485, 'L999')".to_owned(), "  485"),
            ("to_char(-485, '999PR')".to_owned(), "<485>"),
            ("to_char(485, '999th')".to_owned(), " 485th"),
            ("to_char('1234567.891', '9,999,999.99')".to_owned(), " 1,234,567.89"),
            ("to_char(12345, '99')".to_owned(), " ##"),
            ("to_char('485.8', '\"Good number:\"999')".to_owned(), "Good number: 486"),
            ("to_char(1e10, '9.99EEEE')".to_owned(), " 1.00e+10"),
            ("to_char(0, 'FM999')".to_owned(), "0"),
            ("to_char('148.5', '999.999')".to_owned(), " 148.500"),
            ("to_char(-12, 'S999')".to_owned(), " -12"),
            ("to_char(12, 'SG999')".to_owned(), "+ 12"),
            ("to_char(12, 'MI999')".to_owned(), "  12"),
            ("to_char(5.5, 'FM990.00')".to_owned(), "5.50"),
            ("to_char(12, '000')".to_owned(), " 012"),
            ("to_char(485, 'RN')".to_owned(), "        CDLXXXV"),
            ("to_number('12,454.8-', '99G999D9S')".to_owned(), "-12454.8"),
            ("to_number('-34,338,492', '99G999G999')".to_owned(), "-34338492"),
        ];
        let cases: Vec<_> = cases.iter().map(|(call, answer)| (call.as_str(), *answer)).collect();
        check(&cases);
    }
}
