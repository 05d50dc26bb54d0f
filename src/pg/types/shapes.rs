//! What the geometric types are asked and computed with. As in PostgreSQL, numbers that
//! differ by no more than 0.000001 are equal to most of it.

use super::Oid;
use super::geometry::Shape;

const EPSILON: f64 = 1e-6;

type Point = (f64, f64);
type Order = fn(f64, f64) -> bool;

pub(super) fn equal(left: f64, right: f64) -> bool {
    left == right || (left - right).abs() <= EPSILON
}

fn less(left: f64, right: f64) -> bool {
    left + EPSILON < right
}

fn at_most(left: f64, right: f64) -> bool {
    left <= right + EPSILON
}

fn apart(left: Point, right: Point) -> f64 {
    (left.0 - right.0).hypot(left.1 - right.1)
}

fn same_point(left: Point, right: Point) -> bool {
    equal(left.0, right.0) && equal(left.1, right.1)
}

/// A value with its type.
#[derive(Clone, Debug)]
pub struct Figure {
    pub oid: Oid,
    pub shape: Shape,
}

/// The left, lower, right and upper end.
struct Bounds {
    left: f64,
    low: f64,
    right: f64,
    high: f64,
}

impl Figure {
    pub fn new(oid: Oid, numbers: Vec<f64>) -> Self {
        Self { oid, shape: Shape { numbers, closed: !matches!(oid, Oid::LSEG) } }
    }

    fn points(&self) -> Vec<Point> {
        self.shape.numbers.chunks_exact(2).map(|point| (point[0], point[1])).collect()
    }

    /// The point, or a circle's center.
    fn first(&self) -> Point {
        (self.shape.numbers[0], self.shape.numbers[1])
    }

    fn radius(&self) -> f64 {
        self.shape.numbers[2]
    }

    fn corners(bounds: &Bounds) -> Vec<Point> {
        vec![
            (bounds.left, bounds.low),
            (bounds.left, bounds.high),
            (bounds.right, bounds.high),
            (bounds.right, bounds.low),
        ]
    }

    fn bounds(&self) -> Bounds {
        if self.oid == Oid::CIRCLE {
            let ((x, y), r) = (self.first(), self.radius());
            return Bounds { left: x - r, low: y - r, right: x + r, high: y + r };
        }
        let points = self.points();
        let end = |pick: fn(&Point) -> f64, choose: fn(f64, f64) -> f64| {
            points.iter().map(pick).reduce(choose).unwrap_or(0.0)
        };
        Bounds {
            left: end(|point| point.0, f64::min),
            low: end(|point| point.1, f64::min),
            right: end(|point| point.0, f64::max),
            high: end(|point| point.1, f64::max),
        }
    }

    /// The straight pieces of its outline.
    fn edges(&self) -> Vec<(Point, Point)> {
        let points = match self.oid {
            Oid::BOX => Self::corners(&self.bounds()),
            _ => self.points(),
        };
        let mut edges: Vec<_> = points.windows(2).map(|pair| (pair[0], pair[1])).collect();
        let closed = matches!(self.oid, Oid::BOX | Oid::POLYGON)
            || (self.oid == Oid::PATH && self.shape.closed);
        if let (true, Some(first), Some(last)) = (closed, points.first(), points.last()) {
            edges.push((*last, *first));
        }
        if edges.is_empty() {
            edges.extend(points.first().map(|only| (*only, *only)));
        }
        edges
    }

    /// Whether a point lies in the outline, or on it.
    fn surrounds(&self, point: Point) -> bool {
        let edges = self.edges();
        if edges.iter().any(|(a, b)| is_on(point, *a, *b)) {
            return true;
        }
        let crosses = |((ax, ay), (bx, by)): &(Point, Point)| {
            (*ay > point.1) != (*by > point.1)
                && point.0 < (bx - ax) * (point.1 - ay) / (by - ay) + ax
        };
        edges.iter().filter(|edge| crosses(edge)).count() % 2 == 1
    }

    /// `@>`; `None` where the types don't have it.
    pub fn contains(&self, other: &Self) -> Option<bool> {
        Some(match (self.oid, other.oid) {
            (Oid::BOX, Oid::POINT) => self.encloses(other.first()),
            (Oid::BOX, Oid::LSEG) => other.points().into_iter().all(|point| self.encloses(point)),
            (Oid::BOX, Oid::BOX) => {
                let (outer, inner) = (self.bounds(), other.bounds());
                at_most(outer.left, inner.left)
                    && at_most(inner.right, outer.right)
                    && at_most(outer.low, inner.low)
                    && at_most(inner.high, outer.high)
            }
            (Oid::CIRCLE, Oid::POINT) => apart(self.first(), other.first()) <= self.radius(),
            (Oid::CIRCLE, Oid::CIRCLE) => {
                at_most(apart(self.first(), other.first()), self.radius() - other.radius())
            }
            (Oid::PATH, Oid::POINT) if !self.shape.closed => {
                let point = other.first();
                self.edges().into_iter().any(|(a, b)| is_on(point, a, b))
            }
            (Oid::POLYGON | Oid::PATH, Oid::POINT) => self.surrounds(other.first()),
            (Oid::LSEG, Oid::POINT) => {
                let ends = self.points();
                is_on(other.first(), ends[0], ends[1])
            }
            (Oid::LINE, Oid::POINT) => equal(self.height_over(other.first()), 0.0),
            _ => return None,
        })
    }

