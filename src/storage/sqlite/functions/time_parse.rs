//! `to_date` and `to_timestamp`: what a template such as `DD Mon YYYY` reads from a
//! text, by the rules of PostgreSQL's `DCH_from_char` and `do_to_timestamp`.

use super::time_format::{DAYS, MONTHS, Piece, ROMAN, pieces};
use crate::pg::types::calendar::{
    JULIAN_EPOCH, MICROS_PER_DAY, MICROS_PER_SECOND, civil_from_days, days_from_civil, month_length,
};
use crate::pg::types::datetime::timestamp_in_range;
use crate::pg::{SqlError, SqlState};

/// What has been read; zero is a field that wasn't there.
#[derive(Default)]
struct Fields {
    hour: i64,
    minute: i64,
    second: i64,
    seconds_of_day: i64,
    millis: i64,
    micros: i64,
    /// Digits of a fraction that `FF1` to `FF6` keep.
    precision: u32,
    afternoon: i64,
    /// The hour is one of twelve.
    half_day: bool,
    year: i64,
    /// How many digits of the year the template asks for.
    year_digits: usize,
    century: i64,
    before_christ: i64,
    month: i64,
    day: i64,
    /// Sunday is 1.
    weekday: i64,
    day_of_year: i64,
    week: i64,
    week_of_month: i64,
    julian: i64,
    /// 1 or -1 where a zone was given.
    zone_sign: i64,
    zone_hours: i64,
    zone_minutes: i64,
    /// Whether the date counts in ISO weeks, once a field has said so.
    iso: Option<bool>,
}

/// `to_timestamp(text, template)`: microseconds since 2000-01-01.
pub(super) fn parse(text: &str, template: &str) -> Result<i64, SqlError> {
    let pieces = pieces(template);
    let mut reader = Reader { rest: text, before: None, fields: Fields::default() };
    reader.read(&pieces)?;
    moment(reader.fields, text)
}

struct Reader<'a> {
    rest: &'a str,
    /// The character before the rest.
    before: Option<char>,
    fields: Fields,
}

/// The piece at hand: its name, how it is written, and whether its number ends where
/// the digits do.
struct Field<'a> {
    name: &'static str,
    written: &'a str,
    open: bool,
}

