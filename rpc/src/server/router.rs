//! [`Router`]: several services as one [`Dispatch`]. It finds the service and the method; what they do is not known here.

use std::{fmt, future::ready, sync::Arc};

use super::{
    lookup::{method_at, no_such_service, not_a_path, resolve, service_of},
    service::{Server, Service},
};
use crate::{
    call::{Codec, Method, Request, Response},
    dispatch::{BoxFuture, Channel, Dispatch, Layer},
    method::{MethodDescriptor, ServiceDescriptor},
    status::Result,
};

/// Several services as one [`Dispatch`]: what a transport serves, and what a client calls in memory.
///
/// A clone is cheap and another handle of the same services. What [`layer`](Self::layer) adds sees every call of every shape,
/// those for unknown methods included.
#[derive(Clone, Default)]
pub struct Router {
    services: Services,
    layers: Vec<Arc<dyn ErasedLayer>>,
    /// The layers around the services; `None` while there are no layers.
    layered: Option<Channel>,
}

impl Router {
    /// No services yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a service.
    ///
    /// # Panics
    /// If a service of that name is there already: which one of the two were to answer?
    #[must_use]
    #[track_caller]
    #[allow(
        clippy::should_implement_trait,
        reason = "a router is no number: the word is the right one"
    )]
    pub fn add<S: Service<T>, T: Send + Sync + 'static>(self, server: Server<S, T>) -> Self {
        self.add_dispatch(S::descriptor(), server)
    }

    /// Adds whatever answers the calls of a service, such as a channel to another server.
    ///
    /// # Panics
    /// If a service of that name is there already.
    #[must_use]
    #[track_caller]
    pub fn add_dispatch(
        mut self,
        descriptor: &'static ServiceDescriptor,
        dispatch: impl Dispatch,
    ) -> Self {
        let Err(place) = self.services.find(descriptor.name) else {
            panic!(
                "the router has a service named {:?} already",
                descriptor.name
            );
        };
        let mut entries = self.services.entries.to_vec();
        entries.insert(
            place,
            Entry {
                descriptor,
                dispatch: Channel::new(dispatch),
            },
        );
        self.services = Services::new(entries);
        self.rebuild()
    }

    /// Lets every call pass through `layer`, outside of the layers that are there: the one added last sees a call first.
    ///
    /// Methods are resolved before: a layer sees [`Method::Known`] for every method that exists, and
    /// [`Method::Path`] for those that do not, which will be answered with `UNIMPLEMENTED` if it lets them pass.
    #[must_use]
    pub fn layer(mut self, layer: impl Layer) -> Self {
        self.layers.push(Arc::new(layer));
        self.rebuild()
    }

    /// The services, ordered by name: what a server tells a client at the start of a connection.
    pub fn services(&self) -> impl ExactSizeIterator<Item = &'static ServiceDescriptor> + '_ {
        self.services.entries.iter().map(|entry| entry.descriptor)
    }

    fn rebuild(mut self) -> Self {
        self.layered = None;
        for layer in &self.layers {
            let inner = self
                .layered
                .take()
                .unwrap_or_else(|| Channel::new(self.services.clone()));
            self.layered = Some(layer.layer_erased(inner));
        }
        self
    }
}

impl Router {
    /// Who carries the request: the layers, if there are any, else its service.
    fn route(&self, request: &mut Request) -> Result<&Channel> {
        let Some(layered) = &self.layered else {
            return self.services.route(request);
        };
        match self.services.lookup(request) {
            Ok((_, method)) => request.method = Method::Known(method),
            Err(status) if status.is_wrong_codec() => return Err(status),
            // Not `Known`, even if a client in this process sent its own descriptor: it is not known here.
            Err(_) => unknown(&mut request.method),
        }
        Ok(layered)
    }
}

impl Dispatch for Router {
    fn dispatch(&self, request: Request) -> impl Future<Output = Result<Response>> + Send {
        self.dispatch_boxed(request)
    }

