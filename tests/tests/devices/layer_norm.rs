//! `layer_norm` on a GPU.

use tensor::ops::layer_norm::{self, LayerNorm};
use tensor::{DType, Device, Tensor};
use tests::gpu::{assert_close, device, normal, odd_view, wide};

/// Rows and columns, both awkward.
const SIZES: [[usize; 2]; 10] = [
    [1, 1],
    [3, 7],
    [33, 33],
    [130, 128],
    [1000, 33],
    [33, 384],
    [3, 768],
    [33, 1000],
    [1, 4096],
    [65, 4096],
];

const EPS: f64 = 1e-5;

/// y in the dtype of x, or in that of hidden states.
fn norm(to: DType) -> LayerNorm {
    LayerNorm { eps: EPS, to }
}

struct Case {
    x: Tensor,
    w: Tensor,
    b: Tensor,
    dy: Tensor,
}

impl Case {
    /// y and dy have this dtype.
    fn new(shape: [usize; 2], seed: u64, dtype: DType) -> Self {
        let [x, dy] = [(0, DType::F32), (1, dtype)].map(|(i, d)| normal(&shape, 10 * seed + i, d));
        let [w, b] = [2, 3].map(|i| normal(&shape[1..], 10 * seed + i, DType::F32));
        Self { x, w, b, dy }
    }

    /// Forward and backward on the GPU, of operands as `upload` puts them there, against the definition.
    fn check(&self, what: &str, upload: impl Fn(&Tensor) -> Tensor) {
        let [x, w, b, dy] = [&self.x, &self.w, &self.b, &self.dy];
        let (exact, to) = (norm(DType::F64), norm(dy.dtype()));
        let want = layer_norm::forward(exact, &wide(x), &wide(w), None).unwrap();
        let out = layer_norm::forward(to, &upload(x), &upload(w), None).unwrap();
        assert_close(&format!("{what}: y without b"), &out.y, &want.y.to_f64_vec().unwrap());
        let want = layer_norm::forward(exact, &wide(x), &wide(w), Some(&wide(b))).unwrap();
        let out = layer_norm::forward(to, &upload(x), &upload(w), Some(&upload(b))).unwrap();
        assert_close(&format!("{what}: y"), &out.y, &want.y.to_f64_vec().unwrap());

        let saved = (&want.mean, &want.rstd);
        let both = (true, true);
        let want = layer_norm::backward(&wide(x), &wide(w), saved, &wide(dy), EPS, both).unwrap();
        let saved = (&out.mean, &out.rstd);
        let got = layer_norm::backward(&upload(x), &upload(w), saved, &upload(dy), EPS, both);
        let (got, close) = (got.unwrap(), |name: &str, got: &Tensor, want: &Tensor| {
            assert_close(&format!("{what}: {name}"), got, &want.to_f64_vec().unwrap());
        });
        close("dx", &got.dx.unwrap(), &want.dx.unwrap());
        let ((dw, db), (want_dw, want_db)) = (got.dw_db.unwrap(), want.dw_db.unwrap());
        close("dw", &dw, &want_dw);
        close("db", &db, &want_db);
    }
}

#[test]
#[ignore = "needs a GPU"]
fn equals_the_definition() {
    let gpu = device();
    for dtype in [DType::F32, DType::BF16] {
        for (seed, shape) in (0..).zip(SIZES) {
            let case = Case::new(shape, seed, dtype);
            case.check(&format!("layer_norm {dtype} {shape:?}"), |t| t.to_device(&gpu).unwrap());
        }
    }
}

#[test]
#[ignore = "needs a GPU"]
fn views_may_begin_anywhere() {
    let gpu = device();
    for dtype in [DType::F32, DType::BF16] {
        for shape in [[3, 8], [33, 384]] {
            let what = format!("layer_norm of views {dtype} {shape:?}");
            Case::new(shape, 50, dtype).check(&what, |t| odd_view(t, &gpu));
        }
    }
}

/// The mean is a hundred times the deviation, its square ten thousand times the variance: E[x^2] - E[x]^2 would have
/// lost four digits.
#[test]
#[ignore = "needs a GPU"]
fn rows_far_from_zero_keep_their_digits() {
    let gpu = device();
    let mut case = Case::new([5, 384], 60, DType::F32);
    let far = case.x.to_vec::<f32>().unwrap().into_iter().map(|x| x + 100.0);
    case.x = Tensor::from_vec(far.collect::<Vec<f32>>(), &[5, 384]).unwrap();
    case.check("layer_norm far from zero", |t| t.to_device(&gpu).unwrap());
}

#[test]
#[ignore = "needs a GPU"]
fn nan_and_infinity_stay_in_their_row() {
    let gpu = device();
    let case = Case::new([4, 33], 70, DType::F32);
    let mut x = case.x.to_vec::<f32>().unwrap();
    (x[33 + 5], x[2 * 33 + 32]) = (f32::NAN, f32::INFINITY);
    let x = Tensor::from_vec(x, &[4, 33]).unwrap();
    let [x, w, b] = [&x, &case.w, &case.b].map(|t| t.to_device(&gpu).unwrap());
    let y = layer_norm::forward(norm(DType::F32), &x, &w, Some(&b)).unwrap().y;
    let y = y.to_device(&Device::Cpu).unwrap();
    let is_nan = |row: &[f32]| row.iter().filter(|y| y.is_nan()).count();
    let rows: Vec<usize> = y.as_slice::<f32>().unwrap().chunks(33).map(is_nan).collect();
    assert_eq!(rows, [0, 33, 33, 0]);
}

#[test]
#[ignore = "needs a GPU"]
fn no_rows_give_zeros() {
    let gpu = device();
    let x = Tensor::zeros_on(&[0, 5], &gpu).unwrap();
    let w = Tensor::zeros_on(&[5], &gpu).unwrap();
    let out = layer_norm::forward(norm(DType::F32), &x, &w, Some(&w)).unwrap();
    let saved = (&out.mean, &out.rstd);
    let grads = layer_norm::backward(&x, &w, saved, &x, EPS, (true, true)).unwrap();
    assert_eq!(grads.dw_db.unwrap().0.to_vec::<f32>().unwrap(), [0.0; 5]);
}
