//! `add_norm` on a GPU.

use tensor::ops::add_norm::{self, AddNorm};
use tensor::philox::Key;
use tensor::{DType, Device, Dropout, Tensor};
use tests::gpu::{assert_close, device, normal, odd_view, wide};

/// Rows and columns: in the registers of a warp, at both ends of what fits, more rows than warps, and by a block, where
/// they are longer or no multiple of 16 bytes.
const SIZES: [[usize; 2]; 19] = [
    [1, 1],
    [3, 7],
    [1, 8],
    [33, 33],
    [130, 128],
    [1000, 33],
    [33, 256],
    [5, 257],
    [5, 264],
    [130, 384],
    [3, 392],
    [70, 512],
    [3, 520],
    [130, 768],
    [3, 776],
    [33, 1000],
    [3, 1024],
    [3, 1025],
    [65, 4096],
];

fn add_norm(p: Option<f32>) -> AddNorm {
    let key = Key { seed: 0x1234_5678_9abc, step: 3, site: 11 };
    AddNorm { dropout: p.map(|p| Dropout { p, key }), eps: 1e-5 }
}

struct Case {
    x: Tensor,
    r: Tensor,
    w: Tensor,
    b: Tensor,
    dy: Tensor,
}

impl Case {
    fn new(shape: [usize; 2], seed: u64, dtype: DType) -> Self {
        let [x, r, dy] = [0, 1, 2].map(|i| normal(&shape, 10 * seed + i, dtype));
        let [w, b] = [3, 4].map(|i| normal(&shape[1..], 10 * seed + i, DType::F32));
        Self { x, r, w, b, dy }
    }

    /// Forward and backward on the GPU, of operands as `upload` puts them there, against the definition. In the
    /// backward that has the z of the GPU, which in bf16 is rounded.
    fn check(&self, a: AddNorm, upload: impl Fn(&Tensor) -> Tensor) {
        let what = format!("add_norm {:?} {:?} {:?}", self.x.dtype(), self.x.shape(), a.dropout);
        let close = |name: &str, got: &Tensor, want: &Tensor| {
            assert_close(&format!("{what}: {name}"), got, &want.to_f64_vec().unwrap());
        };
        let [x, r, w, b, dy] = [&self.x, &self.r, &self.w, &self.b, &self.dy];
        let [w_there, dy_there] = [w, dy].map(&upload);
        let sum = add_norm::forward(a, [&upload(x), &upload(r)], [&w_there, &upload(b)]).unwrap();
        let want = add_norm::forward(a, [&wide(x), &wide(r)], [&wide(w), &wide(b)]).unwrap();
        close("z", &sum.z, &want.z);
        close("y", &sum.y, &want.y);

        let saved = [&sum.z, &sum.mean, &sum.rstd];
        let grads = add_norm::backward(a, saved, &w_there, &dy_there).unwrap();
        let z = wide(&sum.z.to_device(&Device::Cpu).unwrap());
        let saved = [&z, &want.mean, &want.rstd];
        let want = add_norm::backward(a, saved, &wide(w), &wide(dy)).unwrap();
        close("dx", &grads.dx, &want.dx);
        close("dr", &grads.dr, &want.dr);
        close("dw", &grads.dw, &want.dw);
        close("db", &grads.db, &want.db);
    }
}

fn equals_the_definition(dtype: DType) {
    let gpu = device();
    for (seed, shape) in (0..).zip(SIZES) {
        let p = [None, Some(0.1), Some(0.0)][seed as usize % 3];
        Case::new(shape, seed, dtype).check(add_norm(p), |t| t.to_device(&gpu).unwrap());
    }
    for shape in [[33, 384], [3, 1032]] {
        for p in [None, Some(0.5)] {
            Case::new(shape, 20, dtype).check(add_norm(p), |t| t.to_device(&gpu).unwrap());
        }
    }
}

#[test]
#[ignore = "needs a GPU"]
fn equals_the_definition_in_f32() {
    equals_the_definition(DType::F32);
}

#[test]
#[ignore = "needs a GPU"]
fn equals_the_definition_in_bf16() {
    equals_the_definition(DType::BF16);
}

#[test]
#[ignore = "needs a GPU"]
fn views_may_begin_anywhere() {
    let gpu = device();
    for dtype in [DType::F32, DType::BF16] {
        for shape in [[3, 8], [33, 384], [2, 2048]] {
            Case::new(shape, 30, dtype).check(add_norm(Some(0.1)), |t| odd_view(t, &gpu));
        }
    }
}

/// The factors alone: with r = 0, z is m x.
#[test]
#[ignore = "needs a GPU"]
fn the_mask_is_that_of_the_host() {
    let gpu = device();
    for shape in [[5, 1], [33, 33], [3, 384], [3, 1030]] {
        let x = normal(&shape, 40, DType::F32);
        let [r, w] = [Tensor::zeros(&shape), Tensor::zeros(&shape[1..])];
        let forward = |device: &Device| {
            let [x, r, w] = [&x, &r, &w].map(|t| t.to_device(device).unwrap());
            add_norm::forward(add_norm(Some(0.3)), [&x, &r], [&w, &w]).unwrap().z
        };
        let [there, here] = [&gpu, &Device::Cpu].map(|d| forward(d).to_vec::<f32>().unwrap());
        assert_eq!(there, here, "{shape:?}");
    }
}

#[test]
#[ignore = "needs a GPU"]
fn nan_stays_in_its_row() {
    let gpu = device();
    for cols in [33, 384, 1030] {
        let mut x = normal(&[4, cols], 50, DType::F32).to_vec::<f32>().unwrap();
        (x[cols + 5], x[3 * cols - 1]) = (f32::NAN, f32::INFINITY);
        let x = Tensor::from_vec(x, &[4, cols]).unwrap().to_device(&gpu).unwrap();
        let w = normal(&[cols], 51, DType::F32).to_device(&gpu).unwrap();
        let y = add_norm::forward(add_norm(None), [&x, &x], [&w, &w]).unwrap().y;
        let is_nan = |row: &[f32]| row.iter().filter(|y| y.is_nan()).count();
        let rows: Vec<usize> = y.to_vec::<f32>().unwrap().chunks(cols).map(is_nan).collect();
        assert_eq!(rows, [0, cols, cols, 0]);
    }
}

#[test]
#[ignore = "needs a GPU"]
fn the_same_bits_every_time() {
    let gpu = device();
    let case = Case::new([1000, 384], 60, DType::F32);
    let [x, r, w, b, dy] =
        [&case.x, &case.r, &case.w, &case.b, &case.dy].map(|t| t.to_device(&gpu).unwrap());
    let params = || {
        let a = add_norm(Some(0.1));
        let sum = add_norm::forward(a, [&x, &r], [&w, &b]).unwrap();
        let grads = add_norm::backward(a, [&sum.z, &sum.mean, &sum.rstd], &w, &dy).unwrap();
        [grads.dw, grads.db].map(|d| d.to_vec::<f32>().unwrap())
    };
    assert_eq!(params(), params());
}
