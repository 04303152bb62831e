//! The figures as a picture: a panel for each question, a bar for each stack.

use std::path::Path;

use plotters::{
    backend::SVGBackend,
    drawing::{DrawingArea, IntoDrawingArea},
    element::{Rectangle, Text},
    style::{
        Color, RGBColor, TextStyle, WHITE,
        text_anchor::{HPos, Pos, VPos},
    },
};

use crate::{
    Outcome,
    report::{Figures, Report, median},
    sample::Sample,
};

/// One question.
struct Panel {
    title: &'static str,
    work: &'static str,
    figure: fn(&Figures<'_>) -> Option<f64>,
    decimals: usize,
}

const PANELS: [Panel; 6] = [
    Panel {
        title: "64-byte calls, 256 in flight: thousand calls/s (more is better)",
        work: "unary-256",
        figure: |it| rate(it, 1e3),
        decimals: 0,
    },
    Panel {
        title: "64-byte calls, 256 in flight: us of CPU a call (less is better)",
        work: "unary-256",
        figure: |it| Some(median(it.each(Sample::cpu_us))),
        decimals: 1,
    },
    Panel {
        title: "64-byte calls, one at a time: p50 in us (less is better)",
        work: "unary-1",
        figure: |it| it.median_of(|sample| sample.p50_us),
        decimals: 0,
    },
    Panel {
        title: "small calls beside 10 MiB calls: p99 in us (less is better)",
        work: "small-beside-huge",
        figure: |it| it.median_of(|sample| sample.p99_us),
        decimals: 0,
    },
    Panel {
        title: "1 MiB uploads, 8 in flight: MiB/s (more is better)",
        work: "upload",
        figure: |it| rate(it, 1.0),
        decimals: 0,
    },
    Panel {
        title: "server streaming of 64-byte items: million items/s (more is better)",
        work: "items",
        figure: |it| rate(it, 1e6),
        decimals: 2,
    },
];

/// Those that are for one question, or do not go over a network.
const LEFT_OUT: [&str; 3] = ["ours-iroh-100", "ours-memory", "irpc-tuned"];

/// Draws what the report has of the panels.
pub(crate) fn plot(report: &Report, file: &Path) -> Outcome<()> {
    let works = report.works();
    let area = SVGBackend::new(file, (WIDTH, HEIGHT)).into_drawing_area();
    area.fill(&WHITE)?;
    let panels = area.margin(8, 8, 8, 8).split_evenly((3, 2));
    for (panel, area) in PANELS.iter().zip(panels) {
        let Some(did) = works.iter().find(|it| it.work == panel.work) else {
            continue;
        };
        let bars: Vec<(&str, f64)> = did
            .stacks
            .iter()
            .filter(|it| !LEFT_OUT.contains(&it.stack) && !it.samples.is_empty())
            .filter_map(|it| Some((it.stack, (panel.figure)(it)?)))
            .collect();
        draw(panel, &bars, &area)?;
    }
    area.present()?;
    Ok(())
}

fn draw(
    panel: &Panel,
    bars: &[(&str, f64)],
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
) -> Outcome<()> {
    let text =
        |size: i32, at: HPos| TextStyle::from(("sans-serif", size)).pos(Pos::new(at, VPos::Center));
    let (width, _) = area.dim_in_pixel();
    let width = i32::try_from(width)?;
    area.draw(&Text::new(panel.title, (0, 12), text(14, HPos::Left)))?;
    let longest = bars.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    for (place, (stack, value)) in (0_i32..).zip(bars) {
        let top = TITLE + place * ROW;
        let middle = top + BAR / 2;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a place on a small picture"
        )]
        let length = (value / longest * f64::from(width - NAMES - VALUES)) as i32;
        let corners = [(NAMES, top), (NAMES + length.max(1), top + BAR)];
        area.draw(&Text::new(
            *stack,
            (NAMES - 6, middle),
            text(13, HPos::Right),
        ))?;
        area.draw(&Rectangle::new(corners, colour(stack).filled()))?;
        let value = format!("{value:.0$}", panel.decimals);
        let right = (NAMES + length + 5, middle);
        area.draw(&Text::new(value, right, text(13, HPos::Left)))?;
    }
    Ok(())
}

/// Ours stands out, what is no RPC at all steps back.
fn colour(stack: &str) -> RGBColor {
    match stack {
        it if it.starts_with("ours") => RGBColor(0xd9, 0x5f, 0x0e),
        it if it.starts_with("iroh") || it == "tls" => RGBColor(0xbd, 0xbd, 0xbd),
        _ => RGBColor(0x31, 0x82, 0xbd),
    }
}

fn rate(figures: &Figures<'_>, unit: f64) -> Option<f64> {
    Some(median(figures.each(Sample::rate)) / unit)
}

const WIDTH: u32 = 1040;
const HEIGHT: u32 = 800;
/// Pixels for the title of a panel, for names before bars and values after them, from bar to bar, and of a bar.
const TITLE: i32 = 28;
const NAMES: i32 = 100;
const VALUES: i32 = 60;
const ROW: i32 = 20;
const BAR: i32 = 14;
