//! Builds the programs in `pass/` and `fail/`, all in one go. `TRYBUILD=overwrite cargo test -p blixard-ui-tests` writes the expected
//! messages anew; read them before they are committed.

#[test]
fn ui() {
    let cases = trybuild::TestCases::new();
    cases.pass("pass/*.rs");
    cases.compile_fail("fail/*.rs");
}
