//! [`Trace`]: one span a call, and the W3C trace context in its metadata. The only place that opens spans.

use std::pin::pin;

use tracing::{Span, field};

use super::{
    follow::{Follow, follow},
    layer::as_inner,
};
use crate::{
    call::{Request, Response},
    code::Code,
    dispatch::{Dispatch, Layer},
    observe::{Side, TraceContext, names},
    status::Result,
    wire::metadata_fits,
};

/// Opens one span a call, named `call`, that lasts until its stream ends, with the fields `side`, `service`, `method`, `peer`,
/// `code`, `trace_id`, `span_id` and `parent_id`.
///
/// The [W3C trace context](https://www.w3.org/TR/trace-context/) is read from the request's metadata, or a new trace begun where
/// there is none, and goes on with the call: to the handler's [`Context`](crate::Context), from there with `client.with(cx)` to the
/// calls that it makes, and so through the cluster.
#[derive(Clone, Copy, Debug)]
pub struct Trace {
    side: Side,
}

impl Trace {
    /// Spans of calls that are made.
    #[must_use]
    pub const fn client() -> Self {
        Self { side: Side::Client }
    }

    /// Spans of calls that are answered.
    #[must_use]
    pub const fn server() -> Self {
        Self { side: Side::Server }
    }

    fn open(self, request: &mut Request) -> Span {
        let (service, method) = match request.method.descriptor() {
            Some(method) => (method.service().name, method.name()),
            None => (names::UNKNOWN, names::UNKNOWN),
        };
        let side = self.side;
        let span = tracing::info_span!(
            "call",
            ?side,
            service,
            method,
            peer = field::Empty,
            code = field::Empty,
            trace_id = field::Empty,
            span_id = field::Empty,
            parent_id = field::Empty,
        );
        let came = TraceContext::extract(&request.metadata);
        let sampled = !span.is_disabled();
        let trace = TraceContext::extract_or_generate(&mut request.metadata, sampled).child();
        trace.inject(&mut request.metadata);
        // A call that is allowed without the trace is not refused for it.
        if came.is_none() && !metadata_fits(&request.metadata) {
            request.metadata.remove(names::TRACEPARENT);
        }
        if sampled {
            span.record(
                "trace_id",
                field::display(format_args!("{:032x}", trace.trace_id)),
            );
            span.record(
                "span_id",
                field::display(format_args!("{:016x}", trace.span_id)),
            );
            if let Some(came) = came {
                span.record(
                    "parent_id",
                    field::display(format_args!("{:016x}", came.span_id)),
                );
            }
            // Who will answer is not known on the client yet.
            if self.side == Side::Server {
                span.record("peer", field::display(&request.peer));
            }
        }
        span
    }
}

impl Layer for Trace {
    type Dispatch<D: Dispatch> = Traced<D>;

    fn layer<D: Dispatch>(&self, inner: D) -> Traced<D> {
        Traced {
            inner,
            trace: *self,
        }
    }
}

/// A dispatch whose calls have spans: see [`Trace`].
#[derive(Clone, Debug)]
pub struct Traced<D> {
    inner: D,
    trace: Trace,
}

impl<D: Dispatch> Dispatch for Traced<D> {
    async fn dispatch(&self, mut request: Request) -> Result<Response> {
        let span = self.trace.open(&mut request);
        let deadline = request.deadline;
        follow(InSpan(span), deadline, pin!(self.inner.dispatch(request))).await
    }

    as_inner!();
}

struct InSpan(Span);

impl Follow for InSpan {
    fn step<T>(&self, step: impl FnOnce() -> T) -> T {
        self.0.in_scope(step)
    }

    fn end(&mut self, code: Code) {
        self.0.record("code", code.name());
    }
}
