//! Builds and runs the programs in `pass/`, and checks what the compiler says of those in `fail/`.
//! `TRYBUILD=overwrite cargo test -p blixard-ui-tests` writes the expected messages anew; read them before they are committed.

#[test]
fn what_is_right_runs() {
    trybuild::TestCases::new().pass("pass/*.rs");
}

/// On its own: where nothing is to run, all programs are checked in one go.
#[test]
fn what_is_wrong_is_explained() {
    trybuild::TestCases::new().compile_fail("fail/*.rs");
}
