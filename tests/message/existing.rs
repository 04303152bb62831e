//! Services that are declared over the messages that prost generated from a `.proto` which was there before them.
//!
//! `UPDATE=1 cargo test -p blixard-tests --test message existing` generates anew what lies in `existing/`.

use std::{fs, path::PathBuf};

use blixard_rpc::{
    Result, Streaming, iroh_service, message,
    method::{ServiceDescriptor, file_descriptor_set, proto_files},
};
use prost::Message as _;
use prost_types::FileDescriptorSet;
use protox::prost_reflect::DescriptorPool;

use super::{generated::Tree, golden};

/// What a build script would make of it.
#[allow(
    unreachable_pub,
    unnameable_types,
    dead_code,
    reason = "generated"
)]
#[rustfmt::skip]
mod shop {
    #[path = "../shop.v1.rs"]
    pub mod v1;
}
use shop::v1::{Order, Receipt, RenameRequest, order::Line};

const SET: &[u8] = include_bytes!("existing/shop.v1.bin");

#[iroh_service(package = "shop.v1", file_descriptor_set = SET)]
trait Shop {
    async fn buy(&self, order: Order) -> Result<Receipt>;
    async fn follow(&self, id: String) -> Result<Streaming<Receipt>>;
    async fn close(&self) -> Result<()>;
    /// What has the bytes of a scalar may be one.
    async fn rename(&self, name: String) -> Result<()>;
}

#[message]
struct Delivery {
    #[prost]
    line: Line,
    #[prost]
    receipts: Vec<Receipt>,
}

#[iroh_service(package = "depot.v1", file_descriptor_set = SET)]
trait Depot {
    async fn send(&self, order: Order) -> Result<Delivery>;
}

fn pool(services: &[&ServiceDescriptor]) -> DescriptorPool {
    let set = file_descriptor_set(services).unwrap();
    DescriptorPool::decode(set.encode_to_vec().as_slice()).unwrap()
}

#[test]
fn what_is_generated_is_checked_in() {
    let folder = golden::folder().join("existing");
    let set = protox::compile(["shop/v1/shop.proto"], [&folder]).unwrap();
    let out = golden::temporary("existing");
    prost_build::Config::new()
        .out_dir(&out)
        .compile_fds(set.clone())
        .unwrap();
    let generated = fs::read(out.join("shop.v1.rs")).unwrap();
    fs::remove_dir_all(&out).unwrap();
    golden::check_bytes("existing/shop.v1.rs", &generated);
    golden::check_bytes("existing/shop.v1.bin", &set.encode_to_vec());
}

/// Reflection serves what was there, comments and all.
#[test]
fn a_service_of_the_set_is_described_by_it() {
    let shop = ShopService::descriptor();
    let given = FileDescriptorSet::decode(SET).unwrap();
    let set = file_descriptor_set(&[shop, DepotService::descriptor()]).unwrap();
    let names: Vec<_> = set.file.iter().map(|file| file.name()).collect();
    assert_eq!(
        names,
        [
            "google/protobuf/empty.proto",
            "google/protobuf/timestamp.proto",
            "google/protobuf/wrappers.proto",
            "shop/v1/order.proto",
            "shop/v1/shop.proto",
            "depot/v1/depot.proto"
        ]
    );
    for file in &given.file {
        assert!(set.file.contains(file), "{}", file.name());
    }
    assert_eq!(&shop.file_descriptor().unwrap(), given.file.last().unwrap());
    let pool = pool(&[shop]);
    let buy = pool.get_service_by_name("shop.v1.Shop").unwrap();
    assert_eq!(buy.methods().len(), 4);
    let error = shop.proto().unwrap_err().to_string();
    assert!(
        error.contains("declared in shop/v1/shop.proto already"),
        "{error}"
    );
    assert!(proto_files(&[shop]).unwrap().is_empty());
}

