//! Doc comments, `#[deprecated]`, `#[must_use]` and lints stay on the trait; generated code does not warn because of them.
#![deny(warnings, missing_docs, clippy::all)]

use blixard_rpc::{Priority, Result, iroh_service};

/// All that can be said.
///
///  Indented by one.
#[iroh_service(package = "a.b_c.v1", name = "Renamed")]
pub trait Attributes {
    /// First line.
    ///
    /// Third line.
    #[deprecated(note = "use `new_way`")]
    #[rpc(name = "Ancient", idempotent)]
    async fn old(&self) -> Result<u64>;

    /// In place of the other.
    #[must_use = "or why ask"]
    #[rpc(deadline = "1500ms", priority = "critical")]
    #[rpc(max_message = "2KiB")]
    async fn new_way(&self) -> Result<u64>;

    /// More than clippy likes.
    #[allow(clippy::too_many_arguments, non_snake_case)]
    async fn many(
        &self,
        a: u8,
        b: u8,
        c: u8,
        d: u8,
        e: u8,
        f: u8,
        g: u8,
        tooLoud: u8,
    ) -> Result<()>;
}

/// An implementation.
#[derive(Debug)]
pub struct Real;

impl Attributes for Real {
    async fn old(&self) -> Result<u64> {
        Ok(1)
    }
    async fn new_way(&self) -> Result<u64> {
        Ok(2)
    }
    async fn many(&self, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8) -> Result<()> {
        Ok(())
    }
}

/// A whole service that nobody should use.
#[deprecated]
#[iroh_service]
pub trait Obsolete {
    /// One call, with arguments.
    async fn call(&self, a: String, b: String) -> Result<String>;
}

fn main() {
    blixard_rpc::block_on(async {
        let client = AttributesClient::new(AttributesServer::new(Real));
        #[allow(deprecated)]
        let old = client.old().await.unwrap();
        assert_eq!(old + client.new_way().await.unwrap(), 3);
    });
    let service = AttributesService::descriptor();
    assert_eq!(service.name, "a.b_c.v1.Renamed");
    assert_eq!(service.docs, "All that can be said.\n\n Indented by one.");
    let [old, new_way, many] = service.methods else {
        panic!("three methods");
    };
    assert_eq!(old.path, "/a.b_c.v1.Renamed/Ancient");
    assert_eq!(old.docs, "First line.\n\nThird line.");
    assert!(old.idempotent && !new_way.idempotent);
    assert_eq!(
        new_way.deadline,
        Some(std::time::Duration::from_millis(1500))
    );
    assert_eq!(new_way.priority, Priority::Critical);
    assert_eq!(new_way.max_message_bytes, Some(2048));
    assert_eq!(old.priority, Priority::Normal);
    assert_eq!(many.name(), "Many");
    assert_eq!(many.index, 2);
    assert!(std::ptr::eq(many.service(), service));
}
