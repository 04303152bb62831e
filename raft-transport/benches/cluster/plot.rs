//! The figures as a picture: a panel for each question, a bar for each transport. Measures nothing.

use std::path::Path;

use plotters::{
    backend::SVGBackend,
    coord::Shift,
    drawing::{DrawingArea, IntoDrawingArea},
    element::{Rectangle, Text},
    style::{
        Color, RGBColor, TextStyle, WHITE,
        text_anchor::{HPos, Pos, VPos},
    },
};

use crate::{Outcome, report::Report};

/// What each panel shows: its title, and the lines of the report that are its rows, with what each row is called.
const PANELS: [(&str, &[(&str, &str)]); 6] = [
    (
        "commits in thousands a second, 256 clients (more is better)",
        &[
            ("memory", "commits, one process, 256 clients, 64 B"),
            ("fsync", "writes, three processes, fsync, 256 clients"),
            ("1 % loss", "commits, 1 % loss, 20 ms, 256 clients"),
        ],
    ),
    (
        "a commit in ms (less is better)",
        &[
            ("p50, one client", "one client, commit p50"),
            ("p99, one client", "one client, commit p99"),
        ],
    ),
    (
        "one-way messages in millions a second (more is better)",
        &[("64 B", "one-way messages, 64 B")],
    ),
    (
        "a snapshot of 1 GiB in MiB/s (more is better)",
        &[
            ("alone", "snapshot, loopback"),
            ("beside 256 clients", "snapshot beside 256 clients"),
        ],
    ),
    (
        "heartbeats in ms, p99 (less is better)",
        &[
            ("256 clients", "- heartbeat p99, before"),
            ("and a snapshot", "- heartbeat p99"),
            ("100 Mbit/s, a snapshot", "100 Mbit/s, 20 ms: heartbeat p99"),
        ],
    ),
    (
        "without commits in ms (less is better)",
        &[
            ("leader killed, p50", "leader killed, first commit, p50"),
            ("leader killed, max", "leader killed, first commit, max"),
            ("lead handed over, p99", "leader transfer, p99"),
            (
                "transport switched",
                "switched to it, longest gap in commits",
            ),
        ],
    ),
];

/// Draws what the report has of the panels.
pub(crate) fn plot(report: &Report, file: &Path) -> Outcome<()> {
    let area = SVGBackend::new(file, (WIDTH, HEIGHT)).into_drawing_area();
    area.fill(&WHITE)?;
    let panels = area.margin(8, 8, 8, 8).split_evenly((3, 2));
    for ((title, rows), area) in PANELS.iter().zip(panels) {
        let bars: Vec<Bar<'_>> = rows
            .iter()
            .flat_map(|(name, what)| {
                let columns = report.medians(what).into_iter();
                columns.map(move |(column, value, written)| Bar {
                    name: format!("{name}, {column}"),
                    column,
                    value,
                    written,
                })
            })
            .collect();
        draw(title, &bars, &area)?;
    }
    area.present()?;
    Ok(())
}

struct Bar<'a> {
    name: String,
    column: &'a str,
    value: f64,
    written: String,
}

fn draw(title: &str, bars: &[Bar<'_>], area: &DrawingArea<SVGBackend<'_>, Shift>) -> Outcome<()> {
    let text =
        |size: i32, at: HPos| TextStyle::from(("sans-serif", size)).pos(Pos::new(at, VPos::Center));
    let (width, _) = area.dim_in_pixel();
    let room = f64::from(i32::try_from(width)? - NAMES - VALUES);
    area.draw(&Text::new(title.to_owned(), (0, 12), text(14, HPos::Left)))?;
    let longest = bars.iter().map(|bar| bar.value).fold(0.0, f64::max);
    for (place, bar) in (0_i32..).zip(bars) {
        let top = TITLE + place * ROW;
        let middle = top + BAR / 2;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a place on a small picture"
        )]
        let length = (bar.value / longest * room) as i32;
        let corners = [(NAMES, top), (NAMES + length.max(1), top + BAR)];
        let name = Text::new(bar.name.clone(), (NAMES - 6, middle), text(13, HPos::Right));
        area.draw(&name)?;
        area.draw(&Rectangle::new(corners, colour(bar.column).filled()))?;
        let right = (NAMES + length + 5, middle);
        area.draw(&Text::new(bar.written.clone(), right, text(13, HPos::Left)))?;
    }
    Ok(())
}

/// Iroh stands out, what is no transport of ours steps back.
fn colour(column: &str) -> RGBColor {
    match column {
        "iroh" => RGBColor(0xd9, 0x5f, 0x0e),
        "dual" => RGBColor(0xfd, 0xae, 0x6b),
        "grpc" => RGBColor(0x31, 0x82, 0xbd),
        _ => RGBColor(0xbd, 0xbd, 0xbd),
    }
}

const WIDTH: u32 = 1040;
const HEIGHT: u32 = 860;
/// Pixels for the title of a panel, for names before bars and values after them, from bar to bar, and of a bar.
const TITLE: i32 = 28;
const NAMES: i32 = 190;
const VALUES: i32 = 80;
const ROW: i32 = 19;
const BAR: i32 = 13;
