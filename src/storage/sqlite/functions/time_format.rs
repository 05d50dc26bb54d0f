//! `to_char` of times, and `to_date` and `to_timestamp` the other way: templates such
//! as `FMDay, DD Month YYYY`.

use super::moment::{Clock, Moment, century, counted_year};
use crate::pg::types::calendar::{
    JULIAN_EPOCH, MICROS_PER_DAY, MICROS_PER_SECOND, days_from_civil, month_length,
};
use crate::pg::types::datetime::timestamp_in_range;
use crate::pg::types::zone::Zone;
use crate::pg::{SqlError, SqlState};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const ROMAN: [&str; 12] =
    ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"];

/// Fields of a template; of those that fit, the longest is meant.
#[rustfmt::skip]
const FIELDS: &[&str] = &[
    "A.D.", "A.M.", "AD", "AM", "B.C.", "BC", "CC", "D", "DAY", "DD", "DDD", "DY", "FF1", "FF2",
    "FF3", "FF4", "FF5", "FF6", "HH", "HH12", "HH24", "I", "ID", "IDDD", "IW", "IY", "IYY",
    "IYYY", "J", "MI", "MM", "MON", "MONTH", "MS", "OF", "P.M.", "PM", "Q", "RM", "SS", "SSSS",
    "SSSSS", "TZ", "TZH", "TZM", "US", "W", "WW", "Y", "Y,YYY", "YY", "YYY", "YYYY",
];

/// A piece of a template.
#[derive(Debug)]
enum Piece<'a> {
    Field {
        name: &'static str,
        /// As written, for its case.
        written: &'a str,
        /// `FM`: without padding.
        bare: bool,
        /// `th` or `TH` behind it.
        ordinal: Option<&'a str>,
    },
    Text(String),
}

fn pieces(template: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = template;
    let mut bare = false;
    while let Some(first) = rest.chars().next() {
        let starts = |prefix: &str| {
            rest.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        };
        if starts("FM") || starts("FX") {
            bare |= starts("FM");
            rest = &rest[2..];
            continue;
        }
        if starts("TM") {
            rest = &rest[2..];
            continue;
        }
        let field = FIELDS.iter().filter(|field| starts(field)).max_by_key(|field| field.len());
        if let Some(name) = field {
            let (written, after) = rest.split_at(name.len());
            let suffix = after.get(..2).filter(|suffix| matches!(*suffix, "th" | "TH"));
            rest = &after[suffix.map_or(0, str::len)..];
            pieces.push(Piece::Field { name, written, bare, ordinal: suffix });
            bare = false;
            continue;
        }
        if first == '"' {
            let (quoted, length) = super::number_format::quoted(rest);
            pieces.push(Piece::Text(quoted));
            rest = &rest[length..];
            continue;
        }
        let skip = if first == '\\' && rest[1..].starts_with('"') { 1 } else { 0 };
        let char = rest[skip..].chars().next().unwrap_or(first);
        pieces.push(Piece::Text(char.to_string()));
        rest = &rest[skip + char.len_utf8()..];
    }
    pieces
}

/// A word in the case of the field that asks for it: `DAY`, `Day` or `day`.
fn in_case(word: &str, written: &str) -> String {
    let mut letters = written.chars().filter(|char| char.is_alphabetic());
    match (letters.next(), letters.next()) {
        (Some(first), _) if first.is_lowercase() => word.to_lowercase(),
        (_, Some(second)) if second.is_lowercase() => word.to_owned(),
        _ => word.to_uppercase(),
    }
}

fn ordinal_suffix(number: i64, written: &str) -> String {
    let number = number.abs();
    let suffix = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    if written == "TH" { suffix.to_uppercase() } else { suffix.to_owned() }
}

