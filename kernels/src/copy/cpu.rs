//! On the host: runs of neighbours where the last axis has them, tiles where it has not.

use rayon::prelude::*;

use crate::parallel::rows_per_task;

/// Elements of a row of the result that are gathered before the next row goes on beside them. The neighbours that came
/// into the cache with them, a line each, are those of the next rows where the view is a transpose. More lines than this
/// push each other out where their distance is a power of two.
const TILE: usize = 8;

/// Rows that share such lines, two of f32, at least.
const TILE_ROWS: usize = 32;

/// An axis: its length, and the step along it.
type Axis = (usize, usize);

/// The elements of a view of `x`, which begins with the view's first element, in row-major order.
///
/// # Panics
/// When the view leaves `x` or has another number of elements than `y`.
pub fn row_major<T: Copy + Send + Sync>(x: &[T], shape: &[usize], strides: &[usize], y: &mut [T]) {
    assert_eq!(shape.iter().product::<usize>(), y.len(), "copy: elements of {shape:?}");
    if y.is_empty() {
        return;
    }
    let mut outer = joined(shape, strides);
    let (n, stride) = outer.pop().unwrap_or((1, 1));
    let rows = rows_per_task(n).max(if stride > 1 { TILE_ROWS } else { 1 });
    y.par_chunks_mut(rows * n).enumerate().for_each(|(task, y)| {
        let first = task * rows;
        let starts: Vec<usize> =
            (first..first + y.len() / n).map(|row| start(row, &outer)).collect();
        copy_rows(x, &starts, stride, y);
    });
}

/// Tensors side by side: `[rows, widths[i]]` each, to `y`, `[rows, sum of widths]`.
///
/// # Panics
/// When the lengths do not fit.
pub fn side_by_side<T: Copy + Send + Sync>(parts: &[&[T]], rows: usize, y: &mut [T]) {
    assert_eq!(parts.iter().map(|x| x.len()).sum::<usize>(), y.len(), "concat: lengths");
    if y.is_empty() {
        return;
    }
    assert!(parts.iter().all(|x| x.len().is_multiple_of(rows)), "concat: {rows} rows");
    let pitch = y.len() / rows;
    y.par_chunks_mut(pitch).with_min_len(rows_per_task(pitch)).enumerate().for_each(|(row, y)| {
        let mut rest = y;
        for part in parts {
            let width = part.len() / rows;
            let to = rest.split_off_mut(..width).expect("the widths add up to the row");
            to.copy_from_slice(&part[row * width..][..width]);
        }
    });
}

/// The axes without those of length 1; what one step of an axis jumps over is part of it, if it is an axis of its own.
fn joined(shape: &[usize], strides: &[usize]) -> Vec<Axis> {
    let mut axes: Vec<Axis> = Vec::with_capacity(shape.len());
    for (&n, &stride) in shape.iter().zip(strides).filter(|&(&n, _)| n > 1) {
        match axes.last_mut() {
            Some(last) if last.1 == n * stride => *last = (last.0 * n, stride),
            _ => axes.push((n, stride)),
        }
    }
    axes
}

/// Where in the storage a row begins.
fn start(mut row: usize, outer: &[Axis]) -> usize {
    let mut start = 0;
    for &(n, stride) in outer.iter().rev() {
        start += row % n * stride;
        row /= n;
    }
    start
}

/// Rows of `y`, one for each start.
fn copy_rows<T: Copy>(x: &[T], starts: &[usize], stride: usize, y: &mut [T]) {
    let n = y.len() / starts.len();
    let tile = if stride > 1 { TILE } else { n };
    for at in (0..n).step_by(tile) {
        for (&start, y) in starts.iter().zip(y.chunks_exact_mut(n)) {
            copy_run(&x[start + at * stride..], stride, &mut y[at..(at + tile).min(n)]);
        }
    }
}

fn copy_run<T: Copy>(x: &[T], stride: usize, y: &mut [T]) {
    match stride {
        0 => y.fill(x[0]),
        1 => y.copy_from_slice(&x[..y.len()]),
        _ => {
            let x = &x[..(y.len() - 1) * stride + 1];
            y.iter_mut().zip(x.iter().step_by(stride)).for_each(|(y, x)| *y = *x);
        }
    }
}
