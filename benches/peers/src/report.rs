//! The figures: medians over the rounds, and how ours compares with each other stack in the same round.
//!
//! Measures nothing itself.

use std::{fs, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    Outcome,
    one::{Entry, STACKS},
    sample::Sample,
    work::{WORKS, Work},
};

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

    /// With what the file has of works and stacks that were not measured now, and with more, of those too; writes all of it.
    pub(crate) fn keep(mut self, file: &Path, machine: String, more: bool) -> Outcome<Self> {
        self.machine = machine;
        let mut all = match Self::read(file) {
            Ok(earlier) if earlier.machine == self.machine => earlier.rows,
            Ok(_) => {
                return Err(format!(
                    "{} is of another machine, or of other workers",
                    file.display()
                )
                .into());
            }
            Err(_) if !file.exists() => Vec::new(),
            Err(error) => return Err(error),
        };
        if more {
            let rounds = all.iter().map(|row| row.round + 1).max().unwrap_or(0);
            self.rows.iter_mut().for_each(|row| row.round += rounds);
        } else {
            all.retain(|row| !self.rows.iter().any(|new| new.is_of(row)));
        }
        all.append(&mut self.rows);
        self.rows = all;
        fs::write(file, format!("{}\n", serde_json::to_string_pretty(&self)?))?;
        Ok(self)
    }

    /// One more.
    pub(crate) fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// What stacks did of each work. Samples that were disturbed count only where there are no others.
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
        for did in &mut works {
            for figures in &mut did.stacks {
                let is_clean = |it: &(usize, &Sample)| !it.1.is_disturbed();
                if figures.samples.iter().any(is_clean) {
                    let before = figures.samples.len();
                    figures.samples.retain(is_clean);
                    figures.left_out = before - figures.samples.len();
                }
            }
            did.stacks
                .sort_by_key(|it| place(STACKS.iter().map(|it| it.name), it.stack));
        }
        works.sort_by_key(|it| place(WORKS.iter().map(|it| it.name), it.work));
        works
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
    /// Samples that were disturbed.
    pub left_out: usize,
}

impl Did<'_> {
    /// What this stack did.
    pub(crate) fn by(&self, stack: &str) -> Option<&Figures<'_>> {
        self.stacks.iter().find(|it| it.stack == stack)
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

/// Half the distance between the quartiles, as a share of the median: where the middle half of the rounds lies.
pub(crate) fn spread(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let quarter = sorted.len() / 4;
    (sorted[sorted.len() - 1 - quarter] - sorted[quarter]) / 2.0 / median(sorted)
}

fn place<'a>(mut names: impl Iterator<Item = &'a str>, name: &str) -> usize {
    names.position(|it| it == name).unwrap_or(usize::MAX)
}

/// What the figures belong to.
pub(crate) fn machine(workers: usize) -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown CPU", |it| it.trim_start_matches([' ', '\t', ':']));
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{cpus} x {model}, {workers} workers")
}
