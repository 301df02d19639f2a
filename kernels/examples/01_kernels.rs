//! 1. Kernels: softmax forward and backward on plain slices, against its definition.
//!
//! `cargo run -p kernels --example 01_kernels`

use kernels::{isa, softmax};

const COLS: usize = 4;

fn main() {
    // A kernel knows no tensors: a matrix is a slice and the length of its rows. Scores of 1000 would overflow
    // exp, were the greatest of each row not taken away first.
    let x = [2.0, 1.0, 0.0, -1.0, 1000.0, 1000.0, 999.0, -1000.0];
    let mut y = [0.0; 8];
    softmax::forward(&x, COLS, &mut y);
    println!("y, each row a distribution:");
    y.chunks(COLS).for_each(|y| println!("  {y:.4?}, sum {:.6}", y.iter().sum::<f32>()));

    // Say the loss is the first element of each row: dy = 1 there and 0 elsewhere.
    let dy = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0];
    let mut dx = [0.0; 8];
    softmax::backward(&y, &dy, COLS, &mut dx);
    println!(
        "dx: more of the first score helps, more of any other hurts, and it adds up to nothing:"
    );
    dx.chunks(COLS).for_each(|dx| println!("  {dx:.4?}, sum {:.6}", dx.iter().sum::<f32>()));

    // Right? The definition in f64 says what y should be, and what a small change of each score does to the
    // loss says what dx should be: nobody has to trust the derivation.
    let wide = x.map(f64::from);
    let want_y = softmax::reference::forward(&wide, COLS);
    let want_dx: Vec<f64> = (0..x.len()).map(|i| slope(wide, i)).collect();

    println!("largest error, on each instruction set of this machine:");
    for isa in isa::supported() {
        isa::set(isa);
        softmax::forward(&x, COLS, &mut y);
        softmax::backward(&y, &dy, COLS, &mut dx);
        let errors = [error(&y, &want_y), error(&dx, &want_dx)];
        println!("  {:<9} y {:.1e}   dx {:.1e}", format!("{isa:?}"), errors[0], errors[1]);
        assert!(errors.iter().all(|&e| e < 1e-6));
    }
}

/// The slope of the loss along x_i: (L(x + h e_i) - L(x - h e_i)) / 2h.
fn slope(mut x: [f64; 8], i: usize) -> f64 {
    const H: f64 = 1e-5;
    let at = x[i];
    let mut loss = |x_i| {
        x[i] = x_i;
        softmax::reference::forward(&x, COLS).chunks(COLS).map(|y| y[0]).sum::<f64>()
    };
    (loss(at + H) - loss(at - H)) / (2.0 * H)
}

fn error(got: &[f32], want: &[f64]) -> f64 {
    got.iter().zip(want).map(|(&got, want)| (f64::from(got) - want).abs()).fold(0.0, f64::max)
}
