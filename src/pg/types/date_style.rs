//! How dates and timestamps print, and what `1/2/2003` means: the setting DateStyle. Style
//! `ISO` is the form in which values are stored, but for some years
//! ([`datetime`](super::datetime)); the others are for the client's eyes.

use std::fmt::Write;

use super::calendar::{Civil, civil_from_days, split_days};
use super::datetime::{
    DATE_INFINITY, DATE_NEGATIVE_INFINITY, INFINITY, NEGATIVE_INFINITY, print_date, print_era,
    print_time, print_timestamp, print_timestamptz, shown,
};
use super::zone::Zone;
use crate::pg::{SqlError, SqlState};

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct DateStyle {
    pub form: Form,
    pub order: Order,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Form {
    #[default]
    Iso,
    Sql,
    Postgres,
    German,
}

/// In which order the numbers of a date stand.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Order {
    #[default]
    MonthDayYear,
    DayMonthYear,
    YearMonthDay,
}

impl Order {
    /// Year, month and day of three numbers.
    pub(super) fn placed<T>(self, first: T, second: T, third: T) -> (T, T, T) {
        match self {
            Self::MonthDayYear => (third, first, second),
            Self::DayMonthYear => (third, second, first),
            Self::YearMonthDay => (first, second, third),
        }
    }
}

impl DateStyle {
    /// The setting's value; what it leaves open stays as in `self`.
    pub fn changed(self, value: &str) -> Result<Self, SqlError> {
        let invalid = || {
            let message = format!("invalid value for parameter \"DateStyle\": \"{value}\"");
            SqlError::new(SqlState::INVALID_PARAMETER_VALUE, message)
        };
        let (mut form, mut order) = (None, None);
        for word in value.split(',') {
            let word = word.trim().trim_matches('"').to_ascii_lowercase();
            let (new_form, new_order) = match word.as_str() {
                "iso" => (Some(Form::Iso), None),
                "sql" => (Some(Form::Sql), None),
                "german" => (Some(Form::German), None),
                word if word.starts_with("postgres") => (Some(Form::Postgres), None),
                "ymd" => (None, Some(Order::YearMonthDay)),
                "dmy" => (None, Some(Order::DayMonthYear)),
                "mdy" | "us" => (None, Some(Order::MonthDayYear)),
                word if word.starts_with("euro") => (None, Some(Order::DayMonthYear)),
                word if word.starts_with("noneuro") => (None, Some(Order::MonthDayYear)),
                "default" => (Some(Form::default()), Some(Order::default())),
                _ => {
                    let detail = format!("Unrecognized key word: \"{word}\".");
                    return Err(invalid().with_detail(detail));
                }
            };
            let clashes = |old: bool, new: bool| old && new && word != "default";
            if clashes(form.is_some_and(|old| Some(old) != new_form), new_form.is_some())
                || clashes(order.is_some_and(|old| Some(old) != new_order), new_order.is_some())
            {
                return Err(invalid().with_detail("Conflicting \"datestyle\" specifications."));
            }
            (form, order) = (form.or(new_form), order.or(new_order));
        }
        // Germans write the day first.
        if form == Some(Form::German) && order.is_none() {
            order = Some(Order::DayMonthYear);
        }
        Ok(Self { form: form.unwrap_or(self.form), order: order.unwrap_or(self.order) })
    }

    /// As SHOW prints it.
    pub fn name(self) -> String {
        let form = match self.form {
            Form::Iso => "ISO",
            Form::Sql => "SQL",
            Form::Postgres => "Postgres",
            Form::German => "German",
        };
        let order = match self.order {
            Order::MonthDayYear => "MDY",
            Order::DayMonthYear => "DMY",
            Order::YearMonthDay => "YMD",
        };
        format!("{form}, {order}")
    }

