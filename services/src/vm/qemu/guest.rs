//! [`QemuGuest`]: one process of QEMU: what it is told, and what it says.

use std::{
    fs,
    io::{self, Read as _, Seek as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use blixard_rpc::{Result, Status};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::{Instant, sleep_until, timeout},
};
use uuid::Uuid;

use super::{
    agent::QemuAgent,
    form::Form,
    patience::patiently,
    process::Process,
    qmp::{ANSWER, Qmp},
    socket::{connect_to, listen_at},
};
use crate::vm::{
    backend::{Agent, Guest, GuestEvent, GuestState},
    console::{Console, Heard},
    messages::{Cause, Reason, VmProcess},
};

/// The socket of QMP, in the folder of the machine.
pub(super) const QMP: &str = "qmp";
/// The socket of the console, in the folder of the machine.
pub(super) const CONSOLE: &str = "console";
/// The socket by which a guest goes, or comes; in the folder of the machine.
pub(super) const WIRE: &str = "wire";
/// What QEMU says of itself, in the folder of the machine.
pub(super) const LOG: &str = "log";

/// What a process is known by, and what is known of it before it is asked.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The folder of the machine.
    pub(super) folder: PathBuf,
    pub(super) uuid: Uuid,
    /// Whether it is at its end when its guest is reset.
    pub(super) ends_by_reset: bool,
}

/// A machine that QEMU runs. Dropping it leaves QEMU as it is.
#[derive(Debug)]
pub struct QemuGuest {
    process: Process,
    place: Place,
    /// `None` if it does not answer.
    qmp: Option<Qmp>,
    console: Arc<Console>,
    agent: QemuAgent,
    /// When it is asked again.
    again: Instant,
    /// When its log is looked at again.
    trim: Instant,
    /// What it said of its end, for when its process is gone.
    ended: Option<Reason>,
    /// The last error of a disk: QEMU holds the guest for it.
    disk_error: Option<String>,
    /// When the guest was held last.
    held: Option<SystemTime>,
    /// Whether its guest still comes from another process.
    comes: bool,
}

impl QemuGuest {
    /// Takes a process that was found or started, as soon as it answers; it is the one that has this uuid.
    ///
    /// If it does not answer within `patience`, it is taken all the same, and can only be killed.
    pub(super) async fn connect(
        process: Process,
        place: Place,
        heard: Heard,
        patience: Duration,
    ) -> Result<Self, Refused> {
        let connected = async {
            tokio::select! {
                biased;
                status = process.ended() => Err((true, how_it_ended(&process, status, &place.folder))),
                connected = connect(&place, process.identity().pid, heard) => {
                    connected.map_err(|why| (false, why))
                }
            }
        };
        let (qmp, console) = match patiently(patience, connected).await {
            Some(Ok((qmp, console))) => (Some(qmp), console),
            Some(Err((true, why))) => return Err(Refused::Ended(why)),
            Some(Err((false, why))) => return Err(Refused::Another(process, why)),
            None => {
                let (console, _) = Console::new(Heard::Later);
                console.close();
                (None, Arc::new(console))
            }
        };
        let now = Instant::now();
        Ok(Self {
            process,
            agent: QemuAgent::new(place.folder.clone()),
            place,
            qmp,
            console,
            again: now + AGAIN,
            trim: now + TRIM,
            ended: None,
            disk_error: None,
            held: None,
            comes: false,
        })
    }

    /// Whether there is somebody to talk to.
    pub(super) const fn answers(&self) -> bool {
        self.qmp.is_some()
    }

    async fn command(&mut self, name: &str) -> Result<Value> {
        self.command_with(name, Value::Null).await
    }

    async fn command_with(&mut self, name: &str, arguments: Value) -> Result<Value> {
        let Some(qmp) = &mut self.qmp else {
            return Err(Status::unavailable(self.silent()));
        };
        let done = qmp.command(name, arguments).await;
        done.map_err(|error| {
            if error.kind() == io::ErrorKind::TimedOut {
                self.qmp = None;
            }
            Status::unavailable(format!("{name} failed: {error}")).with_source(error)
        })
    }

