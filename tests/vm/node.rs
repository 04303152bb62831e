//! A node in this process, in a folder of its own, whose machines do not outlive the test.

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use blixard_rpc::{Channel, Memory, Router, Streaming};
use blixard_services::vm::{
    Accelerator, Change, ConsoleRequest, ConsoleResponse, HostConfig, Qemu, QemuConfig, Vm,
    VmEvent, VmHost, VmState, Vms, VmsClient, WatchResponse,
};
pub(crate) use blixard_tests::nano::nano;
use blixard_tests::{
    net::soon,
    tools::{installed, root},
};
use bytes::Bytes;
use rustix::process::{Pid, Signal, kill_process};

pub(crate) const QEMU: &str = "qemu-system-x86_64";

/// A folder of the test's own; processes that live in it end with it.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    /// With the tiny guest among its images.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("blixard-vm-{}-{number}", std::process::id());
        let folder = env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("images")).unwrap();
        let guest = root().join("services/guest/nano.elf");
        fs::copy(guest, folder.join("images/nano.elf")).unwrap();
        Self(folder.canonicalize().unwrap())
    }

    /// The processes that live here.
    pub(crate) fn processes(&self) -> Vec<i32> {
        processes_below(&self.0)
    }

    /// Its files, without those that say nothing of machines.
    pub(crate) fn config(&self) -> QemuConfig {
        let mut config = QemuConfig::new(&self.0);
        config.accelerator = Accelerator::Tcg;
        config
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        for pid in self.processes() {
            kill(pid);
        }
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The processes that live below a folder.
pub(crate) fn processes_below(folder: &Path) -> Vec<i32> {
    let pids = fs::read_dir("/proc").unwrap();
    pids.filter_map(|entry| {
        let entry = entry.ok()?;
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let cwd = fs::read_link(entry.path().join("cwd")).ok()?;
        cwd.starts_with(folder).then_some(pid)
    })
    .collect()
}

pub(crate) fn kill(pid: i32) {
    // It may have ended by itself.
    let _ = kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
}

/// A node, called in memory.
pub(crate) struct Node {
    pub(crate) vms: VmsClient,
    pub(crate) host: VmHost<Qemu>,
    pub(crate) folder: Folder,
}

impl Node {
    /// `None` where there is no QEMU.
    pub(crate) async fn new() -> Option<Self> {
        if !installed(QEMU) {
            return None;
        }
        Some(Self::of(Folder::new()).await)
    }

    pub(crate) async fn of(folder: Folder) -> Self {
        let config = folder.config();
        Self::with(folder, config).await
    }

    pub(crate) async fn with(folder: Folder, config: QemuConfig) -> Self {
        Self::hosted(folder, config, HostConfig::default()).await
    }

    pub(crate) async fn hosted(folder: Folder, config: QemuConfig, host: HostConfig) -> Self {
        let qemu = Qemu::open(config).unwrap();
        let host = VmHost::open_with(&folder.0, qemu, host).await.unwrap();
        let router = Router::new().add(host.server());
        Self {
            vms: VmsClient::new(Channel::new(Memory::new(router))),
            host,
            folder,
        }
    }

    /// The same folder, by a new daemon.
    pub(crate) async fn again(self) -> Self {
        self.host.close().await;
        Self::of(self.folder).await
    }

    pub(crate) async fn running(&self, name: &str) -> Vm {
        self.vms
            .create(name.into(), nano(), Change::default())
            .await
            .unwrap();
        self.vms
            .start(name.into(), Change::default())
            .await
            .unwrap();
        until(&self.vms, name, VmState::Running).await
    }
}

/// Waits until a machine is so, as its watchers see it.
#[track_caller]
pub(crate) fn until(vms: &VmsClient, name: &str, state: VmState) -> impl Future<Output = Vm> {
    until_it(vms, name, move |vm| vm.state == state)
}

/// Waits until this holds of a machine.
#[track_caller]
pub(crate) fn until_it(
    vms: &VmsClient,
    name: &str,
    holds: impl Fn(&Vm) -> bool,
) -> impl Future<Output = Vm> {
    let (vms, name) = (vms.clone(), name.to_owned());
    let caller = std::panic::Location::caller();
    async move {
        let mut last = None;
        let found = async {
            let mut events = vms.watch(None).await.unwrap();
            while let Some(item) = events.next().await {
                if let VmEvent::Changed(vm) = item.unwrap().event
                    && vm.name == name
                {
                    if holds(&vm) {
                        return *vm;
                    }
                    last = Some(*vm);
                }
            }
            panic!("the watch of {name} ended at {caller}");
        };
        match long(found).await {
            Some(vm) => vm,
            None => panic!("{name} is {last:?} after {LONG:?}, at {caller}"),
        }
    }
}

/// Waits until a machine is gone.
pub(crate) async fn until_gone(vms: &VmsClient, name: &str) {
    let mut events = soon(vms.watch(None)).await.unwrap();
    let mut last = None;
    let gone = async {
        loop {
            let WatchResponse { event, .. } = events.next().await.unwrap().unwrap();
            match event {
                VmEvent::Changed(vm) if vm.name == name => last = Some(vm),
                VmEvent::Removed(gone) if gone == name => return,
                VmEvent::Synced if last.is_none() => return,
                _ => {}
            }
        }
    };
    if long(gone).await.is_none() {
        panic!("{name} is not gone after {LONG:?}, but {last:?}");
    }
}

/// A console that is read and typed at.
pub(crate) struct Terminal {
    input: blixard_rpc::call::Sender<ConsoleRequest>,
    output: Streaming<ConsoleResponse>,
    said: Vec<u8>,
}

impl Terminal {
    pub(crate) async fn of(vms: &VmsClient, name: &str) -> Self {
        let (input, requests) = Streaming::channel(4);
        let first = ConsoleRequest {
            name: name.into(),
            data: Bytes::new(),
        };
        input.send(first).await.unwrap();
        Self {
            input,
            output: soon(vms.console(requests)).await.unwrap(),
            said: Vec::new(),
        }
    }

    pub(crate) async fn send(&self, data: &'static str) {
        let data = Bytes::from_static(data.as_bytes());
        let name = String::new();
        self.input
            .send(ConsoleRequest { name, data })
            .await
            .unwrap();
    }

    /// Reads until this was said.
    pub(crate) async fn expect(&mut self, text: &str) {
        let found = |said: &[u8]| said.windows(text.len()).any(|part| part == text.as_bytes());
        while !found(&self.said) {
            let next = long(self.output.next()).await;
            let next = next.unwrap_or_else(|| panic!("no {text:?}"));
            self.said.extend_from_slice(&next.unwrap().unwrap().data);
        }
        self.said.clear();
    }

    /// Reads to the end.
    pub(crate) async fn end(mut self) -> Vec<u8> {
        while let Some(item) = soon(self.output.next()).await {
            self.said.extend_from_slice(&item.unwrap().data);
        }
        self.said
    }
}

/// Longer than anything takes on a machine that does much else. What is suspended meanwhile, and all its guests, loses a small part of it.
const LONG: Duration = Duration::from_secs(60);

/// Waits for what may take long; `None` if it takes too long.
pub(crate) async fn long<F: Future>(future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    for _ in 0..60 {
        if let Ok(done) = tokio::time::timeout(LONG / 60, &mut future).await {
            return Some(done);
        }
    }
    None
}

pub(crate) fn is_there(path: &Path) -> bool {
    path.exists()
}
