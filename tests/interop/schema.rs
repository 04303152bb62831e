//! The `.proto` that the stock sides are generated from is the one that the trait prints.
//!
//! `UPDATE=1 cargo test -p blixard-tests --test interop schema` writes it anew.

use std::{env, fs, path::Path};

use crate::service::DepotService;

#[test]
fn the_proto_is_the_one_that_is_checked_in() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/depot.proto");
    let printed = DepotService::descriptor().proto().unwrap();
    if env::var_os("UPDATE").is_some() {
        fs::write(&path, &printed).unwrap();
    }
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        printed,
        "interop/depot.proto is not what the trait prints; UPDATE=1 writes it"
    );
}
