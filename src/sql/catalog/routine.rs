//! Functions and procedures that clients made, in SQL.

use serde::{Deserialize, Serialize};

use super::Catalog;
use super::definition::{quote_ident, quote_stored};
use crate::pg::Oid;

/// A function or procedure.
#[derive(Clone, Debug)]
pub struct Routine {
    pub oid: Oid,
    /// As stored; overloads share it.
    pub name: String,
    pub said: Said,
}

/// What CREATE FUNCTION or CREATE PROCEDURE said. The catalog keeps it as JSON.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Said {
    pub is_procedure: bool,
    pub parameters: Vec<Parameter>,
    pub result: RoutineType,
    pub returns_set: bool,
    /// A call with a NULL among its arguments is NULL.
    pub is_strict: bool,
    pub volatility: Volatility,
    pub is_leakproof: bool,
    /// SECURITY DEFINER, which changes nothing here.
    pub is_definer: bool,
    /// `u`, `r` or `s`, as PARALLEL says.
    pub parallel: char,
    /// As COST and ROWS gave them.
    pub cost: Option<String>,
    pub rows: Option<String>,
    /// SQL: a string's contents, or `RETURN …` or `BEGIN ATOMIC …` as it was written.
    pub body: String,
    pub is_standard_body: bool,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Volatility {
    Immutable,
    Stable,
    Volatile,
}

impl Volatility {
    /// As `pg_proc.provolatile` says it.
    pub fn letter(self) -> &'static str {
        match self {
            Self::Immutable => "i",
            Self::Stable => "s",
            Self::Volatile => "v",
        }
    }
}

/// The type of a parameter or of what a call gives.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RoutineType {
    #[serde(with = "number")]
    pub oid: Oid,
    /// The table of whose rows the type is; then `oid` is `record`. 0 is none.
    #[serde(with = "number")]
    pub table: Oid,
}

mod number {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::pg::Oid;

