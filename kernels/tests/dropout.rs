//! Dropout against its definition, and its mask against the binomial distribution.

use kernels::dropout::{self, Dropout};
use kernels::philox::Key;
use kernels::testing::{SIZES, assert_close, each_isa, f64s, random};

const KEY: Key = Key { seed: 0xdead_beef_0bad_cafe, step: 11, site: 22 };

#[test]
fn equals_reference() {
    each_isa(|isa| {
        for cols in SIZES {
            for p in [0.0, 0.1, 0.5, 0.999] {
                let (d, x) = (Dropout { p, key: KEY }, random(5 * cols, 3.0, 1));
                let (mut y, mut dx) = (vec![0.0; x.len()], vec![0.0; x.len()]);
                dropout::forward(d, &x, cols, &mut y);
                dropout::backward(d, &x, cols, &mut dx);
                let want = dropout::reference::forward(d, &f64s(&x), cols);
                assert_close(&format!("{isa:?} p {p}, {cols} columns"), &y, &want, 2e-7);
                assert_eq!(y, dx);
            }
        }
    });
}

#[test]
fn tasks_know_their_rows() {
    let (d, x) = (Dropout { p: 0.3, key: KEY }, vec![1.0; 4000 * 33]);
    let mut y = vec![0.0; x.len()];
    dropout::forward(d, &x, 33, &mut y);
    assert_close("y", &y, &dropout::reference::forward(d, &f64s(&x), 33), 2e-7);
}

#[test]
fn p_zero_is_the_identity() {
    let (d, x) = (Dropout { p: 0.0, key: KEY }, [f32::NAN, f32::INFINITY, -0.0, 1.5]);
    let (mut y, mut mask) = ([9.0; 4], [9.0; 4]);
    dropout::forward(d, &x, 2, &mut y);
    d.mask_row(3, 0, &mut mask);
    assert_eq!(y.map(f32::to_bits), x.map(f32::to_bits));
    assert_eq!(mask, [1.0; 4]);
}

#[test]
fn keeps_one_minus_p_and_the_mean() {
    const N: usize = 1000 * 512;
    for p in [0.1f32, 0.5, 0.9] {
        let mut y = vec![0.0; N];
        dropout::forward(Dropout { p, key: KEY }, &vec![1.0; N], 512, &mut y);
        let kept = y.iter().filter(|&&y| y != 0.0).count() as f64;
        let keep = 1.0 - f64::from(p);
        let bound = 4.0 * (N as f64 * keep * (1.0 - keep)).sqrt();
        assert!((kept - N as f64 * keep).abs() < bound, "p {p}: kept {kept} of {N}");
        let mean = f64s(&y).iter().sum::<f64>() / N as f64;
        assert!((mean - 1.0).abs() < bound / keep / N as f64 + 1e-6, "p {p}: mean {mean}");
    }
}

#[test]
fn a_row_does_not_depend_on_others() {
    let d = Dropout { p: 0.4, key: KEY };
    let mut all = vec![0.0; 9 * 130];
    dropout::forward(d, &vec![1.0; 9 * 130], 130, &mut all);
    each_isa(|_| {
        for row in 0..9 {
            let mut alone = [0.0; 130];
            d.mask_row(row, 0, &mut alone);
            assert_eq!(alone, all[row as usize * 130..][..130]);
            let mut tail = [0.0; 50];
            d.mask_row(row, 20, &mut tail);
            assert_eq!(tail, alone[80..], "from block 20");
        }
    });
}

#[test]
fn seed_step_site_and_row_each_change_the_mask() {
    let mask = |key, row| {
        let mut out = [0.0; 200];
        Dropout { p: 0.5, key }.mask_row(row, 0, &mut out);
        out
    };
    let first = mask(KEY, 1);
    assert_ne!(mask(KEY, 2), first);
    for key in [
        Key { seed: KEY.seed ^ 1, ..KEY },
        Key { seed: KEY.seed ^ 1 << 32, ..KEY },
        Key { step: 12, ..KEY },
        Key { site: 23, ..KEY },
    ] {
        assert_ne!(mask(key, 1), first);
    }
}

#[test]
fn threshold_and_scale() {
    let d = |p| Dropout { p, key: KEY };
    assert_eq!((d(0.5).threshold(), d(0.5).scale()), (1 << 31, 2.0));
    assert_eq!((d(0.75).threshold(), d(0.75).scale()), (3 << 30, 4.0));
    assert_eq!(d(1.0 - f32::EPSILON / 2.0).threshold(), u32::MAX - 255);
}

#[test]
#[should_panic(expected = "expected p in [0, 1), got 1")]
fn p_one_panics() {
    Dropout { p: 1.0, key: KEY }.threshold();
}
