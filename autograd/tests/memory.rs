//! What steps leave in the pool, which the process has only one of: alone in its binary, for other tests use it too.

use autograd::{Param, Tape, Tensor, ops};
use tensor::ops::attention::Attention;
use tensor::{CuSeqLens, DType, philox, pool};

/// Attention as a DeBERTa has it transposes, copies and joins; none of it makes the pool grow from step to step.
#[test]
fn a_step_of_disentangled_attention_takes_what_the_step_before_has_left() {
    let batch = CuSeqLens::from_lens(&[40, 24]).unwrap();
    let mut rng = philox::Rng::new(7, 0);
    for dtype in [DType::F32, DType::BF16] {
        let mut param =
            |name: &str, shape: &[usize]| Param::new(name, Tensor::randn(shape, &mut rng));
        let [a, b] = ["a", "b"].map(|name| param(name, &[2 * 40 + 1, 64]));
        let qkv = ["q", "k", "v"].map(|name| param(name, &[64, 64]));
        let step = || {
            let tape = Tape::new();
            let qkv = qkv.each_ref().map(|x| tape.param(x).to_dtype(dtype).unwrap());
            let vectors = [tape.param(&a), tape.param(&b)];
            let settings = Attention::of_all(&batch, 4, None);
            let y = ops::disentangled_attention(settings, qkv.each_ref(), vectors.each_ref());
            let y = y.unwrap().to_dtype(DType::F32).unwrap();
            drop(y.mul(&y).unwrap().sum().unwrap().backward().unwrap());
        };
        step();
        let at_rest = pool::bytes_at_rest();
        for _ in 0..5 {
            step();
            assert_eq!(pool::bytes_at_rest(), at_rest, "{dtype}");
        }
    }
}
