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
///The request of [`Tagged`](Attributes::tagged).
#[allow(missing_docs, missing_debug_implementations, non_snake_case, private_interfaces)]
#[::blixard_rpc::message]
#[proto_name("EverythingTaggedRequest")]
pub(crate) struct AttributesTaggedRequest {
    /// Whom to find.
    #[tag(4)]
    pub(crate) name: String,
    pub(crate) limit: u32,
}
///The request of [`OneTagged`](Attributes::one_tagged).
#[allow(missing_docs, missing_debug_implementations, non_snake_case, private_interfaces)]
#[::blixard_rpc::message]
#[proto_name("EverythingOneTaggedRequest")]
pub(crate) struct AttributesOneTaggedRequest {
    #[tag(1)]
    pub(crate) after: Duration,
}
///Calls a [`Attributes`] through a channel; implements the trait, each method by one call.
#[deprecated(note = "too much")]
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
#[derive(::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug)]
pub(crate) struct AttributesService;
#[allow(dead_code, non_snake_case, deprecated)]
const _: () = {
    use ::blixard_rpc::codegen as __rpc;
    use __rpc::NoDetail as _;
    static __SERVICE: __rpc::ServiceDescriptor = __rpc::service(
            "demo.v1.Everything",
            "Everything that can be said of a method.",
            __METHODS,
        )
        .with_deprecated();
    static __METHODS: &[__rpc::MethodDescriptor] = &__rpc::methods(
        AttributesService::descriptor,
        [
            __rpc::unary::<(), ()>("/demo.v1.Everything/Renamed")
                .with_error(__rpc::ErrorOf::<Failure>::DETAIL)
                .with_idempotent()
                .with_deadline(::core::time::Duration::from_micros(250000))
                .with_priority(__rpc::Priority::High)
                .with_max_message_bytes(65536),
            __rpc::unary::<
                AttributesTaggedRequest,
                Vec<u8>,
            >("/demo.v1.Everything/Tagged")
                .with_error(__rpc::ErrorOf::<Failure>::DETAIL)
                .with_deprecated(),
            __rpc::unary::<
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
        const NAME: &'static str = "demo.v1.Everything";
        fn descriptor() -> &'static __rpc::ServiceDescriptor {
            &__SERVICE
        }
        async fn serve(target: __rpc::Arc<__T>, mut call: __rpc::Call) -> __rpc::Answer {
            let target = &*target;
            match call.index() {
                0 => {
                    __rpc::fails_with::<Failure, _>(call)
                        .unary(|()| target.settings())
                        .await
                }
                1 => {
                    let cx = &call.context();
                    __rpc::fails_with::<Failure, _>(call)
                        .unary(|request: AttributesTaggedRequest| {
                            target.tagged(cx, request.name, request.limit)
                        })
                        .await
                }
                2 => {
                    call.unary(|request: AttributesOneTaggedRequest| {
                            target.one_tagged(request.after)
                        })
                        .await
                }
                _ => call.unimplemented(),
            }
        }
    }
    impl<__C: __rpc::Dispatch + __rpc::Clone> AttributesClient<__C> {
        ///A client that calls through `channel`.
        pub(crate) fn new(channel: __C) -> Self {
            Self(__rpc::Client::new(channel))
        }
        ///The same client with these options for its calls; a `&Context` hands on what it has.
        #[must_use]
        pub(crate) fn with(
            &self,
            options: impl __rpc::Into<__rpc::CallOptions>,
        ) -> Self {
            Self(self.0.with(options))
        }
    }
    impl<__C: __rpc::Dispatch + __rpc::Clone> Attributes for AttributesClient<__C> {
        fn settings(
            &self,
        ) -> impl __rpc::Future<Output = Result<(), Failure>> + __rpc::Send {
            __rpc::fails_with::<Failure, _>(&self.0).unary(&__METHODS[0], ())
        }
        fn tagged(
            &self,
            cx: &blixard_rpc::Context,
            name: String,
            _limit: u32,
        ) -> impl __rpc::Future<Output = Result<Vec<u8>, Failure>> + __rpc::Send {
            let request = AttributesTaggedRequest {
                name,
                limit: _limit,
            };
            async move {
                __rpc::fails_with::<Failure, _>(self.0.with(cx))
                    .unary(&__METHODS[1], request)
                    .await
            }
        }
        fn one_tagged(
            &self,
            after: Duration,
        ) -> impl __rpc::Future<Output = blixard_rpc::Result<()>> + __rpc::Send {
            let request = AttributesOneTaggedRequest {
                after,
            };
            self.0.unary(&__METHODS[2], request)
        }
    }
};
