//! Patterns in PostgreSQL's "advanced" syntax, and how they match.
//!
//! A pattern is rewritten for the `regex` crate: `\y \m \M \Y \Z` and the like have other
//! names there, and brackets quote differently. Whether and where a pattern matches, that
//! crate tells. Of the ways to match from there it takes the first in the order in which the
//! pattern is written, PostgreSQL the longest or the shortest, as the first quantifier in
//! the pattern says ([`preference`]); where these may differ, an automaton that follows all
//! of them tells the match. Where the groups may divide a match in several ways, the first
//! in the order of the pattern counts, while PostgreSQL gives each as much as it can.
//!
//! Back references and look-around take a backtracking matcher, which gives up where it
//! would take too long.

use std::cell::RefCell;
use std::iter::Peekable;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::rc::Rc;
use std::str::Chars;

use lru::LruCache;
use regex::{Regex, RegexBuilder};
use regex_automata::nfa::thompson;
use regex_automata::nfa::thompson::pikevm::{self, PikeVM};
use regex_automata::{Anchored, Input, MatchKind};
use regex_syntax::ast::{Ast, ErrorKind, RepetitionKind, RepetitionRange};

use super::super::call::bad_argument;
use crate::pg::{SqlError, SqlState};

/// Compiled patterns kept by each thread: a pattern is mostly the same for all rows.
const CACHED_PATTERNS: usize = 64;

/// Bound of a compiled pattern, in bytes.
const LARGEST_PATTERN: usize = 4 << 20;

/// The largest number in a quantifier: PostgreSQL's.
const MOST_REPETITIONS: u32 = 255;

thread_local! {
    static COMPILED: RefCell<LruCache<(String, String), Rc<Pattern>>> =
        RefCell::new(LruCache::new(
            NonZeroUsize::new(CACHED_PATTERNS).unwrap_or(NonZeroUsize::MIN),
        ));
}

/// A compiled pattern.
pub(in super::super) enum Pattern {
    /// There is one way to match from a place, or the first is PostgreSQL's.
    First(Regex),
    /// The longest or the shortest match is PostgreSQL's.
    Whole { first: Regex, whole: PikeVM, cache: RefCell<pikevm::Cache>, shortest: bool },
    /// Whether there is any match is told sooner than which.
    Backtracking { any: fancy_regex::Regex, best: fancy_regex::Regex },
}

/// A match: where it is, and where its groups are.
pub(super) struct Match<'t> {
    text: &'t str,
    groups: Vec<Option<Range<usize>>>,
}

impl<'t> Match<'t> {
    /// Of the whole match, in bytes.
    pub(super) fn range(&self) -> Range<usize> {
        self.group_range(0).unwrap_or_default()
    }

    pub(super) fn group_range(&self, at: usize) -> Option<Range<usize>> {
        self.groups.get(at).cloned().flatten()
    }

    /// Group `at`, from 1; the whole match is 0.
    pub(super) fn group(&self, at: usize) -> Option<&'t str> {
        self.group_range(at).map(|range| &self.text[range])
    }

    /// How many groups the pattern has.
    pub(super) fn group_count(&self) -> usize {
        self.groups.len() - 1
    }
}

impl Pattern {
    pub(in super::super) fn is_match(&self, text: &str) -> Result<bool, SqlError> {
        match self {
            Self::First(regex) | Self::Whole { first: regex, .. } => Ok(regex.is_match(text)),
            Self::Backtracking { any, .. } => any.is_match(text).map_err(|_| too_complex()),
        }
    }

