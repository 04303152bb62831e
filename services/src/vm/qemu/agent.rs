//! [`QemuAgent`]: QEMU's agent in a guest, over a virtio channel. What it answers is the guest's: it is read within bounds and never trusted.

use std::{
    collections::HashMap,
    io,
    path::PathBuf,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use blixard_rpc::{Result, Status};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::Semaphore,
    time::sleep,
};

use super::socket::{AGENT, connect_to};
use crate::vm::backend::{Agent, Ran};

/// The agent of one guest.
#[derive(Clone, Debug)]
pub(super) struct QemuAgent(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    /// QEMU talks with one at a time: whoever comes next waits, until something was answered and not until a command has ended.
    turn: Semaphore,
    /// Commands that were begun, and have not been seen to end.
    under_way: Mutex<HashMap<Command, u64>>,
}

type Command = (String, Vec<String>);

impl QemuAgent {
    /// The agent that answers in the folder of a machine.
    pub(super) fn new(folder: PathBuf) -> Self {
        Self(Arc::new(Inner {
            folder,
            turn: Semaphore::new(1),
            under_way: Mutex::default(),
        }))
    }
}

impl Agent for QemuAgent {
    fn run(
        &self,
        program: String,
        arguments: Vec<String>,
    ) -> Pin<Box<dyn Future<Output = Result<Ran>> + Send>> {
        let agent = Arc::clone(&self.0);
        Box::pin(async move {
            let ran = agent.run((program, arguments)).await;
            ran.map_err(|error| Status::unavailable(error.to_string()).with_source(error))
        })
    }
}

impl Inner {
    async fn run(&self, command: Command) -> io::Result<Ran> {
        let known = self.under_way().get(&command).copied();
        if let Some(pid) = known {
            // Each that hangs would be one more in the guest. One that the agent does not know is of a boot before.
            if let Ok(status) = self.status(pid).await
                && status["exited"] == false
            {
                return Err(io::Error::other(
                    "the command that was run before has not ended yet",
                ));
            }
            self.under_way().remove(&command);
        }
        let (program, arguments) = &command;
        let asked = json!({ "path": program, "arg": arguments, "capture-output": true });
        let begun = self.ask("guest-exec", asked).await?;
        let pid = begun["pid"]
            .as_u64()
            .ok_or_else(|| io::Error::other("the agent does not say what it began"))?;
        self.under_way().insert(command.clone(), pid);
        let mut pause = FIRST_PAUSE;
        let status = loop {
            let status = self.status(pid).await?;
            if status["exited"] == true {
                break status;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LAST_PAUSE);
        };
        self.under_way().remove(&command);
        Ok(ran(&status))
    }

    async fn status(&self, pid: u64) -> io::Result<Value> {
        self.ask("guest-exec-status", json!({ "pid": pid })).await
    }

    async fn ask(&self, name: &str, arguments: Value) -> io::Result<Value> {
        let turn = self.turn.acquire().await;
        // Nobody closes it.
        let _turn = turn.map_err(io::Error::other)?;
        let stream = connect_to(&self.folder, AGENT).await?;
        Talk::begin(stream).await?.command(name, arguments).await
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<Command, u64>> {
        self.under_way.lock().expect("no holder panics")
    }
}

/// What came of a command that has ended.
fn ran(status: &Value) -> Ran {
    let mut said = Vec::new();
    for key in ["out-data", "err-data"] {
        let data = status[key].as_str().unwrap_or_default();
        // What is no base64 says nothing.
        said.extend(STANDARD.decode(data).unwrap_or_default());
    }
    Ran {
        code: status["exitcode"].as_i64(),
        said: said.into(),
    }
}

/// A conversation with the agent.
struct Talk {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
}

impl Talk {
    /// Whatever was said before is over: what follows is of this conversation.
    async fn begin(stream: UnixStream) -> io::Result<Self> {
        let (reader, writer) = stream.into_split();
        let mut talk = Self {
            reader: BufReader::new(reader),
            writer,
        };
        let id = uuid::Uuid::new_v4().as_u128() as u32;
        // What the agent has got of a line that nobody finished is no command any more.
        talk.writer.write_all(&[DELIMITER]).await?;
        talk.ask("guest-sync-delimited", json!({ "id": id }))
            .await?;
        loop {
            talk.skip().await?;
            if let Ok(answer) = talk.answer("guest-sync-delimited").await
                && answer == id
            {
                return Ok(talk);
            }
        }
    }

