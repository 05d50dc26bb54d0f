//! Assignment to elements and slices of arrays.

use super::array::Array;
use crate::pg::{SqlError, SqlState};

/// Most elements of an array, as in PostgreSQL.
const ELEMENTS_MAX: i64 = 134_217_727;

fn subscript_error(message: &str) -> SqlError {
    SqlError::new(SqlState("2202E"), message)
}

impl Array {
    /// `array[subscripts] = value`. An array of one dimension grows as far as it must, what is
    /// between being NULL; an empty one becomes one of that element.
    pub fn set(&mut self, subscripts: &[i32], value: Option<String>) -> Result<(), SqlError> {
        if self.dimensions.is_empty() {
            self.dimensions = subscripts.iter().map(|at| (1, *at)).collect();
            self.elements = vec![value];
            return Ok(());
        }
        if self.dimensions.len() != subscripts.len() {
            return Err(subscript_error("wrong number of array subscripts"));
        }
        if let [at] = subscripts {
            self.reach(i64::from(*at), i64::from(*at))?;
        }
        let at = self.place(subscripts)?;
        self.elements[at] = value;
        Ok(())
    }

    /// `array[lower:upper]… = source`; a bound that is left out is the array's own.
    pub fn set_slice(
        &mut self,
        bounds: &[(Option<i32>, Option<i32>)],
        source: &Self,
    ) -> Result<(), SqlError> {
        let empty = self.dimensions.is_empty();
        if empty && bounds.iter().any(|(lower, upper)| lower.is_none() || upper.is_none()) {
            return Err(subscript_error("array slice subscript must provide both boundaries")
                .with_detail(
                    "When assigning to a slice of an empty array value, slice boundaries must be \
                     fully specified.",
                ));
        }
        if !empty && self.dimensions.len() < bounds.len() {
            return Err(subscript_error("wrong number of array subscripts"));
        }
        let mut slice = Vec::with_capacity(bounds.len().max(self.dimensions.len()));
        for at in 0..bounds.len().max(self.dimensions.len()) {
            let (length, own) = self.dimensions.get(at).copied().unwrap_or((0, 1));
            let (lower, upper) = bounds.get(at).copied().unwrap_or((None, None));
            let lower = i64::from(lower.unwrap_or(own));
            let upper = upper.map_or(i64::from(own) + i64::from(length) - 1, i64::from);
            if upper < lower {
                return Err(subscript_error("upper bound cannot be less than lower bound"));
            }
            slice.push((lower, upper));
        }
        let count = slice
            .iter()
            .try_fold(1_i64, |count, (lower, upper)| count.checked_mul(upper - lower + 1))
            .filter(|count| *count <= ELEMENTS_MAX)
            .ok_or_else(too_large)?;
        if (source.elements.len() as i64) < count {
            return Err(subscript_error("source array too small"));
        }
        if empty {
            self.dimensions =
                slice.iter().map(|(low, high)| ((high - low + 1) as i32, *low as i32)).collect();
            self.elements = vec![None; count as usize];
        } else if let [(lower, upper)] = slice.as_slice() {
            self.reach(*lower, *upper)?;
        }
        let mut at: Vec<i32> = slice.iter().map(|(lower, _)| *lower as i32).collect();
        for value in source.elements.iter().take(count as usize) {
            let place = self.place(&at)?;
            self.elements[place].clone_from(value);
            // The next one: the last subscript runs fastest.
            for (subscript, (lower, upper)) in at.iter_mut().zip(&slice).rev() {
                if i64::from(*subscript) < *upper {
                    *subscript += 1;
                    break;
                }
                *subscript = *lower as i32;
            }
        }
        Ok(())
    }

    /// Grows an array of one dimension until it has these subscripts.
    fn reach(&mut self, lower: i64, upper: i64) -> Result<(), SqlError> {
        let (length, own) = self.dimensions[0];
        let first = i64::from(own).min(lower);
        let last = (i64::from(own) + i64::from(length) - 1).max(upper);
        if last - first >= ELEMENTS_MAX || i32::try_from(last).is_err() {
            return Err(too_large());
        }
        let before = (i64::from(own) - first) as usize;
        self.elements.splice(0..0, std::iter::repeat_n(None, before));
        self.elements.resize((last - first + 1) as usize, None);
        self.dimensions[0] = ((last - first + 1) as i32, first as i32);
        Ok(())
    }

    /// Where the element of these subscripts is.
    fn place(&self, subscripts: &[i32]) -> Result<usize, SqlError> {
        let mut place = 0_usize;
        for (at, (length, lower)) in subscripts.iter().zip(&self.dimensions) {
            let offset = i64::from(*at) - i64::from(*lower);
            if !(0..i64::from(*length)).contains(&offset) {
                return Err(subscript_error("array subscript out of range"));
            }
            place = place * *length as usize + offset as usize;
        }
        Ok(place)
    }
}

fn too_large() -> SqlError {
    SqlError::new(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        format!("array size exceeds the maximum allowed ({ELEMENTS_MAX})"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(array: &Array) -> String {
        let mut text = String::new();
        array.print(&mut text);
        text
    }

    #[test]
    fn elements_are_set_and_arrays_grow() {
        let cases: [(&str, &[i32], &str); 8] = [
            ("{}", &[2], "[2:2]={x}"),
            ("{}", &[1, 1], "{{x}}"),
            ("{1,2}", &[1], "{x,2}"),
            ("{1,2}", &[4], "{1,2,NULL,x}"),
            ("{1,2}", &[-1], "[-1:2]={x,NULL,1,2}"),
            ("{{1,2},{3,4}}", &[2, 1], "{{1,2},{x,4}}"),
            ("{{1,2},{3,4}}", &[3, 1], "array subscript out of range"),
            ("{1,2}", &[i32::MAX], "array size exceeds the maximum allowed (134217727)"),
        ];
        for (text, subscripts, expected) in cases {
            let mut array = Array::parse(text).expect("well formed");
            match array.set(subscripts, Some("x".to_owned())) {
                Ok(()) => assert_eq!(printed(&array), expected),
                Err(error) => assert_eq!(error.message, expected),
            }
        }
    }

    #[test]
    fn slices_are_set_from_arrays() {
        type Bounds = (Option<i32>, Option<i32>);
        let both = |lower, upper| (Some(lower), Some(upper));
        let cases: [(&str, &[Bounds], &str, &str); 8] = [
            ("{1,2,3}", &[both(2, 3)], "{x,y,z}", "{1,x,y}"),
            ("{1,2,3}", &[(None, Some(2))], "{x,y}", "{x,y,3}"),
            ("{1,2}", &[both(4, 5)], "{x,y}", "{1,2,NULL,x,y}"),
            ("{}", &[both(2, 3)], "{x,y}", "[2:3]={x,y}"),
            ("{{1,2},{3,4}}", &[both(1, 2), both(2, 2)], "{x,y}", "{{1,x},{3,y}}"),
            ("{1,2,3}", &[both(2, 3)], "{x}", "source array too small"),
            ("{1,2,3}", &[both(3, 2)], "{x}", "upper bound cannot be less than lower bound"),
            ("{}", &[(None, Some(2))], "{x}", "array slice subscript must provide both boundaries"),
        ];
        for (text, bounds, source, expected) in cases {
            let mut array = Array::parse(text).expect("well formed");
            match array.set_slice(bounds, &Array::parse(source).expect("well formed")) {
                Ok(()) => assert_eq!(printed(&array), expected),
                Err(error) => assert_eq!(error.message, expected),
            }
        }
    }
}
