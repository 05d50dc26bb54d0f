//! Time zones: names, abbreviations, offsets.
//!
//! The tz database is compiled in and never read from the machine, so that all
//! nodes of one version agree on every conversion.
use std::collections::BTreeMap;
use std::sync::{LazyLock, OnceLock};

use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};

use super::calendar::{Civil, MICROS_PER_SECOND, civil_from_days, days_from_civil, split_days};

/// How local time relates to UTC.
#[derive(Clone, Debug, PartialEq)]
pub enum Zone {
    /// Seconds east of UTC.
    Fixed(i32),
    Named(TimeZone),
}

impl Zone {
    pub const UTC: Self = Self::Fixed(0);

    /// Reads what TimeZone can be set to: an IANA name, an abbreviation, hours east
    /// of UTC (`2`, `-3.5`), or a POSIX specification (`EST5EDT`, `UTC+2`, which is
    /// two hours *west*). Case does not matter. `None` where it is none of them.
    pub fn parse(name: &str) -> Option<Self> {
        let name = name.trim();
        if name.is_empty() || name.eq_ignore_ascii_case("utc") {
            return Some(Self::UTC);
        }
        if let Some(zone) = abbreviation(name) {
            // "EST" and the like are zones of the database too, "CST" is not.
            return Some(named(name).unwrap_or(zone));
        }
        if let Ok(hours) = name.parse::<f64>() {
            let seconds = hours * 3600.0;
            return (seconds.abs() <= f64::from(OFFSET_MAX))
                .then(|| Self::Fixed(seconds.round() as i32));
        }
        named(name).or_else(|| posix(name))
    }

    /// Seconds east of UTC at a moment, in microseconds since 2000-01-01 UTC.
    pub fn offset_at(&self, micros: i64) -> i32 {
        match self {
            Self::Fixed(offset) => *offset,
            Self::Named(zone) => {
                timestamp(micros).map_or(0, |timestamp| zone.to_offset(timestamp).seconds())
            }
        }
    }

    /// Whether summer time is in force at a moment.
    pub fn is_summer_at(&self, micros: i64) -> bool {
        match self {
            Self::Fixed(_) => false,
            Self::Named(zone) => timestamp(micros)
                .is_ok_and(|timestamp| zone.to_offset_info(timestamp).dst().is_dst()),
        }
    }

    /// Seconds east of UTC at a local time, in microseconds since 2000-01-01 00:00
    /// on the local clock. As in PostgreSQL, a time that the clock skips counts as
    /// before the skip, and one that it shows twice as the second time.
    pub fn offset_at_local(&self, micros: i64) -> i32 {
        match self {
            Self::Fixed(offset) => *offset,
            Self::Named(zone) => {
                let (days, time) = split_days(micros);
                let civil = civil_from_days(days);
                let year = wrap(civil.year, -9_000, 9_000, 400);
                let seconds = time / MICROS_PER_SECOND;
                let local = jiff::civil::DateTime::new(
                    year as i16,
                    civil.month as i8,
                    civil.day as i8,
                    (seconds / 3600) as i8,
                    (seconds / 60 % 60) as i8,
                    (seconds % 60) as i8,
                    0,
                );
                match local.map(|local| zone.to_ambiguous_timestamp(local).offset()) {
                    Ok(AmbiguousOffset::Unambiguous { offset }) => offset.seconds(),
                    Ok(AmbiguousOffset::Gap { before, .. }) => before.seconds(),
                    Ok(AmbiguousOffset::Fold { after, .. }) => after.seconds(),
                    Err(_) => 0,
                }
            }
        }
    }

    /// The abbreviation in use at a moment, as `to_char`'s `TZ` shows it.
    pub fn abbreviation_at(&self, micros: i64) -> String {
        match self {
            Self::Fixed(0) => "UTC".to_owned(),
            Self::Fixed(offset) => {
                let mut text = String::new();
                super::datetime::print_offset(*offset, &mut text);
                text
            }
            Self::Named(zone) => match timestamp(micros) {
                Ok(timestamp) => match zone.to_offset_info(timestamp) {
                    // What has no name of its own is called by its offset.
                    info if info.abbreviation() == NAMELESS => {
                        Self::Fixed(info.offset().seconds()).abbreviation_at(micros)
                    }
                    info => info.abbreviation().to_owned(),
                },
                Err(_) => String::new(),
            },
        }
    }
}

/// The abbreviation of zones that are read without theirs.
const NAMELESS: &str = "+00";

/// The greatest offset that PostgreSQL takes, in seconds.
pub(super) const OFFSET_MAX: i32 = 15 * 3600 + 59 * 60 + 59;

/// Seconds from 1970-01-01 to 2000-01-01.
const UNIX_EPOCH_OFFSET: i64 = 946_684_800;

/// Within what jiff's timestamps can say, with a margin.
const UNIX_MIN: i64 = -300_000_000_000;
const UNIX_MAX: i64 = 250_000_000_000;

/// Seconds in 400 years of the Gregorian calendar.
const CYCLE_SECONDS: i64 = 146_097 * 86_400;