#[test]
fn messages_of_the_set_are_imported() {
    let depot = DepotService::descriptor();
    let text = depot.proto().unwrap();
    for line in [
        "import \"shop/v1/order.proto\";",
        "import \"shop/v1/shop.proto\";",
        "  rpc Send(shop.v1.Order) returns (Delivery);",
        "  shop.v1.Order.Line line = 1;",
        "  repeated shop.v1.Receipt receipts = 2;",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    let out = golden::temporary("depot");
    fs::create_dir_all(out.join("depot/v1")).unwrap();
    fs::write(out.join("depot/v1/depot.proto"), &text).unwrap();
    let folders: [PathBuf; 2] = [out.clone(), golden::folder().join("existing")];
    protox::compile(["depot/v1/depot.proto"], folders).unwrap();
    fs::remove_dir_all(&out).unwrap();
    let line = pool(&[depot])
        .get_message_by_name("shop.v1.Order.Line")
        .unwrap();
    assert_eq!(line.fields().len(), 2);
}

/// All else can be resolved, and the comment says what to do.
#[test]
fn without_a_set_there_are_messages_without_fields() {
    #[iroh_service(package = "depot.v1")]
    trait Depot {
        async fn send(&self, order: Order) -> Result<Delivery>;
    }
    let pool = pool(&[DepotService::descriptor()]);
    let send = pool
        .get_service_by_name("depot.v1.Depot")
        .unwrap()
        .methods()
        .next()
        .unwrap();
    let order = send.input();
    assert_eq!(order.full_name(), "depot.v1.Order");
    assert_eq!(order.fields().len(), 0);
    let file = order.parent_file().file_descriptor_proto().clone();
    let comments = file.source_code_info.unwrap().location;
    let said = comments
        .iter()
        .filter_map(|it| it.leading_comments.as_deref());
    let said: String = said.collect();
    assert!(
        said.contains("shop::v1::Order") && said.contains("`file_descriptor_set`"),
        "{said}"
    );
    let error = proto_files(&[DepotService::descriptor()])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("shop::v1::Order") && error.contains("file_descriptor_set"),
        "{error}"
    );
}

#[test]
fn what_departs_from_the_set_is_told() {
    macro_rules! check {
        ($departing:item, $expected:literal) => {{
            $departing
            let error = DepartingService::descriptor()
                .file_descriptor()
                .unwrap_err()
                .to_string();
            assert_eq!(
                error,
                concat!("the file_descriptor_set of shop.v1.Shop: ", $expected)
            );
        }};
    }
    check!(
        #[iroh_service(package = "shop.v1", name = "Shop", file_descriptor_set = SET)]
        trait Departing {
            async fn sell(&self, order: Order) -> Result<Receipt>;
        },
        "the service has a method Sell here, and there Buy, Follow, Close, Rename: rename it, or write `#[rpc(name = \"..\")]` before it"
    );
    check!(
        #[iroh_service(package = "shop.v1", name = "Shop", file_descriptor_set = SET)]
        trait Departing {
            async fn buy(&self, orders: Streaming<Order>) -> Result<Receipt>;
        },
        "Buy takes a stream here, and one message there"
    );
    check!(
        #[iroh_service(package = "shop.v1", name = "Shop", file_descriptor_set = SET)]
        trait Departing {
            async fn follow(&self, id: String) -> Result<Receipt>;
        },
        "Follow answers one message here, and a stream there"
    );
    check!(
        #[iroh_service(package = "shop.v1", name = "Shop", file_descriptor_set = SET)]
        trait Departing {
            async fn buy(&self, order: Receipt) -> Result<Receipt>;
        },
        "Buy takes shop.v1.Receipt here, and shop.v1.Order there"
    );
    check!(
        #[iroh_service(package = "shop.v1", name = "Shop", file_descriptor_set = SET)]
        trait Departing {
            async fn rename(&self, request: RenameRequest) -> Result<u32>;
        },
        "Rename answers google.protobuf.UInt32Value here, and shop.v1.RenameResponse there"
    );
    check!(
        #[iroh_service(package = "shop.v1", name = "Shop", file_descriptor_set = SET)]
        trait Departing {
            async fn buy(&self, order: Tree) -> Result<Receipt>;
        },
        "it declares no message that prost would make message::generated::Tree of; is it the set of another .proto?"
    );
}
