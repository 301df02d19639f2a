//! `linear` on a GPU.

use tensor::ops::linear::{
    backward_bias, backward_input, backward_weight, forward, forward_activated, forward_onto,
};
use tensor::{Activation, DType, Error, Tensor};
use tests::gpu::{assert_close, device, normal, odd_view, placements, wide};

/// Leading axes, inputs and outputs: a head, a layer, rows of a batch of batches, nothing that is a multiple of 8, outputs
/// like a vocabulary's, a multiple of 2 alone, and two products of these over a K that is cut.
const SIZES: [(&[usize], usize, usize); 8] = [
    (&[1], 1, 1),
    (&[3], 384, 2),
    (&[200], 96, 136),
    (&[5, 7], 33, 17),
    (&[40], 64, 522),
    (&[9], 520, 64),
    (&[9], 64, 1034),
    (&[1040], 64, 522),
];

const DTYPES: [DType; 2] = [DType::F32, DType::BF16];

/// Operands on the host: x and dy in the dtype of hidden states, w and b in f32.
struct Operands {
    what: String,
    x: Tensor,
    w: Tensor,
    b: Tensor,
    dy: Tensor,
}

fn operands() -> impl Iterator<Item = Operands> {
    let cases = SIZES.into_iter().flat_map(|size| DTYPES.map(|dtype| (size, dtype)));
    (0..).zip(cases).map(|(seed, ((lead, inputs, outputs), dtype))| {
        let shape = |last: usize| [lead, &[last]].concat();
        Operands {
            what: format!("{dtype} {lead:?} {inputs} -> {outputs}"),
            x: normal(&shape(inputs), seed, dtype),
            w: normal(&[outputs, inputs], 100 + seed, DType::F32),
            b: normal(&[outputs], 200 + seed, DType::F32),
            dy: normal(&shape(outputs), 300 + seed, dtype),
        }
    })
}

/// What the definition in f64 makes of operands as the GPU multiplies them: weights are rounded where x is bf16.
fn rounded(w: &Tensor, x: &Tensor) -> Tensor {
    wide(&w.to_dtype(x.dtype()).unwrap())
}

fn values(x: &Tensor) -> Vec<f64> {
    x.to_f64_vec().unwrap()
}

#[test]
#[ignore = "needs a GPU"]
fn forward_equals_the_definition() {
    let gpu = device();
    for Operands { what, x, w, b, .. } in operands() {
        let want = forward(&wide(&x), &rounded(&w, &x), Some(&wide(&b))).unwrap();
        let unbiased = forward(&wide(&x), &rounded(&w, &x), None).unwrap();
        let places = placements(&x, &gpu).into_iter().zip(placements(&w, &gpu));
        for ((x, w), b) in places.zip(placements(&b, &gpu)) {
            let y = forward(&x, &w, Some(&b)).unwrap();
            assert_eq!((y.shape(), y.dtype()), (want.shape(), x.dtype()), "{what}");
            assert_close(&what, &y, &values(&want));
            assert_close(
                &format!("{what}, no b"),
                &forward(&x, &w, None).unwrap(),
                &values(&unbiased),
            );
        }
    }
}

/// The second output is f of the first as it was rounded, fused or not.
#[test]
#[ignore = "needs a GPU"]
fn forward_activated_gives_both() {
    let gpu = device();
    for (f, Operands { what, x, w, b, .. }) in [Activation::Gelu, Activation::Relu]
        .into_iter()
        .flat_map(|f| operands().map(move |o| (f, o)))
    {
        let want = forward(&wide(&x), &rounded(&w, &x), Some(&wide(&b))).unwrap();
        let [x, w, b] = [&x, &w, &b].map(|t| t.to_device(&gpu).unwrap());
        let [z, y] = forward_activated(f, &x, &w, &b).unwrap();
        assert_close(&format!("{what} z"), &z, &values(&want));
        let of_z =
            tensor::ops::activation::forward(f, &wide(&z.to_device(&tensor::Device::Cpu).unwrap()));
        assert_close(&format!("{what} {}", f.name()), &y, &values(&of_z.unwrap()));
    }
}