    pub fn print_date(self, days: i32, out: &mut impl Write) {
        if self.form == Form::Iso || matches!(days, DATE_INFINITY | DATE_NEGATIVE_INFINITY) {
            return iso(out, |stored| print_date(days, stored));
        }
        let civil = civil_from_days(days.into());
        // Writing to memory does not fail.
        let _ = self.write_date(civil, out);
        print_era(civil, out);
    }

    pub fn print_timestamp(self, micros: i64, out: &mut impl Write) {
        if self.form == Form::Iso || matches!(micros, INFINITY | NEGATIVE_INFINITY) {
            return iso(out, |stored| print_timestamp(micros, stored));
        }
        let _ = self.write_moment(micros, None, out);
    }

    pub fn print_timestamptz(self, micros: i64, zone: &Zone, out: &mut impl Write) {
        if self.form == Form::Iso || matches!(micros, INFINITY | NEGATIVE_INFINITY) {
            return iso(out, |stored| print_timestamptz(micros, zone, stored));
        }
        let local = micros.saturating_add(i64::from(zone.offset_at(micros)) * 1_000_000);
        let _ = self.write_moment(local, Some(&zone.abbreviation_at(micros)), out);
    }

    fn write_date(self, civil: Civil, out: &mut impl Write) -> std::fmt::Result {
        let Civil { month, day, .. } = civil;
        let year = shown_year(civil);
        let day_first = self.order == Order::DayMonthYear;
        match self.form {
            Form::Iso => write!(out, "{year:04}-{month:02}-{day:02}"),
            Form::German => write!(out, "{day:02}.{month:02}.{year:04}"),
            Form::Sql if day_first => write!(out, "{day:02}/{month:02}/{year:04}"),
            Form::Sql => write!(out, "{month:02}/{day:02}/{year:04}"),
            Form::Postgres if day_first => write!(out, "{day:02}-{month:02}-{year:04}"),
            Form::Postgres => write!(out, "{month:02}-{day:02}-{year:04}"),
        }
    }

    /// A moment on the local clock, with the name of its zone.
    fn write_moment(
        self,
        local: i64,
        zone: Option<&str>,
        out: &mut impl Write,
    ) -> std::fmt::Result {
        let (days, time) = split_days(local);
        let civil = civil_from_days(days);
        if self.form == Form::Postgres {
            // 2000-01-01 was a Saturday.
            let weekday = DAYS[(days + 6).rem_euclid(7) as usize];
            let month = MONTHS[(civil.month - 1).rem_euclid(12) as usize];
            match self.order {
                Order::DayMonthYear => write!(out, "{weekday} {:02} {month} ", civil.day)?,
                _ => write!(out, "{weekday} {month} {:02} ", civil.day)?,
            }
            print_time(time, out);
            write!(out, " {:04}", shown_year(civil))?;
        } else {
            self.write_date(civil, out)?;
            out.write_char(' ')?;
            print_time(time, out);
        }
        if let Some(zone) = zone {
            let is_offset = zone.starts_with(['+', '-']);
            let apart = if is_offset && self.form != Form::Postgres { "" } else { " " };
            write!(out, "{apart}{zone}")?;
        }
        print_era(civil, out);
        Ok(())
    }
}

/// Shows what `print` prints as it is stored.
fn iso(out: &mut impl Write, print: impl FnOnce(&mut String)) {
    let mut stored = String::with_capacity(40);
    print(&mut stored);
    // Writing to memory does not fail.
    let _ = out.write_str(&shown(&stored));
}

const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Years before Christ are counted from 1 BC.
fn shown_year(civil: Civil) -> i64 {
    if civil.year > 0 { civil.year } else { 1 - civil.year }
}

#[cfg(test)]
mod tests {
    use super::super::datetime::{parse_date, parse_date_ordered, parse_timestamptz};
    use super::*;

    fn style(value: &str) -> DateStyle {
        DateStyle::default().changed(value).expect("it holds")
    }

