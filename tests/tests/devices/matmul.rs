//! `matmul` on a GPU: each rung of the kernels, in each layout, with all that may follow.

use std::sync::{Mutex, PoisonError};

use kernels::bf16;
use kernels::cuda::{Array, DType, Device, Slice};
use kernels::matmul::cuda::{
    After, Linear, Operand, Rung, backward_input, backward_weight, batched, forward, forward_gelu,
    set_cap, set_columns,
};
use kernels::matmul::reference::{product, transpose};
use kernels::testing::{f64s, random};
use kernels::{activation, activation::Activation};
use tests::gpu;

/// T, I and O: smaller than any tile and just beyond it, rows that can be copied by 16 bytes and rows that cannot, a
/// K that is cut into parts in one of the three products, outputs like those of a vocabulary, even and no more.
const LAYERS: [[usize; 3]; 13] = [
    [70, 64, 522],
    [5, 136, 1030],
    [1, 1, 1],
    [7, 15, 17],
    [33, 64, 7],
    [17, 64, 136],
    [64, 130, 33],
    [130, 200, 264],
    [200, 384, 8],
    [129, 72, 520],
    [1100, 16, 24],
    [3, 1032, 9],
    [500, 24, 1000],
];

static CAP: Mutex<()> = Mutex::new(());

/// Runs `test` with each rung as the highest and each of its tiles, while no other test of this file does.
fn each_rung(test: impl Fn(&Device, Rung)) {
    let tensor::Device::Cuda(gpu) = gpu::device() else { unreachable!("not the CPU") };
    let _turn = CAP.lock().unwrap_or_else(PoisonError::into_inner);
    for rung in Rung::ALL {
        set_cap(rung);
        let tiles = rung == Rung::Wgmma && gpu.capability() == (9, 0);
        let columns = if tiles { &[Some(256), Some(192), Some(128)][..] } else { &[None] };
        for &columns in columns {
            set_columns(columns);
            test(&gpu, rung);
        }
    }
    set_columns(None);
}

/// Values on the host, as the GPU has them, and there.
struct Values {
    host: Vec<f64>,
    gpu: Array,
}

impl Values {
    fn random(device: &Device, dtype: DType, len: usize, seed: u64) -> Self {
        Self::new(device, dtype, &random(len, 1.0, seed))
    }

    fn new(device: &Device, dtype: DType, values: &[f32]) -> Self {
        let rounded: Vec<bf16> = values.iter().map(|&x| bf16::from_f32(x)).collect();
        if dtype == DType::BF16 {
            let host = rounded.iter().map(|x| x.to_f64()).collect();
            return Self { host, gpu: Array::from_host(device, &rounded).unwrap() };
        }
        Self { host: f64s(values), gpu: Array::from_host(device, values).unwrap() }
    }

    fn slice(&self) -> Slice<'_> {
        self.gpu.slice()
    }
}

fn download(x: &Array) -> Vec<f64> {
    match x.dtype() {
        DType::BF16 => x.slice().to_host::<bf16>().unwrap().into_iter().map(bf16::to_f64).collect(),
        _ => f64s(&x.slice().to_host::<f32>().unwrap()),
    }
}

fn assert_close(what: &str, got: &Array, want: &[f64]) {
    let limit = if got.dtype() == DType::BF16 { 4e-3 } else { 1e-5 };
    let values = download(got);
    assert_eq!(values.len(), want.len(), "{what}: number of elements");
    let distance = gpu::relative_distance(&values, want);
    assert!(distance <= limit, "{what}: {distance:e} away, allowed are {limit:e}");
}

/// x + bias + residual
fn follow(x: &[f64], bias: &[f64], residual: &[f64]) -> Vec<f64> {
    let bias = bias.iter().cycle();
    x.iter().zip(bias).zip(residual).map(|((x, b), r)| x + b + r).collect()
}

#[test]
#[ignore = "needs a GPU"]
fn the_products_of_a_layer_equal_the_definition() {
    each_rung(|device, rung| {
        for (dtype, [t, i, o]) in cases(rung) {
            let layer = Linear { rows: t, inputs: i, outputs: o };
            let what = |name: &str| format!("{name} {layer:?} {dtype:?} {rung:?}");
            let x = Values::random(device, dtype, t * i, 1);
            let w = Values::random(device, dtype, o * i, 2);
            let dy = Values::random(device, dtype, t * o, 3);
            let after = After::default();

            let y = forward(x.slice(), w.slice(), layer, after).unwrap();
            assert_close(&what("y"), &y, &product(&x.host, &transpose(&w.host, o, i), t, o));
            let dx = backward_input(dy.slice(), w.slice(), layer, after).unwrap();
            assert_close(&what("dx"), &dx, &product(&dy.host, &w.host, t, i));
            let dw = backward_weight(x.slice(), dy.slice(), layer, after).unwrap();
            assert_eq!(dw.dtype(), DType::F32);
            assert_close(&what("dw"), &dw, &product(&transpose(&dy.host, t, o), &x.host, o, i));
        }
    });
}

#[test]
#[ignore = "needs a GPU"]
fn tiles_of_an_unfilled_round_are_cut_and_added() {
    each_rung(|device, rung| {
        if rung < Rung::Mma {
            return;
        }
        // A tile more than there are multiprocessors.
        let t = (device.multiprocessor().count + 1) * 128 - 3;
        let [i, o] = [2048, 8];
        let layer = Linear { rows: t, inputs: i, outputs: o };
        let x = Values::random(device, DType::BF16, t * i, 1);
        let w = Values::random(device, DType::BF16, o * i, 2);
        let bias = Values::random(device, DType::F32, o, 3);
        let after = After { bias: Some(bias.slice()), ..After::default() };
        let y = forward(x.slice(), w.slice(), layer, after).unwrap();
        let plain = product(&x.host, &transpose(&w.host, o, i), t, o);
        let want = follow(&plain, &bias.host, &vec![0.0; t * o]);
        assert_close(&format!("y {layer:?} {rung:?}"), &y, &want);
    });
}

