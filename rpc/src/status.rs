//! [`Status`]: how a call that failed says so, on every transport.

use std::{error::Error as StdError, fmt, sync::Arc};

use bytes::Bytes;

use crate::{code::Code, metadata::Metadata};

/// What a call returns; the error is [`Status`] unless another one is named.
pub type Result<T, E = Status> = std::result::Result<T, E>;

/// Why a call failed: a [`Code`], a message for people, details for programs, metadata, and the source where there is one.
///
/// One pointer in size, so that a `Result<T>` stays small. The source stays on this side: it is never sent.
#[derive(Clone)]
pub struct Status(Box<Inner>);

#[derive(Clone)]
struct Inner {
    code: Code,
    message: String,
    details: Vec<Detail>,
    metadata: Metadata,
    source: Option<Arc<dyn StdError + Send + Sync>>,
    accepted: bool,
    wrong_codec: bool,
}

/// A typed detail of a [`Status`], as
/// [`google.protobuf.Any`](https://protobuf.dev/programming-guides/proto3/#any) has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detail {
    /// Names the type of `value`: `type.googleapis.com/` and the full name of the message.
    pub type_url: String,
    /// The message's protobuf bytes.
    pub value: Bytes,
}

macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident => $code:ident;)*) => {
        impl Status {
            $(
                $(#[$doc])*
                #[must_use]
                pub fn $name(message: impl Into<String>) -> Self {
                    Self::new(Code::$code, message)
                }
            )*
        }
    };
}

constructors! {
    /// [`Code::Cancelled`].
    cancelled => Cancelled;
    /// [`Code::Unknown`].
    unknown => Unknown;
    /// [`Code::InvalidArgument`].
    invalid_argument => InvalidArgument;
    /// [`Code::DeadlineExceeded`].
    deadline_exceeded => DeadlineExceeded;
    /// [`Code::NotFound`].
    not_found => NotFound;
    /// [`Code::AlreadyExists`].
    already_exists => AlreadyExists;
    /// [`Code::PermissionDenied`].
    permission_denied => PermissionDenied;
    /// [`Code::ResourceExhausted`].
    resource_exhausted => ResourceExhausted;
    /// [`Code::FailedPrecondition`].
    failed_precondition => FailedPrecondition;
    /// [`Code::Aborted`].
    aborted => Aborted;
    /// [`Code::OutOfRange`].
    out_of_range => OutOfRange;
    /// [`Code::Unimplemented`].
    unimplemented => Unimplemented;
    /// [`Code::Internal`].
    internal => Internal;
    /// [`Code::Unavailable`].
    unavailable => Unavailable;
    /// [`Code::DataLoss`].
    data_loss => DataLoss;
    /// [`Code::Unauthenticated`].
    unauthenticated => Unauthenticated;
}

impl Status {
    /// A status with this code and message.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            code,
            message: message.into(),
            details: Vec::new(),
            metadata: Metadata::new(),
            source: None,
            accepted: true,
            wrong_codec: false,
        }))
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The message for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The details for programs.
    #[must_use]
    pub fn details(&self) -> &[Detail] {
        &self.0.details
    }

    /// The metadata that came with the status: the trailing metadata of the call.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.0.metadata
    }

    /// The metadata, to change.
    pub fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.0.metadata
    }

    /// Whether the server may have begun to work on the call.
    ///
    /// `false` only where it is certain that it did not, so that even a call that is not idempotent can be sent again.
    #[must_use]
    pub fn was_accepted(&self) -> bool {
        self.0.accepted
    }

    /// The call was encoded in a codec that the connection, opened since, cannot carry: the caller encodes it anew, in the codec
    /// that the channel names now. Transports answer it, and send nothing.
    #[must_use]
    pub(crate) fn wrong_codec(path: &str) -> Self {
        let mut status = Self::unavailable(format!(
            "{path}: the server was replaced by one with another schema while the call was being sent; call again"
        ))
        .with_not_accepted();
        status.0.wrong_codec = true;
        status
    }

    /// Whether this is [`wrong_codec`](Self::wrong_codec), which only the one who encoded the call can put right.
    pub(crate) fn is_wrong_codec(&self) -> bool {
        self.0.wrong_codec
    }

    /// Adds a detail.
    #[must_use]
    pub fn with_detail(mut self, detail: Detail) -> Self {
        self.0.details.push(detail);
        self
    }

    /// Sets the metadata.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.0.metadata = metadata;
        self
    }

    /// Names the error that is behind this status; it is kept on this side.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(Arc::from(source.into()));
        self
    }

    /// Says that no handler saw the call: see [`was_accepted`](Self::was_accepted).
    #[must_use]
    pub fn with_not_accepted(mut self) -> Self {
        self.0.accepted = false;
        self
    }

    /// As what a handler failed with, whoever said so to it: that another server did not accept a call says nothing of the call
    /// that the handler is for, which it has accepted.
    #[must_use]
    pub(crate) fn of_handler(mut self) -> Self {
        self.0.accepted = true;
        self.0.wrong_codec = false;
        self
    }

    /// Says that a handler may have seen the call, if not on this attempt.
    #[must_use]
    pub(crate) fn with_accepted(mut self) -> Self {
        self.0.accepted = true;
        self
    }
}