    async fn capabilities(&mut self, names: &[&str]) -> Result<()> {
        let on = |name: &&str| json!({ "capability": name, "state": true });
        let all: Vec<Value> = names.iter().map(on).collect();
        let all = json!({ "capabilities": all });
        self.command_with("migrate-set-capabilities", all)
            .await
            .map(drop)
    }

    fn silent(&self) -> String {
        format!(
            "QEMU, process {}, does not answer",
            self.process.identity().pid
        )
    }

    /// What an event of QEMU means here.
    fn read(&mut self, event: &Value) -> Option<GuestEvent> {
        let data = &event["data"];
        let text = |key: &str| data[key].as_str().unwrap_or_default().to_owned();
        match event["event"].as_str()? {
            "RESUME" => Some(GuestEvent::Running),
            // Whatever ends a guest holds it as well.
            "STOP" if self.ended.is_none() => {
                self.held = Some(SystemTime::now());
                Some(GuestEvent::Paused(self.disk_error.take()))
            }
            "MIGRATION" => match data["status"].as_str()? {
                "completed" if self.comes => {
                    self.comes = false;
                    Some(GuestEvent::Received)
                }
                "completed" => Some(GuestEvent::Sent(self.held.unwrap_or_else(SystemTime::now))),
                // One that cannot be taken in ends its process.
                "failed" if !self.comes => Some(GuestEvent::NotSent),
                _ => None,
            },
            "BLOCK_IO_ERROR" => {
                self.disk_error = Some(format!(
                    "disk {}: {} failed: {}; mend that, then resume",
                    text("node-name"),
                    text("operation"),
                    text("reason")
                ));
                None
            }
            "GUEST_PANICKED" => Some(self.end(
                Cause::GuestPanic,
                "the guest says that it panicked".to_owned(),
            )),
            "SHUTDOWN" => {
                let why = text("reason");
                let (cause, message) = match why.as_str() {
                    "guest-shutdown" => (Cause::GuestShutdown, "the guest powered itself off"),
                    "guest-reset" => (
                        Cause::GuestReset,
                        "the guest was reset, by itself or by a fault",
                    ),
                    "guest-panic" => (Cause::GuestPanic, "the guest says that it panicked"),
                    "host-qmp-quit" => (Cause::Requested, ""),
                    "host-signal" => (Cause::Killed, "QEMU was told to end by a signal"),
                    other => (Cause::Killed, other),
                };
                let message = message.to_owned();
                let guest = data["guest"].as_bool().unwrap_or(false);
                let event = self.end(cause, message);
                guest.then_some(event)
            }
            _ => None,
        }
    }

    /// Notes why it ended: what was said first counts.
    fn end(&mut self, cause: Cause, message: String) -> GuestEvent {
        let reason = self.ended.get_or_insert(Reason { cause, message });
        GuestEvent::Ended(reason.clone())
    }

    fn has_ended(&mut self, cause: Cause, message: &str) -> GuestState {
        let message = message.to_owned();
        let reason = self.ended.get_or_insert(Reason { cause, message });
        GuestState::Ended(reason.clone())
    }
}

impl Guest for QemuGuest {
    type Wire = UnixStream;

    fn process(&self) -> &VmProcess {
        self.process.identity()
    }

    fn console(&self) -> &Arc<Console> {
        &self.console
    }

    fn agent(&self) -> Arc<dyn Agent> {
        Arc::new(self.agent.clone())
    }

    async fn resume(&mut self) -> Result<()> {
        self.command("cont").await.map(drop)
    }

    async fn pause(&mut self) -> Result<()> {
        self.command("stop").await.map(drop)
    }

    async fn power_button(&mut self) -> Result<()> {
        self.command("system_powerdown").await.map(drop)
    }

    async fn quit(&mut self) -> Result<()> {
        self.command("quit").await.map(drop)
    }

    fn kill(&mut self) {
        self.process.kill();
    }