/// f32 goes no higher than `Tiled`: as the highest, the others make no difference to it.
fn dtypes(rung: Rung) -> &'static [DType] {
    if rung > Rung::Tiled { &[DType::BF16] } else { &[DType::F32, DType::BF16] }
}

fn cases(rung: Rung) -> impl Iterator<Item = (DType, [usize; 3])> {
    let dtypes = dtypes(rung).iter();
    dtypes.flat_map(|&dtype| LAYERS.into_iter().map(move |sizes| (dtype, sizes)))
}

#[test]
#[ignore = "needs a GPU"]
fn what_follows_a_product_is_done_to_it() {
    each_rung(|device, rung| {
        for (dtype, [t, i, o]) in cases(rung) {
            let layer = Linear { rows: t, inputs: i, outputs: o };
            let what = |name: &str| format!("{name} {layer:?} {dtype:?} {rung:?}");
            let x = Values::random(device, dtype, t * i, 1);
            let w = Values::random(device, dtype, o * i, 2);
            let bias = Values::random(device, DType::F32, o, 3);
            let residual = Values::random(device, dtype, t * o, 4);
            let plain = product(&x.host, &transpose(&w.host, o, i), t, o);

            let after = After { bias: Some(bias.slice()), ..After::default() };
            let [y, gelu] = forward_gelu(x.slice(), w.slice(), layer, after).unwrap();
            assert_close(&what("y"), &y, &follow(&plain, &bias.host, &vec![0.0; t * o]));
            let want = activation::reference::forward(Activation::Gelu, &download(&y));
            assert_close(&what("gelu"), &gelu, &want);

            let after = After { residual: Some(residual.slice()), ..after };
            let y = forward(x.slice(), w.slice(), layer, after).unwrap();
            assert_close(&what("sum"), &y, &follow(&plain, &bias.host, &residual.host));
        }
    });
}

#[test]
#[ignore = "needs a GPU"]
fn a_sum_over_nothing_is_the_bias() {
    each_rung(|device, rung| {
        for &dtype in dtypes(rung) {
            let bias = Values::random(device, DType::F32, 24, 1);
            let none = Values::random(device, dtype, 0, 1);
            let after = After { bias: Some(bias.slice()), ..After::default() };
            let layer = Linear { rows: 5, inputs: 0, outputs: 24 };
            let y = forward(none.slice(), none.slice(), layer, after).unwrap();
            assert_close(&format!("{dtype:?} {rung:?}"), &y, &bias.host.repeat(5));
            let layer = Linear { rows: 0, inputs: 8, outputs: 24 };
            let w = Values::random(device, dtype, 8 * 24, 2);
            assert!(forward(none.slice(), w.slice(), layer, after).unwrap().is_empty());
        }
    });
}

/// Strides of the `[rows, cols]` matrices of an operand: row-major, transposed, with gaps, and with no neighbours.
fn strides([rows, cols]: [usize; 2]) -> [[usize; 2]; 4] {
    [[cols, 1], [1, rows], [cols + 3, 1], [2 * cols + 2, 2]]
}

#[test]
#[ignore = "needs a GPU"]
fn batches_at_any_strides_equal_the_definition() {
    each_rung(|device, rung| {
        for (dtype, [m, n, k]) in [[1, 1, 1], [7, 17, 15], [36, 20, 64], [130, 12, 40]]
            .into_iter()
            .flat_map(|sizes| dtypes(rung).iter().map(move |&dtype| (dtype, sizes)))
        {
            let x = Values::random(device, dtype, 6 * 2 * (m + 2) * (k + 3), 1);
            let y = Values::random(device, dtype, 6 * 2 * (k + 2) * (n + 3), 2);
            let (a_size, b_size) = (2 * (m + 1) * (k + 1), 2 * (k + 1) * (n + 1));
            // [2, 3] products: both in order, A repeated along the last axis, B along all.
            for (a_lead, b_lead) in
                [([3 * a_size, a_size], [b_size, 2 * b_size]), ([a_size, 0], [0, 0])]
            {
                for (a, b) in strides([m, k]).into_iter().zip(strides([k, n]).into_iter().rev()) {
                    let a = Operand { values: x.slice(), strides: a, lead: &a_lead };
                    let b = Operand { values: y.slice(), strides: b, lead: &b_lead };
                    let c = batched(a, b, &[2, 3], [m, n, k]).unwrap();
                    let want: Vec<f64> = (0..6)
                        .flat_map(|i| {
                            let a = dense(&x.host, a, [m, k], i);
                            product(&a, &dense(&y.host, b, [k, n], i), m, n)
                        })
                        .collect();
                    assert_close(&format!("{a:?} {b:?} {dtype:?} {rung:?}"), &c, &want);
                }
            }
        }
    });
}

/// Product `number` of `[2, 3]`: its matrix of an operand in row-major order.
fn dense(host: &[f64], x: Operand, [rows, cols]: [usize; 2], number: usize) -> Vec<f64> {
    let start = number / 3 * x.lead[0] + number % 3 * x.lead[1];
    let at = |i: usize| start + i / cols * x.strides[0] + i % cols * x.strides[1];
    (0..rows * cols).map(|i| host[at(i)]).collect()
}
