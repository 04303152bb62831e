//! What cannot be: a code, a message that says what to do, and nothing is changed by it.

use std::{fs, os::unix::fs::symlink};

use blixard_rpc::{Code, Status};
use blixard_services::vm::{
    Change, Disk, DiskFormat, HealthCheck, HostConfig, KernelBoot, MAX_REQUEST_ID_BYTES,
    PortForward, Probe, RecoveryPolicy, Vm, VmSpec, VmState, Vms,
};
use blixard_tests::net::soon;

use crate::node::{Node, nano, until};

fn change() -> Change {
    Change::default()
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, Status>, code: Code) -> String {
    let status = result.unwrap_err();
    assert_eq!(status.code(), code, "{status}");
    assert!(!status.message().is_empty() && status.message().len() < 1000);
    status.message().to_owned()
}

#[tokio::test]
async fn names() {
    let Some(node) = Node::new().await else {
        return;
    };
    let long = "x".repeat(64);
    let huge = "x".repeat(200_000);
    let bad = [
        "", "-a", "a-", "A", "a b", "../a", "a/b", "/", ".", "..", "a\0b", "a,b", "a=b", "ä",
        "%2e", &long, &huge,
    ];
    for name in bad {
        let name = || name.to_owned();
        refused(
            node.vms.create(name(), nano(), change()).await,
            Code::InvalidArgument,
        );
        refused(
            node.vms.start(name(), change()).await,
            Code::InvalidArgument,
        );
        refused(
            node.vms.delete(name(), true, change()).await,
            Code::InvalidArgument,
        );
        refused(node.vms.get(name()).await, Code::InvalidArgument);
        refused(
            node.vms.list_health_checks(name()).await,
            Code::InvalidArgument,
        );
        if !name().is_empty() {
            refused(node.vms.list(name()).await, Code::InvalidArgument);
        }
    }
    // What is larger than any request is refused before it is read.
    let megabyte = "x".repeat(1 << 20);
    let made = node.vms.create(megabyte, nano(), change()).await;
    refused(made, Code::ResourceExhausted);
    for name in ["a", "0", "a-b", &"x".repeat(63)] {
        node.vms
            .create(name.into(), nano(), change())
            .await
            .unwrap();
    }
    assert_eq!(node.vms.list(String::new()).await.unwrap().vms.len(), 4);
    refused(node.vms.get("nobody".into()).await, Code::NotFound);
    refused(
        node.vms.start("nobody".into(), change()).await,
        Code::NotFound,
    );
}

