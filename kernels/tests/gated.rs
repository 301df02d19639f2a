//! Gated linear units against their definition.

use half::bf16;
use kernels::Element;
use kernels::activation::{self, Activation};
use kernels::gated::{self, reference};
use kernels::testing::{assert_close, each_isa, f64s, random};

/// M and F.
const SHAPES: [[usize; 2]; 6] = [[1, 1], [5, 7], [1, 64], [3, 1152], [3000, 7], [40, 1000]];

/// y, dz, and both of them again from one call.
fn run<E: Element>(op: Activation, z: &[E], dy: &[E], cols: usize) -> [Vec<f32>; 4] {
    let [mut y, mut y_again] = [(); 2].map(|()| vec![E::round(f32::NAN); dy.len()]);
    let [mut dz, mut dz_again] = [(); 2].map(|()| vec![E::round(f32::NAN); z.len()]);
    gated::forward(op, z, cols, &mut y);
    gated::backward(op, z, dy, cols, &mut dz);
    gated::backward_and_value(op, z, dy, cols, &mut dz_again, &mut y_again);
    [y, dz, y_again, dz_again].map(|x| x.into_iter().map(E::widen).collect())
}

fn check<E: Element>(what: &str, op: Activation, [rows, cols]: [usize; 2], tolerance: f64) {
    let round = |x: Vec<f32>| x.into_iter().map(E::round).collect::<Vec<E>>();
    let (z, dy) = (round(random(rows * 2 * cols, 4.0, 1)), round(random(rows * cols, 1.0, 2)));
    let [y, dz, y_again, dz_again] = run(op, &z, &dy, cols);
    let wide = |x: &[E]| x.iter().map(|x| f64::from(x.widen())).collect::<Vec<f64>>();
    let what = format!("{what} {} [{rows}, 2 x {cols}]", op.name());
    let want = reference::forward(op, &wide(&z), cols);
    let want_dz = reference::backward(op, &wide(&z), &wide(&dy), cols);
    assert_close(&format!("{what} y"), &y, &want, tolerance);
    assert_close(&format!("{what} dz"), &dz, &want_dz, tolerance);
    assert_eq!((y_again, dz_again), (y, dz), "{what}: both in one");
}

#[test]
fn equals_reference() {
    each_isa(|isa| {
        for (op, shape) in Activation::ALL.into_iter().flat_map(|op| SHAPES.map(|s| (op, s))) {
            check::<f32>(&format!("{isa:?}"), op, shape, 1e-6);
            check::<bf16>(&format!("{isa:?} bf16"), op, shape, 4e-3);
        }
    });
}

/// The derivatives of the reference are those of its values.
#[test]
fn derivatives_equal_differences() {
    let (cols, h) = (5, 1e-5);
    let (z, dy) = (f64s(&random(60, 3.0, 1)), f64s(&random(30, 1.0, 2)));
    for op in Activation::ALL {
        let loss = |z: &[f64]| {
            let y = reference::forward(op, z, cols);
            y.iter().zip(&dy).map(|(y, dy)| y * dy).sum::<f64>()
        };
        let dz = reference::backward(op, &z, &dy, cols);
        for i in 0..z.len() {
            let shifted = |by: f64| {
                let mut z = z.clone();
                z[i] += by;
                loss(&z)
            };
            let slope = (shifted(h) - shifted(-h)) / (2.0 * h);
            assert!((slope - dz[i]).abs() < 1e-8, "{} {i}: {slope}, {}", op.name(), dz[i]);
        }
    }
}

#[test]
fn an_open_gate_is_the_activation() {
    each_isa(|isa| {
        let (a, dy) = (random(33, 4.0, 1), random(33, 1.0, 2));
        for op in Activation::ALL {
            let z = [&a[..], &[1.0; 33]].concat();
            let [y, dz, ..] = run(op, &z, &dy, 33);
            let (mut want, mut want_dx) = (vec![0.0; 33], vec![0.0; 33]);
            activation::forward(op, &a, &mut want);
            activation::backward(op, &a, &dy, &mut want_dx);
            assert_eq!((&y[..], &dz[..33]), (&want[..], &want_dx[..]), "{isa:?} {}", op.name());
        }
    });
}

#[test]
fn extreme_inputs() {
    let (inf, nan) = (f32::INFINITY, f32::NAN);
    let a = [0.0, -0.0, 1e-45, 1e30, -1e30, inf, -inf, nan, 13.9, -13.9, 89.0, -89.0];
    let g = [2.0, 1e30, 1e30, 1e30, 1e30, -1.0, 3.0, 0.0, inf, nan, -1e30, 1e-30];
    let z = [a, g].concat();
    each_isa(|isa| {
        for op in Activation::ALL {
            let [y, dz, ..] = run::<f32>(op, &z, &[1.0; 12], 12);
            let what = format!("{isa:?} {}", op.name());
            // Beyond f32 is infinite.
            let narrow =
                |x: Vec<f64>| x.into_iter().map(|x| f64::from(x as f32)).collect::<Vec<_>>();
            let want = narrow(reference::forward(op, &f64s(&z), 12));
            let want_dz = narrow(reference::backward(op, &f64s(&z), &[1.0; 12], 12));
            assert_close(&format!("{what} y"), &y, &want, 1e-6);
            assert_close(&format!("{what} dz"), &dz, &want_dz, 1e-6);
        }
    });
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    each_isa(|_| {
        let (z, dy) = (random(200 * 2 * 130, 4.0, 1), random(200 * 130, 1.0, 2));
        let [one, two] = [1, 2].map(|n| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
            pool.install(|| run::<f32>(Activation::Gelu, &z, &dy, 130))
        });
        assert_eq!(one, two);
    });
}

#[test]
#[should_panic(expected = "gated: 12, 5, 5 columns")]
fn lengths_that_do_not_fit_panic() {
    gated::forward(Activation::Gelu, &[0.0; 12], 5, &mut [0.0; 5]);
}
