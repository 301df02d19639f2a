//! What a user reads when something does not fit: every message names the op and both sides.

use tensor::ops::{
    self,
    add_norm::AddNorm,
    attention::{Attention, Relative},
};
use tensor::{Activation, CuSeqLens, DType, Dropout, Pooling, Result, RotaryTable, Tensor, philox};

fn zeros(shape: &[usize]) -> Tensor {
    Tensor::zeros(shape)
}

fn ids(values: &[u32]) -> Tensor {
    Tensor::from_vec(values.to_vec(), &[values.len()]).unwrap()
}

#[track_caller]
fn says<T>(result: Result<T>, message: &str) {
    match result {
        Ok(_) => panic!("expected the error: {message}"),
        Err(error) => assert_eq!(error.to_string(), message),
    }
}

#[test]
fn construction_and_access() {
    says(
        Tensor::from_vec(vec![1.0f32; 5], &[2, 3]),
        "from_vec: expected shape of 5 elements, got [2, 3]",
    );
    let beyond = [1usize << 40, 1 << 40];
    says(
        Tensor::from_vec(Vec::<f32>::new(), &beyond),
        "from_vec: expected shape of 0 elements, got [1099511627776, 1099511627776]",
    );
    says(zeros(&[2]).as_slice::<f64>(), "as_slice: expected f64, got f32");
    says(zeros(&[2]).view::<u32>(), "view: expected u32, got f32");
    says(
        zeros(&[2, 3]).t().unwrap().as_slice::<f32>(),
        "as_slice: expected shape in row-major order, strides [1, 3], got [3, 2]",
    );
    says(zeros(&[2]).item(), "item: expected shape of one element, got [2]");
    says(ids(&[1]).make_mut(), "make_mut: expected f32, got u32");
}

#[test]
fn views() {
    let x = zeros(&[2, 3]);
    says(x.reshape(&[4, 2]), "reshape: expected shape of 6 elements (from [2, 3]), got [4, 2]");
    says(x.transpose(0, 2), "transpose: axis 2 of a tensor of shape [2, 3]");
    says(zeros(&[3]).t(), "t: axis 1 of a tensor of shape [3]");
    says(x.narrow(2, 0, 1), "narrow: axis 2 of a tensor of shape [2, 3]");
    says(
        x.narrow(1, 2, 2),
        "narrow: expected shape with at least 2 + 2 elements along axis 1, got [2, 3]",
    );
    assert!(x.narrow(1, 1, usize::MAX).is_err());
    says(x.broadcast_to(&[2, 4]), "broadcast_to: shapes [2, 3] and [2, 4] do not fit together");
    says(x.broadcast_to(&[3]), "broadcast_to: shapes [2, 3] and [3] do not fit together");
    says(x.squeeze(0), "squeeze: expected shape with length 1 along axis 0, got [2, 3]");
    says(x.unsqueeze(3), "unsqueeze: axis 3 of a tensor of shape [2, 3]");
}

#[test]
fn arithmetic() {
    let (x, y) = (zeros(&[2, 3]), zeros(&[2, 2]));
    says(x.add(&y), "add: shapes [2, 3] and [2, 2] do not fit together");
    says(x.div(&zeros(&[4])), "div: shapes [2, 3] and [4] do not fit together");
    says(x.mul(&x.to_dtype(DType::F64).unwrap()), "mul: expected f32, got f64");
    says(ids(&[1]).sub(&ids(&[1])), "sub: expected f32 or f64, got u32");
    says(x.matmul(&y), "matmul: shapes [2, 3] and [2, 2] do not fit together");
    says(
        zeros(&[2, 4, 5]).matmul(&zeros(&[3, 5, 6])),
        "matmul: shapes [2, 4, 5] and [3, 5, 6] do not fit together",
    );
    says(zeros(&[3]).matmul(&x), "matmul: shapes [3] and [2, 3] do not fit together");
    says(x.matmul(&x.t().unwrap().to_dtype(DType::F64).unwrap()), "matmul: expected f32, got f64");
    says(zeros(&[0]).mean(), "mean: expected shape with at least one element, got [0]");
    says(ops::reduce::sum_axis(&x, 2), "sum_axis: axis 2 of a tensor of shape [2, 3]");
    says(
        ops::reduce::mean_axis(&zeros(&[2, 0]), 1),
        "mean_axis: expected shape with at least one element along axis 1, got [2, 0]",
    );
    says(ops::reduce::sum_to(&x, &[4]), "sum_to: shapes [2, 3] and [4] do not fit together");
}