impl Reader<'_> {
    fn read(&mut self, pieces: &[Piece<'_>]) -> Result<(), SqlError> {
        let mut exact = false;
        // Blanks that were passed over beyond those of the template.
        let mut extra = 0_i64;
        for (at, piece) in pieces.iter().enumerate() {
            if self.rest.is_empty() {
                break;
            }
            if !exact && (at == 0 || matches!(piece, Piece::Field { .. })) {
                extra += self.skip_blanks();
            }
            match piece {
                Piece::Exact => exact = true,
                Piece::Separator(_) if exact => self.skip_one(),
                Piece::Separator(_) => {
                    extra -= 1;
                    if self.rest.starts_with(|char: char| {
                        char.is_ascii_whitespace() || char.is_ascii_punctuation()
                    }) {
                        self.skip_one();
                        extra += 1;
                    }
                }
                Piece::Text(text) => {
                    for _ in text.chars() {
                        if !exact && extra > 0 {
                            extra -= 1;
                        } else {
                            self.skip_one();
                        }
                    }
                }
                Piece::Field { name, written, bare, ordinal } => {
                    let open = *bare || ordinal.is_some() || ends_digits(pieces.get(at + 1));
                    self.read_field(&Field { name, written, open }, extra > 0)?;
                    if ordinal.is_some() {
                        self.skip_one();
                        self.skip_one();
                    }
                    if !exact {
                        extra = self.skip_blanks();
                    }
                }
            }
        }
        Ok(())
    }

    fn skip_one(&mut self) {
        let mut chars = self.rest.chars();
        self.before = chars.next().or(self.before);
        self.rest = chars.as_str();
    }

    fn skip_blanks(&mut self) -> i64 {
        let mut skipped = 0;
        while self.rest.starts_with(|char: char| char.is_ascii_whitespace() || char == '\x0b') {
            self.skip_one();
            skipped += 1;
        }
        skipped
    }

    fn read_field(&mut self, field: &Field<'_>, skipped: bool) -> Result<(), SqlError> {
        self.note_calendar(field.name)?;
        match field.name {
            "A.M." | "P.M." | "AM" | "PM" => {
                let names = if field.name.len() == 4 { ["A.M.", "P.M."] } else { ["AM", "PM"] };
                let half = self.name(&names, field)?;
                set(&mut self.fields.afternoon, half, field)?;
                self.fields.half_day = true;
            }
            "A.D." | "B.C." | "AD" | "BC" => {
                let names = if field.name.len() == 4 { ["A.D.", "B.C."] } else { ["AD", "BC"] };
                let era = self.name(&names, field)?;
                set(&mut self.fields.before_christ, era, field)?;
            }
            "MONTH" => {
                let month = self.name(&MONTHS, field)? + 1;
                set(&mut self.fields.month, month, field)?;
            }
            "MON" => {
                let month = self.name(&MONTHS.map(|month| &month[..3]), field)? + 1;
                set(&mut self.fields.month, month, field)?;
            }
            "RM" => {
                // The longest numeral first: `II` begins with `I`.
                let mut numerals = ROMAN;
                numerals.reverse();
                let month = 12 - self.name(&numerals, field)?;
                set(&mut self.fields.month, month, field)?;
            }
            "DAY" | "DY" => {
                let day = match field.name {
                    "DAY" => self.name(&DAYS, field)?,
                    _ => self.name(&DAYS.map(|day| &day[..3]), field)?,
                };
                self.fields.weekday = day + 1;
            }
            "TZ" | "OF" => {
                return Err(SqlError::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    format!("formatting field \"{}\" is only supported in to_char", field.written),
                ));
            }
            "TZH" => {
                self.fields.zone_sign = match self.rest.chars().next() {
                    Some('-') => -1,
                    Some('+' | ' ') => 1,
                    // It may have been taken for a separator.
                    _ if skipped && self.before == Some('-') => -1,
                    _ => 1,
                };
                if self.rest.starts_with(['-', '+', ' ']) {
                    self.skip_one();
                }
                self.fields.zone_hours = self.number(2, field)?.0;
            }
            "Y,YYY" => self.year_with_comma(field)?,
            _ => self.read_number(field)?,
        }
        Ok(())
    }

    /// Dates by the month and dates by the ISO week don't mix.
    fn note_calendar(&mut self, name: &str) -> Result<(), SqlError> {
        let iso = match name {
            "I" | "IY" | "IYY" | "IYYY" | "ID" | "IDDD" | "IW" => true,
            "D" | "DD" | "DDD" | "MM" | "MON" | "MONTH" | "RM" | "W" | "WW" | "Y" | "YY"
            | "YYY" | "YYYY" | "Y,YYY" => false,
            _ => return Ok(()),
        };
        if self.fields.iso.is_some_and(|before| before != iso) {
            let message = "invalid combination of date conventions";
            return Err(SqlError::new(SqlState::INVALID_DATETIME_FORMAT, message).with_hint(
                "Do not mix Gregorian and ISO week date conventions in a formatting template.",
            ));
        }
        self.fields.iso = Some(iso);
        Ok(())
    }

    /// The number of the name that comes next, in any case.
    fn name(&mut self, names: &[&str], field: &Field<'_>) -> Result<i64, SqlError> {
        let found = names.iter().position(|name| {
            self.rest.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
        });
        let Some(found) = found else {
            let word = self.rest.split_ascii_whitespace().next().unwrap_or("");
            return Err(wrong(word, field).with_detail(
                "The given value did not match any of the allowed values for this field.",
            ));
        };
        names[found].chars().for_each(|_| self.skip_one());
        Ok(i64::try_from(found).unwrap_or(0))
    }

    /// A number of so many characters, or, where the field is open, of all digits that
    /// follow; and the characters that it took.
    fn number(&mut self, length: usize, field: &Field<'_>) -> Result<(i64, usize), SqlError> {
        let start = self.rest;
        self.skip_blanks();
        let end =
            |at: usize| self.rest.char_indices().nth(at).map_or(self.rest.len(), |(at, _)| at);
        let fixed = &self.rest[..end(length)];
        let source = if field.open { self.rest } else { fixed };
        if !field.open && fixed.chars().count() < length {
            let message =
                format!("source string too short for \"{}\" formatting field", field.written);
            return Err(SqlError::new(SqlState::INVALID_DATETIME_FORMAT, message)
                .with_detail(format!(
                    "Field requires {length} characters, but only {} remain.",
                    fixed.chars().count()
                ))
                .with_hint(FIXED_WIDTH));
        }
        let blanks = source.len() - source.trim_ascii_start().len();
        let body = &source[blanks..];
        let sign = usize::from(body.starts_with(['+', '-']));
        let digits = body[sign..].bytes().take_while(u8::is_ascii_digit).count();
        let used = if digits == 0 { 0 } else { blanks + sign + digits };
        if !field.open && used > 0 && used < length {
            return Err(wrong(fixed, field)
                .with_detail(format!(
                    "Field requires {length} characters, but only {used} could be parsed."
                ))
                .with_hint(FIXED_WIDTH));
        }
        if used == 0 {
            return Err(wrong(fixed, field).with_detail("Value must be an integer."));
        }
        let value = body[..sign + digits].parse::<i32>().map_err(|_| {
            let message =
                format!("value for \"{}\" in source string is out of range", field.written);
            SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, message)
                .with_detail("Value must be in the range -2147483648 to 2147483647.")
        })?;
        (0..used).for_each(|_| self.skip_one());
        Ok((i64::from(value), start.len() - self.rest.len()))
    }

    fn year_with_comma(&mut self, field: &Field<'_>) -> Result<(), SqlError> {
        let invalid = || {
            let message = "invalid input string for \"Y,YYY\"";
            SqlError::new(SqlState::INVALID_DATETIME_FORMAT, message)
        };
        let (thousands, rest) = self.rest.split_once(',').ok_or_else(invalid)?;
        let length = rest.bytes().take_while(u8::is_ascii_digit).count().min(3);
        let thousands_value: i64 = thousands.trim().parse().map_err(|_| invalid())?;
        let years: i64 = rest[..length].parse().map_err(|_| invalid())?;
        set(&mut self.fields.year, thousands_value.saturating_mul(1000) + years, field)?;
        self.fields.year_digits = 4;
        (0..thousands.len() + 1 + length).for_each(|_| self.skip_one());
        Ok(())
    }

    fn read_number(&mut self, field: &Field<'_>) -> Result<(), SqlError> {
        let width = match field.name {
            "HH12" | "HH24" => 2,
            "MS" => 3,
            "US" => 6,
            "ID" => 1,
            "IDDD" => 3,
            "FF1" | "FF2" | "FF3" | "FF4" | "FF5" | "FF6" => field.name[2..].parse().unwrap_or(6),
            "TZM" => 2,
            name => name.len(),
        };
        let (value, length) = self.number(width, field)?;
        let places =
            |most: usize| 10_i64.pow(u32::try_from(most.saturating_sub(length)).unwrap_or(0));
        let fields = &mut self.fields;
        let target = match field.name {
            "HH" | "HH12" => {
                fields.half_day = true;
                &mut fields.hour
            }
            "HH24" => &mut fields.hour,
            "MI" => &mut fields.minute,
            "SS" => &mut fields.second,
            "SSSS" | "SSSSS" => &mut fields.seconds_of_day,
            "MM" => &mut fields.month,
            "DD" => &mut fields.day,
            "D" => &mut fields.weekday,
            "DDD" | "IDDD" => &mut fields.day_of_year,
            "WW" | "IW" => &mut fields.week,
            "W" => &mut fields.week_of_month,
            "CC" => &mut fields.century,
            "J" => &mut fields.julian,
            "TZM" => {
                fields.zone_sign = if fields.zone_sign == 0 { 1 } else { fields.zone_sign };
                &mut fields.zone_minutes
            }
            "ID" => {
                return set(&mut fields.weekday, if value >= 7 { 1 } else { value + 1 }, field);
            }
            "MS" => return set(&mut fields.millis, value.saturating_mul(places(3)), field),
            "Y" | "YY" | "YYY" | "YYYY" | "I" | "IY" | "IYY" | "IYYY" => {
                fields.year_digits = field.name.len();
                let whole = field.name.len() == 4 || length >= 4;
                let year = if whole { value } else { near_2020(value) };
                return set(&mut fields.year, year, field);
            }
            name if name.starts_with("FF") || name == "US" => {
                if name != "US" {
                    fields.precision = u32::try_from(width).unwrap_or(6);
                }
                return set(&mut fields.micros, value.saturating_mul(places(6)), field);
            }
            // A quarter says too little of a date: it is read, and no more.
            _ => return Ok(()),
        };
        set(target, value, field)
    }
}

