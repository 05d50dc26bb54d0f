//! Clauses that `sqlparser` doesn't know. They are blanked out of the text before it is
//! parsed, so that positions stay what they were, and what they said is kept beside it.

use std::collections::VecDeque;

use crate::pg::SqlError;
use crate::sql::catalog::CheckOption;
use crate::sql::scan::{self, Scanner, Token};

/// What the clauses said.
#[derive(Clone, Debug, Default)]
pub(super) struct Clauses {
    /// OVERRIDING SYSTEM VALUE: identity columns take what is given.
    pub overriding: bool,
    /// OVERRIDING USER VALUE: what is given for identity columns is not taken.
    pub overriding_user: bool,
    /// WHERE CURRENT OF: the cursor.
    pub current_of: Option<String>,
    /// CREATE DOMAIN … NOT NULL.
    pub domain_not_null: bool,
    /// CREATE TABLE AS or MATERIALIZED VIEW … WITH NO DATA.
    pub no_data: bool,
    /// CREATE VIEW … WITH [LOCAL | CASCADED] CHECK OPTION.
    pub check_option: Option<CheckOption>,
    /// Each LIKE among the columns of CREATE TABLE, for which a column without a name stands.
    pub likes: VecDeque<Like>,
    /// Of each DROP DEFAULT that stands for DROP IDENTITY, whether IF EXISTS was said; `None`
    /// of the others.
    pub drops: VecDeque<Option<bool>>,
    /// The options of each GENERATED … AS IDENTITY that is still to be read, as text.
    pub identities: VecDeque<String>,
}

/// LIKE in CREATE TABLE.
#[derive(Clone, Debug)]
pub(super) struct Like {
    /// The table's name, in its parts.
    pub table: Vec<String>,
    /// What is INCLUDING, in lower case.
    including: Vec<String>,
}

impl Like {
    /// Whether this is taken over: `defaults`, `indexes` and so on.
    pub(super) fn takes(&self, what: &str) -> bool {
        self.including.iter().any(|word| word == what)
    }

    /// Reads what stands behind LIKE.
    fn read(scanner: &mut Scanner<'_>) -> Option<Self> {
        const ALL: [&str; 6] =
            ["comments", "constraints", "defaults", "generated", "identity", "indexes"];
        const IDLE: [&str; 3] = ["compression", "statistics", "storage"];
        let mut like = Self { table: Vec::new(), including: Vec::new() };
        loop {
            like.table.push(scan::identifier(scanner.next().ok()??)?);
            if !scanner.take_symbol(b'.') {
                break;
            }
        }
        loop {
            let including = scanner.take_word("including");
            if !including && !scanner.take_word("excluding") {
                return Some(like);
            }
            let word = scan::identifier(scanner.next().ok()??)?;
            let known = ALL.iter().chain(&IDLE).any(|known| *known == word);
            match (word.as_str(), including) {
                ("all", true) => like.including = ALL.map(str::to_owned).to_vec(),
                ("all", false) => like.including.clear(),
                (_, true) if known => like.including.push(word),
                (_, false) if known => like.including.retain(|taken| *taken != word),
                _ => return None,
            }
        }
    }
}

/// The text without those clauses, if it has any, and what they said.
pub(super) fn take_out(text: &str) -> Result<(Option<String>, Clauses), SqlError> {
    let mut plain: Option<String> = None;
    for change in [continued, only, locking] {
        if let Some(changed) = change(plain.as_deref().unwrap_or(text)) {
            plain = Some(changed);
        }
    }
    let (changed, clauses) = others(plain.as_deref().unwrap_or(text))?;
    Ok((changed.or(plain), clauses))
}

