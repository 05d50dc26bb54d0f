//! Operators and functions of ranges, network addresses and bits.

use sqlparser::ast::BinaryOperator;

use super::{Translator, Typed, cast, names};
use crate::pg::types::range::{RANGES, subtype};
use crate::pg::{Oid, SqlError};
use crate::sql::types::{self, Family, Type, common, family, is_integer};

impl Translator<'_> {
    /// `left op right`, if one side is of such a type and has such an operator.
    pub(super) fn extent_operator(
        &mut self,
        left: &Typed,
        op: &BinaryOperator,
        right: &Typed,
    ) -> Result<Option<Typed>, SqlError> {
        let op = op.to_string();
        if left.oid() == Oid::PG_LSN || right.oid() == Oid::PG_LSN {
            return self.lsn_operator(left.clone(), &op, right.clone());
        }
        let (l, r) = (family(left.oid()), family(right.oid()));
        if l == Family::Geometric || r == Family::Geometric {
            return self.shape_operator(left.clone(), &op, right.clone());
        }
        if l == Family::Range || r == Family::Range {
            return self.range_operator(left.clone(), &op, right.clone());
        }
        if l == Family::Network || r == Family::Network {
            return self.network_operator(left.clone(), &op, right.clone());
        }
        if l == Family::Bits || r == Family::Bits {
            return self.bits_operator(left.clone(), &op, right.clone());
        }
        Ok(None)
    }

    fn lsn_operator(
        &mut self,
        left: Typed,
        op: &str,
        right: Typed,
    ) -> Result<Option<Typed>, SqlError> {
        let lsn = Type::plain(Oid::PG_LSN);
        let number = Type::plain(Oid::NUMERIC);
        let is_number = |typed: &Typed| family(typed.oid()) == Family::Number;
        let (left, sign, right) = match op {
            "-" if !is_number(&right) => {
                let (left, right) = (self.coerce(left, lsn)?, self.coerce(right, lsn)?);
                let sql = format!("pg_wal_lsn_diff({}, {})", left.sql, right.sql);
                return Ok(Some(Typed::plain(sql, Oid::NUMERIC)));
            }
            "+" if is_number(&left) => (right, 1, left),
            "+" if is_number(&right) => (left, 1, right),
            "-" => (left, -1, right),
            _ => return Ok(None),
        };
        let right = self.coerce(right, number)?;
        let sql = format!("towline_lsn_add({}, {}, {sign})", left.sql, right.sql);
        Ok(Some(Typed::of(sql, lsn)))
    }

    fn range_operator(
        &mut self,
        left: Typed,
        op: &str,
        right: Typed,
    ) -> Result<Option<Typed>, SqlError> {
        let (left, op, right) = match op {
            "<@" => (right, "@>", left),
            ">>" => (right, "<<", left),
            op => (left, op, right),
        };
        let range = if family(left.oid()) == Family::Range { left.oid() } else { right.oid() };
        if let ("@>", Some(element)) = (op, subtype(left.oid()))
            && !right.is_unknown()
            && right.oid() != left.oid()
        {
            let right = self.coerce(right, Type::plain(element))?;
            let sql = format!("towline_range_contains_element({}, {})", left.sql, right.sql);
            return Ok(Some(Typed::plain(sql, Oid::BOOL)));
        }
        let (function, oid) = match op {
            "@>" => ("contains", Oid::BOOL),
            "&&" => ("overlaps", Oid::BOOL),
            "-|-" => ("adjacent", Oid::BOOL),
            "<<" => ("before", Oid::BOOL),
            "&<" => ("ends_within", Oid::BOOL),
            "&>" => ("begins_within", Oid::BOOL),
            "+" => ("union", range),
            "*" => ("intersection", range),
            "-" => ("difference", range),
            _ => return Ok(None),
        };
        let left = self.coerce(left, Type::plain(range))?;
        let right = self.coerce(right, Type::plain(range))?;
        let sql = format!("towline_range_{function}({}, {})", left.sql, right.sql);
        Ok(Some(Typed::plain(sql, oid)))
    }

    fn network_operator(
        &mut self,
        left: Typed,
        op: &str,
        right: Typed,
    ) -> Result<Option<Typed>, SqlError> {
        let is_mac = |oid| matches!(oid, Oid::MACADDR | Oid::MACADDR8);
        if let ("&" | "|", Some(mac)) =
            (op, common(left.oid(), right.oid()).filter(|oid| is_mac(*oid)))
        {
            let left = self.coerce(left, Type::plain(mac))?;
            let right = self.coerce(right, Type::plain(mac))?;
            let function = if op == "&" { "and" } else { "or" };
            let sql = format!("towline_mac_{function}({}, {})", left.sql, right.sql);
            return Ok(Some(Typed::plain(sql, mac)));
        }
        let is_address = |oid| matches!(oid, Oid::INET | Oid::CIDR);
        let (address, number) = match op {
            "+" if is_integer(left.oid()) => (&right, &left),
            _ => (&left, &right),
        };
        if matches!(op, "+" | "-") && is_address(address.oid()) && is_integer(number.oid()) {
            let function = if op == "+" { "plus" } else { "minus" };
            let sql = format!("towline_network_{function}({}, {})", address.sql, number.sql);
            return Ok(Some(Typed::plain(sql, Oid::INET)));
        }
        let both = common(left.oid(), right.oid());
        if op == "||" || !matches!(both, Some(Oid::INET | Oid::CIDR)) {
            return Ok(None);
        }
        let left = self.coerce(left, Type::plain(Oid::INET))?;
        let right = self.coerce(right, Type::plain(Oid::INET))?;
        let contains = |outer: &Typed, inner: &Typed, strictly: u8| {
            format!("towline_network_contains({}, {}, {strictly})", outer.sql, inner.sql)
        };
        let sql = match op {
            ">>" => contains(&left, &right, 1),
            ">>=" => contains(&left, &right, 0),
            "<<" => contains(&right, &left, 1),
            "<<=" => contains(&right, &left, 0),
            "&&" => format!("towline_network_overlaps({}, {})", left.sql, right.sql),
            "&" | "|" | "-" => {
                let (function, result) = match op {
                    "&" => ("and", Oid::INET),
                    "|" => ("or", Oid::INET),
                    _ => ("distance", Oid::INT8),
                };
                let sql = format!("towline_network_{function}({}, {})", left.sql, right.sql);
                return Ok(Some(Typed::plain(sql, result)));
            }
            _ => return Ok(None),
        };
        Ok(Some(Typed::plain(sql, Oid::BOOL)))
    }

    fn bits_operator(
        &mut self,
        left: Typed,
        op: &str,
        right: Typed,
    ) -> Result<Option<Typed>, SqlError> {
        if let ("<<" | ">>", Family::Bits) = (op, family(left.oid())) {
            let right = self.coerce(right, Type::plain(Oid::INT4))?;
            let side = if op == "<<" { "shl" } else { "shr" };
            let sql = format!("towline_bits_{side}({}, {})", left.sql, right.sql);
            return Ok(Some(Typed::plain(sql, Oid::BIT)));
        }
        let Some(oid) = common(left.oid(), right.oid()) else { return Ok(None) };
        let function = match op {
            "&" => "and",
            "|" => "or",
            "#" => "xor",
            "||" => {
                let left = self.coerce(left, Type::plain(Oid::VARBIT))?;
                let right = self.coerce(right, Type::plain(Oid::VARBIT))?;
                let sql = format!("{} || {}", left.operand(), right.operand());
                return Ok(Some(Typed::compound(sql, Oid::VARBIT)));
            }
            _ => return Ok(None),
        };
        let left = self.coerce(left, Type::plain(oid))?;
        let right = self.coerce(right, Type::plain(oid))?;
        let sql = format!("towline_bits_{function}({}, {})", left.sql, right.sql);
        Ok(Some(Typed::plain(sql, Oid::BIT)))
    }

    /// A call of a function that such a type has, or has of its own.
    pub(super) fn extent_call(
        &mut self,
        name: &str,
        arguments: &[Typed],
    ) -> Result<Option<Typed>, SqlError> {
        if let Some((range, element)) =
            RANGES.iter().find(|(oid, _)| types::internal_name(*oid) == name)
            && let [lower, upper, bounds @ ..] = arguments
            && bounds.len() <= 1
        {
            let lower = self.coerce(lower.clone(), Type::plain(*element))?;
            let upper = self.coerce(upper.clone(), Type::plain(*element))?;
            let bounds = match bounds.first() {
                Some(bounds) => self.coerce(bounds.clone(), Type::TEXT)?.sql,
                None => names::quote_literal("[)"),
            };
            let sql = format!("towline_range('{name}', {}, {}, {bounds})", lower.sql, upper.sql);
            return Ok(Some(Typed::plain(sql, *range)));
        }
        if let [first, second] = arguments
            && let Some(shape) = self.shape(name, first, second)?
        {
            return Ok(Some(shape));
        }
        if let Some(shape) = Self::shape_call(name, arguments) {
            return Ok(Some(shape));
        }
        let Some(first) = arguments.first() else { return Ok(None) };
        let oid = first.oid();
        match (family(oid), arguments) {
            (Family::Range, [range]) => Ok(range_part(name, range)),
            (Family::Range, [left, right]) if name == "range_merge" => {
                let right = self.coerce(right.clone(), Type::plain(oid))?;
                let sql = format!("towline_range_merge({}, {})", left.sql, right.sql);
                Ok(Some(Typed::plain(sql, oid)))
            }
            (Family::Network | Family::Unknown, [address])
                if !matches!(oid, Oid::MACADDR | Oid::MACADDR8) =>
            {
                let Some(result) = network_part(name) else { return Ok(None) };
                let address = match family(oid) {
                    Family::Unknown => self.coerce(address.clone(), Type::plain(Oid::INET))?,
                    _ => address.clone(),
                };
                let sql = match name {
                    "abbrev" if address.oid() == Oid::INET => address.sql,
                    _ => format!("towline_network_{name}({})", address.sql),
                };
                Ok(Some(Typed::plain(sql, result)))
            }
            (Family::Network, [mac])
                if matches!(
                    (name, oid),
                    ("trunc", Oid::MACADDR | Oid::MACADDR8) | ("macaddr8_set7bit", Oid::MACADDR8)
                ) =>
            {
                let function = if name == "trunc" { "trunc" } else { "set7bit" };
                Ok(Some(Typed::plain(format!("towline_mac_{function}({})", mac.sql), oid)))
            }
            (Family::Network, [address, length]) if name == "set_masklen" => {
                let length = self.coerce(length.clone(), Type::plain(Oid::INT4))?;
                let sql = format!("towline_network_set_masklen({}, {})", address.sql, length.sql);
                Ok(Some(Typed::plain(sql, oid)))
            }
            (Family::Bits, [bits, rest @ ..]) => {
                let (function, result) = match (name, rest.len()) {
                    ("length" | "bit_length" | "char_length", 0) => ("length", Oid::INT4),
                    ("octet_length", 0) => ("towline_bits_octets", Oid::INT4),
                    ("bit_count", 0) => ("towline_bits_count", Oid::INT8),
                    ("get_bit", 1) => ("towline_bits_get", Oid::INT4),
                    ("set_bit", 2) => ("towline_bits_set", oid),
                    _ => return Ok(None),
                };
                let mut sql = format!("{function}({}", bits.sql);
                for argument in rest {
                    let argument = self.coerce(argument.clone(), Type::plain(Oid::INT4))?;
                    sql.push_str(", ");
                    sql.push_str(&argument.sql);
                }
                Ok(Some(Typed::plain(sql + ")", result)))
            }
            _ => Ok(None),
        }
    }

    /// A shape made of two parts: its text is made of theirs.
    fn shape(
        &mut self,
        name: &str,
        first: &Typed,
        second: &Typed,
    ) -> Result<Option<Typed>, SqlError> {
        let (oid, of, and, begin, end) = match name {
            "point" => (Oid::POINT, Oid::FLOAT8, Oid::FLOAT8, "(", ")"),
            "box" => (Oid::BOX, Oid::POINT, Oid::POINT, "", ""),
            "lseg" => (Oid::LSEG, Oid::POINT, Oid::POINT, "[", "]"),
            "circle" => (Oid::CIRCLE, Oid::POINT, Oid::FLOAT8, "<", ">"),
            _ => return Ok(None),
        };
        let mut text = |part: &Typed, oid| {
            let part = self.coerce(part.clone(), Type::plain(oid))?;
            Ok::<_, SqlError>(self.convert(part, Type::TEXT, cast::How::Assignment)?.sql)
        };
        let (first, second) = (text(first, of)?, text(second, and)?);
        let sql =
            format!("towline_cast_{name}('{begin}' || {first} || ',' || {second} || '{end}')");
        Ok(Some(Typed::plain(sql, oid)))
    }

    /// `~ bits`.
    pub(super) fn bits_complement(typed: &Typed) -> Typed {
        Typed::plain(format!("towline_bits_not({})", typed.sql), Oid::BIT)
    }

    /// `~ address`.
    pub(super) fn address_complement(typed: &Typed) -> Typed {
        let (function, oid) = match typed.oid() {
            Oid::INET | Oid::CIDR => ("towline_network_not", Oid::INET),
            mac => ("towline_mac_not", mac),
        };
        Typed::plain(format!("{function}({})", typed.sql), oid)
    }

    /// Conversions from or to such a type; `None` where there is none.
    pub(super) fn extent_cast(typed: &Typed, to: Oid, explicit: bool) -> Option<Typed> {
        let from = typed.oid();
        let plain = |sql: String| Some(Typed::plain(sql, to));
        match (from, to) {
            // A network of one address shows its length, an address does not.
            (Oid::CIDR, Oid::INET) => plain(format!("towline_cast_inet({})", typed.sql)),
            (Oid::INET, Oid::CIDR) => plain(format!("towline_network_network({})", typed.sql)),
            (Oid::MACADDR8, Oid::MACADDR) => plain(format!("towline_mac_short({})", typed.sql)),
            (Oid::MACADDR, Oid::MACADDR8) => plain(format!("towline_cast_macaddr8({})", typed.sql)),
            (Oid::BIT, Oid::VARBIT) | (Oid::VARBIT, Oid::BIT) => plain(typed.sql.clone()),
            (Oid::BIT, Oid::INT4 | Oid::INT8) if explicit => {
                let size = if to == Oid::INT4 { 32 } else { 64 };
                plain(format!("towline_bits_to_int({}, {size})", typed.sql))
            }
            _ => None,
        }
    }

    /// An integer as bits of the type's length.
    pub(super) fn bits_of_integer(typed: &Typed, ty: Type) -> Option<Typed> {
        (ty.oid == Oid::BIT && is_integer(typed.oid())).then(|| {
            let length = ty.typmod.max(1);
            Typed::of(format!("towline_bits_of_int({}, {length})", typed.sql), ty)
        })
    }
}

fn range_part(name: &str, range: &Typed) -> Option<Typed> {
    let sql = format!("towline_range_{name}({})", range.sql);
    match name {
        "lower" | "upper" => Some(cast::from_array_element(sql, subtype(range.oid())?)),
        "isempty" | "lower_inc" | "upper_inc" | "lower_inf" | "upper_inf" => {
            Some(Typed::plain(sql, Oid::BOOL))
        }
        _ => None,
    }
}

/// What a function of an address alone returns.
fn network_part(name: &str) -> Option<Oid> {
    Some(match name {
        "host" | "abbrev" => Oid::TEXT,
        "masklen" | "family" => Oid::INT4,
        "network" => Oid::CIDR,
        "netmask" | "hostmask" | "broadcast" => Oid::INET,
        _ => return None,
    })
}
