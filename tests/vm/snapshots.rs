//! Snapshots of the disks of machines that do not run.

use std::{process::Command, time::Duration};

use blixard_rpc::Code;
use blixard_services::vm::{Change, Disk, DiskFormat, VmSpec, VmState, Vms};
use blixard_tests::{net::soon, tools::installed};

use crate::node::{Folder, Node, QEMU, nano, until};

fn disk(image: &str, format: DiskFormat) -> Disk {
    Disk {
        image: image.into(),
        format,
        ..Disk::default()
    }
}

/// Writes, or reads, the first bytes of a disk.
fn io(node: &Node, image: &str, command: &str) -> String {
    let path = node.folder.0.join("images").join(image);
    let mut io = Command::new("qemu-io");
    let output = io.args(["-f", "qcow2", "-c", command]).arg(path).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn disks_become_as_they_were() {
    let Some(node) = Node::new().await else {
        return;
    };
    if !installed("qemu-img") || !installed("qemu-io") {
        return;
    }
    let images = node.folder.0.join("images");
    // What would be options, if a path were taken for them.
    for name in ["one,read-only=on.qcow2", "two.qcow2"] {
        let mut img = Command::new("qemu-img");
        let made = img
            .args(["create", "-q", "-f", "qcow2"])
            .arg(images.join(name))
            .arg("1M");
        assert!(made.status().unwrap().success());
    }
    std::fs::write(images.join("raw"), vec![0; 1 << 20]).unwrap();
    let names = ["one,read-only=on.qcow2", "two.qcow2"];
    let vms = &node.vms;
    let create = async |name: &str, disks: Vec<Disk>| {
        let spec = VmSpec { disks, ..nano() };
        let created = vms.create(name.into(), spec, Change::default());
        soon(created).await.unwrap();
    };
    create("a", names.map(|name| disk(name, DiskFormat::Qcow2)).into()).await;
    create("bare", Vec::new()).await;
    create("raw", vec![disk("raw", DiskFormat::Raw)]).await;
    let kept = async || {
        let listed = soon(vms.list_snapshots("a".into())).await.unwrap();
        let names = listed.snapshots.into_iter().map(|it| it.name);
        names.collect::<Vec<_>>()
    };
    let create = async |name: &str, snapshot: &str| {
        soon(vms.create_snapshot(name.into(), snapshot.into())).await
    };

    for name in names {
        io(&node, name, "write -P 1 0 4k");
    }
    assert!(create("a", "before").await.unwrap().changed);
    for name in names {
        io(&node, name, "write -P 2 0 4k");
    }
    assert!(
        !create("a", "before").await.unwrap().changed,
        "it stays as it is"
    );
    assert!(create("a", "after").await.unwrap().changed);
    assert_eq!(kept().await, ["after", "before"]);

    // While it runs its disks are its own.
    soon(vms.start("a".into(), Change::default()))
        .await
        .unwrap();
    let runs = until(vms, "a", VmState::Running).await;
    let refused = create("a", "more").await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    assert!(refused.message().contains("stop it first"), "{refused}");
    assert_eq!(kept().await, ["after", "before"]);
    let zero = Some(Duration::ZERO);
    soon(vms.stop("a".into(), zero, Change::default()))
        .await
        .unwrap();
    until(vms, "a", VmState::Stopped).await;

    let restore = async |snapshot: &str, version| {
        soon(vms.restore_snapshot("a".into(), snapshot.into(), version)).await
    };
    let old = restore("before", Some(runs.version)).await.unwrap_err();
    assert_eq!(old.code(), Code::Aborted, "{old}");
    assert_eq!(
        restore("none", None).await.unwrap_err().code(),
        Code::NotFound
    );
    let read = |byte: u8| {
        for name in names {
            let said = io(&node, name, &format!("read -P {byte} 0 4k"));
            assert!(!said.contains("failed"), "{said}");
        }
    };
    read(2);
    restore("before", None).await.unwrap();
    read(1);
    restore("after", None).await.unwrap();
    read(2);
    // One that only one disk has is none, and is made whole.
    let first = images.join(names[1]);
    let mut img = Command::new("qemu-img");
    let made = img.args(["snapshot", "-c", "half"]).arg(&first);
    assert!(made.status().unwrap().success());
    assert_eq!(kept().await, ["after", "before"]);
    assert!(create("a", "half").await.unwrap().changed);
    let deleted = vms.delete_snapshot("a".into(), "before".into());
    assert!(soon(deleted).await.unwrap().changed);
    let deleted = vms.delete_snapshot("a".into(), "before".into());
    assert!(!soon(deleted).await.unwrap().changed);
    assert_eq!(kept().await, ["after", "half"]);

    for (name, says) in [("bare", "nothing to keep"), ("raw", "only qcow2")] {
        let refused = create(name, "x").await.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
        assert!(refused.message().contains(says), "{refused}");
    }
    let named = create("a", "../x").await.unwrap_err();
    assert_eq!(named.code(), Code::InvalidArgument);
    assert_eq!(
        create("nobody", "x").await.unwrap_err().code(),
        Code::NotFound
    );
}

/// A disk that begins as an image has what can be kept in the folder of its machine.
#[tokio::test]
async fn what_was_written_over_an_image_becomes_as_it_was() {
    if !installed(QEMU) || !installed("qemu-img") {
        return;
    }
    let folder = Folder::new();
    let base = folder.0.join("base");
    std::fs::write(&base, vec![7; 1 << 20]).unwrap();
    let config = folder.config().bases(move |_| {
        let base = base.clone();
        async move { Ok(base) }
    });
    let node = Node::with(folder, config).await;
    let vms = &node.vms;
    let disk = Disk {
        base: "07".repeat(32),
        format: DiskFormat::Raw,
        ..Disk::default()
    };
    let spec = VmSpec {
        disks: vec![disk],
        ..nano()
    };
    soon(vms.create("a".into(), spec, Change::default()))
        .await
        .unwrap();
    let early = soon(vms.create_snapshot("a".into(), "x".into())).await;
    let early = early.unwrap_err();
    assert_eq!(early.code(), Code::FailedPrecondition, "{early}");
    assert!(early.message().contains("never run"), "{early}");
    let runs = async || {
        soon(vms.start("a".into(), Change::default()))
            .await
            .unwrap();
        until(vms, "a", VmState::Running).await;
        let zero = Some(Duration::ZERO);
        soon(vms.stop("a".into(), zero, Change::default()))
            .await
            .unwrap();
        until(vms, "a", VmState::Stopped).await;
    };
    runs().await;
    let made = soon(vms.create_snapshot("a".into(), "x".into())).await;
    assert!(made.unwrap().changed);
    runs().await;
    soon(vms.restore_snapshot("a".into(), "x".into(), None))
        .await
        .unwrap();
    runs().await;
    let kept = soon(vms.list_snapshots("a".into())).await.unwrap();
    assert_eq!(kept.snapshots.len(), 1);
}
