//! [`Bed`]: what a case is given: a client that is connected to the handlers, and a view of both.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::BytesMut;

use super::{
    harness::Connected,
    plan::{PLAN, Plan},
    service::{ConformanceClient, ConformanceServer, ConformanceService},
    subject::{Handlers, Subject},
};
use crate::{
    CallOptions, Context, Message, Router,
    call::{Body, Request, Response},
    codec::Codec,
    dispatch::{Dispatch, Layer},
    method::{MethodDescriptor, ServiceDescriptor},
    status::{Result, Status},
    wire::length_prefix_bytes,
};

/// A case: a function of the bed.
pub(super) type Case = for<'a> fn(&'a Bed) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

/// What a case is given.
pub(super) struct Bed {
    pub(super) client: ConformanceClient,
    pub(super) subject: Arc<Subject>,
    pub(super) connected: Connected,
    /// A context outside any call.
    pub(super) cx: Context,
    seen: Seen,
}

impl Bed {
    pub(super) async fn new(connect: impl AsyncFnOnce(Router) -> Connected) -> Self {
        let (subject, seen) = (Subject::new(), Seen::default());
        let router = Router::new()
            .add(ConformanceServer::new(Handlers(Arc::clone(&subject))))
            .layer(seen.clone());
        let connected = connect(router).await;
        let client = ConformanceClient::new(connected.channel.clone());
        subject.set_client(Some(client.clone()));
        Self {
            client,
            subject,
            connected,
            cx: Context::background(),
            seen,
        }
    }

    /// A client whose calls are handled by `plan`.
    pub(super) fn plan(&self, plan: Plan) -> ConformanceClient {
        self.planned(self.subject.add_plan(plan))
    }

    /// A client whose calls are handled by the plan with this number.
    pub(super) fn planned(&self, plan: usize) -> ConformanceClient {
        self.client
            .with(CallOptions::new().metadata(PLAN, plan.to_string()))
    }

    /// A request below the client: nothing on this side watches over it.
    pub(super) fn request(&self, method: &str, plan: Plan, message: &impl Message) -> Request {
        let mut bytes = BytesMut::new();
        message
            .encode(self.connected.codec, &mut bytes)
            .expect("what the suite sends can be encoded");
        let method = ConformanceService::descriptor()
            .method(method)
            .expect("the suite calls its own methods");
        let mut request = Request::new(method, self.connected.codec, Body::one(bytes.freeze()));
        request
            .metadata
            .append(PLAN, self.subject.add_plan(plan).to_string())
            .expect("a number is text");
        request
    }

    /// The length of the bytes whose message has exactly `message_bytes`.
    pub(super) fn data_bytes(&self, message_bytes: usize) -> usize {
        match self.connected.codec {
            // The message is the bytes.
            Codec::Postcard => message_bytes,
            // Behind a tag and their length.
            Codec::Protobuf => (0..message_bytes)
                .rev()
                .find(|&bytes| 1 + length_prefix_bytes(bytes) + bytes <= message_bytes)
                .expect("the limits of the suite have room for a tag and a length"),
        }
    }

    /// The codecs of the calls that arrived, in their order.
    pub(super) fn codecs(&self) -> Vec<Codec> {
        self.seen.lock().clone()
    }

    /// That what came before did the connection no harm.
    pub(super) async fn still_works(&self) {
        let data = bytes::Bytes::from_static(b"still here");
        let answer = super::probe::soon("a call after all that", async {
            use super::service::Conformance;
            self.client.echo(data.clone()).await
        });
        assert_eq!(answer.await.expect("the next call works"), data);
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        self.subject.set_client(None);
    }
}

/// A layer of the server that notes in which codecs calls of the suite arrive: a channel may ask besides whether the server is there.
#[derive(Clone, Debug, Default)]
struct Seen(Arc<Mutex<Vec<Codec>>>);

impl Seen {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Codec>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Layer for Seen {
    type Dispatch<D: Dispatch> = Noting<D>;

    fn layer<D: Dispatch>(&self, inner: D) -> Noting<D> {
        Noting(inner, self.clone())
    }
}

struct Noting<D>(D, Seen);

impl<D: Dispatch> Dispatch for Noting<D> {
    async fn dispatch(&self, request: Request) -> Result<Response> {
        if request.method.descriptor().is_some() {
            self.1.lock().push(request.codec);
        }
        self.0.dispatch(request).await
    }

    fn codec(&self, service: &'static ServiceDescriptor) -> Codec {
        self.0.codec(service)
    }

    fn resolve(&self, path: &str) -> Option<&'static MethodDescriptor> {
        self.0.resolve(path)
    }
}

/// That a call failed so; the text must hold `says`.
#[track_caller]
pub(super) fn check(status: &Status, code: crate::Code, says: &str) {
    assert_eq!(status.code(), code, "{status}");
    assert!(
        status.message().contains(says),
        "{status:?} should say {says:?}"
    );
}
