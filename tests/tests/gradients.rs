//! Every derivative rule against slopes measured in f64, over random shapes and values.
//!
//! A row of [`CASES`] is an op on inputs whose shapes follow a [`Draw`]; the drawing and its shrinking are
//! proptest's, the comparison is [`autograd::gradcheck`]'s. Every instruction set of this machine takes its turn.

use std::collections::BTreeSet;
use std::slice::from_ref;

use autograd::gradcheck::GradCheck;
use autograd::ops::{self, AddNorm, Attention, LayerNorm, Weighting};
use autograd::{Error, Param, Result, Tape, Tensor, Var, record};
use kernels::testing::each_isa;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tensor::philox::{Key, Rng};
use tensor::{Activation, CuSeqLens, Dropout, Pooling, RotaryTable, Unary};

/// Draws for each row.
const DRAWS: u32 = 16;

/// What proptest varies.
#[derive(Clone, Debug)]
struct Draw {
    /// Lengths of axes.
    m: usize,
    k: usize,
    n: usize,
    /// Lengths of the sequences of a ragged batch.
    lens: Vec<usize>,
    seed: u64,
}

fn draws() -> impl Strategy<Value = Draw> {
    let sizes = (1..7usize, 1..7usize, 1..20usize);
    (sizes, vec(1..8usize, 1..4), any::<u64>()).prop_map(|((m, k, n), lens, seed)| Draw {
        m,
        k,
        n,
        lens,
        seed,
    })
}

impl Draw {
    fn rng(&self, stream: usize) -> Rng {
        Rng::new(self.seed, stream as u64)
    }

    /// One standard normal tensor for each shape.
    fn normal<const N: usize>(&self, shapes: [&[usize]; N]) -> Vec<Tensor> {
        shapes.iter().enumerate().map(|(i, s)| Tensor::randn(s, &mut self.rng(i))).collect()
    }

    /// The same, all elements at least 0.3 from 0, where some functions have a kink or a pole.
    fn away_from_zero<const N: usize>(&self, shapes: [&[usize]; N]) -> Vec<Tensor> {
        let away = |x: f32| x + 0.3f32.copysign(x);
        self.normal(shapes).iter().map(|x| map(x, away)).collect()
    }

    /// What a loss compares with.
    fn targets(&self, shape: &[usize]) -> Tensor {
        Tensor::randn(shape, &mut self.rng(98))
    }

    /// `count` numbers below `limit`; some occur more than once, as `count` is often greater.
    fn indices(&self, count: usize, limit: usize) -> Tensor {
        let mut rng = self.rng(99);
        let ids = (0..count).map(|_| rng.below(limit as u64) as u32).collect();
        Tensor::from_vec::<u32>(ids, &[count]).unwrap()
    }

    fn batch(&self) -> CuSeqLens {
        CuSeqLens::from_lens(&self.lens).unwrap()
    }

    /// All tokens of the batch.
    fn t(&self) -> usize {
        self.lens.iter().sum()
    }

    fn dropout(&self) -> Dropout {
        Dropout { p: 0.3, key: Key { seed: self.seed, step: 3, site: 1 } }
    }
}

fn map(x: &Tensor, f: impl Fn(f32) -> f32) -> Tensor {
    let values = x.to_vec::<f32>().unwrap().into_iter().map(f).collect();
    Tensor::from_vec(values, x.shape()).unwrap()
}

/// One op: the file in `autograd/src/ops`, the variant, the inputs, the op on them.
struct Case(&'static str, &'static str, Inputs, Run);
type Inputs = fn(&Draw) -> Vec<Tensor>;
type Run = fn(&Draw, &[Var]) -> Result<Var>;