#[test]
fn concat() {
    let x = zeros(&[2, 3]);
    says(ops::concat::forward(&[], 0), "concat: expected shape at least one tensor, got []");
    says(ops::concat::forward(&[&x], 2), "concat: axis 2 of a tensor of shape [2, 3]");
    // The one that does not fit, wherever it stands.
    says(
        ops::concat::forward(&[&x, &zeros(&[2, 4]), &x], 0),
        "concat: shapes [2, 3] and [2, 4] do not fit together",
    );
    says(
        ops::concat::forward(&[&x, &zeros(&[3])], 0),
        "concat: shapes [2, 3] and [3] do not fit together",
    );
    says(
        ops::concat::forward(&[&x, &x.to_dtype(DType::F64).unwrap()], 0),
        "concat: expected f32, got f64",
    );
}

#[test]
fn layers() {
    let (x, w, b) = (zeros(&[4, 384]), zeros(&[10, 768]), zeros(&[10]));
    says(ops::linear::forward(&x, &w, Some(&b)), "linear: expected shape [.., 768], got [4, 384]");
    says(
        ops::linear::forward(&zeros(&[4, 768]), &w, Some(&zeros(&[9]))),
        "linear: expected shape [10], got [9]",
    );
    says(
        ops::linear::forward(&x, &zeros(&[5]), None),
        "linear: expected shape [rows, columns], got [5]",
    );
    let norm = |to| ops::layer_norm::LayerNorm { eps: 1e-12, to };
    says(
        ops::layer_norm::forward(norm(DType::F32), &x, &zeros(&[768]), Some(&zeros(&[768]))),
        "layer_norm: expected shape [384], got [768]",
    );
    says(
        ops::layer_norm::forward(norm(DType::F64), &x, &zeros(&[384]), None),
        "layer_norm: expected a result in f32 or bf16, got f64",
    );
    let saved = zeros(&[4]);
    says(
        ops::layer_norm::backward(&x, &zeros(&[768]), (&saved, &saved), &x, 1e-12, (true, true)),
        "layer_norm: expected shape [384], got [768]",
    );
    says(
        ops::residual::forward(&x, &zeros(&[4, 768]), None),
        "residual: shapes [4, 384] and [4, 768] do not fit together",
    );
    let in_f64 = x.to_dtype(DType::F64).unwrap();
    says(ops::residual::forward(&x, &in_f64, None), "residual: expected f32 or bf16, got f64");
    let gated = ops::gated::forward(Activation::Gelu, &zeros(&[4, 7]));
    says(gated, "gated: expected shape [.., 2 F > 0], got [4, 7]");
    says(
        ops::gated::backward(Activation::Gelu, &x, &x),
        "gated: expected shape [4, 192], got [4, 384]",
    );
    says(ops::softmax::forward(&zeros(&[])), "softmax: expected shape [.., n > 0], got []");
    says(
        ops::activation::forward(Activation::Gelu, &ids(&[1])),
        "activation: expected f32 or f64, got u32",
    );
    says(
        ops::embedding::forward(&zeros(&[30, 8]), &ids(&[1, 29, 30])),
        "embedding: index 30 at position 2, but there are only 30 rows",
    );
    says(
        ops::embedding::forward(&zeros(&[30, 8]), &zeros(&[2])),
        "embedding: expected u32, got f32",
    );
}

#[test]
fn losses() {
    let x = zeros(&[2, 3]);
    says(
        ops::cross_entropy::forward(&x, &ids(&[0, 3])),
        "cross_entropy: index 3 at position 1, but there are only 3 rows",
    );
    says(ops::cross_entropy::forward(&x, &ids(&[0])), "cross_entropy: expected shape [2], got [1]");
    says(
        ops::cross_entropy::backward(&x, &ids(&[0]), &zeros(&[2]), &Tensor::scalar(1.0)),
        "cross_entropy: expected shape [2], got [1]",
    );
    says(
        ops::cross_entropy::forward(&zeros(&[0, 3]), &ids(&[])),
        "cross_entropy: expected shape with at least one element, got [0, 3]",
    );
    let weighting = |weights: &[f64], label_smoothing| ops::weighted_cross_entropy::Weighting {
        weights: weights.to_vec(),
        label_smoothing,
    };
    let weighted = |labels: &[u32], weights: &[f64], smoothing| {
        let (labels, weighting) = (ids(labels), weighting(weights, smoothing));
        ops::weighted_cross_entropy::forward(&x, &labels, &weighting)
    };
    says(
        weighted(&[0, 3], &[1.0; 3], 0.0),
        "weighted_cross_entropy: index 3 at position 1, but there are only 3 rows",
    );
    says(weighted(&[0], &[1.0; 3], 0.0), "weighted_cross_entropy: expected shape [2], got [1]");
    says(
        weighted(&[0, 1], &[1.0; 2], 0.0),
        "weighted_cross_entropy: expected shape [3] of the weights, got [2]",
    );
    for got in [-1.0, f64::NAN, f64::INFINITY] {
        says(
            weighted(&[0, 1], &[1.0, got, 1.0], 0.0),
            &format!("weighted_cross_entropy: expected a weight of at least 0, got {got}"),
        );
    }
    for got in [-0.1, 1.0, f64::NAN] {
        says(
            weighted(&[0, 1], &[1.0; 3], got),
            &format!("weighted_cross_entropy: expected a label smoothing in [0, 1), got {got}"),
        );
    }
    says(
        ops::weighted_cross_entropy::backward(
            &x,
            &ids(&[0, 1]),
            &weighting(&[1.0; 4], 0.1),
            &zeros(&[2]),
            &Tensor::scalar(1.0),
        ),
        "weighted_cross_entropy: expected shape [3] of the weights, got [4]",
    );
    says(ops::mse::forward(&x, &zeros(&[2])), "mse: shapes [2, 3] and [2] do not fit together");
    says(
        ops::bce_with_logits::forward(&x, &x.to_dtype(DType::F64).unwrap()),
        "bce_with_logits: expected f32, got f64",
    );
}

