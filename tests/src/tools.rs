//! Tools that do not come with Rust: where they are, and what becomes of a test without them.

use std::{
    env,
    io::Write as _,
    path::{Path, PathBuf},
};

/// The tool that `bash .ci/tools` installs here, below `target/ci-tools`; or the one that `variable` names in the environment.
///
/// Without it the test is to return: that it was skipped is said on the standard error.
///
/// # Panics
/// It is not there, and `CI` is set: there a test that does not run is one that fails.
#[must_use]
pub fn find(variable: &str, path: &str) -> Option<PathBuf> {
    if let Some(named) = env::var_os(variable) {
        return Some(named.into());
    }
    let installed = root().join("target/ci-tools").join(path);
    if installed.exists() {
        return Some(installed);
    }
    skipped(&format!(
        "there is no {}; `bash .ci/tools` installs it, or name one in {variable}",
        installed.display()
    ));
    None
}

/// Whether a program of the whole machine is there, which `bash .ci/tools` installs in CI.
///
/// Without it the test is to return: that it was skipped is said on the standard error.
///
/// # Panics
/// It is not there, and `CI` is set: there a test that does not run is one that fails.
#[must_use]
pub fn installed(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let there = env::split_paths(&path).any(|folder| folder.join(program).is_file());
    if !there {
        skipped(&format!(
            "there is no {program}; `CI=1 bash .ci/tools` installs it"
        ));
    }
    there
}

fn skipped(why: &str) {
    let skipped = format!("skipped: {why}");
    assert!(env::var_os("CI").is_none(), "{skipped}");
    // The harness swallows what a passing test prints by `println!`.
    let _ = std::io::stderr().write_all(format!("{skipped}\n").as_bytes());
}

/// The folder of the workspace.
#[must_use]
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
