//! Privileges on columns alone, which come on top of those on their table.
//!
//! A row of `towline_column_access` holds what was granted on a column, as a row of
//! `towline_access` does for an object; without one nothing was.

use std::collections::BTreeSet;

use super::Catalog;
use super::access::{EVERYBODY, Grant, Rights};
use crate::pg::Oid;

impl Rights {
    /// All rights that there are on a column.
    pub const ON_COLUMNS: Self =
        Self::INSERT.with(Self::SELECT).with(Self::UPDATE).with(Self::REFERENCES);
}

impl Catalog {
    /// What was granted on a column by itself.
    pub fn grants_on_column(&self, table: Oid, number: i64) -> &[Grant] {
        self.column_access.get(&(table, number)).map_or(&[], Vec::as_slice)
    }

    /// The columns of a table on which something was granted.
    pub fn granted_columns(&self, table: Oid) -> impl Iterator<Item = (i64, &Vec<Grant>)> {
        let columns = self.column_access.range((table, i64::MIN)..=(table, i64::MAX));
        columns.map(|((_, number), grants)| (*number, grants))
    }

    /// Of `wanted`, what `role` may not do with a column by what was granted on it alone.
    pub fn lacks_on_column(&self, role: Oid, table: Oid, number: i64, wanted: Rights) -> Rights {
        let grants = self.grants_on_column(table, number).iter();
        let held = grants.filter(|g| g.grantee == EVERYBODY || self.has_role(role, g.grantee));
        held.fold(wanted, |lacks, grant| lacks.without(grant.rights))
    }

    /// Whether `role` has a right on these columns of a table, or where there are none on
    /// any of its columns, by what was granted on them alone.
    pub fn holds_on_columns(
        &self,
        role: Oid,
        table: Oid,
        right: Rights,
        numbers: Option<&BTreeSet<i16>>,
    ) -> bool {
        let holds = |number: i64| self.lacks_on_column(role, table, number, right).is_empty();
        match numbers {
            Some(numbers) => numbers.iter().all(|number| holds((*number).into())),
            None => self.granted_columns(table).any(|(number, _)| holds(number)),
        }
    }

    /// Of `wanted`, what `role` may hand on by what was granted on a column alone.
    pub fn may_grant_column(&self, role: Oid, table: Oid, number: i64, wanted: Rights) -> Rights {
        let grants = self.grants_on_column(table, number).iter();
        let held = grants.filter(|grant| self.has_role(role, grant.grantee));
        held.fold(Rights::NONE, |rights, grant| rights.with(grant.options)).and(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: Oid = Oid(20_000);
    const ANN: Oid = Oid(16_400);

    #[test]
    fn a_right_on_some_columns_is_none_on_others() {
        let rights = Rights::SELECT;
        let grant = Grant { grantee: ANN, grantor: Oid(10), rights, options: Rights::NONE };
        let mut catalog = Catalog::default();
        catalog.column_access.insert((TABLE, 1), vec![grant]);
        catalog.column_access.insert((TABLE, 2), vec![Grant { options: rights, ..grant }]);
        let holds = |right, numbers: &[i16]| {
            let numbers = numbers.iter().copied().collect();
            catalog.holds_on_columns(ANN, TABLE, right, Some(&numbers))
        };
        assert!(holds(rights, &[1]) && holds(rights, &[1, 2]));
        assert!(!holds(rights, &[1, 3]) && !holds(Rights::UPDATE, &[1]));
        assert!(catalog.holds_on_columns(ANN, TABLE, rights, None));
        assert!(!catalog.holds_on_columns(ANN, TABLE, Rights::INSERT, None));
        assert!(!catalog.holds_on_columns(Oid(16_401), TABLE, rights, None));
        assert!(catalog.may_grant_column(ANN, TABLE, 1, rights).is_empty());
        assert_eq!(catalog.may_grant_column(ANN, TABLE, 2, Rights::ON_COLUMNS), rights);
    }
}
