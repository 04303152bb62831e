//! The figures of `docs/RAFT.md`: three members over gRPC with mutual TLS, over iroh, and over both, side by side and by turns.
//!
//! `cargo bench -p blixard-raft-transport` takes about ten minutes; `-- --only NAME` runs the parts that have `NAME` in their names,
//! `-- --list` names them, `-- --quick` only shows that all of it runs, `-- --over iroh` leaves out the other transports. All members live on this machine: read the ratios, absolute
//! figures are the machine's.

mod commits;
mod messages;
mod nodes;
mod processes;
mod raw;
mod report;
mod snapshots;

use std::{env, error::Error, path::Path, time::Duration};

use blixard_raft_cluster::node;
use blixard_rpc::runner::Mode;

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
}

const PARTS: [&str; 10] = [
    "memory", "client", "window", "fsync", "messages", "upload", "beside", "transfer", "switch",
    "kill",
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
                "--list" => {
                    println!("{}", PARTS.join("\n"));
                    return Ok(None);
                }
                // What cargo itself passes to a benchmark.
                "--bench" => {}
                unknown => return Err(format!("unknown argument {unknown}; there are --only NAME, --over TRANSPORT, --quick and --list").into()),
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
    let Some(plan) = Plan::from_args(&args)? else {
        return Ok(());
    };
    let mut report = Report::new(&plan.over);
    runtime.block_on(async {
        for part in PARTS.into_iter().filter(|part| plan.wants(part)) {
            println!("{part} ..");
            match part {
                "memory" => commits::many(&plan, &mut report).await?,
                "client" => commits::one(&plan, &mut report).await?,
                "window" => commits::windows(&plan, &mut report).await?,
                "fsync" => processes::writes(&plan, &mut report).await?,
                "messages" => messages::run(&plan, &mut report).await?,
                "upload" => snapshots::upload(&plan, &mut report).await?,
                "beside" => snapshots::beside(&plan, &mut report).await?,
                "transfer" => commits::transfer(&plan, &mut report).await?,
                "switch" => processes::switch(&plan, &mut report).await?,
                _ => processes::kill(&plan, &mut report).await?,
            }
        }
        Outcome::Ok(())
    })?;
    print!("{}", report.table());
    Ok(())
}
