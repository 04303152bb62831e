/// Greets people.
pub trait Greeter: ::core::marker::Send + ::core::marker::Sync + 'static {
    /// Greets one person.
    fn greet(
        &self,
        name: String,
        polite: bool,
    ) -> impl ::core::future::Future<Output = Result<Greeting>> + ::core::marker::Send;
    /// Greets again and again.
    fn follow(
        &self,
        name: String,
    ) -> impl ::core::future::Future<
        Output = Result<Streaming<Greeting>>,
    > + ::core::marker::Send;
    /// Counts names.
    fn collect(
        &self,
        names: Streaming<String>,
    ) -> impl ::core::future::Future<Output = Result<u64>> + ::core::marker::Send;
    /// Talks.
    fn chat(
        &self,
        cx: &Context,
        lines: Streaming<Line>,
    ) -> impl ::core::future::Future<
        Output = Result<Streaming<Line>>,
    > + ::core::marker::Send;
    /// Takes a note.
    fn note(
        &self,
        event: Event,
    ) -> impl ::core::future::Future<Output = ()> + ::core::marker::Send;
}
///The request of [`Greeter::greet`].
#[allow(missing_docs, missing_debug_implementations)]
#[::blixard_rpc::message]
pub struct GreeterGreetRequest {
    pub name: String,
    pub polite: bool,
}
///Calls a [`Greeter`] through a channel; implements the trait, each method by one call.
#[allow(dead_code)]
#[derive(::core::clone::Clone, ::core::fmt::Debug)]
pub struct GreeterClient<C = ::blixard_rpc::codegen::Channel>(
    ::blixard_rpc::codegen::Client<C>,
);
///Serves a [`Greeter`]: add it to a router.
#[allow(dead_code)]
pub type GreeterServer<T> = ::blixard_rpc::codegen::Server<GreeterService, T>;
///The service `demo.v1.Greeter` that [`Greeter`] declares.
#[allow(dead_code)]
#[derive(::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug)]
pub struct GreeterService;
const _: () = {
    use ::blixard_rpc::codegen as __rpc;
    static __SERVICE: __rpc::ServiceDescriptor = __rpc::describe::service(
        "demo.v1.Greeter",
        "Greets people.",
        __METHODS,
    );
    static __METHODS: &[__rpc::MethodDescriptor] = &__rpc::describe::methods(
        GreeterService::descriptor,
        [
            __rpc::describe::unary::<
                GreeterGreetRequest,
                Greeting,
            >("/demo.v1.Greeter/Greet")
                .with_docs("Greets one person."),
            __rpc::describe::server_streaming::<
                String,
                Greeting,
            >("/demo.v1.Greeter/Follow")
                .with_docs("Greets again and again."),
            __rpc::describe::client_streaming::<String, u64>("/demo.v1.Greeter/Collect")
                .with_docs("Counts names."),
            __rpc::describe::bidirectional::<Line, Line>("/demo.v1.Greeter/Chat")
                .with_docs("Talks."),
            __rpc::describe::oneway::<Event>("/demo.v1.Greeter/Note")
                .with_docs("Takes a note."),
        ],
    );
    impl GreeterService {
        ///What is known of the service before any call.
        #[must_use]
        pub fn descriptor() -> &'static __rpc::ServiceDescriptor {
            &__SERVICE
        }
    }
    impl<__T: Greeter> __rpc::Service<__T> for GreeterService {
        fn descriptor() -> &'static __rpc::ServiceDescriptor {
            &__SERVICE
        }
        async fn serve(
            target: ::std::sync::Arc<__T>,
            mut call: __rpc::Call,
        ) -> __rpc::Result<__rpc::Response> {
            match call.index() {
                0 => {
                    call.unary(async move |request: GreeterGreetRequest| {
                            __T::greet(&target, request.name, request.polite).await
                        })
                        .await
                }
                1 => {
                    call.server_streaming(async move |request: String| {
                            __T::follow(&target, request).await
                        })
                        .await
                }
                2 => {
                    call.client_streaming(async move |request: Streaming<String>| {
                            __T::collect(&target, request).await
                        })
                        .await
                }
                3 => {
                    let cx = call.context();
                    call.bidirectional(async move |request: Streaming<Line>| {
                            __T::chat(&target, &cx, request).await
                        })
                        .await
                }
                4 => {
                    call.oneway(async move |request: Event| {
                            __T::note(&target, request).await
                        })
                        .await
                }
                _ => call.unimplemented(),
            }
        }
    }
    #[allow(dead_code)]
    impl<__C: __rpc::Dispatch + ::core::clone::Clone> GreeterClient<__C> {
        ///A client that calls through `channel`.
        pub fn new(channel: __C) -> Self {
            Self(__rpc::Client::new(channel))
        }
        ///The same client with these options for its calls; a `&Context` hands on what it has.
        #[must_use]
        pub fn with(
            &self,
            options: impl ::core::convert::Into<__rpc::CallOptions>,
        ) -> Self {
            Self(self.0.with(options))
        }
    }
    impl<__C: __rpc::Dispatch + ::core::clone::Clone> Greeter for GreeterClient<__C> {
        fn greet(
            &self,
            name: String,
            polite: bool,
        ) -> impl ::core::future::Future<
            Output = Result<Greeting>,
        > + ::core::marker::Send {
            self.0
                .unary(
                    &__METHODS[0],
                    GreeterGreetRequest {
                        name,
                        polite,
                    },
                )
        }
        fn follow(
            &self,
            name: String,
        ) -> impl ::core::future::Future<
            Output = Result<Streaming<Greeting>>,
        > + ::core::marker::Send {
            self.0.server_streaming(&__METHODS[1], name)
        }
        fn collect(
            &self,
            names: Streaming<String>,
        ) -> impl ::core::future::Future<Output = Result<u64>> + ::core::marker::Send {
            self.0.client_streaming(&__METHODS[2], names)
        }
        fn chat(
            &self,
            cx: &Context,
            lines: Streaming<Line>,
        ) -> impl ::core::future::Future<
            Output = Result<Streaming<Line>>,
        > + ::core::marker::Send {
            async move { self.0.with(cx).bidirectional(&__METHODS[3], lines).await }
        }
        fn note(
            &self,
            event: Event,
        ) -> impl ::core::future::Future<Output = ()> + ::core::marker::Send {
            self.0.oneway(&__METHODS[4], event)
        }
    }
};
