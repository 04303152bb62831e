//! What stock tonic makes of the `.proto` that we print: those are checked in, and tests compare them with the traits. No protoc is
//! needed.

fn main() {
    let folders = ["benches", "interop", "message", "../services/proto"];
    for folder in folders {
        println!("cargo:rerun-if-changed={folder}");
    }
    let files = [
        "bench.proto",
        "depot.proto",
        "library.proto",
        "kitchen.proto",
        "grpc/health/v1/health.proto",
    ];
    let descriptors = protox::compile(files, folders).expect("the .proto files are right");
    tonic_prost_build::configure()
        // What they are anyway, but for the number: by itself prost says `u64`, which tonic takes for a type of this module.
        .compile_well_known_types(true)
        .extern_path(".google.protobuf", "::prost_types")
        .extern_path(".google.protobuf.Empty", "()")
        .extern_path(".google.protobuf.StringValue", "::prost::alloc::string::String")
        .extern_path(".google.protobuf.UInt64Value", "::core::primitive::u64")
        .bytes(".bench.v1")
        .compile_fds(descriptors)
        .expect("tonic's code can be written");
}
