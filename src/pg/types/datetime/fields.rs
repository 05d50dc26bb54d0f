//! Takes the text of a date or time apart: numbers, words and signs, in the many orders that
//! PostgreSQL knows.

use super::super::calendar::{
    JULIAN_EPOCH, MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND,
    days_from_civil, month_length, split_days,
};
use super::super::date_style::Order;
use super::super::invalid_datetime;
use super::super::zone::{OFFSET_MAX, Zone, abbreviation};
use super::{UNIX_EPOCH, to_local};
use crate::pg::{SqlError, SqlState};

/// What a text says, not yet put together.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub date: Option<Day>,
    pub time: Option<i64>,
    pub zone: Option<Zone>,
}

#[derive(Debug)]
pub(super) enum Day {
    Days(i64),
    Moment(i64),
    Infinity,
    NegativeInfinity,
}

enum Problem {
    Syntax,
    Range,
    /// As `Range`, and the order of year, month and day may be the reason.
    Order,
    Zone(String),
    Displacement,
    Clock(String),
}

impl Fields {
    /// Whether the text names a zone whose offset depends on the date, and has none.
    pub(super) fn zone_needs_date(&self) -> bool {
        matches!(self.zone, Some(Zone::Named(_))) && self.date.is_none()
    }

    pub(super) fn parse(
        text: &str,
        name: &str,
        zone: &Zone,
        now: Option<i64>,
        order: Order,
    ) -> Result<Self, SqlError> {
        let time_only = name.starts_with("time ") || name == "time";
        Parser { text, time_only, order, ..Parser::default() }.run(zone, now).map_err(|problem| {
            match problem {
                Problem::Syntax => invalid_datetime(name, text),
                Problem::Range | Problem::Order => {
                    let error = SqlError::new(
                        SqlState::DATETIME_FIELD_OVERFLOW,
                        format!("date/time field value out of range: \"{text}\""),
                    );
                    match problem {
                        Problem::Order => {
                            error.with_hint("Perhaps you need a different \"datestyle\" setting.")
                        }
                        _ => error,
                    }
                }
                Problem::Zone(word) => SqlError::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    format!("time zone \"{word}\" not recognized"),
                ),
                Problem::Displacement => SqlError::new(
                    SqlState("22009"),
                    format!("time zone displacement out of range: \"{text}\""),
                ),
                Problem::Clock(word) => SqlError::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    format!("\"{word}\" as a {name} value is not supported here"),
                )
                .with_hint("Use now() or CURRENT_DATE in the statement instead."),
            }
        })
    }
}

/// Gathers fields in the order in which they stand.
#[derive(Default)]
struct Parser<'a> {
    text: &'a str,
    /// A time of day is wanted, so that digits alone are one.
    time_only: bool,
    order: Order,
    at: usize,
    /// Fields found so far.
    count: usize,
    special: Option<Day>,
    days: Option<Ymd>,
    /// Days since 2000-01-01, where the date was given as one number.
    julian: Option<i64>,
    /// Month named by a word of its own.
    month: Option<i64>,
    /// Numbers that stand alone, with their lengths.
    numbers: Vec<(i64, usize)>,
    time: Option<Clock>,
    half: Option<Half>,
    zone: Option<Zone>,
    before_christ: bool,
    /// `allballs`, or `today` and its like, which set the time to midnight.
    midnight: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Half {
    Am,
    Pm,
}

struct Clock {
    hour: i64,
    minute: i64,
    second: i64,
    micros: i64,
}

struct Ymd {
    year: i64,
    /// Digits of the year: two mean a century left out.
    year_digits: usize,
    month: i64,
    day: i64,
}

