//! The four shapes of a call, and the one-way call, on the client: encode, dispatch, decode, each within the call's deadline.

use std::{future::poll_fn, pin::pin, sync::Arc, task::Poll};

use bytes::Bytes;

use super::{
    handle::Client,
    incoming::Responses,
    opening::Opening,
    options::{CallOptions, ResponseMetadata, after},
    outgoing::{Progress, Requests},
};
use crate::{
    call::{
        Batch, Body, CallError, Codec, Coding, Encoded, Expiry, Method, Request, Response, Side,
        Streaming,
    },
    dispatch::Dispatch,
    metadata::Metadata,
    method::MethodDescriptor,
    observe,
    status::{Result, Status},
};

impl<C: Dispatch> Client<C> {
    /// One request, one response.
    ///
    /// # Errors
    /// The status of the call, as the trait's own error.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the call: the handler is dropped too.
    pub async fn unary<Q, R, E>(
        &self,
        method: &'static MethodDescriptor,
        request: Q,
    ) -> Result<R, E>
    where
        Q: Send + 'static,
        R: Send + 'static,
        E: CallError,
    {
        // Flat, and boxed where something is out of the ordinary: this is the future of nearly all calls.
        let mut call = self.begin(method).map_err(E::from)?;
        let codec = self.channel.codec(method.service());
        let message = call.encode(codec, &request).map_err(E::from)?;
        let dispatched = call.request(codec, Body::one(message));
        let result = call
            .expiry
            .run(pin!(self.channel.dispatch(dispatched)))
            .await;
        match call.captured(result) {
            Ok(mut response) => match response.body.take_one() {
                Some(message) => call.decode(codec, message, response.body),
                None => Box::pin(self.read_one(&mut call, codec, response, None)).await,
            },
            Err(status) if status.is_wrong_codec() && codec != Codec::Protobuf => {
                Box::pin(async {
                    let (response, codec) = self.dispatch_again(&mut call, request).await?;
                    self.read_one(&mut call, codec, response, None).await
                })
                .await
            }
            Err(status) => Err(status),
        }
        .map_err(E::from)
    }

    /// One request, many responses.
    ///
    /// # Errors
    /// The status of the call, as the trait's own error; one that comes later ends the stream.
    ///
    /// # Cancel safety
    /// Dropping the future or the stream cancels the call.
    pub async fn server_streaming<Q, R, E, E2>(
        &self,
        method: &'static MethodDescriptor,
        request: Q,
    ) -> Result<Streaming<R, E2>, E>
    where
        Q: Send + 'static,
        R: Send + 'static,
        E: CallError,
        E2: CallError,
    {
        let call = async {
            let mut call = self.begin(method)?;
            let (response, codec) = self.dispatch_one(&mut call, request).await?;
            Ok(read_stream(call, codec, Answer::Here(response), None))
        };
        call.await.map_err(E::from)
    }

    /// Many requests, one response. An error in `requests` cancels the call, which then ends with it.
    ///
    /// # Errors
    /// The status of the call, as the trait's own error.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the call.
    pub async fn client_streaming<Q, R, E, E3>(
        &self,
        method: &'static MethodDescriptor,
        requests: Streaming<Q, E3>,
    ) -> Result<R, E>
    where
        Q: Send + 'static,
        R: Send + 'static,
        E: CallError,
        E3: CallError,
    {
        let call = async {
            let mut call = self.begin(method)?;
            let (request, progress) = self.stream(&call, requests);
            let codec = request.codec;
            let dispatched = unless_failed(&progress, self.channel.dispatch(request));
            let result = call.expiry.run(pin!(dispatched)).await;
            let response = call.captured(result)?;
            self.read_one(&mut call, codec, response, Some(&progress))
                .await
        };
        call.await.map_err(E::from)
    }