    /// The first match at `start` or behind it.
    pub(super) fn find<'t>(
        &self,
        text: &'t str,
        start: usize,
    ) -> Result<Option<Match<'t>>, SqlError> {
        let groups = match self {
            Self::First(regex) => regex.captures_at(text, start).map(|captures| {
                captures.iter().map(|group| group.map(|group| group.range())).collect()
            }),
            Self::Whole { first, whole, cache, shortest } => {
                first.find_at(text, start).map(|found| {
                    let input = Input::new(text)
                        .range(found.start()..)
                        .anchored(Anchored::Yes)
                        .earliest(*shortest);
                    let mut captures = whole.create_captures();
                    whole.search(&mut cache.borrow_mut(), &input, &mut captures);
                    captures.iter().map(|group| group.map(|group| group.range())).collect()
                })
            }
            Self::Backtracking { best, .. } => {
                let captures = best.captures_from_pos(text, start).map_err(|_| too_complex())?;
                captures.map(|captures| {
                    captures.iter().map(|group| group.map(|group| group.range())).collect()
                })
            }
        };
        Ok(groups.map(|groups| Match { text, groups }))
    }

    /// All matches from `start` on. Behind an empty one the search goes on a character
    /// later, so there may be one right behind a match that is not empty.
    pub(super) fn find_all<'p, 't>(
        &'p self,
        text: &'t str,
        start: usize,
    ) -> impl Iterator<Item = Result<Match<'t>, SqlError>> + use<'p, 't> {
        let mut next = Some(start);
        std::iter::from_fn(move || {
            let found = match self.find(text, next?) {
                Ok(found) => found?,
                Err(error) => {
                    next = None;
                    return Some(Err(error));
                }
            };
            let Range { start, end } = found.range();
            next = match start == end {
                false => Some(end),
                true => text[end..].chars().next().map(|char| end + char.len_utf8()),
            };
            Some(Ok(found))
        })
    }
}

/// Compiles a pattern under PostgreSQL's flags; `g` is the caller's affair.
pub(in super::super) fn compile(pattern: &str, flags: &str) -> Result<Rc<Pattern>, SqlError> {
    let key = (pattern.to_owned(), flags.to_owned());
    if let Some(pattern) = COMPILED.with_borrow_mut(|compiled| compiled.get(&key).cloned()) {
        return Ok(pattern);
    }
    let mut options = Options::default();
    options
        .read(flags)
        .map_err(|other| bad_argument(format!("invalid regular expression option: \"{other}\"")))?;
    let compiled = Rc::new(options.compile(pattern)?);
    COMPILED.with_borrow_mut(|patterns| patterns.put(key, Rc::clone(&compiled)));
    Ok(compiled)
}

#[derive(Default)]
struct Options {
    literal: bool,
    ignore_case: bool,
    extended: bool,
    /// Whether `^` and `$` match at lines.
    anchors: bool,
    /// Whether `.` stops at the end of a line.
    stops: bool,
}

impl Options {
    /// Takes flags; the first that there isn't is the error.
    fn read(&mut self, flags: &str) -> Result<(), char> {
        for flag in flags.chars() {
            match flag {
                'g' | 'e' | 't' | 'b' => {}
                'i' => self.ignore_case = true,
                'c' => self.ignore_case = false,
                'n' | 'm' => (self.anchors, self.stops) = (true, true),
                's' => (self.anchors, self.stops) = (false, false),
                'p' => (self.anchors, self.stops) = (false, true),
                'w' => (self.anchors, self.stops) = (true, false),
                'x' => self.extended = true,
                'q' => self.literal = true,
                other => return Err(other),
            }
        }
        Ok(())
    }

    fn compile(&mut self, pattern: &str) -> Result<Pattern, SqlError> {
        if let Some(rest) = pattern.strip_prefix("***=") {
            return self.simple(&regex::escape(rest));
        }
        if self.literal {
            return self.simple(&regex::escape(pattern));
        }
        let mut pattern = pattern.strip_prefix("***:").unwrap_or(pattern);
        if let Some((letters, rest)) =
            pattern.strip_prefix("(?").and_then(|rest| rest.split_once(')'))
            && letters.chars().all(|char| char.is_ascii_alphabetic())
        {
            self.read(letters).map_err(|_| invalid("invalid embedded option"))?;
            pattern = rest;
        }
        let mut rewriting = Rewriting { extended: self.extended, ..Rewriting::default() };
        rewriting.pattern(pattern)?;
        if rewriting.backtracks {
            return self.backtracking(&rewriting.out);
        }
        let text = self.flagged(&rewriting.out);
        let tree = regex_syntax::ast::parse::Parser::new()
            .parse(&text)
            .map_err(|error| invalid(complaint(error.kind())))?;
        check_repetitions(&tree)?;
        let shortest = match preference(&tree) {
            Some(longest) if ways(&tree) > 1 => !longest,
            _ => return self.simple(&rewriting.out),
        };
        let kind = if shortest { MatchKind::LeftmostFirst } else { MatchKind::All };
        let whole = PikeVM::builder()
            .configure(PikeVM::config().match_kind(kind))
            .thompson(thompson::Config::new().nfa_size_limit(Some(LARGEST_PATTERN)))
            .build(&text)
            .map_err(|_| too_large())?;
        let cache = RefCell::new(whole.create_cache());
        Ok(Pattern::Whole { first: regex(&text)?, whole, cache, shortest })
    }

