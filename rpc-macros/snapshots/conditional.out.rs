trait Conditional: ::core::marker::Send + ::core::marker::Sync + 'static {
    fn first(
        &self,
    ) -> impl ::core::future::Future<Output = Result<()>> + ::core::marker::Send;
    #[cfg(feature = "extra")]
    #[cfg(unix)]
    fn extra(
        &self,
        a: u32,
        b: u32,
    ) -> impl ::core::future::Future<Output = Result<u32>> + ::core::marker::Send;
    fn last(
        &self,
    ) -> impl ::core::future::Future<Output = Result<()>> + ::core::marker::Send;
}
#[cfg(feature = "extra")]
#[cfg(unix)]
///The request of [`Extra`](Conditional::extra).
#[allow(missing_docs, missing_debug_implementations, non_snake_case, private_interfaces)]
#[::blixard_rpc::message]
struct ConditionalExtraRequest {
    a: u32,
    b: u32,
}
///Calls a [`Conditional`] through a channel; implements the trait, each method by one call.
#[derive(::core::clone::Clone, ::core::fmt::Debug)]
struct ConditionalClient<C = ::blixard_rpc::codegen::Channel>(
    ::blixard_rpc::codegen::Client<C>,
);
///Serves a [`Conditional`]: add it to a router.
#[allow(dead_code)]
type ConditionalServer<T> = ::blixard_rpc::codegen::Server<ConditionalService, T>;
///The service `Conditional` that [`Conditional`] declares.
#[derive(::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug)]
struct ConditionalService;
#[allow(dead_code, non_snake_case)]
const _: () = {
    use ::blixard_rpc::codegen as __rpc;
    static __SERVICE: __rpc::ServiceDescriptor = __rpc::service(
        "Conditional",
        "",
        __METHODS,
    );
    static __METHODS: &[__rpc::MethodDescriptor] = &__rpc::methods(
        ConditionalService::descriptor,
        [
            __rpc::unary::<(), ()>("/Conditional/First"),
            #[cfg(feature = "extra")]
            #[cfg(unix)]
            __rpc::unary::<ConditionalExtraRequest, u32>("/Conditional/Extra"),
            __rpc::unary::<(), ()>("/Conditional/Last"),
        ],
    );
    impl ConditionalService {
        ///What is known of the service before any call.
        #[must_use]
        fn descriptor() -> &'static __rpc::ServiceDescriptor {
            &__SERVICE
        }
    }
    impl<__T: Conditional> __rpc::Service<__T> for ConditionalService {
        const NAME: &'static str = "Conditional";
        fn descriptor() -> &'static __rpc::ServiceDescriptor {
            &__SERVICE
        }
        async fn serve(target: __rpc::Arc<__T>, call: __rpc::Call) -> __rpc::Answer {
            let target = &*target;
            match call.index() {
                0 => call.unary(|()| target.first()).await,
                #[cfg(feature = "extra")]
                #[cfg(unix)]
                1 => {
                    call.unary(|request: ConditionalExtraRequest| {
                            target.extra(request.a, request.b)
                        })
                        .await
                }
                index if index
                    == 1 + ::core::cfg!(all(feature = "extra", unix)) as usize => {
                    call.unary(|()| target.last()).await
                }
                _ => call.unimplemented(),
            }
        }
    }
    impl<__C: __rpc::Dispatch + __rpc::Clone> ConditionalClient<__C> {
        ///A client that calls through `channel`.
        fn new(channel: __C) -> Self {
            Self(__rpc::Client::new(channel))
        }
        ///The same client with these options for its calls; a `&Context` hands on what it has.
        #[must_use]
        fn with(&self, options: impl __rpc::Into<__rpc::CallOptions>) -> Self {
            Self(self.0.with(options))
        }
    }
    impl<__C: __rpc::Dispatch + __rpc::Clone> Conditional for ConditionalClient<__C> {
        fn first(&self) -> impl __rpc::Future<Output = Result<()>> + __rpc::Send {
            self.0.unary(&__METHODS[0], ())
        }
        #[cfg(feature = "extra")]
        #[cfg(unix)]
        fn extra(
            &self,
            a: u32,
            b: u32,
        ) -> impl __rpc::Future<Output = Result<u32>> + __rpc::Send {
            let request = ConditionalExtraRequest { a, b };
            self.0.unary(&__METHODS[1], request)
        }
        fn last(&self) -> impl __rpc::Future<Output = Result<()>> + __rpc::Send {
            self.0
                .unary(
                    &__METHODS[1 + ::core::cfg!(all(feature = "extra", unix)) as usize],
                    (),
                )
        }
    }
};
