//! Names in scope mean nothing to the expansion: not the prelude's, not ours, not those of modules and generic parameters.
#![deny(warnings)]
#![allow(dead_code, non_camel_case_types)]

mod user {
    use ::blixard_rpc::{Context as Cx, iroh_service, message};

    pub struct Status;
    pub struct Send;
    pub struct Sync;
    pub struct Future;
    pub struct Option;
    pub struct Clone;
    pub struct Into;
    pub struct From;
    pub struct Vec;
    pub struct Box;
    pub struct Arc;
    pub struct Message;
    pub struct Call;
    pub struct Client;
    pub struct Server;
    pub struct Channel;
    pub struct Service;
    pub struct Dispatch;
    pub struct Response;
    pub struct Some;
    pub struct Ok;
    pub struct Err;
    pub struct None;
    pub mod core {}
    pub mod std {}
    pub mod blixard_rpc {}
    pub mod serde {}

    #[message]
    #[derive(Debug, PartialEq)]
    pub struct C {
        pub value: u32,
    }
    #[message]
    #[derive(Debug, PartialEq)]
    pub struct T {
        pub value: u32,
    }
    #[message]
    pub struct String {
        pub text: u32,
    }

    pub type Result<T> = ::blixard_rpc::Result<T>;
    type Context = Cx;

    #[iroh_service]
    pub trait Hygiene {
        async fn c(&self, value: C) -> Result<C>;
        async fn t(
            &self,
            cx: &Context,
            target: T,
            request: u32,
            call: u32,
            index: u32,
        ) -> Result<T>;
        async fn string(&self, text: String) -> Result<String>;
    }

    pub struct Real;

    impl Hygiene for Real {
        async fn c(&self, value: C) -> Result<C> {
            Result::Ok(value)
        }
        async fn t(
            &self,
            _: &Context,
            target: T,
            request: u32,
            call: u32,
            index: u32,
        ) -> Result<T> {
            let value = target.value + request + call + index;
            Result::Ok(T { value })
        }
        async fn string(&self, text: String) -> Result<String> {
            Result::Ok(text)
        }
    }
}

mod without_prelude {
    #![no_implicit_prelude]

    #[::blixard_rpc::message]
    pub struct Plain {
        pub text: ::std::string::String,
    }

    #[::blixard_rpc::iroh_service(package = "plain")]
    pub trait Bare {
        async fn call(
            &self,
            text: ::std::string::String,
            times: u32,
        ) -> ::blixard_rpc::Result<Plain>;
        async fn stream(
            &self,
            items: ::blixard_rpc::Streaming<u32>,
        ) -> ::blixard_rpc::Result<::blixard_rpc::Streaming<u32>>;
    }
}

fn main() {
    use user::Hygiene as _;

    blixard_rpc::block_on(async {
        let client = user::HygieneClient::new(user::HygieneServer::new(user::Real));
        assert_eq!(client.c(user::C { value: 1 }).await.unwrap().value, 1);
        let cx = blixard_rpc::Context::background();
        let t = client.t(&cx, user::T { value: 1 }, 2, 3, 4).await.unwrap();
        assert_eq!(t.value, 10);
        assert_eq!(
            client.string(user::String { text: 3 }).await.unwrap().text,
            3
        );
    });
    assert_eq!(
        without_prelude::BareService::descriptor().name,
        "plain.Bare"
    );
}
