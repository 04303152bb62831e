//! [`Qmp`]: QEMU's protocol: lines of JSON, where answers and events come in between each other.

use std::{collections::VecDeque, io, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
};

use super::patience::patiently;

/// A connection to one process.
#[derive(Debug)]
pub(super) struct Qmp {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    /// The line that is being read.
    line: Vec<u8>,
    events: VecDeque<Value>,
    id: u64,
}

impl Qmp {
    /// Takes a connection that was just made: reads the greeting and says what we can.
    pub(super) async fn greet(stream: UnixStream) -> io::Result<Self> {
        let (reader, writer) = stream.into_split();
        let mut qmp = Self {
            reader: BufReader::new(reader),
            writer,
            line: Vec::new(),
            events: VecDeque::new(),
            id: 0,
        };
        let greeting = patiently(ANSWER, qmp.read()).await;
        let greeting = greeting.ok_or(io::ErrorKind::TimedOut)??;
        if greeting.get("QMP").is_none() {
            return Err(other(format!("this is not QEMU: {greeting}")));
        }
        qmp.command("qmp_capabilities", Value::Null).await?;
        Ok(qmp)
    }

    /// Does one thing, and answers what it returned.
    ///
    /// Not cancel safe: an answer that nobody reads is taken for a broken conversation.
    pub(super) async fn command(&mut self, name: &str, arguments: Value) -> io::Result<Value> {
        self.id += 1;
        let id = self.id;
        let mut line = json!({ "execute": name, "id": id });
        if !arguments.is_null() {
            line["arguments"] = arguments;
        }
        let answered = async {
            self.writer
                .write_all(format!("{line}\n").as_bytes())
                .await?;
            loop {
                let mut answer = self.read().await?;
                if answer.get("event").is_some() {
                    self.events.push_back(answer);
                } else if answer.get("id").and_then(Value::as_u64) != Some(id) {
                    // The answer to something that was given up.
                } else if let Some(error) = answer.get("error") {
                    return Err(other(format!("QEMU refuses {name}: {}", error["desc"])));
                } else {
                    return Ok(answer["return"].take());
                }
            }
        };
        match patiently(ANSWER, answered).await {
            Some(answered) => answered,
            None => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("QEMU did not answer {name} within {ANSWER:?}"),
            )),
        }
    }

    /// The next event. Cancel safe.
    pub(super) async fn event(&mut self) -> io::Result<Value> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            let line = self.read().await?;
            if line.get("event").is_some() {
                self.events.push_back(line);
            }
        }
    }

    /// The next line. Cancel safe: what has come of a line stays in `self.line`.
    async fn read(&mut self) -> io::Result<Value> {
        let room = (MAX_LINE_BYTES - self.line.len().min(MAX_LINE_BYTES)) as u64;
        (&mut self.reader)
            .take(room)
            .read_until(b'\n', &mut self.line)
            .await?;
        if self.line.last() != Some(&b'\n') {
            return Err(if self.line.len() < MAX_LINE_BYTES {
                io::ErrorKind::UnexpectedEof.into()
            } else {
                other(format!(
                    "QEMU sent a line of more than {MAX_LINE_BYTES} bytes"
                ))
            });
        }
        let line = std::mem::take(&mut self.line);
        serde_json::from_slice(&line).map_err(|error| other(format!("QEMU sent no JSON: {error}")))
    }
}

fn other(message: String) -> io::Error {
    io::Error::other(message)
}

const MAX_LINE_BYTES: usize = 1 << 20;
/// How long QEMU has for an answer; it answers at once, or not at all.
pub(super) const ANSWER: Duration = Duration::from_secs(5);
