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
///The request of [`Greet`](Greeter::greet).
#[allow(missing_docs, missing_debug_implementations, non_snake_case, private_interfaces)]
#[::blixard_rpc::message]
pub struct GreeterGreetRequest {
    pub name: String,
    pub polite: bool,
}
///Calls a [`Greeter`] through a channel; implements the trait, each method by one call.
#[derive(::core::clone::Clone, ::core::fmt::Debug)]
pub struct GreeterClient<C = ::blixard_rpc::codegen::Channel>(
    ::blixard_rpc::codegen::Client<C>,
);
///Serves a [`Greeter`]: add it to a router.
#[allow(dead_code)]
pub type GreeterServer<T> = ::blixard_rpc::codegen::Server<GreeterService, T>;
///The service `demo.v1.Greeter` that [`Greeter`] declares.
#[derive(::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug)]
pub struct GreeterService;
#[allow(dead_code, non_snake_case)]
const _: () = {
    use ::blixard_rpc::codegen as __rpc;
    static __SERVICE: __rpc::ServiceDescriptor = __rpc::service(
        "demo.v1.Greeter",
        "Greets people.",
        __METHODS,
    );
    static __METHODS: &[__rpc::MethodDescriptor] = &__rpc::methods(
        GreeterService::descriptor,
        [
            __rpc::unary::<GreeterGreetRequest, Greeting>("/demo.v1.Greeter/Greet")
                .with_docs("Greets one person."),
            __rpc::server_streaming::<String, Greeting>("/demo.v1.Greeter/Follow")
                .with_docs("Greets again and again.")
                .with_argument("name", ""),
            __rpc::client_streaming::<String, u64>("/demo.v1.Greeter/Collect")
                .with_docs("Counts names."),
            __rpc::bidirectional::<Line, Line>("/demo.v1.Greeter/Chat")
                .with_docs("Talks."),
            __rpc::oneway::<Event>("/demo.v1.Greeter/Note").with_docs("Takes a note."),
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
        const NAME: &'static str = "demo.v1.Greeter";
        fn descriptor() -> &'static __rpc::ServiceDescriptor {
            &__SERVICE
        }
        async fn serve(target: __rpc::Arc<__T>, mut call: __rpc::Call) -> __rpc::Answer {
            let target = &*target;
            match call.index() {
                0 => {
                    call.unary(|request: GreeterGreetRequest| {
                            target.greet(request.name, request.polite)
                        })
                        .await
                }
                1 => call.server_streaming(|request| target.follow(request)).await,
                2 => call.client_streaming(|request| target.collect(request)).await,
                3 => {
                    let cx = &call.context();
                    call.bidirectional(|request| target.chat(cx, request)).await
                }
                4 => call.oneway(|request| target.note(request)).await,
                _ => call.unimplemented(),
            }
        }
    }
    impl<__C: __rpc::Dispatch + __rpc::Clone> GreeterClient<__C> {
        ///A client that calls through `channel`.
        pub fn new(channel: __C) -> Self {
            Self(__rpc::Client::new(channel))
        }
        ///The same client with these options for its calls; a `&Context` hands on what it has.
        #[must_use]
        pub fn with(&self, options: impl __rpc::Into<__rpc::CallOptions>) -> Self {
            Self(self.0.with(options))
        }
    }
    impl<__C: __rpc::Dispatch + __rpc::Clone> Greeter for GreeterClient<__C> {
        fn greet(
            &self,
            name: String,
            polite: bool,
        ) -> impl __rpc::Future<Output = Result<Greeting>> + __rpc::Send {
            let request = GreeterGreetRequest {
                name,
                polite,
            };
            self.0.unary(&__METHODS[0], request)
        }
        fn follow(
            &self,
            name: String,
        ) -> impl __rpc::Future<Output = Result<Streaming<Greeting>>> + __rpc::Send {
            self.0.server_streaming(&__METHODS[1], name)
        }
        fn collect(
            &self,
            names: Streaming<String>,
        ) -> impl __rpc::Future<Output = Result<u64>> + __rpc::Send {
            self.0.client_streaming(&__METHODS[2], names)
        }
        fn chat(
            &self,
            cx: &Context,
            lines: Streaming<Line>,
        ) -> impl __rpc::Future<Output = Result<Streaming<Line>>> + __rpc::Send {
            async move { self.0.with(cx).bidirectional(&__METHODS[3], lines).await }
        }
        fn note(&self, event: Event) -> impl __rpc::Future<Output = ()> + __rpc::Send {
            self.0.oneway(&__METHODS[4], event)
        }
    }
};
