//! [`Call`]: the four shapes of a call, and the one-way call, on the server: decode, run the handler, encode.
//! Which method a call is for is the generated code's business, deadlines of the response future and panics are `guard`'s.

use std::{
    mem,
    pin::Pin,
    task::{Context as TaskContext, Poll, ready},
};

use bytes::Bytes;

use super::guard::catch;
use crate::{
    call::{
        Batch, Body, BodyStream, CallError, Coding, Context, Encoded, Expiry, Method, Request,
        Response, Side, Streaming, check_metadata,
    },
    dispatch::BoxFuture,
    metadata::Metadata,
    method::MethodDescriptor,
    status::{Result, Status},
    wire::metadata_fits,
};

/// One incoming call, already resolved to a method of the service.
#[derive(Debug)]
pub struct Call {
    request: Request,
    method: &'static MethodDescriptor,
    context: Ended,
}

#[allow(
    clippy::manual_async_fn,
    reason = "an async fn keeps its arguments twice, and they are most of a call's memory"
)]
impl Call {
    pub(super) const fn new(request: Request, method: &'static MethodDescriptor) -> Self {
        Self {
            request,
            method,
            context: Ended(None),
        }
    }

    /// The place of the method in the service's descriptor.
    #[must_use]
    pub const fn index(&self) -> usize {
        self.method.index
    }

    /// The context for the handler; only asked for where the method takes one.
    pub fn context(&mut self) -> Context {
        let request = &mut self.request;
        self.context
            .0
            .get_or_insert_with(|| Context::of(request))
            .clone()
    }

    /// One request, one response.
    ///
    /// # Errors
    /// The handler's, or why the request could not be read or the response not be sent.
    pub fn unary<Q, R, E, F, Fut>(
        mut self,
        handler: F,
    ) -> impl Future<Output = Result<Response>> + Send
    where
        Q: Send + 'static,
        R: Send + 'static,
        E: CallError,
        F: FnOnce(Q) -> Fut + Send,
        Fut: Future<Output = Result<R, E>> + Send,
    {
        async move {
            let request = match self.request.body.take_one() {
                Some(message) => self.decode(message)?,
                None => self.read_one().await?,
            };
            let response = handler(request).await;
            self.answer(response)
        }
    }

    // The shapes that stream are boxed: the future of a service has room for its largest method, and each call pays for it.

