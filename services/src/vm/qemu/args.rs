//! What QEMU is started with, and what a machine may be. Nothing of a machine is ever parsed by QEMU as anything but the value it is.

use std::{
    ffi::OsString,
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use blixard_rpc::{Result, Status};

use super::{
    Accelerator,
    base::{self, Bases},
    guest, image, socket,
};
use crate::vm::{
    backend::MachineId,
    messages::{DiskFormat, ResetPolicy, VmSpec},
};

/// By this a process can be found.
pub(super) const UUID: &str = "-uuid";

const MIB: u64 = 1 << 20;
const LEAST_MEMORY: u64 = 16 * MIB;

/// Whether a machine like this can be here.
pub(super) fn check(spec: &VmSpec, images: &Path, bases: &Bases) -> Result<()> {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    if spec.cpus == 0 || spec.cpus as usize > cpus {
        return Err(Status::invalid_argument(format!(
            "a machine has 1 to {cpus} processors here, and not {}",
            spec.cpus
        )));
    }
    let memory = memory();
    if spec.memory_bytes < LEAST_MEMORY
        || spec.memory_bytes > memory
        || !spec.memory_bytes.is_multiple_of(MIB)
    {
        return Err(Status::invalid_argument(format!(
            "a machine has 16 to {} MiB of memory here, in whole MiB, and not {} bytes",
            memory / MIB,
            spec.memory_bytes
        )));
    }
    if spec.kernel.is_none() && spec.disks.is_empty() {
        return Err(Status::invalid_argument(
            "a machine needs a kernel or a disk to start from",
        ));
    }
    if let Some(kernel) = &spec.kernel {
        let mut files = vec![image::find(images, &kernel.kernel)?];
        if !kernel.initrd.is_empty() {
            let initrd = image::find(images, &kernel.initrd)?;
            // For some kernels QEMU takes it for a list of files, each with arguments.
            if initrd
                .as_os_str()
                .as_bytes()
                .iter()
                .any(|byte| b", ".contains(byte))
            {
                return Err(Status::invalid_argument(format!(
                    "the path of an initrd has neither a comma nor a space, and {} has: name it otherwise",
                    initrd.display()
                )));
            }
            files.push(initrd);
        }
        // QEMU reads them whole, whatever they are.
        let size = |path: &PathBuf| fs::metadata(path).map_or(0, |found| found.len());
        let loaded: u64 = files.iter().map(size).sum();
        if loaded > spec.memory_bytes {
            return Err(Status::invalid_argument(format!(
                "a kernel and its initrd of {loaded} bytes do not fit {} bytes of memory",
                spec.memory_bytes
            )));
        }
    }
    for disk in &spec.disks {
        let path = bases.file(disk, images)?;
        match disk.format {
            DiskFormat::Raw => {}
            DiskFormat::Qcow2 => {
                image::check_qcow2(&path, &format!("{}{}", disk.image, disk.base))?
            }
            _ => {
                return Err(Status::invalid_argument(format!(
                    "the format of the disk {} is to be said: raw or qcow2",
                    disk.image
                )));
            }
        }
    }
    Ok(())
}

/// The arguments for a machine.
///
/// A guest that comes from another process says what kind of machine it was in.
pub(super) fn of(
    id: &MachineId,
    spec: &VmSpec,
    accelerator: Accelerator,
    images: &Path,
    machine: Option<&str>,
    bases: &Bases,
) -> Result<Vec<OsString>> {
    check(spec, images, bases)?;
    let mut arguments: Vec<OsString> = Vec::new();
    let mut add = |words: &[&str]| arguments.extend(words.iter().map(OsString::from));
    // A name of a machine has neither a comma nor an equals sign.
    add(&["-name", &format!("guest={}", id.name)]);
    add(&[UUID, &id.uuid.to_string()]);
    add(&["-nodefaults", "-no-user-config", "-display", "none", "-S"]);
    add(&["-sandbox", SANDBOX]);
    add(&["-machine", machine.unwrap_or("q35")]);
    if machine.is_some() {
        add(&["-incoming", "defer"]);
    }
    match accelerator {
        Accelerator::Kvm => add(&["-accel", "kvm", "-cpu", "host"]),
        // Its cache of translated code would take up to a GiB by default.
        _ => add(&["-accel", "tcg,tb-size=64", "-cpu", "qemu64"]),
    }
    add(&["-smp", &spec.cpus.to_string()]);
    add(&["-m", &format!("{}M", spec.memory_bytes / MIB)]);
    add(&["-chardev", &listens("qmp", guest::QMP)]);
    add(&["-mon", "chardev=qmp,mode=control"]);
    add(&["-chardev", &listens("console", guest::CONSOLE)]);
    add(&["-serial", "chardev:console"]);
    add(&["-device", "pvpanic"]);
    add(&["-device", "virtio-serial-pci"]);
    add(&["-chardev", &listens("agent", socket::AGENT)]);
    add(&[
        "-device",
        "virtserialport,chardev=agent,name=org.qemu.guest_agent.0",
    ]);
    // One that puts itself to sleep would be seen neither to run nor to end.
    for sleep in ["disable_s3", "disable_s4"] {
        add(&["-global", &format!("ICH9-LPC.{sleep}=1")]);
    }
    let reset = match spec.on_reset {
        ResetPolicy::Fail => "shutdown",
        _ => "reset",
    };
    // Whatever ends a guest leaves its process, which says why until somebody has asked.
    let action = format!("reboot={reset},shutdown=pause,panic=pause");
    add(&["-action", &action]);
    for (index, disk) in spec.disks.iter().enumerate() {
        let path = bases.file(disk, images)?;
        let path = path.to_str().ok_or_else(|| {
            Status::invalid_argument(format!("the image {} has no name in UTF-8", disk.image))
        })?;
        let node = base::node(index, disk, path);
        add(&["-blockdev", &node.to_string()]);
        add(&["-device", &format!("virtio-blk-pci,drive=disk{index}")]);
    }
    if !spec.ports.is_empty() {
        // Without this a guest reaches whatever listens on the node's loopback.
        let mut network = "user,id=net0,restrict=on".to_owned();
        for port in &spec.ports {
            network.push_str(&format!(
                ",hostfwd=tcp:127.0.0.1:{}-:{}",
                port.node_port, port.guest_port
            ));
        }
        add(&["-netdev", &network]);
        add(&["-device", "virtio-net-pci,netdev=net0"]);
    }
    if let Some(kernel) = &spec.kernel {
        arguments.push("-kernel".into());
        arguments.push(image::find(images, &kernel.kernel)?.into());
        if !kernel.initrd.is_empty() {
            arguments.push("-initrd".into());
            arguments.push(image::find(images, &kernel.initrd)?.into());
        }
        if !kernel.command_line.is_empty() {
            arguments.push("-append".into());
            arguments.push((&kernel.command_line).into());
        }
    }
    Ok(arguments)
}

fn listens(id: &str, path: &str) -> String {
    format!("socket,id={id},path={path},server=on,wait=off")
}

/// The files of a machine that are only read: its kernel, its initrd, and disks.
pub(super) fn files(spec: &VmSpec, images: &Path) -> Result<Vec<(String, PathBuf)>> {
    let kernel = spec.kernel.iter();
    let booted = kernel.flat_map(|kernel| [&kernel.kernel, &kernel.initrd]);
    let booted = booted.filter(|name| !name.is_empty());
    // An image has the same hash on every node.
    let disks = spec.disks.iter();
    let disks = disks.filter(|disk| disk.read_only && disk.base.is_empty());
    let names = booted.chain(disks.map(|disk| &disk.image));
    names
        .map(|name| Ok((name.clone(), image::find(images, name)?)))
        .collect()
}

/// What the node has.
pub(super) fn memory() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

pub(super) const SANDBOX: &str =
    "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny";