const CASES: &[Case] = &[
    Case("activation", "gelu", matrix, |_, v| v[0].gelu()),
    Case("activation", "gelu_tanh", matrix, |_, v| v[0].activation(Activation::GeluTanh)),
    Case("activation", "relu", no_zeros, |_, v| v[0].relu()),
    Case("activation", "sigmoid", matrix, |_, v| v[0].sigmoid()),
    Case("activation", "tanh", matrix, |_, v| v[0].tanh()),
    Case("add_norm", "", summands, |_, v| add_norm(None, v)),
    Case("add_norm", "dropout", summands, |d, v| add_norm(Some(d.dropout()), v)),
    Case("attention", "one head", qkv, |d, v| attention(d, 1, None, [&v[0], &v[1], &v[2]])),
    Case("attention", "k heads", qkv, |d, v| attention(d, d.k, None, [&v[0], &v[1], &v[2]])),
    Case("attention", "dropout", qkv, |d, v| {
        attention(d, d.k, Some(d.dropout()), [&v[0], &v[1], &v[2]])
    }),
    Case("attention", "window", qkv, |d, v| in_window(d, None, v)),
    Case("attention", "window, dropout", qkv, |d, v| in_window(d, Some(d.dropout()), v)),
    Case("attention", "first tokens ask", first_qkv, |d, v| {
        let queries = CuSeqLens::from_lens(&vec![1; d.lens.len()])?;
        let (keys, dropout) = (d.batch(), Some(d.dropout()));
        let settings = Attention { queries, keys, heads: d.k, dropout, window: None };
        ops::attention(settings, &v[0], &v[1], &v[2], None)
    }),
    Case("attention", "bias", biased_qkv, |d, v| with_bias(d, (None, None), v)),
    Case("attention", "bias, window, dropout", biased_qkv, |d, v| {
        with_bias(d, (Some(d.dropout()), Some(d.m)), v)
    }),
    Case("attention", "q = k = v", hidden, |d, v| attention(d, 1, None, [&v[0]; 3])),
    Case("bce_with_logits", "", matrix, |d, v| {
        let shares = map(&d.targets(v[0].shape()), |x| 1.0 / (1.0 + x.exp()));
        ops::bce_with_logits(&v[0], &like(&v[0], &shares))
    }),
    Case("cross_entropy", "", matrix, |d, v| ops::cross_entropy(&v[0], &d.indices(d.m, d.n))),
    Case("disentangled_attention", "", with_vectors, |d, v| disentangled(d, None, v)),
    Case("disentangled_attention", "dropout", with_vectors, |d, v| {
        disentangled(d, Some(d.dropout()), v)
    }),
    Case("dropout", "", matrix, |d, v| v[0].dropout(d.dropout())),
    Case("elementwise", "add, equal shapes", pair, |_, v| v[0].add(&v[1])),
    Case("elementwise", "add, row", with_row, |_, v| v[0].add(&v[1])),
    Case("elementwise", "add, column", with_column, |_, v| v[0].add(&v[1])),
    Case("elementwise", "add, scalar first", scalar_first, |_, v| v[0].add(&v[1])),
    Case("elementwise", "add, both stretch", outer, |_, v| v[0].add(&v[1])),
    Case("elementwise", "sub, equal shapes", pair, |_, v| v[0].sub(&v[1])),
    Case("elementwise", "sub, row", with_row, |_, v| v[0].sub(&v[1])),
    Case("elementwise", "sub, both stretch", outer, |_, v| v[0].sub(&v[1])),
    Case("elementwise", "mul, equal shapes", pair, |_, v| v[0].mul(&v[1])),
    Case("elementwise", "mul, row", with_row, |_, v| v[0].mul(&v[1])),
    Case("elementwise", "mul, column", with_column, |_, v| v[0].mul(&v[1])),
    Case("elementwise", "mul, both stretch", outer, |_, v| v[0].mul(&v[1])),
    Case("elementwise", "mul, by itself", matrix, |_, v| v[0].mul(&v[0])),
    Case("elementwise", "div, equal shapes", pair, |_, v| v[0].div(&v[1])),
    Case("elementwise", "div, row", with_row, |_, v| v[0].div(&v[1])),
    Case("elementwise", "div, scalar first", scalar_first, |_, v| v[0].div(&v[1])),
    Case("elementwise", "div, both stretch", outer, |_, v| v[0].div(&v[1])),
    Case("elementwise", "abs", no_zeros, |_, v| v[0].unary(Unary::Abs)),
    Case("elementwise", "exp", matrix, |_, v| v[0].unary(Unary::Exp)),
    Case("elementwise", "ln", positive, |_, v| v[0].unary(Unary::Ln)),
    Case("elementwise", "neg", matrix, |_, v| v[0].unary(Unary::Neg)),
    Case("elementwise", "recip", no_zeros, |_, v| v[0].unary(Unary::Recip)),
    Case("elementwise", "scale", matrix, |_, v| v[0].scale(-0.7)),
    Case("elementwise", "sqrt", positive, |_, v| v[0].unary(Unary::Sqrt)),
    Case("elementwise", "square", matrix, |_, v| v[0].unary(Unary::Square)),
    Case("embedding", "", matrix, |d, v| ops::embedding(&v[0], &d.indices(d.t(), d.m))),
    Case("embedding", "added", pair, |d, v| ops::embedding_add(&v[0], &v[1], &d.indices(d.m, d.m))),
    Case("embedding", "select", matrix, |d, v| v[0].tanh()?.select(&d.indices(d.t(), d.m))),
    Case("feed_forward", "", two_affine, |_, v| {
        ops::feed_forward(Activation::Gelu, &v[0], [&v[1], &v[2]], [&v[3], &v[4]])
    }),
    Case("feed_forward", "tanh", two_affine, |_, v| {
        ops::feed_forward(Activation::Tanh, &v[0], [&v[1], &v[2]], [&v[3], &v[4]])
    }),
    Case("feed_forward", "gated", gated_affine, |_, v| {
        let [b, c] = [&v[2], &v[4]].map(Some);
        ops::gated_feed_forward(Activation::Gelu, &v[0], (&v[1], b), (&v[3], c))
    }),
    Case("feed_forward", "gated, no biases", gated_affine, |_, v| {
        ops::gated_feed_forward(Activation::Tanh, &v[0], (&v[1], None), (&v[3], None))
    }),
    Case("gated", "gelu", halves, |_, v| v[0].gated(Activation::Gelu)),
    Case("gated", "gelu_tanh", halves, |_, v| v[0].gated(Activation::GeluTanh)),
    Case("gated", "sigmoid, 3 axes", halves_cube, |_, v| v[0].gated(Activation::Sigmoid)),
    Case("layer_norm", "matrix", normed, |_, v| layer_norm(1e-5, v)),
    Case("layer_norm", "3 axes", normed_cube, |_, v| layer_norm(1e-2, v)),
    Case("layer_norm", "no bias", normed_plain, |_, v| layer_norm(1e-5, v)),
    Case("linear", "matrix", affine, |_, v| ops::linear(&v[0], &v[1], Some(&v[2]))),
    Case("linear", "no bias", rows, |_, v| ops::linear(&v[0], &v[1], None)),
    Case("linear", "adapted", thin_beside, |_, v| {
        ops::adapted_linear(&v[0], (&v[1], Some(&v[2])), &v[3], [&v[4], &v[5]])
    }),
    Case("linear", "adapted, one input", thin_beside, |_, v| {
        ops::adapted_linear(&v[0], (&v[1], Some(&v[2])), &v[0], [&v[4], &v[5]])
    }),
    Case("linear", "3 axes", affine_cube, |_, v| ops::linear(&v[0], &v[1], Some(&v[2]))),
    Case("matmul", "matrices", factors, |_, v| v[0].matmul(&v[1])),
    Case("matmul", "batch", factor_batches, |_, v| v[0].matmul(&v[1])),
    Case("matmul", "batch, one matrix", factor_shared, |_, v| v[0].matmul(&v[1])),
    Case("matmul", "both batches stretch", factor_outer, |_, v| v[0].matmul(&v[1])),
    Case("matmul", "gram", matrix, |_, v| v[0].matmul(&v[0].transpose(0, 1)?)),
    Case("mse", "", matrix, |d, v| ops::mse(&v[0], &like(&v[0], &d.targets(v[0].shape())))),
    Case("pooling", "first", hidden, |d, v| v[0].pool(Pooling::First, &d.batch())),
    Case("pooling", "mean", hidden, |d, v| v[0].pool(Pooling::Mean, &d.batch())),
    Case("reduce", "sum", cube, |_, v| v[0].sum()),
    Case("reduce", "sum_axis 0", matrix, |_, v| v[0].sum_axis(0)),
    Case("reduce", "sum_axis 1", cube, |_, v| v[0].sum_axis(1)),
    Case("reduce", "sum_axis 2", cube, |_, v| v[0].sum_axis(2)),
    Case("reduce", "mean", cube, |_, v| v[0].mean()),
    Case("reduce", "mean_axis", cube, |_, v| v[0].mean_axis(1)),
    Case("residual", "", pair, |_, v| ops::residual(&v[0], &v[1], None)),
    Case("residual", "dropout", pair, |d, v| ops::residual(&v[0], &v[1], Some(d.dropout()))),
    Case("residual", "of itself", cube, |d, v| ops::residual(&v[0], &v[0], Some(d.dropout()))),
    Case("rotary_attention", "", packed_qkv, |d, v| rotary_attention(d, None, &v[0])),
    Case("rotary_attention", "dropout", packed_qkv, |d, v| {
        rotary_attention(d, Some(d.dropout()), &v[0])
    }),
    Case("softmax", "matrix", matrix, |_, v| v[0].softmax()),
    Case("softmax", "3 axes", cube, |_, v| v[0].softmax()),
    Case("view", "reshape", cube, |d, v| v[0].reshape(&[d.n, d.m * d.k])),
    Case("view", "reshape a transpose", cube, |d, v| {
        v[0].transpose(0, 2)?.reshape(&[d.k, d.m * d.n])
    }),
    Case("view", "transpose", cube, |_, v| v[0].transpose(0, 2)),
    Case("view", "broadcast_to", outer, |d, v| v[0].broadcast_to(&[2, d.m, d.k, d.n])),
    Case("view", "narrow", cube, |d, v| v[0].narrow(2, d.n / 3, d.n - d.n / 3)),
    Case("view", "narrow by halves", cube, |d, v| {
        let half = d.n / 2;
        v[0].narrow(2, half, d.n - half)?.mul(&v[0].narrow(2, 0, d.n - half)?)
    }),
    Case("weighted_cross_entropy", "weights", matrix, |d, v| weighted(d, 0.0, &v[0])),
    Case("weighted_cross_entropy", "weights, smoothing", matrix, |d, v| weighted(d, 0.3, &v[0])),
];

