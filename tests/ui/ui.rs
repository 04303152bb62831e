//! Builds and runs the programs in `pass/`, and checks what the compiler says of those in `fail/`.
//! `TRYBUILD=overwrite cargo test -p blixard-ui-tests` writes the expected messages anew; read them before they are committed.
//! Compilers word and point differently: the messages are those of one version, [`WRITTEN_WITH`], and are compared with it alone.

use std::process::Command;

/// The version of rustc that the messages in `fail/` are from. Change it before they are written anew with another.
const WRITTEN_WITH: &str = "1.95";

#[test]
fn what_is_right_runs() {
    trybuild::TestCases::new().pass("pass/*.rs");
}

/// On its own: where nothing is to run, all programs are checked in one go.
#[test]
fn what_is_wrong_is_explained() {
    let compiler = compiler();
    if is_of(&compiler, WRITTEN_WITH) {
        trybuild::TestCases::new().compile_fail("fail/*.rs");
        return;
    }
    let skipped = format!(
        "skipped: the messages in tests/ui/fail are those of rustc {WRITTEN_WITH}, and this is {compiler}; \
         run this with {WRITTEN_WITH}, or set `WRITTEN_WITH` in tests/ui/ui.rs and write them anew"
    );
    assert!(std::env::var_os("CI").is_none(), "{skipped}");
    // The harness swallows what a passing test prints by `println!`.
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{skipped}\n").as_bytes());
}

#[test]
fn a_compiler_is_known_by_its_minor_version() {
    for (compiler, expected) in [
        ("rustc 1.95.0 (59807616e 2026-04-14)", true),
        ("rustc 1.95.1-beta.2 (59807616e 2026-04-14)", true),
        ("rustc 1.96.0 (59807616e 2026-04-14)", false),
        ("rustc 1.950.0", false),
        ("rustc 11.95.0", false),
        ("", false),
    ] {
        assert_eq!(is_of(compiler, "1.95"), expected, "{compiler}");
    }
}

/// What the compiler that cargo uses says of itself.
fn compiler() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(&rustc)
        .arg("--version")
        .output()
        .unwrap_or_else(|error| panic!("cannot run {}: {error}", rustc.display()));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Whether `rustc --version` printed a version `minor`, such as 1.95.
fn is_of(compiler: &str, minor: &str) -> bool {
    compiler
        .strip_prefix("rustc ")
        .and_then(|version| version.strip_prefix(minor))
        .is_some_and(|patch| patch.starts_with('.'))
}