    fn encloses(&self, point: Point) -> bool {
        let bounds = self.bounds();
        bounds.left <= point.0
            && point.0 <= bounds.right
            && bounds.low <= point.1
            && point.1 <= bounds.high
    }

    /// `Ax + By + C` of a line.
    fn height_over(&self, (x, y): Point) -> f64 {
        let [a, b, c] = self.shape.numbers[..] else { return 0.0 };
        a * x + b * y + c
    }

    /// `&&`.
    pub fn overlaps(&self, other: &Self) -> Option<bool> {
        if self.oid != other.oid {
            return None;
        }
        Some(match self.oid {
            Oid::BOX => {
                let (a, b) = (self.bounds(), other.bounds());
                at_most(a.left, b.right)
                    && at_most(b.left, a.right)
                    && at_most(a.low, b.high)
                    && at_most(b.low, a.high)
            }
            Oid::CIRCLE => {
                at_most(apart(self.first(), other.first()), self.radius() + other.radius())
            }
            Oid::POLYGON => {
                self.outlines_meet(other)
                    || self.surrounds(other.first())
                    || other.surrounds(self.first())
            }
            _ => return None,
        })
    }

    fn outlines_meet(&self, other: &Self) -> bool {
        let others = other.edges();
        self.edges().into_iter().any(|edge| others.iter().any(|other| meet(edge, *other)))
    }

    /// `<<`, `&<`, `>>`, `&>` and the same from below: where one lies as seen from the other.
    pub fn lies(&self, place: &str, other: &Self) -> Option<bool> {
        if self.oid != other.oid {
            return None;
        }
        let (a, b) = (self.bounds(), other.bounds());
        let (below, upto): (Order, Order) = match self.oid {
            // The boxes around polygons are compared exactly.
            Oid::POLYGON => (|a, b| a < b, |a, b| a <= b),
            Oid::BOX | Oid::CIRCLE | Oid::POINT => (less, at_most),
            _ => return None,
        };
        Some(match place {
            "<<" => below(a.right, b.left),
            ">>" => below(b.right, a.left),
            "<<|" => below(a.high, b.low),
            "|>>" => below(b.high, a.low),
            _ if self.oid == Oid::POINT => return None,
            "&<" => upto(a.right, b.right),
            "&>" => upto(b.left, a.left),
            "&<|" => upto(a.high, b.high),
            "|&>" => upto(b.low, a.low),
            _ => return None,
        })
    }

    /// `~=`.
    pub fn is_same(&self, other: &Self) -> Option<bool> {
        if self.oid != other.oid {
            return None;
        }
        Some(match self.oid {
            Oid::POINT | Oid::BOX => {
                let pairs = self.points().into_iter().zip(other.points());
                pairs.into_iter().all(|(a, b)| same_point(a, b))
            }
            Oid::CIRCLE => {
                equal(self.radius(), other.radius()) && same_point(self.first(), other.first())
            }
            Oid::POLYGON => {
                let (a, mut b) = (self.points(), other.points());
                let turned = |b: &[Point]| {
                    (0..b.len()).any(|start| {
                        let b = b[start..].iter().chain(&b[..start]);
                        a.iter().zip(b).all(|(a, b)| same_point(*a, *b))
                    })
                };
                let forth = turned(&b);
                b.reverse();
                a.len() == b.len() && (forth || turned(&b))
            }
            _ => return None,
        })
    }

    /// What `=`, `<` and `>` compare: an area, a length, a count.
    pub fn size(&self) -> Option<f64> {
        match self.oid {
            Oid::BOX | Oid::CIRCLE => self.area(),
            Oid::LSEG => self.length(),
            Oid::PATH => Some(self.points().len() as f64),
            _ => None,
        }
    }

