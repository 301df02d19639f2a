//! Embedding against its definition.

use kernels::embedding;
use kernels::testing::{SIZES, assert_close, each_isa, f64s, random};

const V: usize = 11;

/// Ids with repeats, in no order, some of the vocabulary unused.
fn ids(tokens: usize) -> Vec<u32> {
    (0..tokens as u32).map(|t| (t * t + 3 * t) % (V as u32 - 1)).collect()
}

#[test]
fn equals_reference() {
    each_isa(|isa| {
        for h in SIZES {
            let (ids, table, dy) = (ids(29), random(V * h, 1.0, 1), random(29 * h, 1.0, 2));
            let mut y = vec![0.0; 29 * h];
            embedding::forward(&table, &ids, h, &mut y);
            assert_eq!(f64s(&y), embedding::reference::forward(&f64s(&table), &ids, h));

            let mut dtable = table.clone();
            embedding::backward(&dy, &ids, h, &mut dtable);
            let added = embedding::reference::backward(&f64s(&dy), &ids, h, V);
            let want: Vec<f64> = f64s(&table).iter().zip(added).map(|(w, d)| w + d).collect();
            assert_close(&format!("{isa:?} dtable, H {h}"), &dtable, &want, 2e-6);
        }
    });
}

/// The token type table: two ids for all tokens, shared out by columns. Whole numbers, whose sums are exact.
#[test]
fn few_ids_of_many_tokens() {
    each_isa(|_| {
        for h in [1, 130, 384] {
            let ids: Vec<u32> = (0..1500).map(|t| u32::from(t % 7 == 0)).collect();
            let dy: Vec<f32> = random(1500 * h, 99.0, 3).iter().map(|x| x.round()).collect();
            let mut dtable = vec![0.0; 2 * h];
            embedding::backward(&dy, &ids, h, &mut dtable);
            let want = embedding::reference::backward(&f64s(&dy), &ids, h, 2);
            assert_eq!(f64s(&dtable), want);
        }
    });
}

#[test]
fn threads_do_not_change_the_bits() {
    let h = 130;
    for modulus in [2, 1000] {
        let ids: Vec<u32> = (0..3000u32).map(|t| t * 7919 % modulus).collect();
        let dy = random(3000 * h, 1.0, 4);
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut dtable = random(1000 * h, 1.0, 5);
            pool.install(|| embedding::backward(&dy, &ids, h, &mut dtable));
            dtable
        };
        each_isa(|isa| {
            let one = run(1);
            for threads in [2, 3, 8] {
                assert_eq!(run(threads), one, "{isa:?}, {threads} threads");
            }
        });
    }
}

/// Sums into the rows that there are, and into the whole table: the same rows.
#[test]
fn distinct_ids_have_the_sums_of_the_table() {
    each_isa(|_| {
        for (h, n) in [(1, 29), (130, 29), (384, 0)] {
            let (ids, dy) = (ids(n), random(n * h, 1.0, 2));
            let (rows, places) = embedding::distinct(&ids, V);
            assert!(rows.is_sorted_by(|a, b| a < b));
            assert_eq!(places.iter().map(|&p| rows[p as usize]).collect::<Vec<_>>(), ids);
            let (mut whole, mut compact) = (vec![0.0; V * h], vec![0.0; rows.len() * h]);
            embedding::backward(&dy, &ids, h, &mut whole);
            embedding::backward(&dy, &places, h, &mut compact);
            for (id, row) in rows.iter().zip(compact.chunks(h)) {
                assert_eq!(row, &whole[*id as usize * h..][..h]);
            }
        }
    });
}

#[test]
fn extreme_rows_stay_in_their_rows() {
    let dy = [f32::INFINITY, 1.0, f32::NAN, 2.0];
    let mut dtable = [0.0; 6];
    embedding::backward(&dy, &[2, 0], 2, &mut dtable);
    assert!(dtable[0].is_nan());
    assert_eq!(dtable[1..], [2.0, 0.0, 0.0, f32::INFINITY, 1.0]);
}

#[test]
fn no_tokens() {
    embedding::forward(&[1.0; 6], &[], 2, &mut []);
    let mut dtable = [1.0; 6];
    embedding::backward(&[], &[], 2, &mut dtable);
    assert_eq!(dtable, [1.0; 6]);
}

#[test]
#[should_panic(expected = "expected ids below 3")]
fn an_id_out_of_range_panics() {
    embedding::forward(&[0.0; 6], &[3], 2, &mut [0.0; 2]);
}