/// A moment as jiff has it. Far from now zones follow a rule that repeats with the calendar.
fn timestamp(micros: i64) -> Result<jiff::Timestamp, jiff::Error> {
    let (days, time) = split_days(micros);
    let seconds = days * 86_400 + time / MICROS_PER_SECOND + UNIX_EPOCH_OFFSET;
    jiff::Timestamp::from_second(wrap(seconds, UNIX_MIN, UNIX_MAX, CYCLE_SECONDS))
}

/// Moves `value` by whole cycles into `min..=max`.
fn wrap(value: i64, min: i64, max: i64, cycle: i64) -> i64 {
    if value > max {
        value - (value - max + cycle - 1) / cycle * cycle
    } else if value < min {
        value + (min - value + cycle - 1) / cycle * cycle
    } else {
        value
    }
}

fn database() -> &'static TimeZoneDatabase {
    static DATABASE: OnceLock<TimeZoneDatabase> = OnceLock::new();
    DATABASE.get_or_init(TimeZoneDatabase::bundled)
}

fn named(name: &str) -> Option<Zone> {
    let zone = database().get(name).ok()?;
    if zone.is_unknown() { None } else { Some(Zone::Named(zone)) }
}

fn posix(name: &str) -> Option<Zone> {
    if name.len() > 64 {
        return None;
    }
    // What the zone calls itself matters to nobody, and may hold more than jiff reads;
    // an offset alone is taken, too (hours alone are read as hours east).
    let quoted = name.strip_prefix('<').and_then(|name| name.split_once('>'));
    let offset = name.contains(':') && name.starts_with(['+', '-', '0', '1']);
    if let Some(rule) = quoted.map(|(_, rule)| rule).or(offset.then_some(name)) {
        return TimeZone::posix(&format!("<{NAMELESS}>{rule}")).ok().map(Zone::Named);
    }
    // A name of at least three letters comes first.
    if !name.bytes().take(3).all(|byte| byte.is_ascii_alphabetic()) {
        return None;
    }
    TimeZone::posix(name).ok().map(Zone::Named)
}

/// The zone that an abbreviation means.
pub(super) fn abbreviation(name: &str) -> Option<Zone> {
    let (meaning, _) = ABBREVIATIONS.get(name.to_ascii_lowercase().as_str())?;
    abbreviated(meaning)
}

fn abbreviated(meaning: &str) -> Option<Zone> {
    meaning.parse().map_or_else(|_| named(meaning), |offset| Some(Zone::Fixed(offset)))
}

/// By their names what abbreviations mean, and whether that is summer time.
static ABBREVIATIONS: LazyLock<BTreeMap<&str, (&str, bool)>> = LazyLock::new(|| {
    let lines = include_str!("data/abbreviations.txt").lines();
    let fields = |line: &'static str| {
        let mut fields = line.split(' ');
        let (name, meaning) = (fields.next()?, fields.next()?);
        Some((name, (meaning, fields.next().is_some())))
    };
    lines.filter(|line| !line.starts_with('#')).filter_map(fields).collect()
});

/// What a zone or abbreviation is at a moment.
#[derive(Debug)]
pub struct Standing {
    pub name: String,
    pub abbreviation: String,
    /// Seconds east of UTC.
    pub offset: i32,
    pub is_summer: bool,
}

/// The zones of the database at a moment, in microseconds since 2000-01-01 UTC.
pub fn zones_at(micros: i64) -> impl Iterator<Item = Standing> {
    database().available().filter_map(move |name| {
        let name = name.as_str().to_owned();
        let zone = named(&name)?;
        let (abbreviation, offset) = (zone.abbreviation_at(micros), zone.offset_at(micros));
        Some(Standing { name, abbreviation, offset, is_summer: zone.is_summer_at(micros) })
    })
}

/// As [`zones_at`], of abbreviations.
pub fn abbreviations_at(micros: i64) -> impl Iterator<Item = Standing> {
    ABBREVIATIONS.iter().filter_map(move |(name, (meaning, is_summer))| {
        let zone = abbreviated(meaning)?;
        let name = name.to_uppercase();
        let is_summer = *is_summer || zone.is_summer_at(micros);
        Some(Standing {
            abbreviation: name.clone(),
            name,
            offset: zone.offset_at(micros),
            is_summer,
        })
    })
}

/// The civil date of a moment in a zone, and microseconds into its day.
pub fn local_civil(micros: i64, zone: &Zone) -> (Civil, i64) {
    let local = micros.saturating_add(i64::from(zone.offset_at(micros)) * MICROS_PER_SECOND);
    let (days, time) = split_days(local);
    (civil_from_days(days), time)
}

/// The moment at which a zone's clocks show a civil date and time of day.
pub fn from_local_civil(civil: Civil, time: i64, zone: &Zone) -> Option<i64> {
    let days = days_from_civil(civil.year, civil.month, civil.day);
    let local = days.checked_mul(super::calendar::MICROS_PER_DAY)?.checked_add(time)?;
    local.checked_sub(i64::from(zone.offset_at_local(local)) * MICROS_PER_SECOND)
}