impl<'a> Parser<'a> {
    fn run(mut self, zone: &Zone, now: Option<i64>) -> Result<Fields, Problem> {
        // As long as PostgreSQL's own working buffer allows, about.
        if self.text.len() > 160 {
            return Err(Problem::Syntax);
        }
        while let Some(byte) = self.peek() {
            let signs = matches!(byte, b'+' | b'-');
            // Any other mark only stands between fields.
            if byte.is_ascii_whitespace() || byte.is_ascii_punctuation() && !signs {
                self.at += 1;
                continue;
            }
            self.count += 1;
            if self.count > 25 {
                return Err(Problem::Syntax);
            }
            if byte.is_ascii_digit() {
                self.digits()?;
            } else if byte.is_ascii_alphabetic() {
                self.word(zone, now)?;
            } else if signs {
                self.sign()?;
            } else {
                return Err(Problem::Syntax);
            }
        }
        self.finish()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Takes the bytes from here on that pass.
    fn take(&mut self, test: impl Fn(u8) -> bool) -> &'a str {
        let rest = &self.text.as_bytes()[self.at..];
        let length = rest.iter().position(|byte| !test(*byte)).unwrap_or(rest.len());
        let taken = &self.text[self.at..self.at + length];
        self.at += length;
        taken
    }