/// `to_char(moment, template)`; a moment with a zone as the clock of `zone` shows it.
pub(super) fn print(moment: Moment, template: &str, zone: &Zone) -> Result<String, SqlError> {
    let mut standing = None;
    let clock = match moment {
        Moment::Timestamptz(micros) => {
            let offset = zone.offset_at(micros);
            standing = Some((offset, zone.abbreviation_at(micros)));
            Clock::at(micros.saturating_add(i64::from(offset) * MICROS_PER_SECOND))
        }
        Moment::Interval(interval) => {
            // Fields of an interval are its own: 40 hours are no day and 16 hours.
            let seconds = interval.micros / MICROS_PER_SECOND;
            let mut clock = Clock::at(0);
            clock.date.year = i64::from(interval.months / 12);
            clock.date.month = i64::from(interval.months % 12);
            clock.date.day = i64::from(interval.days);
            clock.hour = seconds / 3600;
            clock.minute = seconds / 60 % 60;
            clock.second = seconds % 60;
            clock.micros = interval.micros % MICROS_PER_SECOND;
            clock
        }
        other => Clock::at(other.micros().unwrap_or(0)),
    };
    let mut result = String::new();
    for piece in pieces(template) {
        match piece {
            Piece::Text(text) => result.push_str(&text),
            Piece::Field { name, written, bare, ordinal } => {
                let field = match (name, &standing) {
                    ("TZ" | "TZH" | "TZM" | "OF", standing) => {
                        print_zone(standing.as_ref(), name, written)
                    }
                    _ => print_field(&clock, moment, name, written, bare),
                };
                result.push_str(&field);
                if let Some(suffix) = ordinal
                    && let Ok(number) = field.trim().replace(',', "").parse()
                {
                    result.push_str(&ordinal_suffix(number, suffix));
                }
            }
        }
    }
    Ok(result)
}

/// The fields of a zone; without one the offset is zero and there is no name.
fn print_zone(standing: Option<&(i32, String)>, name: &str, written: &str) -> String {
    let (offset, abbreviation) = standing.map_or((0, ""), |(offset, name)| (*offset, name));
    let hours = format!("{}{:02}", if offset < 0 { '-' } else { '+' }, offset.abs() / 3600);
    let minutes = offset.abs() / 60 % 60;
    match name {
        "TZ" if written.starts_with('t') => abbreviation.to_lowercase(),
        "TZ" => abbreviation.to_owned(),
        "TZM" => format!("{minutes:02}"),
        "OF" if minutes != 0 => format!("{hours}:{minutes:02}"),
        _ => hours,
    }
}

