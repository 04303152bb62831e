//! What runs guests on this node: KVM counts if a guest really runs by it. In a machine within a machine `/dev/kvm` may well open, and
//! run nothing.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use blixard_rpc::{Result, Status};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::Command,
    time::timeout,
};

use super::{Accelerator, QemuConfig, args, not_spawned, process::boot_id};

/// A guest of a few hundred bytes, which says `READY`, and `PONG` when it is sent a `p`; its source lies beside it.
pub(super) const GUEST: &[u8] = include_bytes!("../../../guest/nano.elf");

/// What runs guests here: as it was found since the node was booted, or else as it is found now.
pub(super) async fn accelerator(config: &QemuConfig) -> Result<Accelerator> {
    let note = config.run.join(NOTE);
    let boot = boot_id().unwrap_or_default();
    let known = fs::read_to_string(&note).unwrap_or_default();
    match known.strip_prefix(boot.as_str()).map(str::trim) {
        Some("kvm") => return Ok(Accelerator::Kvm),
        Some("tcg") => return Ok(Accelerator::Tcg),
        _ => {}
    }
    let kernel = guest(config)?;
    let kvm = fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/kvm")
        .is_ok();
    let mut found = None;
    if kvm
        && runs(&config.binary, "kvm", &kernel, KVM_PATIENCE)
            .await?
            .is_none()
    {
        found = Some((Accelerator::Kvm, "kvm"));
    }
    if found.is_none() {
        match runs(&config.binary, "tcg", &kernel, TCG_PATIENCE).await? {
            None => found = Some((Accelerator::Tcg, "tcg")),
            Some(said) => {
                return Err(Status::failed_precondition(format!(
                    "{} runs no guest, neither by KVM nor by TCG: {said}",
                    config.binary.display()
                )));
            }
        }
    }
    let (accelerator, name) = found.unwrap_or((Accelerator::Tcg, "tcg"));
    // If it cannot be noted, it is found out again.
    let _ = fs::write(&note, format!("{boot} {name}\n"));
    tracing::info!(accelerator = name, "guests run");
    Ok(accelerator)
}

/// Whether a guest runs by what was found.
pub(super) async fn check(config: &QemuConfig, accelerator: Accelerator) -> Result<()> {
    let (name, patience) = match accelerator {
        Accelerator::Kvm => ("kvm", KVM_PATIENCE),
        Accelerator::Auto | Accelerator::Tcg => ("tcg", TCG_PATIENCE),
    };
    let kernel = guest(config)?;
    match runs(&config.binary, name, &kernel, patience).await? {
        None => Ok(()),
        Some(said) => Err(Status::failed_precondition(format!(
            "{} runs no guest by {name}: {said}",
            config.binary.display()
        ))),
    }
}

/// Whether QEMU still starts.
pub(super) async fn starts(config: &QemuConfig) -> Result<()> {
    let binary = &config.binary;
    let output = Command::new(binary)
        .arg("--version")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| not_spawned(binary, &error))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().last().unwrap_or("it says nothing");
    Err(Status::failed_precondition(format!(
        "{} does not start, {}: {said}",
        binary.display(),
        output.status
    )))
}

/// The file of the tiny guest.
fn guest(config: &QemuConfig) -> Result<PathBuf> {
    let kernel = config.run.join("probe.elf");
    fs::write(&kernel, GUEST).map_err(|error| {
        Status::unavailable(format!("{} cannot be written: {error}", kernel.display()))
    })?;
    Ok(kernel)
}

/// Whether a guest runs by this: `None`, or what was said instead.
async fn runs(
    binary: &Path,
    accelerator: &str,
    kernel: &Path,
    patience: Duration,
) -> Result<Option<String>> {
    let mut child = Command::new(binary)
        .args(["-nodefaults", "-no-user-config", "-display", "none"])
        .args(["-machine", "q35", "-accel", accelerator, "-m", "32"])
        .args(["-sandbox", args::SANDBOX, "-serial", "stdio", "-kernel"])
        .arg(kernel)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| not_spawned(binary, &error))?;
    let (Some(mut input), Some(mut output)) = (child.stdin.take(), child.stdout.take()) else {
        return Ok(Some("it has no standard input".to_owned()));
    };
    let talks = async {
        let mut said = Vec::new();
        let mut buffer = [0; 512];
        for (word, then) in [("READY", "p"), ("PONG", "o")] {
            while !said.windows(word.len()).any(|part| part == word.as_bytes()) {
                match output.read(&mut buffer).await {
                    Ok(read @ 1..) => said.extend_from_slice(&buffer[..read]),
                    _ => return false,
                }
            }
            if input.write_all(then.as_bytes()).await.is_err() {
                return false;
            }
        }
        true
    };
    if timeout(patience, talks).await == Ok(true) {
        return Ok(None);
    }
    // It may be killed already; what it said is read all the same.
    let _ = child.kill().await;
    let mut said = String::new();
    if let Some(mut errors) = child.stderr.take() {
        let _ = errors.read_to_string(&mut said).await;
    }
    let said = said.lines().last().unwrap_or("its guest says nothing");
    Ok(Some(said.to_owned()))
}

const NOTE: &str = "accelerator";
const KVM_PATIENCE: Duration = Duration::from_secs(2);
const TCG_PATIENCE: Duration = Duration::from_secs(20);
