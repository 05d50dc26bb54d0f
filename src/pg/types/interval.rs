//! Intervals: months, days and microseconds, kept apart because neither is a fixed
//! number of the next.
use std::fmt::Write;

use super::calendar::{
    MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND, civil_from_days,
    days_from_civil, month_length, split_days,
};
use super::datetime::{INFINITY, NEGATIVE_INFINITY, timestamp_in_range};
use super::zone::Zone;
use crate::pg::{SqlError, SqlState};

/// A span of time.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Interval {
    pub months: i32,
    pub days: i32,
    pub micros: i64,
}

impl Interval {
    /// What order and equality go by: days of 24 hours, months of 30 days.
    pub fn estimate(self) -> i128 {
        (i128::from(self.months) * 30 + i128::from(self.days)) * i128::from(MICROS_PER_DAY)
            + i128::from(self.micros)
    }

    pub fn checked_add(self, other: Self) -> Option<Self> {
        Some(Self {
            months: self.months.checked_add(other.months)?,
            days: self.days.checked_add(other.days)?,
            micros: self.micros.checked_add(other.micros)?,
        })
    }

    pub fn checked_neg(self) -> Option<Self> {
        Some(Self {
            months: self.months.checked_neg()?,
            days: self.days.checked_neg()?,
            micros: self.micros.checked_neg()?,
        })
    }

    /// Multiplies; fractions of months spill into days, of days into time.
    pub fn checked_mul(self, factor: f64) -> Option<Self> {
        let months = f64::from(self.months) * factor;
        let days = f64::from(self.days) * factor;
        let whole_months = int32(months.trunc())?;
        let whole_days = int32(days.trunc())?;
        let month_days = round_micros((months - f64::from(whole_months)) * 30.0);
        let mut spilled_days = month_days.trunc();
        let mut seconds =
            round_micros(((days - f64::from(whole_days)) + (month_days - spilled_days)) * 86_400.0);
        // Rounding may have made a whole day of it.
        if seconds.abs() >= 86_400.0 {
            let more = (seconds / 86_400.0).trunc();
            spilled_days += more;
            seconds -= more * 86_400.0;
        }
        let micros = (self.micros as f64 * factor + seconds * 1e6).round_ties_even();
        Some(Self {
            months: whole_months,
            days: whole_days.checked_add(int32(spilled_days)?)?,
            micros: int64(micros)?,
        })
    }

    /// Turns each 24 hours into a day (`justify_hours`).
    pub fn justify_hours(self) -> Option<Self> {
        let days = self.micros / MICROS_PER_DAY;
        let mut result = Self {
            days: self.days.checked_add(i32::try_from(days).ok()?)?,
            micros: self.micros % MICROS_PER_DAY,
            ..self
        };
        if result.days > 0 && result.micros < 0 {
            result.micros += MICROS_PER_DAY;
            result.days -= 1;
        } else if result.days < 0 && result.micros > 0 {
            result.micros -= MICROS_PER_DAY;
            result.days += 1;
        }
        Some(result)
    }

    /// Turns each 30 days into a month (`justify_days`).
    pub fn justify_days(self) -> Option<Self> {
        let mut result =
            Self { months: self.months.checked_add(self.days / 30)?, days: self.days % 30, ..self };
        if result.months > 0 && result.days < 0 {
            result.days += 30;
            result.months -= 1;
        } else if result.months < 0 && result.days > 0 {
            result.days -= 30;
            result.months += 1;
        }
        Some(result)
    }

    /// Reads PostgreSQL's and the SQL standard's spellings and ISO 8601's.
    pub fn parse(text: &str) -> Result<Self, SqlError> {
        let word = text.trim();
        let interval = match word.strip_prefix('P') {
            Some(iso) => parse_iso(iso),
            None => parse_words(word),
        };
        interval.map_err(|problem| match problem {
            Problem::Syntax => super::invalid_datetime("interval", text),
            Problem::Total => interval_out_of_range(),
            Problem::Range => SqlError::new(
                SqlState("22015"),
                format!("interval field value out of range: \"{text}\""),
            ),
        })
    }

