//! Reads the values of settings: names, times, sizes, priorities, codes. Which setting has which value is said in `settings`.

use std::time::Duration;

use syn::{Ident, LitStr};

use super::list::{Setting, unknown};
use crate::{errors::Errors, name::is_proto_name};

/// The value of `package = ".."`.
pub(super) fn package(setting: &Setting, errors: &Errors) -> Option<String> {
    let text = setting.text("demo.v1", errors)?;
    if text.value().split('.').all(is_proto_name) {
        return Some(text.value());
    }
    errors.at(text, "not a protobuf package: write names joined by dots, each of ASCII letters, digits and `_` and not beginning with a digit, like \"demo.v1\"");
    None
}

pub(super) fn wire_name(setting: &Setting, example: &str, errors: &Errors) -> Option<String> {
    let text = setting.text(example, errors)?;
    if is_proto_name(&text.value()) {
        Some(text.value())
    } else {
        errors.at(
            text,
            format_args!("not a protobuf name: write ASCII letters, digits and `_`, not beginning with a digit, like \"{example}\""),
        );
        None
    }
}

pub(super) fn reported<T>(text: &LitStr, value: Result<T, String>, errors: &Errors) -> Option<T> {
    value.map_err(|message| errors.at(text, message)).ok()
}

pub(super) fn deadline(text: &str) -> Result<Duration, String> {
    let form =
        "write a whole number and its unit, `us`, `ms`, `s`, `m` or `h`, like \"5s\" or \"250ms\"";
    let duration = quantity(text).and_then(|(number, unit)| {
        Some(match unit {
            "us" => Duration::from_micros(number),
            "ms" => Duration::from_millis(number),
            "s" => Duration::from_secs(number),
            "m" => Duration::from_secs(number.checked_mul(60)?),
            "h" => Duration::from_secs(number.checked_mul(3600)?),
            _ => return None,
        })
    });
    match duration {
        None => Err(format!("not a deadline: {form}")),
        Some(Duration::ZERO) => Err(
            "a deadline of nothing would fail every call: write how long a call may take".into(),
        ),
        Some(duration) if duration > MAX_DEADLINE => {
            Err("longer than a year: leave the deadline out if calls may take for ever".into())
        }
        Some(duration) => Ok(duration),
    }
}

pub(super) fn priority(text: &LitStr) -> Result<Ident, String> {
    let variant = match text.value().as_str() {
        "bulk" => "Bulk",
        "normal" => "Normal",
        "high" => "High",
        "critical" => "Critical",
        other => return Err(unknown("priority", &other, PRIORITIES)),
    };
    Ok(Ident::new(variant, proc_macro2::Span::call_site()))
}

pub(super) fn bytes(text: &str) -> Result<usize, String> {
    let bytes = quantity(text).and_then(|(number, unit)| {
        let unit = match unit {
            "B" | "" => 1,
            "KiB" => 1024,
            "MiB" => 1024 * 1024,
            _ => return None,
        };
        number.checked_mul(unit)
    });
    match bytes {
        None => Err(
            "not a size: write a whole number and its unit, `B`, `KiB` or `MiB`, like \"64KiB\""
                .into(),
        ),
        Some(0) => Err("a limit of nothing would refuse every message: write how many bytes a message may have".into()),
        Some(bytes) if bytes > MAX_MESSAGE_BYTES => Err(format!(
            "more than a message can have: at most {} MiB; send more as a stream",
            MAX_MESSAGE_BYTES / 1024 / 1024
        )),
        Some(bytes) => usize::try_from(bytes).map_err(|error| error.to_string()),
    }
}

/// A number and the unit behind it.
fn quantity(text: &str) -> Option<(u64, &str)> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.trim_start()))
}

pub(super) fn code(text: &LitStr) -> Result<Ident, String> {
    let name = text.value();
    match name.as_str() {
        "OK" => Err("an error is not OK: name the code of the failure, like \"NOT_FOUND\"".into()),
        name if CODES.contains(&name) => {
            let variant = name
                .split('_')
                .map(|word| word[..1].to_owned() + &word[1..].to_lowercase())
                .collect::<String>();
            Ok(Ident::new(&variant, text.span()))
        }
        name => Err(unknown("code", &name, CODES)),
    }
}

const CODES: &[&str] = &[
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

const PRIORITIES: &[&str] = &["bulk", "normal", "high", "critical"];

/// The longest deadline that can be written: a year.
const MAX_DEADLINE: Duration = Duration::from_secs(365 * 24 * 3600);

/// What a transport carries at most in one message.
const MAX_MESSAGE_BYTES: u64 = 10 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_have_units() {
        let check = |text, expected| assert_eq!(deadline(text).ok(), expected, "{text}");
        check("5s", Some(Duration::from_secs(5)));
        check("250ms", Some(Duration::from_millis(250)));
        check("7us", Some(Duration::from_micros(7)));
        check("2 m", Some(Duration::from_secs(120)));
        check("8760h", Some(MAX_DEADLINE));
        for wrong in [
            "",
            "s",
            "5",
            "5 sec",
            "-5s",
            "1.5s",
            "0ms",
            "8761h",
            "18446744073709551615h",
            "18446744073709551616s",
        ] {
            check(wrong, None);
        }
    }

    #[test]
    fn sizes_have_units() {
        let check = |text, expected| assert_eq!(bytes(text).ok(), expected, "{text}");
        check("10", Some(10));
        check("10B", Some(10));
        check("64KiB", Some(65_536));
        check("10 MiB", Some(10_485_760));
        for wrong in [
            "",
            "MiB",
            "0",
            "1kb",
            "1MB",
            "11MiB",
            "10485761",
            "18446744073709551615MiB",
        ] {
            check(wrong, None);
        }
    }

    #[test]
    fn codes_are_named_as_in_the_grpc_document() {
        let check = |text: &str, expected: Option<&str>| {
            let literal = LitStr::new(text, proc_macro2::Span::call_site());
            let found = code(&literal).ok().map(|ident| ident.to_string());
            assert_eq!(found.as_deref(), expected, "{text}");
        };
        check("NOT_FOUND", Some("NotFound"));
        check("DATA_LOSS", Some("DataLoss"));
        check("ABORTED", Some("Aborted"));
        check("OK", None);
        check("NotFound", None);
    }
}
