//! A service without methods, for the day when it has some.
#![deny(warnings)]

use blixard_rpc::{Router, iroh_service};

#[iroh_service(package = "later")]
pub trait Later {}

struct Nothing;

impl Later for Nothing {}

fn main() {
    let router = Router::new().add(LaterServer::new(Nothing));
    let names: Vec<_> = router.services().map(|service| service.name).collect();
    assert_eq!(names, ["later.Later"]);
    assert!(LaterService::descriptor().methods.is_empty());
}