#[test]
fn ragged() {
    let batch = CuSeqLens::from_lens(&[2, 1]).unwrap();
    let (x, short) = (zeros(&[3, 8]), zeros(&[2, 8]));
    says(
        ops::pooling::forward(Pooling::Mean, &short, &batch),
        "pooling: expected shape [3, 8], got [2, 8]",
    );
    let attention = |heads| Attention::of_all(&batch, heads, None);
    says(
        ops::attention::forward(&attention(2), [&short; 3], Relative::None, true),
        "attention: expected shape [3, 8], got [2, 8]",
    );
    says(
        ops::attention::forward(&attention(3), [&x; 3], Relative::None, true),
        "attention: expected shape [.., multiple of 3 heads], got [3, 8]",
    );
    says(
        ops::attention::forward(&attention(2), [&x, &x, &zeros(&[3, 4])], Relative::None, true),
        "attention: expected shape [3, 8], got [3, 4]",
    );
    let (o, saved) = ops::attention::forward(&attention(2), [&x; 3], Relative::None, true).unwrap();
    says(
        ops::attention::backward(&attention(2), [&x, &x, &short], Relative::None, (&o, &saved), &x),
        "attention: expected shape [3, 8], got [2, 8]",
    );
    let rotary = RotaryTable::new(4, 1e4).unwrap();
    says(ops::rotary::split(&rotary, 2, &batch, &x), "rotary: expected shape [3, 24], got [3, 8]");
    says(
        ops::rotary::join(&rotary, 2, &batch, [&x, &x, &short]),
        "rotary: expected shape [3, 8], got [2, 8]",
    );
    says(
        ops::rotary::split(&rotary, 0, &batch, &zeros(&[3, 0])),
        "rotary: expected shape [.., heads > 0], got [3, 0]",
    );
    says(RotaryTable::new(7, 1e4), "rotary: expected shape [even D > 0], got [7]");
    let first = Attention { queries: CuSeqLens::from_lens(&[1, 1]).unwrap(), ..attention(2) };
    says(
        ops::attention::forward(
            &first.clone().with_window(Some(4)),
            [&short, &x, &x],
            Relative::None,
            true,
        ),
        "cu_seqlens: attention in a window: 2 queries are not the 3 keys",
    );
    let biased = |a, bias: &Tensor| ops::attention::forward(a, [&x; 3], Relative::Bias(bias), true);
    let two = &attention(2);
    says(
        biased(two, &zeros(&[4, 2])),
        "attention: expected shape [2R + 1, 2] of a bias, got [4, 2]",
    );
    says(
        biased(two, &zeros(&[5, 3])),
        "attention: expected shape [2R + 1, 2] of a bias, got [5, 3]",
    );
    let wide = zeros(&[5, 2]).to_dtype(DType::F64).unwrap();
    says(biased(two, &wide), "attention: expected f32, got f64");
    let bias = zeros(&[5, 2]);
    let bias = Relative::Bias(&bias);
    says(
        ops::attention::backward(two, [&x; 3], bias, (&o, &saved), &short),
        "attention: expected shape [3, 8], got [2, 8]",
    );
    says(
        ops::attention::forward(&first, [&short, &x, &x], bias, true),
        "cu_seqlens: attention by distance: 2 queries are not the 3 keys",
    );
    let products = |rows: [usize; 2]| {
        let [c, g] = rows.map(|rows| zeros(&[2, 3, rows]));
        ops::attention::forward(two, [&x; 3], Relative::Products([&c, &g]), true)
    };
    let expected = "attention: expected shape [2, 3, 2R + 1] of products, R at least 1";
    says(products([1, 1]), &format!("{expected}, got [2, 3, 1]"));
    says(products([3, 4]), &format!("{expected}, got [2, 3, 4]"));
    says(products([3, 5]), "attention: expected shape [2, 3, 3], got [2, 3, 5]");
    says(CuSeqLens::from_lens(&[]), "cu_seqlens: expected at least two offsets from 0, got [0]");
    says(CuSeqLens::from_lens(&[2, 0, 1]), "cu_seqlens: sequence 1 is empty: from 2 to 2");
    says(
        CuSeqLens::from_offsets(vec![1, 2]),
        "cu_seqlens: expected at least two offsets from 0, got [1, 2]",
    );
}

