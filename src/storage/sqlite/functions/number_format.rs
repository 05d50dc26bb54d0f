//! `to_char` of numbers, and `to_number` the other way: templates such as
//! `FM999,990.00`.

use bigdecimal::{BigDecimal, RoundingMode, Signed, ToPrimitive, Zero};

use super::numeric::at_scale;
use crate::pg::types::numeric::{canonical, fit, typmod};
use crate::pg::{SqlError, SqlState};

/// A piece of a template.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Piece {
    /// `9` (false) or `0` (true): a digit, blank or zero where there is none.
    Digit(bool),
    Point,
    Group,
    /// `MI`: `-` or a blank.
    Minus,
    /// `PL`: `+` or a blank.
    Plus,
    /// `SG`: the sign, here.
    Sign,
    /// `S`: the sign, next to the number.
    Anchored,
    /// `TH` or `th`.
    Ordinal(bool),
    /// `L`: a blank, as in locale C.
    Currency,
    Text(String),
}

#[derive(Debug, Default)]
struct Template {
    pieces: Vec<Piece>,
    /// `FM`: without blanks and trailing zeros.
    bare: bool,
    /// `PR`: negatives in angle brackets.
    brackets: bool,
    exponent: bool,
    roman: bool,
    /// `V`: digits behind it multiply by ten each.
    shift: Option<usize>,
}

impl Template {
    /// Decimals that a 0 asks for.
    fn forced_decimals(&self) -> usize {
        let behind = self.pieces.iter().skip_while(|piece| **piece != Piece::Point);
        let digits = behind.filter(|piece| matches!(piece, Piece::Digit(_)));
        let last_zero =
            digits.enumerate().filter(|(_, piece)| **piece == Piece::Digit(true)).last();
        last_zero.map_or(0, |(at, _)| at + 1)
    }
}

fn template(written: &str) -> Template {
    let mut template = Template::default();
    let mut rest = written;
    let mut after_point = false;
    while let Some(first) = rest.chars().next() {
        let starts = |prefix: &str| {
            rest.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        };
        let (length, piece) = if starts("FM") {
            template.bare = true;
            (2, None)
        } else if starts("PR") {
            template.brackets = true;
            (2, None)
        } else if starts("MI") {
            (2, Some(Piece::Minus))
        } else if starts("PL") {
            (2, Some(Piece::Plus))
        } else if starts("SG") {
            (2, Some(Piece::Sign))
        } else if starts("EEEE") {
            template.exponent = true;
            (4, None)
        } else if starts("RN") {
            template.roman = true;
            (2, None)
        } else if starts("TH") {
            (2, Some(Piece::Ordinal(rest.starts_with("TH"))))
        } else if first == '"' {
            let (quoted, length) = quoted(rest);
            (length, Some(Piece::Text(quoted)))
        } else if rest.starts_with("\\\"") {
            (2, Some(Piece::Text("\"".to_owned())))
        } else {
            let piece = match first {
                '9' => Some(Piece::Digit(false)),
                '0' => Some(Piece::Digit(true)),
                '.' | 'D' | 'd' if !after_point => {
                    after_point = true;
                    Some(Piece::Point)
                }
                ',' | 'G' | 'g' => Some(Piece::Group),
                'S' | 's' => Some(Piece::Anchored),
                'L' | 'l' => Some(Piece::Currency),
                'V' | 'v' => {
                    template.shift = Some(0);
                    None
                }
                other => Some(Piece::Text(other.to_string())),
            };
            if let (Some(shift), Some(Piece::Digit(_))) = (&mut template.shift, &piece) {
                *shift += 1;
            }
            (first.len_utf8(), piece)
        };
        template.pieces.extend(piece);
        rest = rest.get(length..).unwrap_or("");
    }
    template
}

/// What stands in double quotes at the start of a template, and its length there. A
/// backslash takes the character behind it as it is.
pub(super) fn quoted(rest: &str) -> (String, usize) {
    let mut chars = rest.char_indices().skip(1);
    let mut quoted = String::new();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return (quoted, at + 1),
            '\\' => quoted.extend(chars.next().map(|(_, char)| char)),
            char => quoted.push(char),
        }
    }
    (quoted, rest.len())
}