    /// What is left of it in a type of some fields, or of less precision: of
    /// `pg_attribute.atttypmod` the upper half has a bit for each field
    /// (`AdjustIntervalForTypmod`).
    pub fn fit(self, modifier: i32) -> Self {
        const MONTH: i32 = 1 << 1;
        const YEAR: i32 = 1 << 2;
        const DAY: i32 = 1 << 3;
        const HOUR: i32 = 1 << 10;
        const MINUTE: i32 = 1 << 11;
        if modifier < 0 {
            return self;
        }
        let (fields, precision) = (modifier >> 16 & 0x7fff, modifier & 0xffff);
        let whole = |unit: i64| self.micros / unit * unit;
        let mut fitted = match fields {
            YEAR => Self { months: self.months / 12 * 12, days: 0, micros: 0 },
            MONTH => Self { days: 0, micros: 0, ..self },
            both if both == YEAR | MONTH => Self { days: 0, micros: 0, ..self },
            DAY => Self { micros: 0, ..self },
            hours if hours & !DAY == HOUR => Self { micros: whole(3_600_000_000), ..self },
            minutes if minutes & !(DAY | HOUR) == MINUTE => {
                Self { micros: whole(60_000_000), ..self }
            }
            _ => self,
        };
        if let Some(scale) = 6_u32.checked_sub(precision as u32).map(|digits| 10_i64.pow(digits)) {
            let half = scale / 2 * fitted.micros.signum();
            fitted.micros = fitted.micros.saturating_add(half) / scale * scale;
        }
        fitted
    }

    /// Prints in style `postgres`: `1 year 2 mons -3 days +04:05:06.5`.
    pub fn print(self, out: &mut impl Write) {
        let mut empty = true;
        let mut negative = false;
        let fields = [(self.months / 12, "year"), (self.months % 12, "mon"), (self.days, "day")];
        for (value, unit) in fields {
            if value == 0 {
                continue;
            }
            let space = if empty { "" } else { " " };
            let sign = if negative && value > 0 { "+" } else { "" };
            let plural = if value == 1 { "" } else { "s" };
            // Writing to memory does not fail.
            let _ = write!(out, "{space}{sign}{value} {unit}{plural}");
            empty = false;
            negative = value < 0;
        }
        if empty || self.micros != 0 {
            let space = if empty { "" } else { " " };
            let sign = match (self.micros < 0, negative) {
                (true, _) => "-",
                (false, true) => "+",
                (false, false) => "",
            };
            let micros = self.micros.unsigned_abs();
            let seconds = micros / 1_000_000;
            let _ = write!(
                out,
                "{space}{sign}{:02}:{:02}:{:02}",
                seconds / 3600,
                seconds / 60 % 60,
                seconds % 60
            );
            super::datetime::print_fraction((micros % 1_000_000) as i64, out);
        }
    }
}

impl std::fmt::Display for Interval {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.print(f);
        Ok(())
    }
}

/// `timestamp + interval`: months by the calendar (the 31st may become the 30th),
/// then days, then time.
pub fn timestamp_plus(timestamp: i64, interval: Interval) -> Result<i64, SqlError> {
    if matches!(timestamp, INFINITY | NEGATIVE_INFINITY) {
        return Ok(timestamp);
    }
    let (days, time) = split_days(timestamp);
    let days = add_months(days, interval.months) + i64::from(interval.days);
    days.checked_mul(MICROS_PER_DAY)
        .and_then(|micros| micros.checked_add(time)?.checked_add(interval.micros))
        .filter(|micros| timestamp_in_range(*micros))
        .ok_or_else(timestamp_out_of_range)
}

/// `timestamptz + interval`: months and days by the zone's clock, time by the
/// moment's.
pub fn timestamptz_plus(timestamp: i64, interval: Interval, zone: &Zone) -> Result<i64, SqlError> {
    if matches!(timestamp, INFINITY | NEGATIVE_INFINITY) {
        return Ok(timestamp);
    }
    let mut moment = timestamp;
    if interval.months != 0 || interval.days != 0 {
        let local = moment + i64::from(zone.offset_at(moment)) * MICROS_PER_SECOND;
        let local = timestamp_plus(local, Interval { micros: 0, ..interval })?;
        moment = local - i64::from(zone.offset_at_local(local)) * MICROS_PER_SECOND;
    }
    moment
        .checked_add(interval.micros)
        .filter(|micros| timestamp_in_range(*micros))
        .ok_or_else(timestamp_out_of_range)
}