    async fn form(&mut self) -> Result<String> {
        let machine = json!({ "path": "/machine", "property": "type" });
        let machine = self.command_with("qom-get", machine).await?;
        let machine = machine.as_str().unwrap_or_default();
        let kvm = self.command("query-kvm").await?;
        let form = Form {
            machine: machine.trim_end_matches("-machine").to_owned(),
            kvm: kvm["enabled"].as_bool().unwrap_or(false),
        };
        Ok(form.write())
    }

    async fn send(&mut self) -> Result<UnixStream> {
        let failed = |error: io::Error| {
            Status::unavailable(format!("there can be no socket to send by: {error}"))
        };
        self.capabilities(&["events", "auto-converge"]).await?;
        let limits = json!({
            "max-bandwidth": MAX_BANDWIDTH,
            "downtime-limit": DOWNTIME.as_millis() as u64,
        });
        self.command_with("migrate-set-parameters", limits).await?;
        let listener = listen_at(&self.place.folder, WIRE).map_err(failed)?;
        let to = json!({ "uri": format!("unix:{WIRE}") });
        self.command_with("migrate", to).await?;
        let accepted = patiently(ANSWER, listener.accept()).await;
        let accepted = accepted.ok_or_else(|| Status::unavailable(self.silent()))?;
        // Nobody else needs to find it.
        let _ = fs::remove_file(self.place.folder.join(WIRE));
        accepted.map(|(stream, _)| stream).map_err(failed)
    }

    async fn stay(&mut self) -> Result<Option<String>> {
        let sent = self.command("query-migrate").await?;
        let why = match sent["status"].as_str() {
            Some("failed") => Some(
                sent["error-desc"]
                    .as_str()
                    .unwrap_or("QEMU does not say")
                    .to_owned(),
            ),
            _ => None,
        };
        self.command("migrate_cancel").await?;
        let until = Instant::now() + ANSWER;
        loop {
            let sent = self.command("query-migrate").await?;
            match sent["status"].as_str() {
                None | Some("none" | "completed" | "failed" | "cancelled") => break,
                Some(_) if Instant::now() < until => tokio::time::sleep(POLL).await,
                Some(other) => {
                    return Err(Status::unavailable(format!(
                        "QEMU does not end its migration, which is {other}"
                    )));
                }
            }
        }
        // One that has ended meanwhile cannot, and says so by its state.
        let status = self.command("query-status").await?;
        if let Some("postmigrate" | "finish-migrate" | "paused") = status["status"].as_str() {
            self.command("cont").await?;
        }
        Ok(why)
    }

    async fn take_in(&mut self) -> Result<UnixStream> {
        self.capabilities(&["events"]).await?;
        self.comes = true;
        let from = json!({ "uri": format!("unix:{WIRE}") });
        self.command_with("migrate-incoming", from).await?;
        let stream = connect_to(&self.place.folder, WIRE).await;
        stream.map_err(|error| Status::unavailable(format!("QEMU takes nothing in: {error}")))
    }

    async fn state(&mut self) -> GuestState {
        let status = match self.command("query-status").await {
            Ok(status) => status,
            Err(status) => return GuestState::Unreachable(status.message().to_owned()),
        };
        match status["status"].as_str().unwrap_or_default() {
            "prelaunch" => GuestState::Prelaunch,
            "running" => GuestState::Running,
            // QEMU does not tell the one from the other afterwards: what may have failed counts as failed.
            "shutdown" if self.place.ends_by_reset => self.has_ended(
                Cause::Unspecified,
                "the guest was reset, or powered itself off, while nobody looked",
            ),
            "shutdown" => self.has_ended(
                Cause::GuestShutdown,
                "the guest powered itself off while nobody looked",
            ),
            "guest-panicked" => self.has_ended(
                Cause::GuestPanic,
                "the guest said that it panicked while nobody looked",
            ),
            "internal-error" => self.has_ended(Cause::Killed, "QEMU cannot run it: internal-error"),
            "io-error" => {
                GuestState::Paused(Some("a disk failed; mend that, then resume".to_owned()))
            }
            _ => GuestState::Paused(None),
        }
    }

