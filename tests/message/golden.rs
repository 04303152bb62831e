//! The `.proto` of a service, and what prost makes of it, are checked in: a change shows in a review.
//!
//! `UPDATE=1 cargo test -p blixard-tests --test message golden` writes them anew.

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use blixard_rpc::{
    Result, iroh_service, message,
    method::{ServiceDescriptor, file_descriptor_set},
};
use prost::Message as _;

use super::kitchen::{KitchenService, Numbers, Tree};

fn kitchen() -> &'static ServiceDescriptor {
    KitchenService::descriptor()
}

#[test]
fn the_proto_is_the_one_that_is_checked_in() {
    check("kitchen.proto", &kitchen().proto().unwrap());
}

#[test]
fn what_prost_generates_is_what_is_checked_in() {
    let out = temporary("kitchen");
    prost_build::Config::new()
        .out_dir(&out)
        .bytes([".kitchen.v1.Wide.blob", ".kitchen.v1.Wide.blobs"])
        .btree_map(["."])
        .compile_fds(compiled())
        .unwrap();
    let generated = fs::read_to_string(out.join("kitchen.v1.rs")).unwrap();
    fs::remove_dir_all(&out).unwrap();
    check("generated.rs", &generated);
}

/// The text says the same as the descriptor, field by field.
#[test]
fn the_descriptor_is_what_a_compiler_makes_of_the_text() {
    let mut ours = kitchen().file_descriptor().unwrap();
    let mut theirs = compiled()
        .file
        .into_iter()
        .find(|file| file.name() == "kitchen.proto")
        .unwrap();
    assert_eq!(ours.name(), "kitchen/v1/kitchen.proto");
    for file in [&mut ours, &mut theirs] {
        file.name = None;
        file.source_code_info = None;
    }
    assert_eq!(ours, theirs);
}

/// What reflection serves can be resolved without any other file.
#[test]
fn the_set_is_complete() {
    let set = file_descriptor_set(&[kitchen()]).unwrap();
    let names: Vec<_> = set.file.iter().map(|file| file.name()).collect();
    assert_eq!(
        names,
        [
            "google/protobuf/duration.proto",
            "google/protobuf/empty.proto",
            "google/protobuf/timestamp.proto",
            "kitchen/v1/kitchen.proto"
        ]
    );
    let pool =
        protox::prost_reflect::DescriptorPool::decode(set.encode_to_vec().as_slice()).unwrap();
    let service = pool.get_service_by_name("kitchen.v1.Kitchen").unwrap();
    assert_eq!(service.methods().len(), 8);
}

/// Protobuf's own files, as far as they are here, are what they are everywhere.
#[test]
fn the_files_of_protobuf_are_those_of_protobuf() {
    #[message]
    struct Everything {
        wait: Option<Duration>,
        at: Option<SystemTime>,
        #[prost]
        any: prost_types::Any,
        #[prost]
        mask: prost_types::FieldMask,
        #[prost]
        fields: prost_types::Struct,
        #[prost]
        text: Option<String>,
        unit: (),
    }
    #[iroh_service(package = "own.v1")]
    trait Owning {
        async fn own(&self, everything: Everything) -> Result<()>;
    }
    let set = file_descriptor_set(&[OwningService::descriptor()]).unwrap();
    let names: Vec<_> = set.file.iter().map(|file| file.name()).collect();
    assert_eq!(names.len(), 8, "{names:?}");
    for ours in set.file {
        if !ours.name().starts_with("google/") {
            continue;
        }
        let theirs = protox::compile([ours.name()], [folder()]).unwrap();
        let [mut theirs] = theirs.file.try_into().unwrap();
        theirs.source_code_info = None;
        assert!(ours == theirs, "{ours:#?}\nis not\n{theirs:#?}");
    }
}

/// Services of one package share its messages, and so a file.
#[test]
fn a_set_of_several_services() {
    #[iroh_service(package = "kitchen.v1")]
    trait Cellar {
        /// Of one who cooks.
        async fn fetch(&self, tree: Tree) -> Result<Numbers>;
    }
    #[iroh_service(package = "garden.v1")]
    trait Garden {
        async fn plant(&self, tree: Tree) -> Result<()>;
    }
    let services = [
        kitchen(),
        CellarService::descriptor(),
        GardenService::descriptor(),
    ];
    let set = file_descriptor_set(&services).unwrap();
    let own: Vec<_> = set
        .file
        .iter()
        .map(|file| file.name())
        .filter(|name| !name.starts_with("google/"))
        .collect();
    assert_eq!(own, ["kitchen/v1/kitchen.proto", "garden/v1/garden.proto"]);
    let pool =
        protox::prost_reflect::DescriptorPool::decode(set.encode_to_vec().as_slice()).unwrap();
    for service in services {
        let described = pool.get_service_by_name(service.name).unwrap();
        assert_eq!(described.methods().len(), service.methods.len());
    }
}

#[test]
fn two_types_of_one_name() {
    mod other {
        #[blixard_rpc::message]
        pub(super) struct Numbers {
            pub(super) other: bool,
        }
    }
    #[iroh_service(package = "kitchen.v1")]
    trait Clash {
        async fn both(&self, numbers: Numbers) -> Result<other::Numbers>;
    }
    let clash = ClashService::descriptor().proto().unwrap_err().to_string();
    assert!(
        clash.contains("kitchen::Numbers and") && clash.contains("other::Numbers are both called"),
        "{clash}"
    );
}

/// What prost generated is declared elsewhere, and prost does not say where.
#[test]
fn types_of_prost_are_named() {
    #[message]
    struct Mixed {
        #[prost]
        when: Option<prost_types::Timestamp>,
        #[prost]
        numbers: Vec<super::generated::Numbers>,
    }
    #[iroh_service(package = "mixed.v1")]
    trait Mixing {
        async fn mix(&self, mixed: Mixed) -> Result<super::generated::Tree>;
    }
    let text = MixingService::descriptor().proto().unwrap();
    for line in [
        "import \"google/protobuf/timestamp.proto\";",
        "  rpc Mix(Mixed) returns (Tree);",
        "  google.protobuf.Timestamp when = 1;",
        "  repeated Numbers numbers = 2;",
        "// Tree is declared where prost generated message::generated::Tree from: import that file.",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

/// The checked-in text, compiled.
fn compiled() -> prost_types::FileDescriptorSet {
    protox::compile(["kitchen.proto"], [folder()]).unwrap()
}

pub(super) fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/message"))
}

/// An empty folder.
pub(super) fn temporary(name: &str) -> PathBuf {
    let path = env::temp_dir().join(format!("blixard-{name}-{}", std::process::id()));
    fs::create_dir_all(&path).unwrap();
    path
}

#[track_caller]
fn check(name: &str, text: &str) {
    check_bytes(name, text.as_bytes());
}

#[track_caller]
pub(super) fn check_bytes(name: &str, now: &[u8]) {
    let path = folder().join(name);
    if env::var_os("UPDATE").is_some() {
        fs::write(&path, now).unwrap();
    }
    let checked_in = fs::read(&path).unwrap_or_default();
    assert!(
        checked_in == now,
        "{name} is not what is checked in; if the change is meant, run with UPDATE=1 and review the difference. It is now:\n{}",
        String::from_utf8_lossy(now)
    );
}
