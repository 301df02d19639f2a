//! Activations computed twice instead of kept.
//!
//! A chain of L functions keeps what each saves for its backward: L times the activations of one. If only the
//! input of each is kept, its backward first computes the rest again:
//!
//! ```text
//! forward     y = f(x, p), of which x alone is kept
//! backward    y = f(x, p) once more, on a tape of its own; the walk back from y with dy gives dx and dp
//! ```
//!
//! Memory is L inputs and the activations of one function; the price is one more forward.
//!
//! Source: Chen et al., *Training deep nets with sublinear memory cost*, 2016,
//! <https://arxiv.org/abs/1604.06174>, section 4.

use tensor::Tensor;

use crate::{Error, Gradients, Param, Result, Tape, Var};

const OP: &str = "recompute";

/// `f(tape, x)`, of which `tape` keeps `x` alone: the walk calls `f` again, on a tape of its own. `params` are
/// the parameters that `f` takes from its tape.
///
/// `f` must be pure: value and gradients are then those of `f(tape, x)` to the last bit, as long as neither `x`
/// nor a parameter is used elsewhere, too (sums over uses are added in another order). If nothing needs a
/// gradient, or `tape` does not record, this is `f(tape, x)`.
///
/// # Errors
/// Those of `f`, of the second call in the walk; when `f` uses variables of another tape, or `x` is one or was
/// walked. The walk refuses an `x` with a gradient that `f` does not use.
pub fn recompute(
    tape: &Tape,
    params: &[Param],
    x: &Var,
    f: impl Fn(&Tape, &Var) -> Result<Var> + 'static,
) -> Result<Var> {
    let wanted = x.needs_gradient();
    if !tape.is_recording() || !wanted && params.iter().all(|p| p.is_frozen()) {
        return f(tape, x);
    }
    let y = f(&Tape::inference(), &x.detach())?;
    if y.needs_gradient() {
        return Err(Error::TwoTapes { op: OP });
    }
    let kept = x.value.clone();
    tape.record_section(OP, x, y.value, move |dy, gradients| {
        let tape = Tape::new();
        let x = if wanted { tape.input(kept) } else { Var::constant(kept) };
        walk(f(&tape, &x)?, dy, gradients)?;
        Ok(gradients.take_input(&x))
    })
}

/// Adds the gradients of what `y` depends on; `y` itself is not kept.
fn walk(Var { value, node }: Var, dy: Tensor, gradients: &mut Gradients) -> Result<()> {
    drop(value);
    node.ok_or(Error::NotRecorded)?.walk(dy, gradients)
}
