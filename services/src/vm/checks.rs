//! [`Checking`]: the health checks of a machine that runs, each a task of its own; and [`Tally`], how many answers make a verdict.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    backend::Agent,
    console::{Console, Heard},
    messages::{HealthCheck, Probe, VmHealth, VmState},
    record::Record,
};

/// The checks of one machine. They rest while it does not run.
#[derive(Debug)]
pub(super) struct Checking {
    tasks: JoinSet<()>,
    /// What the tasks check.
    checks: Vec<(HealthCheck, Tally)>,
    sender: mpsc::Sender<Said>,
    receiver: mpsc::Receiver<Said>,
}

/// What a check said, by its place.
#[derive(Debug)]
struct Said {
    place: usize,
    /// Of which machine's process it was said: what came too late counts for nothing.
    result: Asked,
}

#[derive(Debug)]
enum Asked {
    Answered(Result<(), String>),
    /// Only who holds the process can ask it.
    Process,
}

/// What is to be done for a check.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Ask the process, and say the answer of this check.
    AskProcess(usize),
    /// The check says this now.
    Health(String, VmHealth, String),
}

impl Checking {
    pub(super) fn new() -> Self {
        let (sender, receiver) = mpsc::channel(QUEUED);
        Self {
            tasks: JoinSet::new(),
            checks: Vec::new(),
            sender,
            receiver,
        }
    }

    /// Begins, goes on or rests, as the machine is now.
    pub(super) fn follow(
        &mut self,
        record: &Record,
        console: Option<&Arc<Console>>,
        agent: impl Fn() -> Option<Arc<dyn Agent>>,
    ) {
        let wanted: Vec<HealthCheck> = match (record.life.state, console) {
            (VmState::Running, Some(_)) => record
                .health_checks
                .iter()
                .filter(|status| !status.check.disabled)
                // What was heard needs no asking any more.
                .filter(|status| !record.heard.contains(&status.check.name))
                .map(|status| status.check.clone())
                .collect(),
            _ => Vec::new(),
        };
        if wanted.iter().eq(self.checks.iter().map(|(check, _)| check)) {
            return;
        }
        // Whatever they were about to say is of what was before.
        self.tasks = JoinSet::new();
        let (sender, receiver) = mpsc::channel(QUEUED);
        (self.sender, self.receiver) = (sender, receiver);
        let known = std::mem::take(&mut self.checks);
        for check in wanted {
            let same = known.iter().find(|(before, _)| *before == check);
            let tally = same.map_or_else(Tally::default, |(_, tally)| *tally);
            let place = self.checks.len();
            let (sender, console) = (self.sender.clone(), console.map(Arc::clone));
            let agent = agent();
            self.checks.push((check.clone(), tally));
            self.tasks.spawn(async move {
                if check.is_heard_once()
                    && let Some(console) = &console
                {
                    return listen(&check, console, place, &sender).await;
                }
                loop {
                    sleep(or(check.interval, INTERVAL)).await;
                    let result = ask(&check, console.as_ref(), agent.as_deref()).await;
                    if sender.send(Said { place, result }).await.is_err() {
                        return;
                    }
                }
            });
        }
    }

    /// What comes of the next answer. Cancel safe.
    pub(super) async fn next(&mut self) -> Verdict {
        loop {
            let Some(Said { place, result }) = self.receiver.recv().await else {
                // The sender is in `self`.
                std::future::pending().await
            };
            match result {
                Asked::Process => return Verdict::AskProcess(place),
                Asked::Answered(result) => {
                    if let Some(verdict) = self.note(place, result) {
                        return verdict;
                    }
                }
            }
        }
    }

    /// Counts an answer; it may turn the verdict.
    pub(super) fn note(&mut self, place: usize, result: Result<(), String>) -> Option<Verdict> {
        let (check, tally) = self.checks.get_mut(place)?;
        let health = tally.note(check, result.is_ok())?;
        let message = result.err().unwrap_or_default();
        Some(Verdict::Health(check.name.clone(), health, message))
    }
}

/// How often the same was said in a row, and what that came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    health: VmHealth,
    failures: u32,
    successes: u32,
}

impl Tally {
    /// Counts an answer; answers the verdict if that turns it.
    fn note(&mut self, check: &HealthCheck, ok: bool) -> Option<VmHealth> {
        let limit = |limit: u32, usual: u32| if limit == 0 { usual } else { limit };
        let (count, limit, verdict) = if ok {
            self.failures = 0;
            let limit = match check.is_heard_once() {
                true => 1,
                false => limit(check.successes, SUCCESSES),
            };
            (&mut self.successes, limit, VmHealth::Healthy)
        } else {
            self.successes = 0;
            let limit = limit(check.failures, FAILURES);
            (&mut self.failures, limit, VmHealth::Unhealthy)
        };
        *count = count.saturating_add(1);
        if *count < limit || self.health == verdict {
            return None;
        }
        self.health = verdict;
        Some(verdict)
    }
}

