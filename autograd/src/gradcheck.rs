//! Are the derivatives right? Compares the tape's gradients with slopes measured in f64.
//!
//! ```text
//! slope of L at x_i   (L(x + h e_i) - L(x - h e_i)) / 2h  +  O(h^2)
//! ```
//!
//! In f32 a slope is good to three digits at best: subtracting two nearly equal losses leaves little. So
//! the function under test is run twice: in f32, with the fast kernels, for the gradients, and in f64,
//! where the same ops run their plain definitions, for the slopes. With h = 1e-5 those are right to about
//! ten digits. A third run takes the gradients in f64 as well: it must agree with the slopes almost
//! exactly, which tells a wrong derivation from a rounding error.
//!
//! ```
//! use autograd::{Param, Tensor, gradcheck::GradCheck};
//! # fn main() -> autograd::Result<()> {
//! let w = Param::new("w", Tensor::from_vec(vec![0.3f32, -1.2, 0.7], &[3])?);
//! let x = Tensor::from_vec(vec![1.0f32, 2.0, 3.0], &[3])?;
//! GradCheck::default().run(&[w.clone()], &[x], |tape, inputs| {
//!     inputs[0].mul(&tape.param(&w))?.tanh()
//! })?;
//! # Ok(()) }
//! ```
//!
//! An output that is no scalar is first multiplied by fixed random weights and summed, so every element of
//! it counts. Keep inputs away from kinks (ReLU at 0): there is no slope there.

use tensor::{DType, Tensor, philox::Rng};

use crate::{Error, Gradients, Param, Result, Tape, Var};

/// What to compare and how closely.
#[derive(Clone, Debug)]
pub struct GradCheck {
    /// h, relative to max(1, |x_i|).
    pub step: f64,
    /// Largest accepted error of an f32 gradient, relative to the greatest slope of its tensor.
    pub tolerance: f64,
    /// The same for a gradient computed in f64.
    pub tolerance_f64: f64,
    /// Elements checked in each tensor, chosen evenly; a check costs two runs in f64 each.
    pub elements: usize,
}

impl Default for GradCheck {
    /// h = 1e-5; 1e-3 in f32, 1e-6 in f64; up to 64 elements a tensor.
    fn default() -> Self {
        Self { step: 1e-5, tolerance: 1e-3, tolerance_f64: 1e-6, elements: 64 }
    }
}

/// The greatest errors found, each relative to the greatest slope of its tensor.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// Of the f32 gradients.
    pub error_f32: f64,
    /// Of the f64 gradients.
    pub error_f64: f64,
    /// Elements compared.
    pub compared: usize,
}

impl GradCheck {
    /// Checks the gradients of `f` with respect to `params` and `inputs` (f32 tensors).
    ///
    /// `f` receives a tape and the inputs as variables on it; it takes parameters by
    /// [`Tape::param`] or through layers. It must be a pure function: with dropout, one with a fixed key.
    /// While the check runs the parameters hold f64 values; afterwards they are as before.
    ///
    /// # Errors
    /// [`Error::Mismatch`] names the tensor, the element, the gradient and the slope; other errors come from
    /// `f`.
    pub fn run(
        &self,
        params: &[Param],
        inputs: &[Tensor],
        f: impl Fn(&Tape, &[Var]) -> Result<Var>,
    ) -> Result<Report> {
        let narrow = gradients(params, inputs, &f)?;
        let _restore = Restore::of(params);
        for param in params {
            param.set(param.value().to_dtype(DType::F64)?);
        }
        let wide = inputs.iter().map(|x| x.to_dtype(DType::F64));
        let mut inputs = wide.collect::<tensor::Result<Vec<Tensor>>>()?;
        let wide = gradients(params, &inputs, &f)?;

        let mut report = Report::default();
        for (i, param) in params.iter().enumerate() {
            let slopes = self.slopes(&mut inputs, &f, param.value(), |_, x| param.set(x))?;
            self.compare(param.name(), &slopes, [&narrow.0[i], &wide.0[i]], &mut report)?;
        }
        for i in 0..inputs.len() {
            let at = inputs[i].clone();
            let slopes = self.slopes(&mut inputs, &f, at, |inputs, x| inputs[i] = x)?;
            let name = format!("input {i}");
            self.compare(&name, &slopes, [&narrow.1[i], &wide.1[i]], &mut report)?;
        }
        Ok(report)
    }

