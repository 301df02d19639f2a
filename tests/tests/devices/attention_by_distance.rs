//! `attention` on a GPU, of scores that depend on the distance of key and query: a bias, products.

use autograd::{Tape, Var, ops};
use tensor::ops::attention::{self, Attention, Relative};
use tensor::{CuSeqLens, DType, Device, Tensor};
use tests::compare::assert_near;
use tests::gpu::{assert_close, device, normal, tolerance, wide};

use super::attention::{DROPOUT, Inputs, inputs, ragged, run_by_distance, values};

/// A part of a tile and several, shorter and longer than most reaches.
const LENS: [usize; 6] = [1, 2, 17, 64, 130, 200];

/// Reaches of a bias: of no distance, one, less than a warp's rows, more than a tile, the furthest.
const REACHES: [usize; 5] = [0, 1, 7, 90, 128];

/// The same with a bias, and dbias.
fn run_biased(a: &Attention, x: &Inputs, bias: &Tensor) -> ([Tensor; 4], Tensor) {
    let (y, _, dbias) = run_by_distance(a, x, Relative::Bias(bias));
    let Relative::Bias(dbias) = dbias else { panic!("the gradient of a bias is not one") };
    (y, dbias)
}

fn check_biased(gpu: &Device, what: &str, a: &Attention, reach: usize, x: &Inputs) {
    let bias = normal(&[2 * reach + 1, a.heads], 5, DType::F32);
    let there = x.each_ref().map(|x| x.to_device(gpu).unwrap());
    let (got, dbias) = run_biased(a, &there, &bias.to_device(gpu).unwrap());
    let (want, want_dbias) = run_biased(a, &x.each_ref().map(wide), &wide(&bias));
    for (name, (got, want)) in ["o", "dq", "dk", "dv"].iter().zip(got.iter().zip(&want)) {
        assert_close(&format!("{name}, {what}"), got, &values(want));
    }
    let (got, want) = (values(&dbias), values(&want_dbias));
    // The gradients of a query add up to 0, as far as rounding lets them, and so nearly does what belongs to the first
    // and the last row, at R = 0 to the only one: of them is left what the rounding of many queries is.
    let rounding = tolerance(x[0].dtype()) * (a.queries.total() as f64).sqrt();
    let off = got.iter().zip(&want).map(|(got, want)| (got - want).abs()).fold(0.0, f64::max);
    assert!(off < rounding, "dbias, {what}: off by {off:e}");
    if reach > 1 {
        let inner = a.heads..got.len() - a.heads;
        let distance = tests::gpu::relative_distance(&got[inner.clone()], &want[inner]);
        assert!(distance < tolerance(x[0].dtype()), "dbias, {what}: {distance:e}");
    }
}

fn biases_equal_the_definition(dtype: DType, head_dims: &[usize], reaches: &[usize]) {
    let gpu = device();
    let batch = CuSeqLens::from_lens(&LENS).unwrap();
    let cases = [(None, None), (Some(DROPOUT), None), (Some(DROPOUT), Some(20))];
    for (i, &head_dim) in head_dims.iter().enumerate() {
        // In turns: on an emulated GPU all of each would take minutes.
        for (&reach, (dropout, window)) in reaches.iter().zip(cases.into_iter().cycle().skip(i)) {
            let a = Attention::of_all(&batch, 1 + i % 3, dropout).with_window(window);
            let what =
                format!("{dtype:?}, D {head_dim}, R {reach}, window {window:?}, {dropout:?}");
            check_biased(&gpu, &what, &a, reach, &inputs(&a, head_dim, dtype));
        }
    }
}

#[test]
#[ignore = "needs a GPU"]
fn f32_biases_equal_the_definition() {
    biases_equal_the_definition(DType::F32, &[7, 64], &REACHES);
    biases_equal_the_definition(DType::F32, &[128, 256], &[7]);
}

#[test]
#[ignore = "needs a GPU"]
fn bf16_biases_equal_the_definition() {
    biases_equal_the_definition(DType::BF16, &[32, 64], &REACHES);
    biases_equal_the_definition(DType::BF16, &[7, 96], &[7]);
}