#[tokio::test]
async fn sizes_and_images() {
    let Some(node) = Node::new().await else {
        return;
    };
    let images = node.folder.0.join("images");
    fs::create_dir(images.join("folder")).unwrap();
    fs::write(node.folder.0.join("secret"), "secret").unwrap();
    symlink("../secret", images.join("link")).unwrap();
    fs::write(images.join("raw"), vec![0; 1 << 20]).unwrap();
    fs::write(images.join("two,files"), "").unwrap();
    fs::write(images.join("two words"), "").unwrap();
    let huge = fs::File::create(images.join("huge")).unwrap();
    huge.set_len(1 << 40).unwrap();
    for (name, arguments) in [
        ("good", vec!["-f", "qcow2"]),
        ("backed", vec!["-f", "qcow2", "-b", "raw", "-F", "raw"]),
        ("split", vec!["-f", "qcow2", "-o", "data_file=data"]),
    ] {
        let mut command = std::process::Command::new("qemu-img");
        command.arg("create").args(arguments).args([name, "1M"]);
        let output = command.current_dir(&images).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    let with = |edit: fn(&mut VmSpec)| {
        let mut spec = nano();
        edit(&mut spec);
        spec
    };
    let kernel = |kernel: &str| VmSpec {
        kernel: Some(KernelBoot {
            kernel: kernel.into(),
            ..KernelBoot::default()
        }),
        ..nano()
    };
    let initrd = |initrd: &str| VmSpec {
        kernel: Some(KernelBoot {
            kernel: "nano.elf".into(),
            initrd: initrd.into(),
            ..KernelBoot::default()
        }),
        ..nano()
    };
    let disk = |image: &str, format| VmSpec {
        disks: vec![Disk {
            image: image.into(),
            format,
            ..Disk::default()
        }],
        ..nano()
    };
    use Code::{InvalidArgument, NotFound};
    let port = |node_port, guest_port| PortForward {
        node_port,
        guest_port,
    };
    let ports = |ports: Vec<PortForward>| VmSpec { ports, ..nano() };
    let bad: Vec<(VmSpec, Code)> = vec![
        (VmSpec::default(), InvalidArgument),
        (with(|spec| spec.cpus = 0), InvalidArgument),
        (with(|spec| spec.cpus = 100_000), InvalidArgument),
        (with(|spec| spec.cpus = u32::MAX), InvalidArgument),
        (with(|spec| spec.memory_bytes = 0), InvalidArgument),
        (with(|spec| spec.memory_bytes = 1), InvalidArgument),
        (
            with(|spec| spec.memory_bytes = (32 << 20) + 1),
            InvalidArgument,
        ),
        (with(|spec| spec.memory_bytes = 1 << 50), InvalidArgument),
        // What a negative number of another language becomes.
        (
            with(|spec| spec.memory_bytes = -(1_i64 << 20) as u64),
            InvalidArgument,
        ),
        (with(|spec| spec.kernel = None), InvalidArgument),
        (kernel(""), InvalidArgument),
        (kernel("none"), NotFound),
        (kernel("folder"), InvalidArgument),
        (kernel("../secret"), InvalidArgument),
        (kernel("folder/../../secret"), InvalidArgument),
        (kernel("/etc/passwd"), InvalidArgument),
        (kernel("link"), InvalidArgument),
        (kernel("nano.elf\0"), InvalidArgument),
        (kernel(&"x/".repeat(1000)), InvalidArgument),
        // QEMU would read it whole.
        (kernel("huge"), InvalidArgument),
        (initrd("huge"), InvalidArgument),
        (initrd("../secret"), InvalidArgument),
        // QEMU would take it for two files, the second of which lies anywhere.
        (initrd("two,files"), InvalidArgument),
        (initrd("two words"), InvalidArgument),
        (disk("raw", DiskFormat::Unspecified), InvalidArgument),
        (disk("raw", DiskFormat::Other(9)), InvalidArgument),
        (disk("raw", DiskFormat::Qcow2), InvalidArgument),
        (disk("backed", DiskFormat::Qcow2), InvalidArgument),
        (disk("split", DiskFormat::Qcow2), InvalidArgument),
        (disk("../secret", DiskFormat::Raw), InvalidArgument),
        (ports(vec![port(0, 1)]), InvalidArgument),
        (ports(vec![port(1, 0)]), InvalidArgument),
        (ports(vec![port(9, 1), port(9, 2)]), InvalidArgument),
        (ports(vec![port(9, 1); 100]), InvalidArgument),
        (
            VmSpec {
                disks: vec![Disk::default(); 9],
                ..nano()
            },
            InvalidArgument,
        ),
        (
            with(|spec| spec.kernel.as_mut().unwrap().command_line = "a\0b".into()),
            InvalidArgument,
        ),
        (
            with(|spec| spec.kernel.as_mut().unwrap().command_line = "a".repeat(100_000)),
            InvalidArgument,
        ),
    ];
    for (spec, code) in bad {
        let said = refused(
            node.vms.create("a".into(), spec.clone(), change()).await,
            code,
        );
        assert!(!said.contains("secret\n"), "{said}");
    }
    assert!(node.vms.list(String::new()).await.unwrap().vms.is_empty());

    // A name of a file is never taken for anything else, and disks are there.
    fs::copy(
        images.join("raw"),
        images.join("a,readonly=on,b='c' {\"d\"}"),
    )
    .unwrap();
    let mut spec = disk("good", DiskFormat::Qcow2);
    spec.disks.push(Disk {
        image: "a,readonly=on,b='c' {\"d\"}".into(),
        format: DiskFormat::Raw,
        read_only: true,
        ..Disk::default()
    });
    node.vms
        .create("disks".into(), spec.clone(), change())
        .await
        .unwrap();
    node.vms.start("disks".into(), change()).await.unwrap();
    until(&node.vms, "disks", VmState::Running).await;
    let other = node.vms.create("disks".into(), nano(), change()).await;
    refused(other, Code::AlreadyExists);
    assert!(
        !node
            .vms
            .create("disks".into(), spec, change())
            .await
            .unwrap()
            .changed
    );
}

/// A request that its state does not allow leaves the machine as it is, version and all.
#[tokio::test]
async fn requests_in_wrong_states() {
    let Some(node) = Node::new().await else {
        return;
    };
    let vms = &node.vms;
    let a = || "a".to_owned();
    let now = async || -> Vm { vms.get(a()).await.unwrap().vm };
    let check = async |wrong: &[&str]| {
        let before = now().await;
        for request in wrong {
            let code = match *request {
                "pause" => refused(vms.pause(a(), change()).await, Code::FailedPrecondition),
                "resume" => refused(vms.resume(a(), change()).await, Code::FailedPrecondition),
                "restart" => refused(
                    vms.restart(a(), None, change()).await,
                    Code::FailedPrecondition,
                ),
                "start" => refused(vms.start(a(), change()).await, Code::FailedPrecondition),
                "delete" => refused(
                    vms.delete(a(), false, change()).await,
                    Code::FailedPrecondition,
                ),
                "console" => {
                    let input =
                        blixard_rpc::Streaming::from_iter([blixard_services::vm::ConsoleRequest {
                            name: a(),
                            ..Default::default()
                        }]);
                    refused(vms.console(input).await.map(drop), Code::FailedPrecondition)
                }
                other => panic!("{other}"),
            };
            assert!(code.starts_with("a "), "{code}");
        }
        assert_eq!(now().await, before);
    };
    vms.create(a(), nano(), change()).await.unwrap();
    check(&["pause", "resume", "restart", "console"]).await;
    node.running("a").await;
    check(&["delete"]).await;
    vms.pause(a(), change()).await.unwrap();
    until(vms, "a", VmState::Paused).await;
    check(&["start", "delete"]).await;
    vms.resume(a(), change()).await.unwrap();
    let running = until(vms, "a", VmState::Running).await;
    let mut terminal = crate::node::Terminal::of(vms, "a").await;
    terminal.expect("READY").await;
    terminal.send("h").await;
    let minute = Some(std::time::Duration::from_secs(60));
    vms.stop(a(), minute, change()).await.unwrap();
    check(&["start", "pause", "resume", "restart", "delete"]).await;
    vms.stop(a(), Some(std::time::Duration::ZERO), change())
        .await
        .unwrap();
    until(vms, "a", VmState::Stopped).await;
    check(&["pause", "resume", "restart", "console"]).await;
    vms.start(a(), change()).await.unwrap();
    let again = until(vms, "a", VmState::Running).await;
    assert_ne!(again.process, running.process);
    crate::node::kill(again.process.unwrap().pid as i32);
    until(vms, "a", VmState::Failed).await;
    check(&["pause", "resume", "restart", "console"]).await;
}

#[tokio::test]
async fn a_change_is_made_once_for_its_id_and_at_its_version_alone() {
    let Some(node) = Node::new().await else {
        return;
    };
    let vms = &node.vms;
    let created = vms
        .create("a".into(), nano(), Change::id("1"))
        .await
        .unwrap();
    // Two starts at once, of which one changes something; and one that is sent twice.
    let (one, two) = tokio::join!(
        vms.start("a".into(), change()),
        vms.start("a".into(), change())
    );
    assert_ne!(one.unwrap().changed, two.unwrap().changed);
    until(vms, "a", VmState::Running).await;
    let zero = Some(std::time::Duration::ZERO);
    let stopped = vms.stop("a".into(), zero, Change::id("2")).await.unwrap();
    until(vms, "a", VmState::Stopped).await;
    let started = vms.start("a".into(), Change::id("3")).await.unwrap();
    assert!(started.changed);
    until(vms, "a", VmState::Running).await;
    // The stop comes again, late: it was done, and is not done again.
    assert_eq!(
        vms.stop("a".into(), zero, Change::id("2")).await.unwrap(),
        stopped
    );
    assert_eq!(
        vms.create("a".into(), nano(), Change::id("1"))
            .await
            .unwrap(),
        created
    );
    assert_eq!(
        vms.get("a".into()).await.unwrap().vm.state,
        VmState::Running
    );
    // Another change with the same id is a mistake.
    refused(
        vms.stop("a".into(), None, Change::id("2")).await,
        Code::InvalidArgument,
    );
    refused(
        vms.pause("a".into(), Change::id("3")).await,
        Code::InvalidArgument,
    );
    let long = "x".repeat(MAX_REQUEST_ID_BYTES + 1);
    refused(
        vms.pause("a".into(), Change::id(long)).await,
        Code::InvalidArgument,
    );

    let version = vms.get("a".into()).await.unwrap().vm.version;
    let stale = change().if_version(version - 1);
    let said = refused(vms.pause("a".into(), stale).await, Code::Aborted);
    assert!(said.contains(&version.to_string()), "{said}");
    assert!(
        vms.pause("a".into(), change().if_version(version))
            .await
            .unwrap()
            .changed
    );

    // It is known after a restart as well.
    let node = node.again().await;
    assert_eq!(
        node.vms
            .stop("a".into(), zero, Change::id("2"))
            .await
            .unwrap(),
        stopped
    );
    let deleted = node
        .vms
        .delete("a".into(), true, Change::id("4"))
        .await
        .unwrap();
    crate::node::until_gone(&node.vms, "a").await;
    assert_eq!(
        node.vms
            .delete("a".into(), true, Change::id("4"))
            .await
            .unwrap(),
        deleted
    );
    refused(
        node.vms.delete("a".into(), true, change()).await,
        Code::NotFound,
    );
}

/// An answer that is sent again is the same, whatever has become of what was asked for.
#[tokio::test]
async fn a_creation_is_answered_the_same_when_its_image_is_gone() {
    let Some(node) = Node::new().await else {
        return;
    };
    let create = || node.vms.create("a".into(), nano(), Change::id("1"));
    let created = create().await.unwrap();
    fs::remove_file(node.folder.0.join("images/nano.elf")).unwrap();
    assert_eq!(create().await.unwrap(), created);
    node.vms.delete("a".into(), true, change()).await.unwrap();
    crate::node::until_gone(&node.vms, "a").await;
    assert_eq!(create().await.unwrap(), created);
    refused(
        node.vms.create("a".into(), nano(), Change::id("2")).await,
        Code::NotFound,
    );
}

/// What is forwarded is all of a guest's network: it does not reach what listens on the node.
#[tokio::test]
async fn a_guest_reaches_nothing_by_itself() {
    let Some(node) = Node::new().await else {
        return;
    };
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let node_port = free.local_addr().unwrap().port();
    drop(free);
    let ports = vec![PortForward {
        node_port,
        guest_port: 80,
    }];
    let spec = VmSpec { ports, ..nano() };
    node.vms.create("a".into(), spec, change()).await.unwrap();
    node.vms.start("a".into(), change()).await.unwrap();
    let vm = until(&node.vms, "a", VmState::Running).await;
    std::net::TcpStream::connect(("127.0.0.1", node_port)).unwrap();
    let pid = vm.process.unwrap().pid;
    let arguments = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    let networks: Vec<&str> = arguments
        .split('\0')
        .skip_while(|argument| *argument != "-netdev")
        .skip(1)
        .step_by(2)
        .take(1)
        .collect();
    let expected = format!("user,id=net0,restrict=on,hostfwd=tcp:127.0.0.1:{node_port}-:80");
    assert_eq!(networks, [expected]);
}

/// A program that only starts QEMU would be taken for it, and end without it.
#[tokio::test]
async fn what_is_not_qemu_itself_is_refused_and_leaves_no_process() {
    if !blixard_tests::tools::installed(crate::node::QEMU) {
        return;
    }
    let folder = crate::node::Folder::new();
    let mut config = folder.config();
    config.binary = folder.0.join("wrapper");
    let script = "#!/bin/sh\nqemu-system-x86_64 \"$@\"\nexit 0\n";
    fs::write(&config.binary, script).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&config.binary, mode).unwrap();
    let node = Node::with(folder, config).await;
    node.vms.create("a".into(), nano(), change()).await.unwrap();
    // Twice: the first has left nothing that the second stumbles on.
    for _ in 0..2 {
        node.vms.start("a".into(), change()).await.unwrap();
        let failed = until(&node.vms, "a", VmState::Failed).await;
        let message = failed.reason.unwrap().message;
        assert!(message.contains("is to be QEMU itself"), "{message}");
    }
    node.vms.delete("a".into(), false, change()).await.unwrap();
    crate::node::until_gone(&node.vms, "a").await;
}

