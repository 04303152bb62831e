pub trait Mistakes: ::core::marker::Send + ::core::marker::Sync + 'static {
    fn right(
        &self,
        name: String,
    ) -> impl ::core::future::Future<Output = Result<String>> + ::core::marker::Send;
    fn generic<T>(&self, value: T) -> impl ::core::future::Future<Output = Result<T>>;
    fn borrowed(
        &mut self,
        name: &str,
    ) -> impl ::core::future::Future<Output = ()> + ::core::marker::Send;
}
///Calls a [`Mistakes`] through a channel; implements the trait, each method by one call.
#[derive(::core::clone::Clone, ::core::fmt::Debug)]
pub struct MistakesClient<C = ::blixard_rpc::codegen::Channel>(
    ::blixard_rpc::codegen::Client<C>,
);
///Serves a [`Mistakes`]: add it to a router.
#[allow(dead_code)]
pub type MistakesServer<T> = ::blixard_rpc::codegen::Server<MistakesService, T>;
///The service `Mistakes` that [`Mistakes`] declares.
#[derive(::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug)]
pub struct MistakesService;
#[allow(deprecated, unused, clippy::all)]
const _: () = {
    use ::blixard_rpc::codegen as __rpc;
    impl MistakesService {
        pub fn descriptor() -> &'static __rpc::ServiceDescriptor {
            ::core::unreachable!()
        }
    }
    impl<__C: __rpc::Dispatch + __rpc::Clone> MistakesClient<__C> {
        pub fn new(channel: __C) -> Self {
            Self(__rpc::Client::new(channel))
        }
        pub fn with(&self, options: impl __rpc::Into<__rpc::CallOptions>) -> Self {
            Self(self.0.with(options))
        }
    }
    impl<__T: Mistakes> __rpc::Service<__T> for MistakesService {
        const NAME: &'static str = "";
        fn descriptor() -> &'static __rpc::ServiceDescriptor {
            ::core::unreachable!()
        }
        async fn serve(_: __rpc::Arc<__T>, call: __rpc::Call) -> __rpc::Answer {
            call.unimplemented()
        }
    }
    impl<__C: __rpc::Dispatch + __rpc::Clone> Mistakes for MistakesClient<__C> {
        fn right(
            &self,
            name: String,
        ) -> impl __rpc::Future<Output = Result<String>> + __rpc::Send {
            async move { ::core::unreachable!() }
        }
        fn generic<T>(&self, value: T) -> impl __rpc::Future<Output = Result<T>> {
            async move { ::core::unreachable!() }
        }
        fn borrowed(
            &mut self,
            name: &str,
        ) -> impl __rpc::Future<Output = ()> + __rpc::Send {
            async move { ::core::unreachable!() }
        }
    }
};
::core::compile_error! {
    "unknown setting of a service `pakage`: did you mean `package`? Known are `package`, `name`, `file_descriptor_set`"
}
::core::compile_error! {
    "a method cannot be generic, both sides must know what is sent: write the types"
}
::core::compile_error! {
    "unknown setting of a method `deadlin`: did you mean `deadline`? Known are `name`, `idempotent`, `oneway`, `deadline`, `priority`, `max_message`"
}
::core::compile_error! {
    "calls run at the same time and share the service: write `&self`, and keep what changes in a `Mutex`, an atomic or a channel"
}
::core::compile_error! {
    "an argument cannot be borrowed, it is sent: write `String`"
}
::core::compile_error! {
    "a call can fail: write `-> Result<()>`, or `#[rpc(oneway)]` if nobody waits for it"
}
