//! First values: moments, bounds, and what they depend on.

use nn::{Init, Initializer, init::sample};
use tensor::{Tensor, philox::Rng};

/// 120 x 80: fan_out 120, fan_in 80.
const SHAPE: [usize; 2] = [120, 80];

fn values(init: Init) -> Vec<f64> {
    sample(init, &SHAPE, &mut Rng::new(5, 0)).to_f64_vec().unwrap()
}

fn mean(x: &[f64]) -> f64 {
    x.iter().sum::<f64>() / x.len() as f64
}

fn variance(x: &[f64]) -> f64 {
    let centre = mean(x);
    mean(&x.iter().map(|x| (x - centre).powi(2)).collect::<Vec<_>>())
}

fn largest(x: &[f64]) -> f64 {
    x.iter().fold(0.0, |m, x| f64::max(m, x.abs()))
}

/// With 9600 values the mean is within 4 standard errors and the variance within 6 %, more than 4 of its own.
fn assert_moments(x: &[f64], want: f64) {
    assert!(mean(x).abs() < 4.0 * (want / x.len() as f64).sqrt(), "mean {}", mean(x));
    assert!((variance(x) / want - 1.0).abs() < 0.06, "variance {}, expected {want}", variance(x));
}

#[test]
fn xavier_and_kaiming_have_their_variance() {
    let (xavier, kaiming) = (2.0 / 200.0, 2.0 / 80.0);
    for (uniform, normal, want) in [
        (Init::XavierUniform, Init::XavierNormal, xavier),
        (Init::KaimingUniform, Init::KaimingNormal, kaiming),
    ] {
        let (uniform, normal) = (values(uniform), values(normal));
        assert_moments(&uniform, want);
        assert_moments(&normal, want);
        // A uniform law ends at sqrt(3) standard deviations and comes close to it; a normal one goes on.
        let end = (3.0 * want).sqrt();
        assert!((0.99 * end..=end).contains(&largest(&uniform)));
        assert!(largest(&normal) > 3.0 * want.sqrt());
    }
}

#[test]
fn pytorchs_law_ends_at_one_over_the_root_of_the_inputs() {
    let x = values(Init::PyTorchUniform);
    assert_moments(&x, 1.0 / 240.0);
    let end = 1.0 / 80f64.sqrt();
    assert!((0.99 * end..=end * (1.0 + 1e-6)).contains(&largest(&x)), "{}", largest(&x));
}

#[test]
fn the_truncated_normal_ends_at_two_deviations() {
    let x = values(Init::TruncatedNormal { std: 0.02 });
    assert!((0.039..=0.04).contains(&largest(&x)), "{}", largest(&x));
    // The variance of a standard normal cut off at 2: 1 - 2 * 2 phi(2) / (2 Phi(2) - 1) = 0.7737.
    assert_moments(&x, 0.02 * 0.02 * 0.773_741);
    // About 68 of 95 parts lie within one deviation.
    let inner = x.iter().filter(|x| x.abs() < 0.02).count() as f64 / x.len() as f64;
    assert!((inner - 0.6827 / 0.9545).abs() < 0.02, "{inner}");
}

#[test]
fn the_normal_law_has_no_end() {
    let x = values(Init::Normal { std: 0.02 });
    assert_moments(&x, 0.02 * 0.02);
    // A standard normal is beyond 2 in 4.55 of 100 cases, beyond 3 in 0.27.
    for (deviations, share) in [(2.0, 0.0455), (3.0, 0.0027)] {
        let beyond = x.iter().filter(|x| x.abs() > deviations * 0.02).count() as f64;
        let found = beyond / x.len() as f64;
        assert!((found - share).abs() < 0.1 * share + 0.002, "{deviations}: {found}");
    }
}

#[test]
fn a_vector_has_one_output() {
    let x = sample(Init::XavierUniform, &[600], &mut Rng::new(1, 0)).to_f64_vec().unwrap();
    assert!(largest(&x) <= (6.0f64 / 601.0).sqrt());
}

#[test]
fn seed_and_name_decide_and_nothing_else() {
    let init = |seed| Initializer::bert(0.02, seed);
    let weight = |init: &Initializer, name: &str| {
        init.weight(name, &[8, 8]).value().to_vec::<f32>().unwrap()
    };
    let first = weight(&init(1), "a.weight");
    assert_eq!(weight(&init(1), "a.weight"), first);
    assert_ne!(weight(&init(1), "b.weight"), first);
    assert_ne!(weight(&init(2), "a.weight"), first);
    // Whatever was made before.
    let shared = init(1);
    weight(&shared, "something.else");
    assert_eq!(weight(&shared, "a.weight"), first);
}

#[test]
fn biases_are_zero_scales_are_one() {
    let init = Initializer::bert(0.02, 1);
    assert_eq!(init.zeroed("b", &[3]).value().to_f64_vec().unwrap(), [0.0; 3]);
    assert_eq!(init.ones("w", &[3]).value().to_f64_vec().unwrap(), [1.0; 3]);
    assert_eq!(Initializer::zeros().weight("w", &[3]).value().to_f64_vec().unwrap(), [0.0; 3]);
    assert_eq!(
        sample(Init::Zeros, &[0, 4], &mut Rng::new(0, 0)).shape(),
        Tensor::zeros(&[0, 4]).shape()
    );
}
