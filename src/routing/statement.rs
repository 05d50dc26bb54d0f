//! What the first words of a statement tell the router, beyond its class.

use crate::sql::Class;

/// Whether a statement leaves something at its node that can't be made elsewhere.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum NodeState {
    Nothing,
    /// A temporary table.
    Settles,
    /// A held cursor of this name.
    Holds(String),
    /// The cursor of this name is closed, or every one.
    Closes(Option<String>),
    /// An advisory lock, at the leader.
    Locks,
}

/// Looks at a statement that is a write or concerns the session.
pub fn node_state(text: &str) -> NodeState {
    let mut words = Words(text);
    let settles = match words.next().as_deref() {
        Some("create") => {
            let second = words.next();
            let word = match second.as_deref() {
                Some("local" | "global") => words.next(),
                Some("or") => words.nth(1),
                _ => second,
            };
            matches!(word.as_deref(), Some("temp" | "temporary"))
        }
        Some("declare") => {
            let name = words.next().unwrap_or_default();
            // Up to the query; WITH may begin that too.
            let mut options = words.take_while(|word| word != "for");
            if options.any(|word| word == "hold") {
                return NodeState::Holds(name);
            }
            false
        }
        Some("close") => {
            let name = words.next().unwrap_or_default();
            return NodeState::Closes((name != "all").then_some(name));
        }
        Some("select") if words.any(|word| takes_lock(&word)) => return NodeState::Locks,
        _ => false,
    };
    if settles { NodeState::Settles } else { NodeState::Nothing }
}

/// Whether a function takes an advisory lock that outlives its transaction.
fn takes_lock(word: &str) -> bool {
    let stem = word.strip_suffix("_shared").unwrap_or(word);
    matches!(stem, "pg_advisory_lock" | "pg_try_advisory_lock")
}

/// The first word, in lower case, and the name after it, as PostgreSQL folds it.
/// `PREPARE`'s spelling `DEALLOCATE PREPARE name` counts as `DEALLOCATE name`.
pub fn leading_words(text: &str) -> (String, Option<String>) {
    let mut words = Words(text);
    let first = words.next().unwrap_or_default();
    let mut second = words.next();
    if first == "deallocate" && second.as_deref() == Some("prepare") {
        second = words.next();
    }
    (first, second)
}

/// The prepared statement that `EXPLAIN … EXECUTE name` explains.
pub fn explained(text: &str) -> Option<String> {
    let mut words = Words(text).skip_while(|word| word != "execute");
    words.next()?;
    words.next()
}

/// The class of what `PREPARE name (types) AS statement` prepares.
pub fn class_of_prepared(text: &str, classify: &mut dyn FnMut(&str) -> Class) -> Class {
    let mut words = Words(text);
    while let Some(word) = words.next() {
        if word == "as" {
            return classify(words.0);
        }
    }
    Class::Empty
}

/// Words and quoted names, folded as PostgreSQL folds them; comments and all other
/// characters only separate. Good enough for the heads of statements.
struct Words<'a>(&'a str);

impl Iterator for Words<'_> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        loop {
            let rest = self.0;
            let first = rest.chars().next()?;
            if let Some(comment) = rest.strip_prefix("--") {
                self.0 = comment.split_once('\n').map_or("", |(_, after)| after);
            } else if let Some(comment) = rest.strip_prefix("/*") {
                self.0 = comment.split_once("*/").map_or("", |(_, after)| after);
            } else if first == '"' {
                let inner = &rest[1..];
                let end = inner.find('"')?;
                self.0 = &inner[end + 1..];
                return Some(inner[..end].to_owned());
            } else if first.is_alphanumeric() || first == '_' {
                let end = rest
                    .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'))
                    .unwrap_or(rest.len());
                self.0 = &rest[end..];
                return Some(rest[..end].to_lowercase());
            } else {
                self.0 = &rest[first.len_utf8()..];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_tables_and_held_cursors_settle() {
        for text in
            ["CREATE TEMP TABLE t (a int)", " /* x */ create local temporary table t (a int)"]
        {
            assert_eq!(node_state(text), NodeState::Settles, "{text}");
        }
        let held = |name: &str| NodeState::Holds(name.to_owned());
        assert_eq!(node_state("DECLARE C CURSOR WITH HOLD FOR SELECT 1"), held("c"));
        assert_eq!(node_state("declare \"C\" no scroll cursor with hold for x"), held("C"));
        assert_eq!(node_state("CLOSE c"), NodeState::Closes(Some("c".to_owned())));
        assert_eq!(node_state("close all"), NodeState::Closes(None));
        for text in ["SELECT pg_advisory_lock(1)", "select a, pg_try_advisory_lock_shared (1, 2)"] {
            assert_eq!(node_state(text), NodeState::Locks, "{text}");
        }
        for text in [
            "SELECT pg_advisory_xact_lock(1)",
            "CREATE TABLE temp (a int)",
            "DECLARE c CURSOR FOR SELECT 1",
            "DECLARE c CURSOR FOR SELECT hold FROM t",
            "SET a = 1",
            "",
        ] {
            assert_eq!(node_state(text), NodeState::Nothing, "{text}");
        }
    }

    #[test]
    fn names_fold_as_in_postgresql() {
        let words = |text| {
            let (first, second) = leading_words(text);
            (first, second.unwrap_or_default())
        };
        assert_eq!(words("PREPARE Plan (int) AS SELECT 1"), ("prepare".into(), "plan".into()));
        assert_eq!(words("execute \"Plan\"(1)"), ("execute".into(), "Plan".into()));
        assert_eq!(words("DEALLOCATE PREPARE a"), ("deallocate".into(), "a".into()));
        let text = "EXPLAIN (VERBOSE, FORMAT JSON) EXECUTE P(NULL)";
        assert_eq!(explained(text), Some("p".to_owned()));
        assert_eq!(words("DEALLOCATE ALL"), ("deallocate".into(), "all".into()));
        assert_eq!(words("-- nothing\n"), (String::new(), String::new()));
    }
}