/// The exponential of 150 is infinite in f32: no query that is not there may meet it.
#[test]
#[ignore = "needs a GPU"]
fn a_large_bias_equals_the_definition() {
    let gpu = device();
    let a = Attention::of_all(&CuSeqLens::from_lens(&[1, 70, 200]).unwrap(), 1, None);
    for (dtype, size) in
        [DType::F32, DType::BF16].into_iter().flat_map(|t| [(t, 150.0f32), (t, -150.0)])
    {
        let x = inputs(&a, 64, dtype);
        let bias = Tensor::from_vec(vec![size, size, 0.0, 0.5, -size], &[5, 1]).unwrap();
        let there = x.each_ref().map(|x| x.to_device(&gpu).unwrap());
        let (got, _) = run_biased(&a, &there, &bias.to_device(&gpu).unwrap());
        let (want, _) = run_biased(&a, &x.each_ref().map(wide), &wide(&bias));
        for (name, (got, want)) in ["o", "dq", "dk", "dv"].iter().zip(got.iter().zip(&want)) {
            assert_close(&format!("{name}, {dtype:?}, bias {size}"), got, &values(want));
        }
    }
}

#[test]
#[ignore = "needs a GPU"]
fn the_gradient_of_a_bias_has_the_same_bits_each_time() {
    let gpu = device();
    let a = Attention::of_all(&CuSeqLens::from_lens(&LENS).unwrap(), 2, Some(DROPOUT));
    let bias = normal(&[15, 2], 5, DType::F32).to_device(&gpu).unwrap();
    for dtype in [DType::F32, DType::BF16] {
        let x = inputs(&a, 64, dtype).map(|x| x.to_device(&gpu).unwrap());
        let [first, second] = [(); 2].map(|()| run_biased(&a, &x, &bias).1);
        assert_eq!(values(&first), values(&second), "{dtype:?}");
    }
}

#[test]
#[ignore = "needs a GPU"]
fn a_bias_beyond_the_kernels_is_an_error() {
    let gpu = device();
    let a = ragged(usize::MAX, 1, None);
    let [q, k, v, _] = inputs(&a, 32, DType::F32).map(|x| x.to_device(&gpu).unwrap());
    let bias = Tensor::zeros(&[2 * 129 + 1, 1]).to_device(&gpu).unwrap();
    let error =
        attention::forward(&a, [&q, &k, &v], Relative::Bias(&bias), true).unwrap_err().to_string();
    assert!(error.contains("R at most 128"), "{error}");
}

/// How far apart the tokens of each element of c are, and those of each of g, where both are there.
fn distances(a: &Attention, reach: usize) -> [Vec<Option<usize>>; 2] {
    [false, true].map(|of_keys| {
        let tokens = (0..a.heads).flat_map(|_| a.keys.lens());
        let tokens = tokens.flat_map(|len| (0..len).map(move |token| (token, len)));
        let elements = tokens.flat_map(|token| (0..=2 * reach).map(move |row| (token, row)));
        let distance = |((token, len), row): ((usize, usize), usize)| {
            let row = if of_keys { 2 * reach - row } else { row };
            let other = (token + row).checked_sub(reach).filter(|&other| other < len);
            other.map(|other| token.abs_diff(other))
        };
        elements.map(distance).collect()
    })
}

/// c and g `[N, T, 2R + 1]` on the host: NaN where a token meets no other, which no kernel may read.
fn products(a: &Attention, reach: usize) -> [Tensor; 2] {
    let shape = [a.heads, a.keys.total(), 2 * reach + 1];
    let mut seed = 5;
    distances(a, reach).map(|there| {
        seed += 1;
        let x = values(&normal(&shape, seed, DType::F32)).into_iter().zip(there);
        let x = x.map(|(x, there)| if there.is_some() { x as f32 } else { f32::NAN });
        Tensor::from_vec(x.collect(), &shape).unwrap()
    })
}

/// o, dq, dk, dv, dc, dg where the inputs are.
fn run_with_products(a: &Attention, x: &Inputs, [c, g]: &[Tensor; 2]) -> [Tensor; 6] {
    let ([o, dq, dk, dv], _, grads) = run_by_distance(a, x, Relative::Products([c, g]));
    let Relative::Products([dc, dg]) = grads else { panic!("the gradients of products are not") };
    [o, dq, dk, dv, dc, dg]
}

fn to_gpu<const N: usize>(x: &[Tensor; N], gpu: &Device) -> [Tensor; N] {
    x.each_ref().map(|x| x.to_device(gpu).unwrap())
}

