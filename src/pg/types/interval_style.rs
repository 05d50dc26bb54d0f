//! How an interval prints: the setting IntervalStyle. Style `postgres` is the form in
//! which values are stored ([`Interval::print`]); the others are for the client's eyes.

use std::fmt::Write;

use super::datetime::print_fraction;
use super::interval::Interval;

/// IntervalStyle.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum IntervalStyle {
    #[default]
    Postgres,
    PostgresVerbose,
    SqlStandard,
    Iso8601,
}

impl IntervalStyle {
    /// By the setting's value.
    pub fn by_name(name: &str) -> Self {
        match name {
            "postgres_verbose" => Self::PostgresVerbose,
            "sql_standard" => Self::SqlStandard,
            "iso_8601" => Self::Iso8601,
            _ => Self::Postgres,
        }
    }

    pub fn print(self, interval: Interval, out: &mut impl Write) {
        let parts = Parts::of(interval);
        // Writing to memory does not fail.
        let _ = match self {
            Self::Postgres => {
                interval.print(out);
                Ok(())
            }
            Self::PostgresVerbose => parts.verbose(out),
            Self::SqlStandard => parts.sql_standard(out),
            Self::Iso8601 => parts.iso_8601(out),
        };
    }
}

/// An interval's fields; those of the months have one sign, those of the time another.
#[derive(Clone, Copy)]
struct Parts {
    years: i64,
    months: i64,
    days: i64,
    hours: i64,
    minutes: i64,
    seconds: i64,
    micros: i64,
}

impl Parts {
    fn of(interval: Interval) -> Self {
        let seconds = interval.micros / 1_000_000;
        Self {
            years: (interval.months / 12).into(),
            months: (interval.months % 12).into(),
            days: interval.days.into(),
            hours: seconds / 3600,
            minutes: seconds / 60 % 60,
            seconds: seconds % 60,
            micros: interval.micros % 1_000_000,
        }
    }

    fn all(&self) -> [i64; 7] {
        [self.years, self.months, self.days, self.hours, self.minutes, self.seconds, self.micros]
    }

    fn magnitudes(&self) -> Self {
        Self {
            years: self.years.abs(),
            months: self.months.abs(),
            days: self.days.abs(),
            hours: self.hours.abs(),
            minutes: self.minutes.abs(),
            seconds: self.seconds.abs(),
            micros: self.micros.abs(),
        }
    }

    fn has_time(&self) -> bool {
        self.all()[3..].iter().any(|part| *part != 0)
    }

    fn is_time_negative(&self) -> bool {
        self.all()[3..].iter().any(|part| *part < 0)
    }

    /// `@ 1 year 2 mons -3 days 4.5 secs ago`.
    fn verbose(self, out: &mut impl Write) -> std::fmt::Result {
        let (mut first, mut ago) = (true, false);
        out.write_char('@')?;
        let units = [
            (self.years, "year"),
            (self.months, "mon"),
            (self.days, "day"),
            (self.hours, "hour"),
            (self.minutes, "min"),
        ];
        for (value, unit) in units.into_iter().filter(|(value, _)| *value != 0) {
            if first {
                (first, ago) = (false, value < 0);
            }
            let value = if ago { -value } else { value };
            write!(out, " {value} {unit}{}", if value == 1 { "" } else { "s" })?;
        }
        if self.seconds != 0 || self.micros != 0 {
            let negative = self.seconds < 0 || self.micros < 0;
            if first {
                (first, ago) = (false, negative);
            }
            out.write_str(if negative == ago { " " } else { " -" })?;
            write!(out, "{}", self.seconds.abs())?;
            print_fraction(self.micros.abs(), out);
            let one = self.seconds.abs() == 1 && self.micros == 0;
            out.write_str(if one { " sec" } else { " secs" })?;
        }
        if first {
            out.write_str(" 0")?;
        }
        if ago {
            out.write_str(" ago")?;
        }
        Ok(())
    }