const FIXED_WIDTH: &str =
    "If your source string is not fixed-width, try using the \"FM\" modifier.";

/// Whether a number ends by itself before this piece.
fn ends_digits(piece: Option<&Piece<'_>>) -> bool {
    match piece {
        Some(Piece::Field { name, .. }) => matches!(
            *name,
            "A.D."
                | "A.M."
                | "AD"
                | "AM"
                | "B.C."
                | "BC"
                | "DAY"
                | "DY"
                | "MON"
                | "MONTH"
                | "OF"
                | "P.M."
                | "PM"
                | "RM"
                | "TZ"
                | "TZH"
        ),
        Some(Piece::Text(text)) => !text.starts_with(|char: char| char.is_ascii_digit()),
        _ => true,
    }
}

fn wrong(value: &str, field: &Field<'_>) -> SqlError {
    SqlError::new(
        SqlState::INVALID_DATETIME_FORMAT,
        format!("invalid value \"{value}\" for \"{}\"", field.written),
    )
}

fn set(target: &mut i64, value: i64, field: &Field<'_>) -> Result<(), SqlError> {
    if *target != 0 && *target != value {
        let message =
            format!("conflicting values for \"{}\" field in formatting string", field.written);
        return Err(SqlError::new(SqlState::INVALID_DATETIME_FORMAT, message)
            .with_detail("This value contradicts a previous setting for the same field type."));
    }
    *target = value;
    Ok(())
}

