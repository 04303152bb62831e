//! Machines whose disks begin as images: the image is only read, and what is written is the machine's own.

use std::{
    fs,
    path::Path,
    process::Command,
    sync::{Arc, OnceLock},
    time::Duration,
};

use blixard_rpc::{Channel, Code, Memory, Router};
use blixard_services::{
    image::{ImageHost, ImageState, Images},
    vm::{
        Accelerator, Change, Disk, DiskFormat, KernelBoot, Qemu, QemuConfig, VmEvent, VmHost,
        VmSpec, VmState, Vms, VmsClient,
    },
};
use blixard_tests::tools::{installed, root};

use crate::node::{MIB, Node, content, in_time};

/// What the two hosts of a node know of each other.
#[derive(Default)]
struct Hosts {
    vms: OnceLock<VmHost<Qemu>>,
    images: OnceLock<ImageHost>,
}

async fn reaches(vms: &VmsClient, name: &str, state: Option<VmState>) {
    let mut events = vms.watch(None).await.unwrap();
    let mut there = false;
    while let Some(event) = events.next().await {
        match event.unwrap().event {
            VmEvent::Changed(vm) if vm.name == name => {
                there = true;
                assert_ne!(vm.state, VmState::Failed, "{:?}", vm.reason);
                if Some(vm.state) == state {
                    return;
                }
            }
            VmEvent::Removed(gone) if gone == name && state.is_none() => return,
            VmEvent::Synced if !there && state.is_none() => return,
            _ => {}
        }
    }
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {output:?}"
    );
}

#[tokio::test]
async fn a_disk_begins_as_an_image_that_stays_as_it_is() {
    if !["qemu-system-x86_64", "qemu-img", "qemu-io"]
        .into_iter()
        .all(installed)
    {
        return;
    }
    let hosts: Arc<Hosts> = Arc::default();
    let known = Arc::clone(&hosts);
    let origin = Node::new().await;
    let node = Node::with(|config| config.users(move || known.vms.get().map(VmHost::bases))).await;
    assert!(hosts.images.set(node.host.clone()).is_ok());
    let bytes = content(70, 6 * MIB + 512);
    let hash = in_time(origin.has("base", &bytes)).await;
    in_time(node.get("base", &hash, &[origin.provider()]))
        .await
        .unwrap();
    // Nobody knows yet who uses what.
    let remove = || node.images.remove("base".into(), String::new());
    assert_eq!(remove().await.unwrap_err().code(), Code::FailedPrecondition);

    let folder = node.folder.path();
    fs::copy(
        root().join("services/guest/nano.elf"),
        folder.join("images/nano.elf"),
    )
    .unwrap();
    let known = Arc::clone(&hosts);
    let mut config = QemuConfig::new(folder).bases(move |hash| {
        let images = known.images.get().unwrap().clone();
        async move { images.file(&hash).await }
    });
    config.accelerator = Accelerator::Tcg;
    let host = VmHost::open(folder, Qemu::open(config).unwrap())
        .await
        .unwrap();
    assert!(hosts.vms.set(host.clone()).is_ok());
    let vms = VmsClient::new(Channel::new(Memory::new(Router::new().add(host.server()))));
    let spec = |base: &str, format| VmSpec {
        cpus: 1,
        memory_bytes: 32 << 20,
        kernel: Some(KernelBoot {
            kernel: "nano.elf".into(),
            ..KernelBoot::default()
        }),
        disks: vec![Disk {
            base: base.into(),
            format,
            ..Disk::default()
        }],
        ..VmSpec::default()
    };
    for (base, format, code) in [
        ("../base", DiskFormat::Raw, Code::InvalidArgument),
        (&*"1".repeat(64), DiskFormat::Raw, Code::NotFound),
        (&hash, DiskFormat::Qcow2, Code::InvalidArgument),
        (&hash, DiskFormat::Unspecified, Code::InvalidArgument),
    ] {
        let created = vms.create("bad".into(), spec(base, format), Change::default());
        assert_eq!(created.await.unwrap_err().code(), code);
    }

    let uuid = {
        let created = vms.create(
            "web".into(),
            spec(&hash, DiskFormat::Raw),
            Change::default(),
        );
        created.await.unwrap().vm.uuid.replace('-', "")
    };
    let image = node.images.describe("base".into()).await.unwrap().image;
    assert_eq!(image.used_by, ["the machine web"]);
    let status = remove().await.unwrap_err();
    assert!(
        status.message().contains("used by the machine web"),
        "{status}"
    );

    vms.start("web".into(), Change::default()).await.unwrap();
    in_time(reaches(&vms, "web", Some(VmState::Running))).await;
    let stop = || vms.stop("web".into(), Some(Duration::ZERO), Change::default());
    stop().await.unwrap();
    in_time(reaches(&vms, "web", Some(VmState::Stopped))).await;

    // QEMU's own tools find the image below it, and keep what is written apart.
    let base = node.host.file(&hash).await.unwrap();
    let overlay = folder.join("run").join(&uuid).join("disk0.qcow2");
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    run("qemu-img", &["check", "-f", "qcow2", &text(&overlay)]);
    let with_base = format!(
        "json:{{\"driver\":\"qcow2\",\"file\":{{\"driver\":\"file\",\"filename\":\"{}\"}},\"backing\":{{\"driver\":\"raw\",\"file\":{{\"driver\":\"file\",\"filename\":\"{}\"}}}}}}",
        text(&overlay),
        text(&base)
    );
    run(
        "qemu-img",
        &["compare", "-F", "raw", &with_base, &text(&base)],
    );
    run("qemu-io", &["-c", "write -P 0xab 1M 64k", &with_base]);
    run("qemu-img", &["check", "-f", "qcow2", &text(&overlay)]);
    assert_eq!(fs::read(&base).unwrap(), bytes);

    // What was written is there after a start; it goes with the machine, and the image stays.
    vms.start("web".into(), Change::default()).await.unwrap();
    in_time(reaches(&vms, "web", Some(VmState::Running))).await;
    stop().await.unwrap();
    in_time(reaches(&vms, "web", Some(VmState::Stopped))).await;
    run("qemu-io", &["-c", "read -P 0xab 1M 64k", &with_base]);
    vms.delete("web".into(), true, Change::default())
        .await
        .unwrap();
    in_time(reaches(&vms, "web", None)).await;
    assert!(!overlay.exists());
    let image = node.images.describe("base".into()).await.unwrap().image;
    assert_eq!(
        (image.state, image.used_by),
        (ImageState::Ready, Vec::new())
    );
    host.close().await;
}