    pub(super) fn serialize<S: Serializer>(oid: &Oid, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(oid.0)
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(deserializer: D) -> Result<Oid, D::Error> {
        u32::deserialize(deserializer).map(Oid)
    }
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Parameter {
    pub mode: Mode,
    /// Empty if it has none.
    pub name: String,
    pub ty: RoutineType,
    /// PostgreSQL's spelling.
    pub default: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Mode {
    In,
    Out,
    InOut,
    Variadic,
    /// A column of RETURNS TABLE.
    Table,
}

impl Mode {
    pub fn is_input(self) -> bool {
        matches!(self, Self::In | Self::InOut | Self::Variadic)
    }

    pub fn is_output(self) -> bool {
        matches!(self, Self::Out | Self::InOut | Self::Table)
    }

    /// As `pg_proc.proargmodes` says it.
    pub fn letter(self) -> &'static str {
        match self {
            Self::In => "i",
            Self::Out => "o",
            Self::InOut => "b",
            Self::Variadic => "v",
            Self::Table => "t",
        }
    }
}

impl Said {
    /// The parameters that a call gives arguments for, in order.
    pub fn inputs(&self) -> impl DoubleEndedIterator<Item = &Parameter> + Clone {
        self.parameters.iter().filter(|parameter| parameter.mode.is_input())
    }

    /// The parameters that are columns of the result.
    pub fn outputs(&self) -> impl Iterator<Item = &Parameter> + Clone {
        self.parameters.iter().filter(|parameter| parameter.mode.is_output())
    }

    /// What tells overloads apart: the types of the inputs.
    pub fn signature(&self) -> String {
        let types = self.inputs().map(|input| match input.ty.table {
            Oid(0) => input.ty.oid.0.to_string(),
            table => format!("r{}", table.0),
        });
        types.collect::<Vec<_>>().join(",")
    }

    /// Whether its last parameter takes any number of arguments.
    pub fn is_variadic(&self) -> bool {
        self.inputs().next_back().is_some_and(|last| last.mode == Mode::Variadic)
    }
}

impl Routine {
    pub fn word(&self) -> &'static str {
        if self.said.is_procedure { "procedure" } else { "function" }
    }

    fn type_name(&self, catalog: &Catalog, ty: RoutineType) -> String {
        match catalog.relation(ty.table) {
            Some(table) => quote_stored(catalog, &table.name),
            None => catalog.format_type(ty.oid, None),
        }
    }

    fn printed(&self, catalog: &Catalog, parameter: &Parameter, modes: bool) -> String {
        let mode = match parameter.mode {
            Mode::Out if modes => "OUT ",
            Mode::InOut if modes => "INOUT ",
            Mode::Variadic => "VARIADIC ",
            Mode::In if modes && self.said.is_procedure => "IN ",
            _ => "",
        };
        let name = match parameter.name.as_str() {
            "" => String::new(),
            name => format!("{} ", quote_ident(name)),
        };
        format!("{mode}{name}{}", self.type_name(catalog, parameter.ty))
    }

    /// `pg_get_function_arguments(oid)`.
    pub fn printed_arguments(&self, catalog: &Catalog) -> String {
        let shown = self.said.parameters.iter().filter(|p| p.mode != Mode::Table);
        let printed = shown.map(|parameter| {
            let default = parameter.default.as_ref();
            let default = default.map_or_else(String::new, |text| format!(" DEFAULT {text}"));
            self.printed(catalog, parameter, true) + &default
        });
        printed.collect::<Vec<_>>().join(", ")
    }

    /// `pg_get_function_identity_arguments(oid)`.
    pub fn identity_arguments(&self, catalog: &Catalog) -> String {
        let shown = self.said.parameters.iter().filter(|parameter| match parameter.mode {
            Mode::Table => false,
            Mode::Out => self.said.is_procedure,
            _ => true,
        });
        let printed = shown.map(|parameter| self.printed(catalog, parameter, true));
        printed.collect::<Vec<_>>().join(", ")
    }

    /// Its name with the types of its inputs, as messages and `regprocedure` show it.
    pub fn with_types(&self, catalog: &Catalog, name: &str) -> String {
        let types: Vec<String> =
            self.said.inputs().map(|input| self.type_name(catalog, input.ty)).collect();
        format!("{name}({})", types.join(","))
    }

    /// `pg_get_function_result(oid)`; a procedure has none.
    pub fn printed_result(&self, catalog: &Catalog) -> Option<String> {
        if self.said.is_procedure {
            return None;
        }
        let columns: Vec<String> = self
            .said
            .parameters
            .iter()
            .filter(|parameter| parameter.mode == Mode::Table)
            .map(|parameter| self.printed(catalog, parameter, false))
            .collect();
        if !columns.is_empty() {
            return Some(format!("TABLE({})", columns.join(", ")));
        }
        let set = if self.said.returns_set { "SETOF " } else { "" };
        Some(format!("{set}{}", self.type_name(catalog, self.said.result)))
    }

    /// `pg_get_functiondef(oid)`.
    pub fn definition(&self, catalog: &Catalog) -> String {
        let (schema, name) = catalog.split_name(&self.name);
        let kind = self.word().to_uppercase();
        let mut text = format!(
            "CREATE OR REPLACE {kind} {}.{}({})\n",
            quote_ident(schema),
            quote_ident(name),
            self.printed_arguments(catalog)
        );
        if let Some(result) = self.printed_result(catalog) {
            text.push_str(&format!(" RETURNS {result}\n"));
        }
        text.push_str(" LANGUAGE sql\n");
        let mut options: Vec<String> = Vec::new();
        match self.said.volatility {
            Volatility::Immutable => options.push("IMMUTABLE".to_owned()),
            Volatility::Stable => options.push("STABLE".to_owned()),
            Volatility::Volatile => {}
        }
        match self.said.parallel {
            's' => options.push("PARALLEL SAFE".to_owned()),
            'r' => options.push("PARALLEL RESTRICTED".to_owned()),
            _ => {}
        }
        for (given, word) in [
            (self.said.is_strict, "STRICT"),
            (self.said.is_definer, "SECURITY DEFINER"),
            (self.said.is_leakproof, "LEAKPROOF"),
        ] {
            if given {
                options.push(word.to_owned());
            }
        }
        options.extend(self.said.cost.as_ref().map(|cost| format!("COST {cost}")));
        options.extend(self.said.rows.as_ref().map(|rows| format!("ROWS {rows}")));
        if !options.is_empty() {
            text.push_str(&format!(" {}\n", options.join(" ")));
        }
        if self.said.is_standard_body {
            text.push_str(&format!("{}\n", self.said.body));
            return text;
        }
        let mut tag = format!("${}$", self.word());
        while self.said.body.contains(&tag) {
            tag.insert(1, 'x');
        }
        text.push_str(&format!("AS {tag}{}{tag}\n", self.said.body));
        text
    }
}

impl Catalog {
    pub fn routine(&self, oid: Oid) -> Option<&Routine> {
        self.routines.iter().find(|routine| routine.oid == oid)
    }

