//! The `grpc-timeout` header: how long a caller still waits, in at most eight digits and a unit.

use std::time::Duration;

use http::HeaderValue;

/// A value that is no time-out: not one to eight digits and one of the units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Reads a time-out.
///
/// # Errors
/// It is not one to eight digits and one of `H M S m u n`.
pub(super) fn parse(value: &[u8]) -> Result<Duration, Malformed> {
    let (unit, digits) = value.split_last().ok_or(Malformed)?;
    if digits.is_empty() || digits.len() > MAX_DIGITS || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Malformed);
    }
    let number = digits
        .iter()
        .fold(0_u64, |number, digit| number * 10 + u64::from(digit - b'0'));
    Ok(match unit {
        b'H' => Duration::from_secs(number * 3600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return Err(Malformed),
    })
}

/// A time-out in the finest unit that has room for it, never shorter than it is; `None` for one that is too long for any unit.
pub(super) fn format(timeout: Duration) -> Option<HeaderValue> {
    let ns = timeout.as_nanos();
    let (number, unit) = UNITS
        .iter()
        .map(|(unit_ns, unit)| (ns.div_ceil(*unit_ns), unit))
        .find(|(number, _)| *number < 10_u128.pow(MAX_DIGITS as u32))?;
    let text = format!("{number}{unit}");
    Some(HeaderValue::from_maybe_shared(bytes::Bytes::from(text)).expect("digits and a letter"))
}

const MAX_DIGITS: usize = 8;

const UNITS: [(u128, char); 6] = [
    (1, 'n'),
    (1_000, 'u'),
    (1_000_000, 'm'),
    (1_000_000_000, 'S'),
    (60_000_000_000, 'M'),
    (3_600_000_000_000, 'H'),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_read() {
        for (text, expected) in [
            ("1H", Duration::from_secs(3600)),
            ("2M", Duration::from_secs(120)),
            ("99999999S", Duration::from_secs(99_999_999)),
            ("5m", Duration::from_millis(5)),
            ("6u", Duration::from_micros(6)),
            ("07n", Duration::from_nanos(7)),
            ("0S", Duration::ZERO),
        ] {
            assert_eq!(parse(text.as_bytes()), Ok(expected), "{text}");
        }
        for text in [
            "",
            "1",
            "S",
            "1s",
            "-1S",
            "1.5S",
            " 1S",
            "1 S",
            "123456789S",
            "1HS",
            "+1S",
        ] {
            assert_eq!(parse(text.as_bytes()), Err(Malformed), "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_back_and_never_shorter() {
        for timeout in [
            Duration::ZERO,
            Duration::from_nanos(1),
            Duration::from_nanos(99_999_999),
            Duration::from_nanos(100_000_001),
            Duration::from_secs(60),
            Duration::from_secs(99_999_999) + Duration::from_nanos(1),
            Duration::from_secs(200 * 365 * 24 * 3600),
        ] {
            let text = format(timeout).unwrap();
            assert!(text.len() <= MAX_DIGITS + 1, "{text:?}");
            let back = parse(text.as_bytes()).unwrap();
            assert!(back >= timeout, "{timeout:?} became {back:?}");
            assert!(back <= timeout + timeout / 10_000);
        }
        assert_eq!(format(Duration::from_secs(60)).unwrap(), "60000000u");
        assert_eq!(format(Duration::MAX), None);
    }
}
