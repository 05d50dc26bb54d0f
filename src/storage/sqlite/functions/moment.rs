//! Dates, timestamps and intervals as functions take them: any of these, told apart
//! by how it is written, since SQLite keeps no types.

use crate::pg::types::calendar::{
    Civil, JULIAN_EPOCH, MICROS_PER_DAY, MICROS_PER_SECOND, civil_from_days, days_from_civil,
    split_days,
};
use crate::pg::types::datetime::{
    INFINITY, NEGATIVE_INFINITY, parse_timestamp, parse_timestamptz, parse_timetz, shown,
};
use crate::pg::types::interval::Interval;
use crate::pg::types::zone::Zone;
use crate::pg::{SqlError, SqlState};

/// A date, time or span. Microseconds count from 2000-01-01, of the clock that the
/// text shows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Moment {
    Date(i64),
    Timestamp(i64),
    Timestamptz(i64),
    /// A time of day, and the seconds that its zone lies east of UTC.
    Timetz(i64, i32),
    /// Times of day too: they print alike, and have the same fields.
    Interval(Interval),
}

impl Moment {
    pub(super) fn parse(text: &str) -> Result<Self, SqlError> {
        let text = &*shown(text.trim());
        if matches!(text, "infinity" | "-infinity") {
            let infinite = if text.starts_with('-') { NEGATIVE_INFINITY } else { INFINITY };
            return Ok(Self::Timestamp(infinite));
        }
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        if digits < 4 || text.as_bytes().get(digits) != Some(&b'-') {
            let zoned = text.bytes().skip(1).any(|byte| matches!(byte, b'+' | b'-'));
            if zoned
                && text.contains(':')
                && let Ok((micros, offset)) = parse_timetz(text, &Zone::UTC, None)
            {
                return Ok(Self::Timetz(micros, offset));
            }
            return Interval::parse(text).map(Self::Interval);
        }
        let body = text.strip_suffix(" BC").unwrap_or(text);
        if !body.contains(':') {
            return Ok(Self::Date(parse_timestamp(text, &Zone::UTC, None)?));
        }
        let time = body.split_once([' ', 'T']).map_or("", |(_, time)| time);
        if time.contains(['+', '-', 'Z']) {
            return Ok(Self::Timestamptz(parse_timestamptz(text, &Zone::UTC, None)?));
        }
        Ok(Self::Timestamp(parse_timestamp(text, &Zone::UTC, None)?))
    }

    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Date(_) => "date",
            Self::Timestamp(_) => "timestamp without time zone",
            Self::Timestamptz(_) => "timestamp with time zone",
            Self::Timetz(..) => "time with time zone",
            Self::Interval(_) => "interval",
        }
    }

    /// Microseconds since 2000-01-01; `None` for an interval.
    pub(super) fn micros(self) -> Option<i64> {
        match self {
            Self::Date(micros) | Self::Timestamp(micros) | Self::Timestamptz(micros) => {
                Some(micros)
            }
            Self::Timetz(..) | Self::Interval(_) => None,
        }
    }

    pub(super) fn is_finite(self) -> bool {
        !matches!(self.micros(), Some(INFINITY | NEGATIVE_INFINITY))
    }
}

/// What a clock and a calendar show.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// Since 2000-01-01.
    pub(super) days: i64,
    pub(super) date: Civil,
    pub(super) hour: i64,
    pub(super) minute: i64,
    pub(super) second: i64,
    pub(super) micros: i64,
}

impl Clock {
    pub(super) fn at(micros: i64) -> Self {
        let (days, time) = split_days(micros);
        let seconds = time / MICROS_PER_SECOND;
        Self {
            days,
            date: civil_from_days(days),
            hour: seconds / 3600,
            minute: seconds / 60 % 60,
            second: seconds % 60,
            micros: time % MICROS_PER_SECOND,
        }
    }

    /// Microseconds into the day.
    pub(super) fn time(&self) -> i64 {
        (self.hour * 3600 + self.minute * 60 + self.second) * MICROS_PER_SECOND + self.micros
    }

    /// Sunday is 0.
    pub(super) fn weekday(&self) -> i64 {
        (self.days + 6).rem_euclid(7)
    }

    /// Monday is 1, Sunday 7.
    pub(super) fn iso_weekday(&self) -> i64 {
        (self.days + 5).rem_euclid(7) + 1
    }

    pub(super) fn day_of_year(&self) -> i64 {
        self.days - days_from_civil(self.date.year, 1, 1) + 1
    }

    pub(super) fn julian(&self) -> i64 {
        self.days + JULIAN_EPOCH
    }

    /// The ISO week and the year that it belongs to: that of its Thursday.
    pub(super) fn iso_week(&self) -> (i64, i64) {
        let thursday = self.days - self.iso_weekday() + 4;
        let year = civil_from_days(thursday).year;
        (year, (thursday - days_from_civil(year, 1, 1)) / 7 + 1)
    }

