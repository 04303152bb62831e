//! What is generated is as visible as the trait.
#![deny(warnings, unreachable_pub)]

mod outer {
    pub(crate) mod inner {
        use blixard_rpc::{Result, iroh_service};

        /// Restricted to the parent.
        #[iroh_service]
        pub(super) trait Near {
            async fn call(&self, a: u32, b: u32) -> Result<u32>;
        }

        /// Private, and not used outside.
        #[iroh_service]
        trait Hidden {
            async fn call(&self, a: u32, b: u32) -> Result<u32>;
        }

        /// For the whole crate.
        #[iroh_service]
        pub(crate) trait Wide {
            async fn call(&self, a: u32, b: u32) -> Result<u32>;
        }

        pub(crate) struct Sum;

        impl Near for Sum {
            async fn call(&self, a: u32, b: u32) -> Result<u32> {
                Ok(a + b)
            }
        }

        impl Wide for Sum {
            async fn call(&self, a: u32, b: u32) -> Result<u32> {
                Near::call(self, a, b).await
            }
        }

        impl Hidden for Sum {
            async fn call(&self, a: u32, b: u32) -> Result<u32> {
                Near::call(self, a, b).await
            }
        }
    }

    pub(crate) async fn near() -> u32 {
        use inner::Near as _;
        let client = inner::NearClient::new(inner::NearServer::new(inner::Sum));
        let _ = inner::NearCallRequest { a: 1, b: 2 };
        client.call(1, 2).await.unwrap()
    }
}

fn main() {
    use outer::inner::Wide as _;
    blixard_rpc::block_on(async {
        assert_eq!(outer::near().await, 3);
        let client =
            outer::inner::WideClient::new(outer::inner::WideServer::new(outer::inner::Sum));
        assert_eq!(client.call(2, 3).await.unwrap(), 5);
    });
}