    async fn event(&mut self) -> GuestEvent {
        loop {
            let Some(qmp) = &mut self.qmp else {
                tokio::select! {
                    biased;
                    status = self.process.ended() => return GuestEvent::Gone(self.gone(status)),
                    () = sleep_until(self.again) => {}
                }
                self.trim();
                self.again = Instant::now() + AGAIN;
                if let Some(event) = self.reconnect().await {
                    return event;
                }
                continue;
            };
            let event = tokio::select! {
                // What it says before it goes is read first.
                biased;
                event = qmp.event() => event,
                status = self.process.ended() => {
                    // It may have said why, in the same moment.
                    let mut said = Vec::new();
                    while let Ok(Ok(event)) = timeout(LAST_WORDS, qmp.event()).await {
                        said.push(event);
                    }
                    for event in said {
                        self.read(&event);
                    }
                    return GuestEvent::Gone(self.gone(status));
                }
                () = sleep_until(self.trim) => {
                    self.trim();
                    continue;
                }
            };
            match event {
                Ok(event) => {
                    if let Some(event) = self.read(&event) {
                        return event;
                    }
                }
                Err(error) => {
                    self.qmp = None;
                    // It is the end of the process nearly always.
                    let end = timeout(LAST_WORDS, self.process.ended()).await;
                    return match end {
                        Ok(status) => GuestEvent::Gone(self.gone(status)),
                        Err(_) => GuestEvent::Unreachable(format!("{}: {error}", self.silent())),
                    };
                }
            }
        }
    }
}

impl QemuGuest {
    /// Talks again to a process that did not answer: it may have been stopped, or waited for a disk. Answers how its guest is.
    async fn reconnect(&mut self) -> Option<GuestEvent> {
        let pid = self.process.identity().pid;
        self.qmp = Some(talk(&self.place, pid).await.ok()?);
        if self.console.is_closed()
            && let Ok(stream) = connect_to(&self.place.folder, CONSOLE).await
        {
            self.console = console(stream, Heard::Later);
        }
        match self.state().await {
            GuestState::Running => Some(GuestEvent::Running),
            GuestState::Prelaunch => Some(GuestEvent::Paused(None)),
            GuestState::Paused(why) => Some(GuestEvent::Paused(why)),
            GuestState::Ended(reason) => Some(GuestEvent::Ended(reason)),
            GuestState::Unreachable(_) => {
                self.qmp = None;
                None
            }
        }
    }

    /// Begins its log anew when it is too long: what a guest does may have QEMU complain for ever.
    fn trim(&mut self) {
        let now = Instant::now();
        if now < self.trim {
            return;
        }
        self.trim = now + TRIM;
        let path = self.place.folder.join(LOG);
        let cut = fs::metadata(&path).and_then(|found| match found.len() > MAX_LOG_BYTES {
            true => fs::File::options().write(true).open(&path)?.set_len(0),
            false => Ok(()),
        });
        if let Err(error) = cut {
            tracing::debug!(log = %path.display(), %error, "a log cannot be looked after");
        }
    }

    fn gone(&mut self, status: Option<String>) -> Reason {
        self.console.close();
        self.ended.take().unwrap_or_else(|| Reason {
            cause: Cause::Killed,
            message: how_it_ended(&self.process, status, &self.place.folder),
        })
    }
}

/// Why a process was not taken.
#[derive(Debug)]
pub(super) enum Refused {
    /// It has ended.
    Ended(String),
    /// It is another than was meant, and is still there.
    Another(Process, String),
}

