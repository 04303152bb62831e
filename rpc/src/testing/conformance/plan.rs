//! [`Plan`]: what a handler is to do in one call. Handlers and cases are in one process, so no plan travels, only its number.

use bytes::Bytes;

use crate::status::Status;

/// The metadata key that names the plan of a call.
pub(super) const PLAN: &str = "plan";

/// What a handler does in one call.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    /// Before it answers.
    pub(super) before: Vec<Act>,
    /// While its responses are read, one after the other; nothing is [`Act::Echo`] where there are requests.
    pub(super) during: Vec<Act>,
}

/// One thing that a handler does.
#[derive(Clone, Debug)]
pub(super) enum Act {
    /// Sets initial metadata; a key that ends in `-bin` has any bytes.
    Header(&'static str, Bytes),
    /// Sets trailing metadata.
    Trailer(&'static str, Bytes),
    /// Waits until the case says so.
    Wait,
    /// Waits for ever.
    Hang,
    /// Fails.
    Fail(Status),
    /// Panics.
    Panic,
    /// Makes a call of its own, with its context, by this plan, over the same transport.
    Call(usize),
    /// Reads so many requests.
    Read(usize),
    /// Answers a unary call with so many bytes, or a client's stream without reading on.
    Answer(usize),
    /// Gives so many items of so many bytes.
    Items(usize, usize),
    /// Gives items of so many bytes for ever.
    Endless(usize),
    /// Gives back each request.
    Echo,
    /// Lets another task read the requests, and waits for ever.
    Delegate,
}

impl Plan {
    pub(super) fn before(acts: impl Into<Vec<Act>>) -> Self {
        Self {
            before: acts.into(),
            during: Vec::new(),
        }
    }

    pub(super) fn during(acts: impl Into<Vec<Act>>) -> Self {
        Self {
            before: Vec::new(),
            during: acts.into(),
        }
    }
}
