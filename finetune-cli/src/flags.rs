//! What numeric flags take: each parser refuses what no command can use, and says what it expects.

use serde::Serializer;

type Parsed<T> = Result<T, String>;

/// A whole number from 1. All counts stay in 32 bits, so that a product of two stays in 64.
///
/// # Errors
/// When it is none.
pub fn count<T: TryFrom<u32>>(text: &str) -> Parsed<T> {
    whole(text, 1)
}

/// A whole number from 0.
///
/// # Errors
/// When it is none.
pub fn count_or_none<T: TryFrom<u32>>(text: &str) -> Parsed<T> {
    whole(text, 0)
}

/// A length in tokens, from 3: one between `[CLS]` and `[SEP]`.
///
/// # Errors
/// When it is none.
pub fn length(text: &str) -> Parsed<usize> {
    whole(text, 3)
}

/// A finite number above 0.
///
/// # Errors
/// When it is none.
pub fn positive(text: &str) -> Parsed<f64> {
    number(text, |x| x > 0.0 && x.is_finite(), "a finite number above 0")
}

/// A finite number from 0.
///
/// # Errors
/// When it is none.
pub fn not_negative(text: &str) -> Parsed<f64> {
    number(text, |x| x >= 0.0 && x.is_finite(), "a finite number, 0 or more")
}

/// A part of a whole: from 0 to below 1.
///
/// # Errors
/// When it is none.
pub fn share(text: &str) -> Parsed<f64> {
    number(text, |x| (0.0..1.0).contains(&x), "a number from 0 to below 1")
}

/// A probability, 0 and 1 included.
///
/// # Errors
/// When it is none.
pub fn probability(text: &str) -> Parsed<f32> {
    number(text, |x| (0.0..=1.0).contains(&x), "a number from 0 to 1").map(|x| x as f32)
}

/// Writes a seed so that TOML holds it: its integers have 63 bits, longer seeds are strings.
///
/// # Errors
/// When the serializer fails.
pub fn write_seed<S: Serializer>(seed: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    match i64::try_from(*seed) {
        Ok(number) => serializer.serialize_i64(number),
        Err(_) => serializer.serialize_str(&seed.to_string()),
    }
}

/// The sizes of a matrix product, `MxKxN`, each a whole number from 1.
///
/// # Errors
/// When it is none.
pub fn product(text: &str) -> Parsed<[usize; 3]> {
    let sizes: Parsed<Vec<usize>> = text.split('x').map(count).collect();
    let sizes = sizes.ok().and_then(|sizes| sizes.try_into().ok());
    sizes.ok_or_else(|| "expected three whole numbers from 1, such as 2048x384x1536".into())
}

fn whole<T: TryFrom<u32>>(text: &str, least: u32) -> Parsed<T> {
    let number = text.parse().ok().filter(|&n: &u32| n >= least);
    let number = number.and_then(|n| T::try_from(n).ok());
    number.ok_or_else(|| format!("expected a whole number from {least} to {}", u32::MAX))
}

fn number(text: &str, holds: fn(f64) -> bool, expected: &str) -> Parsed<f64> {
    let number = text.parse().ok().filter(|&x| holds(x));
    number.ok_or_else(|| format!("expected {expected}"))
}