fn print_field(clock: &Clock, moment: Moment, name: &str, written: &str, bare: bool) -> String {
    let is_interval = matches!(moment, Moment::Interval(_));
    let number = |value: i64, width: usize| {
        if bare { value.to_string() } else { format!("{value:0width$}") }
    };
    let word = |word: &str, width: usize| {
        let cased = in_case(word, written);
        if bare { cased } else { format!("{cased:width$}") }
    };
    let year = if is_interval { clock.date.year } else { clock.year().abs() };
    let iso_year = || counted_year(clock.iso_week().0).abs();
    let month = usize::try_from(clock.date.month - 1).unwrap_or(0).min(11);
    let hour12 = if clock.hour % 12 == 0 { 12 } else { clock.hour % 12 };
    let weekday = usize::try_from(clock.weekday()).unwrap_or(0);
    let half = if clock.hour % 24 < 12 { "A" } else { "P" };
    let era = if clock.date.year > 0 { "A" } else { "B" };
    match name {
        "AM" | "PM" => in_case(&format!("{half}M"), written),
        "A.M." | "P.M." => in_case(&format!("{half}.M."), written),
        "AD" | "BC" => in_case(if era == "A" { "AD" } else { "BC" }, written),
        "A.D." | "B.C." => in_case(if era == "A" { "A.D." } else { "B.C." }, written),
        "CC" => match century(clock.date.year) {
            century if century < 0 => format!("-{}", number(-century, 2)),
            century => number(century, 2),
        },
        "D" => (clock.weekday() + 1).to_string(),
        "DAY" => word(DAYS[weekday], 9),
        "DD" => number(clock.date.day, 2),
        "DDD" => number(clock.day_of_year(), 3),
        "DY" => in_case(&DAYS[weekday][..3], written),
        "FF1" | "FF2" | "FF3" | "FF4" | "FF5" | "FF6" => {
            let digits = name[2..].parse().unwrap_or(6);
            format!("{:06}", clock.micros)[..digits].to_owned()
        }
        "HH" | "HH12" => number(hour12, 2),
        "HH24" => number(clock.hour, 2),
        "ID" => clock.iso_weekday().to_string(),
        "IDDD" => number((clock.iso_week().1 - 1) * 7 + clock.iso_weekday(), 3),
        "IW" => number(clock.iso_week().1, 2),
        "I" => (iso_year() % 10).to_string(),
        "IY" => number(iso_year() % 100, 2),
        "IYY" => number(iso_year() % 1000, 3),
        "IYYY" => number(iso_year(), 4),
        "J" => clock.julian().to_string(),
        "MI" => number(clock.minute, 2),
        "MM" => number(clock.date.month, 2),
        "MON" => in_case(&MONTHS[month][..3], written),
        "MONTH" => word(MONTHS[month], 9),
        "MS" => number(clock.micros / 1000, 3),
        "Q" => ((clock.date.month - 1) / 3 + 1).to_string(),
        "RM" => word(ROMAN[month], 4),
        "SS" => number(clock.second, 2),
        "SSSS" | "SSSSS" => (clock.time() / MICROS_PER_SECOND).to_string(),
        "US" => number(clock.micros, 6),
        "W" => ((clock.date.day - 1) / 7 + 1).to_string(),
        "WW" => number((clock.day_of_year() - 1) / 7 + 1, 2),
        "Y" => (year % 10).to_string(),
        "Y,YYY" => format!("{},{:03}", year / 1000, year % 1000),
        "YY" => number(year % 100, 2),
        "YYY" => number(year % 1000, 3),
        "YYYY" => number(year, 4),
        _ => String::new(),
    }
}

/// What has been read of a moment.
#[derive(Default)]
struct Read {
    year: Option<i64>,
    before_christ: bool,
    month: Option<i64>,
    day: Option<i64>,
    day_of_year: Option<i64>,
    julian: Option<i64>,
    hour: i64,
    afternoon: Option<bool>,
    minute: i64,
    second: i64,
    micros: i64,
    /// Seconds east of UTC.
    offset: i64,
}

/// `to_timestamp(text, template)`: microseconds since 2000-01-01.
pub(super) fn parse(text: &str, template: &str) -> Result<i64, SqlError> {
    let mut read = Read::default();
    let mut rest = text.trim_start();
    let pieces = pieces(template);
    for (at, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Text(skipped) => {
                for char in skipped.chars() {
                    // A separator stands for any, or for none.
                    let found = rest.chars().next();
                    let passes = match found {
                        Some(found) if char.is_alphanumeric() => Some(found),
                        Some(found) if !found.is_alphanumeric() && !matches!(found, '+' | '-') => {
                            Some(found)
                        }
                        Some(found) if found == char => Some(found),
                        _ => None,
                    };
                    rest = &rest[passes.map_or(0, char::len_utf8)..];
                }
                rest = rest.trim_start();
            }
            Piece::Field { name, ordinal, .. } => {
                let digits_follow = matches!(pieces.get(at + 1), Some(Piece::Field { name, .. }) if is_numeric(name));
                rest = read_field(&mut read, name, rest.trim_start(), digits_follow)?;
                if ordinal.is_some() {
                    rest = rest.get(2..).unwrap_or("");
                }
            }
        }
    }
    moment(&read, text)
}

fn is_numeric(name: &str) -> bool {
    !matches!(
        name,
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
            | "P.M."
            | "PM"
            | "RM"
            | "TZ"
            | "OF"
    )
}

