//! Snapshots of a machine's disks, kept within their files by `qemu-img`: of all of its disks, or of none. A disk that is in use is locked
//! by QEMU, and one that is being worked on here by `qemu-img`: neither begins while the other has not ended.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, SystemTime},
};

use blixard_rpc::{Code, Result, Status};
use serde_json::Value;
use tokio::process::Command;

use super::{base, image, not_spawned};
use crate::vm::messages::{DiskFormat, Snapshot, VmSpec};

/// The disks of a machine, as the tool is told of them.
pub(super) struct Disks<'a> {
    tool: &'a Path,
    disks: Vec<(String, PathBuf)>,
}

impl<'a> Disks<'a> {
    /// Those that it writes to: files of their own, and overlays in the folder of the machine.
    pub(super) fn of(tool: &'a Path, spec: &VmSpec, images: &Path, folder: &Path) -> Result<Self> {
        let mut disks = Vec::new();
        for (index, disk) in spec.disks.iter().enumerate() {
            if disk.read_only {
                continue;
            }
            if let Some(overlay) = base::overlay_of(index, disk, folder) {
                if !overlay.exists() {
                    return Err(Status::failed_precondition(
                        "it has never run, and its disks are still the images that they begin as: there is nothing to keep",
                    ));
                }
                disks.push((format!("disk {index}"), overlay));
                continue;
            }
            if disk.format != DiskFormat::Qcow2 {
                return Err(Status::failed_precondition(format!(
                    "the disk {:?} is raw, and only qcow2 keeps snapshots: make it one, by `qemu-img convert`",
                    disk.image
                )));
            }
            disks.push((disk.image.clone(), image::find(images, &disk.image)?));
        }
        if disks.is_empty() {
            return Err(Status::failed_precondition(
                "it has no disks that it writes to: there is nothing to keep",
            ));
        }
        Ok(Self { tool, disks })
    }

    /// The snapshots that all of them have, by name.
    pub(super) async fn list(&self) -> Result<Vec<Snapshot>> {
        let mut all: Option<BTreeMap<String, Snapshot>> = None;
        for disk in &self.disks {
            let mut found = self.of_one(disk).await?;
            if let Some(before) = all {
                found.retain(|name, _| before.contains_key(name));
            }
            all = Some(found);
        }
        Ok(all.unwrap_or_default().into_values().collect())
    }

    /// Keeps how they are; answers whether there was no such snapshot yet.
    pub(super) async fn create(&self, name: &str) -> Result<bool> {
        if self.has(name).await? {
            return Ok(false);
        }
        // What is left of one that was not made of all of them.
        self.delete(name).await?;
        for disk in &self.disks {
            if let Err(status) = self.snapshot(disk, "-c", name).await {
                self.delete(name).await?;
                return Err(status);
            }
        }
        Ok(true)
    }

    /// Makes them as they were.
    pub(super) async fn restore(&self, name: &str) -> Result<()> {
        if !self.has(name).await? {
            return Err(Status::not_found(format!("it has no snapshot {name}")));
        }
        for disk in &self.disks {
            self.snapshot(disk, "-a", name).await?;
        }
        Ok(())
    }

    /// Keeps it no more; answers whether there was anything of it.
    pub(super) async fn delete(&self, name: &str) -> Result<bool> {
        let mut changed = false;
        for disk in &self.disks {
            if self.of_one(disk).await?.contains_key(name) {
                self.snapshot(disk, "-d", name).await?;
                changed = true;
            }
        }
        Ok(changed)
    }

    async fn has(&self, name: &str) -> Result<bool> {
        Ok(self.list().await?.iter().any(|it| it.name == name))
    }

    async fn of_one(&self, disk: &(String, PathBuf)) -> Result<BTreeMap<String, Snapshot>> {
        // Reading what another has open does no harm.
        let said = self.run(disk, &["info", "--force-share", "--output=json"]);
        let said: Value = serde_json::from_slice(&said.await?)
            .map_err(|_| Status::unavailable("qemu-img says something that is no JSON"))?;
        let found = said["snapshots"].as_array().into_iter().flatten();
        Ok(found
            .filter_map(|found| {
                let name = found["name"].as_str()?.to_owned();
                let since = Duration::from_secs(found["date-sec"].as_u64().unwrap_or(0));
                let created_at = SystemTime::UNIX_EPOCH.checked_add(since);
                Some((name.clone(), Snapshot { name, created_at }))
            })
            .collect())
    }

    async fn snapshot(&self, disk: &(String, PathBuf), what: &str, name: &str) -> Result<()> {
        self.run(disk, &["snapshot", what, name]).await.map(drop)
    }

    /// The format is said, and never guessed; a comma in a path is doubled, for it would end it.
    async fn run(&self, (name, path): &(String, PathBuf), words: &[&str]) -> Result<Vec<u8>> {
        let path = path.to_str().ok_or_else(|| {
            Status::invalid_argument(format!("the image {name:?} has no name in UTF-8"))
        })?;
        let path = path.replace(',', ",,");
        let output = Command::new(self.tool)
            .args(words)
            .arg("--image-opts")
            .arg(format!(
                "driver=qcow2,file.driver=file,file.filename={path}"
            ))
            .stdin(Stdio::null())
            .output()
            .await
            .map_err(|error| not_spawned(self.tool, &error))?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().last().unwrap_or("it does not say why");
        let (code, hint) = if said.contains("lock") {
            (Code::FailedPrecondition, ": it is in use, and must not be")
        } else if said.contains("No space left") {
            (Code::ResourceExhausted, ": the disk is full; make room")
        } else {
            (Code::Unavailable, "")
        };
        Err(Status::new(
            code,
            format!("the disk {name:?}: {said}{hint}"),
        ))
    }
}