fn matrix(d: &Draw) -> Vec<Tensor> {
    d.normal([&[d.m, d.n]])
}
fn cube(d: &Draw) -> Vec<Tensor> {
    d.normal([&[d.m, d.k, d.n]])
}
fn no_zeros(d: &Draw) -> Vec<Tensor> {
    d.away_from_zero([&[d.m, d.n]])
}
fn positive(d: &Draw) -> Vec<Tensor> {
    no_zeros(d).iter().map(|x| map(x, f32::abs)).collect()
}
fn hidden(d: &Draw) -> Vec<Tensor> {
    d.normal([&[d.t(), d.n]])
}
fn qkv(d: &Draw) -> Vec<Tensor> {
    d.normal([&[d.t(), d.k * d.m]; 3])
}
/// k heads of size 2 m, which are turned by pairs.
fn packed_qkv(d: &Draw) -> Vec<Tensor> {
    d.normal([&[d.t(), 3 * d.k * 2 * d.m]])
}
/// With a bias of R < n, less or more than the sequences have.
fn biased_qkv(d: &Draw) -> Vec<Tensor> {
    let (hidden, bias) = ([d.t(), d.k * d.m], [2 * (d.n % 8) + 1, d.k]);
    d.normal([&hidden[..], &hidden, &hidden, &bias])
}
/// With vectors for the distances of the longest sequence, and for some more.
fn with_vectors(d: &Draw) -> Vec<Tensor> {
    let hidden = [d.t(), d.k * d.m];
    let longest = d.lens.iter().max().expect("sequences");
    let vectors = [2 * (longest - 1 + d.n % 3) + 1, d.k * d.m];
    d.normal([&hidden[..], &hidden, &hidden, &vectors, &vectors])
}
fn first_qkv(d: &Draw) -> Vec<Tensor> {
    let (first, all) = ([d.lens.len(), d.k * d.m], [d.t(), d.k * d.m]);
    d.normal([&first[..], &all, &all])
}
fn summands(d: &Draw) -> Vec<Tensor> {
    // Rows of one element are all alike once normalized.
    let n = d.n + 1;
    d.normal([&[d.m, n][..], &[d.m, n], &[n], &[n]])
}

