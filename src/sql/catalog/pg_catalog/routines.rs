//! Functions and procedures of clients', in `pg_proc`.

use super::super::routine::defaults;
use super::super::rows::{Rows, number_array, row, text_array, vector};
use super::super::{Catalog, Mode, ObjectKind, Routine};
use crate::pg::Oid;

/// The language SQL.
const SQL: i64 = 14;

pub(super) fn add_routines(rows: &mut Rows, catalog: &Catalog) {
    for routine in &catalog.routines {
        add_routine(rows, catalog, routine);
    }
}

fn add_routine(rows: &mut Rows, catalog: &Catalog, routine: &Routine) {
    let said = &routine.said;
    let number = |given: &Option<String>, default: f64| {
        given.as_ref().and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let oid = |oid: Oid| i64::from(oid.0);
    let parameters = &said.parameters;
    let all_inputs = parameters.iter().all(|parameter| parameter.mode == Mode::In);
    let named = parameters.iter().any(|parameter| !parameter.name.is_empty());
    let texts = |text: fn(&super::super::Parameter) -> String| -> String {
        text_array(&parameters.iter().map(text).collect::<Vec<_>>())
    };
    let element = said.inputs().next_back().filter(|last| last.mode == Mode::Variadic);
    let element = element.and_then(|last| catalog.element_of(last.ty.oid));
    row!(rows,
        "oid" => routine.oid,
        "proname" => catalog.bare(&routine.name),
        "pronamespace" => catalog.namespace_of(&routine.name),
        "proowner" => catalog.owner_of(ObjectKind::Routine, routine.oid),
        "prolang" => SQL,
        "procost" => number(&said.cost, 100.0),
        "prorows" => if said.returns_set { number(&said.rows, 1000.0) } else { 0.0 },
        "provariadic" => element.unwrap_or(Oid(0)),
        "prokind" => if said.is_procedure { "p" } else { "f" },
        "prosecdef" => said.is_definer,
        "proleakproof" => said.is_leakproof,
        "proisstrict" => said.is_strict,
        "proretset" => said.returns_set,
        "provolatile" => said.volatility.letter(),
        "proparallel" => said.parallel.to_string(),
        "pronargs" => said.inputs().count(),
        "pronargdefaults" => said.inputs().filter(|input| input.default.is_some()).count(),
        "prorettype" => said.result.oid,
        "proargtypes" => vector(said.inputs().map(|input| oid(input.ty.oid))),
        "proallargtypes" => (!all_inputs)
            .then(|| number_array(parameters.iter().map(|parameter| oid(parameter.ty.oid)))),
        "proargmodes" => (!all_inputs).then(|| texts(|p| p.mode.letter().to_owned())),
        "proargnames" => named.then(|| texts(|parameter| parameter.name.clone())),
        "proargdefaults" => defaults(said),
        "prosrc" => if said.is_standard_body { "" } else { said.body.as_str() },
        "prosqlbody" => said.is_standard_body.then_some(&said.body),
    );
}
