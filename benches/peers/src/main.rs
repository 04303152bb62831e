//! `cargo run --release -p peers -- all`: see README.md.

fn main() -> std::process::ExitCode {
    peers::main(None)
}
