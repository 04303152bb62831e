//! [`TraceContext`]: the trace that a call belongs to, as metadata carries it. Spans are not known here.

use std::fmt;

use super::names::{TRACEPARENT, TRACESTATE};
use crate::{metadata::Metadata, random::random_u64};

/// The trace that a call belongs to, as the
/// [W3C recommendation](https://www.w3.org/TR/trace-context/) has it: the trace, the span of the caller, and flags.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// Names the trace; never zero.
    pub trace_id: u128,
    /// Names the caller's span; never zero.
    pub span_id: u64,
    /// Bit 0: the caller may have recorded its span.
    pub flags: u8,
}

impl TraceContext {
    /// A new trace.
    #[must_use]
    pub fn generate(sampled: bool) -> Self {
        Self {
            // At least one bit set: all zero is no identifier.
            trace_id: u128::from(random_u64() | 1) << 64 | u128::from(random_u64()),
            span_id: random_u64() | 1,
            flags: u8::from(sampled),
        }
    }

    /// Another span of the same trace.
    #[must_use]
    pub fn child(self) -> Self {
        Self {
            span_id: random_u64() | 1,
            ..self
        }
    }

    /// The trace that a request belongs to, if its metadata says so rightly.
    #[must_use]
    pub fn extract(metadata: &Metadata) -> Option<Self> {
        Self::parse(metadata.get(TRACEPARENT)?)
    }

    /// Writes the trace to the metadata of a request, over what is there.
    pub fn inject(self, metadata: &mut Metadata) {
        metadata
            .insert(TRACEPARENT, self.to_string())
            .expect("hexadecimal digits and dashes are text");
    }

    /// What `metadata` says, or else a new trace. The state of tracing systems stays only with the trace it is of.
    #[must_use]
    pub fn extract_or_generate(metadata: &mut Metadata, sampled: bool) -> Self {
        Self::extract(metadata).unwrap_or_else(|| {
            metadata.remove(TRACESTATE);
            Self::generate(sampled)
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let (fixed, rest) = text.split_at_checked(FIXED_LEN)?;
        let mut parts = fixed.split('-');
        let version = hex(parts.next()?, 2)?;
        let trace_id = hex(parts.next()?, 32)?;
        let span_id = hex(parts.next()?, 16)?;
        let flags = hex(parts.next()?, 2)?;
        // A later version may say more, after a dash.
        let ends_well = rest.is_empty() || (version > 0 && rest.starts_with('-'));
        if !ends_well || version == 0xff || trace_id == 0 || span_id == 0 {
            return None;
        }
        Some(Self {
            trace_id,
            span_id: u64::try_from(span_id).ok()?,
            flags: u8::try_from(flags).ok()?,
        })
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            trace_id,
            span_id,
            flags,
        } = self;
        write!(f, "00-{trace_id:032x}-{span_id:016x}-{flags:02x}")
    }
}

impl fmt::Debug for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn hex(digits: &str, len: usize) -> Option<u128> {
    let lower_case = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
    if digits.len() != len || !digits.bytes().all(lower_case) {
        return None;
    }
    u128::from_str_radix(digits, 16).ok()
}

/// `00-`, 32 digits, `-`, 16 digits, `-`, 2 digits.
const FIXED_LEN: usize = 55;

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    #[test]
    fn what_is_a_traceparent_and_what_is_not() {
        let zeros = "0".repeat(32);
        for (text, is_one) in [
            (format!("00-{TRACE}-{SPAN}-01"), true),
            (format!("00-{TRACE}-{SPAN}-ff"), true),
            (format!("cc-{TRACE}-{SPAN}-01-what-comes"), true),
            (format!("00-{TRACE}-{SPAN}-01-no"), false),
            (format!("cc-{TRACE}-{SPAN}-01.no"), false),
            (format!("ff-{TRACE}-{SPAN}-01"), false),
            (format!("00-{zeros}-{SPAN}-01"), false),
            (format!("00-{TRACE}-{}-01", &zeros[..16]), false),
            (format!("00-{}-{SPAN}-01", TRACE.to_uppercase()), false),
            (format!("00-{TRACE}{SPAN}-01-"), false),
            (format!("00-{TRACE}-{SPAN}-0"), false),
            ("ü".repeat(60), false),
            (String::new(), false),
        ] {
            let parsed = TraceContext::parse(&text);
            assert_eq!(parsed.is_some(), is_one, "{text}");
            if let Some(parsed) = parsed {
                assert_eq!(parsed.to_string()[3..55], text[3..55]);
            }
        }
    }

    #[test]
    fn a_trace_survives_metadata() {
        let trace = TraceContext::generate(true);
        let mut metadata = Metadata::new();
        trace.inject(&mut metadata);
        assert_eq!(TraceContext::extract(&metadata), Some(trace));
        let child = trace.child();
        assert_eq!(child.trace_id, trace.trace_id);
        assert_ne!(child.span_id, trace.span_id);
        child.inject(&mut metadata);
        assert_eq!(metadata.len(), 1);
    }

    #[test]
    fn state_does_not_go_over_to_another_trace() {
        let mut metadata = Metadata::new();
        metadata.append(TRACEPARENT, "nonsense").unwrap();
        metadata.append(TRACESTATE, "vendor=1").unwrap();
        let _ = TraceContext::extract_or_generate(&mut metadata, false);
        assert_eq!(metadata.get(TRACESTATE), None);
    }
}
