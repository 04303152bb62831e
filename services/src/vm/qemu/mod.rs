//! [`Qemu`]: machines as processes of QEMU, each in a folder of its own with its sockets, its log and its lock.
//!
//! A process lives on when the daemon does not. It holds the lock of its folder as its standard input: whoever can take the lock knows
//! that there is no process, even one that nobody came to record.

mod agent;
mod args;
mod base;
mod form;
mod guest;
mod image;
mod patience;
mod probe;
mod process;
mod qmp;
mod snapshot;
mod socket;

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::{fs::DirBuilderExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use blixard_rpc::{Code, Result, Status};
use tokio::{
    sync::OnceCell,
    time::{Instant, sleep},
};
use uuid::Uuid;

use self::{
    base::{Bases, FindBase},
    form::Form,
    guest::{Place, Refused},
    process::Process,
    snapshot::Disks,
};
use super::{
    backend::{Adoption, Guest as _, GuestEvent, Hypervisor, MachineId, SnapshotWork},
    console::Heard,
    messages::{ResetPolicy, Snapshot, TransferFile, VmProcess, VmSpec},
};

pub use guest::QemuGuest;

/// Where QEMU is, and what it may use.
#[derive(Clone, Debug)]
pub struct QemuConfig {
    /// The program.
    pub binary: PathBuf,
    /// The program that works on disks.
    pub image_tool: PathBuf,
    /// Where machines have their sockets, logs and locks.
    pub run: PathBuf,
    /// Below this are all files that machines are made of.
    pub images: PathBuf,
    /// What runs the instructions of guests.
    pub accelerator: Accelerator,
    bases: Option<FindBase>,
}

impl QemuConfig {
    /// Debian's QEMU; folders `run` and `images` below this one.
    pub fn new(data: impl AsRef<Path>) -> Self {
        Self {
            binary: "qemu-system-x86_64".into(),
            image_tool: "qemu-img".into(),
            run: data.as_ref().join("run"),
            images: data.as_ref().join("images"),
            accelerator: Accelerator::Auto,
            bases: None,
        }
    }

    /// Disks may begin as images, which are found by their hashes: by `ImageHost::file`, say.
    #[must_use]
    pub fn bases<F>(mut self, find: impl Fn(String) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<PathBuf>> + Send + 'static,
    {
        self.bases = Some(FindBase::new(find));
        self
    }
}

/// What runs the instructions of guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accelerator {
    /// KVM if a guest really runs by it, else TCG. It is found out once a boot of the node.
    Auto,
    /// The processor, by Linux's KVM.
    Kvm,
    /// QEMU itself, which needs nothing and is slower.
    Tcg,
}

/// QEMU, as it is on this node.
#[derive(Debug)]
pub struct Qemu {
    config: QemuConfig,
    accelerator: OnceCell<Accelerator>,
    /// Whether a guest has run since it was last in doubt.
    ran: AtomicBool,
}

impl Qemu {
    /// Takes the folders, and makes those that are not there. QEMU itself is not asked for yet: machines can be known without it.
    ///
    /// # Errors
    /// A folder cannot be made.
    pub fn open(mut config: QemuConfig) -> Result<Self> {
        for folder in [&mut config.run, &mut config.images] {
            make_folder(folder)
                .and_then(|()| {
                    *folder = folder.canonicalize()?;
                    Ok(())
                })
                .map_err(|error| {
                    Status::failed_precondition(format!(
                        "the folder {} cannot be made: {error}",
                        folder.display()
                    ))
                })?;
        }
        Ok(Self {
            config,
            accelerator: OnceCell::new(),
            ran: AtomicBool::new(false),
        })
    }

    /// Whether QEMU is there and runs a guest, and by what.
    ///
    /// # Errors
    /// `FAILED_PRECONDITION` if it does not, and what to do about it.
    pub async fn accelerator(&self) -> Result<Accelerator> {
        let found = self.accelerator.get_or_try_init(|| async {
            match self.config.accelerator {
                Accelerator::Auto => probe::accelerator(&self.config).await,
                accelerator => Ok(accelerator),
            }
        });
        found.await.copied()
    }

    fn disks(&self, id: &MachineId, spec: &VmSpec) -> Result<Disks<'_>> {
        let config = &self.config;
        Disks::of(
            &config.image_tool,
            spec,
            &config.images,
            &self.folder(id.uuid),
        )
    }

    fn folder(&self, uuid: Uuid) -> PathBuf {
        self.config.run.join(uuid.simple().to_string())
    }

    fn place(&self, id: &MachineId, spec: &VmSpec) -> Place {
        Place {
            folder: self.folder(id.uuid),
            uuid: id.uuid,
            ends_by_reset: spec.on_reset == ResetPolicy::Fail,
        }
    }

    /// Takes the lock of a folder, waiting for a process that is just ending.
    async fn lock(&self, folder: &Path, patience: Duration) -> io::Result<Option<File>> {
        let lock = File::options()
            .create(true)
            .append(true)
            .open(folder.join(LOCK))?;
        let until = Instant::now() + patience;
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(Some(lock)),
                Err(TryLockError::WouldBlock) if Instant::now() < until => sleep(POLL).await,
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }

    async fn start(&self, id: &MachineId, spec: &VmSpec, form: Option<&str>) -> Result<QemuGuest> {
        let accelerator = self.accelerator().await?;
        let machine = form.map(|form| Form::read(form, accelerator)).transpose()?;
        let bases = Bases::of(spec, self.config.bases.as_ref()).await?;
        let images = &self.config.images;
        let arguments = args::of(id, spec, accelerator, images, machine, &bases)?;
        let folder = self.folder(id.uuid);
        let failed = |what: &str, error: io::Error| {
            Status::new(
                Code::Unavailable,
                format!("{what} {}: {error}", folder.display()),
            )
        };
        make_folder(&folder).map_err(|error| failed("there can be no folder", error))?;
        let lock = self.lock(&folder, LOCK_PATIENCE).await;
        let lock = lock.map_err(|error| failed("there can be no lock in", error))?;
        let lock = lock.ok_or_else(|| {
            Status::failed_precondition(format!(
                "another process of {} still holds the lock in {}",
                id.name,
                folder.display()
            ))
        })?;
        bases.overlay(spec, &folder)?;
        let log = (|| {
            for old in [guest::QMP, guest::CONSOLE, socket::AGENT, guest::WIRE] {
                remove_file(&folder.join(old))?;
            }
            let log = folder.join(guest::LOG);
            remove_file(&log)?;
            // What is cut off later is not written again.
            File::options().create(true).append(true).open(log)
        })()
        .map_err(|error| failed("a machine cannot begin in", error))?;
        let spawned = Command::new(&self.config.binary)
            .args(arguments)
            // The names of its sockets are relative: the system allows only short ones.
            .current_dir(&folder)
            .stdin(Stdio::from(lock))
            .stdout(Stdio::null())
            .stderr(Stdio::from(log))
            // What a terminal sends to the daemon is not meant for it.
            .process_group(0)
            .spawn();
        let mut child = spawned.map_err(|error| not_spawned(&self.config.binary, &error))?;
        let process = match Process::hold(child.id()) {
            Ok(process) => process,
            Err(error) => {
                // Nobody has waited for it: its number is its own. It may have ended already.
                let _ = child.kill();
                let _ = child.wait();
                return Err(failed("its process cannot be held, in", error));
            }
        };
        let place = self.place(id, spec);
        match QemuGuest::connect(process, place, Heard::FromStart, START_PATIENCE).await {
            Ok(guest) if guest.answers() => Ok(guest),
            Ok(mut guest) => {
                guest.kill();
                while !matches!(guest.event().await, GuestEvent::Gone(_)) {}
                Err(Status::unavailable(format!(
                    "QEMU did not answer within {START_PATIENCE:?}, and was killed"
                )))
            }
            Err(Refused::Ended(why)) => Err(Status::unavailable(why)),
            Err(Refused::Another(process, why)) => {
                process.kill_group();
                process.ended().await;
                Err(Status::failed_precondition(why))
            }
        }
    }

    async fn find(
        &self,
        id: &MachineId,
        spec: &VmSpec,
        recorded: Option<&VmProcess>,
    ) -> Result<QemuGuest, NotFound> {
        let place = self.place(id, spec);
        let connect =
            |process| QemuGuest::connect(process, place.clone(), Heard::Later, ADOPT_PATIENCE);
        let mut found = "no process was recorded".to_owned();
        if let Some(recorded) = recorded {
            match Process::hold_recorded(recorded) {
                Ok(process) => match connect(process).await {
                    Ok(guest) => return Ok(guest),
                    Err(Refused::Ended(why) | Refused::Another(_, why)) => found = why,
                },
                Err(why) => found = why,
            }
        }
        let folder = &place.folder;
        match fs::symlink_metadata(folder) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(NotFound::Gone(found));
            }
            Err(error) => return Err(NotFound::Unclear(format!("{found}; {error}"))),
        }
        let until = Instant::now() + ADOPT_PATIENCE;
        loop {
            match self.lock(folder, Duration::ZERO).await {
                Ok(Some(_)) => return Err(NotFound::Gone(found)),
                Ok(None) => {}
                Err(error) => {
                    return Err(NotFound::Unclear(format!(
                        "{found}; its lock cannot be read: {error}"
                    )));
                }
            }
            // There is a process that was not recorded, or is not what was recorded.
            for pid in process::with_arguments(args::UUID, &id.uuid.to_string()) {
                // Whoever only has the arguments of a machine, such as a search for it, is not its process.
                let Ok(process) = Process::hold(pid) else {
                    continue;
                };
                if !process::stdin_is(pid, &folder.join(LOCK)) {
                    continue;
                }
                match connect(process).await {
                    Ok(guest) => return Ok(guest),
                    Err(Refused::Ended(why) | Refused::Another(_, why)) => found = why,
                }
            }
            if Instant::now() > until {
                return Err(NotFound::Unclear(format!(
                    "{found}; somebody holds the lock in {}",
                    folder.display()
                )));
            }
            sleep(POLL).await;
        }
    }
}

