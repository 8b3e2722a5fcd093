//! Settings of a function: environment variables, where an empty one is none.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// What a variable says.
pub fn text(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The number that a variable gives, or `default` where it is not set. The error names the variable and what it may be.
pub fn number<T: FromStr + PartialOrd + Display>(
    name: &str,
    range: RangeInclusive<T>,
    default: T,
) -> Result<T, String> {
    parse(name, text(name), range, default)
}

fn parse<T: FromStr + PartialOrd + Display>(
    name: &str,
    value: Option<String>,
    range: RangeInclusive<T>,
    default: T,
) -> Result<T, String> {
    let Some(value) = value else { return Ok(default) };
    let number = value.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("{name} `{value}`: a number from {} to {}", range.start(), range.end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_outside_its_range_is_named() {
        let read = |value: &str| parse("MIN_SCORE", Some(value.to_owned()), 0.05..=0.95, 0.5);
        assert_eq!(read("0.3"), Ok(0.3));
        for wrong in ["2", "NaN", "half"] {
            assert_eq!(read(wrong).unwrap_err(), format!("MIN_SCORE `{wrong}`: a number from 0.05 to 0.95"));
        }
        assert_eq!(parse("SIDE", None, 1..=9, 7), Ok(7));
    }
}
