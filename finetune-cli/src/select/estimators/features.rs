//! States standardised by training rows, and the inverse of their regularised scatter.
//!
//! ```text
//! a = (x - m) / s            m, s: mean and standard deviation over the n training rows; 0 where s = 0
//! (c A A^T + l I)^-1 g       A [D, n]; through [D, D], or with fewer rows than states
//!                            (g - A (A^T A + l / c I)^-1 A^T g) / l, through [n, n]
//! ```
//!
//! The second form is Woodbury's identity.

use crate::select::linalg::{
    Cholesky, Matrix, View, add_squares, inner_products, times, transpose_times,
};

use super::moments::add_scaled;

/// A standard deviation this small beside the mean is rounding.
const ROUNDING: f64 = 1e-10;

/// The affine map that standardises.
pub(super) struct Scaler {
    mean: Vec<f64>,
    /// One over the standard deviation, or 0.
    factor: Vec<f64>,
}

impl Scaler {
    /// Of these rows, which stand as columns `[D, n]`.
    pub fn new(states: View) -> Self {
        let (width, rows) = (states.rows(), states.cols() as f64);
        let mut mean = vec![0.0; width];
        (0..states.cols()).for_each(|row| add_scaled(&mut mean, 1.0 / rows, states.column(row)));
        let mut squares = vec![0.0; width];
        for row in 0..states.cols() {
            let centred = states.column(row).iter().zip(&mean).map(|(x, m)| x - m);
            squares.iter_mut().zip(centred).for_each(|(sum, x)| *sum += x * x / rows);
        }
        let factor = squares.iter().zip(&mean).map(|(square, mean)| {
            let deviation = square.sqrt();
            if deviation <= ROUNDING * mean.abs() { 0.0 } else { 1.0 / deviation }
        });
        Self { factor: factor.collect(), mean }
    }

    /// These rows, standardised.
    pub fn apply(&self, mut states: Matrix) -> Matrix {
        for row in 0..states.cols() {
            let column = states.column_mut(row).iter_mut().zip(&self.mean).zip(&self.factor);
            column.for_each(|((x, mean), factor)| *x = (*x - mean) * factor);
        }
        states
    }
}

/// `(c A A^T + l I)^-1`.
pub(super) struct Inverse<'a> {
    features: View<'a>,
    factor: Cholesky,
    /// l, where `factor` is of `[n, n]`.
    dual: Option<f64>,
}

impl<'a> Inverse<'a> {
    /// For A = `features`, c = `scale` and l = `ridge`, both positive; `None` when rounding makes it singular.
    pub fn new(features: View<'a>, scale: f64, ridge: f64) -> Option<Self> {
        let dual = features.cols() < features.rows();
        let matrix = if dual {
            let mut products = inner_products(features);
            products.scale_and_shift(1.0, ridge / scale);
            products
        } else {
            let mut squares = Matrix::zeros(features.rows(), features.rows());
            add_squares(&mut squares, features);
            squares.scale_and_shift(scale, ridge);
            squares
        };
        let factor = Cholesky::new(&matrix)?;
        Some(Self { features, factor, dual: dual.then_some(ridge) })
    }

    /// Applies it to each column.
    pub fn apply(&self, mut columns: Matrix) -> Matrix {
        let Some(ridge) = self.dual else {
            self.factor.solve(&mut columns);
            return columns;
        };
        let mut inner = transpose_times(self.features, columns.view());
        self.factor.solve(&mut inner);
        let span = times(self.features, inner.view());
        let pairs = columns.data_mut().iter_mut().zip(span.data());
        pairs.for_each(|(g, span)| *g = (*g - span) / ridge);
        columns
    }
}
