//! Where an expression stands, and which calls may stand there: aggregates, window
//! functions, functions that give rows.

use sqlparser::ast::{Expr, Function, FunctionArguments, ObjectNamePart};

use super::{Translator, grouping};
use crate::pg::{SqlError, SqlState};

/// Where an expression stands.
///
/// |               | aggregate | window function | function that gives rows |
/// |---------------|-----------|-----------------|--------------------------|
/// | `Elsewhere`   | yes       | yes             | no                       |
/// | `List`        | yes       | yes             | yes                      |
/// | `Having`      | yes       | no              | no                       |
/// | `Clause`      | no        | no              | no                       |
/// | `Aggregate`   | no        | no              | no                       |
/// | `Window`      | yes       | no              | no                       |
/// | `Definition`  | yes       | no              | no                       |
/// | `Rows`        | yes       | yes             | no                       |
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Place {
    /// ORDER BY, and what no rule is known of.
    #[default]
    Elsewhere,
    /// The select list of a query.
    List,
    Having,
    /// What is computed before rows are grouped, or without rows, as errors call it.
    Clause(&'static str),
    /// The arguments of an aggregate.
    Aggregate,
    /// The arguments of a window function.
    Window,
    /// The definition of a window.
    Definition,
    /// The arguments of a function that gives rows, in a select list.
    Rows,
}

impl Place {
    /// The place of the condition of a clause; CASE's conditions stand where CASE stands.
    pub(super) fn of_condition(clause: &str, within: Self) -> Self {
        match clause {
            "WHERE" => Self::Clause("WHERE"),
            "FILTER" => Self::Clause("FILTER"),
            "JOIN/ON" => Self::Clause("JOIN conditions"),
            "MERGE WHEN" => Self::Clause("MERGE WHEN conditions"),
            "CHECK" => Self::Clause("check constraints"),
            "HAVING" => Self::Having,
            _ => within,
        }
    }

    /// Why no aggregate may be called here.
    fn refuses_aggregates(self) -> Option<String> {
        match self {
            Self::Clause(name) => Some(format!("aggregate functions are not allowed in {name}")),
            Self::Aggregate => Some("aggregate function calls cannot be nested".to_owned()),
            _ => None,
        }
    }

    /// Why no window function may be called here.
    fn refuses_windows(self) -> Option<SqlError> {
        let misplaced = |place: &str| {
            let message = format!("window functions are not allowed in {place}");
            SqlError::new(SqlState::WINDOWING_ERROR, message)
        };
        Some(match self {
            Self::Elsewhere | Self::List | Self::Rows => return None,
            Self::Having => misplaced("HAVING"),
            Self::Clause(name) => misplaced(name),
            Self::Definition => misplaced("window definitions"),
            Self::Aggregate => SqlError::new(
                SqlState::GROUPING_ERROR,
                "aggregate function calls cannot contain window function calls",
            ),
            Self::Window => {
                SqlError::new(SqlState::WINDOWING_ERROR, "window function calls cannot be nested")
            }
        })
    }

    /// Why the function that gives rows may not be called here.
    pub(super) fn refuses_rows(self, function: &str) -> Option<SqlError> {
        Some(match self {
            Self::List => return None,
            Self::Rows => SqlError::unsupported("a set-returning function inside another"),
            Self::Elsewhere | Self::Definition | Self::Clause(GROUP_BY) => SqlError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("set-returning function {function} is not allowed here"),
            ),
            Self::Having => not_in("HAVING"),
            Self::Clause(name) => not_in(name),
            Self::Aggregate => in_call("aggregate"),
            Self::Window => in_call("window"),
        })
    }
}

/// PostgreSQL takes functions that give rows there.
pub(super) const GROUP_BY: &str = "GROUP BY";

/// The error of a function that gives rows in the named clause.
fn not_in(name: &str) -> SqlError {
    let message = format!("set-returning functions are not allowed in {name}");
    SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, message)
}

fn in_call(kind: &str) -> SqlError {
    let message = format!("{kind} function calls cannot contain set-returning function calls");
    SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, message).with_hint(INTO_FROM)
}

const INTO_FROM: &str =
    "You might be able to move the set-returning function into a LATERAL FROM item.";

/// Refuses what only aggregates and window functions may be called with.
pub(super) fn check_plain(name: &str, call: &Function) -> Result<(), SqlError> {
    let distinct = matches!(&call.args,
        FunctionArguments::List(list) if list.duplicate_treatment.is_some());
    let (clause, needed) = if !call.within_group.is_empty() {
        ("WITHIN GROUP", "an aggregate function")
    } else if distinct {
        ("DISTINCT", "an aggregate function")
    } else if call.filter.is_some() {
        ("FILTER", "an aggregate function")
    } else if call.over.is_some() {
        ("OVER", "a window function nor an aggregate function")
    } else {
        return Ok(());
    };
    let message = format!("{clause} specified, but {name} is not {needed}");
    Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message))
}

impl Translator<'_> {
    /// Translates what stands in a place.
    pub(super) fn standing<T>(&mut self, place: Place, inner: impl FnOnce(&mut Self) -> T) -> T {
        let outer = std::mem::replace(&mut self.place, place);
        let result = inner(self);
        self.place = outer;
        result
    }

    /// Refuses an aggregate or a window function where none may stand.
    pub(super) fn check_place(&self, call: &Function) -> Result<(), SqlError> {
        let refused = match call.over {
            Some(_) => self.place.refuses_windows(),
            None => self.place.refuses_aggregates().map(|message| {
                if self.is_of_outer_rows(call) {
                    return SqlError::unsupported("an aggregate of an outer query in this place");
                }
                SqlError::new(SqlState::GROUPING_ERROR, message)
            }),
        };
        refused.map_or(Ok(()), |error| Err(self.at_call(error, call)))
    }

    /// Whether an aggregate in a subquery is over rows of a query around it.
    fn is_of_outer_rows(&self, call: &Function) -> bool {
        let named = |expr: &Expr| matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
        let within = |test: &dyn Fn(&Expr) -> bool| {
            grouping::arguments(call).into_iter().any(|argument| grouping::holds(argument, test))
        };
        self.scopes.len() > 1 && within(&named) && !within(&|expr| self.own_column(expr).is_some())
    }

    /// Where one value of several counts no function gives rows.
    pub(super) fn refuse_set(&self, within: &Expr, name: &str) -> Result<(), SqlError> {
        match self.place == Place::List && self.gives_rows_itself(within) {
            true => Err(not_in(name).with_hint(INTO_FROM)),
            false => Ok(()),
        }
    }

    /// Attaches the place of a call to an error.
    pub(super) fn at_call(&self, error: SqlError, call: &Function) -> SqlError {
        match call.name.0.first() {
            Some(ObjectNamePart::Identifier(ident)) => self.at(error, ident),
            _ => error,
        }
    }
}