    /// One request, many responses.
    ///
    /// # Errors
    /// The handler's, or why the request could not be read.
    pub fn server_streaming<'f, Q, R, E, E2, F, Fut>(
        mut self,
        handler: F,
    ) -> BoxFuture<'f, Result<Response>>
    where
        Q: Send + 'static,
        R: Send + 'static,
        E: CallError + 'f,
        E2: CallError + 'f,
        F: FnOnce(Q) -> Fut + Send + 'f,
        Fut: Future<Output = Result<Streaming<R, E2>, E>> + Send + 'f,
    {
        Box::pin(async move {
            let request = self.read_one().await?;
            let responses = handler(request).await;
            self.answer_stream(responses)
        })
    }

    /// Many requests, one response.
    ///
    /// # Errors
    /// The handler's, or why the response could not be sent. What is wrong with a request is an item of the handler's stream.
    pub fn client_streaming<'f, Q, R, E, E3, F, Fut>(
        mut self,
        handler: F,
    ) -> BoxFuture<'f, Result<Response>>
    where
        Q: Send + 'static,
        R: Send + 'static,
        E: CallError + 'f,
        E3: CallError + 'f,
        F: FnOnce(Streaming<Q, E3>) -> Fut + Send + 'f,
        Fut: Future<Output = Result<R, E>> + Send + 'f,
    {
        Box::pin(async move {
            let requests = self.read_stream();
            let response = handler(requests).await;
            self.answer(response)
        })
    }

    /// Many requests and many responses, independently.
    ///
    /// # Errors
    /// The handler's. What is wrong with a request is an item of the handler's stream.
    pub fn bidirectional<'f, Q, R, E, E2, E3, F, Fut>(
        mut self,
        handler: F,
    ) -> BoxFuture<'f, Result<Response>>
    where
        Q: Send + 'static,
        R: Send + 'static,
        E: CallError + 'f,
        E2: CallError + 'f,
        E3: CallError + 'f,
        F: FnOnce(Streaming<Q, E3>) -> Fut + Send + 'f,
        Fut: Future<Output = Result<Streaming<R, E2>, E>> + Send + 'f,
    {
        Box::pin(async move {
            let requests = self.read_stream();
            let responses = handler(requests).await;
            self.answer_stream(responses)
        })
    }

    /// One request, nothing answered but, where the transport waits for an answer, that the handler is done.
    ///
    /// # Errors
    /// Why the request could not be read.
    pub fn oneway<Q, F, Fut>(mut self, handler: F) -> impl Future<Output = Result<Response>> + Send
    where
        Q: Send + 'static,
        F: FnOnce(Q) -> Fut + Send,
        Fut: Future<Output = ()> + Send,
    {
        async move {
            let request = self.read_one().await?;
            handler(request).await;
            // `google.protobuf.Empty`, which has no bytes; of use over gRPC alone.
            self.finish(Body::one(Bytes::new()))
        }
    }

    /// What is answered for a method that the generated code does not know.
    ///
    /// # Errors
    /// Always `UNIMPLEMENTED`.
    pub fn unimplemented(self) -> Result<Response> {
        Err(super::lookup::no_such_method(
            self.method.service().name,
            self.method.name(),
        ))
    }

    /// Reads a request that must be exactly one message.
    async fn read_one<Q: Send + 'static>(&mut self) -> Result<Q> {
        let path = self.method.path;
        let body = &mut self.request.body;
        let is_stream = body.is_stream();
        let message = match body.next().await {
            Some(message) => message?,
            None => return Err(wrong_number(path, "no message")),
        };
        if is_stream && let Some(extra) = body.next().await {
            extra?;
            return Err(wrong_number(path, "more than one message"));
        }
        self.decode(message)
    }

    fn decode<Q: 'static>(&self, message: Bytes) -> Result<Q> {
        Coding::of_requests(self.method).decode(
            message,
            self.request.codec,
            self.method.message_limit_bytes(),
            self.method.path,
        )
    }

    fn read_stream<Q: Send + 'static, E: CallError>(&mut self) -> Streaming<Q, E> {
        Streaming::from_body(
            mem::replace(&mut self.request.body, Body::empty()),
            self.request.codec,
            self.method.message_limit_bytes(),
            self.method.path,
            Coding::of_requests(self.method).decoder(),
        )
    }

    fn answer<R: Send + 'static, E: CallError>(self, response: Result<R, E>) -> Result<Response> {
        let encoded = response.map_err(Into::into).and_then(|response| {
            Coding::of_responses(self.method).encode_owned(
                response,
                self.request.codec,
                self.method.message_limit_bytes(),
                self.method.path,
            )
        });
        match encoded {
            Ok(message) => self.finish(Body::one(message)),
            Err(status) => Err(self.context.fail(status)),
        }
    }

    fn answer_stream<R, E, E2>(mut self, responses: Result<Streaming<R, E2>, E>) -> Result<Response>
    where
        R: Send + 'static,
        E: CallError,
        E2: CallError,
    {
        let stream = responses.map_err(|error| self.context.fail(error.into()))?;
        let metadata = self.context.headers(self.method)?;
        let body = Body::stream(Responses {
            stream: Encoded::new(
                stream,
                Coding::of_responses(self.method),
                self.request.codec,
                self.method.message_limit_bytes(),
                self.method.path,
            ),
            method: self.method,
            // The deadline may have passed while the handler returned; then that is the first thing that the stream says.
            expiry: Expiry::new(
                Method::Known(self.method),
                Side::Server,
                self.request.deadline,
                None,
            ),
            context: mem::take(&mut self.context),
            trailers: Metadata::new(),
        });
        Ok(Response { metadata, body })
    }

    fn finish(self, body: Body) -> Result<Response> {
        Ok(Response {
            metadata: self.context.headers(self.method)?,
            body: body.with_trailers(self.context.trailers(self.method)?),
        })
    }
}