/// `to_char(number, template)`.
pub(super) fn print(number: &str, written: &str) -> Result<String, SqlError> {
    let mut template = template(written);
    let point = template.pieces.iter().position(|piece| *piece == Piece::Point);
    let is_digit = |piece: &&Piece| matches!(piece, Piece::Digit(_));
    let (before, after) = match point {
        Some(at) => {
            let after = template.pieces[at..].iter().filter(is_digit).count();
            (template.pieces[..at].iter().filter(is_digit).count(), after)
        }
        None => (template.pieces.iter().filter(is_digit).count(), 0),
    };
    let canonical = canonical(number)?;
    let Ok(value) = canonical.parse::<BigDecimal>() else {
        return Ok(special(&canonical, &mut template, before, after));
    };
    if template.roman {
        let roman = value.to_i64().and_then(roman).unwrap_or_else(|| "#".repeat(15));
        return Ok(if template.bare { roman } else { format!("{roman:>15}") });
    }
    if template.exponent {
        return Ok(scientific(&value, after));
    }
    let shift = template.shift.unwrap_or(0);
    let shifted = &value * BigDecimal::new(1.into(), -i64::try_from(shift).unwrap_or(0));
    let scale = i64::try_from(after).unwrap_or(0);
    let rounded = at_scale(&shifted, scale, RoundingMode::HalfUp);
    let negative = rounded.is_negative();
    let plain = rounded.abs().to_plain_string();
    let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, ""));
    let fraction = format!("{fraction:0<after$}");
    // A zero before the point shows only where the template has a 0 or nothing else.
    let decimals = fraction.trim_end_matches('0').len().max(template.forced_decimals());
    let hidden = after > 0 && !(template.bare && decimals == 0 && before > 0);
    let whole = if whole == "0" && hidden { "" } else { whole };
    let fits = whole.len() <= before;
    let whole = if fits { whole.to_owned() } else { "#".repeat(before) };
    let fraction = if fits { fraction } else { "#".repeat(after) };
    Ok(laid_out(&template, negative, whole, fraction, before))
}

/// What is no finite number, which takes the places before the point, and those alone.
fn special(text: &str, template: &mut Template, before: usize, after: usize) -> String {
    if template.exponent {
        return format!(" #.{}", "#".repeat(after + 4));
    }
    let (negative, name) = match text.strip_prefix('-') {
        Some(name) => (true, name),
        None => (false, text),
    };
    if name.len() > before {
        return laid_out(template, negative, "#".repeat(before), "#".repeat(after), before);
    }
    let mut behind = false;
    template.pieces.retain(|piece| {
        behind |= *piece == Piece::Point;
        !(behind && matches!(piece, Piece::Point | Piece::Digit(_)))
    });
    laid_out(template, negative, name.to_owned(), String::new(), before)
}

fn laid_out(
    template: &Template,
    negative: bool,
    whole: String,
    fraction: String,
    before: usize,
) -> String {
    let mut layout = Layout {
        template,
        negative,
        whole,
        fraction,
        before,
        result: String::new(),
        signed: false,
        inside: false,
        has_sign: template.pieces.iter().any(|piece| {
            matches!(piece, Piece::Minus | Piece::Plus | Piece::Sign | Piece::Anchored)
        }),
    };
    layout.run();
    layout.result
}

/// The number as it is laid out over the template.
struct Layout<'a> {
    template: &'a Template,
    negative: bool,
    whole: String,
    fraction: String,
    /// Digit positions before the point.
    before: usize,
    result: String,
    /// The floating sign is out.
    signed: bool,
    /// The last digit's place holds a digit.
    inside: bool,
    /// The template says itself where the sign goes.
    has_sign: bool,
}