    /// The year as people count it: there is none numbered 0.
    pub(super) fn year(&self) -> i64 {
        counted_year(self.date.year)
    }
}

/// Year 0 is 1 BC, which is counted as -1.
pub(super) fn counted_year(year: i64) -> i64 {
    if year > 0 { year } else { year - 1 }
}

pub(super) fn century(year: i64) -> i64 {
    if year > 0 { (year + 99) / 100 } else { -((99 - (year - 1)) / 100) }
}

pub(super) fn decade(year: i64) -> i64 {
    if year >= 0 { year / 10 } else { -((8 - (year - 1)) / 10) }
}

pub(super) fn millennium(year: i64) -> i64 {
    if year > 0 { (year + 999) / 1000 } else { -((999 - (year - 1)) / 1000) }
}

/// A unit's usual name, of any that PostgreSQL knows it by.
pub(super) fn unit_name(unit: &str) -> &str {
    match unit {
        "us" | "usec" | "usecs" | "usecond" | "useconds" | "microsecon" => "microseconds",
        "ms" | "msec" | "msecs" | "msecond" | "mseconds" | "millisecon" => "milliseconds",
        "s" | "sec" | "secs" => "second",
        "m" | "min" | "mins" => "minute",
        "h" | "hr" | "hrs" => "hour",
        "d" => "day",
        "w" | "weeks" => "week",
        "mon" | "mons" => "month",
        "qtr" => "quarter",
        "y" | "yr" | "yrs" => "year",
        "dec" | "decs" | "decades" => "decade",
        "c" | "cent" | "centuries" => "century",
        "mil" | "mils" | "millennia" => "millennium",
        "timezone_h" => "timezone_hour",
        "timezone_m" => "timezone_minute",
        unit => unit,
    }
}

/// Cuts a timestamp to a unit; `None` if there is no such unit.
pub(super) fn truncate(micros: i64, unit: &str) -> Option<i64> {
    let clock = Clock::at(micros);
    let Civil { year, month, .. } = clock.date;
    let floor = |unit: i64| micros.div_euclid(unit) * unit;
    let day = |days: i64| days * MICROS_PER_DAY;
    Some(match unit {
        "microseconds" | "microsecond" => micros,
        "milliseconds" | "millisecond" => floor(1000),
        "second" | "seconds" => floor(MICROS_PER_SECOND),
        "minute" | "minutes" => floor(60 * MICROS_PER_SECOND),
        "hour" | "hours" => floor(3600 * MICROS_PER_SECOND),
        "day" | "days" => day(clock.days),
        "week" | "weeks" => day(clock.days - clock.iso_weekday() + 1),
        "month" | "months" => day(days_from_civil(year, month, 1)),
        "quarter" => day(days_from_civil(year, (month - 1) / 3 * 3 + 1, 1)),
        "year" | "years" => day(days_from_civil(year, 1, 1)),
        "decade" | "decades" => day(days_from_civil(decade(year) * 10, 1, 1)),
        "century" | "centuries" => {
            let first = if year > 0 { century(year) * 100 - 99 } else { century(year) * 100 + 1 };
            day(days_from_civil(first, 1, 1))
        }
        "millennium" | "millennia" => {
            let first =
                if year > 0 { millennium(year) * 1000 - 999 } else { millennium(year) * 1000 + 1 };
            day(days_from_civil(first, 1, 1))
        }
        _ => return None,
    })
}

/// Cuts an interval to a unit; `None` if there is no such unit.
pub(super) fn truncate_interval(interval: Interval, unit: &str) -> Option<Interval> {
    let Interval { months, days, micros } = interval;
    let of_months = |unit: i32| Interval { months: months / unit * unit, days: 0, micros: 0 };
    let of_micros = |unit: i64| Interval { micros: micros / unit * unit, ..interval };
    Some(match unit {
        "microseconds" | "microsecond" => interval,
        "milliseconds" | "millisecond" => of_micros(1000),
        "second" | "seconds" => of_micros(MICROS_PER_SECOND),
        "minute" | "minutes" => of_micros(60 * MICROS_PER_SECOND),
        "hour" | "hours" => of_micros(3600 * MICROS_PER_SECOND),
        "day" | "days" => Interval { months, days, micros: 0 },
        "month" | "months" => of_months(1),
        "quarter" => of_months(3),
        "year" | "years" => of_months(12),
        "decade" | "decades" => of_months(120),
        "century" | "centuries" => of_months(1200),
        "millennium" | "millennia" => of_months(12_000),
        _ => return None,
    })
}

pub(super) fn unknown_unit(unit: &str, kind: &str) -> SqlError {
    SqlError::new(
        SqlState::INVALID_PARAMETER_VALUE,
        format!("unit \"{unit}\" not recognized for type {kind}"),
    )
}
