//! What numeric flags take: each parser refuses what no command can use, and says what it expects.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Serializer;

type Parsed<T> = Result<T, String>;

/// A whole number from 1. All counts stay in 32 bits, so that a product of two stays in 64.
///
/// # Errors
/// When it is none.
pub fn count<T: TryFrom<u32>>(text: &str) -> Parsed<T> {
    whole(text, 1..=u32::MAX)
}

/// The pieces of a vocabulary, as many as a config.json may say: room for them is made before the first is there.
///
/// # Errors
/// When it is no such number.
pub fn vocabulary(text: &str) -> Parsed<usize> {
    whole(text, 1..=1 << 24)
}

/// A whole number from 0.
///
/// # Errors
/// When it is none.
pub fn count_or_none<T: TryFrom<u32>>(text: &str) -> Parsed<T> {
    whole(text, 0..=u32::MAX)
}

/// A length in tokens, from 3: one between `[CLS]` and `[SEP]`.
///
/// # Errors
/// When it is none.
pub fn length(text: &str) -> Parsed<usize> {
    whole(text, 3..=u32::MAX)
}

/// A finite number above 0, of a size that f32 has, too: what is smaller would be 0 in an update, what is larger
/// infinite.
///
/// # Errors
/// When it is none.
pub fn positive(text: &str) -> Parsed<f64> {
    let holds = |x| (f64::from(f32::MIN_POSITIVE)..=f64::from(f32::MAX)).contains(&x);
    number(text, holds, "a finite number above 0 (1.2e-38 to 3.4e38)")
}

/// A finite number from 0, of a size that f32 has, too.
///
/// # Errors
/// When it is none.
pub fn not_negative(text: &str) -> Parsed<f64> {
    let holds = |x| (0.0..=f64::from(f32::MAX)).contains(&x);
    number(text, holds, "a finite number, 0 or more (to 3.4e38)")
}

/// A part of a whole: from 0 to below 1.
///
/// # Errors
/// When it is none.
pub fn share(text: &str) -> Parsed<f64> {
    number(text, |x| (0.0..1.0).contains(&x), "a number from 0 to below 1")
}

/// A part of a whole that is more than nothing: from above 0 to below 1.
///
/// # Errors
/// When it is none.
pub fn open_share(text: &str) -> Parsed<f64> {
    number(text, |x| x > 0.0 && x < 1.0, "a number above 0 and below 1")
}

/// A probability, 0 and 1 included.
///
/// # Errors
/// When it is none.
pub fn probability(text: &str) -> Parsed<f32> {
    number(text, |x| (0.0..=1.0).contains(&x), "a number from 0 to 1").map(|x| x as f32)
}

/// A length of time: `90s`, `10m`, `1.5h`; seconds where there is no unit.
///
/// # Errors
/// When it is none.
pub fn duration(text: &str) -> Parsed<Duration> {
    let seconds = with_unit(text, &[("s", 1.0), ("m", 60.0), ("h", 3600.0)]);
    let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    duration.ok_or_else(|| "expected a length of time, such as 90s, 10m or 2h".into())
}

/// A number of bytes: `800MB`, `8GB`, `6GiB`; bytes where there is no unit.
///
/// # Errors
/// When it is none.
pub fn bytes(text: &str) -> Parsed<u64> {
    const UNITS: [(&str, f64); 9] = [
        ("kib", 1024.0),
        ("mib", 1048576.0),
        ("gib", 1073741824.0),
        ("kb", 1e3),
        ("mb", 1e6),
        ("gb", 1e9),
        ("k", 1e3),
        ("m", 1e6),
        ("g", 1e9),
    ];
    let bytes = with_unit(&text.to_lowercase(), &UNITS);
    let bytes = bytes.filter(|&bytes| bytes >= 1.0 && bytes < u64::MAX as f64);
    bytes.map(|bytes| bytes as u64).ok_or_else(|| "expected a size, such as 800MB or 8GB".into())
}

/// A finite number above 0 times its unit, the first that the text ends with.
fn with_unit(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let found = units.iter().find_map(|(unit, size)| Some((text.strip_suffix(unit)?, *size)));
    let (number, size) = found.unwrap_or((text, 1.0));
    let number = positive(number.trim_end()).ok()?;
    Some(number * size)
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

fn whole<T: TryFrom<u32>>(text: &str, range: RangeInclusive<u32>) -> Parsed<T> {
    let number = text.parse().ok().filter(|n: &u32| range.contains(n));
    let number = number.and_then(|n| T::try_from(n).ok());
    let (least, most) = range.into_inner();
    number.ok_or_else(|| format!("expected a whole number from {least} to {most}"))
}

fn number(text: &str, holds: fn(f64) -> bool, expected: &str) -> Parsed<f64> {
    let number = text.parse().ok().filter(|&x| holds(x));
    number.ok_or_else(|| format!("expected {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_have_units() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1.5h"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("7"), Ok(Duration::from_secs(7)));
        assert_eq!(bytes("8GB"), Ok(8_000_000_000));
        assert_eq!(bytes("6 GiB"), Ok(6 << 30));
        assert_eq!(bytes("512"), Ok(512));
        for wrong in ["", "m", "-3s", "ten", "1e400", "inf", "NaN"] {
            assert!(duration(wrong).is_err() && bytes(wrong).is_err(), "{wrong}");
        }
    }
}
