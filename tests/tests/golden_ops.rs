//! Every op against PyTorch: the value and each gradient, on every instruction set of this machine.

use std::collections::BTreeSet;

use autograd::ops::{self, AddNorm, Attention, LayerNorm, Weighting};
use autograd::{Result, Tape, Var};
use kernels::testing::each_isa;
use tensor::{Activation, Pooling, RotaryTable, Unary};
use tests::golden::{Golden, assert_near};

/// Largest accepted |got - want| / |want|, of a whole tensor: some ten roundings of f32; measured are at most 2e-7.
const TOLERANCE: f64 = 1e-6;

/// Runs an op on its inputs; ids, labels and offsets come from the file, under the name of the case.
type Run = fn(&Golden, &str, &[Var]) -> Result<Var>;

/// Name (its first part is the file in `autograd/src/ops`), differentiated inputs, the op.
type Case = (&'static str, &'static [&'static str], Run);

const CASES: &[Case] = &[
    ("activation.gelu", &["x"], |_, _, v| v[0].gelu()),
    ("activation.gelu_tanh", &["x"], |_, _, v| v[0].activation(Activation::GeluTanh)),
    ("activation.relu", &["x"], |_, _, v| v[0].relu()),
    ("activation.sigmoid", &["x"], |_, _, v| v[0].sigmoid()),
    ("activation.tanh", &["x"], |_, _, v| v[0].tanh()),
    ("add_norm", &["x", "r", "w", "b"], |_, _, v| {
        let settings = AddNorm { dropout: None, eps: 1e-12 };
        ops::add_norm(settings, [&v[0], &v[1]], [&v[2], &v[3]])
    }),
    ("attention", &["q", "k", "v"], |g, name, v| {
        let batch = g.batch(&format!("{name}.cu_seqlens"));
        ops::attention(Attention::of_all(&batch, 2, None), &v[0], &v[1], &v[2], None)
    }),
    ("attention.bias", &["q", "k", "v", "table"], |g, name, v| {
        let batch = g.batch(&format!("{name}.cu_seqlens"));
        ops::attention(Attention::of_all(&batch, 2, None), &v[0], &v[1], &v[2], Some(&v[3]))
    }),
    ("attention.window", &["q", "k", "v"], |g, name, v| {
        let batch = g.batch(&format!("{name}.cu_seqlens"));
        let settings = Attention::of_all(&batch, 2, None).with_window(Some(2));
        ops::attention(settings, &v[0], &v[1], &v[2], None)
    }),
    ("bce_with_logits", &["x"], |g, name, v| {
        ops::bce_with_logits(&v[0], g.tensor(&format!("{name}.targets")))
    }),
    ("cross_entropy", &["x"], |g, name, v| {
        ops::cross_entropy(&v[0], g.tensor(&format!("{name}.labels")))
    }),
    ("disentangled_attention", &["q", "k", "v", "a", "b"], |g, name, v| {
        let batch = g.batch(&format!("{name}.cu_seqlens"));
        let settings = Attention::of_all(&batch, 2, None);
        ops::disentangled_attention(settings, [&v[0], &v[1], &v[2]], [&v[3], &v[4]])
    }),
    ("elementwise.abs", &["x"], |_, _, v| v[0].unary(Unary::Abs)),
    ("elementwise.add.column", &["a", "b"], |_, _, v| v[0].add(&v[1])),
    ("elementwise.add.outer", &["a", "b"], |_, _, v| v[0].add(&v[1])),
    ("elementwise.add.row", &["a", "b"], |_, _, v| v[0].add(&v[1])),
    ("elementwise.div.column", &["a", "b"], |_, _, v| v[0].div(&v[1])),
    ("elementwise.div.outer", &["a", "b"], |_, _, v| v[0].div(&v[1])),
    ("elementwise.div.row", &["a", "b"], |_, _, v| v[0].div(&v[1])),
    ("elementwise.exp", &["x"], |_, _, v| v[0].unary(Unary::Exp)),
    ("elementwise.ln", &["x"], |_, _, v| v[0].unary(Unary::Ln)),
    ("elementwise.mul.column", &["a", "b"], |_, _, v| v[0].mul(&v[1])),
    ("elementwise.mul.outer", &["a", "b"], |_, _, v| v[0].mul(&v[1])),
    ("elementwise.mul.row", &["a", "b"], |_, _, v| v[0].mul(&v[1])),
    ("elementwise.neg", &["x"], |_, _, v| v[0].unary(Unary::Neg)),
    ("elementwise.recip", &["x"], |_, _, v| v[0].unary(Unary::Recip)),
    ("elementwise.scale", &["x"], |_, _, v| v[0].scale(-0.3)),
    ("elementwise.sqrt", &["x"], |_, _, v| v[0].unary(Unary::Sqrt)),
    ("elementwise.square", &["x"], |_, _, v| v[0].unary(Unary::Square)),
    ("elementwise.sub.column", &["a", "b"], |_, _, v| v[0].sub(&v[1])),
    ("elementwise.sub.outer", &["a", "b"], |_, _, v| v[0].sub(&v[1])),
    ("elementwise.sub.row", &["a", "b"], |_, _, v| v[0].sub(&v[1])),
    ("embedding", &["table"], |g, name, v| ops::embedding(&v[0], g.tensor(&format!("{name}.ids")))),
    ("feed_forward.gated", &["x", "w", "b", "v", "c"], |_, _, v| {
        let [b, c] = [&v[2], &v[4]].map(Some);
        ops::gated_feed_forward(Activation::Gelu, &v[0], (&v[1], b), (&v[3], c))
    }),
    ("gated", &["z"], |_, _, v| v[0].gated(Activation::Gelu)),
    ("layer_norm", &["x", "w", "b"], |_, _, v| {
        let settings = LayerNorm { eps: 1e-12, to: v[0].value().dtype() };
        ops::layer_norm(settings, &v[0], &v[1], Some(&v[2]))
    }),
    ("linear", &["x", "w", "b"], |_, _, v| ops::linear(&v[0], &v[1], Some(&v[2]))),
    ("matmul", &["a", "b"], |_, _, v| v[0].matmul(&v[1])),
    ("mse", &["x"], |g, name, v| ops::mse(&v[0], g.tensor(&format!("{name}.targets")))),
    ("pooling.first", &["x"], |g, name, v| {
        v[0].pool(Pooling::First, &g.batch(&format!("{name}.cu_seqlens")))
    }),
    ("pooling.mean", &["x"], |g, name, v| {
        v[0].pool(Pooling::Mean, &g.batch(&format!("{name}.cu_seqlens")))
    }),
    ("reduce.mean", &["x"], |_, _, v| v[0].mean()),
    ("reduce.mean_axis", &["x"], |_, _, v| v[0].mean_axis(0)),
    ("reduce.sum", &["x"], |_, _, v| v[0].sum()),
    ("reduce.sum_axis", &["x"], |_, _, v| v[0].sum_axis(1)),
    ("residual", &["x", "u"], |_, _, v| ops::residual(&v[0], &v[1], None)),
    ("rotary_attention", &["qkv"], |g, name, v| {
        let batch = g.batch(&format!("{name}.cu_seqlens"));
        let settings = Attention::of_all(&batch, 2, None);
        ops::rotary_attention(settings, &RotaryTable::new(8, 10.0)?, &v[0])
    }),
    ("softmax", &["x"], |_, _, v| v[0].softmax()),
    ("view.broadcast_to", &["x"], |_, _, v| v[0].narrow(0, 0, 1)?.broadcast_to(&[6, 3, 4, 5])),
    ("view.narrow", &["x"], |_, _, v| v[0].narrow(1, 1, 2)),
    ("view.reshape", &["x"], |_, _, v| v[0].reshape(&[5, 12])),
    ("view.transpose", &["x"], |_, _, v| v[0].transpose(0, 2)),
    ("weighted_cross_entropy.both", &["x"], |g, name, v| weighted(g, name, v, 0.1)),
    ("weighted_cross_entropy.smoothing", &["x"], |g, name, v| weighted(g, name, v, 0.25)),
    ("weighted_cross_entropy.weights", &["x"], |g, name, v| weighted(g, name, v, 0.0)),
];

/// By the labels and weights of the golden file.
fn weighted(golden: &Golden, name: &str, v: &[Var], label_smoothing: f64) -> Result<Var> {
    let weights = golden.tensor(&format!("{name}.weights")).to_f64_vec()?;
    let labels = golden.tensor(&format!("{name}.labels"));
    ops::weighted_cross_entropy(&v[0], labels, &Weighting { weights, label_smoothing })
}

#[test]
fn values_and_gradients_are_pytorchs() {
    let golden = Golden::read("ops.safetensors");
    each_isa(|isa| CASES.iter().for_each(|case| check(&golden, case, &format!("{isa:?}"))));
}

fn check(golden: &Golden, (name, inputs, run): &Case, isa: &str) {
    let tape = Tape::new();
    let of = |what: &str| golden.tensor(&format!("{name}.{what}")).clone();
    let vars: Vec<Var> = inputs.iter().map(|x| tape.input(of(x))).collect();
    let y = run(golden, name, &vars).unwrap();
    assert_near(&format!("{isa}: {name} y"), y.value(), &of("y"), TOLERANCE);
    let loss = y.mul(&Var::constant(of("dy"))).unwrap().sum().unwrap();
    let grads = loss.backward().unwrap();
    for (x, var) in inputs.iter().zip(&vars) {
        let dx = grads.input(var).unwrap_or_else(|| panic!("{name}: no gradient of {x}"));
        assert_near(&format!("{isa}: {name} d{x}"), dx, &of(&format!("d{x}")), TOLERANCE);
    }
}

#[test]
fn no_case_is_left_out() {
    let golden = Golden::read("ops.safetensors");
    let tested: BTreeSet<&str> = CASES.iter().map(|case| case.0).collect();
    assert_eq!(tested, golden.cases());
}