/// A year of less than four digits is the nearest to 2020.
fn near_2020(year: i64) -> i64 {
    match year {
        ..70 => year + 2000,
        70..100 => year + 1900,
        100..520 => year + 2000,
        520..1000 => year + 1000,
        _ => year,
    }
}

/// The Monday of an ISO week, in days since 2000-01-01.
fn iso_monday(year: i64, week: i64) -> i64 {
    let fourth = days_from_civil(year, 1, 4);
    fourth - (fourth + 5).rem_euclid(7) + (week - 1) * 7
}

fn moment(fields: Fields, text: &str) -> Result<i64, SqlError> {
    let out_of_range = || {
        SqlError::new(
            SqlState::DATETIME_FIELD_OVERFLOW,
            format!("date/time field value out of range: \"{text}\""),
        )
    };
    let days = days(&fields, out_of_range)?;
    let seconds = seconds(&fields, out_of_range)?;
    let mut fraction = fields.millis.saturating_mul(1000).saturating_add(fields.micros);
    if !(0..MICROS_PER_SECOND).contains(&fraction) {
        return Err(out_of_range());
    }
    if fields.precision > 0 {
        let unit = 10_i64.pow(6 - fields.precision.min(6));
        fraction = (fraction + unit / 2) / unit * unit;
    }
    let mut offset = 0;
    if fields.zone_sign != 0 {
        if !(0..=15).contains(&fields.zone_hours) || !(0..60).contains(&fields.zone_minutes) {
            return Err(SqlError::new(
                SqlState("22009"),
                format!("time zone displacement out of range: \"{text}\""),
            ));
        }
        offset = fields.zone_sign * (fields.zone_hours * 3600 + fields.zone_minutes * 60);
    }
    let micros = days
        .checked_mul(MICROS_PER_DAY)
        .and_then(|micros| micros.checked_add((seconds - offset) * MICROS_PER_SECOND + fraction));
    micros.filter(|micros| timestamp_in_range(*micros)).ok_or_else(|| {
        SqlError::new(
            SqlState::DATETIME_FIELD_OVERFLOW,
            format!("timestamp out of range: \"{text}\""),
        )
    })
}

