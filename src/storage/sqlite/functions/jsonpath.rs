//! `jsonb_path_*`, and the operators `@?` and `@@`: SQL/JSON paths over jsonb.
//!
//! A path is a chain of steps; each gives any number of values to the next, and the last
//! to whoever asked. Errors in the data are soft: a test that meets one is unknown, and
//! a silent function passes over it. A lax path (unless it says `strict`) takes arrays
//! apart where a step wants something else, takes a single value for an array where a
//! step wants one, and finds nothing where something is missing. Source: PostgreSQL's
//! `jsonpath_exec.c`.

mod item;

use bigdecimal::{BigDecimal, RoundingMode};

use super::call::{Answer, Call, Registry, bad_argument, boolean, text};
use super::json_parts::array_of_texts;
use super::{PURE, numeric, regex};
use crate::log::Value;
use crate::pg::types::json::Json;
use crate::pg::types::jsonpath::{Arithmetic, Chain, JsonPath, LEAVES, Method, Node, parse};
use crate::pg::{SqlError, SqlState, with_stack};
use item::{calculate, compared, decimal, letters, method, number};

pub(super) fn register(registry: Registry<'_>) -> rusqlite::Result<()> {
    registry.define_strict(
        PURE,
        &[
            ("jsonb_path_exists", -1, exists),
            ("jsonb_path_match", -1, matches_one),
            ("jsonb_path_query_array", -1, |call| text(Json::Array(found(call)?).to_string())),
            ("jsonb_path_query_first", -1, |call| {
                found(call)?.first().map_or(Ok(Value::Null), |first| text(first.to_string()))
            }),
            // For SQLite's `json_each`: an array of the values' texts.
            ("towline_jsonb_path_query", -1, |call| {
                let texts: Vec<String> = found(call)?.iter().map(Json::to_string).collect();
                let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                text(array_of_texts(&texts))
            }),
        ],
    )
}

/// Whether the asker wants more values.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Flow {
    More,
    Enough,
}

enum Failure {
    /// Of the data: silenced on demand, and unknown to a test.
    Soft(SqlError),
    Hard(SqlError),
}

type Sink<'s> = &'s mut dyn FnMut(&Json) -> Flow;

type Outcome = Result<Flow, Failure>;

/// Of a test; `None`: unknown.
type Truth = Result<Option<bool>, Failure>;

fn soft<T>(state: &'static str, message: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Soft(SqlError::new(SqlState(state), message)))
}

/// Evaluates the call's path for its values. False: an error cut it short, silently.
fn evaluate(call: &Call<'_, '_>, path: &JsonPath, sink: Sink<'_>) -> Result<bool, SqlError> {
    let root = Json::parse(&call.text(0)?)?.normalized()?;
    let variables = if call.len() > 2 {
        Json::parse(&call.text(2)?)?.normalized()?
    } else {
        Json::Object(Vec::new())
    };
    if !matches!(variables, Json::Object(_)) {
        return Err(bad_argument("\"vars\" argument is not an object").with_detail(
            "Jsonpath parameters should be encoded as key-value pairs of \"vars\" object.",
        ));
    }
    let evaluation = Evaluation { root: &root, variables: &variables, strict: path.strict };
    let place = Place { current: &root, size: None, forgiving: !path.strict };
    match evaluation.apply(&path.expression, &root, place, !path.strict, sink) {
        Ok(_) => Ok(true),
        Err(Failure::Soft(_)) if is_silent(call) => Ok(false),
        Err(Failure::Soft(error) | Failure::Hard(error)) => Err(error),
    }
}

fn is_silent(call: &Call<'_, '_>) -> bool {
    call.len() > 3 && call.boolean(3)
}

/// All values; of a path that an error cut short, silently, those before it.
fn found(call: &Call<'_, '_>) -> Result<Vec<Json>, SqlError> {
    let mut found = Vec::new();
    evaluate(call, &*call.read_once(1, parse)?, &mut |value| {
        found.push(value.clone());
        Flow::More
    })?;
    Ok(found)
}

