//! The corpora of the fuzz targets, replayed: what the fuzzer found, and the seeds made by hand, through the same checks.

use std::{fs, panic, path::Path};

#[allow(
    unreachable_pub,
    missing_docs,
    reason = "it is a crate of its own beside the fuzz targets"
)]
#[path = "../fuzz/src/lib.rs"]
mod fuzz;

#[test]
fn the_corpora_hold() {
    type Check = fn(&[u8]);
    let targets: [(&str, Check); 8] = [
        ("frame", fuzz::checks::frame),
        ("grpc_connection", fuzz::grpc::connection),
        ("grpc_headers", fuzz::grpc::headers),
        ("grpc_messages", fuzz::grpc::messages),
        ("head", fuzz::checks::head),
        ("hello", fuzz::checks::hello),
        ("message_postcard", fuzz::checks::message_postcard),
        ("message_protobuf", fuzz::checks::message_protobuf),
    ];
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    for (target, check) in targets {
        let folder = fs::read_dir(root.join(target)).expect("each target has a corpus");
        let mut inputs = 0;
        for entry in folder {
            let path = entry.expect("the folder can be listed").path();
            let input = fs::read(&path).expect("an input can be read");
            if let Err(panic) = panic::catch_unwind(|| check(&input)) {
                eprintln!("this input fails: {}", path.display());
                panic::resume_unwind(panic);
            }
            inputs += 1;
        }
        assert!(inputs > 2, "{target} has only {inputs} inputs");
    }
}

#[test]
fn the_seeds_hold_and_are_checked_in() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    for (target, name, bytes) in fuzz::seeds::all() {
        let checked_in = fs::read(root.join(target).join(&name)).unwrap_or_default();
        assert_eq!(
            checked_in, bytes,
            "{target}/{name}: `cargo run --example seeds` in fuzz/ writes it"
        );
    }
}
