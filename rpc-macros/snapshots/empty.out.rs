pub trait Empty: ::core::marker::Send + ::core::marker::Sync + 'static {}
///Calls a [`Empty`] through a channel; implements the trait, each method by one call.
#[derive(::core::clone::Clone, ::core::fmt::Debug)]
pub struct EmptyClient<C = ::blixard_rpc::codegen::Channel>(
    ::blixard_rpc::codegen::Client<C>,
);
///Serves a [`Empty`]: add it to a router.
#[allow(dead_code)]
pub type EmptyServer<T> = ::blixard_rpc::codegen::Server<EmptyService, T>;
///The service `Empty` that [`Empty`] declares.
#[derive(::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug)]
pub struct EmptyService;
#[allow(dead_code, non_snake_case)]
const _: () = {
    use ::blixard_rpc::codegen as __rpc;
    static __SERVICE: __rpc::ServiceDescriptor = __rpc::service("Empty", "", __METHODS);
    static __METHODS: &[__rpc::MethodDescriptor] = &__rpc::methods(
        EmptyService::descriptor,
        [],
    );
    impl EmptyService {
        ///What is known of the service before any call.
        #[must_use]
        pub fn descriptor() -> &'static __rpc::ServiceDescriptor {
            &__SERVICE
        }
    }
    impl<__T: Empty> __rpc::Service<__T> for EmptyService {
        const NAME: &'static str = "Empty";
        fn descriptor() -> &'static __rpc::ServiceDescriptor {
            &__SERVICE
        }
        async fn serve(_: __rpc::Arc<__T>, call: __rpc::Call) -> __rpc::Answer {
            match call.index() {
                _ => call.unimplemented(),
            }
        }
    }
    impl<__C: __rpc::Dispatch + __rpc::Clone> EmptyClient<__C> {
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
    impl<__C: __rpc::Dispatch + __rpc::Clone> Empty for EmptyClient<__C> {}
};