    /// Reads up to the next delimiter, however much is left of what nobody read.
    async fn skip(&mut self) -> io::Result<()> {
        loop {
            let read = self.reader.fill_buf().await?;
            if read.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let found = read.iter().position(|byte| *byte == DELIMITER);
            let skipped = found.map_or(read.len(), |place| place + 1);
            self.reader.consume(skipped);
            if found.is_some() {
                return Ok(());
            }
        }
    }

    async fn command(&mut self, name: &str, arguments: Value) -> io::Result<Value> {
        self.ask(name, arguments).await?;
        self.answer(name).await
    }

    async fn ask(&mut self, name: &str, arguments: Value) -> io::Result<()> {
        let line = json!({ "execute": name, "arguments": arguments });
        self.writer.write_all(format!("{line}\n").as_bytes()).await
    }

    async fn answer(&mut self, name: &str) -> io::Result<Value> {
        let mut line = Vec::new();
        let read = (&mut self.reader).take(MAX_LINE_BYTES);
        { read }.read_until(b'\n', &mut line).await?;
        if line.last() != Some(&b'\n') {
            return Err(match line.len() as u64 {
                MAX_LINE_BYTES => {
                    io::Error::other("what the command says is more than a health check reads")
                }
                _ => io::ErrorKind::UnexpectedEof.into(),
            });
        }
        let mut answer: Value = serde_json::from_slice(&line)
            .map_err(|_| io::Error::other("the agent answers something that is no JSON"))?;
        match answer.get("error") {
            Some(error) => {
                let why = error["desc"].as_str().unwrap_or("it does not say why");
                let why: String = why.chars().take(MAX_WHY).collect();
                Err(io::Error::other(format!("the agent refuses {name}: {why}")))
            }
            None => Ok(answer["return"].take()),
        }
    }
}

const DELIMITER: u8 = 0xff;
/// What a command says comes in one line.
const MAX_LINE_BYTES: u64 = 256 * 1024;
/// So many characters of why something was refused.
const MAX_WHY: usize = 256;
/// From asking whether a command has ended to asking again.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LAST_PAUSE: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;

    /// What the agent's end of a conversation answers, line by line, whatever it is asked after its greeting.
    async fn check(answers: &[&str]) -> io::Result<Value> {
        let (ours, theirs) = UnixStream::pair()?;
        let answers: Vec<String> = answers.iter().map(|&it| it.to_owned()).collect();
        tokio::spawn(async move {
            let (reader, mut writer) = theirs.into_split();
            let mut reader = BufReader::new(reader);
            let mut line = Vec::new();
            reader.read_until(b'\n', &mut line).await.unwrap();
            assert_eq!(line[0], DELIMITER);
            let asked: Value = serde_json::from_slice(&line[1..]).unwrap();
            let id = &asked["arguments"]["id"];
            // The rest of something before, and an answer to somebody else.
            writer
                .write_all(b"return: 7}\n\xff{\"return\": -1}\n")
                .await
                .unwrap();
            let greeting = format!("{{\"return\": {id}}}\n");
            writer.write_all(&[DELIMITER]).await.unwrap();
            writer.write_all(greeting.as_bytes()).await.unwrap();
            for answer in answers {
                let mut line = Vec::new();
                reader.read_until(b'\n', &mut line).await.unwrap();
                // Whoever reads no more has read enough.
                let _ = writer.write_all(answer.as_bytes()).await;
            }
        });
        let mut talk = Talk::begin(ours).await?;
        talk.command("guest-ping", Value::Null).await
    }

    #[tokio::test]
    async fn what_a_guest_says_is_read_within_bounds() {
        assert_eq!(check(&["{\"return\": 5}\n"]).await.unwrap(), 5);
        let long = "x".repeat(MAX_LINE_BYTES as usize + 1);
        for (said, expected) in [
            (long.as_str(), "more than"),
            ("nonsense\n", "no JSON"),
            ("{\"error\": {}}\n", "does not say why"),
            (
                "{\"error\": {\"desc\": \"so\"}}\n",
                "refuses guest-ping: so",
            ),
            ("{\"return\"", "end of file"),
        ] {
            let error = check(&[said]).await.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