    /// How sizes compare, by the operator's name.
    pub fn compares(&self, op: &str, other: &Self) -> Option<bool> {
        if self.oid != other.oid {
            return None;
        }
        if let ("=" | "<>", Oid::LSEG) = (op, self.oid) {
            let same = self.points().into_iter().zip(other.points());
            return Some(same.into_iter().all(|(a, b)| same_point(a, b)) == (op == "="));
        }
        let (a, b) = (self.size()?, other.size()?);
        Some(match op {
            "=" => equal(a, b),
            "<>" if self.oid == Oid::CIRCLE => !equal(a, b),
            "<" => less(a, b),
            ">" => less(b, a),
            "<=" => at_most(a, b),
            ">=" => at_most(b, a),
            _ => return None,
        })
    }

    /// `<->`.
    pub fn distance(&self, other: &Self) -> Option<f64> {
        Some(match (self.oid, other.oid) {
            (Oid::POINT, Oid::POINT) => apart(self.first(), other.first()),
            (Oid::BOX, Oid::BOX) => apart(self.center()?, other.center()?),
            (Oid::CIRCLE, Oid::CIRCLE) => {
                (apart(self.first(), other.first()) - self.radius() - other.radius()).max(0.0)
            }
            (Oid::CIRCLE, Oid::POINT | Oid::POLYGON) => {
                let center = Self::new(Oid::POINT, vec![self.first().0, self.first().1]);
                (other.distance(&center)? - self.radius()).max(0.0)
            }
            (Oid::LINE, Oid::POINT) => {
                let [a, b, _] = self.shape.numbers[..] else { return None };
                self.height_over(other.first()).abs() / a.hypot(b)
            }
            (Oid::LINE, Oid::LSEG) => {
                let ends = other.points();
                let sides = [self.height_over(ends[0]), self.height_over(ends[1])];
                let [a, b, _] = self.shape.numbers[..] else { return None };
                match sides[0] * sides[1] <= 0.0 {
                    true => 0.0,
                    false => sides[0].abs().min(sides[1].abs()) / a.hypot(b),
                }
            }
            (Oid::BOX | Oid::POLYGON, Oid::POINT) if self.surrounds(other.first()) => 0.0,
            (Oid::LSEG | Oid::BOX | Oid::PATH | Oid::POLYGON, Oid::POINT) => {
                let point = other.first();
                self.edges().into_iter().map(|(a, b)| to_edge(point, a, b)).reduce(f64::min)?
            }
            (Oid::BOX, Oid::LSEG) if self.encloses(other.points()[0]) => 0.0,
            (Oid::BOX | Oid::LSEG, Oid::LSEG) | (Oid::PATH, Oid::PATH) => {
                let others = other.edges();
                let pairs = self.edges().into_iter();
                pairs.flat_map(|a| others.iter().map(move |b| between(a, *b))).reduce(f64::min)?
            }
            (
                Oid::POINT,
                Oid::BOX | Oid::CIRCLE | Oid::LINE | Oid::LSEG | Oid::PATH | Oid::POLYGON,
            )
            | (Oid::LSEG, Oid::BOX | Oid::LINE)
            | (Oid::POLYGON, Oid::CIRCLE) => return other.distance(self),
            _ => return None,
        })
    }

    pub fn area(&self) -> Option<f64> {
        match self.oid {
            Oid::BOX => {
                let bounds = self.bounds();
                Some((bounds.right - bounds.left) * (bounds.high - bounds.low))
            }
            Oid::CIRCLE => Some(std::f64::consts::PI * self.radius() * self.radius()),
            Oid::PATH if self.shape.closed => {
                let edges = self.edges();
                let sum: f64 = edges.iter().map(|((ax, ay), (bx, by))| ax * by - ay * bx).sum();
                Some(sum.abs() / 2.0)
            }
            _ => None,
        }
    }

    pub fn length(&self) -> Option<f64> {
        matches!(self.oid, Oid::LSEG | Oid::PATH)
            .then(|| self.edges().into_iter().map(|(a, b)| apart(a, b)).sum())
    }

    pub fn center(&self) -> Option<Point> {
        let points = self.points();
        match self.oid {
            Oid::CIRCLE => Some(self.first()),
            Oid::BOX | Oid::LSEG => {
                let (a, b) = (points[0], points[1]);
                Some(((a.0 + b.0) / 2.0, (a.1 + b.1) / 2.0))
            }
            Oid::POLYGON => {
                let count = points.len() as f64;
                let (x, y) = points.iter().fold((0.0, 0.0), |sum, p| (sum.0 + p.0, sum.1 + p.1));
                Some((x / count, y / count))
            }
            _ => None,
        }
    }

