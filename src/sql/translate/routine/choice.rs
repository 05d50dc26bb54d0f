//! Which function a call means, by its name and the types of its arguments.

use std::ops::ControlFlow;

use sqlparser::ast::{Expr, Function, FunctionArg, FunctionArgExpr, ObjectName, visit_expressions};

use super::Argument;
use super::body::parameter_in;
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::catalog::{Routine, RoutineType, Said, Volatility, builtin_functions};
use crate::sql::determinism::is_volatile;
use crate::sql::translate::cast::How;
use crate::sql::translate::function::variadic_argument;
use crate::sql::translate::place::Place;
use crate::sql::translate::{
    Form, Translator, Typed, grouping, known, names, set_returning, syntax,
};
use crate::sql::types::Type;

/// An argument as a call gives it.
pub(super) struct Given {
    name: Option<String>,
    /// `VARIADIC array`: all of the last input.
    is_whole: bool,
    argument: Argument,
}

/// A function that a call means, with what it is given for each of its inputs.
pub(super) struct Chosen<'a> {
    pub routine: &'a Routine,
    pub arguments: Vec<Argument>,
}

/// What an input gets from a call.
pub(super) enum Slot {
    Given(usize),
    Default,
    /// All from here on, as an array.
    Rest(usize),
}

impl<'a> Translator<'a> {
    /// The function that a call means among those that clients made, if it is one of them.
    pub(super) fn chosen(
        &mut self,
        name: &ObjectName,
        arguments: &[FunctionArg],
    ) -> Result<Option<Chosen<'a>>, SqlError> {
        let catalog = self.context.catalog;
        if catalog.routines.is_empty() {
            return Ok(None);
        }
        let (schema, bare) = self.qualified(name)?;
        let mut candidates = self.routines_named(schema.as_deref(), &bare);
        if candidates.is_empty() {
            return Ok(None);
        }
        let given: Vec<Given> = self.standing(Place::Elsewhere, |this| {
            arguments.iter().map(|argument| this.given(argument)).collect::<Result<_, SqlError>>()
        })?;
        let types: Vec<Oid> = given.iter().map(|given| given.argument.value.oid()).collect();
        if schema.is_none() && is_builtin(&bare) {
            // PostgreSQL's own comes first, unless another's types fit exactly.
            let signature = |oids: &[Oid]| {
                oids.iter().map(|oid| oid.0.to_string()).collect::<Vec<_>>().join(",")
            };
            let wanted = signature(&types);
            let own = builtin_functions()
                .iter()
                .any(|builtin| builtin.name == bare && signature(&builtin.arguments) == wanted);
            candidates.retain(|routine| !own && routine.said.signature() == wanted);
            if candidates.is_empty() {
                return Ok(None);
            }
        }
        let Some((routine, slots)) = self.best(&bare, candidates, &given)? else {
            let values: Vec<Typed> = given.into_iter().map(|given| given.argument.value).collect();
            return Err(self.undefined(&bare, &values));
        };
        let arguments = self.placed(routine, slots, &given)?;
        Ok(Some(Chosen { routine, arguments }))
    }

    /// Those that a name may mean, one for each signature.
    pub(in crate::sql::translate) fn routines_named(
        &self,
        schema: Option<&str>,
        bare: &str,
    ) -> Vec<&'a Routine> {
        let catalog = self.context.catalog;
        // Temporary functions are called by their schema's name.
        let temporary = self.context.temporary_schema;
        let schemas = match schema {
            Some(schema) => vec![schema.to_owned()],
            None => self.path().into_iter().filter(|schema| schema != temporary).collect(),
        };
        let mut found: Vec<&Routine> = Vec::new();
        for schema in schemas {
            for routine in catalog.overloads(&catalog.stored_name(&schema, bare)) {
                let signature = routine.said.signature();
                if !found.iter().any(|other| other.said.signature() == signature) {
                    found.push(routine);
                }
            }
        }
        found
    }

    pub(super) fn given(&mut self, argument: &FunctionArg) -> Result<Given, SqlError> {
        let is_whole = variadic_argument(argument).is_some();
        let (name, expr) = match argument {
            _ if let Some(array) = variadic_argument(argument) => (None, array),
            FunctionArg::Named { name, arg: FunctionArgExpr::Expr(expr), .. }
            | FunctionArg::ExprNamed {
                name: Expr::Identifier(name),
                arg: FunctionArgExpr::Expr(expr),
                ..
            } => (Some(names::fold(name)), expr),
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => (None, expr),
            other => {
                let value = self.argument(other)?;
                let argument = Argument { is_portable: false, ..Argument::settled(value) };
                return Ok(Given { name: None, is_whole, argument });
            }
        };
        let value = self.expression(expr)?;
        Ok(Given {
            name,
            is_whole,
            argument: Argument {
                is_repeatable: self.is_repeatable(expr),
                is_portable: self.is_portable(expr),
                is_bindable: !is_of_group(expr),
                is_volatile: self.is_volatile(expr),
                value,
            },
        })
    }

    pub(super) fn framed(&self, expr: &Expr) -> Option<&Argument> {
        let frame = self.frames.last()?;
        let at = parameter_in(expr, &frame.routine.said, &|stored| {
            self.context.catalog.bare(&frame.routine.name) == stored
        })?;
        frame.arguments.get(at)
    }

    pub(super) fn is_repeatable(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Value(_) | Expr::Identifier(_) | Expr::CompoundIdentifier(_) => {
                self.framed(expr).is_none_or(|argument| argument.is_repeatable)
            }
            Expr::TypedString(_) => true,
            Expr::Nested(inner)
            | Expr::Cast { expr: inner, .. }
            | Expr::UnaryOp { expr: inner, .. } => self.is_repeatable(inner),
            _ => false,
        }
    }

    pub(super) fn is_portable(&self, expr: &Expr) -> bool {
        !visit_expressions(expr, |part| match part {
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => {
                match self.framed(part).is_some_and(|argument| argument.is_portable) {
                    true => ControlFlow::Continue(()),
                    false => ControlFlow::Break(()),
                }
            }
            Expr::Value(_) if self.framed(part).is_some_and(|argument| !argument.is_portable) => {
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        })
        .is_break()
    }

    pub(super) fn is_volatile(&self, expr: &Expr) -> bool {
        visit_expressions(expr, |part| {
            let volatile = match part {
                Expr::Function(call) => self.calls_volatile(call),
                _ => self.framed(part).is_some_and(|argument| argument.is_volatile),
            };
            if volatile { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .is_break()
    }

    pub(super) fn calls_volatile(&self, call: &Function) -> bool {
        let name = names::last(&call.name).unwrap_or_default();
        let made = self.context.catalog.routines.iter().any(|routine| {
            self.context.catalog.bare(&routine.name) == name
                && routine.said.volatility == Volatility::Volatile
        });
        let known = builtin_functions().iter().any(|f| f.name == name && f.volatility == "v");
        made || known || is_volatile(&name)
    }

    /// Whether an expression calls a function of a client's that gives rows.
    pub(in crate::sql::translate) fn calls_rows(&self, expr: &Expr) -> bool {
        let catalog = self.context.catalog;
        let gives = |call: &Function| {
            names::last(&call.name).is_some_and(|name| {
                catalog
                    .routines
                    .iter()
                    .any(|routine| routine.said.returns_set && catalog.bare(&routine.name) == name)
            })
        };
        !catalog.routines.is_empty()
            && visit_expressions(expr, |part| match part {
                Expr::Function(call) if gives(call) => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            })
            .is_break()
    }

    /// The candidate that fits the arguments best, and how they fill it.
    pub(super) fn best(
        &mut self,
        name: &str,
        candidates: Vec<&'a Routine>,
        given: &[Given],
    ) -> Result<Option<(&'a Routine, Vec<Slot>)>, SqlError> {
        let mut best: Vec<(&Routine, Vec<Slot>)> = Vec::new();
        let mut highest = (0, 0, false);
        for routine in candidates {
            let Some(slots) = slots(&routine.said, given) else { continue };
            let Some((exact, preferred)) = self.fit(&routine.said, &slots, given)? else {
                continue;
            };
            let plain = !slots.iter().any(|slot| matches!(slot, Slot::Rest(_)));
            let score = (exact, preferred, plain);
            if best.is_empty() || score > highest {
                best.clear();
                highest = score;
            }
            if score == highest {
                best.push((routine, slots));
            }
        }
        if best.len() > 1 {
            let types: Vec<String> =
                given.iter().map(|g| self.type_name(g.argument.value.oid())).collect();
            return Err(SqlError::new(
                SqlState("42725"),
                format!("function {name}({}) is not unique", types.join(", ")),
            )
            .with_hint(
                "Could not choose a best candidate function. You might need to add explicit type \
                 casts.",
            ));
        }
        Ok(best.pop())
    }

    /// How many arguments are of the very types, and how many others of preferred ones;
    /// `None` if one can't be of its input's type.
    pub(super) fn fit(
        &mut self,
        said: &Said,
        slots: &[Slot],
        given: &[Given],
    ) -> Result<Option<(usize, usize)>, SqlError> {
        let (mut exact, mut preferred) = (0, 0);
        for (input, slot) in said.inputs().zip(slots) {
            let ty = self.routine_type(input.ty)?;
            let (wanted, range) = match slot {
                Slot::Default => continue,
                Slot::Given(at) => (ty, *at..*at + 1),
                Slot::Rest(from) => (self.element_of(ty).unwrap_or(Type::TEXT), *from..given.len()),
            };
            for given in &given[range] {
                let value = &given.argument.value;
                if value.oid() == wanted.oid {
                    exact += 1;
                    continue;
                }
                let fits = value.is_unknown()
                    || self.convert(value.clone(), wanted, self.how_into(wanted)).is_ok();
                if !fits {
                    return Ok(None);
                }
                let likes = [Oid::TEXT, Oid::FLOAT8, Oid::TIMESTAMPTZ, Oid::BOOL];
                let liked = if value.is_unknown() { &likes[..1] } else { &likes[..] };
                preferred += usize::from(liked.contains(&wanted.oid));
            }
        }
        Ok(Some((exact, preferred)))
    }

    /// A domain's conditions are asked for, by a cast.
    pub(super) fn how_into(&self, ty: Type) -> How {
        if self.base_of(ty) == ty { How::Implicit } else { How::Explicit }
    }

    /// The arguments in the order of the inputs, of their types.
    pub(super) fn placed(
        &mut self,
        routine: &'a Routine,
        slots: Vec<Slot>,
        given: &[Given],
    ) -> Result<Vec<Argument>, SqlError> {
        let mut placed = Vec::with_capacity(slots.len());
        for (input, slot) in routine.said.inputs().zip(slots) {
            let ty = self.routine_type(input.ty)?;
            let argument = match slot {
                Slot::Given(at) => given[at].argument.clone(),
                Slot::Default => self.default_argument(input.default.as_deref())?,
                Slot::Rest(from) => {
                    let element = self.element_of(ty).unwrap_or(Type::TEXT);
                    let mut elements = Vec::new();
                    for given in &given[from..] {
                        elements.push(self.coerce(given.argument.value.clone(), element)?);
                    }
                    let all =
                        |is: fn(&Argument) -> bool| given[from..].iter().all(|g| is(&g.argument));
                    Argument {
                        is_repeatable: all(|argument| argument.is_repeatable),
                        is_portable: all(|argument| argument.is_portable),
                        is_bindable: all(|argument| argument.is_bindable),
                        is_volatile: !all(|argument| !argument.is_volatile),
                        value: self.array_of(elements, element),
                    }
                }
            };
            let value = self.convert(argument.value, ty, self.how_into(ty))?;
            // What it is made of is no literal of the body's.
            let form = match value.form {
                Form::Column { .. } => value.form,
                _ => Form::Plain,
            };
            let value = Typed { form, origin: (Oid(0), 0), name: None, ..value };
            placed.push(Argument { value, ..argument });
        }
        Ok(placed)
    }

    pub(super) fn default_argument(&mut self, text: Option<&str>) -> Result<Argument, SqlError> {
        let expr = syntax::parse_expression(text.unwrap_or("NULL"))?;
        let frames = std::mem::take(&mut self.frames);
        let scopes = std::mem::take(&mut self.scopes);
        let given = self.given(&FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)));
        (self.frames, self.scopes) = (frames, scopes);
        Ok(given?.argument)
    }

    pub(in crate::sql::translate) fn routine_type(
        &mut self,
        ty: RoutineType,
    ) -> Result<Type, SqlError> {
        match self.context.catalog.relation(ty.table) {
            Some(table) => Ok(self.table_row_type(table)),
            None if ty.table != Oid(0) => Err(SqlError::new(
                SqlState::UNDEFINED_TABLE,
                format!("relation with OID {} does not exist", ty.table.0),
            )),
            None => Ok(Type::plain(ty.oid)),
        }
    }
}

/// Whether PostgreSQL has functions of the name.
pub(super) fn is_builtin(name: &str) -> bool {
    known::lookup(name).is_some()
        || set_returning::is_set_returning(name)
        || builtin_functions().iter().any(|builtin| builtin.name == name)
}

/// How a call's arguments fill the inputs; `None` if they don't.
pub(super) fn slots(said: &Said, given: &[Given]) -> Option<Vec<Slot>> {
    let inputs: Vec<_> = said.inputs().collect();
    let mut slots: Vec<Option<Slot>> = inputs.iter().map(|_| None).collect();
    let rest = said.is_variadic().then(|| inputs.len() - 1);
    for (at, argument) in given.iter().enumerate() {
        let place = match &argument.name {
            None if !argument.is_whole && rest.is_some_and(|rest| at >= rest) => {
                let slot = &mut slots[inputs.len() - 1];
                slot.get_or_insert(Slot::Rest(at));
                continue;
            }
            None if argument.is_whole && rest != Some(at) => return None,
            None => at,
            Some(name) => inputs.iter().position(|input| input.name == *name)?,
        };
        let slot = slots.get_mut(place)?;
        if slot.is_some() {
            return None;
        }
        *slot = Some(Slot::Given(at));
    }
    let filled = slots.into_iter().zip(inputs).map(|(slot, input)| match slot {
        None if input.default.is_some() => Some(Slot::Default),
        slot => slot,
    });
    filled.collect()
}

/// Whether an expression is of a group or window of rows.
pub(super) fn is_of_group(expr: &Expr) -> bool {
    let windowed = visit_expressions(expr, |part| match part {
        Expr::Function(call) if call.over.is_some() => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    windowed.is_break() || grouping::has_aggregate(expr)
}