/// `timestamp - timestamp`: days and time, never months.
pub fn timestamp_minus(left: i64, right: i64) -> Result<Interval, SqlError> {
    let special = |timestamp| matches!(timestamp, INFINITY | NEGATIVE_INFINITY);
    let micros =
        left.checked_sub(right).filter(|_| !special(left) && !special(right)).ok_or_else(|| {
            SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, "cannot subtract infinite timestamps")
        })?;
    Interval { months: 0, days: 0, micros }.justify_hours().ok_or_else(interval_out_of_range)
}

/// `age(left, right)`: the difference by the calendar, in years, months, days and
/// time.
pub fn age(left: i64, right: i64) -> Result<Interval, SqlError> {
    let special = |timestamp| matches!(timestamp, INFINITY | NEGATIVE_INFINITY);
    if special(left) || special(right) {
        return Err(SqlError::new(
            SqlState::DATETIME_FIELD_OVERFLOW,
            "cannot subtract infinite timestamps",
        ));
    }
    let (later, earlier) = if left >= right { (left, right) } else { (right, left) };
    let (later_days, later_time) = split_days(later);
    let (earlier_days, earlier_time) = split_days(earlier);
    let (a, b) = (civil_from_days(later_days), civil_from_days(earlier_days));
    let mut micros = later_time - earlier_time;
    let mut days = a.day - b.day;
    let mut months = (a.year - b.year) * 12 + a.month - b.month;
    if micros < 0 {
        micros += MICROS_PER_DAY;
        days -= 1;
    }
    if days < 0 {
        // Borrowed days are those of the month in which the borrowing side stands:
        // the earlier date's.
        days += month_length(b.year, b.month);
        months -= 1;
    }
    let interval = Interval {
        months: i32::try_from(months).map_err(|_| interval_out_of_range())?,
        days: days as i32,
        micros,
    };
    let interval = if left >= right { Some(interval) } else { interval.checked_neg() };
    interval.ok_or_else(interval_out_of_range)
}

/// Moves a date by months; a day that the month lacks becomes its last.
pub fn add_months(days: i64, months: i32) -> i64 {
    if months == 0 {
        return days;
    }
    let civil = civil_from_days(days);
    let month = civil.year * 12 + civil.month - 1 + i64::from(months);
    let (year, month) = (month.div_euclid(12), month.rem_euclid(12) + 1);
    days_from_civil(year, month, civil.day.min(month_length(year, month)))
}

pub(super) fn timestamp_out_of_range() -> SqlError {
    SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, "timestamp out of range")
}

/// The error for sums and products that do not fit.
pub fn interval_out_of_range() -> SqlError {
    SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, "interval out of range")
}

enum Problem {
    Syntax,
    /// A field is too large.
    Range,
    /// All of it together is.
    Total,
}

/// What a number in an interval counts.
#[derive(Clone, Copy, PartialEq)]
enum Unit {
    Microsecond,
    Millisecond,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
    Decade,
    Century,
    Millennium,
}

impl Unit {
    fn parse(word: &str) -> Option<Self> {
        Some(match word.to_ascii_lowercase().as_str() {
            "us" | "usec" | "usecs" | "usecond" | "useconds" | "microsecond" | "microseconds"
            | "microsecon" => Self::Microsecond,
            "ms" | "msec" | "msecs" | "msecond" | "mseconds" | "millisecond" | "milliseconds"
            | "millisecon" => Self::Millisecond,
            "s" | "sec" | "secs" | "second" | "seconds" => Self::Second,
            "m" | "min" | "mins" | "minute" | "minutes" => Self::Minute,
            "h" | "hr" | "hrs" | "hour" | "hours" => Self::Hour,
            "d" | "day" | "days" => Self::Day,
            "w" | "week" | "weeks" => Self::Week,
            "mon" | "mons" | "month" | "months" => Self::Month,
            "y" | "yr" | "yrs" | "year" | "years" => Self::Year,
            "dec" | "decs" | "decade" | "decades" => Self::Decade,
            "c" | "cent" | "century" | "centuries" => Self::Century,
            "mil" | "mils" | "millennium" | "millenniums" | "millennia" => Self::Millennium,
            _ => return None,
        })
    }
}

