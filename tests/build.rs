//! What stock tonic makes of the `.proto` that we print: those are checked in, and tests compare them with the traits. No protoc is
//! needed.

fn main() {
    let folders = ["interop", "message", "../services/proto"];
    for folder in folders {
        println!("cargo:rerun-if-changed={folder}");
    }
    let files = [
        "depot.proto",
        "library.proto",
        "kitchen.proto",
        "grpc/health/v1/health.proto",
    ];
    let descriptors = protox::compile(files, folders).expect("the .proto files are right");
    tonic_prost_build::configure()
        .compile_fds(descriptors)
        .expect("tonic's code can be written");
}