// Second operands are divided by.
fn pair(d: &Draw) -> Vec<Tensor> {
    d.away_from_zero([&[d.m, d.n], &[d.m, d.n]])
}
fn with_row(d: &Draw) -> Vec<Tensor> {
    d.away_from_zero([&[d.m, d.n], &[d.n]])
}
fn with_column(d: &Draw) -> Vec<Tensor> {
    d.away_from_zero([&[d.m, d.n], &[d.m, 1]])
}
fn scalar_first(d: &Draw) -> Vec<Tensor> {
    d.away_from_zero([&[], &[d.m, d.n]])
}
fn outer(d: &Draw) -> Vec<Tensor> {
    d.away_from_zero([&[d.m, 1, d.n], &[d.k, 1]])
}

// At least three columns: with fewer, a row may have next to no variance, and its derivative no meaning.
fn normed(d: &Draw) -> Vec<Tensor> {
    let h = d.n + 2;
    d.normal([&[d.m, h], &[h], &[h]])
}
fn normed_cube(d: &Draw) -> Vec<Tensor> {
    let h = d.n + 2;
    d.normal([&[d.m, d.k, h], &[h], &[h]])
}
fn normed_plain(d: &Draw) -> Vec<Tensor> {
    normed(d).into_iter().take(2).collect()
}
/// x and w.
fn rows(d: &Draw) -> Vec<Tensor> {
    affine(d).into_iter().take(2).collect()
}
fn affine(d: &Draw) -> Vec<Tensor> {
    d.normal([&[d.m, d.n], &[d.k, d.n], &[d.k]])
}
/// x, w, b, z, and two thin matrices beside w.
fn thin_beside(d: &Draw) -> Vec<Tensor> {
    let (rows, rank) = (d.t(), d.lens.len());
    d.normal([&[rows, d.k], &[d.n, d.k], &[d.n], &[rows, d.k], &[rank, d.k], &[d.n, rank]])
}

