//! The figures: medians over the rounds, and how ours compares with each other stack in the same round.
//!
//! Measures nothing itself.

use std::{fmt::Write as _, fs, path::Path};

use serde::{Deserialize, Serialize};

use crate::{Outcome, goals, one::Entry, sample::Sample, work::Work};

/// The stack that the others are held against.
pub(crate) const OURS: &str = "ours-iroh";

/// What was measured in one round of one work on one stack.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub work: String,
    pub stack: String,
    pub about: String,
    pub unit: String,
    pub round: usize,
    /// What it came to, or why it came to nothing.
    pub result: Result<Sample, String>,
}

impl Row {
    pub(crate) fn new(work: &Work, stack: &Entry, round: usize, result: Outcome<Sample>) -> Self {
        Self {
            work: work.name.to_owned(),
            stack: stack.name.to_owned(),
            about: work.about.to_owned(),
            unit: work.unit.to_owned(),
            round,
            result: result.map_err(|error| error.to_string()),
        }
    }

    fn is_of(&self, other: &Self) -> bool {
        self.work == other.work && self.stack == other.stack
    }
}

/// All rows of a run, and where it ran.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    #[serde(default)]
    machine: String,
    rows: Vec<Row>,
}

impl Report {
    /// What an earlier run has kept.
    pub(crate) fn read(file: &Path) -> Outcome<Self> {
        Ok(serde_json::from_slice(&fs::read(file)?)?)
    }

    /// With what the file has of works and stacks that were not measured now; writes all of it.
    pub(crate) fn keep(mut self, file: &Path) -> Outcome<Self> {
        self.machine = machine();
        let mut all = match Self::read(file) {
            Ok(earlier) if earlier.machine == self.machine => earlier.rows,
            Ok(_) => return Err(format!("{} is of another machine", file.display()).into()),
            Err(_) if !file.exists() => Vec::new(),
            Err(error) => return Err(error),
        };
        all.retain(|row| !self.rows.iter().any(|new| new.is_of(row)));
        all.append(&mut self.rows);
        self.rows = all;
        fs::write(file, format!("{}\n", serde_json::to_string_pretty(&self)?))?;
        Ok(self)
    }

    /// One more.
    pub(crate) fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// What stacks did of each work, in the order in which both were first measured.
    pub(crate) fn works(&self) -> Vec<Did<'_>> {
        let mut works: Vec<Did<'_>> = Vec::new();
        for row in &self.rows {
            let place = works.iter().position(|it| it.work == row.work);
            let place = place.unwrap_or_else(|| {
                works.push(Did {
                    work: &row.work,
                    about: &row.about,
                    unit: &row.unit,
                    stacks: Vec::new(),
                });
                works.len() - 1
            });
            let stacks = &mut works[place].stacks;
            let place = stacks.iter().position(|it| it.stack == row.stack);
            let place = place.unwrap_or_else(|| {
                stacks.push(Figures {
                    stack: &row.stack,
                    ..Figures::default()
                });
                stacks.len() - 1
            });
            match &row.result {
                // Counted apart, without times.
                Ok(sample) if sample.allocations.is_some() => {
                    stacks[place].allocations = sample.allocations;
                }
                Ok(sample) => stacks[place].samples.push((row.round, sample)),
                Err(error) => stacks[place].failed = Some(error),
            }
        }
        works
    }

    /// The tables for people.
    pub(crate) fn tables(&self) -> String {
        let mut out = String::new();
        for did in self.works() {
            did.table(&mut out);
        }
        out + &goals::table(self)
    }
}

/// One work, and everyone who did it.
#[derive(Debug)]
pub(crate) struct Did<'a> {
    pub work: &'a str,
    pub about: &'a str,
    pub unit: &'a str,
    pub stacks: Vec<Figures<'a>>,
}

/// What one stack did of one work.
#[derive(Debug, Default)]
pub(crate) struct Figures<'a> {
    pub stack: &'a str,
    pub samples: Vec<(usize, &'a Sample)>,
    pub allocations: Option<f64>,
    pub failed: Option<&'a str>,
}