/// A decimal number: whole part and fraction, of one sign.
#[derive(Clone, Copy)]
struct Number {
    whole: i64,
    fraction: f64,
}

impl Number {
    fn parse(text: &str) -> Result<Self, Problem> {
        let (negative, digits) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if !is_digits(whole) || !is_digits(fraction) || digits.is_empty() || digits == "." {
            return Err(Problem::Syntax);
        }
        let sign = if negative { "-" } else { "" };
        let whole: i64 = if whole.is_empty() {
            0
        } else {
            format!("{sign}{whole}").parse().map_err(|_| Problem::Range)?
        };
        let fraction: f64 = format!("0.{fraction}0").parse().map_err(|_| Problem::Syntax)?;
        Ok(if negative { Self { whole, fraction: -fraction } } else { Self { whole, fraction } })
    }
}

impl Interval {
    fn put(&mut self, number: Number, unit: Unit) -> Result<(), Problem> {
        match unit {
            Unit::Microsecond => self.put_time(number, 1),
            Unit::Millisecond => self.put_time(number, 1000),
            Unit::Second => self.put_time(number, MICROS_PER_SECOND),
            Unit::Minute => self.put_time(number, MICROS_PER_MINUTE),
            Unit::Hour => self.put_time(number, MICROS_PER_HOUR),
            Unit::Day => self.put_days(number, 1),
            Unit::Week => self.put_days(number, 7),
            Unit::Month => {
                self.months = sum(self.months, number.whole, 1)?;
                self.put_days(Number { whole: 0, fraction: number.fraction }, 30)
            }
            Unit::Year => self.put_years(number, 1),
            Unit::Decade => self.put_years(number, 10),
            Unit::Century => self.put_years(number, 100),
            Unit::Millennium => self.put_years(number, 1000),
        }
    }

    fn put_time(&mut self, number: Number, scale: i64) -> Result<(), Problem> {
        let fraction = (number.fraction * scale as f64).round_ties_even() as i64;
        self.micros = number
            .whole
            .checked_mul(scale)
            .and_then(|micros| micros.checked_add(fraction)?.checked_add(self.micros))
            .ok_or(Problem::Range)?;
        Ok(())
    }

    fn put_days(&mut self, number: Number, scale: i64) -> Result<(), Problem> {
        self.days = sum(self.days, number.whole, scale)?;
        let days = number.fraction * scale as f64;
        self.days = sum(self.days, days.trunc() as i64, 1)?;
        self.put_time(Number { whole: 0, fraction: days.fract() }, MICROS_PER_DAY)
    }

    fn put_years(&mut self, number: Number, scale: i64) -> Result<(), Problem> {
        // The years are a field of their own, before they are months.
        sum(0, number.whole, scale)?;
        let months = (number.fraction * (scale * 12) as f64).round_ties_even() as i64;
        self.months = sum(self.months, number.whole, scale * 12)
            .and_then(|whole| sum(whole, months, 1))
            .map_err(|_| Problem::Total)?;
        Ok(())
    }
}

fn sum(base: i32, number: i64, scale: i64) -> Result<i32, Problem> {
    number
        .checked_mul(scale)
        .and_then(|more| more.checked_add(base.into()))
        .and_then(|sum| i32::try_from(sum).ok())
        .ok_or(Problem::Range)
}

/// A field of PostgreSQL's spelling.
enum Field<'a> {
    Figure {
        shape: Shape,
        negative: bool,
        /// Without its sign.
        text: &'a str,
    },
    Word(&'a str),
}

enum Shape {
    Number,
    /// `years-months`.
    YearMonth,
    /// `hours:minutes:seconds`.
    Time,
}