fn two_affine(d: &Draw) -> Vec<Tensor> {
    d.normal([&[d.m, d.k], &[d.n, d.k], &[d.n], &[d.k, d.n], &[d.k]])
}
fn gated_affine(d: &Draw) -> Vec<Tensor> {
    d.normal([&[d.m, d.k], &[2 * d.n, d.k], &[2 * d.n], &[d.k, d.n], &[d.k]])
}
fn halves(d: &Draw) -> Vec<Tensor> {
    d.normal([&[d.m, 2 * d.n]])
}
fn halves_cube(d: &Draw) -> Vec<Tensor> {
    d.normal([&[d.m, d.k, 2 * d.n]])
}
fn affine_cube(d: &Draw) -> Vec<Tensor> {
    d.normal([&[2, d.m, d.n], &[d.k, d.n], &[d.k]])
}
fn factors(d: &Draw) -> Vec<Tensor> {
    d.normal([&[d.m, d.n], &[d.n, d.k]])
}
fn factor_batches(d: &Draw) -> Vec<Tensor> {
    d.normal([&[3, d.m, d.n], &[3, d.n, d.k]])
}
fn factor_shared(d: &Draw) -> Vec<Tensor> {
    d.normal([&[3, d.m, d.n], &[d.n, d.k]])
}
fn factor_outer(d: &Draw) -> Vec<Tensor> {
    d.normal([&[2, 1, d.m, d.n], &[3, d.n, d.k]])
}

