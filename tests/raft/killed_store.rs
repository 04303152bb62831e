//! A member's stores and `kill -9`: whatever moment it comes at, what was acknowledged is there when the files are opened again, and
//! they agree with each other. The other process is `store.rs`. (A loss of power is simulated beside the log store itself.)

#![allow(clippy::unwrap_used, reason = "tests say where they fail")]

use std::{
    fs,
    io::{BufRead, BufReader, Lines},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use blixard_tests::seed::Seed;

/// How often it is killed.
const ROUNDS: usize = 12;

/// What the other process said is safe.
#[derive(Debug, Default)]
struct Promised {
    entries: u64,
    term: u64,
    purged: u64,
}

impl Promised {
    fn note(&mut self, line: &str) {
        // The last line may have been cut short by the kill: then its number is not the one that was promised.
        let Some((what, number)) = line.split_once(' ') else {
            return;
        };
        let number = number.parse().unwrap();
        match what {
            "entries" => self.entries = number,
            "term" => self.term = number,
            "purged" => self.purged = number,
            _ => panic!("what is {line:?}?"),
        }
    }

    /// Compares with what the next process found.
    fn check(&self, line: &str) {
        let found: Vec<u64> = line
            .split(' ')
            .skip(1)
            .map(|it| it.parse().unwrap())
            .collect();
        let [entries, term, first, applied] = found[..] else {
            panic!("found {line:?}");
        };
        assert!(entries >= self.entries, "{self:?}, found {line:?}");
        assert!(term >= self.term, "{self:?}, found {line:?}");
        assert!(first >= self.purged, "{self:?}, found {line:?}");
        assert!(applied >= first, "{self:?}, found {line:?}");
    }
}

#[test]
fn what_was_acknowledged_is_there_after_every_kill() {
    let mut seed = Seed::of_this_run();
    let folder = std::env::temp_dir().join(format!("blixard-killed-{}", std::process::id()));
    let mut promised = Promised::default();
    for _ in 0..ROUNDS {
        let (mut child, mut lines) = run("write", &folder);
        promised.check(&lines.next().unwrap().unwrap());
        for _ in 0..seed.within(1..120) {
            promised.note(&lines.next().unwrap().unwrap());
        }
        // On Unix this is SIGKILL: nothing is closed, nothing is flushed.
        child.kill().unwrap();
        child.wait().unwrap();
        // What it said before that counts too, as far as it was said to the end.
        let rest: Vec<String> = lines.map(Result::unwrap).collect();
        for line in rest.iter().rev().skip(1).rev() {
            promised.note(line);
        }
    }
    let (mut child, mut lines) = run("check", &folder);
    promised.check(&lines.next().unwrap().unwrap());
    assert!(child.wait().unwrap().success());
    assert!(promised.entries > 100, "{promised:?}");
    fs::remove_dir_all(folder).unwrap();
}

fn run(command: &str, folder: &Path) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_raft_store"))
        .arg(command)
        .arg(folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    (child, output.lines())
}