    /// Many requests and many responses, independently. An error in `requests` cancels the call, which then ends with it.
    ///
    /// Returns when the server has answered, which may be before its first item, or as soon as `requests` have nothing to send for now:
    /// else a caller who has to see the call before it says more, and a server that has to hear more before it answers, would wait for
    /// each other.
    ///
    /// # Errors
    /// The status of the call, as the trait's own error; one that comes after the call has returned ends the stream.
    ///
    /// # Cancel safety
    /// Dropping the future or the stream cancels the call.
    pub async fn bidirectional<Q, R, E, E2, E3>(
        &self,
        method: &'static MethodDescriptor,
        requests: Streaming<Q, E3>,
    ) -> Result<Streaming<R, E2>, E>
    where
        C: Clone,
        Q: Send + 'static,
        R: Send + 'static,
        E: CallError,
        E2: CallError,
        E3: CallError,
    {
        let call = async {
            let mut call = self.begin(method)?;
            let (request, progress) = self.stream(&call, requests);
            let (codec, capture) = (request.codec, call.capture());
            if let Some(capture) = &capture {
                // What an earlier call has left there is not of this one.
                capture.set_headers(Metadata::new());
            }
            let mut opening = Opening::new(self.channel.clone(), request, capture);
            let answered = call.expiry.run(pin!(opening.answer(&progress))).await;
            let answer = match call.captured_error(answered)? {
                Some(response) => Answer::Here(response),
                None => Answer::Opening(opening.detach()),
            };
            Ok(read_stream(call, codec, answer, Some(progress)))
        };
        call.await.map_err(E::from)
    }

    /// One request, nothing answered: done when the transport has queued it. A call that could not be is counted and logged.
    pub async fn oneway<Q: Send + 'static>(&self, method: &'static MethodDescriptor, request: Q) {
        let call = async {
            let mut call = self.begin(method)?;
            self.dispatch_one(&mut call, request).await
        };
        if let Err(status) = call.await {
            observe::oneway_dropped(method.path, &status);
        }
    }

    fn begin(&self, method: &'static MethodDescriptor) -> Result<Outgoing<'_>> {
        let options = self.options.as_deref();
        let (deadline, parent) = match options {
            Some(options) => {
                options.check(method)?;
                (options.deadline_of(method), options.parent().cloned())
            }
            None => (after(method.deadline), None),
        };
        Ok(Outgoing {
            method,
            options,
            limit_bytes: options.map_or_else(
                || method.message_limit_bytes(),
                |options| options.limit_of(method),
            ),
            deadline,
            expiry: Expiry::new(Method::Known(method), Side::Client, deadline, parent)?,
        })
    }

    async fn dispatch_one<Q: Send + 'static>(
        &self,
        call: &mut Outgoing<'_>,
        request: Q,
    ) -> Result<(Response, Codec)> {
        let service = call.method.service();
        let codec = self.channel.codec(service);
        let message = call.encode(codec, &request)?;
        // Protobuf is always right: then there is no use for the request any more.
        let kept = (codec != Codec::Protobuf).then_some(request);
        match self.dispatch_message(call, codec, message).await {
            // The connection that the codec was chosen for is gone, and nobody has seen the call.
            Err(status) if status.is_wrong_codec() => match kept {
                Some(request) => self.dispatch_again(call, request).await,
                None => Err(status),
            },
            result => Ok((result?, codec)),
        }
    }

    /// The same call in the codec that is right now.
    async fn dispatch_again<Q: Send + 'static>(
        &self,
        call: &mut Outgoing<'_>,
        request: Q,
    ) -> Result<(Response, Codec)> {
        let codec = self.channel.codec(call.method.service());
        let message = call.encode(codec, &request)?;
        drop(request);
        let response = self.dispatch_message(call, codec, message).await?;
        Ok((response, codec))
    }

    async fn dispatch_message(
        &self,
        call: &mut Outgoing<'_>,
        codec: Codec,
        message: Bytes,
    ) -> Result<Response> {
        let request = call.request(codec, Body::one(message));
        let result = call.expiry.run(pin!(self.channel.dispatch(request))).await;
        call.captured(result)
    }

    /// A request whose messages are these.
    fn stream<Q, E3>(
        &self,
        call: &Outgoing<'_>,
        requests: Streaming<Q, E3>,
    ) -> (Request, Arc<Progress>)
    where
        Q: Send + 'static,
        E3: CallError,
    {
        let codec = self.channel.codec(call.method.service());
        let progress = Arc::new(Progress::default());
        let body = Body::stream(Requests {
            stream: Encoded::new(
                requests,
                Coding::of_requests(call.method),
                codec,
                call.limit_bytes,
                call.method.path,
            ),
            path: call.method.path,
            progress: Arc::clone(&progress),
        });
        (call.request(codec, body), progress)
    }

    async fn read_one<R: Send + 'static>(
        &self,
        call: &mut Outgoing<'_>,
        codec: Codec,
        response: Response,
        progress: Option<&Progress>,
    ) -> Result<R> {
        let path = call.method.path;
        let mut body = response.body;
        let message = if body.is_stream() {
            let read = async {
                let message = body
                    .next()
                    .await
                    .unwrap_or_else(|| Err(wrong_number(path, "none")))?;
                match body.next().await {
                    None => Ok(message),
                    Some(Ok(_)) => Err(wrong_number(path, "more than one")),
                    Some(Err(status)) => Err(status),
                }
            };
            let read = async {
                match progress {
                    Some(progress) => unless_failed(progress, read).await,
                    None => read.await,
                }
            };
            let result = call.expiry.run(pin!(read)).await;
            call.captured_error(result)?
        } else {
            match body.next().await {
                Some(message) => message?,
                None => return Err(wrong_number(path, "none")),
            }
        };
        call.decode(codec, message, body)
    }
}

