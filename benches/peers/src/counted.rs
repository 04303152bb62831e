//! The same program with an allocator that counts. `peers all` asks it how often a call allocates.

fn main() -> std::process::ExitCode {
    peers::main(Some(|work| allocation_counter::measure(work).count_total))
}
