//! What is said on the command line.

use std::{path::PathBuf, time::Duration};

use crate::{
    Counter, Outcome,
    all::{self, Plan},
    link,
    one::{Entry, STACKS, one},
    plot,
    report::Report,
    table,
    work::{WORKS, Work},
};

const USAGE: &str = "\
peers all [--rounds N] [--time MS] [--workers N] [--quick] [--only PART,..]
          [--json FILE [--more]]
    all stacks, in turn, round by round; PART is how a `WORK STACK` or a `STACK` begins; FILE keeps what was measured: a later run
    replaces in it what it measures, or adds its rounds with --more
peers table FILE
    the tables of an earlier run
peers plot FILE PICTURE
    the same as a picture, in SVG
peers list
    what there is
peers STACK WORK [--time MS] [--workers N]
    one work on one stack, in this process; answers a line of JSON";

/// Does what is asked.
pub(crate) fn run(counter: Option<Counter>) -> Outcome<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let mut args = args.iter().map(String::as_str);
    let command = args.next().unwrap_or("help");
    match command {
        "all" => all::all(&plan(args)?),
        // Not for people: what `link` runs in a namespace.
        "carry" => link::carry(&args.collect::<Vec<_>>()),
        "table" => {
            let file = args.next().ok_or(USAGE)?;
            print!("{}", table::tables(&Report::read(file.as_ref())?));
            Ok(())
        }
        "plot" => {
            let (file, picture) = (args.next().ok_or(USAGE)?, args.next().ok_or(USAGE)?);
            plot::plot(&Report::read(file.as_ref())?, picture.as_ref())
        }
        "list" => {
            for stack in STACKS {
                println!("{:<18} {}", stack.name, stack.about);
            }
            println!();
            for work in WORKS {
                println!("{:<18} {}", work.name, work.about);
            }
            Ok(())
        }
        "help" | "--help" | "-h" => {
            println!("{USAGE}");
            Ok(())
        }
        stack => {
            let stack = find(STACKS, stack, |it: &Entry| it.name)?;
            let work = find(WORKS, args.next().ok_or(USAGE)?, |it: &Work| it.name)?;
            let (mut time, mut workers, mut carried) = (TIME, WORKERS, false);
            let all: Vec<&str> = args.collect();
            let mut args = all.iter().copied();
            while let Some(arg) = args.next() {
                match arg {
                    "--time" => time = milliseconds(args.next())?,
                    "--workers" => workers = number(args.next())?,
                    link::CARRIED => carried = true,
                    unknown => return Err(format!("unknown argument {unknown}\n{USAGE}").into()),
                }
            }
            if work.link && !carried {
                return link::run(&[&[stack.name, work.name], &all[..]].concat());
            }
            let sample = one(stack, work, time, workers, counter)?;
            println!("{}", serde_json::to_string(&sample)?);
            Ok(())
        }
    }
}

fn plan<'a>(mut args: impl Iterator<Item = &'a str>) -> Outcome<Plan> {
    let mut plan = Plan {
        rounds: 5,
        time: TIME,
        workers: WORKERS,
        only: Vec::new(),
        more: false,
        json: None,
    };
    while let Some(arg) = args.next() {
        match arg {
            "--quick" => (plan.rounds, plan.time) = (1, Duration::from_millis(50)),
            "--rounds" => plan.rounds = number(args.next())?,
            "--workers" => plan.workers = number(args.next())?,
            "--time" => plan.time = milliseconds(args.next())?,
            "--only" => {
                let only = args.next().ok_or("--only needs parts of names")?;
                plan.only = only.split(',').map(str::to_owned).collect();
            }
            "--more" => plan.more = true,
            "--json" => {
                plan.json = Some(PathBuf::from(args.next().ok_or("--json needs a path")?));
            }
            unknown => return Err(format!("unknown argument {unknown}\n{USAGE}").into()),
        }
    }
    Ok(plan)
}

fn number(arg: Option<&str>) -> Outcome<usize> {
    Ok(arg.ok_or("a number is missing")?.parse()?)
}

fn milliseconds(arg: Option<&str>) -> Outcome<Duration> {
    let arg = arg.ok_or("--time needs milliseconds")?;
    Ok(Duration::from_millis(arg.parse()?))
}

fn find<T>(all: &'static [T], name: &str, name_of: fn(&T) -> &'static str) -> Outcome<&'static T> {
    let found = all.iter().find(|it| name_of(it) == name);
    found.ok_or_else(|| {
        let names: Vec<_> = all.iter().map(name_of).collect();
        format!("there is no {name}; there are {}", names.join(", ")).into()
    })
}

/// How long a round of one work on one stack takes, unless it is said.
const TIME: Duration = Duration::from_millis(400);
/// Threads that both ends share, unless it is said.
const WORKERS: usize = 2;
