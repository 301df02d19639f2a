//! Arithmetic, element by element.
//!
//! ```text
//! binary     y = a + b      da = dy        db = dy
//!            y = a - b      da = dy        db = -dy
//!            y = a b        da = dy b      db = dy a
//!            y = a / b      da = dy / b    db = -dy y / b
//! unary      y = -x         dx = -dy
//!            y = exp x      dx = dy y
//!            y = ln x       dx = dy / x
//!            y = sqrt x     dx = dy / (2 y)
//!            y = |x|        dx = dy sign x, 0 at 0
//!            y = x^2        dx = 2 dy x
//!            y = 1 / x      dx = -dy y^2
//! ```
//!
//! Shapes: `[n] -> [n]`; [`binary_row`] repeats b, `[cols]`, over the rows of a, `[rows, cols]`. One rounding,
//! but for exp and ln (2 ulp) and the derivatives. The backward of a binary op is made of these same ops.
//!
//! Source: exp and ln after Cephes, <https://www.netlib.org/cephes/>. Above: `tensor/src/ops/elementwise.rs`.

mod cpu;
pub mod cuda;
pub mod reference;

pub use cpu::{add_assign, binary, binary_row, convert, scale, unary, unary_backward};

/// An operation on two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    /// a + b
    Add,
    /// a - b
    Sub,
    /// a b
    Mul,
    /// a / b
    Div,
}

/// A function of one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unary {
    /// -x
    Neg,
    /// e^x; on the host results below 1.7e-38 are 0.
    Exp,
    /// The natural logarithm.
    Ln,
    /// The square root.
    Sqrt,
    /// |x|
    Abs,
    /// x^2
    Square,
    /// 1 / x
    Recip,
}

impl Binary {
    /// Every operation.
    pub const ALL: [Self; 4] = [Self::Add, Self::Sub, Self::Mul, Self::Div];

    /// Its name in errors and on the tape.
    pub fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Sub => "sub",
            Self::Mul => "mul",
            Self::Div => "div",
        }
    }
}

impl Unary {
    /// Every function.
    pub const ALL: [Self; 7] =
        [Self::Neg, Self::Exp, Self::Ln, Self::Sqrt, Self::Abs, Self::Square, Self::Recip];
}
