//! The table: a line for each thing that is measured, a column for each transport, and what it should be at least. Measures nothing.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use blixard_rpc::runner::Mode;

/// All lines of a run, in the order in which they first came.
#[derive(Debug)]
pub(crate) struct Report {
    columns: Vec<&'static str>,
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    what: String,
    unit: Unit,
    least: Least,
    /// By column: what each round came to.
    samples: BTreeMap<&'static str, Vec<f64>>,
}

/// How a figure is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Unit {
    PerSecond,
    Millis,
    MibPerSecond,
    Percent,
    Times,
    Count,
}

/// What a figure should be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Least {
    /// At least so much.
    Over(f64),
    /// At most so much.
    Under(f64),
    Any,
}

impl Report {
    pub(crate) fn new(over: &[Mode]) -> Self {
        Self {
            columns: over.iter().map(|mode| mode.name()).collect(),
            lines: Vec::new(),
        }
    }

    /// Adds what one transport came to in one round; the line has the median of the rounds.
    pub(crate) fn add(
        &mut self,
        what: &str,
        unit: Unit,
        least: Least,
        column: &'static str,
        value: f64,
    ) {
        println!("  {what}, {column}: {}", unit.write(value));
        if !self.columns.contains(&column) {
            self.columns.push(column);
        }
        let place = self
            .lines
            .iter()
            .position(|line| line.what == what)
            .unwrap_or_else(|| {
                self.lines.push(Line {
                    what: what.to_owned(),
                    unit,
                    least,
                    samples: BTreeMap::new(),
                });
                self.lines.len() - 1
            });
        self.lines[place]
            .samples
            .entry(column)
            .or_default()
            .push(value);
    }

    /// The table for people; Markdown, so that it can be pasted into a page.
    pub(crate) fn table(&self) -> String {
        let mut out = String::from("\n| what |");
        for column in &self.columns {
            let _ = write!(out, " {column} |");
        }
        out += " at least |\n|---|";
        out += &"---:|".repeat(self.columns.len());
        out += "---|\n";
        for line in &self.lines {
            let _ = write!(out, "| {} |", line.what);
            for column in &self.columns {
                let cell = line
                    .samples
                    .get(column)
                    .map_or_else(String::new, |samples| line.cell(samples));
                let _ = write!(out, " {cell} |");
            }
            let least = match line.least {
                Least::Over(least) => line.unit.write(least),
                Least::Under(most) => format!("at most {}", line.unit.write(most)),
                Least::Any => String::new(),
            };
            let _ = writeln!(out, " {least} |");
        }
        out
    }
}

impl Line {
    fn cell(&self, samples: &[f64]) -> String {
        let value = median(samples);
        let misses = match self.least {
            Least::Over(least) => value < least,
            Least::Under(most) => value > most,
            Least::Any => false,
        };
        let mark = if misses { "!" } else { "" };
        format!("{}{mark}", self.unit.write(value))
    }
}

impl Unit {
    fn write(self, value: f64) -> String {
        match self {
            Self::PerSecond => format!("{value:.0}/s"),
            Self::Millis => format!("{value:.2} ms"),
            Self::MibPerSecond => format!("{value:.0} MiB/s"),
            Self::Percent => format!("{value:.0} %"),
            Self::Times => format!("{value:.2}x"),
            Self::Count => format!("{value:.0}"),
        }
    }
}

/// The middle one of `values`, which must not be empty.
pub(crate) fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value below which so large a share of `values` lies; zero if there are none.
pub(crate) fn quantile(values: &[f64], share: f64) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let place = (values.len() as f64 * share) as usize;
    values
        .get(place.min(values.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default()
}

pub(crate) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