#[test]
fn seqlens_count_what_they_divide() {
    let batch = CuSeqLens::from_lens(&[3, 1, 2]).unwrap();
    assert_eq!((batch.batch(), batch.total()), (3, 6));
    assert_eq!(batch.lens().collect::<Vec<_>>(), [3, 1, 2]);
    assert_eq!((0..3).map(|i| batch.range(i)).collect::<Vec<_>>(), [0..3, 3..4, 4..6]);
    assert_eq!(CuSeqLens::from_offsets(vec![0, 3, 4, 6]).unwrap(), batch);
}

/// Nothing to compute with, or nothing that can be scaled up: an error, not a panic, in f32 and f64.
#[test]
fn operands_without_elements() {
    let batch = CuSeqLens::from_lens(&[2, 1]).unwrap();
    let key = philox::Key { seed: 1, step: 2, site: 3 };
    for dtype in [DType::F32, DType::F64] {
        let zeros = |shape: &[usize]| zeros(shape).to_dtype(dtype).unwrap();
        let (x, none, one) = (zeros(&[3, 8]), zeros(&[3, 0]), zeros(&[]));
        let ids = ids(&[0, 2, 1]);
        for result in [
            ops::embedding::forward(&none, &ids),
            ops::embedding::add(&none, &none, &ids),
            ops::embedding::backward(&none, &ids, 5).and_then(|rows| rows.to_dense()),
        ] {
            says(result, "embedding: expected shape [.., n > 0], got [3, 0]");
        }
        for how in [Pooling::First, Pooling::Mean] {
            let expected = "pooling: expected shape [.., n > 0], got";
            says(ops::pooling::forward(how, &none, &batch), &format!("{expected} [3, 0]"));
            says(
                ops::pooling::backward(how, &zeros(&[2, 0]), &batch),
                &format!("{expected} [2, 0]"),
            );
        }
        let attention = Attention::of_all(&batch, 2, None);
        says(
            ops::attention::forward(&attention, [&none; 3], Relative::None, true),
            "attention: expected shape [.., multiple of 2 heads], got [3, 0]",
        );
        let expected = "expected shape with at least one element, got [3, 0]";
        says(ops::mse::backward(&none, &none, &one), &format!("mse: {expected}"));
        says(
            ops::bce_with_logits::backward(&none, &none, &one),
            &format!("bce_with_logits: {expected}"),
        );
        for p in [1.0, -0.5, f32::NAN] {
            let d = Dropout { p, key };
            let expected = format!("expected a probability of dropout in [0, 1), got {p}");
            says(ops::dropout::forward(d, &x), &format!("dropout: {expected}"));
            says(ops::residual::forward(&x, &x, Some(d)), &format!("residual: {expected}"));
            says(ops::residual::backward(&x, dtype, Some(d)), &format!("residual: {expected}"));
            let (w, norm) = (zeros(&[8]), AddNorm { dropout: Some(d), eps: 1e-12 });
            says(ops::add_norm::forward(norm, [&x; 2], [&w; 2]), &format!("add_norm: {expected}"));
            let attention = Attention { dropout: Some(d), ..attention.clone() };
            says(
                ops::attention::forward(&attention, [&x; 3], Relative::None, true),
                &format!("attention: {expected}"),
            );
        }
    }
}

/// A sum over nothing is zero, wherever the operands without elements would begin.
#[test]
fn products_without_an_inner_axis_are_zero() {
    for dtype in [DType::F32, DType::F64] {
        let x = Tensor::full(1.0, &[2, 3]).to_dtype(dtype).unwrap();
        let none = x.transpose(0, 1).unwrap().narrow(1, 2, 0).unwrap().narrow(0, 1, 2).unwrap();
        let y = none.matmul(&none.t().unwrap()).unwrap();
        assert_eq!((y.shape(), y.to_f64_vec().unwrap()), (&[2, 2][..], vec![0.0; 4]));
        let y = none.t().unwrap().matmul(&none).unwrap();
        assert_eq!(y.shape(), [0, 0]);
    }
}