impl Layout<'_> {
    fn run(&mut self) {
        let pieces = &self.template.pieces;
        let anchored = pieces.iter().position(|piece| *piece == Piece::Anchored);
        let first_digit = pieces.iter().position(|piece| matches!(piece, Piece::Digit(_)));
        // An S behind the digits trails them, one in front floats.
        let trailing = anchored.zip(first_digit).is_some_and(|(sign, digit)| sign > digit);
        let zeros_from = pieces
            .iter()
            .filter(|piece| matches!(piece, Piece::Digit(_) | Piece::Point))
            .take_while(|piece| **piece != Piece::Point)
            .position(|piece| *piece == Piece::Digit(true));
        let start = self.before - self.whole.len().min(self.before);
        let start = zeros_from.map_or(start, |zeros| zeros.min(start));
        let kept = self.kept_decimals();
        let (mut position, mut decimal) = (0, 0);
        let mut behind_point = false;
        for piece in pieces {
            match piece {
                Piece::Digit(_) if behind_point => {
                    self.sign_once(anchored.is_some() && !trailing);
                    self.inside = decimal < kept;
                    if self.inside {
                        self.result.push_str(self.fraction.get(decimal..=decimal).unwrap_or("0"));
                    }
                    decimal += 1;
                }
                Piece::Digit(_) => {
                    self.inside = position >= start;
                    if self.inside {
                        self.sign_once(anchored.is_some() && !trailing);
                        let padding = self.before - self.whole.len().min(self.before);
                        let digit = position.checked_sub(padding);
                        let digit = digit.and_then(|at| self.whole.get(at..=at)).unwrap_or("0");
                        let digit = digit.to_owned();
                        self.result.push_str(&digit);
                    } else if !self.template.bare {
                        self.result.push(' ');
                    }
                    position += 1;
                }
                Piece::Group if self.inside => self.result.push(','),
                Piece::Group if !self.template.bare => self.result.push(' '),
                Piece::Group => {}
                // A number without decimals has no point.
                Piece::Point if self.fraction.is_empty() => {}
                Piece::Point => {
                    behind_point = true;
                    self.inside = false;
                    self.sign_once(anchored.is_some() && !trailing);
                    self.result.push('.');
                }
                Piece::Anchored if trailing => {
                    self.result.push(if self.negative { '-' } else { '+' });
                }
                Piece::Anchored => {}
                Piece::Minus => self.blank_or(self.negative, '-'),
                Piece::Plus => self.blank_or(!self.negative, '+'),
                Piece::Sign => self.result.push(if self.negative { '-' } else { '+' }),
                Piece::Ordinal(upper) => {
                    let plain = !pieces.contains(&Piece::Point) && !self.whole.starts_with('#');
                    if plain && !self.negative {
                        let suffix = ordinal(&self.whole);
                        let suffix = if *upper { suffix.to_uppercase() } else { suffix.to_owned() };
                        self.result.push_str(&suffix);
                    }
                }
                Piece::Currency => self.result.push(' '),
                Piece::Text(text) => self.result.push_str(text),
            }
        }
        if self.template.brackets {
            self.blank_or(self.negative, '>');
        }
    }

    /// Decimals that are shown: with FM no trailing zeros, unless the template has a 0.
    fn kept_decimals(&self) -> usize {
        if !self.template.bare {
            return self.fraction.len();
        }
        self.fraction.trim_end_matches('0').len().max(self.template.forced_decimals())
    }

    fn blank_or(&mut self, shown: bool, char: char) {
        if shown {
            self.result.push(char);
        } else if !self.template.bare {
            self.result.push(' ');
        }
    }

    /// Puts the floating sign before the first digit.
    fn sign_once(&mut self, anchored: bool) {
        if self.signed {
            return;
        }
        self.signed = true;
        if self.template.brackets {
            self.blank_or(self.negative, '<');
        } else if anchored {
            self.result.push(if self.negative { '-' } else { '+' });
        } else if !self.has_sign {
            self.blank_or(self.negative, '-');
        }
    }
}

fn ordinal(digits: &str) -> &'static str {
    let tens = digits.len() > 1 && digits.as_bytes()[digits.len() - 2] == b'1';
    match digits.bytes().last() {
        Some(b'1') if !tens => "st",
        Some(b'2') if !tens => "nd",
        Some(b'3') if !tens => "rd",
        _ => "th",
    }
}

fn scientific(value: &BigDecimal, decimals: usize) -> String {
    let sign = if value.is_negative() { '-' } else { ' ' };
    if value.is_zero() {
        return format!("{sign}{:.decimals$}e+00", 0.0);
    }
    let digits = u64::try_from(decimals + 1).unwrap_or(1);
    let rounded = value.abs().with_precision_round(
        std::num::NonZeroU64::new(digits).unwrap_or(std::num::NonZeroU64::MIN),
        RoundingMode::HalfUp,
    );
    let (mantissa, scale) = rounded.into_bigint_and_exponent();
    let text = mantissa.to_string();
    let exponent = i64::try_from(text.len()).unwrap_or(0) - 1 - scale;
    let padded = format!("{text:0<width$}", width = decimals + 1);
    let (first, rest) = padded.split_at(1);
    let point = if decimals > 0 { "." } else { "" };
    let mark = if exponent < 0 { '-' } else { '+' };
    format!("{sign}{first}{point}{}e{mark}{:02}", &rest[..decimals], exponent.abs())
}

fn roman(number: i64) -> Option<String> {
    const NUMERALS: [(i64, &str); 13] = [
        (1000, "M"),
        (900, "CM"),
        (500, "D"),
        (400, "CD"),
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ];
    if !(1..4000).contains(&number) {
        return None;
    }
    let mut rest = number;
    let mut text = String::new();
    for (value, numeral) in NUMERALS {
        while rest >= value {
            text.push_str(numeral);
            rest -= value;
        }
    }
    Some(text)
}

