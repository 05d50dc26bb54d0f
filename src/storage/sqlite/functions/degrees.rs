//! Trigonometry in degrees, exact where the answer is: `sind(30)` is 0.5. As PostgreSQL
//! does it, arguments are brought into the first quadrant, and there the function of
//! radians is scaled by its own value at 30, 45 or 60 degrees.

use super::PURE;
use super::call::{Answer, Call, Registry, real};
use super::math::{in_unit, out_of_domain};

pub(super) fn register(registry: Registry<'_>) -> rusqlite::Result<()> {
    registry.define_strict(
        PURE,
        &[
            ("acosd", 1, |call| in_unit(call, acosd)),
            ("asind", 1, |call| in_unit(call, asind)),
            ("atan2d", 2, |call| real(call.real(0)?.atan2(call.real(1)?) / 1f64.atan() * 45.0)),
            ("atand", 1, |call| real(call.real(0)?.atan() / 1f64.atan() * 45.0)),
            ("cosd", 1, |call| circular(call, |quadrant| quadrant.cosine())),
            ("cotd", 1, |call| {
                circular(call, |quadrant| {
                    quadrant.cosine() / quadrant.sine() / (cos(45.0) / sin(45.0))
                })
            }),
            ("sind", 1, |call| circular(call, |quadrant| quadrant.sine())),
            ("tand", 1, |call| {
                circular(call, |quadrant| {
                    quadrant.sine() / quadrant.cosine() / (sin(45.0) / cos(45.0))
                })
            }),
        ],
    )
}

/// An angle of the first quadrant, and the signs that bringing it there has cost.
struct Quadrant {
    degrees: f64,
    sine: f64,
    cosine: f64,
}

impl Quadrant {
    fn of(angle: f64) -> Self {
        let mut degrees = angle % 360.0;
        let (mut sine, mut cosine) = (1.0, 1.0);
        if degrees < 0.0 {
            (degrees, sine) = (-degrees, -1.0);
        }
        if degrees > 180.0 {
            (degrees, sine) = (360.0 - degrees, -sine);
        }
        if degrees > 90.0 {
            (degrees, cosine) = (180.0 - degrees, -1.0);
        }
        Self { degrees, sine, cosine }
    }

    fn sine(&self) -> f64 {
        self.sine * sin(self.degrees)
    }

    fn cosine(&self) -> f64 {
        self.cosine * cos(self.degrees)
    }
}

fn circular(call: &Call<'_, '_>, function: fn(&Quadrant) -> f64) -> Answer {
    let angle = call.real(0)?;
    if angle.is_infinite() {
        return Err(out_of_domain());
    }
    let value = function(&Quadrant::of(angle));
    // No zero has a sign.
    real(if value == 0.0 { 0.0 } else { value })
}

/// Of 0 to 90 degrees.
fn sin(degrees: f64) -> f64 {
    if degrees <= 30.0 { low_sine(degrees) } else { low_cosine(90.0 - degrees) }
}

/// Of 0 to 90 degrees.
fn cos(degrees: f64) -> f64 {
    if degrees <= 60.0 { low_cosine(degrees) } else { low_sine(90.0 - degrees) }
}

fn low_sine(degrees: f64) -> f64 {
    degrees.to_radians().sin() / 30f64.to_radians().sin() / 2.0
}

fn low_cosine(degrees: f64) -> f64 {
    let lack = |degrees: f64| 1.0 - degrees.to_radians().cos();
    1.0 - lack(degrees) / lack(60.0) / 2.0
}

fn asind(value: f64) -> f64 {
    let positive = |value: f64| {
        if value <= 0.5 {
            value.asin() / 0.5f64.asin() * 30.0
        } else {
            90.0 - value.acos() / 0.5f64.acos() * 60.0
        }
    };
    if value >= 0.0 { positive(value) } else { -positive(-value) }
}

fn acosd(value: f64) -> f64 {
    if value > 0.5 { value.acos() / 0.5f64.acos() * 60.0 } else { 90.0 - asind(value) }
}

#[cfg(test)]
mod tests {
    use super::super::call::tests::check;

    #[test]
    fn round_angles_have_round_answers() {
        check(&[
            ("sind(30.0)", "0.5"),
            ("sind(-150.0)", "-0.5"),
            ("sind(180.0)", "0"),
            ("cosd(60.0)", "0.5"),
            ("cosd(240.0)", "-0.5"),
            ("tand(45.0)", "1"),
            ("tand(135.0)", "-1"),
            ("cotd(45.0)", "1"),
            ("tand(90.0)", "Infinity"),
            ("asind(0.5)", "30"),
            ("asind(-1.0)", "-90"),
            ("acosd(-0.5)", "120"),
            ("atand(1.0)", "45"),
            ("atan2d(-1.0, 0.0)", "-90"),
            ("acosd(1.5)", "22003"),
            ("sind(9e999)", "22003"),
        ]);
    }
}
