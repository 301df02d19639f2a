//! Activations against their definition and against PyTorch.

use kernels::activation::{self, Activation, reference};
use kernels::testing::{SIZES, assert_close, each_isa, f64s, random};

fn check(what: &str, x: &[f32], dy: &[f32]) {
    for op in Activation::ALL {
        let (mut y, mut dx) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        activation::forward(op, x, &mut y);
        activation::backward(op, x, dy, &mut dx);
        let want = reference::forward(op, &f64s(x));
        let want_dx = reference::backward(op, &f64s(x), &f64s(dy));
        assert_close(&format!("{what} {} y", op.name()), &y, &want, 5e-7);
        assert_close(&format!("{what} {} dx", op.name()), &dx, &want_dx, 5e-7);
    }
}

#[test]
fn equals_reference() {
    each_isa(|isa| {
        for n in SIZES.into_iter().chain([0, 100_000]) {
            let (x, dy) = (random(n, 9.0, 1), random(n, 1.0, 2));
            check(&format!("{isa:?} {n}"), &x, &dy);
        }
    });
}

#[test]
fn extreme_inputs() {
    let x = [
        0.0,
        -0.0,
        1e-45,
        -1e-45,
        5e-39,
        1e30,
        -1e30,
        f32::MAX,
        f32::MIN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        13.9,
        -13.9,
        87.0,
        -87.0,
        89.0,
        -89.0,
    ];
    each_isa(|isa| check(&format!("{isa:?}"), &x, &[1.0; 18]));
}

#[test]
fn far_tails_are_zero_and_identity() {
    each_isa(|_| {
        for op in [Activation::Gelu, Activation::GeluTanh, Activation::Relu] {
            let x = [-14.0, -100.0, -1e30, f32::NEG_INFINITY, 14.0, 100.0, 1e30, f32::INFINITY];
            let (mut y, mut dx) = ([1.0; 8], [1.0; 8]);
            activation::forward(op, &x, &mut y);
            activation::backward(op, &x, &[1.0; 8], &mut dx);
            assert_eq!((&y[..4], &y[4..]), (&[0.0; 4][..], &x[4..]), "{}", op.name());
            assert_eq!(dx, [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0], "{}", op.name());
        }
    });
}

/// The derivatives of the reference are those of its values.
#[test]
fn derivatives_equal_differences() {
    let x = f64s(&random(500, 6.0, 3));
    let shifted = |by: f64| x.iter().map(|x| x + by).collect::<Vec<_>>();
    let h = 1e-5;
    for op in Activation::ALL {
        let (above, below) = (shifted(h), shifted(-h));
        let (above, below) = (reference::forward(op, &above), reference::forward(op, &below));
        let dx = reference::backward(op, &x, &[1.0; 500]);
        for i in 0..x.len() {
            let difference = (above[i] - below[i]) / (2.0 * h);
            assert!((difference - dx[i]).abs() < 1e-8, "{} at {}", op.name(), x[i]);
        }
    }
}

#[test]
fn equals_pytorch() {
    // torch.float64: the function and the gradient of its sum.
    let x = [-6.0, -3.0, -1.0, -0.25, 0.5, 2.0, 4.5];
    let golden = [
        (
            Activation::Gelu,
            [
                -5.91952587e-09,
                -0.00404969409,
                -0.158655254,
                -0.100323419,
                0.345731231,
                1.95449974,
                4.49998471,
            ],
            [
                -3.54687095e-08,
                -0.0119456472,
                -0.0833154706,
                0.304626645,
                0.867495125,
                1.0852318,
                1.00006853,
            ],
        ),
        (
            Activation::GeluTanh,
            [
                -8.43964898e-11,
                -0.00363739208,
                -0.158808009,
                -0.100324649,
                0.34571401,
                1.95459769,
                4.49999486,
            ],
            [
                -7.70997601e-10,
                -0.0115841666,
                -0.0829640838,
                0.304645905,
                0.867369904,
                1.08609926,
                1.00002932,
            ],
        ),
        (
            Activation::Relu,
            [0.0, 0.0, 0.0, 0.0, 0.5, 2.0, 4.5],
            [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0],
        ),
        (
            Activation::Tanh,
            [
                -0.999987712,
                -0.995054754,
                -0.761594156,
                -0.244918662,
                0.462117157,
                0.96402758,
                0.999753211,
            ],
            [
                2.45765474e-05,
                0.00986603717,
                0.419974342,
                0.940014849,
                0.786447733,
                0.0706508249,
                0.000493517399,
            ],
        ),
        (
            Activation::Sigmoid,
            [
                0.00247262316,
                0.0474258732,
                0.268941421,
                0.437823499,
                0.622459331,
                0.880797078,
                0.989013057,
            ],
            [
                0.00246650929,
                0.0451766597,
                0.196611933,
                0.246134083,
                0.235003712,
                0.104993585,
                0.0108662297,
            ],
        ),
    ];
    each_isa(|_| {
        for (op, y, dx) in golden {
            let (mut got, mut got_dx) = ([0.0; 7], [0.0; 7]);
            activation::forward(op, &x, &mut got);
            activation::backward(op, &x, &[1.0; 7], &mut got_dx);
            assert_close(op.name(), &got, &y, 2e-7);
            assert_close(op.name(), &got_dx, &dx, 2e-7);
        }
    });
}

#[test]
fn relu_at_zero_has_no_slope_and_lets_nan_through() {
    each_isa(|_| {
        let (mut y, mut dx) = ([1.0; 3], [1.0; 3]);
        activation::forward(Activation::Relu, &[0.0, -1.0, f32::NAN], &mut y);
        activation::backward(Activation::Relu, &[0.0, -1.0, 1.0], &[f32::INFINITY; 3], &mut dx);
        assert!(y[..2] == [0.0; 2] && y[2].is_nan());
        assert_eq!(dx, [0.0, 0.0, f32::INFINITY]);
    });
}

#[test]
fn names_of_hugging_face() {
    for op in Activation::ALL {
        assert_eq!(Activation::from_name(op.name()), Some(op));
    }
    assert_eq!(Activation::from_name("gelu_new"), Some(Activation::GeluTanh));
    assert_eq!(Activation::from_name("swish"), None);
}

#[test]
fn both_are_each_alone() {
    each_isa(|isa| {
        use Activation::{Gelu, GeluTanh, Relu, Sigmoid, Tanh};
        for op in [Gelu, GeluTanh, Relu, Sigmoid, Tanh] {
            for n in SIZES.into_iter().chain([50_000]) {
                let (x, dy) = (random(n, 4.0, 1), random(n, 1.0, 2));
                let [mut y, mut dx, mut want_y, mut want_dx] = [(); 4].map(|()| vec![0.0; n]);
                activation::backward_and_value(op, &x, &dy, &mut dx, &mut y);
                activation::forward(op, &x, &mut want_y);
                activation::backward(op, &x, &dy, &mut want_dx);
                assert_eq!((y, dx), (want_y, want_dx), "{isa:?} {op:?} {n}");
            }
        }
    });
}