    fn digits(&mut self) -> Result<(), Problem> {
        let start = self.at;
        let digits = self.take(|byte| byte.is_ascii_digit());
        let next = self.text.as_bytes().get(self.at + 1).copied();
        match self.peek() {
            Some(b':') => {
                self.at = start;
                let time = self.take(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.'));
                self.set_time(parse_clock(time)?)
            }
            Some(b'.') if self.has_date() && next.is_some_and(|byte| byte.is_ascii_digit()) => {
                self.at += 1;
                let fraction = self.take(|byte| byte.is_ascii_digit());
                let mut clock = compact_clock(digits).ok_or(Problem::Syntax)?;
                clock.micros = parse_fraction(fraction)?;
                self.set_time(clock)
            }
            Some(delimiter @ (b'-' | b'/' | b'.'))
                if next.is_some_and(|byte| byte.is_ascii_alphanumeric())
                    && !(delimiter == b'-' && self.has_date()) =>
            {
                self.at = start;
                self.date(delimiter)
            }
            _ => self.number(digits),
        }
    }

    fn has_date(&self) -> bool {
        self.days.is_some() || self.julian.is_some()
    }

    /// Digits that stand alone.
    fn number(&mut self, digits: &str) -> Result<(), Problem> {
        if self.time_only && self.time.is_none() && matches!(digits.len(), 4 | 6) {
            return self.set_time(compact_clock(digits).ok_or(Problem::Syntax)?);
        }
        if self.has_date() {
            // Behind a date they are a time without colons.
            if self.time.is_none()
                && let Some(clock) = compact_clock(digits)
            {
                return self.set_time(clock);
            }
            // `Thu Jan 8 04:05:06 1999` has its year last; here the date is complete.
            return Err(Problem::Syntax);
        }
        let value = parse_number(digits)?;
        match digits.len() {
            8.. if self.month.is_none() => {
                let (year, rest) = digits.split_at(digits.len() - 4);
                self.set_days(Ymd {
                    year: parse_number(year)?,
                    year_digits: year.len(),
                    month: parse_number(&rest[..2])?,
                    day: parse_number(&rest[2..])?,
                })
            }
            6 if self.month.is_none() => self.set_days(Ymd {
                year: parse_number(&digits[..2])?,
                year_digits: 2,
                month: parse_number(&digits[2..4])?,
                day: parse_number(&digits[4..])?,
            }),
            _ => {
                if self.numbers.len() == 3 {
                    return Err(Problem::Syntax);
                }
                self.numbers.push((value, digits.len()));
                Ok(())
            }
        }
    }

    /// Two or three parts with a delimiter between.
    fn date(&mut self, delimiter: u8) -> Result<(), Problem> {
        let mut parts: Vec<&str> = Vec::with_capacity(3);
        loop {
            let digits = self.take(|byte| byte.is_ascii_digit());
            let part = if digits.is_empty() {
                self.take(|byte| byte.is_ascii_alphabetic())
            } else {
                digits
            };
            if part.is_empty() {
                return Err(Problem::Syntax);
            }
            parts.push(part);
            if parts.len() == 3 || self.peek() != Some(delimiter) {
                break;
            }
            self.at += 1;
        }
        let is_number = |part: &str| part.starts_with(|c: char| c.is_ascii_digit());
        let numbers: Vec<bool> = parts.iter().map(|part| is_number(part)).collect();
        let date = |year: &str, month: i64, day: &str| {
            Ok(Ymd {
                year: parse_number(year)?,
                year_digits: year.len(),
                month,
                day: parse_number(day)?,
            })
        };
        let days = match (parts.as_slice(), numbers.as_slice()) {
            ([year, month, day], [true, true, true]) if year.len() > 2 => {
                date(year, parse_number(month)?, day)?
            }
            ([first, second, third], [true, true, true]) => {
                let (year, month, day) = self.order.placed(first, second, third);
                date(year, parse_number(month)?, day)?
            }
            ([year, month, day], [true, false, true]) if year.len() > 2 => {
                date(year, month_of(month)?, day)?
            }
            ([day, month, year], [true, false, true]) => date(year, month_of(month)?, day)?,
            ([month, day, year], [false, true, true]) => date(year, month_of(month)?, day)?,
            ([year, day], [true, true]) if delimiter == b'.' && day.len() == 3 => {
                let first = days_from_civil(full_year(parse_number(year)?, year.len()), 1, 1);
                let day = parse_number(day)?;
                if !(1..=366).contains(&day) {
                    return Err(Problem::Range);
                }
                return self.set_julian(first + day - 1);
            }
            _ => return Err(Problem::Syntax),
        };
        self.set_days(days)
    }

    fn word(&mut self, zone: &Zone, now: Option<i64>) -> Result<(), Problem> {
        let start = self.at;
        let letters = self.take(|byte| byte.is_ascii_alphabetic());
        let lower = letters.to_ascii_lowercase();
        let next = self.peek();
        match lower.as_str() {
            // Between date and time.
            "t" if next.is_some_and(|byte| byte.is_ascii_digit())
                && (self.has_date() || self.count == 1) =>
            {
                // As PostgreSQL's, a time of day has no date before its T.
                if self.time_only && self.has_date() {
                    return Err(Problem::Syntax);
                }
                let digits_start = self.at;
                let digits = self.take(|byte| byte.is_ascii_digit());
                if self.peek() == Some(b':') {
                    self.at = digits_start;
                    return self.digits();
                }
                let mut clock = compact_clock(digits).ok_or(Problem::Syntax)?;
                if self.peek() == Some(b'.') {
                    self.at += 1;
                    clock.micros = parse_fraction(self.take(|byte| byte.is_ascii_digit()))?;
                }
                return self.set_time(clock);
            }
            "j" | "jd" | "julian" if next.is_some_and(|byte| byte.is_ascii_digit()) => {
                let day = parse_number(self.take(|byte| byte.is_ascii_digit()))?;
                return self.set_julian(day - JULIAN_EPOCH);
            }
            "infinity" | "inf" => return self.set_special(Day::Infinity),
            "epoch" => return self.set_special(Day::Moment(UNIX_EPOCH)),
            "now" | "today" | "tomorrow" | "yesterday" => {
                let now = now.ok_or_else(|| Problem::Clock(lower.clone()))?;
                if lower == "now" {
                    return self.set_special(Day::Moment(now));
                }
                let today = split_days(to_local(now, zone)).0;
                self.midnight = true;
                return self.set_julian(match lower.as_str() {
                    "tomorrow" => today + 1,
                    "yesterday" => today - 1,
                    _ => today,
                });
            }
            "allballs" => {
                self.zone = Some(Zone::UTC);
                return self.set_time(Clock { hour: 0, minute: 0, second: 0, micros: 0 });
            }
            "am" | "pm" if self.half.is_none() => {
                self.half = Some(if lower == "am" { Half::Am } else { Half::Pm });
                return Ok(());
            }
            "ad" | "ce" => return Ok(()),
            "bc" | "bce" => {
                self.before_christ = true;
                return Ok(());
            }
            "at" | "on" | "t" => return Ok(()),
            _ => {}
        }
        if let Some(month) = month_number(&lower) {
            if self.month.is_some() || self.has_date() {
                return Err(Problem::Syntax);
            }
            if let Some(delimiter @ (b'-' | b'/' | b'.')) = next
                && self.text.as_bytes().get(self.at + 1).is_some_and(u8::is_ascii_digit)
                && self.numbers.is_empty()
            {
                self.at = start;
                return self.date(delimiter);
            }
            self.month = Some(month);
            return Ok(());
        }
        if is_day_name(&lower) {
            return Ok(());
        }
        self.at = start;
        self.zone_word()
    }

    fn zone_word(&mut self) -> Result<(), Problem> {
        if self.zone.is_some() {
            return Err(Problem::Syntax);
        }
        let start = self.at;
        let letters = self.take(|byte| byte.is_ascii_alphabetic());
        if let Some(zone) = abbreviation(letters)
            && !matches!(self.peek(), Some(b'/' | b'_' | b'+' | b'-'))
        {
            self.zone = Some(zone);
            return Ok(());
        }
        self.at = start;
        let name = self.take(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'+' | b'-' | b':')
        });
        match Zone::parse(name) {
            Some(zone) => {
                self.zone = Some(zone);
                Ok(())
            }
            None if name.contains('/') => Err(Problem::Zone(name.to_ascii_lowercase())),
            None => Err(Problem::Syntax),
        }
    }

    /// An offset, or `-infinity`.
    fn sign(&mut self) -> Result<(), Problem> {
        let negative = self.peek() == Some(b'-');
        self.at += 1;
        if !self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            let word = self.take(|byte| byte.is_ascii_alphabetic()).to_ascii_lowercase();
            let infinite = matches!(word.as_str(), "infinity" | "inf");
            if !infinite {
                return Err(Problem::Syntax);
            }
            return self.set_special(if negative { Day::NegativeInfinity } else { Day::Infinity });
        }
        if self.zone.is_some() || (self.time.is_none() && !self.has_date()) {
            return Err(Problem::Syntax);
        }
        let offset = self.take(|byte| byte.is_ascii_digit() || byte == b':');
        let parts: Vec<&str> = offset.split(':').collect();
        let (hours, minutes, seconds) = match parts.as_slice() {
            [compact] if compact.len() > 2 => {
                let (hours, rest) = compact.split_at(if compact.len() % 2 == 0 { 2 } else { 1 });
                let (minutes, seconds) = rest.split_at(2);
                (hours, minutes, if seconds.is_empty() { "0" } else { seconds })
            }
            [hours] => (*hours, "0", "0"),
            [hours, minutes] => (*hours, *minutes, "0"),
            [hours, minutes, seconds] => (*hours, *minutes, *seconds),
            _ => return Err(Problem::Syntax),
        };
        let (hours, minutes, seconds) =
            (parse_number(hours)?, parse_number(minutes)?, parse_number(seconds)?);
        if minutes > 59 || seconds > 59 || hours > 15 {
            return Err(Problem::Displacement);
        }
        let offset = ((hours * 60 + minutes) * 60 + seconds) as i32;
        if offset > OFFSET_MAX {
            return Err(Problem::Displacement);
        }
        self.zone = Some(Zone::Fixed(if negative { -offset } else { offset }));
        Ok(())
    }

    fn set_time(&mut self, clock: Clock) -> Result<(), Problem> {
        if self.time.is_some() {
            return Err(Problem::Syntax);
        }
        self.time = Some(clock);
        Ok(())
    }

    fn set_days(&mut self, days: Ymd) -> Result<(), Problem> {
        if self.has_date() || self.month.is_some() || !self.numbers.is_empty() {
            return Err(Problem::Syntax);
        }
        self.days = Some(days);
        Ok(())
    }

    fn set_julian(&mut self, days: i64) -> Result<(), Problem> {
        if self.has_date() || self.special.is_some() {
            return Err(Problem::Syntax);
        }
        self.julian = Some(days);
        Ok(())
    }

    fn set_special(&mut self, day: Day) -> Result<(), Problem> {
        if self.special.is_some() || self.has_date() {
            return Err(Problem::Syntax);
        }
        self.special = Some(day);
        Ok(())
    }

    fn finish(mut self) -> Result<Fields, Problem> {
        if let Some(special) = self.special.take() {
            let alone = !self.has_date()
                && self.month.is_none()
                && self.numbers.is_empty()
                && self.time.is_none()
                && self.half.is_none();
            return if alone {
                Ok(Fields { date: Some(special), time: None, zone: self.zone })
            } else {
                Err(Problem::Syntax)
            };
        }
        self.gather_numbers()?;
        let mut time = match (&self.time, self.half) {
            (Some(clock), half) => Some(time_of_day(clock, half)?),
            (None, Some(_)) => return Err(Problem::Syntax),
            (None, None) => None,
        };
        if self.midnight && time.is_none() {
            time = Some(0);
        }
        let date = match (self.days, self.julian) {
            (Some(days), _) => Some(Day::Days(checked_days(&days, self.before_christ)?)),
            (None, Some(days)) => Some(Day::Days(days)),
            (None, None) if self.before_christ => return Err(Problem::Syntax),
            (None, None) => None,
        };
        if date.is_none() && time.is_none() {
            return Err(Problem::Syntax);
        }
        Ok(Fields { date, time, zone: self.zone })
    }

    /// Makes a date of a month's name and the numbers around it, or of three numbers.
    fn gather_numbers(&mut self) -> Result<(), Problem> {
        let (month, numbers) = (self.month.take(), std::mem::take(&mut self.numbers));
        let days = match (month, numbers.as_slice()) {
            (None, []) => return Ok(()),
            (Some(month), [first, second]) => {
                // A number of more than two digits can only be the year.
                let (day, year) = if first.1 > 2 { (second, first) } else { (first, second) };
                Ymd { year: year.0, year_digits: year.1, month, day: day.0 }
            }
            (None, [first, second, third]) if first.1 > 2 => {
                Ymd { year: first.0, year_digits: first.1, month: second.0, day: third.0 }
            }
            (None, [first, second, third]) => {
                let (year, month, day) = self.order.placed(first, second, third);
                Ymd { year: year.0, year_digits: year.1, month: month.0, day: day.0 }
            }
            _ => return Err(Problem::Syntax),
        };
        self.set_days(days)
    }
}