    /// As another type, where PostgreSQL casts to it.
    pub fn cast(&self, oid: Oid) -> Option<Self> {
        let points = self.points();
        let flat = |points: &[Point]| points.iter().flat_map(|point| [point.0, point.1]).collect();
        let numbers = match (self.oid, oid) {
            (Oid::BOX | Oid::CIRCLE | Oid::LSEG | Oid::POLYGON, Oid::POINT) => {
                flat(&[self.center()?])
            }
            (Oid::BOX, Oid::LSEG) => self.shape.numbers.clone(),
            (Oid::BOX, Oid::POLYGON) => flat(&Self::corners(&self.bounds())),
            (Oid::BOX, Oid::CIRCLE) => {
                let center = self.center()?;
                vec![center.0, center.1, apart(center, points[0])]
            }
            (Oid::POINT, Oid::BOX) => [&self.shape.numbers[..], &self.shape.numbers[..]].concat(),
            (Oid::CIRCLE, Oid::BOX) => {
                let ((x, y), half) = (self.first(), self.radius() / std::f64::consts::SQRT_2);
                vec![x + half, y + half, x - half, y - half]
            }
            (Oid::POLYGON, Oid::BOX) => {
                let bounds = self.bounds();
                vec![bounds.right, bounds.high, bounds.left, bounds.low]
            }
            (Oid::POLYGON, Oid::PATH) => self.shape.numbers.clone(),
            (Oid::PATH, Oid::POLYGON) if self.shape.closed => self.shape.numbers.clone(),
            (Oid::POLYGON, Oid::CIRCLE) => {
                let center = self.center()?;
                let sum: f64 = points.iter().map(|point| apart(*point, center)).sum();
                vec![center.0, center.1, sum / points.len() as f64]
            }
            _ => return None,
        };
        Some(Self::new(oid, numbers))
    }

    /// `+`, `-`, `*` and `/` with a point; `None` where the type doesn't have it or the
    /// point to divide by is zero.
    pub fn moved(&self, op: &str, by: Point) -> Option<Self> {
        let place = |(x, y): Point| -> Option<Point> {
            Some(match op {
                "+" => (x + by.0, y + by.1),
                "-" => (x - by.0, y - by.1),
                "*" => (x * by.0 - y * by.1, x * by.1 + y * by.0),
                _ => {
                    let size = by.0 * by.0 + by.1 * by.1;
                    if size == 0.0 {
                        return None;
                    }
                    ((x * by.0 + y * by.1) / size, (y * by.0 - x * by.1) / size)
                }
            })
        };
        let mut numbers = Vec::with_capacity(self.shape.numbers.len());
        for point in self.points() {
            let (x, y) = place(point)?;
            numbers.extend([x, y]);
        }
        match self.oid {
            Oid::POINT => {}
            Oid::PATH => {
                let shape = Shape { numbers, closed: self.shape.closed };
                return Some(Self { oid: self.oid, shape });
            }
            Oid::BOX => {
                let turned = Self::new(Oid::POLYGON, numbers);
                return turned.cast(Oid::BOX);
            }
            Oid::CIRCLE => numbers.push(match op {
                "*" => self.radius() * by.0.hypot(by.1),
                "/" => self.radius() / by.0.hypot(by.1),
                _ => self.radius(),
            }),
            _ => return None,
        }
        Some(Self::new(self.oid, numbers))
    }
}

/// Whether a point is on the straight line from `a` to `b`.
fn is_on(point: Point, a: Point, b: Point) -> bool {
    equal(apart(a, point) + apart(point, b), apart(a, b))
}

fn to_edge(point: Point, a: Point, b: Point) -> f64 {
    let (dx, dy) = (b.0 - a.0, b.1 - a.1);
    let size = dx * dx + dy * dy;
    if size == 0.0 {
        return apart(point, a);
    }
    let part = (((point.0 - a.0) * dx + (point.1 - a.1) * dy) / size).clamp(0.0, 1.0);
    apart(point, (a.0 + part * dx, a.1 + part * dy))
}

fn between(left: (Point, Point), right: (Point, Point)) -> f64 {
    if meet(left, right) {
        return 0.0;
    }
    let (a, b) = (left, right);
    [to_edge(a.0, b.0, b.1), to_edge(a.1, b.0, b.1), to_edge(b.0, a.0, a.1), to_edge(b.1, a.0, a.1)]
        .into_iter()
        .fold(f64::INFINITY, f64::min)
}

/// Whether two straight pieces have a point in common.
fn meet((a, b): (Point, Point), (c, d): (Point, Point)) -> bool {
    let side = |p: Point, q: Point, r: Point| (q.0 - p.0) * (r.1 - p.1) - (q.1 - p.1) * (r.0 - p.0);
    let (s1, s2) = (side(a, b, c), side(a, b, d));
    let (s3, s4) = (side(c, d, a), side(c, d, b));
    if s1 * s2 < 0.0 && s3 * s4 < 0.0 {
        return true;
    }
    is_on(c, a, b) || is_on(d, a, b) || is_on(a, c, d) || is_on(b, c, d)
}