/// What there is instead of a process.
enum NotFound {
    Gone(String),
    Unclear(String),
}

impl Hypervisor for Qemu {
    type Guest = QemuGuest;

    async fn check(&self, spec: &VmSpec) -> Result<()> {
        let bases = Bases::of(spec, self.config.bases.as_ref()).await?;
        args::check(spec, &self.config.images, &bases)
    }

    /// The tiny guest has to run once; then it is enough that the program still starts.
    async fn ready(&self) -> Result<()> {
        let runs = async {
            let accelerator = self.accelerator().await?;
            if self.ran.load(Ordering::Relaxed) {
                return probe::starts(&self.config).await;
            }
            probe::check(&self.config, accelerator).await
        };
        let ready = runs.await;
        self.ran.store(ready.is_ok(), Ordering::Relaxed);
        ready
    }

    /// What the node has, but for an eighth, and for a GiB at most: that is the system's.
    fn memory_bytes(&self) -> u64 {
        let all = args::memory();
        all - (all / 8).min(1 << 30)
    }

    async fn launch(&self, id: &MachineId, spec: &VmSpec) -> Result<QemuGuest> {
        self.start(id, spec, None).await
    }

    async fn receive(&self, id: &MachineId, spec: &VmSpec, form: &str) -> Result<QemuGuest> {
        self.start(id, spec, Some(form)).await
    }