#[tokio::test]
async fn health_checks_and_recoveries() {
    let Some(node) = Node::new().await else {
        return;
    };
    let vms = &node.vms;
    vms.create("a".into(), nano(), change()).await.unwrap();
    let check = |name: &str, probe: Probe| HealthCheck {
        name: name.into(),
        probe,
        interval: std::time::Duration::ZERO,
        timeout: std::time::Duration::ZERO,
        failures: 0,
        successes: 0,
        disabled: false,
    };
    let http = |address: &str, path: &str| Probe::Http {
        address: address.into(),
        path: path.into(),
    };
    let tcp = |address: &str| Probe::Tcp {
        address: address.into(),
    };
    let console = |send: &str, pattern: &str| Probe::Console {
        send: send.into(),
        pattern: pattern.into(),
    };
    for probe in [
        http("", "/"),
        http("host", "/"),
        http("host:0", "/"),
        http("127.0.0.1:80", "no-slash"),
        http("127.0.0.1:80", "/ HTTP/1.1\r\nX: y"),
        http("ho\nst:80", "/"),
        http("127.0.0.1:80", &format!("/{}", "x".repeat(1000))),
        tcp("127.0.0.1:70000"),
        // To look a name up may take for ever.
        tcp("localhost:80"),
        http("example.org:80", "/"),
        console("p", ""),
        console("p", &"x".repeat(1000)),
        Probe::Unknown,
    ] {
        let added = vms.add_health_check("a".into(), check("c", probe), change());
        refused(added.await, Code::InvalidArgument);
    }
    let mut hasty = check("c", Probe::Process);
    hasty.interval = std::time::Duration::from_nanos(1);
    refused(
        vms.add_health_check("a".into(), hasty, change()).await,
        Code::InvalidArgument,
    );
    refused(
        vms.enable_health_check("a".into(), "c".into(), true, change())
            .await,
        Code::NotFound,
    );
    let added = vms.add_health_check("a".into(), check("c", Probe::Process), change());
    assert!(added.await.unwrap().changed);
    let again = vms.add_health_check("a".into(), check("c", Probe::Process), change());
    assert!(!again.await.unwrap().changed);
    let other = vms.add_health_check("a".into(), check("c", console("", "x")), change());
    refused(other.await, Code::AlreadyExists);
    for number in 1..16 {
        let one = check(&format!("c{number}"), Probe::Process);
        vms.add_health_check("a".into(), one, change())
            .await
            .unwrap();
    }
    let many = vms.add_health_check("a".into(), check("d", Probe::Process), change());
    refused(many.await, Code::ResourceExhausted);
    let removed = soon(vms.remove_health_check("a".into(), "d".into(), change())).await;
    assert!(!removed.unwrap().changed);
    assert_eq!(
        vms.list_health_checks("a".into())
            .await
            .unwrap()
            .health_checks
            .len(),
        16
    );
    let none = Some(RecoveryPolicy::default());
    refused(
        vms.set_recovery("a".into(), none, change()).await,
        Code::InvalidArgument,
    );
}