    fn simple(&self, pattern: &str) -> Result<Pattern, SqlError> {
        Ok(Pattern::First(regex(&self.flagged(pattern))?))
    }

    fn backtracking(&self, pattern: &str) -> Result<Pattern, SqlError> {
        let text = self.flagged(pattern);
        let build = |longest: bool| {
            fancy_regex::RegexBuilder::new(&text)
                .leftmost_longest(longest)
                .delegate_size_limit(LARGEST_PATTERN)
                .build()
        };
        let any = build(false).map_err(|_| invalid_pattern())?;
        // Where something is to be as short as can be, there is no longest match.
        let best = build(true).unwrap_or_else(|_| any.clone());
        Ok(Pattern::Backtracking { any, best })
    }

    /// The pattern with its options in front.
    fn flagged(&self, pattern: &str) -> String {
        let flags = [
            (self.ignore_case, 'i'),
            (self.anchors, 'm'),
            (!self.stops, 's'),
            (self.extended, 'x'),
        ];
        let letters: String = flags.iter().filter(|(set, _)| *set).map(|(_, flag)| flag).collect();
        if letters.is_empty() { pattern.to_owned() } else { format!("(?{letters}){pattern}") }
    }
}

fn regex(pattern: &str) -> Result<Regex, SqlError> {
    RegexBuilder::new(pattern).size_limit(LARGEST_PATTERN).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => too_large(),
        _ => invalid_pattern(),
    })
}

fn too_large() -> SqlError {
    SqlError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "regular expression is too complex")
}

/// Somebody would have to wait for too long.
fn too_complex() -> SqlError {
    SqlError::new(SqlState("2201B"), "regular expression failed: too complex for its text")
}

pub(super) fn invalid_pattern() -> SqlError {
    SqlError::new(SqlState("2201B"), "invalid regular expression")
}

fn invalid(complaint: &str) -> SqlError {
    SqlError::new(SqlState("2201B"), format!("invalid regular expression: {complaint}"))
}

const UNBALANCED: &str = "parentheses () not balanced";

/// What PostgreSQL says of an error.
fn complaint(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::ClassUnclosed => "brackets [] not balanced",
        ErrorKind::ClassRangeInvalid | ErrorKind::ClassRangeLiteral => "invalid character range",
        ErrorKind::RepetitionMissing => "quantifier operand invalid",
        ErrorKind::RepetitionCountUnclosed => "braces {} not balanced",
        ErrorKind::RepetitionCountInvalid
        | ErrorKind::RepetitionCountDecimalEmpty
        | ErrorKind::DecimalInvalid => "invalid repetition count(s)",
        ErrorKind::EscapeUnrecognized | ErrorKind::EscapeUnexpectedEof => {
            "invalid escape \\ sequence"
        }
        _ => "invalid character class",
    }
}

/// Whether a part of a pattern prefers to match as much as it can (`Some(true)`), as little,
/// or has no choice: as PostgreSQL's manual says in "Regular Expression Matching Rules".
fn preference(tree: &Ast) -> Option<bool> {
    match tree {
        Ast::Repetition(repetition) => match repetition.op.kind {
            RepetitionKind::Range(RepetitionRange::Exactly(_)) => preference(&repetition.ast),
            _ => Some(repetition.greedy),
        },
        Ast::Group(group) => preference(&group.ast),
        Ast::Alternation(_) => Some(true),
        Ast::Concat(concat) => concat.asts.iter().find_map(preference),
        _ => None,
    }
}

/// In how many places a part of a pattern can choose how to match; an alternative counts for
/// several, since the order of their spelling is not that of their lengths.
fn ways(tree: &Ast) -> usize {
    match tree {
        Ast::Repetition(repetition) => match repetition.op.kind {
            RepetitionKind::Range(RepetitionRange::Exactly(_)) => ways(&repetition.ast),
            _ => 1 + ways(&repetition.ast),
        },
        Ast::Group(group) => ways(&group.ast),
        Ast::Alternation(_) => 2,
        Ast::Concat(concat) => concat.asts.iter().map(ways).sum(),
        _ => 0,
    }
}