/// Connects as soon as somebody is there; an error if that is another than was meant.
async fn connect(place: &Place, pid: u32, heard: Heard) -> Result<(Qmp, Arc<Console>), String> {
    loop {
        match talk(place, pid).await {
            Ok(qmp) => {
                if let Ok(stream) = connect_to(&place.folder, CONSOLE).await {
                    return Ok((qmp, console(stream, heard)));
                }
            }
            Err(Talk::Another(why)) => return Err(why),
            Err(Talk::Nothing) => {}
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Why there is nobody to talk to.
enum Talk {
    /// Nobody answers, or not yet.
    Nothing,
    /// It is another than was meant.
    Another(String),
}

impl From<io::Error> for Talk {
    fn from(_: io::Error) -> Self {
        Self::Nothing
    }
}

/// Begins to talk to a process: the one of this number, which has this machine.
async fn talk(place: &Place, pid: u32) -> Result<Qmp, Talk> {
    let stream = connect_to(&place.folder, QMP).await?;
    // Whoever made the socket: what only looks like the process of the machine has not.
    let peer = stream.peer_cred()?.pid();
    if peer.and_then(|peer| u32::try_from(peer).ok()) != Some(pid) {
        return Err(Talk::Another(format!(
            "process {pid} is not the QEMU that answers for it, which is process {}: the program is to be QEMU itself, or to become it by `exec`",
            peer.unwrap_or_default()
        )));
    }
    let mut qmp = Qmp::greet(stream).await?;
    let answer = qmp.command("query-uuid", Value::Null).await?;
    let found = answer["UUID"].as_str().and_then(|it| it.parse().ok());
    if found != Some(place.uuid) {
        return Err(Talk::Another(format!(
            "process {pid} runs the machine {found:?}, and not {}",
            place.uuid
        )));
    }
    Ok(qmp)
}

/// Reads and types at a console, beside everything else, until either end is dropped. QEMU talks with one at a time: whoever comes next
/// waits for that.
fn console(stream: UnixStream, heard: Heard) -> Arc<Console> {
    let (console, mut typed) = Console::new(heard);
    let console = Arc::new(console);
    let (mut reader, mut writer) = stream.into_split();
    let written = Arc::downgrade(&console);
    tokio::spawn(async move {
        let reading = async {
            let mut buffer = vec![0; 4096];
            while let Ok(read @ 1..) = reader.read(&mut buffer).await {
                let Some(console) = written.upgrade() else {
                    return;
                };
                console.write(&buffer[..read]);
            }
            if let Some(console) = written.upgrade() {
                console.close();
            }
        };
        // It ends when the console is dropped, for that is who sends.
        let typing = async {
            while let Some(bytes) = typed.recv().await {
                if writer.write_all(&bytes).await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            () = reading => {}
            () = typing => {}
        }
    });
    console
}

/// For people: how a process ended, and what it said last.
fn how_it_ended(process: &Process, status: Option<String>, folder: &Path) -> String {
    let pid = process.identity().pid;
    let status = status.unwrap_or_else(|| "is gone".to_owned());
    let tail = tail(&folder.join(LOG)).unwrap_or_default();
    let tail = String::from_utf8_lossy(&tail);
    let said: Vec<&str> = tail
        .lines()
        .filter(|line| !line.contains("warning: host doesn't support requested feature"))
        .collect();
    match said.last() {
        Some(line) => format!("QEMU, process {pid}, {status}; it said: {line}"),
        None => format!("QEMU, process {pid}, {status}"),
    }
}

/// The end of a file, which may be long.
fn tail(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = fs::File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(io::SeekFrom::Start(length.saturating_sub(MAX_SAID)))?;
    let mut tail = Vec::new();
    file.take(MAX_SAID).read_to_end(&mut tail)?;
    Ok(tail)
}

/// How long one that does not answer is left alone.
const AGAIN: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(2);
/// From the end of a connection to the end of its process, and the other way round.
const LAST_WORDS: Duration = Duration::from_millis(200);
const MAX_SAID: u64 = 1024;
/// A guest is sent as fast as the network takes it.
const MAX_BANDWIDTH: u64 = 10 << 30;
/// So long QEMU may hold a guest for what is left of it.
const DOWNTIME: Duration = Duration::from_millis(100);
/// How often a log is looked at, and how long it may be then.
const TRIM: Duration = Duration::from_secs(5);
const MAX_LOG_BYTES: u64 = 1 << 20;