fn parse_words(text: &str) -> Result<Interval, Problem> {
    let fields = split_fields(text)?;
    let mut interval = Interval::default();
    let mut fields = fields.as_slice();
    let mut negate = false;
    if let [rest @ .., Field::Word(word)] = fields
        && word.eq_ignore_ascii_case("ago")
    {
        negate = true;
        fields = rest;
    }
    if fields.is_empty() {
        return Err(Problem::Syntax);
    }
    // From the right, so that a number meets its unit first. What has no unit
    // counts seconds at the end and days in front of a time.
    let mut unit = None;
    let mut default = Some(Unit::Second);
    let mut seen: Vec<Unit> = Vec::new();
    let mut once = |units: &[Unit]| {
        if units.iter().any(|unit| seen.contains(unit)) {
            return Err(Problem::Syntax);
        }
        seen.extend_from_slice(units);
        Ok(())
    };
    for field in fields.iter().rev() {
        let (shape, negative, text) = match field {
            Field::Figure { shape, negative, text } => (shape, *negative, *text),
            Field::Word(word) if unit.is_none() => {
                unit = Some(Unit::parse(word).ok_or(Problem::Syntax)?);
                continue;
            }
            Field::Word(_) => return Err(Problem::Syntax),
        };
        if unit.is_some() && !matches!(shape, Shape::Number) {
            return Err(Problem::Syntax);
        }
        let mut figure = Interval::default();
        match shape {
            Shape::Number => {
                let unit = unit.take().or(default.take()).ok_or(Problem::Syntax)?;
                once(&[unit])?;
                let sign = if negative { "-" } else { "" };
                figure.put(Number::parse(&format!("{sign}{text}"))?, unit)?;
                default = None;
            }
            Shape::Time => {
                once(&[Unit::Hour, Unit::Minute, Unit::Second])?;
                let sign = if negative { "-" } else { "" };
                figure.micros = parse_time(&format!("{sign}{text}"))?;
                default = Some(Unit::Day);
            }
            Shape::YearMonth => {
                once(&[Unit::Year, Unit::Month])?;
                let (years, months) = text.split_once('-').ok_or(Problem::Syntax)?;
                let months = Number::parse(months)?;
                if months.whole >= 12 {
                    return Err(Problem::Range);
                }
                figure.put(Number::parse(years)?, Unit::Year)?;
                figure.put(months, Unit::Month)?;
                if negative {
                    figure = figure.checked_neg().ok_or(Problem::Range)?;
                }
                default = None;
            }
        }
        interval = interval.checked_add(figure).ok_or(Problem::Range)?;
    }
    if unit.is_some() {
        return Err(Problem::Syntax);
    }
    if negate { interval.checked_neg().ok_or(Problem::Range) } else { Ok(interval) }
}

fn split_fields(text: &str) -> Result<Vec<Field<'_>>, Problem> {
    let bytes = text.as_bytes();
    let mut fields = Vec::new();
    let mut at = 0;
    let run = |from: usize, test: fn(u8) -> bool| {
        bytes[from..].iter().position(|byte| !test(*byte)).map_or(bytes.len(), |n| from + n)
    };
    while at < bytes.len() {
        // More than any interval needs; a bound on the work.
        if fields.len() > 32 {
            return Err(Problem::Syntax);
        }
        let byte = bytes[at];
        if byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.') {
            let signed = matches!(byte, b'+' | b'-');
            let negative = byte == b'-';
            // A sign may stand apart from its number.
            let digits = run(at + usize::from(signed), |b| b.is_ascii_whitespace());
            let mut end = run(digits, |b| b.is_ascii_digit() || matches!(b, b'.' | b':'));
            if end == digits {
                return Err(Problem::Syntax);
            }
            let number = &text[digits..end];
            let shape = if number.contains(':') {
                Shape::Time
            } else if bytes.get(end) == Some(&b'-')
                && bytes.get(end + 1).is_some_and(u8::is_ascii_digit)
                && !number.contains('.')
            {
                end = run(end + 1, |b| b.is_ascii_digit());
                Shape::YearMonth
            } else {
                Shape::Number
            };
            fields.push(Field::Figure { shape, negative, text: &text[digits..end] });
            at = end;
        } else if byte.is_ascii_alphabetic() {
            let end = run(at, |b| b.is_ascii_alphabetic());
            fields.push(Field::Word(&text[at..end]));
            at = end;
        } else if byte.is_ascii_whitespace() || byte.is_ascii_punctuation() {
            at += 1;
        } else {
            return Err(Problem::Syntax);
        }
    }
    Ok(fields)
}