    /// (element, slope) for the chosen elements of the tensor that `set` changes, and that is `at` before and
    /// afterwards.
    fn slopes(
        &self,
        inputs: &mut [Tensor],
        f: &impl Fn(&Tape, &[Var]) -> Result<Var>,
        at: Tensor,
        set: impl Fn(&mut [Tensor], Tensor),
    ) -> Result<Vec<(usize, f64)>> {
        let values = at.to_vec::<f64>()?;
        let mut loss_with = |i: usize, x: f64| {
            let mut values = values.clone();
            values[i] = x;
            set(inputs, Tensor::from_vec(values, at.shape())?);
            loss(inputs, f)
        };
        let n = self.elements.clamp(1, values.len().max(1));
        let mut slopes = Vec::with_capacity(n);
        for k in 0..n.min(values.len()) {
            let i = k * values.len() / n;
            let h = self.step * values[i].abs().max(1.0);
            let rise = loss_with(i, values[i] + h)? - loss_with(i, values[i] - h)?;
            slopes.push((i, rise / (2.0 * h)));
        }
        set(inputs, at);
        Ok(slopes)
    }

    fn compare(
        &self,
        name: &str,
        slopes: &[(usize, f64)],
        [narrow, wide]: [&[f64]; 2],
        report: &mut Report,
    ) -> Result<()> {
        // Where all slopes are tiny, such as those of the bias of attention's keys, which are zero, what is
        // left is rounding: it is held to the size of the losses instead.
        let scale = slopes.iter().map(|s| s.1.abs()).fold(1e-2, f64::max);
        for &(i, slope) in slopes {
            let errors = [narrow[i], wide[i]].map(|g| (g - slope).abs() / scale);
            for (kind, g, error, limit) in [
                ("f32", narrow[i], errors[0], self.tolerance),
                ("f64", wide[i], errors[1], self.tolerance_f64),
            ] {
                if error.is_nan() || error > limit {
                    let message = format!(
                        "{name}[{i}]: {kind} gradient {g:.9e}, slope {slope:.9e}, \
                         relative error {error:.1e} > {limit:.1e}"
                    );
                    return Err(Error::Mismatch(message));
                }
            }
            report.error_f32 = report.error_f32.max(errors[0]);
            report.error_f64 = report.error_f64.max(errors[1]);
            report.compared += 1;
        }
        Ok(())
    }
}

/// Puts the parameters' values back when it goes.
struct Restore<'a>(Vec<(&'a Param, Tensor)>);

impl<'a> Restore<'a> {
    fn of(params: &'a [Param]) -> Self {
        Self(params.iter().map(|p| (p, p.value())).collect())
    }
}

impl Drop for Restore<'_> {
    fn drop(&mut self) {
        for (param, value) in self.0.drain(..) {
            param.set(value);
        }
    }
}

/// Gradients as f64: of each parameter, and of each input. No gradient is a gradient of zeros.
type Flat = (Vec<Box<[f64]>>, Vec<Box<[f64]>>);

fn gradients(
    params: &[Param],
    inputs: &[Tensor],
    f: &impl Fn(&Tape, &[Var]) -> Result<Var>,
) -> Result<Flat> {
    let tape = Tape::new();
    let vars: Vec<Var> = inputs.iter().map(|x| tape.input(x.clone())).collect();
    let grads: Gradients = weighted_sum(&f(&tape, &vars)?)?.backward()?;
    let flat = |g: Option<Tensor>, like: &Tensor| -> Result<Box<[f64]>> {
        Ok(match g {
            Some(g) => g.to_f64_vec()?.into(),
            None => vec![0.0; like.len()].into(),
        })
    };
    let of_params = params.iter().map(|p| flat(grads.param(p), &p.value()));
    let of_inputs = vars.iter().map(|v| flat(grads.input(v).cloned(), v.value()));
    Ok((of_params.collect::<Result<_>>()?, of_inputs.collect::<Result<_>>()?))
}

fn loss(inputs: &[Tensor], f: &impl Fn(&Tape, &[Var]) -> Result<Var>) -> Result<f64> {
    let vars: Vec<Var> = inputs.iter().cloned().map(Var::constant).collect();
    Ok(weighted_sum(&f(&Tape::inference(), &vars)?)?.value().item()?)
}

/// The output as it is if it is one element, else its sum under fixed random weights.
fn weighted_sum(y: &Var) -> Result<Var> {
    if y.value().len() == 1 {
        return y.sum();
    }
    let weights = Tensor::randn(y.shape(), &mut Rng::new(0x5EED, 0));
    y.mul(&Var::constant(weights.to_dtype(y.value().dtype())?))?.sum()
}