fn checked_days(date: &Ymd, before_christ: bool) -> Result<i64, Problem> {
    let year = if before_christ {
        if date.year == 0 {
            return Err(Problem::Range);
        }
        1 - date.year
    } else {
        if date.year == 0 && date.year_digits > 2 {
            return Err(Problem::Range);
        }
        full_year(date.year, date.year_digits)
    };
    if !(1..=12).contains(&date.month) || !(1..=31).contains(&date.day) {
        return Err(Problem::Order);
    }
    if date.day > month_length(year, date.month) {
        return Err(Problem::Range);
    }
    Ok(days_from_civil(year, date.month, date.day))
}

/// Two digits mean 1970 to 2069.
fn full_year(year: i64, digits: usize) -> i64 {
    match (digits, year) {
        (1..=2, ..70) => year + 2000,
        (1..=2, _) => year + 1900,
        _ => year,
    }
}

fn time_of_day(clock: &Clock, half: Option<Half>) -> Result<i64, Problem> {
    let hour = match half {
        Some(_) if !(1..=12).contains(&clock.hour) => return Err(Problem::Range),
        Some(half) => clock.hour % 12 + if half == Half::Pm { 12 } else { 0 },
        None => clock.hour,
    };
    if clock.minute > 59 || clock.second > 60 {
        return Err(Problem::Range);
    }
    let time = hour * MICROS_PER_HOUR
        + clock.minute * MICROS_PER_MINUTE
        + clock.second * MICROS_PER_SECOND
        + clock.micros;
    if hour > 24 || time > MICROS_PER_DAY {
        return Err(Problem::Range);
    }
    Ok(time)
}