fn wrong(value: &str, name: &str) -> SqlError {
    SqlError::new(
        SqlState::INVALID_DATETIME_FORMAT,
        format!("invalid value \"{value}\" for \"{name}\""),
    )
}

/// The number of a name that the text begins with, in any case, full or short.
fn read_name<'a>(rest: &'a str, names: &[&str]) -> Option<(i64, &'a str)> {
    let starts =
        |name: &str| rest.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    let found = |cut: fn(&str) -> &str| {
        let at = names.iter().position(|name| starts(cut(name)))?;
        Some((i64::try_from(at).ok()?, &rest[cut(names[at]).len()..]))
    };
    found(|name| name).or_else(|| found(|name| name.get(..3).unwrap_or(name)))
}

fn read_field<'a>(
    read: &mut Read,
    name: &str,
    rest: &'a str,
    digits_follow: bool,
) -> Result<&'a str, SqlError> {
    let word = || rest.split_whitespace().next().unwrap_or("");
    match name {
        "MON" | "MONTH" => {
            let (month, rest) = read_name(rest, &MONTHS).ok_or_else(|| wrong(word(), name))?;
            read.month = Some(month + 1);
            return Ok(rest);
        }
        "RM" => {
            // The longest numeral first: `II` begins with `I`.
            let numeral = rest.chars().take_while(|char| char.is_ascii_alphabetic()).count();
            let month = ROMAN.iter().position(|roman| roman.eq_ignore_ascii_case(&rest[..numeral]));
            let month = month.ok_or_else(|| wrong(word(), name))?;
            read.month = i64::try_from(month + 1).ok();
            return Ok(&rest[numeral..]);
        }
        "DAY" | "DY" => {
            return read_name(rest, &DAYS).map(|(_, rest)| rest).ok_or_else(|| wrong(word(), name));
        }
        "AM" | "PM" | "A.M." | "P.M." => {
            let (half, rest) = read_name(rest, &["A.M.", "P.M."])
                .or_else(|| read_name(rest, &["AM", "PM"]))
                .ok_or_else(|| wrong(word(), name))?;
            read.afternoon = Some(half == 1);
            return Ok(rest);
        }
        "AD" | "BC" | "A.D." | "B.C." => {
            let (era, rest) = read_name(rest, &["A.D.", "B.C."])
                .or_else(|| read_name(rest, &["AD", "BC"]))
                .ok_or_else(|| wrong(word(), name))?;
            read.before_christ = era == 1;
            return Ok(rest);
        }
        "TZ" | "OF" | "TZH" => {
            let signed = rest.trim_start_matches(['+', '-']);
            let length = signed.bytes().take_while(u8::is_ascii_digit).count().min(2);
            let hours: i64 = signed[..length].parse().map_err(|_| {
                SqlError::unsupported(format!("the format field \"{name}\" for reading names"))
            })?;
            read.offset = if rest.starts_with('-') { -hours } else { hours } * 3600;
            return Ok(&signed[length..]);
        }
        _ => {}
    }
    let width = match name {
        "YYYY" | "IYYY" if digits_follow => 4,
        "YYYY" | "IYYY" | "J" => 9,
        "Y,YYY" => 5,
        "YYY" | "IYY" | "DDD" | "MS" => 3,
        "Y" | "I" | "D" | "ID" | "Q" | "W" => 1,
        "US" | "FF6" => 6,
        "SSSS" | "SSSSS" => 5,
        _ => 2,
    };
    let sign = rest.strip_prefix('-').filter(|_| name == "YYYY");
    let body = sign.unwrap_or(rest);
    let is_part = |byte: &u8| byte.is_ascii_digit() || (name == "Y,YYY" && *byte == b',');
    let length = body.bytes().take_while(is_part).count().min(width);
    let digits = body[..length].replace(',', "");
    let value: i64 =
        digits.parse().map_err(|_| wrong(word(), name).with_detail("Value must be an integer."))?;
    let value = if sign.is_some() { -value } else { value };
    let fraction = |places: u32| {
        let missing = places.saturating_sub(u32::try_from(length).unwrap_or(0));
        value * 10_i64.pow(missing) * 10_i64.pow(6 - places)
    };
    match name {
        "YYYY" | "Y,YYY" | "IYYY" => read.year = Some(value),
        // A short year is the nearest to 2020.
        "YYY" | "IYY" => {
            read.year = Some(if value < 100 {
                short_year(value)
            } else {
                value + if value < 520 { 2000 } else { 1000 }
            })
        }
        "YY" | "IY" => read.year = Some(short_year(value)),
        "Y" | "I" => read.year = Some(2020 + value),
        "MM" => read.month = Some(value),
        "DD" => read.day = Some(value),
        "DDD" => read.day_of_year = Some(value),
        "J" => read.julian = Some(value),
        "HH24" | "HH" | "HH12" => {
            if name != "HH24" && !(1..=12).contains(&value) {
                return Err(SqlError::new(
                    SqlState::INVALID_DATETIME_FORMAT,
                    format!("hour \"{value}\" is invalid for the 12-hour clock"),
                )
                .with_hint("Use the 24-hour clock, or give an hour between 1 and 12."));
            }
            read.hour = value;
            if name != "HH24" && read.afternoon.is_none() {
                read.afternoon = Some(false).filter(|_| value == 12);
            }
        }
        "MI" => read.minute = value,
        "SS" => read.second = value,
        "SSSS" | "SSSSS" => {
            (read.hour, read.minute, read.second) = (value / 3600, value / 60 % 60, value % 60);
        }
        "MS" => read.micros = fraction(3),
        "US" | "FF6" => read.micros = fraction(6),
        "TZM" => read.offset += if read.offset < 0 { -value } else { value } * 60,
        _ => {}
    }
    Ok(&body[length..])
}