/// What the machines of a node have together is bounded, and what stops makes room.
#[tokio::test]
async fn memory() {
    if !blixard_tests::tools::installed(crate::node::QEMU) {
        return;
    }
    let folder = crate::node::Folder::new();
    let (config, host) = (folder.config(), HostConfig::default());
    let node = Node::hosted(folder, config, host.memory_bytes(100 << 20)).await;
    let vms = &node.vms;
    let start = async |name: &str| soon(vms.start(name.into(), change())).await;
    for name in ["a", "b", "c", "d"] {
        soon(vms.create(name.into(), nano(), change()))
            .await
            .unwrap();
    }
    for name in ["a", "b", "c"] {
        start(name).await.unwrap();
    }
    let before = vms.get("d".into()).await.unwrap();
    let said = refused(start("d").await, Code::ResourceExhausted);
    assert!(said.contains("d needs 32 MiB"), "{said}");
    assert!(said.contains("of the 100 MiB"), "{said}");
    assert!(
        said.contains("96 are taken: stop or move another"),
        "{said}"
    );
    assert_eq!(vms.get("d".into()).await.unwrap(), before);
    // One that has it already is started once more.
    assert!(!start("a").await.unwrap().changed);
    until(vms, "a", VmState::Running).await;
    let zero = Some(std::time::Duration::ZERO);
    soon(vms.restart("a".into(), zero, change())).await.unwrap();
    until(vms, "b", VmState::Running).await;
    soon(vms.stop("b".into(), zero, change())).await.unwrap();
    until(vms, "b", VmState::Stopped).await;
    start("d").await.unwrap();
    until(vms, "d", VmState::Running).await;
    refused(start("b").await, Code::ResourceExhausted);
}
