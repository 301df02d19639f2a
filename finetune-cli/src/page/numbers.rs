//! Numbers as people read them. What has no value is a dash.

/// Stands for a value that there is not.
pub const NONE: &str = "–";

/// The value, if it is a number.
pub fn finite(value: Option<f64>) -> Option<f64> {
    value.filter(|v| v.is_finite())
}

/// A value in a form, or a dash.
pub fn or_dash(value: Option<f64>, form: impl Fn(f64) -> String) -> String {
    finite(value).map_or_else(|| NONE.to_owned(), form)
}

/// With a true minus, which is as wide as a digit.
fn minus(text: String) -> String {
    text.replace('-', "−")
}

/// With so many decimals, and no sign before zero.
pub fn fixed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let zero = text.chars().all(|c| "-0.".contains(c));
    if zero { text.replace('-', "") } else { minus(text) }
}

/// About three figures: `0.883`, `12.4`, `1.3 k`.
pub fn decimal(value: f64) -> String {
    match value.abs() {
        size if size < 10.0 => fixed(value, 3),
        size if size < 1000.0 => fixed(value, 1),
        _ => count(value),
    }
}

/// A large number: `22.7 M`.
pub fn count(value: f64) -> String {
    let units = ["", " k", " M", " G", " T", " P", " E"];
    let (mut value, mut unit) = (value, 0);
    // What would round to 1000.0 is 1.0 of the next unit.
    while value.abs() >= 999.95 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    let whole = unit == 0 && value.fract() == 0.0;
    let digits = if whole { fixed(value, 0) } else { fixed(value, 1) };
    digits + units[unit]
}

/// A share: `12.3 %`, and `< 0.1 %` where rounding would say none.
pub fn percent(share: f64) -> String {
    match share {
        0.0 => "0 %".to_owned(),
        small if small > 0.0 && small < 0.0005 => "< 0.1 %".to_owned(),
        share => fixed(share * 100.0, 1) + " %",
    }
}

/// With a capital letter.
pub fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

/// Seconds: `0.4 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`.
pub fn duration(seconds: f64) -> String {
    if seconds < 9.95 {
        return fixed(seconds, 1) + " s";
    }
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => pair((whole / 60, "min"), (whole % 60, "s")),
        3600..86_400 => pair((whole / 3600, "h"), (whole % 3600 / 60, "min")),
        _ => pair((whole / 86_400, "d"), (whole % 86_400 / 3600, "h")),
    }
}

/// The second part only where it says something.
fn pair(large: (u64, &str), small: (u64, &str)) -> String {
    match small.0 {
        0 => format!("{} {}", large.0, large.1),
        part => format!("{} {} {part} {}", large.0, large.1, small.1),
    }
}

/// Whole numbers in groups of three, with thin spaces: `25 000`.
pub fn grouped(value: usize) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A thing so many times: `1 row`, `3 rows`.
pub fn times(number: usize, thing: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {thing}{ending}", grouped(number))
}

/// At most so many characters; what is left out of the middle is an ellipsis.
pub fn shorten(text: &str, most: usize) -> String {
    let letters: Vec<char> = text.chars().collect();
    if letters.len() <= most {
        return text.to_owned();
    }
    // The end of a name (a size, a `:N`) tells more than its middle.
    let tail = most / 2;
    let head = most - tail - 1;
    letters[..head].iter().chain(['…'].iter()).chain(&letters[letters.len() - tail..]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_readable() {
        assert_eq!(duration(4.26), "4.3 s");
        assert_eq!(duration(59.7), "1 min");
        assert_eq!(duration(200.0), "3 min 20 s");
        assert_eq!(duration(7500.0), "2 h 5 min");
        assert_eq!(duration(273_600.0), "3 d 4 h");
    }
}
