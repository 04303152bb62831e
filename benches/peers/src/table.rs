//! The figures as tables for people.

use std::fmt::Write as _;

use crate::{
    goals,
    report::{Did, OURS, Report, median, spread},
    sample::Sample,
};

/// All tables, and what was to be reached.
pub(crate) fn tables(report: &Report) -> String {
    let (works, mut out) = (report.works(), String::new());
    for did in &works {
        table(did, &mut out);
    }
    out += &goals::table(report);
    let figures = || works.iter().flat_map(|it| &it.stacks);
    let left_out: usize = figures().map(|it| it.left_out).sum();
    if left_out > 0 {
        let kept: usize = figures().map(|it| it.samples.len()).sum();
        let _ = writeln!(
            out,
            "\n{left_out} of {} samples are left out: somebody else used the processors meanwhile.",
            kept + left_out
        );
    }
    out
}

fn table(did: &Did<'_>, out: &mut String) {
    let samples = did.stacks.iter().flat_map(|it| &it.samples);
    let tcp = samples.filter_map(|(_, it)| it.tcp.as_ref()).next();
    let tcp = tcp.map_or_else(String::new, |it| format!(" (TCP has {it})"));
    let _ = writeln!(
        out,
        "\n{}: {}{tcp}\n  {:<14}{:>12}{:>8}{:>9}{:>10}{:>10}{:>8}{:>10}  {} beside it: rate, CPU",
        did.work,
        did.about,
        "",
        format!("{}/s", did.unit),
        "spread",
        "CPU us",
        "p50 us",
        "p99 us",
        "allocs",
        "memory",
        OURS,
    );
    for figures in &did.stacks {
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
        if let Some(ours) = did.by(OURS).filter(|_| figures.stack != OURS) {
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
