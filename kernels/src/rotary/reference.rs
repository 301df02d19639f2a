//! The definition, in f64.

/// theta^(-2i / D) for i < D/2: the angle between one place and the next.
pub fn frequencies(head_dim: usize, theta: f64) -> Vec<f64> {
    let d = head_dim as f64;
    (0..head_dim / 2).map(|i| theta.powf(-2.0 * i as f64 / d)).collect()
}

/// q, k and v, `[T, N D]` each, from `qkv` (`[T, 3 N D]`); `cu_seqlens` is `[B + 1]`, from 0 to T.
pub fn split(
    theta: f64,
    cu_seqlens: &[u32],
    [heads, head_dim]: [usize; 2],
    qkv: &[f64],
) -> [Vec<f64>; 3] {
    let h = heads * head_dim;
    let mut parts = [(); 3].map(|()| Vec::new());
    for (row, place) in qkv.chunks(3 * h).zip(places(cu_seqlens)) {
        let turned = turn(&row[..2 * h], place, head_dim, theta);
        parts[0].extend(&turned[..h]);
        parts[1].extend(&turned[h..]);
        parts[2].extend(&row[2 * h..]);
    }
    parts
}

/// dqkv `[T, 3 N D]` from dq, dk and dv (`[T, N D]` each).
pub fn join(
    theta: f64,
    cu_seqlens: &[u32],
    [heads, head_dim]: [usize; 2],
    [dq, dk, dv]: [&[f64]; 3],
) -> Vec<f64> {
    let h = heads * head_dim;
    let mut dqkv = Vec::new();
    for (t, place) in places(cu_seqlens).enumerate() {
        let [dq, dk, dv] = [dq, dk, dv].map(|part| &part[t * h..][..h]);
        dqkv.extend(turn(dq, -place, head_dim, theta));
        dqkv.extend(turn(dk, -place, head_dim, theta));
        dqkv.extend(dv);
    }
    dqkv
}

/// The place of each token in its sequence.
fn places(cu_seqlens: &[u32]) -> impl Iterator<Item = f64> {
    cu_seqlens.windows(2).flat_map(|ends| 0..ends[1] - ends[0]).map(f64::from)
}

/// Each head of `x`, side by side, turned as at `place`.
fn turn(x: &[f64], place: f64, head_dim: usize, theta: f64) -> Vec<f64> {
    let (half, mut y) = (head_dim / 2, vec![0.0; x.len()]);
    let frequencies = frequencies(head_dim, theta);
    for (x, y) in x.chunks(head_dim).zip(y.chunks_mut(head_dim)) {
        for (i, frequency) in frequencies.iter().enumerate() {
            let (sin, cos) = (place * frequency).sin_cos();
            y[i] = x[i] * cos - x[i + half] * sin;
            y[i + half] = x[i + half] * cos + x[i] * sin;
        }
    }
    y
}