    fn dispatch_boxed(&self, mut request: Request) -> BoxFuture<'_, Result<Response>> {
        match self.route(&mut request) {
            Ok(channel) => channel.dispatch_boxed(request),
            Err(status) => Box::pin(ready(Err(status))),
        }
    }

    fn dispatch_owned(
        self: &Arc<Self>,
        mut request: Request,
    ) -> BoxFuture<'static, Result<Response>> {
        match self.route(&mut request) {
            Ok(channel) => channel.owned(request),
            Err(status) => Box::pin(ready(Err(status))),
        }
    }

    fn codec(&self, service: &'static ServiceDescriptor) -> Codec {
        self.services.codec(service)
    }

    fn resolve(&self, path: &str) -> Option<&'static MethodDescriptor> {
        self.services.resolve(path)
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router")
            .field(
                "services",
                &self
                    .services()
                    .map(|service| service.name)
                    .collect::<Vec<_>>(),
            )
            .field("layers", &self.layers.len())
            .finish()
    }
}

/// The services alone.
#[derive(Clone, Default)]
struct Services {
    /// Ordered by name.
    entries: Arc<[Entry]>,
    /// The addresses of their descriptors, ordered, each with its place among the entries: a call that names its method by descriptor
    /// is routed without a look at names.
    addresses: Arc<[(usize, usize)]>,
}

#[derive(Clone)]
struct Entry {
    descriptor: &'static ServiceDescriptor,
    dispatch: Channel,
}

impl Services {
    fn new(entries: Vec<Entry>) -> Self {
        let mut addresses: Vec<_> = entries
            .iter()
            .enumerate()
            .map(|(place, entry)| (address(entry.descriptor), place))
            .collect();
        addresses.sort_unstable();
        Self {
            entries: entries.into(),
            addresses: addresses.into(),
        }
    }

    /// The entry with this very descriptor.
    fn known(&self, service: &'static ServiceDescriptor) -> Option<&Entry> {
        let address = address(service);
        let at = self
            .addresses
            .binary_search_by_key(&address, |(address, _)| *address)
            .ok()?;
        self.entries.get(self.addresses[at].1)
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        self.entries
            .binary_search_by(|entry| entry.descriptor.name.cmp(name))
    }

    fn lookup(&self, request: &Request) -> Result<(&Entry, &'static MethodDescriptor)> {
        if let Method::Known(method) = &request.method
            && let Some(entry) = self.known(method.service())
        {
            return Ok((entry, method));
        }
        let path = request.method.path();
        let name = match &request.method {
            Method::Known(method) => method.service().name,
            Method::Path(_) => service_of(path).ok_or_else(|| not_a_path(path))?,
        };
        let place = self.find(name).map_err(|_| no_such_service(name))?;
        let entry = &self.entries[place];
        let method = resolve(entry.descriptor, &request.method, request.codec)?;
        Ok((entry, method))
    }

    /// Who carries the request, which then names its method.
    fn route(&self, request: &mut Request) -> Result<&Channel> {
        let (entry, method) = self.lookup(request)?;
        request.method = Method::Known(method);
        Ok(&entry.dispatch)
    }
}

impl Dispatch for Services {
    fn dispatch(&self, request: Request) -> impl Future<Output = Result<Response>> + Send {
        self.dispatch_boxed(request)
    }

    fn dispatch_boxed(&self, mut request: Request) -> BoxFuture<'_, Result<Response>> {
        match self.route(&mut request) {
            Ok(channel) => channel.dispatch_boxed(request),
            Err(status) => Box::pin(ready(Err(status))),
        }
    }

    fn codec(&self, service: &'static ServiceDescriptor) -> Codec {
        match self.find(service.name) {
            Ok(place) => self.entries[place].dispatch.codec(service),
            Err(_) => Codec::Protobuf,
        }
    }

    fn resolve(&self, path: &str) -> Option<&'static MethodDescriptor> {
        let place = self.find(service_of(path)?).ok()?;
        method_at(self.entries[place].descriptor, path)
    }
}

/// A [`Layer`] without its types.
trait ErasedLayer: Send + Sync {
    fn layer_erased(&self, inner: Channel) -> Channel;
}

