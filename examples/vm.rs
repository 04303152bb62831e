//! A node that runs machines by QEMU: one is created, booted, watched, typed at, paused, stopped and deleted, over iroh.
//!
//! `cargo run --example vm --features vm`

use std::{error::Error, fs, time::Duration};

use blixard_examples::serve_and_connect;
use blixard_rpc::{Router, Status, Streaming};
use blixard_services::vm::{
    Change, ConsoleRequest, KernelBoot, Qemu, QemuConfig, VmEvent, VmHost, VmSpec, VmState, Vms,
    VmsClient, WatchResponse,
};
use bytes::Bytes;

/// A guest of a few hundred bytes, which says READY and obeys its power button.
const GUEST: &[u8] = include_bytes!("../services/guest/nano.elf");

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // The node. Its machines would survive it; so this one has a folder of its own, and deletes what it makes.
    let folder = std::env::temp_dir().join(format!("blixard-vm-example-{}", std::process::id()));
    fs::create_dir_all(folder.join("images"))?;
    fs::write(folder.join("images/nano.elf"), GUEST)?;
    let qemu = Qemu::open(QemuConfig::new(&folder))?;
    match qemu.accelerator().await {
        Ok(accelerator) => println!("guests run by {accelerator:?}"),
        Err(status) => {
            println!("this example needs QEMU: {}", status.message());
            fs::remove_dir_all(folder)?;
            return Ok(());
        }
    }
    let host = VmHost::open(&folder, qemu).await?;
    let (channel, _server) = serve_and_connect(Router::new().add(host.server())).await?;
    let vms = VmsClient::new(channel);
    let outcome = life(&vms).await;
    if outcome.is_err() {
        // Whatever went wrong, no process is left.
        let mut watch = Watch::of(&vms).await?;
        if vms
            .delete("demo".into(), true, Change::default())
            .await
            .is_ok()
        {
            let _ = watch.until(None).await;
        }
    }
    host.close().await;
    fs::remove_dir_all(folder)?;
    outcome
}

async fn life(vms: &VmsClient) -> Result<(), Box<dyn Error>> {
    let demo = || "demo".to_owned();
    let spec = VmSpec {
        cpus: 1,
        memory_bytes: 32 << 20,
        kernel: Some(KernelBoot {
            kernel: "nano.elf".into(),
            ..KernelBoot::default()
        }),
        ..VmSpec::default()
    };
    let mut watch = Watch::of(vms).await?;
    vms.create(demo(), spec, Change::default()).await?;

    // With an id a change can be sent again, and is made once.
    let once = Change::id("5e9c4e1b-2a7f-4c0e-8f3b-6d0e0c1c9d11");
    let first = vms.start(demo(), once.clone()).await?;
    assert_eq!(vms.start(demo(), once).await?, first);
    watch.until(Some(VmState::Running)).await?;

    // What is typed goes in, what it says comes out.
    let (typed, input) = Streaming::channel(1);
    typed.send(request("demo", "")).await?;
    let mut console = vms.console(input).await?;
    read_until(&mut console, "READY").await?;
    println!("the guest says:    READY");
    typed.send(request("", "p")).await?;
    read_until(&mut console, "PONG").await?;
    println!("the guest answers: PONG");

    vms.pause(demo(), Change::default()).await?;
    watch.until(Some(VmState::Paused)).await?;
    vms.resume(demo(), Change::default()).await?;
    watch.until(Some(VmState::Running)).await?;

    // The power button is pressed, and the guest has ten seconds.
    let grace = Some(Duration::from_secs(10));
    vms.stop(demo(), grace, Change::default()).await?;
    watch.until(Some(VmState::Stopped)).await?;
    vms.delete(demo(), false, Change::default()).await?;
    watch.until(None).await
}

/// Sees every change, from before the machine is there.
struct Watch {
    events: Streaming<WatchResponse>,
    state: VmState,
}

impl Watch {
    async fn of(vms: &VmsClient) -> Result<Self, Status> {
        Ok(Self {
            events: vms.watch(None).await?,
            state: VmState::Created,
        })
    }

    /// Until the machine is so, or gone; prints each state on the way.
    async fn until(&mut self, wanted: Option<VmState>) -> Result<(), Box<dyn Error>> {
        while let Some(item) = self.events.next().await {
            match item?.event {
                VmEvent::Changed(vm) => {
                    let before = std::mem::replace(&mut self.state, vm.state);
                    if before != vm.state {
                        println!("  {before:?} -> {:?}", vm.state);
                    }
                    if Some(vm.state) == wanted {
                        return Ok(());
                    }
                    if vm.state == VmState::Failed {
                        return Err(format!("demo has failed: {:?}", vm.reason).into());
                    }
                }
                VmEvent::Removed(name) => {
                    println!("{name} is gone");
                    return Ok(());
                }
                _ => {}
            }
        }
        Err("the watch has ended".into())
    }
}

fn request(name: &str, typed: &'static str) -> ConsoleRequest {
    ConsoleRequest {
        name: name.into(),
        data: Bytes::from_static(typed.as_bytes()),
    }
}

async fn read_until(
    console: &mut Streaming<blixard_services::vm::ConsoleResponse>,
    text: &str,
) -> Result<(), Box<dyn Error>> {
    let mut said = Vec::new();
    while !String::from_utf8_lossy(&said).contains(text) {
        let item = console.next().await.ok_or("the console has ended")?;
        said.extend_from_slice(&item?.data);
    }
    Ok(())
}
