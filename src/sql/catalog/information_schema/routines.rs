//! Functions and procedures of clients', as the standard lists them.

use super::super::rows::{Facts, Rows, row};
use super::super::types::builtin_type;
use super::super::{Mode, Routine, Volatility};
use super::{data_type, yes};
use crate::pg::Oid;

/// Overloads share a name; this one is its own.
fn specific_name(facts: &Facts<'_>, routine: &Routine) -> String {
    format!("{}_{}", facts.catalog.bare(&routine.name), routine.oid.0)
}

/// The schema and the name of a type.
fn type_names(facts: &Facts<'_>, oid: Oid) -> (String, String) {
    let catalog = facts.catalog;
    match catalog.user_type(oid) {
        Some(kind) => {
            let (schema, name) = catalog.split_name(&kind.name);
            let array = if kind.array == oid { "_" } else { "" };
            (schema.to_owned(), format!("{array}{name}"))
        }
        None => {
            let name = builtin_type(oid).map_or("record", |kind| kind.name);
            ("pg_catalog".to_owned(), name.to_owned())
        }
    }
}

pub(super) fn add_routines(rows: &mut Rows, facts: &Facts<'_>) {
    for routine in &facts.catalog.routines {
        let said = &routine.said;
        let (schema, name) = facts.catalog.split_name(&routine.name);
        let result = (!said.is_procedure).then(|| type_names(facts, said.result.oid));
        row!(rows,
            "specific_catalog" => facts.database,
            "specific_schema" => schema,
            "specific_name" => specific_name(facts, routine),
            "routine_catalog" => facts.database,
            "routine_schema" => schema,
            "routine_name" => name,
            "routine_type" => routine.word().to_uppercase(),
            "data_type" => (!said.is_procedure).then(|| data_type(facts, said.result.oid)),
            "type_udt_catalog" => result.as_ref().map(|_| facts.database),
            "type_udt_schema" => result.as_ref().map(|(schema, _)| schema),
            "type_udt_name" => result.as_ref().map(|(_, name)| name),
            "dtd_identifier" => (!said.is_procedure).then_some("0"),
            "routine_body" => "SQL",
            "routine_definition" => (!said.is_standard_body).then_some(&said.body),
            "external_language" => "SQL",
            "parameter_style" => "GENERAL",
            "is_deterministic" => yes(said.volatility == Volatility::Immutable),
            "sql_data_access" => "MODIFIES",
            "is_null_call" => (!said.is_procedure).then(|| yes(said.is_strict)),
            "schema_level_routine" => "YES",
            "max_dynamic_result_sets" => 0_i64,
            "security_type" => if said.is_definer { "DEFINER" } else { "INVOKER" },
            "as_locator" => "NO",
            "is_udt_dependent" => "NO",
        );
    }
}

pub(super) fn add_parameters(rows: &mut Rows, facts: &Facts<'_>) {
    for routine in &facts.catalog.routines {
        for (number, parameter) in (1_i64..).zip(&routine.said.parameters) {
            let oid = parameter.ty.oid;
            let (udt_schema, udt_name) = type_names(facts, oid);
            row!(rows,
                "specific_catalog" => facts.database,
                "specific_schema" => facts.catalog.split_name(&routine.name).0,
                "specific_name" => specific_name(facts, routine),
                "ordinal_position" => number,
                "parameter_mode" => match parameter.mode {
                    Mode::In | Mode::Variadic => "IN",
                    Mode::Out | Mode::Table => "OUT",
                    Mode::InOut => "INOUT",
                },
                "is_result" => "NO",
                "as_locator" => "NO",
                "parameter_name" => Some(&parameter.name).filter(|name| !name.is_empty()),
                "data_type" => data_type(facts, oid),
                "udt_catalog" => facts.database,
                "udt_schema" => udt_schema,
                "udt_name" => udt_name,
                "dtd_identifier" => number.to_string(),
                "parameter_default" => parameter.default.as_ref(),
            );
        }
    }
}
