//! Whatever a client sends as SQL ends in translations or an error.
#![no_main]
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use towline::sql::catalog::Catalog;
use towline::sql::{TranslateContext, classify, split, translate};

/// With the system's relations only; queries bring tables of their own.
static CATALOG: LazyLock<Catalog> = LazyLock::new(Catalog::default);

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    classify(text);
    let Ok(statements) = split(text) else { return };
    for statement in statements {
        let _ = translate(statement, &TranslateContext::new(&CATALOG));
    }
});
