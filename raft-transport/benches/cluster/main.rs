//! The figures of `docs/RAFT.md`: three members over gRPC with mutual TLS, over iroh, and over both, side by side and by turns.
//!
//! `cargo bench -p blixard-raft-transport` takes about twenty minutes; `-- --only NAME` runs the parts that have `NAME` in their names,
//! `-- --list` names them, `-- --quick` only shows that all of it runs, `-- --over iroh` leaves out the other transports.
//! `-- --figures FILE` keeps what was measured, beside what earlier runs have measured of other parts, and `-- --plot FILE` draws it.
//! All members live on this machine: read the ratios, absolute figures are the machine's.

mod commits;
mod cut;
mod link;
mod messages;
mod nodes;
mod plot;
mod processes;
mod raw;
mod report;
mod snapshots;

use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use blixard_raft_cluster::node;
use blixard_rpc::runner::Mode;

use link::Link;
use report::Report;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// How much to measure.
struct Plan {
    /// Rounds in which all take turns.
    rounds: usize,
    /// How long one measures in a round.
    time: Duration,
    /// How often what happens once is made to happen.
    times: usize,
    snapshot_bytes: u64,
    only: Option<String>,
    over: Vec<Mode>,
    /// Where figures are kept from run to run.
    figures: Option<PathBuf>,
    plot: Option<PathBuf>,
    /// Whether all of it is in a network of its own.
    carried: bool,
}

const PARTS: [&str; 13] = [
    "memory", "client", "window", "fsync", "messages", "upload", "cut", "beside", "narrow",
    "lossy", "transfer", "switch", "kill",
];

impl Plan {
    /// `None` if only the names were asked for.
    fn from_args(args: &[String]) -> Outcome<Option<Self>> {
        let mut plan = Self {
            rounds: 5,
            time: Duration::from_secs(2),
            times: 100,
            snapshot_bytes: 1024 * MIB,
            only: None,
            over: vec![Mode::Grpc, Mode::Iroh, Mode::Dual],
            figures: None,
            plot: None,
            carried: false,
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--quick" => {
                    (plan.rounds, plan.time, plan.times) = (1, Duration::from_millis(200), 2);
                    plan.snapshot_bytes = 16 * MIB;
                }
                "--only" => {
                    plan.only = Some(args.next().ok_or("--only needs part of a name")?.clone());
                }
                "--over" => {
                    let name = args.next().ok_or("--over needs grpc, iroh or dual")?;
                    plan.over.retain(|mode| mode.name() == name);
                }
                "--figures" => {
                    plan.figures = Some(args.next().ok_or("--figures needs a file")?.into());
                }
                "--plot" => plan.plot = Some(args.next().ok_or("--plot needs a file")?.into()),
                "--list" => {
                    println!("{}", PARTS.join("\n"));
                    return Ok(None);
                }
                // What cargo itself passes to a benchmark.
                "--bench" => {}
                unknown => return Err(format!("unknown argument {unknown}; there are --only NAME, --over TRANSPORT, --quick, --figures FILE, --plot FILE and --list").into()),
            }
        }
        Ok(Some(plan))
    }

    fn wants(&self, part: &str) -> bool {
        self.only
            .as_ref()
            .is_none_or(|only| part.contains(only.as_str()))
    }
}

const MIB: u64 = 1024 * 1024;

fn main() -> Outcome<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    // The members that are processes are this program too.
    if let [what, folder, id] = &args[..]
        && what == "node"
    {
        let id = id.parse()?;
        return runtime
            .block_on(node::run(Path::new(folder), id))
            .map_err(|error| error.to_string().into());
    }
    let carried = match &args[..] {
        [what, link, ..] if what == link::CARRIED => {
            Link::ALL.into_iter().find(|it| it.name() == link)
        }
        _ => None,
    };
    let own = if carried.is_some() { 2 } else { 0 };
    let Some(mut plan) = Plan::from_args(&args[own..])? else {
        return Ok(());
    };
    if let Some(link) = carried {
        link::make(link)?;
        plan.carried = true;
        plan.only = Some(link.name().to_owned());
    }
    let mut report = Report::new(&plan.over);
    runtime.block_on(async {
        for part in PARTS.into_iter().filter(|part| plan.wants(part)) {
            println!("{part} ..");
            let link = Link::ALL.into_iter().find(|it| it.name() == part);
            match (part, link) {
                (_, Some(link)) if !plan.carried => over(link, &args, &plan, &mut report)?,
                ("memory", _) => commits::many(&plan, &mut report).await?,
                ("client", _) => commits::one(&plan, &mut report).await?,
                ("window", _) => commits::windows(&plan, &mut report).await?,
                ("fsync", _) => processes::writes(&plan, &mut report).await?,
                ("messages", _) => messages::run(&plan, &mut report).await?,
                ("upload", _) => snapshots::upload(&plan, &mut report).await?,
                ("cut", _) => cut::run(&plan, &mut report).await?,
                ("beside", _) => snapshots::beside(&plan, &mut report).await?,
                ("narrow", _) => snapshots::narrow(&plan, &mut report).await?,
                ("lossy", _) => commits::lossy(&plan, &mut report).await?,
                ("transfer", _) => commits::transfer(&plan, &mut report).await?,
                ("switch", _) => processes::switch(&plan, &mut report).await?,
                _ => processes::kill(&plan, &mut report).await?,
            }
        }
        Outcome::Ok(())
    })?;
    if let Some(file) = &plan.figures {
        let mut known = Report::load(file, &plan.over)?;
        known.merge(report);
        report = known;
        report.save(file)?;
    }
    if plan.carried {
        return Ok(());
    }
    if let Some(file) = &plan.plot {
        plot::plot(&report, file)?;
    }
    print!("{}", report.table());
    Ok(())
}

/// Has a part measured in a network of its own.
fn over(link: Link, args: &[String], plan: &Plan, report: &mut Report) -> Outcome<()> {
    let file = env::temp_dir().join(format!("raft-bench-{}-{}", std::process::id(), link.name()));
    let mut args = args.to_vec();
    args.extend(["--figures".to_owned(), file.to_string_lossy().into_owned()]);
    link::run(link, &args)?;
    report.merge(Report::load(&file, &plan.over)?);
    fs::remove_file(&file)?;
    Ok(())
}
