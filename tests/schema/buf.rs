//! `buf`, which lints and formats `.proto` files, finds nothing to say of those that we print.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use blixard_rpc::method::{ServiceDescriptor, file_descriptor_set};
use blixard_tests::tools::{find, root};
use prost::Message as _;

use super::named::StockService;

/// With `services/proto/buf.yaml`, which says and argues what the standards of others cannot meet.
#[test]
fn the_schemas_of_services() {
    let Some(buf) = buf() else { return };
    let folder = root().join("services/proto");
    check(&buf, &folder, &["lint"]);
    check(&buf, &folder, &["format", "--diff", "--exit-code"]);
}

/// With the rules that hold if nothing is said: whatever name follows from others is right.
#[test]
fn a_service_with_good_names() {
    let Some(buf) = buf() else { return };
    let folder = Written::new("named", &[StockService::descriptor()]);
    check(&buf, &folder.0, &["lint"]);
    check(&buf, &folder.0, &["format", "--diff", "--exit-code"]);
}

/// The form of everything that a message can have.
#[test]
fn the_form_of_all_that_can_be_printed() {
    let Some(buf) = buf() else { return };
    let folder = root().join("tests/message");
    check(
        &buf,
        &folder,
        &["format", "kitchen.proto", "--diff", "--exit-code"],
    );
}

/// What reflection serves is whole, and the same as the text.
#[test]
fn the_descriptor_set_is_read_too() {
    let Some(buf) = buf() else { return };
    let services = [StockService::descriptor()];
    let folder = Written::new("set", &services);
    let set = file_descriptor_set(&services).unwrap().encode_to_vec();
    fs::write(folder.0.join("set.binpb"), set).unwrap();
    // Neither breaks those who know the other.
    check(
        &buf,
        &folder.0,
        &["breaking", "set.binpb", "--against", "."],
    );
    check(
        &buf,
        &folder.0,
        &["breaking", ".", "--against", "set.binpb"],
    );
}

fn buf() -> Option<PathBuf> {
    find("BUF", "node/node_modules/.bin/buf")
}

#[track_caller]
fn check(buf: &Path, folder: &Path, arguments: &[&str]) {
    let output = Command::new(buf)
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap_or_else(|error| panic!("cannot run {}: {error}", buf.display()));
    let said = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success(),
        "buf {}, in {}:\n{}",
        arguments.join(" "),
        folder.display(),
        String::from_utf8_lossy(&said)
    );
}

/// The `.proto` files of services, in a folder that is gone when this is dropped.
struct Written(PathBuf);

impl Written {
    fn new(name: &str, services: &[&ServiceDescriptor]) -> Self {
        let folder = env::temp_dir().join(format!("blixard-buf-{name}-{}", std::process::id()));
        let written = blixard_rpc_schema::Golden::compare(&folder, services).unwrap();
        written.write().unwrap();
        Self(folder)
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
