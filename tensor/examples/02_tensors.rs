//! 2. Tensors: shapes, strides and shared memory over the kernels.
//!
//! `cargo run -p tensor --example 02_tensors`

use tensor::{CuSeqLens, DType, Pooling, Result, Tensor, ops};

fn main() -> Result<()> {
    let x = Tensor::from_vec(vec![1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0], &[2, 3])?;
    show("x", &x)?;

    println!("\nViews are other shapes and strides over the same memory; nothing is copied:");
    let columns = x.t()?;
    show("x transposed", &columns)?;
    show("its last two rows", &columns.narrow(0, 1, 2)?)?;
    let tall = x.narrow(0, 0, 1)?.broadcast_to(&[3, 3])?;
    show("the first row of x, three times", &tall)?;

    println!("\nArithmetic broadcasts, and takes views as they are:");
    let mean = ops::reduce::mean_axis(&x, 1)?.unsqueeze(1)?;
    show("x - mean of each row", &x.sub(&mean)?)?;
    show("x x^T", &x.matmul(&columns)?)?;

    println!("\nWriting copies first what others see:");
    let mut y = x.clone();
    y.make_mut()?[0] = 100.0;
    println!("  y {:?}, x {:?}", y.to_vec::<f32>()?, x.to_vec::<f32>()?);

    println!("\nA shape that does not fit is an error that names both sides:");
    for result in [x.matmul(&x), x.add(&Tensor::zeros(&[2]))] {
        println!("  {}", result.expect_err("shapes do not fit"));
    }

    println!("\nbf16 keeps the range of f32 and eight bits of each number:");
    let third = Tensor::scalar(1.0 / 3.0);
    println!("  1/3 is {} in f32, {} in bf16", third.item()?, third.to_dtype(DType::BF16)?.item()?);

    println!(
        "\nA batch of sequences of 3, 1 and 2 tokens is six rows and four offsets, no padding:"
    );
    let batch = CuSeqLens::from_lens(&[3, 1, 2])?;
    let hidden = Tensor::from_vec((0..12).map(|i| i as f32).collect(), &[6, 2])?;
    println!("  offsets {:?}", batch.offsets());
    show("tokens, [T, H]", &hidden)?;
    show("mean of each sequence, [B, H]", &ops::pooling::forward(Pooling::Mean, &hidden, &batch)?)
}

/// Name, shape, strides and values.
fn show(name: &str, x: &Tensor) -> Result<()> {
    let values = x.to_ndarray::<f32>()?;
    println!("{name}: shape {:?}, strides {:?}\n{values}", x.shape(), x.strides());
    Ok(())
}