fn attention(
    d: &Draw,
    heads: usize,
    dropout: Option<Dropout>,
    [q, k, v]: [&Var; 3],
) -> Result<Var> {
    ops::attention(Attention::of_all(&d.batch(), heads, dropout), q, k, v, None)
}

fn rotary_attention(d: &Draw, dropout: Option<Dropout>, qkv: &Var) -> Result<Var> {
    let settings = Attention::of_all(&d.batch(), d.k, dropout);
    ops::rotary_attention(settings, &RotaryTable::new(2 * d.m, 100.0)?, qkv)
}

/// In sequences of up to 7 tokens: a window of 0 to 3.
fn in_window(d: &Draw, dropout: Option<Dropout>, v: &[Var]) -> Result<Var> {
    let settings = Attention::of_all(&d.batch(), d.k, dropout).with_window(Some(d.n % 4));
    ops::attention(settings, &v[0], &v[1], &v[2], None)
}

fn with_bias(
    d: &Draw,
    (dropout, window): (Option<Dropout>, Option<usize>),
    v: &[Var],
) -> Result<Var> {
    let settings = Attention::of_all(&d.batch(), d.k, dropout).with_window(window);
    ops::attention(settings, &v[0], &v[1], &v[2], Some(&v[3]))
}

fn disentangled(d: &Draw, dropout: Option<Dropout>, v: &[Var]) -> Result<Var> {
    let settings = Attention::of_all(&d.batch(), d.k, dropout);
    ops::disentangled_attention(settings, [&v[0], &v[1], &v[2]], [&v[3], &v[4]])
}

fn add_norm(dropout: Option<Dropout>, v: &[Var]) -> Result<Var> {
    ops::add_norm(AddNorm { dropout, eps: 1e-2 }, [&v[0], &v[1]], [&v[2], &v[3]])
}

/// Of x, w, and b if there is one.
fn layer_norm(eps: f64, v: &[Var]) -> Result<Var> {
    ops::layer_norm(LayerNorm { eps, to: v[0].value().dtype() }, &v[0], &v[1], v.get(2))
}

/// By random labels and weights.
fn weighted(d: &Draw, label_smoothing: f64, x: &Var) -> Result<Var> {
    let weights = map(&d.targets(&[d.n]), |w| w.abs() + 0.1).to_f64_vec()?;
    let weighting = Weighting { weights, label_smoothing };
    ops::weighted_cross_entropy(x, &d.indices(d.m, d.n), &weighting)
}

/// A constant in the dtype of the run.
fn like(x: &Var, t: &Tensor) -> Tensor {
    t.to_dtype(x.value().dtype()).unwrap()
}