impl Did<'_> {
    /// What this stack did.
    pub(crate) fn by(&self, stack: &str) -> Option<&Figures<'_>> {
        self.stacks.iter().find(|it| it.stack == stack)
    }

    fn table(&self, out: &mut String) {
        let samples = self.stacks.iter().flat_map(|it| &it.samples);
        let tcp = samples.filter_map(|(_, it)| it.tcp.as_ref()).next();
        let tcp = tcp.map_or_else(String::new, |it| format!(" (TCP has {it})"));
        let _ = writeln!(
            out,
            "\n{}: {}{tcp}\n  {:<14}{:>12}{:>8}{:>9}{:>10}{:>10}{:>8}{:>10}  {} beside it: rate, CPU",
            self.work,
            self.about,
            "",
            format!("{}/s", self.unit),
            "spread",
            "CPU us",
            "p50 us",
            "p99 us",
            "allocs",
            "memory",
            OURS,
        );
        for figures in &self.stacks {
            let _ = write!(out, "  {:<14}", figures.stack);
            if let Some(why) = figures.failed {
                let _ = writeln!(out, "  failed: {why}");
                continue;
            }
            if figures.samples.is_empty() {
                let allocations = figures.allocations.unwrap_or_default();
                let _ = writeln!(out, "  {allocations:.1} allocations");
                continue;
            }
            let or_none = |value: Option<String>| value.unwrap_or_else(|| "-".into());
            let rates: Vec<f64> = figures.each(Sample::rate).collect();
            let memory = match figures.median_of(|it| it.idle_bytes) {
                Some(idle) => format!("{:.0} KiB", idle / 1024.0),
                None => or_none(figures.median_of(|it| it.peak_bytes).map(mib)),
            };
            let _ = write!(
                out,
                "{:>12}{:>7.0}%{:>9.2}{:>10}{:>10}{:>8}{:>10}",
                rounded(median(rates.iter().copied())),
                spread(&rates) * 100.0,
                median(figures.each(Sample::cpu_us)),
                or_none(
                    figures
                        .median_of(|it| it.p50_us)
                        .map(|it| format!("{it:.1}"))
                ),
                or_none(
                    figures
                        .median_of(|it| it.p99_us)
                        .map(|it| format!("{it:.0}"))
                ),
                or_none(figures.allocations.map(|it| format!("{it:.1}"))),
                memory,
            );
            if let Some(beside) = figures.median_of(|it| it.beside_mib_s) {
                let _ = write!(out, "  (beside {beside:.0} MiB/s)");
            }
            if let Some(ours) = self.by(OURS).filter(|_| figures.stack != OURS) {
                let beside = |figure: fn(&Sample) -> f64| -> Vec<f64> {
                    let pairs = ours.pairs(figures);
                    pairs.map(|(our, its)| figure(our) / figure(its)).collect()
                };
                let rates = beside(Sample::rate);
                if !rates.is_empty() {
                    let _ = write!(
                        out,
                        "  {:.2}x ±{:.0}%, {:.2}x",
                        median(rates.iter().copied()),
                        spread(&rates) * 100.0,
                        median(beside(Sample::cpu_us)),
                    );
                }
            }
            out.push('\n');
        }
    }
}

impl Figures<'_> {
    /// One figure of each round.
    pub(crate) fn each(&self, figure: impl Fn(&Sample) -> f64) -> impl Iterator<Item = f64> {
        self.samples.iter().map(move |(_, sample)| figure(sample))
    }

    /// The median of a figure that not all works have.
    pub(crate) fn median_of(&self, figure: impl Fn(&Sample) -> Option<f64>) -> Option<f64> {
        let all: Option<Vec<f64>> = self.samples.iter().map(|(_, it)| figure(it)).collect();
        all.filter(|all| !all.is_empty()).map(median)
    }

    /// What it and another did in the same rounds.
    pub(crate) fn pairs<'a>(
        &'a self,
        other: &'a Self,
    ) -> impl Iterator<Item = (&'a Sample, &'a Sample)> {
        self.samples.iter().filter_map(|(round, its)| {
            let (_, others) = other.samples.iter().find(|(other, _)| other == round)?;
            Some((*its, *others))
        })
    }
}

/// The middle one of `values`, which must not be empty.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let (low, high) = ((values.len() - 1) / 2, values.len() / 2);
    f64::midpoint(values[low], values[high])
}

/// Half the distance between the extremes, as a share of the median.
pub(crate) fn spread(values: &[f64]) -> f64 {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (high - low) / 2.0 / median(values.iter().copied())
}

fn rounded(value: f64) -> String {
    if value < 100.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

fn mib(bytes: f64) -> String {
    format!("{:.0} MiB", bytes / 1024.0 / 1024.0)
}

/// What the figures belong to.
fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown CPU", |it| it.trim_start_matches([' ', '\t', ':']));
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{cpus} x {model}")
}