    /// What arrays of a type hold, those of clients' types too.
    pub fn element_of(&self, array: Oid) -> Option<Oid> {
        let made = || self.user_type(array).filter(|kind| kind.array == array);
        crate::sql::types::element_of(array).or_else(|| made().map(|kind| kind.oid))
    }

    /// Those of a stored name.
    pub fn overloads(&self, stored: &str) -> impl Iterator<Item = &Routine> {
        self.routines.iter().filter(move |routine| routine.name == stored)
    }
}

/// The defaults of the inputs, as `pg_proc.proargdefaults` shows them.
pub(super) fn defaults(said: &Said) -> Option<String> {
    let defaults: Vec<&str> = said.inputs().filter_map(|input| input.default.as_deref()).collect();
    (!defaults.is_empty()).then(|| defaults.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_print_as_in_postgresql() {
        let ty = |oid| RoutineType { oid, table: Oid(0) };
        let parameter = |mode, name: &str, oid| Parameter {
            mode,
            name: name.to_owned(),
            ty: ty(oid),
            default: None,
        };
        let mut routine = Routine {
            oid: Oid(20_000),
            name: "f".to_owned(),
            said: Said {
                is_procedure: false,
                parameters: vec![
                    parameter(Mode::In, "a", Oid::INT4),
                    Parameter {
                        default: Some("'x'::text".to_owned()),
                        ..parameter(Mode::In, "B", Oid::TEXT)
                    },
                ],
                result: ty(Oid::INT8),
                returns_set: true,
                is_strict: true,
                volatility: Volatility::Immutable,
                is_leakproof: false,
                is_definer: false,
                parallel: 's',
                cost: None,
                rows: Some("5".to_owned()),
                body: " SELECT 1::int8 ".to_owned(),
                is_standard_body: false,
            },
        };
        let catalog = Catalog::default();
        assert_eq!(
            routine.definition(&catalog),
            "CREATE OR REPLACE FUNCTION public.f(a integer, \"B\" text DEFAULT 'x'::text)\n \
             RETURNS SETOF bigint\n LANGUAGE sql\n IMMUTABLE PARALLEL SAFE STRICT ROWS 5\n\
             AS $function$ SELECT 1::int8 $function$\n"
        );
        assert_eq!(routine.identity_arguments(&catalog), "a integer, \"B\" text");
        assert_eq!(routine.said.signature(), "23,25");
        routine.said.parameters.push(parameter(Mode::Table, "n", Oid::INT4));
        assert_eq!(routine.printed_result(&catalog).as_deref(), Some("TABLE(n integer)"));
        let json = serde_json::to_string(&routine.said).expect("it is written");
        let read: Said = serde_json::from_str(&json).expect("it is read");
        assert_eq!(read.signature(), "23,25");
    }
}