/// Seconds into the day.
fn seconds(fields: &Fields, out_of_range: impl Fn() -> SqlError) -> Result<i64, SqlError> {
    let (mut hour, mut minute, mut second) =
        (fields.seconds_of_day / 3600, fields.seconds_of_day / 60 % 60, fields.seconds_of_day % 60);
    let given = |field: i64, value: &mut i64| {
        if field != 0 {
            *value = field;
        }
    };
    given(fields.hour, &mut hour);
    given(fields.minute, &mut minute);
    given(fields.second, &mut second);
    if fields.half_day {
        if !(1..=12).contains(&hour) {
            let message = format!("hour \"{hour}\" is invalid for the 12-hour clock");
            return Err(SqlError::new(SqlState::INVALID_DATETIME_FORMAT, message)
                .with_hint("Use the 24-hour clock, or give an hour between 1 and 12."));
        }
        hour = hour % 12 + if fields.afternoon == 0 { 0 } else { 12 };
    }
    if (0..24).contains(&hour) && (0..60).contains(&minute) && (0..60).contains(&second) {
        Ok(hour * 3600 + minute * 60 + second)
    } else {
        Err(out_of_range())
    }
}

/// The year, counted from 0 for 1 BC; `None` where neither it nor its century is given.
fn year(fields: &Fields) -> Option<i64> {
    let bc = fields.before_christ != 0;
    let century = if bc { -fields.century } else { fields.century };
    if fields.year == 0 {
        return (century != 0)
            .then(|| if century >= 0 { (century - 1) * 100 + 1 } else { century * 100 + 1 });
    }
    if century != 0 && fields.year_digits <= 2 {
        // The year is one of the century: the 21st is 2001 to 2100.
        let year = fields.year % 100;
        return Some(match (year, century >= 0) {
            (0, true) => century * 100,
            (0, false) => century * 100 + 1,
            (_, true) => year + (century - 1) * 100,
            (_, false) => (century + 1) * 100 - year + 1,
        });
    }
    let year = if bc { -fields.year } else { fields.year };
    Some(if year < 0 { year + 1 } else { year })
}

/// Days since 2000-01-01.
fn days(fields: &Fields, out_of_range: impl Fn() -> SqlError) -> Result<i64, SqlError> {
    let given_year = year(fields);
    let (mut year, mut month, mut day) = (given_year.unwrap_or(0), 1, 1);
    // Which parts of the date are known, and so are checked.
    let mut known = (given_year.is_some(), false, false);
    let mut day_of_year = fields.day_of_year;
    let mut at = |days: i64, date: (&mut i64, &mut i64, &mut i64)| {
        let civil = civil_from_days(days);
        (*date.0, *date.1, *date.2) = (civil.year, civil.month, civil.day);
        known = (true, true, true);
    };
    let iso = fields.iso == Some(true);
    if fields.julian != 0 {
        at(fields.julian - JULIAN_EPOCH, (&mut year, &mut month, &mut day));
    }
    if fields.week != 0 && iso {
        let monday = iso_monday(year, fields.week);
        let days = match fields.weekday {
            0 | 2 => monday,
            1 => monday + 6,
            weekday => monday + weekday - 2,
        };
        at(days, (&mut year, &mut month, &mut day));
    } else if fields.week != 0 {
        day_of_year = (fields.week - 1) * 7 + 1;
    }
    let month_day =
        if fields.week_of_month == 0 { fields.day } else { (fields.week_of_month - 1) * 7 + 1 };
    if month_day != 0 {
        day = month_day;
        known.2 = true;
    }
    if fields.month != 0 {
        month = fields.month;
        known.1 = true;
    }
    if day_of_year != 0 && (month <= 1 || day <= 1) {
        if year == 0 && fields.before_christ == 0 {
            let message = "cannot calculate day of year without year information";
            return Err(SqlError::new(SqlState::INVALID_DATETIME_FORMAT, message));
        }
        if iso {
            return Ok(iso_monday(year, 1) + day_of_year - 1);
        }
        let most = if month_length(year, 2) == 29 { 366 } else { 365 };
        if !(1..=most).contains(&day_of_year) {
            return Err(out_of_range());
        }
        let civil = civil_from_days(days_from_civil(year, 1, 1) + day_of_year - 1);
        month = if month <= 1 { civil.month } else { month };
        day = if day <= 1 { civil.day } else { day };
        known = (known.0, true, true);
    }
    let valid = (!known.1 || (1..=12).contains(&month))
        && (!known.2 || (1..=31).contains(&day))
        && (known != (true, true, true) || day <= month_length(year, month));
    if valid { Ok(days_from_civil(year, month, day)) } else { Err(out_of_range()) }
}