/// Literals that a line break alone separates are one. What is cut out between them is made
/// up for behind them.
fn continued(text: &str) -> Option<String> {
    let mut scanner = Scanner::new(text);
    let mut plain = String::new();
    // Up to where the text was taken over, the end of the last literal, what was cut out.
    let (mut taken, mut last, mut cut) = (0, None, 0);
    while let Ok(Some(token)) = scanner.next() {
        let Token::Literal(literal) = token else {
            last = None;
            continue;
        };
        let (begin, end) = (scanner.start, scanner.offset());
        let between = last.map(|last| (last, &text[last..begin]));
        if let Some((last, blank)) = between
            && literal.starts_with('\'')
            && blank.contains('\n')
            && blank.bytes().all(|byte| byte.is_ascii_whitespace())
        {
            plain.push_str(&text[taken..last]);
            plain.pop();
            plain.push_str(&text[begin + 1..end]);
            cut += begin + 2 - last;
            taken = end;
        } else {
            plain.push_str(&" ".repeat(std::mem::take(&mut cut)));
        }
        last = text[..end].ends_with('\'').then_some(end);
    }
    if taken == 0 {
        return None;
    }
    plain.push_str(&" ".repeat(cut));
    plain.push_str(&text[taken..]);
    Some(plain)
}

fn others(text: &str) -> Result<(Option<String>, Clauses), SqlError> {
    let mut scanner = Scanner::new(text);
    let Ok(Some(first)) = scanner.next() else { return Ok((None, Clauses::default())) };
    if first.is("insert") || first.is("with") {
        overriding(text, scanner)
    } else if first.is("update") || first.is("delete") {
        Ok(current_of(text, scanner))
    } else if first.is("create") && scanner.take_word("domain") {
        Ok(nullability(text, scanner))
    } else if first.is("drop") && scanner.take_word("index") {
        // Nobody is in the way of an index here: whoever drops one is alone.
        let begin = scanner.offset();
        let concurrently = scanner.take_word("concurrently");
        let plain = concurrently.then(|| blanked(text, begin, scanner.offset()));
        Ok((plain, Clauses::default()))
    } else if first.is("create") || first.is("alter") {
        Ok(table(text, scanner))
    } else {
        Ok((None, Clauses::default()))
    }
}

fn blanked(text: &str, begin: usize, end: usize) -> String {
    format!("{}{}{}", &text[..begin], " ".repeat(end - begin), &text[end..])
}

/// ONLY in front of a table's name: no table has children here.
fn only(text: &str) -> Option<String> {
    let mut scanner = Scanner::new(text);
    let mut plain: Option<String> = None;
    let mut before_table = false;
    while let Ok(Some(token)) = scanner.next() {
        if before_table && token.is("only") {
            let (begin, end) = (scanner.start, scanner.offset());
            if matches!(scanner.next(), Ok(Some(Token::Word(_) | Token::Quoted(_)))) {
                plain = Some(blanked(plain.as_deref().unwrap_or(text), begin, end));
            }
        }
        before_table = ["from", "join", "update"].iter().any(|word| token.is(word))
            || token == Token::Symbol(b',');
    }
    plain
}

/// The weaker row locks as `FOR UPDATE` and `FOR SHARE`, and of the tables behind OF only
/// the first: all of them take the one writer, so nothing else is asked of them.
fn locking(text: &str) -> Option<String> {
    let mut scanner = Scanner::new(text);
    let mut plain: Option<String> = None;
    let mut blank = |begin: usize, end: usize| {
        plain = Some(blanked(plain.as_deref().unwrap_or(text), begin, end));
    };
    while let Ok(Some(token)) = scanner.next() {
        if !token.is("for") {
            continue;
        }
        let mut ahead = scanner;
        let begin = ahead.offset();
        let no = ahead.take_word("no");
        let key = ahead.take_word("key");
        let end = ahead.offset();
        let strength = match (no, key) {
            (true, true) => ahead.take_word("update"),
            (false, true) => ahead.take_word("share"),
            (false, false) => ahead.take_word("update") || ahead.take_word("share"),
            (true, false) => false,
        };
        if !strength {
            continue;
        }
        if key {
            blank(begin, end);
        }
        if ahead.take_word("of") && take_name(&mut ahead) {
            let begin = ahead.offset();
            let mut end = begin;
            while ahead.take_symbol(b',') && take_name(&mut ahead) {
                end = ahead.offset();
            }
            if end > begin {
                blank(begin, end);
            }
        }
    }
    plain
}

/// Reads a name, if one comes next.
fn take_name(scanner: &mut Scanner<'_>) -> bool {
    matches!(scanner.next(), Ok(Some(Token::Word(_) | Token::Quoted(_))))
}