    #[test]
    fn the_setting_is_read_as_postgresql_reads_it() {
        for (value, name) in [
            ("german", "German, DMY"),
            ("sql, european", "SQL, DMY"),
            ("DMY", "ISO, DMY"),
            ("Postgres, YMD", "Postgres, YMD"),
            ("postgresql, US", "Postgres, MDY"),
            ("default", "ISO, MDY"),
        ] {
            assert_eq!(style(value).name(), name);
        }
        assert_eq!(style("dmy").changed("sql").map(DateStyle::name), Ok("SQL, DMY".to_owned()));
        for wrong in ["iso, sql", "dmy, mdy", "french", ""] {
            assert!(DateStyle::default().changed(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn values_print_as_in_postgresql() {
        let zone = Zone::parse("Europe/Berlin").expect("a zone");
        let day = parse_date("2024-02-09", &zone, None).expect("a date");
        let early = parse_date("0044-03-15 BC", &zone, None).expect("a date");
        let moment =
            parse_timestamptz("2024-07-09 10:11:12.5+00", &Zone::UTC, None).expect("a moment");
        for (value, date, ides, zoned, plain) in [
            (
                "sql, mdy",
                "02/09/2024",
                "03/15/0044 BC",
                "07/09/2024 12:11:12.5 CEST",
                "07/09/2024 10:11:12.5",
            ),
            (
                "sql, dmy",
                "09/02/2024",
                "15/03/0044 BC",
                "09/07/2024 12:11:12.5 CEST",
                "09/07/2024 10:11:12.5",
            ),
            (
                "german",
                "09.02.2024",
                "15.03.0044 BC",
                "09.07.2024 12:11:12.5 CEST",
                "09.07.2024 10:11:12.5",
            ),
            (
                "postgres, mdy",
                "02-09-2024",
                "03-15-0044 BC",
                "Tue Jul 09 12:11:12.5 2024 CEST",
                "Tue Jul 09 10:11:12.5 2024",
            ),
            (
                "postgres, dmy",
                "09-02-2024",
                "15-03-0044 BC",
                "Tue 09 Jul 12:11:12.5 2024 CEST",
                "Tue 09 Jul 10:11:12.5 2024",
            ),
        ] {
            let style = style(value);
            let mut texts = [const { String::new() }; 4];
            style.print_date(day, &mut texts[0]);
            style.print_date(early, &mut texts[1]);
            style.print_timestamptz(moment, &zone, &mut texts[2]);
            style.print_timestamp(moment, &mut texts[3]);
            assert_eq!(texts, [date, ides, zoned, plain], "{value}");
        }
        let mut text = String::new();
        let fixed = Zone::Fixed(7200);
        style("sql").print_timestamptz(moment, &fixed, &mut text);
        style("postgres").print_timestamptz(moment, &fixed, &mut text);
        assert_eq!(text, "07/09/2024 12:11:12.5+02Tue Jul 09 12:11:12.5 2024 +02");
    }

    #[test]
    fn numbers_stand_in_the_order_that_is_set() {
        let read = |text: &str, order: Order| {
            parse_date_ordered(text, &Zone::UTC, None, order).map(|days| {
                let mut text = String::new();
                print_date(days, &mut text);
                text
            })
        };
        for (text, order, expected) in [
            ("01/02/2003", Order::MonthDayYear, "2003-01-02"),
            ("01/02/2003", Order::DayMonthYear, "2003-02-01"),
            ("31.01.2003", Order::DayMonthYear, "2003-01-31"),
            ("03/01/02", Order::YearMonthDay, "2003-01-02"),
            ("2003-01-02", Order::DayMonthYear, "2003-01-02"),
            ("1 2 2003", Order::DayMonthYear, "2003-02-01"),
        ] {
            assert_eq!(read(text, order).as_deref(), Ok(expected), "{text} {order:?}");
        }
        assert!(read("31.01.2003", Order::MonthDayYear).is_err());
        assert!(read("01/02/2003", Order::YearMonthDay).is_err());
    }
}