fn short_year(value: i64) -> i64 {
    if value < 70 { 2000 + value } else { 1900 + value }
}

fn moment(read: &Read, text: &str) -> Result<i64, SqlError> {
    let out_of_range = || {
        SqlError::new(
            SqlState::DATETIME_FIELD_OVERFLOW,
            format!("date/time field value out of range: \"{text}\""),
        )
    };
    let year = match read.year {
        Some(year) if read.before_christ => 1 - year,
        Some(year) if year < 0 => year + 1,
        Some(year) => year,
        // Without a year, as PostgreSQL: the first before Christ.
        None => 0,
    };
    let (month, day) = (read.month.unwrap_or(1), read.day.unwrap_or(1));
    let days = if let Some(julian) = read.julian {
        julian - JULIAN_EPOCH
    } else if let Some(day_of_year) = read.day_of_year {
        if !(1..=366).contains(&day_of_year) {
            return Err(out_of_range());
        }
        days_from_civil(year, 1, 1) + day_of_year - 1
    } else {
        if !(1..=12).contains(&month) || !(1..=month_length(year, month)).contains(&day) {
            return Err(out_of_range());
        }
        days_from_civil(year, month, day)
    };
    let hour = match read.afternoon {
        Some(true) if read.hour < 12 => read.hour + 12,
        Some(false) if read.hour == 12 => 0,
        _ => read.hour,
    };
    let valid = (0..=24).contains(&hour)
        && (0..60).contains(&read.minute)
        && (0..=60).contains(&read.second)
        && read.micros < MICROS_PER_SECOND;
    if !valid {
        return Err(out_of_range());
    }
    let seconds = hour * 3600 + read.minute * 60 + read.second - read.offset;
    let micros = days
        .checked_mul(MICROS_PER_DAY)
        .and_then(|micros| micros.checked_add(seconds * MICROS_PER_SECOND + read.micros));
    micros.filter(|micros| timestamp_in_range(*micros)).ok_or_else(out_of_range)
}