fn overriding(text: &str, mut scanner: Scanner<'_>) -> Result<(Option<String>, Clauses), SqlError> {
    while let Ok(Some(token)) = scanner.next() {
        // It stands in front of the first VALUES or SELECT.
        if token.is("values") || token.is("select") {
            break;
        }
        if token.is("overriding") {
            let begin = scanner.start;
            let overriding_user = scanner.take_word("user");
            if (overriding_user || scanner.take_word("system")) && scanner.take_word("value") {
                let overriding = !overriding_user;
                let clauses = Clauses { overriding, overriding_user, ..Clauses::default() };
                return Ok((Some(blanked(text, begin, scanner.offset())), clauses));
            }
            break;
        }
    }
    Ok((None, Clauses::default()))
}

/// `WHERE CURRENT OF cursor`, for which `WHERE true` stands.
fn current_of(text: &str, mut scanner: Scanner<'_>) -> (Option<String>, Clauses) {
    while let Ok(Some(token)) = scanner.next() {
        if !token.is("where") {
            continue;
        }
        let (begin, mut ahead) = (scanner.offset(), scanner);
        if ahead.take_word("current")
            && ahead.take_word("of")
            && let Ok(Some(token)) = ahead.next()
            && let Some(cursor) = scan::identifier(token)
        {
            let (before, after) = (&text[..begin], &text[ahead.offset()..]);
            let plain =
                format!("{before}{:width$}{after}", " true", width = ahead.offset() - begin);
            return (Some(plain), Clauses { current_of: Some(cursor), ..Clauses::default() });
        }
    }
    (None, Clauses::default())
}

fn nullability(text: &str, mut scanner: Scanner<'_>) -> (Option<String>, Clauses) {
    let (mut plain, mut clauses, mut depth) = (text.to_owned(), Clauses::default(), 0_usize);
    let mut before_default = false;
    while let Ok(Some(token)) = scanner.next() {
        match token {
            Token::Symbol(b'(') => depth += 1,
            Token::Symbol(b')') => depth = depth.saturating_sub(1),
            _ if depth > 0 => {}
            token if token.is("not") || (token.is("null") && !before_default) => {
                let begin = scanner.start;
                clauses.domain_not_null |= token.is("not");
                if token.is("not") && !scanner.take_word("null") {
                    return (None, Clauses::default());
                }
                plain = blanked(&plain, begin, scanner.offset());
            }
            _ => {}
        }
        before_default = token.is("default");
    }
    (Some(plain), clauses)
}

