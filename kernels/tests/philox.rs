//! Philox against the known answers of its authors, and the sequence against its distributions.

use kernels::philox::{self, Key, Rng};
use kernels::testing::{SIZES, each_isa};

/// `philox4x32 10` of `tests/kat_vectors` in <https://github.com/DEShawResearch/random123>.
const KNOWN: [([u32; 4], [u32; 2], [u32; 4]); 3] = [
    ([0; 4], [0; 2], [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]),
    ([u32::MAX; 4], [u32::MAX; 2], [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]),
    (
        [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
        [0xa4093822, 0x299f31d0],
        [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ),
];

#[test]
fn known_answers() {
    for (counter, key, want) in KNOWN {
        assert_eq!(philox::block(counter, key), want);
    }
}

/// The same vectors through the vector code: counter and key spelled as row, column, site, step and seed.
#[test]
fn known_answers_of_a_row() {
    each_isa(|isa| {
        for ([block, row, site, step], key, want) in KNOWN {
            let seed = u64::from(key[1]) << 32 | u64::from(key[0]);
            let mut bits = [0; 4];
            philox::row_bits(Key { seed, step, site }, row, block, &mut bits);
            assert_eq!(bits, want, "{isa:?}");
        }
    });
}

#[test]
fn a_row_is_its_blocks() {
    let key = Key { seed: 0x0123_4567_89ab_cdef, step: 5, site: 6 };
    each_isa(|isa| {
        for n in SIZES {
            let mut bits = vec![0; n];
            philox::row_bits(key, 7, 3, &mut bits);
            for (i, words) in (3..).zip(bits.chunks(4)) {
                let want = philox::block([i, 7, 6, 5], [0x89ab_cdef, 0x0123_4567]);
                assert_eq!(words, &want[..words.len()], "{isa:?}, {n} columns, block {i}");
            }
        }
    });
}

#[test]
fn streams_and_seeds_differ_and_clones_agree() {
    let take = |mut rng: Rng| [0; 9].map(|_| rng.next_u32());
    let first = Rng::new(1, 0);
    assert_eq!(take(first.clone()), take(first.clone()));
    for other in [Rng::new(2, 0), Rng::new(1, 1), Rng::new(1, 1 << 32), Rng::new(1 | 1 << 32, 0)] {
        assert_ne!(take(other), take(first.clone()));
    }
}

/// Mean, variance and fourth central moment of `n` draws.
fn moments(n: usize, mut draw: impl FnMut() -> f64) -> [f64; 3] {
    let x: Vec<f64> = (0..n).map(|_| draw()).collect();
    let mean = x.iter().sum::<f64>() / n as f64;
    let central = |k| x.iter().map(|x| (x - mean).powi(k)).sum::<f64>() / n as f64;
    [mean, central(2), central(4)]
}

#[test]
fn uniform_has_its_moments() {
    let mut rng = Rng::new(3, 0);
    let got = moments(200_000, || rng.uniform());
    for (got, want) in got.into_iter().zip([0.5, 1.0 / 12.0, 1.0 / 80.0]) {
        assert!((got - want).abs() < 5e-3 * (0.1 + want), "got {got}, expected {want}");
    }
    assert!((0..100_000).map(|_| rng.uniform()).all(|x| (0.0..1.0).contains(&x)));
}

#[test]
fn normal_has_its_moments() {
    let mut rng = Rng::new(4, 0);
    let got = moments(200_000, || rng.normal());
    // Five standard errors of each: sqrt(1 / n), sqrt(2 / n), sqrt(96 / n).
    for ((got, want), error) in got.into_iter().zip([0.0, 1.0, 3.0]).zip([0.0112, 0.0159, 0.11]) {
        assert!((got - want).abs() < error, "got {got}, expected {want}");
    }
}

#[test]
fn below_is_uniform() {
    let mut rng = Rng::new(5, 0);
    for n in [1, 2, 3, 10] {
        let mut counts = vec![0u32; n as usize];
        (0..60_000).for_each(|_| counts[rng.below(n) as usize] += 1);
        let want = 60_000.0 / n as f64;
        let bound = 5.0 * (want * (1.0 - 1.0 / n as f64)).sqrt();
        assert!(counts.iter().all(|&c| (f64::from(c) - want).abs() <= bound), "{n}: {counts:?}");
    }
    // Two thirds of 2^64: without the second draw, half of the results would come twice as often.
    let n = u64::MAX / 3 * 2;
    let low = (0..60_000).filter(|_| rng.below(n) < n / 2).count() as f64;
    assert!((low - 30_000.0).abs() < 5.0 * 15_000f64.sqrt(), "{low}");
}

#[test]
fn every_order_is_equally_likely() {
    let mut rng = Rng::new(6, 0);
    let mut counts = std::collections::BTreeMap::new();
    for _ in 0..24_000 {
        let mut items = [0, 1, 2, 3];
        rng.shuffle(&mut items);
        *counts.entry(items).or_insert(0u32) += 1;
    }
    assert_eq!(counts.len(), 24);
    assert!(counts.values().all(|&c| (f64::from(c) - 1000.0).abs() < 160.0), "{counts:?}");
}
