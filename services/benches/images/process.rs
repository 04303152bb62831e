//! [`Process`]: a node as a process of its own, told what to do line by line.

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use super::Outcome;

/// A node.
pub(super) struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    folder: PathBuf,
    /// Its key and address.
    name: String,
}

/// What came of a fetch.
pub(super) struct Got {
    pub(super) seconds: f64,
    pub(super) received_bytes: u64,
}

impl Process {
    /// Of this kind, in this folder, perhaps with an image to share. To link it is to touch it: nobody has shared it yet.
    pub(super) fn begin(kind: &str, folder: &Path, image: Option<&Path>) -> Outcome<Self> {
        let images = folder.join("images");
        fs::create_dir_all(&images)?;
        if let Some(image) = image {
            fs::hard_link(image, images.join("image"))?;
        }
        let mut child = Command::new(env::current_exe()?)
            .args(["node", kind])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take().ok_or("no input")?;
        let output = BufReader::new(child.stdout.take().ok_or("no output")?);
        let mut process = Self {
            child,
            input,
            output,
            folder: folder.to_owned(),
            name: String::new(),
        };
        process.name = process.line("ready")?.join("@");
        Ok(process)
    }

    /// Shares its image: the hash, and the seconds that it took.
    pub(super) fn share(&mut self) -> Outcome<(String, f64)> {
        writeln!(self.input, "share")?;
        let line = self.line("shared")?;
        Ok((line[0].clone(), line[1].parse()?))
    }

    /// Begins to fetch.
    pub(super) fn ask(&mut self, hash: &str, from: &[&Self]) -> Outcome<()> {
        let from: Vec<&str> = from.iter().map(|it| it.name.as_str()).collect();
        writeln!(self.input, "get {hash} {}", from.join(" "))?;
        Ok(())
    }

    /// Waits for what was begun.
    pub(super) fn got(&mut self) -> Outcome<Got> {
        let line = self.line("got")?;
        Ok(Got {
            seconds: line[0].parse()?,
            received_bytes: line[1].parse()?,
        })
    }

    pub(super) fn get(&mut self, hash: &str, from: &[&Self]) -> Outcome<Got> {
        self.ask(hash, from)?;
        self.got()
    }

    /// Begins to fetch, and returns when so much is there.
    pub(super) fn get_until(&mut self, hash: &str, from: &[&Self], bytes: u64) -> Outcome<()> {
        self.ask(hash, from)?;
        while self.line("at")?[0].parse::<u64>()? < bytes {}
        Ok(())
    }

    /// What its endpoint has sent.
    pub(super) fn sent_bytes(&mut self) -> Outcome<u64> {
        writeln!(self.input, "sent")?;
        Ok(self.line("sent")?[0].parse()?)
    }

    /// What its cache takes.
    pub(super) fn disk_bytes(&self) -> Outcome<u64> {
        let mut bytes = 0;
        let mut open = vec![self.folder.join("cache")];
        while let Some(path) = open.pop() {
            let found = fs::metadata(&path)?;
            if found.is_dir() {
                for entry in fs::read_dir(path)? {
                    open.push(entry?.path());
                }
            } else {
                bytes += found.blocks() * 512;
            }
        }
        Ok(bytes)
    }

    pub(super) fn kill(&mut self) -> Outcome<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// The next line that begins with this word; others are skipped.
    fn line(&mut self, word: &str) -> Outcome<Vec<String>> {
        loop {
            let mut line = String::new();
            if self.output.read_line(&mut line)? == 0 {
                return Err(format!("a node has ended before it said {word}").into());
            }
            let mut words = line.split_whitespace().map(str::to_owned);
            if words.next().as_deref() == Some(word) {
                return Ok(words.collect());
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