fn check_repetitions(tree: &Ast) -> Result<(), SqlError> {
    match tree {
        Ast::Repetition(repetition) => {
            let most = match repetition.op.kind {
                RepetitionKind::Range(
                    RepetitionRange::Exactly(most)
                    | RepetitionRange::AtLeast(most)
                    | RepetitionRange::Bounded(_, most),
                ) => most,
                _ => 0,
            };
            if most > MOST_REPETITIONS {
                return Err(invalid("invalid repetition count(s)"));
            }
            check_repetitions(&repetition.ast)
        }
        Ast::Group(group) => check_repetitions(&group.ast),
        Ast::Alternation(alternation) => alternation.asts.iter().try_for_each(check_repetitions),
        Ast::Concat(concat) => concat.asts.iter().try_for_each(check_repetitions),
        _ => Ok(()),
    }
}

/// A pattern on its way from PostgreSQL's syntax to the crate's.
#[derive(Default)]
struct Rewriting {
    out: String,
    extended: bool,
    /// Whether it needs the backtracking matcher.
    backtracks: bool,
    /// Of each open parenthesis, whether it is look-around or lies in some: nothing in there
    /// is a group.
    open: Vec<bool>,
    /// Whether there is something that a quantifier may follow.
    operand: bool,
}

impl Rewriting {
    fn pattern(&mut self, pattern: &str) -> Result<(), SqlError> {
        let mut chars = pattern.chars().peekable();
        while let Some(char) = chars.next() {
            let mut operand = true;
            match char {
                '\\' => operand = self.escape(&mut chars)?,
                '[' => operand = self.bracket(&mut chars)?,
                '(' => {
                    self.parenthesis(&mut chars)?;
                    operand = false;
                }
                ')' => {
                    self.open.pop().ok_or_else(|| invalid(UNBALANCED))?;
                    self.out.push(')');
                }
                '*' | '+' | '?' => {
                    self.quantifier(char, &mut chars)?;
                    operand = false;
                }
                '{' if chars.peek().is_some_and(char::is_ascii_digit) => {
                    let bounds: String =
                        std::iter::from_fn(|| chars.next_if(|char| *char != '}')).collect();
                    chars.next().ok_or_else(|| invalid("braces {} not balanced"))?;
                    self.quantifier_text(&format!("{{{bounds}}}"), &mut chars)?;
                    operand = false;
                }
                '{' => self.out.push_str("\\{"),
                '|' | '^' | '$' => {
                    self.out.push(char);
                    operand = false;
                }
                '#' if self.extended => {
                    while chars.next_if(|char| *char != '\n').is_some() {}
                    operand = self.operand;
                }
                char => {
                    self.out.push(char);
                    operand = !(self.extended && char.is_whitespace()) || self.operand;
                }
            }
            self.operand = operand;
        }
        if self.open.is_empty() { Ok(()) } else { Err(invalid(UNBALANCED)) }
    }

    fn quantifier(&mut self, char: char, chars: &mut Peekable<Chars<'_>>) -> Result<(), SqlError> {
        self.quantifier_text(char.encode_utf8(&mut [0; 4]), chars)
    }

    fn quantifier_text(
        &mut self,
        text: &str,
        chars: &mut Peekable<Chars<'_>>,
    ) -> Result<(), SqlError> {
        if !self.operand {
            return Err(invalid("quantifier operand invalid"));
        }
        self.out.push_str(text);
        if chars.next_if_eq(&'?').is_some() {
            self.out.push('?');
        }
        Ok(())
    }

    /// A parenthesis, which is read, and what belongs to it.
    fn parenthesis(&mut self, chars: &mut Peekable<Chars<'_>>) -> Result<(), SqlError> {
        let inside = self.open.last().copied().unwrap_or_default();
        if chars.next_if_eq(&'?').is_none() {
            self.open.push(inside);
            self.out.push_str(if inside { "(?:" } else { "(" });
            return Ok(());
        }
        self.out.push_str("(?");
        let behind = chars.next_if_eq(&'<').is_some();
        if behind {
            self.out.push('<');
        }
        match chars.next() {
            Some(':') if !behind => {
                self.open.push(inside);
                self.out.push(':');
            }
            Some(kind @ ('=' | '!')) => {
                self.backtracks = true;
                self.open.push(true);
                self.out.push(kind);
            }
            _ => return Err(invalid("quantifier operand invalid")),
        }
        Ok(())
    }