/// `[-]h:m`, `[-]h:m:s`, `[-]m:s.f`, in microseconds.
fn parse_time(text: &str) -> Result<i64, Problem> {
    // Each part has the sign, for the least interval has no opposite.
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let parts: Vec<&str> = text.split(':').collect();
    let (hours, minutes, seconds) = match parts.as_slice() {
        [minutes, seconds] if seconds.contains('.') => ("0", *minutes, *seconds),
        [hours, minutes] => (*hours, *minutes, "0"),
        [hours, minutes, seconds] => (*hours, *minutes, *seconds),
        _ => return Err(Problem::Syntax),
    };
    let signed = |part: &str| Number::parse(&format!("{sign}{part}"));
    let (hours, minutes, seconds) = (signed(hours)?, signed(minutes)?, signed(seconds)?);
    if hours.fraction != 0.0 || minutes.fraction != 0.0 {
        return Err(Problem::Syntax);
    }
    if minutes.whole.abs() > 59 || seconds.whole.abs() > 60 {
        return Err(Problem::Range);
    }
    let mut interval = Interval::default();
    interval.put(hours, Unit::Hour)?;
    interval.put(minutes, Unit::Minute)?;
    interval.put(seconds, Unit::Second)?;
    Ok(interval.micros)
}

/// What follows the `P` of ISO 8601: designators, or `y-m-dTh:m:s`.
fn parse_iso(text: &str) -> Result<Interval, Problem> {
    let mut interval = Interval::default();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        interval.put(Number::parse(text)?, Unit::Year)?;
        return Ok(interval);
    }
    let (date, time) = match text.split_once('T') {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    if date.is_empty() && time.is_none() {
        return Err(Problem::Syntax);
    }
    if date.contains(|c: char| c.is_ascii_alphabetic())
        || date.is_empty()
        || !date.trim_start_matches('-').contains('-')
    {
        designators(date, &mut interval, |letter| match letter {
            'Y' => Some(Unit::Year),
            'M' => Some(Unit::Month),
            'W' => Some(Unit::Week),
            'D' => Some(Unit::Day),
            _ => None,
        })?;
    } else {
        let mut units = [Unit::Year, Unit::Month, Unit::Day].into_iter();
        for part in date.split('-') {
            let unit = units.next().ok_or(Problem::Syntax)?;
            interval.put(Number::parse(part)?, unit)?;
        }
    }
    match time {
        Some(time) if time.contains(':') => {
            interval.micros =
                interval.micros.checked_add(parse_time(time)?).ok_or(Problem::Total)?;
        }
        Some(time) => designators(time, &mut interval, |letter| match letter {
            'H' => Some(Unit::Hour),
            'M' => Some(Unit::Minute),
            'S' => Some(Unit::Second),
            _ => None,
        })?,
        None => {}
    }
    Ok(interval)
}

fn designators(
    mut text: &str,
    interval: &mut Interval,
    unit: fn(char) -> Option<Unit>,
) -> Result<(), Problem> {
    while !text.is_empty() {
        let at = text.find(|c: char| c.is_ascii_alphabetic()).ok_or(Problem::Syntax)?;
        let (number, rest) = text.split_at(at);
        let letter = rest.chars().next().ok_or(Problem::Syntax)?;
        interval.put(Number::parse(number)?, unit(letter).ok_or(Problem::Syntax)?)?;
        text = &rest[1..];
    }
    Ok(())
}

fn int32(value: f64) -> Option<i32> {
    (value >= f64::from(i32::MIN) && value <= f64::from(i32::MAX)).then_some(value as i32)
}

fn int64(value: f64) -> Option<i64> {
    (value >= i64::MIN as f64 && value < i64::MAX as f64).then_some(value as i64)
}

/// Drops noise below a microsecond.
fn round_micros(value: f64) -> f64 {
    (value * 1e6).round_ties_even() / 1e6
}
