//! Whether a statement may speak of temporary objects.

use super::scan::{Scanner, Token};

/// Whether a statement has a word that makes or names temporary objects. A yes too
/// many only costs the session a name for a schema that it may never make.
pub fn may_be_temporary(statement: &str) -> bool {
    let mut scanner = Scanner::new(statement);
    while let Ok(Some(token)) = scanner.next() {
        if let Token::Word(word) = token
            && ["temp", "temporary", "pg_temp"].iter().any(|known| word.eq_ignore_ascii_case(known))
        {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_tell() {
        assert!(may_be_temporary("CREATE TEMP TABLE t (a int)"));
        assert!(may_be_temporary("select 1 into temporary x"));
        assert!(!may_be_temporary("SELECT 'temp', template FROM t -- temp"));
    }
}
