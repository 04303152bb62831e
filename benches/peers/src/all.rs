//! All works on all stacks, each in a process of its own, in turn, round by round.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use crate::{
    Outcome, link,
    one::{Entry, STACKS},
    report::{Report, Row, machine},
    sample::Sample,
    table,
    work::{WORKS, Work},
};

/// How much to measure.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub rounds: usize,
    pub time: Duration,
    pub workers: usize,
    /// Beginnings of `WORK STACK`, or of `STACK`; none stands for all.
    pub only: Vec<String>,
    /// Whether these rounds are added to those that are kept already.
    pub more: bool,
    /// Where figures are kept.
    pub json: Option<PathBuf>,
}

impl Plan {
    fn wants(&self, work: &Work, stack: &Entry) -> bool {
        let name = format!("{} {}", work.name, stack.name);
        let is_named = self
            .only
            .iter()
            .any(|part| name.starts_with(part.as_str()) || stack.name.starts_with(part.as_str()));
        stack.does(work) && (self.only.is_empty() || is_named)
    }
}

/// Measures, prints, and keeps what was measured.
pub(crate) fn all(plan: &Plan) -> Outcome<()> {
    let here = env::current_exe()?;
    let counted = counted(&here);
    let mut report = Report::default();
    let no_link = link::missing();
    if let Some(why) = &no_link {
        eprintln!("what goes over the link is left out: {why}");
    }
    let works: Vec<_> = WORKS
        .iter()
        .filter(|work| no_link.is_none() || !work.link)
        .map(|work| {
            let stacks = STACKS.iter().filter(|stack| plan.wants(work, stack));
            (work, stacks.collect::<Vec<_>>())
        })
        .filter(|(_, stacks)| !stacks.is_empty())
        .collect();
    for round in 0..plan.rounds {
        for (work, stacks) in &works {
            // Another begins each round, so that none always follows the same one.
            for place in 0..stacks.len() {
                let stack = stacks[(place + round) % stacks.len()];
                eprintln!(
                    "round {} of {}: {} {}",
                    round + 1,
                    plan.rounds,
                    work.name,
                    stack.name
                );
                let mut sample = run(&here, stack, work, plan);
                for _ in 0..RETRIES {
                    if !sample.as_ref().is_ok_and(Sample::is_disturbed) {
                        break;
                    }
                    sample = run(&here, stack, work, plan);
                }
                report.add(Row::new(work, stack, round, sample));
            }
        }
    }
    match counted {
        // It counts the same again.
        _ if plan.more => {}
        Ok(counted) => {
            for (work, stacks) in works.iter().filter(|(work, _)| work.is_counted()) {
                for stack in stacks {
                    eprintln!("counting: {} {}", work.name, stack.name);
                    let sample = run(&counted, stack, work, plan);
                    report.add(Row::new(work, stack, 0, sample));
                }
            }
        }
        Err(error) => eprintln!("allocations are not counted: {error}"),
    }
    if let Some(file) = &plan.json {
        report = report.keep(file, machine(plan.workers), plan.more)?;
        eprintln!("kept in {}", file.display());
    }
    print!("{}", table::tables(&report));
    Ok(())
}

/// One work on one stack, in a process of its own.
fn run(program: &Path, stack: &Entry, work: &Work, plan: &Plan) -> Outcome<Sample> {
    let (time, workers) = (plan.time.as_millis().to_string(), plan.workers.to_string());
    let output = Command::new(program)
        .args([
            stack.name,
            work.name,
            "--time",
            &time,
            "--workers",
            &workers,
        ])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said
            .trim()
            .lines()
            .next_back()
            .unwrap_or("it said nothing")
            .to_owned();
        return Err(format!("{}: {said}", output.status).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The program that counts allocations: beside this one, built if cargo is at hand.
fn counted(here: &Path) -> Outcome<PathBuf> {
    if let Some(cargo) = env::var_os("CARGO") {
        let mut build = Command::new(cargo);
        build.args([
            "build",
            "--quiet",
            "--package",
            "peers",
            "--bin",
            "peers-counted",
        ]);
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        if !build.status()?.success() {
            return Err("peers-counted could not be built".into());
        }
    }
    let program = here.with_file_name("peers-counted");
    if program.exists() {
        Ok(program)
    } else {
        Err(
            "without cargo, `cargo build --release -p peers` must have built peers-counted before"
                .into(),
        )
    }
}

/// How often a sample is taken again that somebody else has disturbed.
const RETRIES: usize = 2;