    /// An escape, of which the backslash is read. Whether it stands for something that can be
    /// repeated.
    fn escape(&mut self, chars: &mut Peekable<Chars<'_>>) -> Result<bool, SqlError> {
        let escaped = chars.next().ok_or_else(|| invalid("invalid escape \\ sequence"))?;
        let out = &mut self.out;
        match escaped {
            'y' => out.push_str("\\b"),
            'Y' => out.push_str("\\B"),
            'm' => out.push_str("\\b{start}"),
            'M' => out.push_str("\\b{end}"),
            'Z' => out.push_str("\\z"),
            'A' | 'd' | 'D' | 's' | 'S' | 'w' | 'W' | 'n' | 't' | 'r' | 'f' | 'v' | 'a' | 'x' => {
                out.push('\\');
                out.push(escaped);
            }
            'e' => out.push_str("\\x1B"),
            'b' => out.push_str("\\x08"),
            'B' => out.push_str("\\\\"),
            'u' | 'U' => {
                let length = if escaped == 'u' { 4 } else { 8 };
                let digits: String = chars.by_ref().take(length).collect();
                out.push_str(&format!("\\x{{{digits}}}"));
            }
            '1'..='9' => {
                self.backtracks = true;
                // A digit behind it is none of its own.
                out.push_str(&format!("(?:\\{escaped})"));
            }
            '0' => out.push_str("\\x00"),
            other => out.push_str(&regex::escape(&other.to_string())),
        }
        Ok(!matches!(escaped, 'y' | 'Y' | 'm' | 'M' | 'A' | 'Z'))
    }

    /// A bracket expression, of which `[` is read. Whether it stands for a character.
    fn bracket(&mut self, chars: &mut Peekable<Chars<'_>>) -> Result<bool, SqlError> {
        let unbalanced = || invalid("brackets [] not balanced");
        let mut inside = String::from("[");
        if chars.next_if_eq(&'^').is_some() {
            inside.push('^');
        }
        let mut first = true;
        loop {
            let char = chars.next().ok_or_else(unbalanced)?;
            match char {
                ']' if !first => break,
                '[' if matches!(chars.peek(), Some(':' | '.' | '=')) => {
                    let kind = chars.next().unwrap_or(':');
                    let name = named(chars, kind)?;
                    match (kind, name.as_str()) {
                        // The whole bracket means a word's start or end.
                        (':', "<" | ">") => {
                            let edge = if name == "<" { "\\b{start}" } else { "\\b{end}" };
                            chars.next_if_eq(&']').ok_or_else(invalid_pattern)?;
                            self.out.push_str(edge);
                            return Ok(false);
                        }
                        (':', name) => inside.push_str(&format!("[:{name}:]")),
                        (_, name) => inside.push_str(&regex::escape(name)),
                    }
                }
                '\\' => match chars.next().ok_or_else(unbalanced)? {
                    class @ ('d' | 'D' | 's' | 'S' | 'w' | 'W' | 'n' | 't' | 'r' | 'f' | 'v') => {
                        inside.push('\\');
                        inside.push(class);
                    }
                    char => inside.push_str(&regex::escape(&char.to_string())),
                },
                '[' | '&' | '~' | ']' => {
                    inside.push('\\');
                    inside.push(char);
                }
                // At an edge of the brackets it stands for itself.
                '-' if first || chars.peek() == Some(&']') => inside.push_str("\\-"),
                // In the extended syntax too.
                char if char.is_whitespace() || char == '#' => {
                    inside.push_str(&format!("\\x{{{:X}}}", u32::from(char)));
                }
                char => inside.push(char),
            }
            first = false;
        }
        self.out.push_str(&inside);
        self.out.push(']');
        Ok(true)
    }
}

/// The name in `[:name:]` and its kin, up to its end.
fn named(chars: &mut Peekable<Chars<'_>>, kind: char) -> Result<String, SqlError> {
    let mut name = String::new();
    loop {
        match chars.next().ok_or_else(|| invalid("brackets [] not balanced"))? {
            char if char == kind && chars.next_if_eq(&']').is_some() => return Ok(name),
            char => name.push(char),
        }
    }
}