impl<L: Layer> ErasedLayer for L {
    fn layer_erased(&self, inner: Channel) -> Channel {
        Channel::new(self.layer(inner))
    }
}

fn address(service: &'static ServiceDescriptor) -> usize {
    std::ptr::from_ref(service).addr()
}

fn unknown(method: &mut Method) {
    if let Method::Known(known) = method {
        *method = Method::Path(known.path.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Code,
        call::Body,
        client::Client,
        fixture::{EchoServer, QuickServer, Same, Script, Text, echo},
        iroh_service,
    };

    fn router() -> Router {
        Router::new()
            .add(QuickServer::new(Same))
            .add(EchoServer::new(Script::default()))
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_there_is_named_and_was_not_accepted() {
        let router = router();
        let long = format!("/test.v1.Echo/{}", "ü".repeat(500));
        for (path, says) in [
            ("/test.v1.Nobody/Unary", "\"test.v1.Nobody\""),
            (
                "/test.v1.Echo/Nothing",
                "test.v1.Echo has no method \"Nothing\"",
            ),
            ("/test.v1.Echo/Unary/", "has no method"),
            ("test.v1.Echo/Unary", "is not a path"),
            ("", "is not a path"),
            (&long, "üüü"),
        ] {
            assert!(router.resolve(path).is_none(), "{path}");
            let method = &echo().methods[0];
            let mut request = Request::new(method, Codec::Protobuf, Body::empty());
            request.method = Method::Path(path.into());
            let status = router.dispatch(request).await.unwrap_err();
            assert_eq!(status.code(), Code::Unimplemented);
            assert!(status.message().contains(says), "{status}");
            assert!(status.message().len() < 300 && !status.was_accepted());
        }
    }

    #[test]
    fn services_are_found_by_name_and_paths_by_service() {
        let router = router();
        let names: Vec<_> = router.services().map(|service| service.name).collect();
        assert_eq!(names, ["test.v1.Echo", "test.v1.Quick"]);
        for method in router.services().flat_map(|service| service.methods) {
            let found = router.resolve(method.path).unwrap();
            assert!(std::ptr::eq(found, method));
        }
    }

    #[test]
    #[should_panic(expected = "named \"test.v1.Quick\" already")]
    fn two_services_of_one_name_are_a_mistake() {
        let _ = router().add(QuickServer::new(Same));
    }

    /// The service `test.v1.Echo` as another version has it: its methods elsewhere, one more, and most left out.
    #[iroh_service(package = "test.v1", name = "Echo")]
    trait Newer {
        async fn added(&self, ask: Text) -> Result<Text>;
        async fn idempotent(&self, ask: Text) -> Result<Text>;
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_of_another_version_is_answered_in_protobuf() {
        let router = router();
        assert_eq!(router.codec(echo()), Codec::Postcard);
        assert_eq!(router.codec(NewerService::descriptor()), Codec::Protobuf);
        let client = NewerClient::new(Channel::new(router));
        let answer = client.idempotent("hello".into()).await.unwrap();
        assert_eq!(answer, "hello".into());
        let status = client.added("hello".into()).await.unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented);
        assert!(status.message().contains("\"Added\""), "{status}");
    }

    #[tokio::test(start_paused = true)]
    async fn postcard_of_another_version_is_not_taken_for_ours() {
        let layered = router().layer(crate::middleware::Limit::new("test", 1));
        for router in [router(), layered] {
            let method = &NewerService::descriptor().methods[1];
            let body = Body::one("\u{1}hello".into());
            let request = Request::new(method, Codec::Postcard, body);
            let status = router.dispatch(request).await.unwrap_err();
            assert!(status.is_wrong_codec() && !status.was_accepted());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn another_dispatch_may_answer_for_a_service() {
        let behind = Channel::new(router());
        let front = Router::new().add_dispatch(echo(), behind);
        let client = Client::new(front);
        let answer: Result<Text> = client
            .unary(&echo().methods[crate::fixture::SMALL], Text::from("hello"))
            .await;
        assert_eq!(answer.unwrap(), "hello".into());
    }
}