    /// `1-2`, `3 4:05:06`, or all of it with signs where those alone can't say it.
    fn sql_standard(self, out: &mut impl Write) -> std::fmt::Result {
        let negative = self.all().iter().any(|part| *part < 0);
        let positive = self.all().iter().any(|part| *part > 0);
        let has_months = self.years != 0 || self.months != 0;
        let has_days = self.days != 0 || self.has_time();
        let sign = |negative: bool| if negative { '-' } else { '+' };
        let size = self.magnitudes();
        if !negative && !positive {
            return out.write_char('0');
        }
        if (negative && positive) || (has_months && has_days) {
            let months = sign(self.years < 0 || self.months < 0);
            let (days, time) = (sign(self.days < 0), sign(self.is_time_negative()));
            write!(out, "{months}{}-{} {days}{} {time}", size.years, size.months, size.days)?;
            return size.clock(out);
        }
        if negative {
            out.write_char('-')?;
        }
        if has_months {
            return write!(out, "{}-{}", size.years, size.months);
        }
        if size.days != 0 {
            write!(out, "{} ", size.days)?;
        }
        size.clock(out)
    }

    fn clock(self, out: &mut impl Write) -> std::fmt::Result {
        write!(out, "{}:{:02}:{:02}", self.hours, self.minutes, self.seconds)?;
        print_fraction(self.micros, out);
        Ok(())
    }

    /// `P1Y2M3DT4H5M6.5S`.
    fn iso_8601(self, out: &mut impl Write) -> std::fmt::Result {
        if self.all().iter().all(|part| *part == 0) {
            return out.write_str("PT0S");
        }
        let put = |out: &mut dyn Write, value: i64, unit: char| match value {
            0 => Ok(()),
            _ => write!(out, "{value}{unit}"),
        };
        out.write_char('P')?;
        put(out, self.years, 'Y')?;
        put(out, self.months, 'M')?;
        put(out, self.days, 'D')?;
        if self.has_time() {
            out.write_char('T')?;
        }
        put(out, self.hours, 'H')?;
        put(out, self.minutes, 'M')?;
        if self.seconds != 0 || self.micros != 0 {
            if self.seconds < 0 || self.micros < 0 {
                out.write_char('-')?;
            }
            write!(out, "{}", self.seconds.abs())?;
            print_fraction(self.micros.abs(), out);
            out.write_char('S')?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_style_prints_as_postgresql_15_does() {
        use IntervalStyle::{Iso8601, PostgresVerbose, SqlStandard};
        let cases = [
            ("0", "@ 0", "0", "PT0S"),
            ("1 year 2 mons", "@ 1 year 2 mons", "1-2", "P1Y2M"),
            ("3 days 04:05:06", "@ 3 days 4 hours 5 mins 6 secs", "3 4:05:06", "P3DT4H5M6S"),
            (
                "-1 year -2 mons +3 days -04:05:06.5",
                "@ 1 year 2 mons -3 days 4 hours 5 mins 6.5 secs ago",
                "-1-2 +3 -4:05:06.5",
                "P-1Y-2M3DT-4H-5M-6.5S",
            ),
            ("1 day", "@ 1 day", "1 0:00:00", "P1D"),
            ("-1 days", "@ 1 day ago", "-1 0:00:00", "P-1D"),
            ("00:00:01", "@ 1 sec", "0:00:01", "PT1S"),
            ("-00:00:00.25", "@ 0.25 secs ago", "-0:00:00.25", "PT-0.25S"),
            ("1 mon 00:01:00", "@ 1 mon 1 min", "+0-1 +0 +0:01:00", "P1MT1M"),
            ("-1 mons +1 day", "@ 1 mon -1 days ago", "-0-1 +1 +0:00:00", "P-1M1D"),
            (
                "23:59:59.999999",
                "@ 23 hours 59 mins 59.999999 secs",
                "23:59:59.999999",
                "PT23H59M59.999999S",
            ),
        ];
        for (text, verbose, standard, iso) in cases {
            let interval = Interval::parse(text).expect("an interval");
            for (style, expected) in
                [(PostgresVerbose, verbose), (SqlStandard, standard), (Iso8601, iso)]
            {
                let mut printed = String::new();
                style.print(interval, &mut printed);
                assert_eq!(printed, expected, "{text}, {style:?}");
            }
        }
    }
}