fn exists(call: &Call<'_, '_>) -> Answer {
    let path = call.read_once(1, parse)?;
    let mut any = false;
    // A strict path is followed to its end, for there may be an error.
    let whole = evaluate(call, &path, &mut |_| {
        any = true;
        if path.strict { Flow::More } else { Flow::Enough }
    })?;
    if whole { boolean(any) } else { Ok(Value::Null) }
}

fn matches_one(call: &Call<'_, '_>) -> Answer {
    match found(call)?.as_slice() {
        [Json::Bool(value)] => boolean(*value),
        [Json::Null] => Ok(Value::Null),
        _ if is_silent(call) => Ok(Value::Null),
        _ => Err(SqlError::new(SqlState("22038"), "single boolean result is expected")),
    }
}

struct Evaluation<'a> {
    root: &'a Json,
    variables: &'a Json,
    strict: bool,
}

/// What a step's surroundings are.
#[derive(Clone, Copy)]
struct Place<'v> {
    /// `@`
    current: &'v Json,
    /// Elements of the array whose subscript is read.
    size: Option<usize>,
    /// Whether what is missing, or of another kind, is passed over.
    forgiving: bool,
}

impl Evaluation<'_> {
    /// Applies the steps to a value; `unwrap`: an array's elements stand for it where the
    /// first step wants none.
    fn apply(
        &self,
        chain: &[Node],
        value: &Json,
        place: Place<'_>,
        unwrap: bool,
        sink: Sink<'_>,
    ) -> Outcome {
        let Some((step, rest)) = chain.split_first() else { return Ok(sink(value)) };
        if let Json::Array(elements) = value
            && unwrap
            && unwraps(step)
        {
            for element in elements {
                if self.apply(chain, element, place, false, sink)? == Flow::Enough {
                    return Ok(Flow::Enough);
                }
            }
            return Ok(Flow::More);
        }
        if step.is_test() {
            let truth = self.test(step, value, place)?.map_or(Json::Null, Json::Bool);
            return self.next(rest, &truth, place, sink);
        }
        match step {
            Node::Null => self.next(rest, &Json::Null, place, sink),
            Node::Bool(truth) => self.next(rest, &Json::Bool(*truth), place, sink),
            Node::Number(number) => self.next(rest, &Json::Number(number.clone()), place, sink),
            Node::Text(string) => self.next(rest, &Json::String(string.clone()), place, sink),
            Node::Variable(name) => self.next(rest, self.variable(name)?, place, sink),
            Node::Root => self.next(rest, self.root, place, sink),
            Node::Current => self.next(rest, place.current, place, sink),
            Node::Last => {
                let Some(size) = place.size else {
                    return Err(Failure::Hard(SqlError::new(
                        SqlState::SYNTAX_ERROR,
                        "LAST is allowed only in array subscripts",
                    )));
                };
                let last = BigDecimal::from(i64::try_from(size).unwrap_or(i64::MAX) - 1);
                self.next(rest, &number(&last), place, sink)
            }
            Node::Arithmetic(op, left, right) => {
                let left = self.operand("left", *op, left, value, place)?;
                let right = self.operand("right", *op, right, value, place)?;
                let result = calculate(*op, &left, &right)?;
                self.next(rest, &number(&result), place, sink)
            }
            Node::Sign(minus, operand) => {
                for value in self.collect(operand, value, place, true)? {
                    let Json::Number(digits) = &value else {
                        let sign = if *minus { '-' } else { '+' };
                        return soft(
                            "2203B",
                            format!(
                                "operand of unary jsonpath operator {sign} is not a numeric value"
                            ),
                        );
                    };
                    let value = match minus {
                        true => number(&-decimal(digits)?),
                        false => value,
                    };
                    if self.next(rest, &value, place, sink)? == Flow::Enough {
                        return Ok(Flow::Enough);
                    }
                }
                Ok(Flow::More)
            }
            Node::Key(name) => match value {
                Json::Object(_) => match value.step(name) {
                    Some(member) => self.next(rest, member, place, sink),
                    None if place.forgiving => Ok(Flow::More),
                    None => soft("2203A", format!("JSON object does not contain key \"{name}\"")),
                },
                _ if place.forgiving => Ok(Flow::More),
                _ => soft("2203A", "jsonpath member accessor can only be applied to an object"),
            },
            Node::AnyKey => match value {
                Json::Object(members) => {
                    self.each(rest, members.iter().map(|(_, member)| member), place, sink)
                }
                _ if place.forgiving => Ok(Flow::More),
                _ => soft(
                    "2203C",
                    "jsonpath wildcard member accessor can only be applied to an object",
                ),
            },
            Node::AnyElement => match value {
                Json::Array(elements) => self.each(rest, elements.iter(), place, sink),
                _ if !self.strict => self.next(rest, value, place, sink),
                _ if place.forgiving => Ok(Flow::More),
                _ => soft(
                    "22039",
                    "jsonpath wildcard array accessor can only be applied to an array",
                ),
            },
            Node::Subscripts(subscripts) => self.subscripts(subscripts, rest, value, place, sink),
            Node::Levels(first, last) => {
                let below = Place { forgiving: true, ..place };
                if *first == 0 && self.next(rest, value, below, sink)? == Flow::Enough {
                    return Ok(Flow::Enough);
                }
                self.descend(rest, value, 1, (*first, *last), below, sink)
            }
            Node::Filter(condition) => {
                let inside = Place { current: value, ..place };
                match condition.first() {
                    Some(test) if self.test(test, value, inside)? == Some(true) => {
                        self.next(rest, value, place, sink)
                    }
                    _ => Ok(Flow::More),
                }
            }
            Node::Method(Method::KeyValue) => self.key_value(rest, value, place, sink),
            Node::Method(kind) => match method(*kind, value, self.strict, place.forgiving)? {
                Some(result) => self.next(rest, &result, place, sink),
                None => Ok(Flow::More),
            },
            Node::DateTime(_) => {
                Err(Failure::Hard(SqlError::unsupported("jsonpath item method .datetime()")))
            }
            // The tests, which are done with above.
            _ => Ok(Flow::More),
        }
    }

    fn next(&self, rest: &[Node], value: &Json, place: Place<'_>, sink: Sink<'_>) -> Outcome {
        with_stack(|| self.apply(rest, value, place, !self.strict, sink))
    }

    fn each<'v>(
        &self,
        rest: &[Node],
        values: impl Iterator<Item = &'v Json>,
        place: Place<'_>,
        sink: Sink<'_>,
    ) -> Outcome {
        for value in values {
            if self.next(rest, value, place, sink)? == Flow::Enough {
                return Ok(Flow::Enough);
            }
        }
        Ok(Flow::More)
    }

    /// `**`: what is in a value, and in that, at the levels from first to last.
    fn descend(
        &self,
        rest: &[Node],
        value: &Json,
        level: u32,
        (first, last): (u32, u32),
        place: Place<'_>,
        sink: Sink<'_>,
    ) -> Outcome {
        if level > last {
            return Ok(Flow::More);
        }
        for inner in parts_of(value) {
            let leaf = !matches!(inner, Json::Array(_) | Json::Object(_));
            let wanted = level >= first || (first == LEAVES && last == LEAVES && leaf);
            if wanted && self.next(rest, inner, place, sink)? == Flow::Enough {
                return Ok(Flow::Enough);
            }
            let flow = self.descend(rest, inner, level + 1, (first, last), place, sink)?;
            if flow == Flow::Enough {
                return Ok(Flow::Enough);
            }
        }
        Ok(Flow::More)
    }

    /// All values of an expression; `unwrap`: in a lax path, of arrays their elements.
    fn collect(
        &self,
        chain: &Chain,
        value: &Json,
        place: Place<'_>,
        unwrap: bool,
    ) -> Result<Vec<Json>, Failure> {
        let mut values = Vec::new();
        self.next(chain, value, place, &mut |value| {
            match value {
                Json::Array(elements) if unwrap && !self.strict => {
                    values.extend(elements.iter().cloned());
                }
                _ => values.push(value.clone()),
            }
            Flow::More
        })?;
        Ok(values)
    }

    fn variable(&self, name: &str) -> Result<&Json, Failure> {
        self.variables.step(name).ok_or_else(|| {
            Failure::Hard(SqlError::new(
                SqlState::UNDEFINED_OBJECT,
                format!("could not find jsonpath variable \"{name}\""),
            ))
        })
    }

    fn operand(
        &self,
        side: &str,
        op: Arithmetic,
        chain: &Chain,
        value: &Json,
        place: Place<'_>,
    ) -> Result<BigDecimal, Failure> {
        match self.collect(chain, value, place, true)?.as_slice() {
            [Json::Number(digits)] => decimal(digits),
            _ => soft(
                "22038",
                format!(
                    "{side} operand of jsonpath operator {} is not a single numeric value",
                    op.symbol()
                ),
            ),
        }
    }

    fn subscripts(
        &self,
        subscripts: &[(Chain, Option<Chain>)],
        rest: &[Node],
        value: &Json,
        place: Place<'_>,
        sink: Sink<'_>,
    ) -> Outcome {
        let elements = match value {
            Json::Array(elements) => elements.as_slice(),
            // One value stands for an array of it.
            _ if !self.strict => std::slice::from_ref(value),
            _ if place.forgiving => return Ok(Flow::More),
            _ => return soft("22039", "jsonpath array accessor can only be applied to an array"),
        };
        let inside = Place { size: Some(elements.len()), ..place };
        for (first, last) in subscripts {
            let first = self.subscript(first, value, inside)?;
            let last = match last {
                Some(last) => self.subscript(last, value, inside)?,
                None => first,
            };
            let end = i64::try_from(elements.len()).unwrap_or(i64::MAX);
            if !place.forgiving && (first < 0 || first > last || last >= end) {
                return soft("22033", "jsonpath array subscript is out of bounds");
            }
            let within = |at: i64| usize::try_from(at.clamp(0, end)).unwrap_or(0);
            let (first, end) = (within(first), within(last.saturating_add(1)));
            let chosen = elements.get(first..end).unwrap_or_default();
            if self.each(rest, chosen.iter(), place, sink)? == Flow::Enough {
                return Ok(Flow::Enough);
            }
        }
        Ok(Flow::More)
    }

    fn subscript(&self, chain: &Chain, value: &Json, place: Place<'_>) -> Result<i64, Failure> {
        let found = self.collect(chain, value, place, false)?;
        let [Json::Number(digits)] = found.as_slice() else {
            return soft("22033", "jsonpath array subscript is not a single numeric value");
        };
        let whole = numeric::at_scale(&decimal(digits)?, 0, RoundingMode::Down);
        match whole.to_plain_string().parse::<i32>() {
            Ok(at) => Ok(i64::from(at)),
            Err(_) => soft("22033", "jsonpath array subscript is out of integer range"),
        }
    }

    /// `.keyvalue()`: an object a member, with a number that tells its object from others.
    fn key_value(&self, rest: &[Node], value: &Json, place: Place<'_>, sink: Sink<'_>) -> Outcome {
        let Json::Object(members) = value else {
            return soft(
                "2203C",
                "jsonpath item method .keyvalue() can only be applied to an object",
            );
        };
        let mut id = 0;
        place_of(self.root, value, &mut id);
        for (key, member) in members {
            let pair = Json::Object(vec![
                ("id".to_owned(), Json::Number(id.to_string())),
                ("key".to_owned(), Json::String(key.clone())),
                ("value".to_owned(), member.clone()),
            ]);
            if self.next(rest, &pair, place, sink)? == Flow::Enough {
                return Ok(Flow::Enough);
            }
        }
        Ok(Flow::More)
    }

    /// A test's truth; `None`: unknown.
    fn test(&self, test: &Node, value: &Json, place: Place<'_>) -> Truth {
        let inner = |chain: &Chain| match chain.first() {
            Some(test) => self.test(test, value, place),
            None => Ok(None),
        };
        Ok(match test {
            Node::And(left, right) => match inner(left)? {
                Some(false) => Some(false),
                left => match inner(right)? {
                    Some(true) => left,
                    right => right,
                },
            },
            Node::Or(left, right) => match inner(left)? {
                Some(true) => Some(true),
                left => match inner(right)? {
                    Some(false) => left,
                    right => right,
                },
            },
            Node::Not(test) => inner(test)?.map(|truth| !truth),
            Node::IsUnknown(test) => Some(inner(test)?.is_none()),
            Node::Exists(chain) => {
                let mut any = false;
                let outcome = self.next(chain, value, place, &mut |_| {
                    any = true;
                    if self.strict { Flow::More } else { Flow::Enough }
                });
                known(outcome)?.map(|_| any)
            }
            Node::Compare(op, left, right) => {
                self.pairs(left, Some((right, true)), value, place, &|left, right| {
                    compared(*op, left, right)
                })?
            }
            Node::StartsWith(left, right) => {
                self.pairs(left, Some((right, false)), value, place, &|left, right| match (
                    left, right,
                ) {
                    (Json::String(left), Json::String(right)) => {
                        Ok(Some(left.starts_with(right.as_str())))
                    }
                    _ => Ok(None),
                })?
            }
            Node::LikeRegex { value: left, pattern, flags } => {
                self.pairs(left, None, value, place, &|left, _| match left {
                    Json::String(string) => {
                        let regex = regex::compile(pattern, letters(*flags));
                        let found = regex.and_then(|regex| regex.is_match(string));
                        Ok(Some(found.map_err(Failure::Hard)?))
                    }
                    _ => Ok(None),
                })?
            }
            _ => None,
        })
    }

    /// Whether a predicate holds for any pair of values of two expressions (the second
    /// with whether its arrays are taken apart).
    fn pairs(
        &self,
        left: &Chain,
        right: Option<(&Chain, bool)>,
        value: &Json,
        place: Place<'_>,
        predicate: &dyn Fn(&Json, &Json) -> Truth,
    ) -> Truth {
        let Some(lefts) = known(self.collect(left, value, place, true))? else { return Ok(None) };
        let rights = match right {
            Some((right, unwrap)) => known(self.collect(right, value, place, unwrap))?,
            None => Some(vec![Json::Null]),
        };
        let Some(rights) = rights else { return Ok(None) };
        let (mut holds, mut unknown) = (false, false);
        for left in &lefts {
            for right in &rights {
                match predicate(left, right)? {
                    Some(true) if !self.strict => return Ok(Some(true)),
                    Some(true) => holds = true,
                    Some(false) => {}
                    None if self.strict => return Ok(None),
                    None => unknown = true,
                }
            }
        }
        Ok(if holds || !unknown { Some(holds) } else { None })
    }
}