    async fn files(&self, spec: &VmSpec) -> Result<Vec<TransferFile>> {
        let files = args::files(spec, &self.config.images)?;
        let hashed = tokio::task::spawn_blocking(move || {
            files
                .into_iter()
                .map(|(name, path)| image::hash(name, &path))
                .collect()
        });
        hashed
            .await
            .map_err(|error| Status::internal("files were not hashed").with_source(error))?
    }

    async fn snapshots(&self, id: &MachineId, spec: &VmSpec) -> Result<Vec<Snapshot>> {
        self.disks(id, spec)?.list().await
    }

    async fn snapshot(
        &self,
        id: &MachineId,
        spec: &VmSpec,
        name: &str,
        work: SnapshotWork,
    ) -> Result<bool> {
        let disks = self.disks(id, spec)?;
        match work {
            SnapshotWork::Create => disks.create(name).await,
            SnapshotWork::Restore => disks.restore(name).await.map(|()| true),
            SnapshotWork::Delete => disks.delete(name).await,
        }
    }

    async fn adopt(
        &self,
        id: &MachineId,
        spec: &VmSpec,
        recorded: Option<&VmProcess>,
    ) -> Adoption<QemuGuest> {
        match self.find(id, spec, recorded).await {
            Ok(mut guest) => {
                let state = guest.state().await;
                Adoption::Found(guest, state)
            }
            Err(NotFound::Gone(found)) => Adoption::Gone(found),
            Err(NotFound::Unclear(found)) => Adoption::Unclear(found),
        }
    }

    async fn remove(&self, id: &MachineId) -> Result<()> {
        match fs::remove_dir_all(self.folder(id.uuid)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Status::unavailable(
                format!("the folder of {} cannot be removed: {error}", id.name),
            )),
            _ => Ok(()),
        }
    }
}

/// Makes a folder that nobody else may look into.
fn make_folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn not_spawned(binary: &Path, error: &io::Error) -> Status {
    let binary = binary.display();
    Status::failed_precondition(match error.kind() {
        io::ErrorKind::NotFound => format!(
            "there is no {binary}: install QEMU (`apt-get install qemu-system-x86 qemu-utils` on Debian), or say where it is"
        ),
        io::ErrorKind::PermissionDenied => format!("{binary} may not be run: {error}"),
        _ => format!("{binary} cannot be run: {error}"),
    })
}

const LOCK: &str = "lock";
const POLL: Duration = Duration::from_millis(2);
/// How long a process that is ending may still hold its lock.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
/// How long QEMU has to answer after it was started.
const START_PATIENCE: Duration = Duration::from_secs(30);
/// How long a process that was found has to answer.
const ADOPT_PATIENCE: Duration = Duration::from_secs(5);