/// `h:m`, `h:m:s`, `h:m:s.f`, `m:s.f`.
fn parse_clock(text: &str) -> Result<Clock, Problem> {
    let (text, fraction) = match text.split_once('.') {
        Some((text, fraction)) => (text, parse_fraction(fraction)?),
        None => (text, 0),
    };
    let has_fraction = fraction != 0;
    let parts: Vec<&str> = text.split(':').collect();
    let (hour, minute, second) = match parts.as_slice() {
        [minute, second] if has_fraction => ("0", *minute, *second),
        [hour, minute] => (*hour, *minute, "0"),
        [hour, minute, second] => (*hour, *minute, *second),
        _ => return Err(Problem::Syntax),
    };
    Ok(Clock {
        hour: parse_number(hour)?,
        minute: parse_number(minute)?,
        second: parse_number(second)?,
        micros: fraction,
    })
}

/// `hhmm` or `hhmmss`.
fn compact_clock(digits: &str) -> Option<Clock> {
    let part = |from: usize| digits.get(from..from + 2).and_then(|part| part.parse().ok());
    let second = match digits.len() {
        4 => 0,
        6 => part(4)?,
        _ => return None,
    };
    Some(Clock { hour: part(0)?, minute: part(2)?, second, micros: 0 })
}

/// Digits behind the point of a second, in microseconds, rounded.
fn parse_fraction(digits: &str) -> Result<i64, Problem> {
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Problem::Syntax);
    }
    let shown = &digits[..digits.len().min(6)];
    let mut micros = if shown.is_empty() { 0 } else { parse_number(shown)? };
    micros *= 10_i64.pow(6 - shown.len() as u32);
    let rest = &digits[shown.len()..];
    // Half to even, as the C library rounds the product with a million.
    let half = rest.starts_with('5') && rest[1..].bytes().all(|digit| digit == b'0');
    let up = rest.starts_with(['6', '7', '8', '9']) || (rest.starts_with('5') && !half);
    if up || (half && micros % 2 == 1) {
        micros += 1;
    }
    Ok(micros)
}

fn parse_number(digits: &str) -> Result<i64, Problem> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Problem::Syntax);
    }
    // No field has more than seven digits that mean anything.
    if digits.trim_start_matches('0').len() > 9 {
        return Err(Problem::Range);
    }
    digits.parse().map_err(|_| Problem::Range)
}

fn month_of(word: &str) -> Result<i64, Problem> {
    month_number(&word.to_ascii_lowercase()).ok_or(Problem::Syntax)
}

fn month_number(word: &str) -> Option<i64> {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    if word == "sept" {
        return Some(9);
    }
    let at = MONTHS.iter().position(|month| *month == word || month[..3] == *word)?;
    Some(at as i64 + 1)
}

fn is_day_name(word: &str) -> bool {
    matches!(
        word,
        "sun"
            | "sunday"
            | "mon"
            | "monday"
            | "tue"
            | "tues"
            | "tuesday"
            | "wed"
            | "weds"
            | "wednesday"
            | "thu"
            | "thur"
            | "thurs"
            | "thursday"
            | "fri"
            | "friday"
            | "sat"
            | "saturday"
    )
}