/// Steps that in a lax path an array's elements are given to.
fn unwraps(step: &Node) -> bool {
    match step {
        Node::Key(_) | Node::AnyKey | Node::Filter(_) | Node::DateTime(_) => true,
        Node::Method(method) => !matches!(method, Method::Size | Method::Type),
        _ => false,
    }
}

fn parts_of(value: &Json) -> Vec<&Json> {
    match value {
        Json::Array(elements) => elements.iter().collect(),
        Json::Object(members) => members.iter().map(|(_, member)| member).collect(),
        _ => Vec::new(),
    }
}

/// Counts the containers before `wanted` in `within`; whether it is there.
fn place_of(within: &Json, wanted: &Json, before: &mut u64) -> bool {
    if std::ptr::eq(within, wanted) {
        return true;
    }
    *before += u64::from(matches!(within, Json::Array(_) | Json::Object(_)));
    parts_of(within).into_iter().any(|part| place_of(part, wanted, before))
}

/// A soft error is nothing known.
fn known<T>(outcome: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(Failure::Soft(_)) => Ok(None),
        Err(hard) => Err(hard),
    }
}

#[cfg(test)]
mod tests {
    use super::super::call::tests::check;

    #[test]
    fn paths_find_what_postgresql_finds() {
        check(&[
            (
                "jsonb_path_query_array('{\"a\": [1, 2, {\"b\": 3}]}', '$.a[*]')",
                "[1, 2, {\"b\": 3}]",
            ),
            ("jsonb_path_query_array('[{\"a\": 1}, {\"a\": 2}]', '$.a')", "[1, 2]"),
            ("jsonb_path_query_array('[{\"a\": 1}]', 'strict $.a')", "2203A"),
            ("jsonb_path_query_array('[{\"a\": 1}]', 'strict $.a', '{}', 1)", "[]"),
            (
                "jsonb_path_query_array('[1, 2, 3, 4]', '$[*] ? (@ > $min)', '{\"min\": 2}')",
                "[3, 4]",
            ),
            ("jsonb_path_query_array('[1, 2, 3]', '$[last, 0 to 1]')", "[3, 1, 2]"),
            ("jsonb_path_query_array('1', '$[0]')", "[1]"),
            ("jsonb_path_query_array('1', 'strict $[0]')", "22039"),
            ("jsonb_path_query_array('[1]', 'strict $[1]')", "22033"),
            (
                "jsonb_path_query_array('{\"a\": {\"b\": 1}}', '$.**')",
                "[{\"a\": {\"b\": 1}}, {\"b\": 1}, 1]",
            ),
            ("jsonb_path_query_array('{\"a\": {\"b\": 1}}', '$.**{last}')", "[1]"),
            ("jsonb_path_query_array('{\"a\": {\"b\": 1}}', '$.**{1}')", "[{\"b\": 1}]"),
            ("jsonb_path_query_array('[1.50, -2]', '$[*].abs()')", "[1.50, 2]"),
            ("jsonb_path_query_array('[1.5, \"x\"]', '$[*].type()')", "[\"number\", \"string\"]"),
            ("jsonb_path_query_array('[1.5, -1.5]', '$.ceiling()')", "[2, -1]"),
            ("jsonb_path_query_array('[\"1.5\"]', '$.double()')", "[1.5]"),
            ("jsonb_path_query_array('[1, 2]', '$.size()')", "[2]"),
            ("jsonb_path_query_array('{\"a\": 1}', '$.keyvalue().key')", "[\"a\"]"),
            ("jsonb_path_query_first('{\"a\": 2}', '$.a * 3 + 0.5')", "6.5"),
            ("jsonb_path_query_first('[1]', '-$[*]')", "-1"),
            ("jsonb_path_query_first('{\"a\": 2}', '$.a / 0')", "22012"),
            ("jsonb_path_query_first('{}', '$.a')", "NULL"),
            ("jsonb_path_query_first('{}', '$x')", "42704"),
            ("jsonb_path_query_first('{}', '$', '[]')", "22023"),
            ("jsonb_path_exists('{\"a\": 1}', '$.a ? (@ == 1)')", "1"),
            ("jsonb_path_exists('{\"a\": 1}', '$.b')", "0"),
            ("jsonb_path_exists('{\"a\": 1}', 'strict $.b', '{}', 1)", "NULL"),
            ("jsonb_path_match('{\"a\": 1}', '$.a == 1')", "1"),
            ("jsonb_path_match('{\"a\": 1}', '$.a')", "22038"),
            ("jsonb_path_match('{\"a\": \"x\"}', '$.a > 1')", "NULL"),
            ("jsonb_path_match('[\"abc\"]', '$[*] starts with \"ab\"')", "1"),
            ("jsonb_path_match('[\"ABC\"]', '$[*] like_regex \"^ab\" flag \"i\"')", "1"),
            ("jsonb_path_match('[\"abc\"]', '$[*] like_regex \"(\"')", "2201B"),
            ("jsonb_path_match('[1, \"x\"]', '($[*] > 1) is unknown')", "1"),
            ("jsonb_path_match('[1, null]', 'exists ($ ? (@ == null))')", "1"),
            ("jsonb_path_match('1', '!($ == 1) || $ < 5 && $ > 0')", "1"),
            ("jsonb_path_exists('1', '$[')", "42601"),
        ]);
    }
}
