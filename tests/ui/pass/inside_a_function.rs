//! A service may be declared in a function, by a macro, or twice of one name in two modules.
#![deny(warnings)]

macro_rules! service {
    ($(#[$doc:meta])* $vis:vis $name:ident, $method:ident($argument:ident: $ty:ty) -> $result:ty) => {
        $(#[$doc])*
        #[blixard_rpc::iroh_service]
        $vis trait $name {
            async fn $method(&self, $argument: $ty) -> $result;
            async fn both(&self, cx: &blixard_rpc::Context, $argument: $ty, again: $ty) -> $result {
                let _ = (cx, again);
                self.$method($argument).await
            }
        }
    };
}

mod a {
    service!(pub(crate) Echo, echo(text: String) -> blixard_rpc::Result<String>);
}

mod b {
    service!(
        /// Streams.
        pub(crate) Echo, echo(items: String) -> blixard_rpc::Result<blixard_rpc::Streaming<u32>>
    );
}

fn main() {
    use blixard_rpc::{Result, Streaming, iroh_service};

    #[iroh_service]
    trait Local {
        async fn call(&self, a: String, b: String) -> Result<String>;
    }

    struct Here;

    impl Local for Here {
        async fn call(&self, a: String, b: String) -> Result<String> {
            Ok(a + &b)
        }
    }

    impl a::Echo for Here {
        async fn echo(&self, text: String) -> Result<String> {
            Ok(text)
        }
    }

    impl b::Echo for Here {
        async fn echo(&self, items: String) -> Result<Streaming<u32>> {
            Ok(Streaming::from_iter(
                items.into_bytes().into_iter().map(u32::from),
            ))
        }
    }

    blixard_rpc::block_on(async {
        let client = LocalClient::new(LocalServer::new(Here));
        assert_eq!(client.call("a".into(), "b".into()).await.unwrap(), "ab");

        let client = a::EchoClient::new(a::EchoServer::new(Here));
        assert_eq!(a::Echo::echo(&client, "c".into()).await.unwrap(), "c");
        let cx = blixard_rpc::Context::background();
        let both = a::Echo::both(&client, &cx, "d".into(), "e".into()).await;
        assert_eq!(both.unwrap(), "d");

        let client = b::EchoClient::new(b::EchoServer::new(Here));
        let items = b::Echo::echo(&client, "\x01".into()).await.unwrap();
        assert_eq!(items.collect().await.unwrap(), [1]);
    });
}
