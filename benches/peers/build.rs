//! Stock tonic's code for the service that all stacks serve. No protoc is needed.

fn main() {
    println!("cargo:rerun-if-changed=bench.proto");
    let descriptors = protox::compile(["bench.proto"], ["."]).expect("the .proto file is right");
    tonic_prost_build::configure()
        .bytes(".bench.v1")
        .compile_fds(descriptors)
        .expect("tonic's code can be written");
}