/// The messages of a response stream: encoded, until the stream ends, fails, panics, or reaches the deadline.
struct Responses<R: 'static, E> {
    stream: Encoded<R, E>,
    method: &'static MethodDescriptor,
    expiry: Result<Expiry>,
    context: Ended,
    /// Taken from the context at a good end.
    trailers: Metadata,
}

impl<R, E> Unpin for Responses<R, E> {}

impl<R: Send + 'static, E: CallError> BodyStream for Responses<R, E> {
    fn poll_message(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Result<Bytes>>> {
        self.get_mut().poll(cx, |stream, path, cx| {
            catch(path, || stream.poll_message(cx))
                .unwrap_or_else(|panicked| Poll::Ready(Some(Err(panicked))))
        })
    }

    fn poll_batch(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Result<Batch>>> {
        self.get_mut().poll(cx, |stream, path, cx| {
            catch(path, || stream.poll_batch(cx)).unwrap_or_else(|panicked| stream.fail(panicked))
        })
    }

    fn trailers(self: Pin<&mut Self>) -> Metadata {
        mem::take(&mut self.get_mut().trailers)
    }
}

impl<R: Send + 'static, E: CallError> Responses<R, E> {
    fn poll<T>(
        &mut self,
        cx: &mut TaskContext<'_>,
        poll: impl FnOnce(
            &mut Encoded<R, E>,
            &'static str,
            &mut TaskContext<'_>,
        ) -> Poll<Option<Result<T>>>,
    ) -> Poll<Option<Result<T>>> {
        let end = match &mut self.expiry {
            Err(status) => Err(status.clone()),
            // A stream that is always ready would never let a timer be seen.
            Ok(expiry) => match expiry.check() {
                Some(status) => Err(status),
                None => match poll(&mut self.stream, self.method.path, cx) {
                    Poll::Ready(Some(Ok(messages))) => return Poll::Ready(Some(Ok(messages))),
                    Poll::Ready(Some(Err(status))) => Err(status),
                    Poll::Ready(None) => self.context.trailers(self.method),
                    Poll::Pending => Err(ready!(expiry.poll(cx))),
                },
            },
        };
        Poll::Ready(match end {
            Ok(trailers) => {
                self.trailers = trailers;
                None
            }
            Err(status) => Some(Err(self.context.fail(status))),
        })
    }
}

/// The handler's context, if it asked for one; it ends with the call, however that ends.
#[derive(Debug, Default)]
struct Ended(Option<Context>);

impl Ended {
    /// What the handler set as initial metadata.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` if it is more than a transport carries.
    fn headers(&self, method: &MethodDescriptor) -> Result<Metadata> {
        self.take(method, Context::take_headers)
    }

    /// What the handler set as trailing metadata.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` if it is more than a transport carries.
    fn trailers(&self, method: &MethodDescriptor) -> Result<Metadata> {
        self.take(method, Context::take_trailers)
    }

    fn take(
        &self,
        method: &MethodDescriptor,
        take: impl FnOnce(&Context) -> Metadata,
    ) -> Result<Metadata> {
        let Some(context) = &self.0 else {
            return Ok(Metadata::new());
        };
        let metadata = take(context);
        check_metadata(&metadata, method.path, "response")?;
        Ok(metadata)
    }

    /// The status of a call whose handler has failed. What that wanted to send is added: a call that fails has one block of metadata,
    /// its last.
    fn fail(&self, status: Status) -> Status {
        let mut status = status.of_handler();
        let Some(context) = &self.0 else {
            return status;
        };
        let mut metadata = mem::take(status.metadata_mut());
        metadata.extend(context.take_headers());
        metadata.extend(context.take_trailers());
        if metadata_fits(&metadata) {
            status.with_metadata(metadata)
        } else {
            tracing::warn!(%status, "the metadata of a status is too large and was left out");
            status
        }
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        if let Some(context) = &self.0 {
            context.end();
        }
    }
}

/// The code that the gRPC document gives for the wrong number of messages.
fn wrong_number(path: &str, got: &str) -> Status {
    Status::unimplemented(format!(
        "{path} takes exactly one request message, and got {got}"
    ))
}
