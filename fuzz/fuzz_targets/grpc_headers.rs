#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| blixard_fuzz::grpc::headers(data));