/// The answer to a call whose responses are a stream.
enum Answer {
    Here(Response),
    /// It is still to come.
    Opening(Opening),
}

fn read_stream<R: Send + 'static, E2: CallError>(
    call: Outgoing<'_>,
    codec: Codec,
    answer: Answer,
    progress: Option<Arc<Progress>>,
) -> Streaming<R, E2> {
    let capture = call.capture();
    let Outgoing {
        method,
        limit_bytes,
        expiry,
        ..
    } = call;
    let (opening, body) = match answer {
        Answer::Here(response) => (None, response.body),
        Answer::Opening(opening) => (Some(opening), Body::empty()),
    };
    let body = if expiry.is_never() && progress.is_none() && capture.is_none() {
        body
    } else {
        Body::stream(Responses {
            opening,
            body,
            batch: Batch::EMPTY,
            expiry,
            progress,
            capture,
        })
    };
    let coding = Coding::of_responses(method);
    Streaming::from_body(body, codec, limit_bytes, method.path, coding.decoder())
}

/// One call as its options make it.
struct Outgoing<'a> {
    method: &'static MethodDescriptor,
    options: Option<&'a CallOptions>,
    limit_bytes: usize,
    deadline: Option<tokio::time::Instant>,
    expiry: Expiry,
}

impl Outgoing<'_> {
    fn encode<Q: Send + 'static>(&self, codec: Codec, request: &Q) -> Result<Bytes> {
        Coding::of_requests(self.method)
            .encode(request, codec, self.limit_bytes, self.method.path)
            .map_err(Status::with_not_accepted)
    }

    /// The response that `message` is, with which `body` has ended.
    fn decode<R: 'static>(&self, codec: Codec, message: Bytes, mut body: Body) -> Result<R> {
        if let Some(capture) = self.options.and_then(CallOptions::captured) {
            capture.set_trailers(body.take_trailers());
        }
        let path = self.method.path;
        Coding::of_responses(self.method).decode(message, codec, self.limit_bytes, path)
    }

    fn request(&self, codec: Codec, body: Body) -> Request {
        let mut request = Request::new(self.method, codec, body);
        request.deadline = self.deadline;
        if let Some(options) = self.options {
            request.metadata = options.request_metadata();
            request.priority = options.priority_of(self.method);
        }
        request
    }

    fn capture(&self) -> Option<ResponseMetadata> {
        self.options.and_then(CallOptions::captured).cloned()
    }

    fn captured(&self, result: Result<Response>) -> Result<Response> {
        match self.options.and_then(CallOptions::captured) {
            Some(capture) => capture.take_head(result),
            None => result,
        }
    }

    fn captured_error<T>(&self, result: Result<T>) -> Result<T> {
        if let Err(status) = &result
            && let Some(capture) = self.options.and_then(CallOptions::captured)
        {
            capture.set_trailers(status.metadata().clone());
        }
        result
    }
}

/// Runs `future`, unless the request stream fails: then that is the result, whatever the other side makes of it.
async fn unless_failed<T>(
    progress: &Progress,
    future: impl Future<Output = Result<T>>,
) -> Result<T> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        let polled = future.as_mut().poll(cx);
        match progress.poll_failure(cx) {
            Poll::Ready(status) => Poll::Ready(Err(status)),
            Poll::Pending => polled,
        }
    })
    .await
}

/// The code that the gRPC document gives for the wrong number of messages.
fn wrong_number(path: &str, got: &str) -> Status {
    Status::unimplemented(format!(
        "{path} answers with exactly one message, and {got} came"
    ))
}