/// Checks one row over all draws; the smallest draw that fails, and how.
fn check(&Case(op, variant, inputs, run): &Case) -> Option<String> {
    let config = Config { cases: DRAWS, failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let outcome = TestRunner::new_with_rng(config, rng).run(&draws(), |d| {
        let report = GradCheck::default().run(&[], &inputs(&d), |_, v| run(&d, v));
        report.map(drop).map_err(|e| TestCaseError::fail(e.to_string()))
    });
    outcome.err().map(|e| format!("{op} ({variant}): {e}"))
}

#[test]
fn every_rule_is_the_slope() {
    each_isa(|isa| {
        let failures: Vec<String> = CASES.iter().filter_map(check).collect();
        assert!(failures.is_empty(), "{isa:?}:\n{}", failures.join("\n"));
    });
}

#[test]
fn every_op_has_a_row() {
    let files = tests::source::rust_files("autograd/src/ops");
    let stems = files.iter().filter_map(|f| f.path.rsplit('/').next()?.strip_suffix(".rs"));
    let ops: BTreeSet<&str> = stems.filter(|&stem| stem != "mod").collect();
    assert_eq!(CASES.iter().map(|case| case.0).collect::<BTreeSet<_>>(), ops);
}

#[test]
fn parameters_are_differentiated_as_inputs_are() {
    let d = Draw { m: 5, k: 4, n: 3, lens: vec![2, 3], seed: 7 };
    let [table, x]: [Tensor; 2] = d.normal([&[5, 4], &[5, 4]]).try_into().unwrap();
    let (table, ids) = (Param::new("table", table), d.indices(5, 5));
    let frozen = Param::new("frozen", Tensor::full(0.5, &[4]));
    frozen.freeze(true);
    // Tied: a table looked up and multiplied by, so its gradient is the sum of two.
    let report = GradCheck::default().run(from_ref(&table), &[x], |tape, v| {
        let w = tape.param(&table);
        let h = ops::embedding(&w, &ids)?.mul(&v[0])?;
        let half = Var::constant(frozen.value().to_dtype(h.value().dtype()).unwrap());
        h.mul(&half)?.tanh()?.matmul(&w.transpose(0, 1)?)
    });
    assert_eq!(report.unwrap().compared, 40);
}

/// x^2 with a derivative of `factor` x dy, or none at all.
fn square(x: &Var, factor: Option<f64>) -> Result<Var> {
    let (value, y) = (x.value().clone(), x.value().mul(x.value())?);
    record("square", [x], y, move |dy, _| {
        Ok([factor.map(|f| value.mul(dy)?.scale(f)).transpose()?])
    })
}

fn check_square(factor: Option<f64>) -> std::result::Result<(), String> {
    let x = Tensor::from_vec(vec![0.5f32, -1.5, 2.0], &[3]).unwrap();
    let report = GradCheck::default().run(&[], &[x], |_, v| square(&v[0], factor)?.mul(&v[0]));
    report.map(drop).map_err(|e| match e {
        Error::Mismatch(message) => message,
        other => other.to_string(),
    })
}

#[test]
fn a_wrong_derivative_is_caught() {
    assert_eq!(check_square(Some(2.0)), Ok(()));
    for factor in [1.0, -2.0, 2.01] {
        assert!(check_square(Some(factor)).is_err(), "{factor}");
    }
    // Too little for f32, whose gradients may be a thousandth off; the run in f64 sees it.
    let message = check_square(Some(2.0001)).unwrap_err();
    assert!(message.contains("f64 gradient"), "{message}");
}

#[test]
fn a_missing_gradient_is_caught() {
    let message = check_square(None).unwrap_err();
    assert!(message.contains("input 0"), "{message}");
}

#[test]
fn a_gradient_that_is_not_a_number_is_caught() {
    assert!(check_square(Some(f64::NAN)).is_err());
}

#[test]
fn a_gradient_of_another_shape_is_refused() {
    let tape = Tape::new();
    let x = tape.input(Tensor::full(1.0, &[2, 3]));
    let y = record("flat", [&x], Tensor::scalar(6.0), |_, _| Ok([Some(Tensor::zeros(&[6]))]));
    let error = y.unwrap().backward().unwrap_err().to_string();
    assert_eq!(error, "flat: gradient 0 has shape [6], its input has [2, 3]");
}
