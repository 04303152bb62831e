//! A disk that is full: what is refused changes nothing, what was acknowledged stays, and with room all goes on.

use std::{fs, process::Command};

use blixard_rpc::{Code, Result};
use blixard_services::vm::{Change, KernelBoot, VmSpec, VmState, Vms, VmsClient};
use blixard_tests::{net::soon, tools::installed};

use crate::{
    killed::Daemon,
    node::{Folder, QEMU, nano, until},
};

/// A machine whose record is as long as they come.
fn long(name: &str) -> VmSpec {
    VmSpec {
        kernel: Some(KernelBoot {
            kernel: "nano.elf".into(),
            initrd: String::new(),
            command_line: name.repeat(2048 / name.len()),
        }),
        ..nano()
    }
}

async fn fill(vms: &VmsClient) -> Result<Vec<String>> {
    let mut made = Vec::new();
    for number in 0..5_000 {
        let name = format!("m{number}");
        let created = vms.create(name.clone(), long(&name), Change::id(&name));
        match soon(created).await {
            Ok(_) => made.push(name),
            Err(status) if status.code() == Code::ResourceExhausted => {
                assert!(status.message().contains("disk is full"), "{status}");
                return Ok(made);
            }
            Err(status) => return Err(status),
        }
    }
    panic!("the disk is not full after {} machines", made.len());
}

async fn all(vms: &VmsClient) -> Vec<String> {
    let mut names = Vec::new();
    let mut page = String::new();
    loop {
        let list = vms.list(page).await.unwrap();
        names.extend(list.vms.into_iter().map(|vm| vm.name));
        page = list.next_page;
        if page.is_empty() {
            return names;
        }
    }
}

#[tokio::test]
async fn what_is_refused_for_want_of_room_changes_nothing() {
    if !installed(QEMU) {
        return;
    }
    let folder = Folder::new();
    let mut daemon = Daemon::begin(&folder);
    let first = daemon.vms.create("a".into(), nano(), Change::default());
    soon(first).await.unwrap();
    daemon.kill();
    // No file of this daemon gets longer than what the records are now.
    let blocks = fs::metadata(folder.0.join("machines.redb")).unwrap().len() / 512;
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
    let mut limited = Command::new("sh");
    limited.args(["-c", &script, "sh"]);
    let mut daemon = Daemon::begin_by(limited, &folder.0).0;
    let mut expected = fill(&daemon.vms).await.unwrap();
    expected.push("a".into());
    expected.sort();
    assert_eq!(all(&daemon.vms).await, expected);
    // It is refused again, and reading goes on.
    let again = daemon
        .vms
        .create("more".into(), long("more"), Change::id("m"));
    assert_eq!(
        soon(again).await.unwrap_err().code(),
        Code::ResourceExhausted
    );
    daemon.kill();

    let daemon = Daemon::begin(&folder);
    assert_eq!(all(&daemon.vms).await, expected);
    let again = daemon
        .vms
        .create("more".into(), long("more"), Change::id("m"));
    assert!(soon(again).await.unwrap().changed);
    soon(daemon.vms.start("a".into(), Change::default()))
        .await
        .unwrap();
    until(&daemon.vms, "a", VmState::Running).await;
}
