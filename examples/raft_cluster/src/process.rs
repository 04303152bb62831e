//! Nodes as processes: started, killed, stopped and continued.

use std::{collections::BTreeMap, io, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::{sleep, timeout},
};

use crate::layout::Layout;

/// The processes of a cluster. They do not outlive it.
#[derive(Debug)]
pub struct Processes {
    /// The command that runs a node, but for folder and number.
    command: Vec<String>,
    running: BTreeMap<u64, Child>,
}

impl Processes {
    /// None yet; each will be run by this command, followed by the folder and the number.
    #[must_use]
    pub fn new(command: Vec<String>) -> Self {
        Self {
            command,
            running: BTreeMap::new(),
        }
    }

    /// Starts a node, and waits until it says that it listens.
    ///
    /// # Errors
    /// If it does not.
    pub async fn start(&mut self, layout: &Layout, id: u64) -> io::Result<()> {
        let mut child = Command::new(&self.command[0])
            .args(&self.command[1..])
            .arg(layout.folder())
            .arg(id.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let output = child
            .stdout
            .take()
            .ok_or_else(|| io::Error::other("the output is piped"))?;
        let mut lines = BufReader::new(output).lines();
        let first = timeout(START, lines.next_line())
            .await
            .map_err(|_| io::Error::other(format!("node {id} does not start")))??;
        if first.as_deref() != Some(READY) {
            return Err(io::Error::other(format!(
                "node {id} did not start: {first:?}"
            )));
        }
        self.running.insert(id, child);
        Ok(())
    }

    /// Kills a node, so that it has no time for anything.
    ///
    /// # Errors
    /// If it does not run.
    pub async fn kill(&mut self, id: u64) -> io::Result<()> {
        let mut child = self
            .running
            .remove(&id)
            .ok_or_else(|| io::Error::other(format!("node {id} does not run")))?;
        // On Unix this is SIGKILL.
        child.kill().await
    }

    /// Stops a node in its tracks, with SIGSTOP, and waits until it stands still.
    ///
    /// # Errors
    /// If it does not run.
    pub async fn stop(&self, id: u64) -> io::Result<()> {
        self.signal(id, "STOP").await?;
        for _ in 0..STOP_POLLS {
            if self.state(id)? == 'T' {
                return Ok(());
            }
            sleep(Duration::from_millis(1)).await;
        }
        Err(io::Error::other(format!("node {id} does not stand still")))
    }

    /// Lets a node go on that was stopped, with SIGCONT.
    ///
    /// # Errors
    /// If it does not run.
    pub async fn go_on(&self, id: u64) -> io::Result<()> {
        self.signal(id, "CONT").await
    }

    /// Tells a node to read its file again, with SIGHUP.
    ///
    /// # Errors
    /// If it does not run.
    pub async fn hang_up(&self, id: u64) -> io::Result<()> {
        self.signal(id, "HUP").await
    }

    async fn signal(&self, id: u64, signal: &str) -> io::Result<()> {
        let process = self.id(id)?.to_string();
        let status = Command::new("kill")
            .args([format!("-{signal}"), process])
            .status()
            .await?;
        if status.success() {
            Ok(())
        } else {
            Err(io::Error::other(format!("kill -{signal}: {status}")))
        }
    }

    fn id(&self, id: u64) -> io::Result<u32> {
        self.running
            .get(&id)
            .and_then(Child::id)
            .ok_or_else(|| io::Error::other(format!("node {id} does not run")))
    }

    /// The state of a node's process, as Linux has it: `T` if it is stopped.
    ///
    /// # Errors
    /// If it does not run, or this is not Linux.
    pub fn state(&self, id: u64) -> io::Result<char> {
        let process = self.id(id)?;
        let text = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
        // After the name, which may hold anything but is in brackets.
        text.rsplit_once(") ")
            .and_then(|(_, rest)| rest.chars().next())
            .ok_or_else(|| io::Error::other(format!("not a state: {text}")))
    }

    /// Which run.
    #[must_use]
    pub fn running(&self) -> Vec<u64> {
        self.running.keys().copied().collect()
    }
}

/// What a node prints when it listens.
pub const READY: &str = "ready";
const STOP_POLLS: u32 = 10_000;
const START: Duration = Duration::from_secs(30);