/// `WITH [NO] DATA` or `WITH … CHECK OPTION` at the very end, and what stands in parentheses behind each
/// `AS IDENTITY`: its options come in any order, and name the sequence.
fn table(text: &str, mut scanner: Scanner<'_>) -> (Option<String>, Clauses) {
    let (mut plain, mut clauses): (Option<String>, _) = (None, Clauses::default());
    let mut behind_as = false;
    // Parentheses that are open, whether an item begins in them, and a type is read.
    let (mut depth, mut item, mut in_type) = (0_usize, false, false);
    while let Ok(Some(token)) = scanner.next() {
        let begin = scanner.start;
        let first_of_item = std::mem::take(&mut item);
        match token {
            Token::Symbol(b'(') => (depth, item) = (depth + 1, true),
            Token::Symbol(b')') => depth = depth.saturating_sub(1),
            Token::Symbol(b',') => item = true,
            _ => {}
        }
        in_type = match token {
            Token::Symbol(b',') if depth == 0 => false,
            token if token.is("using") => false,
            token => in_type || token.is("type"),
        };
        if token.is("like") && first_of_item && depth == 1 {
            let mut ahead = scanner;
            if let Some(like) = Like::read(&mut ahead) {
                clauses.likes.push_back(like);
                let width = ahead.offset() - begin;
                let text = plain.as_deref().unwrap_or(text);
                let (before, after) = (&text[..begin], &text[ahead.offset()..]);
                plain = Some(format!("{before}{:width$}{after}", "\"\" x"));
                scanner = ahead;
            }
        } else if token.is("drop") {
            let mut ahead = scanner;
            if ahead.take_word("default") {
                clauses.drops.push_back(None);
            } else if ahead.take_word("identity") {
                let if_exists = ahead.take_word("if") && ahead.take_word("exists");
                clauses.drops.push_back(Some(if_exists));
                let width = ahead.offset() - scanner.offset();
                let text = plain.as_deref().unwrap_or(text);
                let (before, after) = (&text[..scanner.offset()], &text[ahead.offset()..]);
                plain = Some(format!("{before}{:width$}{after}", " DEFAULT"));
                scanner = ahead;
            }
        } else if token.is("collate") && in_type && depth == 0 {
            // There is one collation.
            let mut ahead = scanner;
            while take_name(&mut ahead) && ahead.take_symbol(b'.') {}
            plain = Some(blanked(plain.as_deref().unwrap_or(text), begin, ahead.offset()));
            scanner = ahead;
        } else if token.is("with") {
            let mut ahead = scanner;
            let no_data = ahead.take_word("no");
            let local = ahead.take_word("local");
            let option = if local { CheckOption::Local } else { CheckOption::Cascaded };
            if local || ahead.take_word("cascaded") || ahead.peek().is_some_and(|t| t.is("check")) {
                if ahead.take_word("check") && ahead.take_word("option") && ahead.peek().is_none() {
                    clauses.check_option = Some(option);
                    plain = Some(blanked(plain.as_deref().unwrap_or(text), begin, ahead.offset()));
                }
            } else if ahead.take_word("data") && ahead.peek().is_none() {
                clauses.no_data = no_data;
                plain = Some(blanked(plain.as_deref().unwrap_or(text), begin, ahead.offset()));
            }
        } else if token.is("identity") && behind_as {
            let begin = scanner.offset();
            if scanner.take_symbol(b'(') {
                let inside = scanner.offset();
                while let Ok(Some(token)) = scanner.next() {
                    if matches!(token, Token::Symbol(b')')) {
                        break;
                    }
                }
                clauses.identities.push_back(text[inside..scanner.start].to_owned());
                plain = Some(blanked(plain.as_deref().unwrap_or(text), begin, scanner.offset()));
            } else {
                clauses.identities.push_back(String::new());
            }
        }
        behind_as = token.is("as");
    }
    (plain, clauses)
}

#[cfg(test)]
mod tests {
    use super::take_out;

    #[test]
    fn what_is_taken_out_leaves_all_else_in_its_place() {
        let cases = [
            ("SELECT 'a'\n 'b' || 'c'", "SELECT 'ab'     || 'c'"),
            ("SELECT 'a'\n'b'\n'c' x", "SELECT 'abc'       x"),
            ("SELECT 'a' 'b'", "SELECT 'a' 'b'"),
            ("SELECT E'a\\''\n'b'", "SELECT E'a\\'b'   "),
            ("SELECT * FROM ONLY t, ONLY u", "SELECT * FROM      t,      u"),
            ("DELETE FROM only \"t\"", "DELETE FROM      \"t\""),
            (
                "CREATE VIEW v AS SELECT 1 WITH LOCAL CHECK OPTION",
                "CREATE VIEW v AS SELECT 1                        ",
            ),
            (
                "CREATE TABLE t (LIKE s.u INCLUDING ALL, x int)",
                "CREATE TABLE t (\"\" x                  , x int)",
            ),
            (
                "ALTER TABLE t ALTER a DROP IDENTITY IF EXISTS",
                "ALTER TABLE t ALTER a DROP DEFAULT           ",
            ),
            (
                "ALTER TABLE t ALTER a TYPE text COLLATE \"C\" USING b COLLATE \"C\"",
                "ALTER TABLE t ALTER a TYPE text             USING b COLLATE \"C\"",
            ),
            (
                "DELETE FROM t WHERE CURRENT OF \"C\" RETURNING a",
                "DELETE FROM t WHERE true           RETURNING a",
            ),
            ("DROP INDEX CONCURRENTLY IF EXISTS i", "DROP INDEX              IF EXISTS i"),
        ];
        for (text, expected) in cases {
            let (plain, _) = take_out(text).expect("well-formed");
            assert_eq!(plain.as_deref().unwrap_or(text), expected);
        }
    }
}