/// `to_number(text, template)`: a numeric in canonical form, read piece by piece as
/// PostgreSQL's `NUM_processor` does it; `None` without a template.
pub(super) fn parse(text: &str, written: &str) -> Result<Option<String>, SqlError> {
    if written.is_empty() {
        return Ok(None);
    }
    let template = template(written);
    for (given, name) in [(template.exponent, "EEEE"), (template.roman, "RN")] {
        if given {
            let message = format!("\"{name}\" not supported for input");
            return Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
    }
    let count =
        |pieces: &[Piece]| pieces.iter().filter(|piece| matches!(piece, Piece::Digit(_))).count();
    let point = template.pieces.iter().position(|piece| *piece == Piece::Point);
    let mut reader = Reader {
        template: &template,
        decimals: point.map(|at| count(&template.pieces[at..])),
        rest: text,
        sign: None,
        digits: String::new(),
        fraction: None,
    };
    for piece in &template.pieces {
        if reader.rest.is_empty() {
            break;
        }
        reader.take(piece);
    }
    let sign = reader.sign.unwrap_or(' ');
    let number = canonical(&format!("{sign}{}", reader.digits.trim_end_matches('.')))?;
    let whole = count(&template.pieces) - reader.decimals.unwrap_or(0);
    let scale = reader.fraction.unwrap_or(0);
    let modifier = typmod((whole + scale) as i32, scale as i32);
    let number = fit(&number, modifier)?;
    let Some(shift) = template.shift else { return Ok(Some(number)) };
    // A power of ten below one has sixteen decimals.
    let value: BigDecimal = number.parse().unwrap_or_default();
    let value = value * BigDecimal::new(1.into(), shift as i64);
    Ok(Some(value.with_scale(16 + scale as i64).to_plain_string()))
}

/// Where `to_number` has come in a text.
struct Reader<'a> {
    template: &'a Template,
    /// Digits behind the template's point, if it has one.
    decimals: Option<usize>,
    rest: &'a str,
    sign: Option<char>,
    /// What was read of the number, its point included.
    digits: String,
    /// How many digits were read behind the point, once that was read.
    fraction: Option<usize>,
}

impl Reader<'_> {
    fn take(&mut self, piece: &Piece) {
        let marks: &[char] = match piece {
            Piece::Digit(_) | Piece::Point => {
                self.take_digit(*piece != Piece::Point);
                return self.skip();
            }
            Piece::Group if self.template.bare || !self.rest.starts_with(',') => return,
            Piece::Group => return self.skip(),
            Piece::Text(_) => return self.skip(),
            Piece::Anchored => return,
            Piece::Currency => return self.skip_marks(1),
            Piece::Ordinal(_) => {
                if self.sign != Some('-') && self.decimals.is_none() {
                    self.skip_marks(2);
                }
                return;
            }
            Piece::Minus => &['-'],
            Piece::Plus => &['+'],
            Piece::Sign => &['-', '+'],
        };
        if self.rest.starts_with(marks) {
            self.sign = self.rest.chars().next();
            self.skip();
        } else {
            self.skip_marks(1);
        }
    }

    fn skip(&mut self) {
        let mut chars = self.rest.chars();
        chars.next();
        self.rest = chars.as_str();
    }

    /// Passes over so many characters that belong to no number.
    fn skip_marks(&mut self, count: usize) {
        for _ in 0..count {
            if !self.rest.starts_with(|char: char| "0123456789.,+-".contains(char)) {
                self.skip();
            }
        }
    }

    /// Reads a digit or the point, and a sign before or behind it.
    fn take_digit(&mut self, is_digit: bool) {
        self.rest = self.rest.strip_prefix(' ').unwrap_or(self.rest);
        let has = |piece: &Piece| self.template.pieces.contains(piece);
        let anchored = has(&Piece::Anchored);
        let placed = has(&Piece::Minus) || has(&Piece::Plus) || has(&Piece::Sign);
        let begun = |digits: &str| digits.contains(|char: char| char.is_ascii_digit());
        if self.sign.is_none() && is_digit && !begun(&self.digits) {
            let brackets = self.template.brackets && self.rest.starts_with('<');
            if self.rest.starts_with(['-', '+']) || brackets {
                self.sign = Some(if self.rest.starts_with('+') { '+' } else { '-' });
                self.skip();
            }
        }
        let mut read = false;
        match self.rest.chars().next() {
            Some(digit) if digit.is_ascii_digit() => {
                if self.fraction.is_some() && self.fraction == self.decimals {
                    return;
                }
                self.digits.push(digit);
                self.fraction = self.fraction.map(|count| count + 1);
                read = true;
            }
            Some('.') if self.decimals.is_some() && self.fraction.is_none() => {
                self.digits.push('.');
                self.fraction = Some(0);
                read = true;
            }
            _ => {}
        }
        if self.sign.is_some() || !begun(&self.digits) {
            return;
        }
        let mut behind = self.rest.chars();
        let next = if read { behind.nth(1) } else { behind.next() };
        if let Some(sign @ ('-' | '+')) = next
            && (anchored && read || !anchored && placed && !read)
        {
            self.sign = Some(sign);
            if read {
                self.skip();
            }
        }
    }
}
