//! [`Measure`]: counts every call in a [`Metrics`], until its stream ends. How the counts are kept and written is not known here.

use std::{pin::pin, sync::Arc};

use tokio::time::Instant;

use super::{
    follow::{Follow, count, follow},
    layer::as_inner,
};
use crate::{
    call::{Request, Response},
    code::Code,
    dispatch::{Dispatch, Layer},
    observe::{MethodMetrics, Metrics, Side},
    status::Result,
};

/// Counts every call, by side, service and method: how many ended with which code, how long they took, how many are in flight, and
/// the bytes of their messages.
///
/// On a server it belongs on the outside, added last, so that it counts what the other layers refuse too.
#[derive(Clone, Debug)]
pub struct Measure {
    metrics: Metrics,
    side: Side,
}

impl Measure {
    /// Counts calls that are made.
    #[must_use]
    pub fn client(metrics: &Metrics) -> Self {
        Self {
            metrics: metrics.clone(),
            side: Side::Client,
        }
    }

    /// Counts calls that are answered.
    #[must_use]
    pub fn server(metrics: &Metrics) -> Self {
        Self {
            metrics: metrics.clone(),
            side: Side::Server,
        }
    }
}

impl Layer for Measure {
    type Dispatch<D: Dispatch> = Measured<D>;

    fn layer<D: Dispatch>(&self, inner: D) -> Measured<D> {
        Measured {
            inner,
            measure: self.clone(),
        }
    }
}

/// A dispatch whose calls are counted: see [`Measure`].
#[derive(Clone, Debug)]
pub struct Measured<D> {
    inner: D,
    measure: Measure,
}

impl<D: Dispatch> Dispatch for Measured<D> {
    async fn dispatch(&self, mut request: Request) -> Result<Response> {
        let side = self.measure.side;
        let method = self.measure.metrics.of(side, request.method.descriptor());
        method.begin();
        let counting = Counting {
            method: Arc::clone(&method),
            side,
            began: Instant::now(),
        };
        request.body = count(request.body, move |bytes| match side {
            Side::Client => method.sent(bytes),
            Side::Server => method.received(bytes),
        });
        let deadline = request.deadline;
        follow(counting, deadline, pin!(self.inner.dispatch(request))).await
    }

    as_inner!();
}

struct Counting {
    method: Arc<MethodMetrics>,
    side: Side,
    began: Instant,
}

impl Follow for Counting {
    fn message(&self, bytes: usize) {
        match self.side {
            Side::Client => self.method.received(bytes),
            Side::Server => self.method.sent(bytes),
        }
    }

    fn end(&mut self, code: Code) {
        self.method.end(code, self.began.elapsed());
    }
}
