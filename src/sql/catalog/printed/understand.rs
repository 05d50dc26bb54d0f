//! What an expression means to PostgreSQL, read from its syntax.

use sqlparser::ast::{
    AccessExpr, BinaryOperator, CaseWhen, CeilFloorKind, Expr, Function, FunctionArg,
    FunctionArgExpr, FunctionArguments, Subscript, TrimWhereField, UnaryOperator, Value,
};

use super::types::array_of;
use super::{Boolean, Node, Piece, Place, Shape};
use crate::pg::Oid;
use crate::sql::catalog::definition::quote_ident;
use crate::sql::catalog::schema::parts_of_written;
use crate::sql::catalog::types::{builtin_type, parse_type};
use crate::sql::catalog::{PUBLIC, UserTypeKind};
use crate::sql::translate::names;

/// Words that are values, with their types.
const VALUES: [(&str, Oid); 11] = [
    ("current_catalog", Oid::NAME),
    ("current_date", Oid::DATE),
    ("current_role", Oid::NAME),
    ("current_schema", Oid::NAME),
    ("current_time", Oid::TIMETZ),
    ("current_timestamp", Oid::TIMESTAMPTZ),
    ("current_user", Oid::NAME),
    ("localtime", Oid::TIME),
    ("localtimestamp", Oid::TIMESTAMP),
    ("session_user", Oid::NAME),
    ("user", Oid::NAME),
];

fn untyped(text: &str) -> Node {
    Node::new(Shape::Untyped(Some(text.to_owned())), Oid::UNKNOWN)
}

fn literal(value: &Value) -> Option<Node> {
    Some(match value {
        Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => untyped(text),
        Value::Null => Node::new(Shape::Untyped(None), Oid::UNKNOWN),
        Value::Boolean(value) => Node::boolean(Shape::Constant(Some(value.to_string()))),
        Value::Number(digits, _) => number(digits)?,
        _ => return None,
    })
}

fn number(digits: &str) -> Option<Node> {
    let is_whole = digits.trim_start_matches('-').bytes().all(|byte| byte.is_ascii_digit());
    let (oid, text) = match digits.parse::<i64>() {
        Ok(value) => {
            (if i32::try_from(value).is_ok() { Oid::INT4 } else { Oid::INT8 }, value.to_string())
        }
        Err(_) => {
            let plain =
                is_whole || digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-'));
            let text =
                if digits.starts_with('.') { format!("0{digits}") } else { digits.to_owned() };
            (Oid::NUMERIC, plain.then_some(text)?)
        }
    };
    Some(Node::new(Shape::Constant(Some(text)), oid))
}

/// The operands of a chain of AND or OR, which is one operator over all to PostgreSQL.
fn chain<'e>(expr: &'e Expr, operator: &BinaryOperator, operands: &mut Vec<&'e Expr>) {
    let mut inner = expr;
    while let Expr::Nested(nested) = inner {
        inner = nested;
    }
    match inner {
        Expr::BinaryOp { left, op, right } if op == operator => {
            chain(left, operator, operands);
            operands.push(right);
        }
        _ => operands.push(expr),
    }
}

fn operator_name(op: &BinaryOperator) -> Option<String> {
    let name = match op {
        BinaryOperator::PGCustomBinaryOperator(parts) => parts.last()?.clone(),
        op => op.to_string(),
    };
    Some(if name == "!=" { "<>".to_owned() } else { name })
}

