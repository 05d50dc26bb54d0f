//! `to_char` of times: templates such as `FMDay, DD Month YYYY`.

use super::moment::{Clock, Moment, century, counted_year};
use crate::pg::types::calendar::MICROS_PER_SECOND;
use crate::pg::types::zone::Zone;
use crate::pg::{SqlError, SqlState};

pub(super) const MONTHS: [&str; 12] = [
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
pub(super) const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
pub(super) const ROMAN: [&str; 12] =
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
pub(super) enum Piece<'a> {
    Field {
        name: &'static str,
        /// As written, for its case.
        written: &'a str,
        /// `FM`: without padding.
        bare: bool,
        /// `th` or `TH` behind it.
        ordinal: Option<&'a str>,
    },
    /// `FX`: what is read from here on has no more blanks than the template.
    Exact,
    Text(String),
    /// A blank or a sign of punctuation that isn't quoted.
    Separator(char),
}

pub(super) fn pieces(template: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = template;
    let mut bare = false;
    while let Some(first) = rest.chars().next() {
        let starts = |prefix: &str| {
            rest.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        };
        if starts("FM") || starts("FX") || starts("TM") {
            bare |= starts("FM");
            if starts("FX") {
                pieces.push(Piece::Exact);
            }
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
        pieces.push(if char.is_ascii_punctuation() || char.is_ascii_whitespace() {
            Piece::Separator(char)
        } else {
            Piece::Text(char.to_string())
        });
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
            Piece::Exact => {}
            Piece::Text(text) => result.push_str(&text),
            Piece::Separator(char) => result.push(char),
            Piece::Field { name, written, bare, ordinal } => {
                if matches!(moment, Moment::Interval(_)) {
                    check_of_interval(name)?;
                }
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

/// An interval has no fields that only a date or a zone has.
fn check_of_interval(name: &str) -> Result<(), SqlError> {
    if !matches!(
        name,
        "A.D."
            | "AD"
            | "B.C."
            | "BC"
            | "D"
            | "DAY"
            | "DY"
            | "ID"
            | "MON"
            | "MONTH"
            | "OF"
            | "TZ"
            | "TZH"
            | "TZM"
    ) {
        return Ok(());
    }
    let message = "invalid format specification for an interval value";
    Err(SqlError::new(SqlState::INVALID_DATETIME_FORMAT, message)
        .with_hint("Intervals are not tied to specific calendar dates."))
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
    let month = match clock.date.month {
        // Of an interval: none are the twelfth, and negative ones count from there.
        0 if clock.date.year < 0 => 0,
        0 => 11,
        month if month < 0 => usize::try_from(month + 12).unwrap_or(0),
        month => usize::try_from(month - 1).unwrap_or(0),
    };
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
        "RM" if is_interval && clock.date.month == 0 && clock.date.year == 0 => String::new(),
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