fn check_products(gpu: &Device, what: &str, a: &Attention, (x, cg): (&Inputs, &[Tensor; 2])) {
    let got = run_with_products(a, &to_gpu(x, gpu), &to_gpu(cg, gpu));
    let want = run_with_products(a, &x.each_ref().map(wide), &cg.each_ref().map(wide));
    for (name, (got, want)) in ["o", "dq", "dk", "dv", "dc", "dg"].iter().zip(got.iter().zip(&want))
    {
        // dc and dg are f32, from scores in the precision of x.
        let got = got.to_device(&Device::Cpu).unwrap();
        let limit = tolerance(x[0].dtype());
        assert_near(&format!("{name}, {what}"), &values(&got), &values(want), limit);
    }
    let reach = cg[0].shape()[2] / 2;
    for (d, distances) in got[4..].iter().zip(distances(a, reach)) {
        let unseen = |distance: Option<usize>| {
            distance.is_none_or(|distance| a.window.is_some_and(|window| distance > window))
        };
        let mut all = values(d).into_iter().zip(distances);
        assert!(all.all(|(d, distance)| !unseen(distance) || d == 0.0), "{what}: not all zeros");
    }
}

/// In turns: dropout, window, and how much further than the longest sequence R is.
fn products_equal_the_definition(dtype: DType, head_dims: &[usize]) {
    let gpu = device();
    let batch = CuSeqLens::from_lens(&LENS[..5]).unwrap();
    let cases = [(None, None, 0), (Some(DROPOUT), None, 3), (Some(DROPOUT), Some(20), 0)];
    let cases = cases.into_iter().cycle();
    for (i, (&head_dim, (dropout, window, more))) in head_dims.iter().zip(cases).enumerate() {
        let a = Attention::of_all(&batch, 1 + i % 2, dropout).with_window(window);
        let reach = LENS[4] - 1 + more;
        let what = format!("{dtype:?}, D {head_dim}, R {reach}, window {window:?}, {dropout:?}");
        let x = inputs(&a, head_dim, dtype);
        check_products(&gpu, &what, &a, (&x, &products(&a, reach)));
    }
}

#[test]
#[ignore = "needs a GPU"]
fn f32_products_equal_the_definition() {
    products_equal_the_definition(DType::F32, &[64, 64, 64, 7, 128, 256]);
}

#[test]
#[ignore = "needs a GPU"]
fn bf16_products_equal_the_definition() {
    products_equal_the_definition(DType::BF16, &[64, 64, 64, 32, 32, 96]);
}

/// Scores whose exponentials are infinite in f32, next to tokens that are not there.
#[test]
#[ignore = "needs a GPU"]
fn large_products_equal_the_definition() {
    let gpu = device();
    let a = Attention::of_all(&CuSeqLens::from_lens(&[1, 70]).unwrap(), 1, None);
    let shape = [1, 71, 139];
    for (dtype, size) in
        [DType::F32, DType::BF16].into_iter().flat_map(|t| [(t, 2000.0f32), (t, -2000.0)])
    {
        let by_distance = (0..71 * 139).map(|i| [size, size, 0.0, 0.5, -size][i % 139 % 5]);
        let c = Tensor::from_vec(by_distance.collect(), &shape).unwrap();
        let cg = [c, Tensor::zeros(&shape)];
        let x = inputs(&a, 64, dtype);
        check_products(&gpu, &format!("{dtype:?}, products {size}"), &a, (&x, &cg));
    }
}

/// Nor do they depend on what a batch has beside.
#[test]
#[ignore = "needs a GPU"]
fn products_have_the_same_bits_each_time() {
    let gpu = device();
    let lens = [17, 130];
    let batch = CuSeqLens::from_lens(&lens).unwrap();
    let a = Attention::of_all(&batch, 2, None);
    let cg = to_gpu(&products(&a, 140), &gpu);
    for dtype in [DType::F32, DType::BF16] {
        let x = to_gpu(&inputs(&a, 64, dtype), &gpu);
        let [first, second] = [(); 2].map(|()| run_with_products(&a, &x, &cg));
        let bits = |all: &[Tensor; 6]| all.each_ref().map(values);
        assert!(bits(&first) == bits(&second), "{dtype:?}: twice");
        for (i, len) in lens.into_iter().enumerate() {
            let alone = Attention::of_all(&CuSeqLens::from_lens(&[len]).unwrap(), 2, None);
            let start = batch.range(i).start;
            let x = x.each_ref().map(|x| x.narrow(0, start, len).unwrap());
            let cg = cg.each_ref().map(|x| x.narrow(1, start, len).unwrap());
            let got = run_with_products(&alone, &x, &cg);
            for (part, (got, all)) in got.iter().zip(&first).enumerate() {
                let all = all.narrow(usize::from(part > 3), start, len).unwrap();
                assert!(values(got) == values(&all), "{dtype:?}: sequence {i}, result {part}");
            }
        }
    }
}