#[test]
#[ignore = "needs a GPU"]
fn backward_equals_the_definition() {
    let gpu = device();
    for Operands { what, x, w, b, dy } in operands() {
        let want_dx = backward_input(&wide(&dy), &rounded(&w, &x), None).unwrap();
        let want_dw = backward_weight(&wide(&x), &wide(&dy)).unwrap();
        let want_db = backward_bias(&wide(&dy)).unwrap();
        let places = placements(&x, &gpu).into_iter().zip(placements(&w, &gpu));
        for ((x, w), dy) in places.zip(placements(&dy, &gpu)) {
            let dx = backward_input(&dy, &w, None).unwrap();
            assert_eq!((dx.shape(), dx.dtype()), (x.shape(), x.dtype()), "{what}");
            assert_close(&format!("{what} dx"), &dx, &values(&want_dx));
            let dw = backward_weight(&x, &dy).unwrap();
            assert_eq!((dw.shape(), dw.dtype()), (w.shape(), DType::F32), "{what}");
            assert_close(&format!("{what} dw"), &dw, &values(&want_dw));
            let db = backward_bias(&dy).unwrap();
            assert_eq!((db.shape(), db.dtype()), (b.shape(), DType::F32), "{what}");
            assert_close(&format!("{what} db"), &db, &values(&want_db));
        }
    }
}

/// A sum is rounded once, and what it is added to stays as it is.
#[test]
#[ignore = "needs a GPU"]
fn products_are_added_to_a_sum() {
    let gpu = device();
    for Operands { what, x, w, dy, .. } in operands() {
        let [w_wide, x_wide, dy_wide] = [rounded(&w, &x), wide(&x), wide(&dy)];
        let want_dx = backward_input(&dy_wide, &w_wide, Some(&x_wide)).unwrap();
        let want_y = forward_onto(&dy_wide, &x_wide, &w_wide).unwrap();
        let places = placements(&x, &gpu).into_iter().zip(placements(&w, &gpu));
        for ((sum, w), dy) in places.zip(placements(&dy, &gpu)) {
            let dx = backward_input(&dy, &w, Some(&sum)).unwrap();
            assert_eq!((dx.shape(), dx.dtype()), (x.shape(), x.dtype()), "{what}");
            assert_close(&format!("{what} dx"), &dx, &values(&want_dx));
            let y = forward_onto(&dy, &sum, &w).unwrap();
            assert_eq!((y.shape(), y.dtype()), (dy.shape(), dy.dtype()), "{what}");
            assert_close(&format!("{what} y"), &y, &values(&want_y));
            assert_eq!([values(&sum), values(&dy)], [values(&x), values(&dy_wide)], "{what}");
        }
    }
}

#[test]
#[ignore = "needs a GPU"]
fn operands_that_do_not_fit_are_refused() {
    let gpu = device();
    let [dy, w] = [[4, 3], [3, 6]].map(|s| normal(&s, 1, DType::F32).to_device(&gpu).unwrap());
    let onto = |sum: &Tensor| backward_input(&dy, &w, Some(sum));
    assert!(matches!(onto(&normal(&[4, 6], 2, DType::F32)), Err(Error::Device { .. })));
    let [half, narrow] = [(6, DType::BF16), (5, DType::F32)]
        .map(|(cols, dtype)| normal(&[4, cols], 2, dtype).to_device(&gpu).unwrap());
    assert!(matches!(onto(&half), Err(Error::DType { .. })));
    assert!(matches!(onto(&narrow), Err(Error::Shape { .. })));
    let x = normal(&[4, 6], 1, DType::F32).to_device(&gpu).unwrap();
    let w = normal(&[3, 5], 2, DType::F32);
    assert!(matches!(forward(&x, &odd_view(&w, &gpu), None), Err(Error::Shape { .. })));
    assert!(matches!(
        forward(&x, &normal(&[3, 6], 2, DType::F32), None),
        Err(Error::Device { .. })
    ));
}
