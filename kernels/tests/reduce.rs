//! Sums and places of the greatest against their definition.

use kernels::reduce::{self, reference};
use kernels::testing::{SIZES, assert_close, each_isa, f64s, random};

#[test]
fn of_everything() {
    each_isa(|isa| {
        for n in SIZES.into_iter().chain([0, 100_000]) {
            let x = random(n, 9.0, 1);
            let want = f64s(&x);
            let what = format!("{isa:?} {n}");
            assert_close(&what, &[reduce::sum(&x)], &[reference::sum(&want)], 1e-7);
            let squares = reference::sum_squares(&want);
            // The plain sum of the definition is itself off by some 1e-13.
            assert!((reduce::sum_squares(&x) - squares).abs() <= 1e-12 * squares, "{what}");
        }
    });
}

#[test]
fn of_rows_and_columns() {
    each_isa(|isa| {
        for cols in SIZES.into_iter().chain([100_000]) {
            let rows = if cols < 1000 { 200 } else { 3 };
            let x = random(rows * cols, 9.0, 2);
            let want = f64s(&x);
            let mut argmax = vec![0; rows];
            let what = format!("{isa:?} {cols} columns");
            reduce::row_argmax(&x, cols, &mut argmax);
            assert_eq!(argmax, reference::row_argmax(&want, cols), "{what}");
            let mut sums = vec![0.0; cols];
            reduce::column_sums(&x, cols, &mut sums);
            assert_close(&what, &sums, &reference::column_sums(&want, cols), 2e-5);
        }
    });
}

#[test]
fn a_long_sum_loses_nothing() {
    each_isa(|_| {
        let n = 3_000_000;
        assert_eq!(reduce::sum(&vec![0.1; n]), (f64::from(0.1f32) * n as f64) as f32);
        let mut x = vec![1.0; 100_001];
        (x[0], x[100_000]) = (1e12, -1e12);
        assert_eq!(reduce::sum(&x), 99_999.0);
    });
}

#[test]
fn squares_neither_overflow_nor_vanish() {
    each_isa(|_| {
        let huge = f64::from(1e30f32).powi(2);
        assert_eq!(reduce::sum_squares(&[1e30; 4]), 4.0 * huge);
        let tiny = f64::from(f32::from_bits(1)).powi(2);
        assert_eq!(reduce::sum_squares(&[f32::from_bits(1); 4]), 4.0 * tiny);
    });
}

#[test]
fn sums_do_not_depend_on_threads_or_instruction_set() {
    let x = random(300_000, 9.0, 3);
    let all = || {
        let mut columns = vec![0.0; 300];
        reduce::column_sums(&x, 300, &mut columns);
        (reduce::sum(&x).to_bits(), reduce::sum_squares(&x).to_bits(), columns)
    };
    let want = all();
    each_isa(|isa| {
        for threads in [1, 2, 5] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert_eq!(pool.install(all), want, "{isa:?}, {threads} threads");
        }
    });
}

#[test]
fn extremes_in_sums() {
    each_isa(|_| {
        assert_eq!(reduce::sum(&[f32::MAX, f32::MAX]), f32::INFINITY);
        assert_eq!(reduce::sum(&[f32::MAX, f32::MAX, -f32::MAX]), f32::MAX);
        assert_eq!(reduce::sum(&[1.0, f32::NEG_INFINITY]), f32::NEG_INFINITY);
        assert!(reduce::sum(&[f32::INFINITY, f32::NEG_INFINITY]).is_nan());
        assert!(reduce::sum(&[1.0, f32::NAN]).is_nan());
        assert_eq!(reduce::sum(&[f32::from_bits(1); 3]), f32::from_bits(3));
    });
}

#[test]
fn nan_is_the_greatest_wherever_it_stands() {
    each_isa(|isa| {
        for cols in SIZES {
            for at in [0, cols / 2, cols - 1] {
                let mut x = random(cols, 9.0, 4);
                x[cols - 1] = f32::INFINITY;
                x[at] = f32::NAN;
                let mut argmax = [0];
                reduce::row_argmax(&x, cols, &mut argmax);
                assert_eq!(argmax, [at as u32], "{isa:?} {cols}");
            }
        }
    });
}

#[test]
fn the_first_of_equals() {
    each_isa(|_| {
        let x = [
            [1.0, 3.0, 3.0],
            [f32::NEG_INFINITY; 3],
            [f32::INFINITY; 3],
            [0.0, f32::NAN, f32::NAN],
            [-0.0, 0.0, -1.0],
        ];
        let mut argmax = [9; 5];
        reduce::row_argmax(x.as_flattened(), 3, &mut argmax);
        assert_eq!(argmax, [1, 0, 0, 1, 0]);
        assert_eq!(argmax[..], reference::row_argmax(&f64s(x.as_flattened()), 3));
    });
}

#[test]
fn nothing_at_all() {
    assert_eq!((reduce::sum(&[]), reduce::sum_squares(&[])), (0.0, 0.0));
    let mut out = [9.0; 3];
    reduce::column_sums::<f32>(&[], 3, &mut out);
    assert_eq!(out, [0.0; 3]);
    reduce::row_argmax(&[], 0, &mut []);
}

#[test]
#[should_panic(expected = "row_argmax: empty rows")]
fn an_empty_row_has_no_argmax() {
    reduce::row_argmax(&[], 0, &mut [0]);
}
