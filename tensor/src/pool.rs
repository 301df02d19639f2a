//! A pool of buffers of f32 and of bf16, so that a training step allocates nothing that an earlier step has freed.
//!
//! Fresh memory from the operating system costs a page fault every 4 KiB, more than the arithmetic on it;
//! activations come and go in the same sizes step after step. A [`Buffer`] returns to the pool when it is
//! dropped and is handed out again with its old contents: safe Rust asks only that memory is initialized
//! once, and every kernel overwrites its output.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::Mutex;

use half::bf16;

/// Smaller buffers are left to the allocator, which keeps them in its own lists.
const SMALLEST: usize = 1024;

/// Buffers at rest, by capacity.
#[doc(hidden)]
pub type Rest<T> = Mutex<BTreeMap<usize, Vec<Vec<T>>>>;

/// A type of elements that has buffers in the pool.
pub trait Pooled: bytemuck::Pod {
    /// Those at rest.
    #[doc(hidden)]
    fn rest() -> &'static Rest<Self>;
}

impl Pooled for f32 {
    fn rest() -> &'static Rest<Self> {
        static REST: Rest<f32> = Mutex::new(BTreeMap::new());
        &REST
    }
}

impl Pooled for bf16 {
    fn rest() -> &'static Rest<Self> {
        static REST: Rest<bf16> = Mutex::new(BTreeMap::new());
        &REST
    }
}

/// An array whose memory comes from the pool and returns to it. What the pool did not lend, vectors of others and what
/// is small, goes back to the allocator: the pool would keep it and take none from itself.
#[derive(Debug)]
pub struct Buffer<T: Pooled = f32> {
    /// Fully initialized; of the pool, up to its capacity class.
    memory: Vec<T>,
    len: usize,
    pooled: bool,
}

impl<T: Pooled> Buffer<T> {
    /// `len` elements of unspecified value: those of an earlier use, or zeros.
    pub fn uninit(len: usize) -> Self {
        Self::reused(len).unwrap_or_else(|| Self::fresh(len))
    }

    /// `len` zeros.
    pub fn zeroed(len: usize) -> Self {
        match Self::reused(len) {
            Some(mut buffer) => {
                buffer.fill(T::zeroed());
                buffer
            }
            None => Self::fresh(len),
        }
    }

    fn reused(len: usize) -> Option<Self> {
        let memory = if len < SMALLEST { None } else { take(len) };
        memory.map(|memory| Self { memory, len, pooled: true })
    }

    /// Zeros from the allocator.
    fn fresh(len: usize) -> Self {
        let pooled = len >= SMALLEST;
        let capacity = if pooled { capacity_class(len) } else { len };
        Self { memory: vec![T::zeroed(); capacity], len, pooled }
    }
}

impl<T: Pooled> From<Vec<T>> for Buffer<T> {
    fn from(memory: Vec<T>) -> Self {
        let len = memory.len();
        Self { memory, len, pooled: false }
    }
}

impl<T: Pooled> Clone for Buffer<T> {
    fn clone(&self) -> Self {
        let mut copy = Self::uninit(self.len);
        copy.copy_from_slice(self);
        copy
    }
}

impl<T: Pooled> Deref for Buffer<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.memory[..self.len]
    }
}

impl<T: Pooled> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.memory[..self.len]
    }
}

impl<T: Pooled> Drop for Buffer<T> {
    fn drop(&mut self) {
        if self.pooled {
            let memory = std::mem::take(&mut self.memory);
            lock::<T>().entry(memory.len()).or_default().push(memory);
        }
    }
}

/// Gives all memory at rest back to the allocator.
pub fn clear() {
    lock::<f32>().clear();
    lock::<bf16>().clear();
}

/// Bytes at rest in the pool.
pub fn bytes_at_rest() -> usize {
    bytes::<f32>() + bytes::<bf16>()
}

fn bytes<T: Pooled>() -> usize {
    lock::<T>().iter().map(|(len, buffers)| len * buffers.len() * size_of::<T>()).sum()
}

/// Capacities grow in steps of an eighth of a power of two: batches of almost the same number of tokens
/// share buffers, at most an eighth of a buffer lies idle.
fn capacity_class(len: usize) -> usize {
    let step = (len.next_power_of_two() / 16).max(1);
    len.div_ceil(step) * step
}

/// The smallest buffer at rest that holds `len` and is not more than a quarter too large.
fn take<T: Pooled>(len: usize) -> Option<Vec<T>> {
    let mut pool = lock::<T>();
    let (&capacity, buffers) = pool.range_mut(len..=len + len / 4).next()?;
    let memory = buffers.pop();
    if buffers.is_empty() {
        pool.remove(&capacity);
    }
    memory
}

fn lock<T: Pooled>() -> std::sync::MutexGuard<'static, BTreeMap<usize, Vec<Vec<T>>>> {
    T::rest().lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capacity_classes_waste_an_eighth_at_most() {
        for len in [1, 1023, 1024, 1025, 1500, 9999, 1 << 20, (1 << 20) + 1] {
            let class = capacity_class(len);
            assert!(class >= len && class <= len + len / 8 + 1, "{len} -> {class}");
        }
    }

    #[test]
    fn a_dropped_buffer_is_used_again() {
        // A size that no other test uses.
        let len = 777_216;
        let first = Buffer::<f32>::uninit(len).as_ptr();
        assert_eq!(Buffer::<f32>::uninit(len).as_ptr(), first);
        assert!(Buffer::<f32>::zeroed(len).iter().all(|&x| x == 0.0));
    }

    #[test]
    fn zeroed_clears_old_contents() {
        let len = 555_008;
        Buffer::<f32>::uninit(len).fill(3.0);
        assert!(Buffer::<f32>::zeroed(len).iter().all(|&x| x == 0.0));
    }
}
