//! 4. A layer: one transformer layer over a ragged batch, forward and backward.
//!
//! `cargo run -p nn --example 04_a_layer`

use autograd::Var;
use nn::{Initializer, LayerConfig, Module, Pass, Result, TransformerLayer, count, freeze, loss};
use tensor::{Activation, CuSeqLens, Tensor, ops, philox::Rng};

const CONFIG: LayerConfig = LayerConfig {
    hidden: 32,
    heads: 4,
    intermediate: 64,
    activation: Activation::Gelu,
    layer_norm_eps: 1e-12,
    attention_output_dropout: 0.1,
    output_dropout: 0.1,
    attention_dropout: 0.1,
};

fn main() -> Result<()> {
    let layer = TransformerLayer::new("encoder.layer.0", &CONFIG, &Initializer::bert(0.02, 1));
    println!("{} parameters:", count(&layer.params()));
    layer.params().iter().for_each(|p| println!("  {:<49} {:?}", p.name(), p.shape()));

    // Three sequences of 5, 2 and 9 tokens: 16 rows, one below the other.
    let batch = CuSeqLens::from_lens(&[5, 2, 9])?;
    let x = Tensor::randn(&[batch.total(), CONFIG.hidden], &mut Rng::new(2, 0));
    let run = |pass: &Pass, x: &Tensor, batch: &CuSeqLens| -> Result<Tensor> {
        Ok(layer.forward(pass, &Var::constant(x.clone()), batch)?.value().clone())
    };

    // A sequence does not notice its neighbours.
    let together = run(&Pass::inference(), &x, &batch)?;
    let second = batch.range(1);
    let rows = |t: &Tensor| t.narrow(0, second.start, second.len());
    let alone = run(&Pass::inference(), &rows(&x)?, &CuSeqLens::from_lens(&[second.len()])?)?;
    println!(
        "\nthe second sequence alone and in the batch differ by {}",
        distance(&alone, &rows(&together)?)?
    );
    assert!(distance(&alone, &rows(&together)?)? < 1e-5);

    // Dropout is a function of seed and step: the same pass again drops the same units.
    let dropped = run(&Pass::training(7, 0), &x, &batch)?;
    let again = run(&Pass::training(7, 0), &x, &batch)?;
    let next = run(&Pass::training(7, 1), &x, &batch)?;
    let distances = [distance(&dropped, &again)?, distance(&dropped, &next)?];
    println!(
        "two passes of one step differ by {:.3}, of two steps by {:.3}",
        distances[0], distances[1]
    );
    assert!(distances[0] == 0.0 && distances[1] > 0.0);

    // A loss, here the distance from arbitrary targets, and how strongly it pulls at each parameter.
    freeze(&layer.params()[..10], true);
    let y = layer.forward(&Pass::training(7, 0), &Var::constant(x), &batch)?;
    let targets = Tensor::randn(y.shape(), &mut Rng::new(3, 0));
    let grads = loss::mse(&y, &targets)?.backward()?;
    println!("\nnorms of the gradients, attention frozen:");
    for param in layer.params() {
        match grads.param(&param) {
            Some(g) => {
                println!("  {:<49} {:.2e}", param.name(), ops::reduce::sum_squares(&g)?.sqrt())
            }
            None => println!("  {:<49} none", param.name()),
        }
    }
    Ok(())
}

/// The norm of a - b.
fn distance(a: &Tensor, b: &Tensor) -> Result<f64> {
    Ok(ops::reduce::sum_squares(&a.sub(b)?)?.sqrt())
}
