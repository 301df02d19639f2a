//! `embedding` on a GPU.

use tensor::ops::embedding;
use tensor::philox::Rng;
use tensor::{DType, Tensor};
use tests::gpu::{assert_close, device, normal, odd_view, wide};

/// Rows of the table, columns, tokens: few ids of many tokens, many of few, ids without tokens.
const SIZES: [[usize; 3]; 9] = [
    [1, 1, 1],
    [2, 7, 1000],
    [2, 384, 130],
    [33, 33, 130],
    [1000, 128, 33],
    [130, 384, 1000],
    [3, 768, 3],
    [5, 1000, 7],
    [3, 4096, 3],
];

fn ids(v: usize, tokens: usize, seed: u64) -> Tensor {
    let mut rng = Rng::new(seed, 1);
    let ids = (0..tokens).map(|_| rng.next_u32() % v as u32).collect();
    Tensor::from_vec::<u32>(ids, &[tokens]).unwrap()
}

#[test]
#[ignore = "needs a GPU"]
fn equals_the_definition() {
    let gpu = device();
    for (seed, size @ [v, h, tokens]) in (0..).zip(SIZES) {
        let (table, dy) =
            (normal(&[v, h], seed, DType::F32), normal(&[tokens, h], 50 + seed, DType::F32));
        let ids = ids(v, tokens, seed);
        let want = embedding::forward(&wide(&table), &ids).unwrap().to_f64_vec().unwrap();
        for there in [table.to_device(&gpu).unwrap(), odd_view(&table, &gpu)] {
            let y = embedding::forward(&there, &ids).unwrap();
            assert_close(&format!("embedding {size:?}"), &y, &want);
            assert_eq!(y.to_f64_vec().unwrap(), want, "rows are copied");
            let sums = embedding::add(&dy, &table, &ids).unwrap().to_f64_vec().unwrap();
            for x in [dy.to_device(&gpu).unwrap(), odd_view(&dy, &gpu)] {
                let y = embedding::add(&x, &there, &ids).unwrap();
                assert_eq!(y.to_f64_vec().unwrap(), sums, "one addition an element");
            }
        }
        let want = embedding::backward(&wide(&dy), &ids, v).unwrap().to_dense().unwrap();
        for there in [dy.to_device(&gpu).unwrap(), odd_view(&dy, &gpu)] {
            let rows = embedding::backward(&there, &ids, v).unwrap();
            let dtable = rows.to_dense().unwrap();
            assert_close(&format!("its backward {size:?}"), &dtable, &want.to_f64_vec().unwrap());
        }
    }
}

/// Tokens of an id are added by pieces of 32, and those by warps, one more for every eight of them.
#[test]
#[ignore = "needs a GPU"]
fn ids_of_many_tokens_equal_the_definition() {
    let gpu = device();
    for (seed, counts) in
        (0..).zip([[31, 32, 33], [64, 1, 65], [0, 255, 257], [511, 0, 512], [513, 16, 9000]])
    {
        let of_id = |(id, &count): (u32, &usize)| vec![id; count];
        let mut ids: Vec<u32> = (0..).zip(&counts).flat_map(of_id).collect();
        let n = ids.len();
        // Not in their order: 7 is no divisor of these numbers of tokens, so that every one is taken once.
        ids = (0..n).map(|i| ids[i * 7 % n]).collect();
        let ids = Tensor::from_vec(ids, &[n]).unwrap();
        for h in [5, 132] {
            let dy = normal(&[n, h], 70 + seed, DType::F32);
            let want = embedding::backward(&wide(&dy), &ids, 3).unwrap().to_dense().unwrap();
            let got = embedding::backward(&dy.to_device(&gpu).unwrap(), &ids, 3).unwrap();
            let what = format!("backward of {counts:?} tokens, {h} columns");
            assert_close(&what, &got.to_dense().unwrap(), &want.to_f64_vec().unwrap());
        }
    }
}

#[test]
#[ignore = "needs a GPU"]
fn the_same_bits_every_time() {
    let gpu = device();
    let dy = normal(&[1000, 33], 90, DType::F32).to_device(&gpu).unwrap();
    let ids = ids(2, 1000, 90);
    let sums = || embedding::backward(&dy, &ids, 2).unwrap().to_dense().unwrap();
    assert_eq!(sums().to_vec::<f32>().unwrap(), sums().to_vec::<f32>().unwrap());
}

#[test]
#[ignore = "needs a GPU"]
fn no_tokens_give_zeros() {
    let gpu = device();
    let dy = Tensor::zeros_on(&[0, 5], &gpu).unwrap();
    let ids = Tensor::from_vec::<u32>(vec![], &[0]).unwrap();
    let dtable = embedding::backward(&dy, &ids, 3).unwrap().to_dense().unwrap();
    assert_eq!(dtable.to_vec::<f32>().unwrap(), [0.0; 15]);
}

#[test]
#[ignore = "needs a GPU"]
fn ids_are_checked_on_the_host() {
    let gpu = device();
    let table = Tensor::zeros_on(&[3, 5], &gpu).unwrap();
    let ids = Tensor::from_vec(vec![0u32, 3], &[2]).unwrap();
    let error = embedding::forward(&table, &ids).unwrap_err();
    assert!(error.to_string().contains("index 3 at position 1"), "{error}");
}
