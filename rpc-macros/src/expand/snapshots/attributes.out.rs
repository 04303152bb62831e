/// Everything that can be said of a method.
#[deprecated(note = "too much")]
pub(crate) trait Attributes: ::core::marker::Send + ::core::marker::Sync + 'static {
    #[must_use]
    fn settings(
        &self,
    ) -> impl ::core::future::Future<
        Output = Result<(), Failure>,
    > + ::core::marker::Send;
    #[deprecated]
    fn tagged(
        &self,
        cx: &blixard_rpc::Context,
        name: String,
        #[allow(unused)]
        _limit: u32,
    ) -> impl ::core::future::Future<
        Output = Result<Vec<u8>, Failure>,
    > + ::core::marker::Send {
        async move { find(name).await }
    }
    fn one_tagged(
        &self,
        after: Duration,
    ) -> impl ::core::future::Future<
        Output = blixard_rpc::Result<()>,
    > + ::core::marker::Send;
}
///The request of [`Attributes::tagged`].
#[allow(missing_docs, missing_debug_implementations)]
#[::blixard_rpc::message]
pub(crate) struct AttributesTaggedRequest {
    /// Whom to find.
    #[tag(4)]
    pub(crate) name: String,
    pub(crate) limit: u32,
}
///The request of [`Attributes::one_tagged`].
#[allow(missing_docs, missing_debug_implementations)]
#[::blixard_rpc::message]
pub(crate) struct AttributesOneTaggedRequest {
    #[tag(1)]
    pub(crate) after: Duration,
}
///Calls a [`Attributes`] through a channel; implements the trait, each method by one call.
#[deprecated(note = "too much")]
#[allow(dead_code)]
#[derive(::core::clone::Clone, ::core::fmt::Debug)]
pub(crate) struct AttributesClient<C = ::blixard_rpc::codegen::Channel>(
    ::blixard_rpc::codegen::Client<C>,
);
///Serves a [`Attributes`]: add it to a router.
#[deprecated(note = "too much")]
#[allow(dead_code)]
pub(crate) type AttributesServer<T> = ::blixard_rpc::codegen::Server<
    AttributesService,
    T,
>;
///The service `demo.v1.Everything` that [`Attributes`] declares.
#[allow(dead_code)]
#[derive(::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug)]
pub(crate) struct AttributesService;
#[allow(deprecated)]
const _: () = {
    use ::blixard_rpc::codegen as __rpc;
    static __SERVICE: __rpc::ServiceDescriptor = __rpc::describe::service(
        "demo.v1.Everything",
        "Everything that can be said of a method.",
        __METHODS,
    );
    static __METHODS: &[__rpc::MethodDescriptor] = &__rpc::describe::methods(
        AttributesService::descriptor,
        [
            __rpc::describe::unary::<(), ()>("/demo.v1.Everything/Renamed")
                .with_idempotent()
                .with_deadline(::core::time::Duration::from_micros(250000))
                .with_priority(__rpc::Priority::High)
                .with_max_message_bytes(65536),
            __rpc::describe::unary::<
                AttributesTaggedRequest,
                Vec<u8>,
            >("/demo.v1.Everything/Tagged"),
            __rpc::describe::unary::<
                AttributesOneTaggedRequest,
                (),
            >("/demo.v1.Everything/OneTagged"),
        ],
    );
    impl AttributesService {
        ///What is known of the service before any call.
        #[must_use]
        pub(crate) fn descriptor() -> &'static __rpc::ServiceDescriptor {
            &__SERVICE
        }
    }
    impl<__T: Attributes> __rpc::Service<__T> for AttributesService {
        fn descriptor() -> &'static __rpc::ServiceDescriptor {
            &__SERVICE
        }
        async fn serve(
            target: ::std::sync::Arc<__T>,
            mut call: __rpc::Call,
        ) -> __rpc::Result<__rpc::Response> {
            match call.index() {
                0 => call.unary(async move |(): ()| __T::settings(&target).await).await,
                1 => {
                    let cx = call.context();
                    call.unary(async move |request: AttributesTaggedRequest| {
                            __T::tagged(&target, &cx, request.name, request.limit).await
                        })
                        .await
                }
                2 => {
                    call.unary(async move |request: AttributesOneTaggedRequest| {
                            __T::one_tagged(&target, request.after).await
                        })
                        .await
                }
                _ => call.unimplemented(),
            }
        }
    }
    #[allow(dead_code)]
    impl<__C: __rpc::Dispatch + ::core::clone::Clone> AttributesClient<__C> {
        ///A client that calls through `channel`.
        pub(crate) fn new(channel: __C) -> Self {
            Self(__rpc::Client::new(channel))
        }
        ///The same client with these options for its calls; a `&Context` hands on what it has.
        #[must_use]
        pub(crate) fn with(
            &self,
            options: impl ::core::convert::Into<__rpc::CallOptions>,
        ) -> Self {
            Self(self.0.with(options))
        }
    }
    impl<__C: __rpc::Dispatch + ::core::clone::Clone> Attributes
    for AttributesClient<__C> {
        fn settings(
            &self,
        ) -> impl ::core::future::Future<
            Output = Result<(), Failure>,
        > + ::core::marker::Send {
            self.0.unary(&__METHODS[0], ())
        }
        fn tagged(
            &self,
            cx: &blixard_rpc::Context,
            name: String,
            _limit: u32,
        ) -> impl ::core::future::Future<
            Output = Result<Vec<u8>, Failure>,
        > + ::core::marker::Send {
            async move {
                self.0
                    .with(cx)
                    .unary(
                        &__METHODS[1],
                        AttributesTaggedRequest {
                            name,
                            limit: _limit,
                        },
                    )
                    .await
            }
        }
        fn one_tagged(
            &self,
            after: Duration,
        ) -> impl ::core::future::Future<
            Output = blixard_rpc::Result<()>,
        > + ::core::marker::Send {
            self.0
                .unary(
                    &__METHODS[2],
                    AttributesOneTaggedRequest {
                        after,
                    },
                )
        }
    }
};
