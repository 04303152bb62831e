//! The figures: medians over the rounds, and how ours compares with each raw way in the same round.
//!
//! Measures nothing itself.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::measure::{Sample, median, spread};

/// The subject that the others are held against.
pub(crate) const OURS: &str = "blixard-rpc";

/// All samples of a run, by work and subject, in the order in which they first came.
#[derive(Debug, Default)]
pub(crate) struct Report {
    works: Vec<Work>,
}

/// One kind of work, and everyone who did it.
#[derive(Debug)]
struct Work {
    name: String,
    unit: &'static str,
    subjects: Vec<(&'static str, Vec<Sample>)>,
}

impl Report {
    /// Adds what `subject` did in the round that is under way.
    pub(crate) fn add(
        &mut self,
        work: &str,
        unit: &'static str,
        subject: &'static str,
        sample: Sample,
    ) {
        let place = self
            .works
            .iter()
            .position(|it| it.name == work)
            .unwrap_or_else(|| {
                self.works.push(Work {
                    name: work.to_owned(),
                    unit,
                    subjects: Vec::new(),
                });
                self.works.len() - 1
            });
        let subjects = &mut self.works[place].subjects;
        match subjects.iter_mut().find(|it| it.0 == subject) {
            Some((_, samples)) => samples.push(sample),
            None => subjects.push((subject, vec![sample])),
        }
    }

    /// The table for people.
    pub(crate) fn table(&self) -> String {
        let mut out = String::new();
        for work in &self.works {
            let _ = writeln!(
                out,
                "\n{:<30}{:>12}{:>7}{:>10}{:>9}  ours beside it, rate (CPU)",
                work.name,
                format!("{}/s", work.unit),
                "spread",
                format!("CPU us/{}", &work.unit[..1]),
                "p50 us",
            );
            for (subject, samples) in &work.subjects {
                let rates = rates(samples);
                let _ = write!(
                    out,
                    "  {subject:<28}{:>12.0}{:>6.0}%{:>10.2}{:>9}",
                    median(rates.iter().copied()),
                    spread(&rates) * 100.0,
                    cpu_us(samples),
                    p50_us(samples).map_or_else(|| "-".into(), |p50| format!("{p50:.1}")),
                );
                if let Some((ratio, ratio_spread, cpu)) = work.beside(subject, samples) {
                    let _ = write!(
                        out,
                        "  {ratio:.2}x ±{:.0}% ({cpu:.2}x)",
                        ratio_spread * 100.0
                    );
                }
                out.push('\n');
            }
        }
        out
    }

    /// The same for programs, with every round.
    pub(crate) fn json(&self) -> String {
        let rows: Vec<Value> = self
            .works
            .iter()
            .flat_map(|work| work.subjects.iter().map(move |it| (work, it)))
            .map(|(work, (subject, samples))| {
                let rates = rates(samples);
                let beside = work.beside(subject, samples);
                json!({
                    "work": work.name,
                    "unit": work.unit,
                    "subject": subject,
                    "per_second": median(rates.iter().copied()),
                    "spread": spread(&rates),
                    "cpu_us": cpu_us(samples),
                    "p50_us": p50_us(samples),
                    "ours_by_this_rate": beside.map(|it| it.0),
                    "ours_by_this_cpu": beside.map(|it| it.2),
                    "rounds_per_second": rates,
                })
            })
            .collect();
        let cpus = std::thread::available_parallelism().map_or(0, usize::from);
        format!("{:#}\n", json!({ "cpus": cpus, "rows": rows }))
    }
}

impl Work {
    /// Ours divided by `subject`, round by round: the median of the rates, its spread, the median of CPU a unit.
    fn beside(&self, subject: &str, samples: &[Sample]) -> Option<(f64, f64, f64)> {
        let (_, ours) = self.subjects.iter().find(|it| it.0 == OURS)?;
        if subject == OURS {
            return None;
        }
        let pairs = || ours.iter().zip(samples);
        let rates: Vec<f64> = pairs().map(|(our, its)| our.rate() / its.rate()).collect();
        let cpu = median(pairs().map(|(our, its)| our.cpu_us() / its.cpu_us()));
        Some((median(rates.iter().copied()), spread(&rates), cpu))
    }
}

fn rates(samples: &[Sample]) -> Vec<f64> {
    samples.iter().map(Sample::rate).collect()
}

fn cpu_us(samples: &[Sample]) -> f64 {
    median(samples.iter().map(Sample::cpu_us))
}

fn p50_us(samples: &[Sample]) -> Option<f64> {
    let p50: Option<Vec<f64>> = samples
        .iter()
        .map(|it| it.p50.map(|p50| p50.as_secs_f64() * 1e6))
        .collect();
    p50.map(median)
}
