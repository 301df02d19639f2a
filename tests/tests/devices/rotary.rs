//! `rotary` on a GPU.

use tensor::ops::rotary::{join, split};
use tensor::{CuSeqLens, DType, RotaryTable, Tensor};
use tests::gpu::{assert_close, device, normal, placements, wide};

/// N and D: halves of heads that are whole packs of 16 bytes in both types, in one, and in none.
const HEADS: [[usize; 2]; 8] =
    [[1, 2], [3, 6], [5, 8], [2, 32], [12, 64], [3, 80], [1, 128], [2, 66]];

const LENS: [usize; 6] = [1, 7, 2, 65, 1, 30];

#[test]
#[ignore = "needs a GPU"]
fn equals_the_definition() {
    let gpu = device();
    for lens in [&LENS[..], &[1]] {
        let batch = CuSeqLens::from_lens(lens).unwrap();
        for (heads, dtype) in HEADS.into_iter().flat_map(|n| [(n, DType::F32), (n, DType::BF16)]) {
            let [heads, head_dim] = heads;
            let table = RotaryTable::new(head_dim, 10_000.0).unwrap();
            let what = format!("{dtype}, {heads} heads of {head_dim}, {lens:?}");
            let qkv = normal(&[batch.total(), 3 * heads * head_dim], 1, dtype);
            let want = split(&table, heads, &batch, &wide(&qkv)).unwrap();
            for there in placements(&qkv, &gpu) {
                let got = split(&table, heads, &batch, &there).unwrap();
                for (got, want) in got.iter().zip(&want) {
                    assert_close(&what, got, &want.to_f64_vec().unwrap());
                }
            }
            let parts = [2, 3, 4].map(|i| normal(&[batch.total(), heads * head_dim], i, dtype));
            let want = join(&table, heads, &batch, parts.each_ref().map(wide).each_ref()).unwrap();
            for aligned in [0, 1] {
                let there = parts.each_ref().map(|x| placements(x, &gpu)[aligned].clone());
                let got = join(&table, heads, &batch, there.each_ref()).unwrap();
                assert_close(&format!("join, {what}"), &got, &want.to_f64_vec().unwrap());
            }
        }
    }
}

/// The copies on the GPU are those of the batch, and grow with the table.
#[test]
#[ignore = "needs a GPU"]
fn a_longer_batch_finds_a_longer_table() {
    let gpu = device();
    let table = RotaryTable::new(64, 160_000.0).unwrap();
    for len in [3, 40, 2, 41, 700] {
        let batch = CuSeqLens::from_lens(&[len, 1]).unwrap();
        let qkv = normal(&[len + 1, 3 * 64], 1, DType::F32);
        let want = split(&table, 1, &batch, &wide(&qkv)).unwrap();
        let got = split(&table, 1, &batch, &qkv.to_device(&gpu).unwrap()).unwrap();
        for (got, want) in got.iter().zip(&want) {
            assert_close(&format!("{len} tokens"), got, &want.to_f64_vec().unwrap());
        }
    }
}

#[test]
#[ignore = "needs a GPU"]
fn joining_undoes_splitting() {
    let gpu = device();
    let (table, batch) = (RotaryTable::new(64, 1e4).unwrap(), CuSeqLens::from_lens(&LENS).unwrap());
    for dtype in [DType::F32, DType::BF16] {
        let qkv = normal(&[batch.total(), 3 * 128], 1, dtype);
        let parts = split(&table, 2, &batch, &qkv.to_device(&gpu).unwrap()).unwrap();
        let back = join(&table, 2, &batch, parts.each_ref()).unwrap();
        assert_close(dtype.name(), &back, &qkv.to_f64_vec().unwrap());
    }
}

#[test]
#[ignore = "needs a GPU"]
fn a_nan_stays_in_its_pair() {
    let gpu = device();
    let (table, batch) = (RotaryTable::new(8, 1e4).unwrap(), CuSeqLens::from_lens(&[5]).unwrap());
    let mut qkv = vec![1.0f32; 5 * 48];
    // The third token, the second head of its keys.
    qkv[2 * 48 + 16 + 8 + 1] = f32::NAN;
    let qkv = Tensor::from_vec(qkv, &[5, 48]).unwrap().to_device(&gpu).unwrap();
    let parts = split(&table, 2, &batch, &qkv).unwrap();
    let nans = |x: &Tensor| {
        let x = x.to_f64_vec().unwrap();
        (0..x.len()).filter(|&i| x[i].is_nan()).collect::<Vec<_>>()
    };
    let key = [2 * 16 + 8 + 1, 2 * 16 + 8 + 5];
    assert_eq!(parts.each_ref().map(nans), [vec![], key.to_vec(), vec![]]);
}
