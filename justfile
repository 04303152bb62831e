# `just verify` reads and says what is wrong, `just fix` writes. Neither needs more than Rust.

_default:
    @just --list --unsorted

# Everything that a change must pass; the same as on the project's machines.
verify:
    bash .ci/run

# Formats, and applies what the compiler and clippy can mend themselves.
fix:
    cargo fmt --all
    cargo clippy --workspace --all-targets --fix --allow-dirty --allow-staged
    cargo fmt --all

# Accepts the macro's expansions and error messages as they are now. Read the diff before you commit it.
bless:
    UPDATE_SNAPSHOTS=1 cargo test -p blixard-rpc-macros
    TRYBUILD=overwrite cargo test -p blixard-ui-tests

# Writes services/proto anew, unless that breaks somebody. Read the diff before you commit it.
protos:
    cargo run -q --example schema -- write services/proto

# What the tests of other languages need, below target/.
tools:
    bash .ci/tools

# Calls beside raw iroh; about a minute. `just bench --quick`, `just bench --only "echo 64"`, `just bench --json out.json`.
bench *ARGS:
    cargo bench -p blixard-rpc --bench calls -- {{ARGS}}

# The Raft transport's figures over gRPC, iroh and both; `just bench-raft --list` names its parts, `just bench-raft --only memory`.
bench-raft *ARGS:
    cargo bench -p blixard-raft-transport --bench cluster -- {{ARGS}}

# Images beside bare iroh-blobs: share, get, two providers, a kill, eight nodes; `just bench-images --only killed`, `just bench-images --mib 256`.
bench-images *ARGS:
    cargo bench -p blixard-services --features image-host --bench images -- {{ARGS}}

# Clusters of processes that are killed, stopped and cut off, for so many rounds; `BLIXARD_SEED` has one again.
raft ROUNDS="20":
    RAFT_ROUNDS={{ROUNDS}} cargo test --release -p blixard-tests --test raft -- --nocapture --test-threads=1

# Known bugs of Raft transports, each of which a test must find; about two minutes each. `just mutants any_stream_wins` tries one.
mutants *NAMES:
    tests/mutants/run {{NAMES}}

# Our calls beside those of other stacks: ours, irpc, tonic, tarpc, raw TLS, raw iroh; benches/peers/README.md. `just peers all --only unary-64`.
peers *ARGS:
    cargo run --release -p peers -- {{ARGS}}

# Instructions of the hot paths, without the network, beside those that are checked in: needs valgrind. `just instructions lane 64` prints one.
instructions *ARGS:
    bash .ci/instructions {{ARGS}}

# The documentation of every public item.
doc:
    cargo doc --workspace --no-deps --open

# Licences, bans and sources of all dependencies; needs `cargo install cargo-deny`.
deny:
    cargo deny --all-features check bans licenses sources

# Fuzzes each target for some seconds, new inputs go to fuzz/corpus; needs `cargo install cargo-fuzz` and a C++ compiler.
fuzz SECONDS="60":
    cd fuzz && for target in $(RUSTC_BOOTSTRAP=1 cargo fuzz list); do \
        RUSTC_BOOTSTRAP=1 cargo fuzz run -s none "$target" -- -max_total_time={{SECONDS}} -use_value_profile=1 || exit 1; \
    done