impl Place<'_> {
    /// What an expression means, if that is known.
    pub(super) fn node(self, expr: &Expr) -> Option<Node> {
        Some(match expr {
            Expr::Nested(inner) => self.node(inner)?,
            Expr::Value(value) => literal(&value.value)?,
            Expr::Identifier(ident) => self.named(&names::fold(ident))?,
            Expr::CompoundIdentifier(idents) => {
                let [table, column] = idents.as_slice() else { return None };
                let relation = self.relation?;
                let is_own = self.catalog.bare(&relation.name) == names::fold(table);
                is_own.then(|| self.named(&names::fold(column)))??
            }
            Expr::BinaryOp { left, op, right } => self.binary_op(expr, left, op, right)?,
            Expr::UnaryOp { op, expr } => self.unary(*op, expr)?,
            Expr::IsNull(of) => self.test(of, "IS NULL")?,
            Expr::IsNotNull(of) => self.test(of, "IS NOT NULL")?,
            Expr::IsTrue(of) => self.test(of, "IS TRUE")?,
            Expr::IsNotTrue(of) => self.test(of, "IS NOT TRUE")?,
            Expr::IsFalse(of) => self.test(of, "IS FALSE")?,
            Expr::IsNotFalse(of) => self.test(of, "IS NOT FALSE")?,
            Expr::IsUnknown(of) => self.test(of, "IS UNKNOWN")?,
            Expr::IsNotUnknown(of) => self.test(of, "IS NOT UNKNOWN")?,
            Expr::IsDistinctFrom(left, right) => self.distinct(left, right)?,
            Expr::IsNotDistinctFrom(left, right) => {
                Node::boolean(Shape::Boolean(Boolean::Not, vec![self.distinct(left, right)?]))
            }
            Expr::InList { expr, list, negated } => self.in_list(expr, list, *negated)?,
            Expr::Between { expr, negated, low, high } => {
                self.between(expr, low, high, *negated)?
            }
            Expr::Like { negated, any: false, expr, pattern, escape_char } => {
                let operator = if *negated { "!~~" } else { "~~" };
                self.like(operator, expr, pattern, escape_char.as_deref())?
            }
            Expr::ILike { negated, any: false, expr, pattern, escape_char } => {
                let operator = if *negated { "!~~*" } else { "~~*" };
                self.like(operator, expr, pattern, escape_char.as_deref())?
            }
            Expr::SimilarTo { negated, expr, pattern, escape_char } => {
                let arguments = self.texts([Some(&**pattern), escape_char.as_deref()])?;
                let pattern = function("similar_to_escape", arguments, Oid::TEXT);
                let operator = if *negated { "!~" } else { "~" };
                self.binary(operator, self.node(expr)?, pattern)?
            }
            Expr::AnyOp { left, compare_op, right, .. } => {
                self.quantified(left, compare_op, "ANY", right)?
            }
            Expr::AllOp { left, compare_op, right } => {
                self.quantified(left, compare_op, "ALL", right)?
            }
            Expr::Cast { expr, data_type, .. } => {
                self.cast(self.node(expr)?, &data_type.to_string())?
            }
            Expr::TypedString(string) => match &string.value.value {
                Value::SingleQuotedString(text) => {
                    self.cast(untyped(text), &string.data_type.to_string())?
                }
                _ => return None,
            },
            Expr::Interval(interval) => {
                let plain = interval.leading_field.is_none()
                    && interval.last_field.is_none()
                    && interval.fractional_seconds_precision.is_none();
                let value = plain.then(|| self.node(&interval.value))??;
                self.coerced(value, Oid::INTERVAL)?
            }
            Expr::AtTimeZone { timestamp, time_zone } => self.at_zone(timestamp, time_zone)?,
            Expr::Extract { field, expr, .. } => self.extract(&field.to_string(), expr)?,
            Expr::Position { expr, r#in } => {
                let part = self.coerced(self.node(expr)?, Oid::TEXT)?;
                let whole = self.coerced(self.node(r#in)?, Oid::TEXT)?;
                syntax(["POSITION((", ") IN (", "))"], [part, whole], Oid::INT4)
            }
            Expr::Substring { .. } => self.substring(expr)?,
            Expr::Trim { trim_where, trim_what, expr, trim_characters: None } => {
                self.trim(trim_where.as_ref(), trim_what.as_deref(), expr)?
            }
            Expr::Ceil { expr, field: CeilFloorKind::DateTimeField(field) }
                if field.to_string().is_empty() =>
            {
                self.called("ceil", vec![self.node(expr)?])?
            }
            Expr::Floor { expr, field: CeilFloorKind::DateTimeField(field) }
                if field.to_string().is_empty() =>
            {
                self.called("floor", vec![self.node(expr)?])?
            }
            Expr::Collate { expr, collation } => {
                let of = self.node(expr)?;
                let of = if of.is_untyped() { self.coerced(of, Oid::TEXT)? } else { of };
                let collation = quote_ident(&names::last(collation)?);
                let (oid, of) = (of.oid, Box::new(of));
                Node::new(Shape::Collate(of, collation), oid)
            }
            Expr::Function(function) => self.function(function)?,
            Expr::Array(array) if !array.elem.is_empty() => {
                let elements = array.elem.iter().map(|element| self.node(element));
                self.array(elements.collect::<Option<_>>()?)?
            }
            Expr::CompoundFieldAccess { root, access_chain } => {
                let [AccessExpr::Subscript(Subscript::Index { index })] = access_chain.as_slice()
                else {
                    return None;
                };
                let root = self.node(root)?;
                let element = builtin_type(root.oid).filter(|kind| kind.is_array())?.element;
                let index = self.coerced(self.node(index)?, Oid::INT4)?;
                Node::new(Shape::Subscript(Box::new([root, index])), element)
            }
            Expr::Case { operand, conditions, else_result, .. } => {
                self.case(operand.as_deref(), conditions, else_result.as_deref())?
            }
            _ => return None,
        })
    }

    /// A column, or VALUE.
    fn named(self, name: &str) -> Option<Node> {
        if let (Some(oid), "value") = (self.value, name) {
            return Some(Node::new(Shape::Name("VALUE".to_owned()), oid));
        }
        let attribute = self.relation?.attribute(name)?;
        let shape = Shape::Name(quote_ident(name));
        Some(Node { shape, oid: attribute.oid, typmod: attribute.typmod })
    }

    fn binary_op(
        self,
        expr: &Expr,
        left: &Expr,
        op: &BinaryOperator,
        right: &Expr,
    ) -> Option<Node> {
        let kind = match op {
            BinaryOperator::And => Boolean::And,
            BinaryOperator::Or => Boolean::Or,
            _ => {
                let (left, right) = (self.node(left)?, self.node(right)?);
                return self.binary(&operator_name(op)?, left, right);
            }
        };
        let mut operands = Vec::new();
        chain(expr, op, &mut operands);
        let nodes = operands.into_iter().map(|operand| self.condition(operand));
        Some(Node::boolean(Shape::Boolean(kind, nodes.collect::<Option<_>>()?)))
    }

    fn condition(self, expr: &Expr) -> Option<Node> {
        self.coerced(self.node(expr)?, Oid::BOOL)
    }

    fn unary(self, op: UnaryOperator, of: &Expr) -> Option<Node> {
        if let (UnaryOperator::Minus, Expr::Value(value)) = (op, of)
            && let Value::Number(digits, _) = &value.value
        {
            return number(&format!("-{digits}"));
        }
        match op {
            UnaryOperator::Not => {
                Some(Node::boolean(Shape::Boolean(Boolean::Not, vec![self.condition(of)?])))
            }
            UnaryOperator::Minus => {
                let of = self.node(of)?;
                let (oid, of) = (of.oid, Box::new(of));
                let is_number = builtin_type(oid).is_some_and(|kind| kind.category == "N");
                is_number.then(|| Node::new(Shape::Unary("-", of), oid))
            }
            _ => None,
        }
    }

    fn test(self, of: &Expr, test: &'static str) -> Option<Node> {
        let of = if test.ends_with("NULL") {
            self.node(of).filter(|of| !of.is_untyped())?
        } else {
            self.condition(of)?
        };
        Some(Node::boolean(Shape::Test(Box::new(of), test)))
    }

    fn distinct(self, left: &Expr, right: &Expr) -> Option<Node> {
        let (left, right) = (self.node(left)?, self.node(right)?);
        // A test against NULL is another node.
        if left.is_untyped() || matches!(right.shape, Shape::Untyped(None)) {
            return None;
        }
        let (left, right, _) = self.operands("=", left, right)?;
        Some(Node::boolean(Shape::Distinct(Box::new([left, right]))))
    }

    fn between(self, of: &Expr, low: &Expr, high: &Expr, negated: bool) -> Option<Node> {
        let of = self.node(of)?;
        let (kind, first, second) =
            if negated { (Boolean::Or, "<", ">") } else { (Boolean::And, ">=", "<=") };
        let low = self.binary(first, of.clone(), self.node(low)?)?;
        let high = self.binary(second, of, self.node(high)?)?;
        Some(Node::boolean(Shape::Boolean(kind, vec![low, high])))
    }

    /// Several values without columns are an array; each of the others is compared alone.
    fn in_list(self, of: &Expr, list: &[Expr], negated: bool) -> Option<Node> {
        let of = self.node(of)?;
        let (operator, kind) = if negated { ("<>", Boolean::And) } else { ("=", Boolean::Or) };
        let items = list.iter().map(|item| self.node(item)).collect::<Option<Vec<_>>>()?;
        let fixed = items.iter().filter(|item| !self.has_column(item)).count();
        let (mut found, mut alone) = (None, items);
        if fixed > 1 {
            let (variable, fixed): (Vec<Node>, Vec<Node>) =
                alone.into_iter().partition(|item| self.has_column(item));
            let nodes: Vec<&Node> = std::iter::once(&of).chain(&fixed).collect();
            let common = self.common_type(&nodes)?;
            let elements = fixed.into_iter().map(|item| self.coerced(item, common));
            let elements = elements.collect::<Option<_>>()?;
            let array = Node::new(Shape::Array(elements), array_of(common)?);
            let word = if negated { "ALL" } else { "ANY" };
            found = Some(self.quantify(of.clone(), operator, word, array)?);
            alone = variable;
        }
        for item in alone {
            let next = self.binary(operator, of.clone(), item)?;
            found = Some(match found {
                None => next,
                Some(before) => Node::boolean(Shape::Boolean(kind, vec![before, next])),
            });
        }
        found
    }

    fn has_column(self, node: &Node) -> bool {
        match &node.shape {
            Shape::Untyped(_) | Shape::Constant(_) => false,
            Shape::Cast { of, .. } => self.has_column(of),
            Shape::Call { arguments, .. } => arguments.iter().any(|node| self.has_column(node)),
            Shape::Name(_) => self.column(node).is_some() || self.value.is_some(),
            _ => true,
        }
    }

    fn quantified(
        self,
        left: &Expr,
        op: &BinaryOperator,
        word: &'static str,
        right: &Expr,
    ) -> Option<Node> {
        self.quantify(self.node(left)?, &operator_name(op)?, word, self.node(right)?)
    }

    fn quantify(self, left: Node, operator: &str, word: &'static str, right: Node) -> Option<Node> {
        let element = match builtin_type(right.oid).filter(|kind| kind.is_array()) {
            Some(kind) => Node::new(Shape::Name(String::new()), kind.element),
            None if right.is_untyped() => untyped(""),
            None => return None,
        };
        let (left, element, _) = match element.is_untyped() {
            // Any literal tells the type of the elements.
            true => {
                let null = Node::new(Shape::Untyped(None), Oid::UNKNOWN);
                self.operands(operator, left, null)?
            }
            false => self.operands(operator, left, element)?,
        };
        let right = self.coerced(right, array_of(element.oid)?)?;
        let (operator, operands) = (operator.to_owned(), Box::new([left, right]));
        Some(Node::boolean(Shape::Quantified { operator, word, operands }))
    }

    fn like(
        self,
        operator: &str,
        of: &Expr,
        pattern: &Expr,
        escape: Option<&Expr>,
    ) -> Option<Node> {
        let pattern = match escape {
            None => self.node(pattern)?,
            Some(_) => {
                let arguments = self.texts([Some(pattern), escape])?;
                function("like_escape", arguments, Oid::TEXT)
            }
        };
        self.binary(operator, self.node(of)?, pattern)
    }

    fn texts<const N: usize>(self, exprs: [Option<&Expr>; N]) -> Option<Vec<Node>> {
        let texts = exprs.into_iter().flatten();
        texts.map(|expr| self.coerced(self.node(expr)?, Oid::TEXT)).collect()
    }

    fn cast(self, of: Node, written: &str) -> Option<Node> {
        let (oid, typmod) = parse_type(written).or_else(|| {
            let [name] = &*parts_of_written(written) else { return None };
            let kind = self.catalog.types.get(&self.catalog.stored_name(PUBLIC, name))?;
            (!matches!(kind.kind, UserTypeKind::Domain { .. })).then_some((kind.oid, -1))
        })?;
        if oid == Oid::INTERVAL && typmod >= 0 {
            return None;
        }
        let of = if of.is_untyped() { self.coerced(of, oid)? } else { of };
        if of.oid == oid && (typmod < 0 || of.typmod == typmod) {
            return Some(of);
        }
        let shape = Shape::Cast { of: Box::new(of), implicit: false };
        Some(Node { shape, oid, typmod })
    }

    fn at_zone(self, timestamp: &Expr, zone: &Expr) -> Option<Node> {
        let (of, zone) = (self.node(timestamp)?, self.node(zone)?);
        let oid = match of.oid {
            Oid::TIMESTAMP => Oid::TIMESTAMPTZ,
            Oid::TIMESTAMPTZ => Oid::TIMESTAMP,
            _ => return None,
        };
        let zone = if zone.oid == Oid::INTERVAL { zone } else { self.coerced(zone, Oid::TEXT)? };
        Some(Node::new(Shape::Zone(Box::new([of, zone])), oid))
    }

    fn extract(self, field: &str, of: &Expr) -> Option<Node> {
        let of = self.node(of)?;
        let is_time = matches!(
            of.oid,
            Oid::DATE | Oid::TIME | Oid::TIMETZ | Oid::TIMESTAMP | Oid::TIMESTAMPTZ | Oid::INTERVAL
        );
        let start = format!("EXTRACT({} FROM ", field.to_lowercase());
        is_time.then(|| syntax([&start, ")"], [of], Oid::NUMERIC))
    }

    fn substring(self, expr: &Expr) -> Option<Node> {
        let Expr::Substring { expr, substring_from, substring_for, special, shorthand } = expr
        else {
            return None;
        };
        let mut arguments = vec![self.node(expr)?];
        match (substring_from, substring_for) {
            (Some(from), _) => arguments.push(self.node(from)?),
            (None, Some(_)) => arguments.push(number("1")?),
            (None, None) => return None,
        }
        if let Some(length) = substring_for {
            arguments.push(self.node(length)?);
        }
        if *special || *shorthand {
            return self.called(if *shorthand { "substr" } else { "substring" }, arguments);
        }
        let (arguments, oid) = self.call("substring", arguments)?;
        let pieces = ["SUBSTRING(", " FROM ", " FOR "].into_iter().zip(arguments);
        let mut pieces: Vec<Piece> = pieces
            .flat_map(|(word, node)| [Piece::Word(word.to_owned()), Piece::Of(node)])
            .collect();
        pieces.push(Piece::Word(")".to_owned()));
        Some(Node::new(Shape::Syntax(pieces), oid))
    }

    fn trim(self, side: Option<&TrimWhereField>, what: Option<&Expr>, of: &Expr) -> Option<Node> {
        let word = match side {
            None | Some(TrimWhereField::Both) => "BOTH",
            Some(TrimWhereField::Leading) => "LEADING",
            Some(TrimWhereField::Trailing) => "TRAILING",
        };
        let mut nodes = self.texts([what, Some(of)])?;
        let of = nodes.pop()?;
        let start = format!("TRIM({word} ");
        Some(match nodes.pop() {
            Some(what) => syntax([&start, " FROM ", ")"], [what, of], Oid::TEXT),
            None => syntax([&format!("{start}FROM "), ")"], [of], Oid::TEXT),
        })
    }

    fn function(self, written: &Function) -> Option<Node> {
        let plain = written.filter.is_none()
            && written.over.is_none()
            && written.within_group.is_empty()
            && matches!(written.parameters, FunctionArguments::None);
        let name = match &*names::parts(&written.name) {
            [name] => name.clone(),
            [schema, name] if schema == "pg_catalog" => name.clone(),
            _ => return None,
        };
        let bare = |stored: &str| self.catalog.bare(stored) == name;
        if !plain || self.catalog.routines.iter().any(|routine| bare(&routine.name)) {
            return None;
        }
        let list = match &written.args {
            FunctionArguments::None => {
                let (word, oid) = VALUES.iter().find(|(word, _)| *word == name)?;
                return Some(Node::new(Shape::Name(word.to_uppercase()), *oid));
            }
            FunctionArguments::List(list) => list,
            FunctionArguments::Subquery(_) => return None,
        };
        if list.duplicate_treatment.is_some() || !list.clauses.is_empty() {
            return None;
        }
        let arguments = list.args.iter().map(|argument| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => self.node(expr),
            _ => None,
        });
        self.called(&name, arguments.collect::<Option<_>>()?)
    }

    fn called(self, name: &str, arguments: Vec<Node>) -> Option<Node> {
        match (name, &*arguments) {
            ("coalesce" | "greatest" | "least", _) => {
                let oid = self.common_type(&arguments.iter().collect::<Vec<_>>())?;
                let arguments = arguments.into_iter().map(|node| self.coerced(node, oid));
                let arguments = arguments.collect::<Option<_>>()?;
                Some(function(&name.to_uppercase(), arguments, oid))
            }
            ("nullif", [first, second]) => {
                let oid = first.oid;
                let (first, second, _) = self.operands("=", first.clone(), second.clone())?;
                Some(function("NULLIF", vec![first, second], oid))
            }
            _ => {
                let (arguments, oid) = self.call(name, arguments)?;
                Some(function(&quote_ident(name), arguments, oid))
            }
        }
    }

    fn array(self, elements: Vec<Node>) -> Option<Node> {
        let oid = self.common_type(&elements.iter().collect::<Vec<_>>())?;
        let elements = elements.into_iter().map(|element| self.coerced(element, oid));
        Some(Node::new(Shape::Array(elements.collect::<Option<_>>()?), array_of(oid)?))
    }

    fn case(
        self,
        operand: Option<&Expr>,
        conditions: &[CaseWhen],
        otherwise: Option<&Expr>,
    ) -> Option<Node> {
        let operand = match operand {
            Some(operand) => Some(self.node(operand)?),
            None => None,
        };
        let mut whens = Vec::with_capacity(conditions.len());
        let mut results = Vec::with_capacity(conditions.len());
        for when in conditions {
            whens.push(match &operand {
                None => self.condition(&when.condition)?,
                Some(operand) => {
                    let right = self.node(&when.condition)?;
                    self.operands("=", operand.clone(), right)?.1
                }
            });
            results.push(self.node(&when.result)?);
        }
        let otherwise = match otherwise {
            Some(expr) => self.node(expr)?,
            None => Node::new(Shape::Untyped(None), Oid::UNKNOWN),
        };
        let nodes: Vec<&Node> = std::iter::once(&otherwise).chain(&results).collect();
        let oid = self.common_type(&nodes)?;
        let mut pairs = Vec::with_capacity(results.len());
        for (when, result) in whens.into_iter().zip(results) {
            pairs.push([when, self.coerced(result, oid)?]);
        }
        let otherwise = Box::new(self.coerced(otherwise, oid)?);
        let operand = operand.map(Box::new);
        Some(Node::new(Shape::Case { operand, whens: pairs, otherwise }, oid))
    }
}

fn function(name: &str, arguments: Vec<Node>, oid: Oid) -> Node {
    Node::new(Shape::Call { name: name.to_owned(), arguments }, oid)
}

/// Words around and between arguments.
fn syntax<const W: usize, const N: usize>(words: [&str; W], nodes: [Node; N], oid: Oid) -> Node {
    let mut pieces = Vec::with_capacity(W + N);
    let mut nodes = nodes.into_iter();
    for word in words {
        pieces.push(Piece::Word(word.to_owned()));
        pieces.extend(nodes.next().map(Piece::Of));
    }
    Node::new(Shape::Syntax(pieces), oid)
}
