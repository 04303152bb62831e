//! The table: a line for each thing that is measured, a column for each transport, and what it should be at least. Measures nothing.

use std::{collections::BTreeMap, fmt::Write as _, fs, io, path::Path, time::Duration};

use blixard_rpc::runner::Mode;

/// All lines of a run, in the order in which they first came.
#[derive(Debug)]
pub(crate) struct Report {
    columns: Vec<String>,
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    what: String,
    unit: Unit,
    least: Least,
    /// By column: what each round came to.
    samples: BTreeMap<String, Vec<f64>>,
}

/// How a figure is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Unit {
    PerSecond,
    Millis,
    MibPerSecond,
    Mib,
    Percent,
    Times,
    Count,
}

impl Unit {
    /// With the names that they have in files.
    const ALL: [(Self, &str); 7] = [
        (Self::PerSecond, "per second"),
        (Self::Millis, "ms"),
        (Self::MibPerSecond, "MiB/s"),
        (Self::Mib, "MiB"),
        (Self::Percent, "%"),
        (Self::Times, "times"),
        (Self::Count, "count"),
    ];
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
            columns: over.iter().map(|mode| mode.name().to_owned()).collect(),
            lines: Vec::new(),
        }
    }

    /// What [`save`](Self::save) wrote, if there is such a file.
    pub(crate) fn load(file: &Path, over: &[Mode]) -> io::Result<Self> {
        let mut report = Self::new(over);
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(report),
            Err(error) => return Err(error),
        };
        for line in text.lines() {
            let read = Line::read(line);
            let (line, column, samples) =
                read.ok_or_else(|| io::Error::other(format!("no figures: {line:?}")))?;
            let place = report.place(line);
            report.column(&column);
            report.lines[place].samples.insert(column, samples);
        }
        Ok(report)
    }

    /// Writes a line of text for each figure: what it is, its unit, what it should be, the transport, and what each round came to.
    pub(crate) fn save(&self, file: &Path) -> io::Result<()> {
        let lines = self.lines.iter().flat_map(|line| {
            let samples = line.samples.iter();
            samples.map(|(column, samples)| line.write(column, samples))
        });
        fs::write(file, lines.collect::<String>())
    }

    /// Takes the figures of another one in place of those that are here of the same.
    pub(crate) fn merge(&mut self, other: Self) {
        for line in other.lines {
            let samples = line.samples.clone();
            let place = self.place(line);
            for (column, samples) in samples {
                self.column(&column);
                self.lines[place].samples.insert(column, samples);
            }
        }
    }

    /// What a line came to with each transport: the number, and how it is written.
    pub(crate) fn medians(&self, what: &str) -> Vec<(&str, f64, String)> {
        let Some(line) = self.lines.iter().find(|line| line.what == what) else {
            return Vec::new();
        };
        let columns = self.columns.iter().filter_map(|column| {
            let value = median(line.samples.get(column)?);
            Some((column.as_str(), value, line.unit.write(value)))
        });
        columns.collect()
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
        self.column(column);
        let place = self.place(Line {
            what: what.to_owned(),
            unit,
            least,
            samples: BTreeMap::new(),
        });
        let samples = &mut self.lines[place].samples;
        samples.entry(column.to_owned()).or_default().push(value);
    }

    fn column(&mut self, column: &str) {
        if !self.columns.iter().any(|known| known == column) {
            self.columns.push(column.to_owned());
        }
    }

    /// Where the line of this is, which is a new one if there was none.
    fn place(&mut self, line: Line) -> usize {
        let known = self.lines.iter().position(|known| known.what == line.what);
        known.unwrap_or_else(|| {
            self.lines.push(Line {
                samples: BTreeMap::new(),
                ..line
            });
            self.lines.len() - 1
        })
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
    fn write(&self, column: &str, samples: &[f64]) -> String {
        let name = |unit| {
            Unit::ALL
                .iter()
                .find(|it| it.0 == unit)
                .map_or("", |it| it.1)
        };
        let least = match self.least {
            Least::Over(least) => format!("over {least}"),
            Least::Under(most) => format!("under {most}"),
            Least::Any => "any".to_owned(),
        };
        let samples: Vec<String> = samples.iter().map(f64::to_string).collect();
        let (what, unit, samples) = (&self.what, name(self.unit), samples.join(" "));
        format!("{what}\t{unit}\t{least}\t{column}\t{samples}\n")
    }

    fn read(text: &str) -> Option<(Self, String, Vec<f64>)> {
        let parts: Vec<&str> = text.split('\t').collect();
        let [what, unit, least, column, samples] = parts[..] else {
            return None;
        };
        let least = match least.split_once(' ') {
            Some(("over", least)) => Least::Over(least.parse().ok()?),
            Some(("under", most)) => Least::Under(most.parse().ok()?),
            _ => Least::Any,
        };
        let line = Self {
            what: what.to_owned(),
            unit: Unit::ALL.iter().find(|it| it.1 == unit)?.0,
            least,
            samples: BTreeMap::new(),
        };
        let samples = samples.split(' ').map(|it| it.parse().ok());
        Some((line, column.to_owned(), samples.collect::<Option<_>>()?))
    }

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
            Self::Mib => format!("{value:.1} MiB"),
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
