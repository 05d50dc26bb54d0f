//! CREATE SEQUENCE.

use sqlparser::ast::{Expr, SequenceOptions, Statement, UnaryOperator, Value};

use super::nothing;
use super::rows::{self, Oids};
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::catalog::Sequence;
use crate::sql::translate::{Translator, names, translated};
use crate::sql::translated::{Kind, Tag, Translated};
use crate::sql::types;

impl Translator<'_> {
    pub(super) fn create_sequence(
        &mut self,
        statement: &Statement,
    ) -> Result<Translated, SqlError> {
        let Statement::CreateSequence {
            temporary,
            if_not_exists,
            name,
            data_type,
            sequence_options,
            owned_by,
        } = statement
        else {
            return Err(SqlError::unsupported("this statement"));
        };
        if *temporary {
            return Err(SqlError::unsupported("CREATE TEMPORARY SEQUENCE"));
        }
        let name = self.new_name(name)?;
        if *if_not_exists && self.is_taken(&name) {
            return Ok(nothing("CREATE SEQUENCE"));
        }
        self.check_free(&name)?;
        let oid = match data_type {
            Some(data_type) => Some(types::resolve(data_type)?.oid),
            None => None,
        };
        let mut sequence = described(&name, oid, sequence_options)?;
        if let Some(owner) = owned_by {
            let parts = names::parts(owner);
            if let [.., table, column] = parts.as_slice() {
                sequence.owner = Some((table.clone(), column.clone()));
            }
        }
        let mut oids = Oids::default();
        let mut statements = vec![rows::sequence(&sequence, &mut oids)];
        statements.extend(oids.taken());
        statements.extend(rows::touch());
        Ok(translated(
            Kind::Ddl { rebuild: false },
            Tag::Fixed("CREATE SEQUENCE"),
            Vec::new(),
            statements,
        ))
    }
}

/// A sequence by its options; the type bounds it.
pub(super) fn described(
    name: &str,
    oid: Option<Oid>,
    options: &[SequenceOptions],
) -> Result<Sequence, SqlError> {
    let bounds = match oid {
        Some(Oid::INT2) => (i64::from(i16::MIN), i64::from(i16::MAX)),
        Some(Oid::INT4) => (i64::from(i32::MIN), i64::from(i32::MAX)),
        None | Some(Oid::INT8) => (i64::MIN, i64::MAX),
        Some(_) => {
            return Err(SqlError::new(
                SqlState::INVALID_PARAMETER_VALUE,
                "sequence type must be smallint, integer, or bigint",
            ));
        }
    };
    let (mut increment, mut min, mut max, mut start, mut cycle) = (1, None, None, None, false);
    for option in options {
        match option {
            SequenceOptions::IncrementBy(value, _) => increment = integer(value)?,
            SequenceOptions::MinValue(value) => min = value.as_ref().map(integer).transpose()?,
            SequenceOptions::MaxValue(value) => max = value.as_ref().map(integer).transpose()?,
            SequenceOptions::StartWith(value, _) => start = Some(integer(value)?),
            // Values are reserved in ranges anyway.
            SequenceOptions::Cache(_) => {}
            SequenceOptions::Cycle(no) => cycle = !no,
        }
    }
    if increment == 0 {
        return Err(SqlError::new(SqlState::INVALID_PARAMETER_VALUE, "INCREMENT must not be zero"));
    }
    let up = increment > 0;
    let min = min.unwrap_or(if up { 1 } else { bounds.0 });
    let max = max.unwrap_or(if up { bounds.1 } else { -1 });
    let start = start.unwrap_or(if up { min } else { max });
    if min >= max {
        return Err(SqlError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("MINVALUE ({min}) must be less than MAXVALUE ({max})"),
        ));
    }
    if start < min || start > max {
        let (word, bound) =
            if start < min { ("less than MINVALUE", min) } else { ("greater than MAXVALUE", max) };
        return Err(SqlError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("START value ({start}) cannot be {word} ({bound})"),
        ));
    }
    Ok(Sequence {
        oid: Oid(0),
        name: name.to_owned(),
        start,
        increment,
        min,
        max,
        cycle,
        reserved: None,
        owner: None,
    })
}

fn integer(expr: &Expr) -> Result<i64, SqlError> {
    let parsed = match expr {
        Expr::Value(value) => match &value.value {
            Value::Number(text, _) => text.parse().ok(),
            _ => None,
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match &**expr {
            Expr::Value(value) => match &value.value {
                Value::Number(text, _) => format!("-{text}").parse().ok(),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    };
    parsed.ok_or_else(|| {
        SqlError::new(SqlState::SYNTAX_ERROR, format!("syntax error at or near \"{expr}\""))
    })
}