#[test]
#[ignore = "needs a GPU"]
fn nan_in_products_stays_inside_its_sequence_and_head() {
    let gpu = device();
    let a = Attention::of_all(&CuSeqLens::from_lens(&[20, 20, 20]).unwrap(), 3, None);
    let clean = products(&a, 19);
    for (dtype, poisoned) in [DType::F32, DType::BF16].into_iter().flat_map(|t| [(t, 0), (t, 1)]) {
        let x = to_gpu(&inputs(&a, 32, dtype), &gpu);
        let want = run_with_products(&a, &x, &to_gpu(&clean, &gpu)).map(|x| values(&x));
        let mut cg = clean.clone();
        let mut poison = clean[poisoned].to_vec::<f32>().unwrap();
        // Head 1, token 27, which is in the second sequence, distance 2.
        poison[(60 + 27) * 39 + 19 + 2] = f32::NAN;
        cg[poisoned] = Tensor::from_vec(poison, clean[poisoned].shape()).unwrap();
        let got = run_with_products(&a, &x, &to_gpu(&cg, &gpu)).map(|x| values(&x));
        for (part, (got, want)) in got.iter().zip(&want).enumerate() {
            for (i, (got, want)) in got.iter().zip(want).enumerate() {
                let (token, head) =
                    if part < 4 { (i / 96, i % 96 / 32) } else { (i / 39 % 60, i / 39 / 60) };
                let inside = (20..40).contains(&token) && head == 1;
                assert!(inside || got == want, "{dtype:?}, {poisoned}: {part}, element {i}: {got}");
            }
            assert!(got.iter().any(|x| x.is_nan()), "{dtype:?}, {poisoned}: not in {part}");
        }
    }
}

/// Products of queries and keys with vectors, made and taken back on the tape.
#[test]
#[ignore = "needs a GPU"]
fn disentangled_attention_equals_the_definition() {
    let gpu = device();
    let a = Attention::of_all(&CuSeqLens::from_lens(&[3, 70, 33]).unwrap(), 2, Some(DROPOUT));
    let vectors = [6, 7].map(|seed| normal(&[2 * 80 + 1, 2 * 64], seed, DType::F32));
    for dtype in [DType::F32, DType::BF16] {
        let [q, k, v, d_o] = inputs(&a, 64, dtype);
        let d_o = d_o.to_dtype(DType::F32).unwrap();
        let x = [q, k, v, vectors[0].clone(), vectors[1].clone(), d_o];
        let got = on_the_tape(&a, &to_gpu(&x, &gpu));
        let want = on_the_tape(&a, &x.each_ref().map(wide));
        for (name, (got, want)) in
            ["y", "dq", "dk", "dv", "da", "db"].iter().zip(got.iter().zip(&want))
        {
            let (what, limit) = (format!("{name}, {dtype:?}"), tolerance(dtype));
            assert_near(&what, &values(got), &values(want), limit);
        }
    }
}

/// y and the gradients of q, k, v and of the vectors.
fn on_the_tape(a: &Attention, x: &[Tensor; 6]) -> [Tensor; 6] {
    let tape = Tape::new();
    let [q, k, v, of_keys, of_queries] = [0, 1, 2, 3, 4].map(|i| tape.input(x[i].clone()));
    let inputs = [&q, &k, &v, &of_keys, &of_queries];
    let y = ops::disentangled_attention(a.clone(), [&q, &k, &v], [&of_keys, &of_queries]).unwrap();
    let wide = y.to_dtype(x[5].dtype()).unwrap();
    let loss = wide.mul(&Var::constant(x[5].clone())).unwrap().sum().unwrap();
    let grads = loss.backward().unwrap();
    let [dq, dk, dv, da, db] = inputs.map(|input| grads.input(input).unwrap().clone());
    [y.value().clone(), dq, dk, dv, da, db]
}