/// One line for people, as `main` prints the error that it returns; with `{:#?}` all fields.
impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !f.alternate() {
            return self.fmt_line(f);
        }
        let Inner {
            code,
            message,
            details,
            metadata,
            source,
            accepted,
            wrong_codec: _,
        } = &*self.0;
        let mut out = f.debug_struct("Status");
        out.field("code", code).field("message", message);
        if !details.is_empty() {
            out.field("details", details);
        }
        if !metadata.is_empty() {
            out.field("metadata", metadata);
        }
        if let Some(source) = source {
            out.field("source", source);
        }
        if !accepted {
            out.field("accepted", accepted);
        }
        out.finish()
    }
}

impl Status {
    /// What [`Display`](fmt::Display) says, and then whatever else there is. Sources by what they say, not by how they are made.
    fn fmt_line(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        fmt::Display::fmt(self, f)?;
        let mut said = inner.message.clone();
        let mut source = StdError::source(self);
        for _ in 0..MAX_SOURCES {
            let Some(error) = source else { break };
            let says = error.to_string();
            // Many messages end with what their source says.
            let new = error.downcast_ref().map_or(&*says, Self::message);
            if !said.contains(new) {
                write!(f, "; caused by: {says}")?;
                said = says;
            }
            source = error.source();
        }
        if !inner.accepted {
            f.write_str("; not accepted")?;
        }
        if !inner.details.is_empty() {
            let types = inner.details.iter().map(|detail| &detail.type_url);
            f.write_str("; details: ")?;
            f.debug_list().entries(types).finish()?;
        }
        if !inner.metadata.is_empty() {
            write!(f, "; metadata: {:?}", inner.metadata)?;
        }
        Ok(())
    }
}

/// How far down the sources of an error are printed.
const MAX_SOURCES: usize = 16;

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.code)?;
        if !self.0.message.is_empty() {
            write!(f, ": {}", self.0.message)?;
        }
        Ok(())
    }
}

impl StdError for Status {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}

impl From<crate::metadata::InvalidMetadata> for Status {
    fn from(error: crate::metadata::InvalidMetadata) -> Self {
        Self::invalid_argument(error.to_string()).with_source(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_one_pointer() {
        assert_eq!(size_of::<Status>(), size_of::<usize>());
        assert_eq!(size_of::<Result<()>>(), size_of::<usize>());
    }

    #[test]
    fn the_source_is_kept() {
        let status = Status::internal("disk").with_source(std::io::Error::other("broken"));
        assert_eq!(status.to_string(), "INTERNAL: disk");
        assert_eq!(status.source().unwrap().to_string(), "broken");
    }

    #[test]
    fn its_debug_is_a_line_for_people_with_only_what_there_is() {
        let status = Status::not_found("no such thing");
        assert_eq!(format!("{status:?}"), "NOT_FOUND: no such thing");
        let mut metadata = Metadata::new();
        metadata.append("trace", "7").unwrap();
        let status = Status::internal("disk")
            .with_not_accepted()
            .with_metadata(metadata)
            .with_detail(Detail {
                type_url: "type.googleapis.com/a.B".into(),
                value: Bytes::from_static(b"not for people"),
            })
            .with_source(Status::unavailable("gone").with_source(std::io::Error::other("broken")));
        assert_eq!(
            format!("{status:?}"),
            "INTERNAL: disk; caused by: UNAVAILABLE: gone; caused by: broken; not accepted; \
             details: [\"type.googleapis.com/a.B\"]; metadata: {\"trace\": b\"7\"}"
        );
        let fields = format!("{status:#?}");
        assert!(fields.contains("code: Internal"), "{fields}");
        assert!(fields.contains("not for people"), "{fields}");
    }

    #[test]
    fn its_debug_does_not_repeat_a_source_that_the_message_has() {
        let repeated = Status::internal("/a/B: disk: broken").with_source(
            Status::internal("disk: broken").with_source(std::io::Error::other("broken")),
        );
        assert_eq!(format!("{repeated:?}"), "INTERNAL: /a/B: disk: broken");
    }
}