/// Listens for what is said once, without a gap; each time that an answer would be due and it was not said is a failure.
async fn listen(check: &HealthCheck, console: &Console, place: usize, sender: &mpsc::Sender<Said>) {
    let Probe::Console { pattern, .. } = &check.probe else {
        return;
    };
    let patience = or(check.interval, INTERVAL) + or(check.timeout, TIMEOUT);
    let mut heard = std::pin::pin!(console.appears(pattern.as_bytes(), 0));
    loop {
        let result = match timeout(patience, &mut heard).await {
            Ok(true) => Ok(()),
            // Its machine has ended, or its process does not answer.
            Ok(false) => return,
            // It may have been said before.
            Err(_) if console.heard() == Heard::Later => continue,
            Err(_) => Err("its console has not said it yet".to_owned()),
        };
        let over = result.is_ok();
        let result = Asked::Answered(result);
        if sender.send(Said { place, result }).await.is_err() || over {
            return;
        }
    }
}

async fn ask(
    check: &HealthCheck,
    console: Option<&Arc<Console>>,
    agent: Option<&dyn Agent>,
) -> Asked {
    let patience = or(check.timeout, TIMEOUT);
    let asked = async {
        match &check.probe {
            Probe::Http { address, path } => http(address, path).await,
            Probe::Tcp { address } => TcpStream::connect(address)
                .await
                .map(drop)
                .map_err(|error| format!("{address} takes no connection: {error}")),
            Probe::Console { send, pattern } => {
                let Some(console) = console else {
                    return Err("it has no console".to_owned());
                };
                let from = console.written();
                let typed = Bytes::copy_from_slice(send.as_bytes());
                console
                    .send(typed)
                    .await
                    .map_err(|status| status.message().to_owned())?;
                match console.appears(pattern.as_bytes(), from).await {
                    true => Ok(()),
                    false => Err("its console is closed".to_owned()),
                }
            }
            Probe::Guest { program, arguments } => {
                let agent = agent.ok_or("it has no agent")?;
                command(agent, program, arguments).await
            }
            Probe::Process | Probe::Unknown => Ok(()),
        }
    };
    if check.probe == Probe::Process {
        return Asked::Process;
    }
    Asked::Answered(match timeout(patience, asked).await {
        Ok(answered) => answered,
        Err(_) => Err(format!("nothing came within {patience:?}")),
    })
}

/// A command in the guest; of what it says, the end is what matters.
async fn command(agent: &dyn Agent, program: &str, arguments: &[String]) -> Result<(), String> {
    let ran = agent.run(program.to_owned(), arguments.to_vec()).await;
    let ran = ran.map_err(|status| status.message().to_owned())?;
    let how = match ran.code {
        Some(0) => return Ok(()),
        Some(code) => format!("{program} ended with code {code}"),
        None => format!("{program} was ended by a signal"),
    };
    let said = &ran.said[ran.said.len().saturating_sub(SAID_BYTES)..];
    let said = String::from_utf8_lossy(said);
    Err(match said.trim() {
        "" => how,
        said => format!("{how}; it said: {}", said.escape_debug()),
    })
}

/// One `GET`; only the status of the answer is read.
async fn http(address: &str, path: &str) -> Result<(), String> {
    let path = if path.is_empty() { "/" } else { path };
    let asked = async {
        let mut stream = TcpStream::connect(address).await?;
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        while answer.len() < STATUS_BYTES {
            let mut buffer = [0; STATUS_BYTES];
            match stream.read(&mut buffer).await? {
                0 => break,
                read => answer.extend_from_slice(&buffer[..read]),
            }
        }
        Ok::<_, io::Error>(answer)
    };
    let answer = asked
        .await
        .map_err(|error| format!("{address} does not answer: {error}"))?;
    let text = answer.get(..STATUS_BYTES).unwrap_or_default();
    let status = text.strip_prefix(b"HTTP/1.").and_then(|rest| {
        std::str::from_utf8(rest.get(2..5)?)
            .ok()?
            .parse::<u16>()
            .ok()
    });
    match status {
        Some(200..=399) => Ok(()),
        Some(status) => Err(format!("{address} answers {status} to GET {path}")),
        None => Err(format!("{address} does not answer in HTTP/1.1")),
    }
}

fn or(time: Duration, usual: Duration) -> Duration {
    if time.is_zero() { usual } else { time }
}

const QUEUED: usize = 16;
const INTERVAL: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(5);
const FAILURES: u32 = 3;
const SUCCESSES: u32 = 1;
/// So much of what a command said last is kept.
const SAID_BYTES: usize = 512;
/// As much as says `HTTP/1.1 200`.
const STATUS_BYTES: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_takes_so_many_in_a_row() {
        let check = HealthCheck {
            name: "a".into(),
            probe: Probe::Process,
            interval: Duration::ZERO,
            timeout: Duration::ZERO,
            failures: 3,
            successes: 2,
            disabled: false,
        };
        let mut tally = Tally::default();
        let said: String = "+-++-+---+-+-++---"
            .chars()
            .map(|said| match tally.note(&check, said == '+') {
                None => '.',
                Some(VmHealth::Healthy) => 'H',
                Some(_) => 'U',
            })
            .collect();
        assert_eq!(said, "...H....U.....H..U");
    }
}
