//! The figures of `docs/IMAGES.md`: images that are shared and fetched, beside bare iroh-blobs in the same run, each node a process.
//!
//! `cargo bench -p blixard-services --features image-host --bench images` takes some minutes; `-- --only NAME` runs the parts that have
//! `NAME` in their names, `-- --mib N` takes images of another size, `-- --rounds N` other than three rounds. All nodes live on this
//! machine: read the ratios, absolute figures are the machine's.

mod node;
mod process;

use std::{
    env,
    error::Error,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use process::{Got, Process};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const MIB: u64 = 1 << 20;
const PARTS: [&str; 4] = ["share-and-get", "two-providers", "killed", "eight"];

struct Plan {
    mib: u64,
    rounds: usize,
    only: Option<String>,
}

impl Plan {
    fn from_args(args: &[String]) -> Outcome<Self> {
        let mut plan = Self {
            mib: 1024,
            rounds: 3,
            only: None,
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or("it needs a value");
            match arg.as_str() {
                "--mib" => plan.mib = value()?.parse()?,
                "--rounds" => plan.rounds = value()?.parse()?,
                "--only" => plan.only = Some(value()?.clone()),
                // From cargo.
                "--bench" => {}
                other => return Err(format!("there is no {other}: parts are {PARTS:?}").into()),
            }
        }
        Ok(plan)
    }

    fn has(&self, part: &str) -> bool {
        self.only.as_ref().is_none_or(|only| part.contains(only))
    }
}

fn main() -> Outcome<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    if let [role, kind, folder] = &args[..]
        && role == "node"
    {
        return node::run(kind, folder.as_ref());
    }
    let plan = Plan::from_args(&args)?;
    let folder = Folder::new()?;
    let image = folder.0.join("image");
    write(&image, plan.mib * MIB, 1)?;
    if plan.has("share-and-get") {
        share_and_get(&plan, &folder, &image)?;
    }
    if plan.has("two-providers") {
        two_providers(&plan, &folder, &image)?;
    }
    if plan.has("killed") {
        killed(&plan, &folder, &image)?;
    }
    if plan.has("eight") {
        eight(&plan, &folder)?;
    }
    Ok(())
}

/// Ours and bare iroh-blobs by turns.
fn share_and_get(plan: &Plan, folder: &Folder, image: &Path) -> Outcome<()> {
    let kinds = ["bare", "ours"];
    let mut shared = [Vec::new(), Vec::new()];
    let mut got = [Vec::new(), Vec::new()];
    let mut more: f64 = 0.0;
    for round in 0..plan.rounds {
        // Who comes first has colder files.
        let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
        for which in order {
            let mut a = Process::begin(kinds[which], &folder.next()?, Some(image))?;
            let mut b = Process::begin(kinds[which], &folder.next()?, None)?;
            let (hash, seconds) = a.share()?;
            shared[which].push(plan.mib as f64 / seconds);
            let done = b.get(&hash, &[&a])?;
            got[which].push(plan.mib as f64 / done.seconds);
            if which == 1 {
                let size = (plan.mib * MIB) as f64;
                let disk = (a.disk_bytes()? + b.disk_bytes()?) as f64;
                more = more.max(disk / size - 1.0);
            }
            drop((a, b));
            folder.clear()?;
        }
    }
    println!("\n{} MiB, from one provider", plan.mib);
    println!("| | bare iroh-blobs, MiB/s | ours, MiB/s | ratio |\n|---|--:|--:|--:|");
    for (what, [bare, ours]) in [("share by reference", shared), ("get", got)] {
        let (bare, ours) = (median(bare), median(ours));
        println!("| {what} | {bare:.0} | {ours:.0} | {:.2} |", ours / bare);
    }
    println!(
        "disk of both caches beyond the image: {:.2} %",
        more * 100.0
    );
    Ok(())
}

fn two_providers(plan: &Plan, folder: &Folder, image: &Path) -> Outcome<()> {
    let mut speeds = [Vec::new(), Vec::new()];
    for round in 0..plan.rounds {
        let mut a = Process::begin("ours", &folder.next()?, Some(image))?;
        let mut b = Process::begin("ours", &folder.next()?, Some(image))?;
        let (hash, _) = a.share()?;
        b.share()?;
        let order = if round % 2 == 0 { [1, 2] } else { [2, 1] };
        for providers in order {
            let mut c = Process::begin("ours", &folder.next()?, None)?;
            let from = [&a, &b];
            let done = c.get(&hash, &from[..providers])?;
            speeds[providers - 1].push(plan.mib as f64 / done.seconds);
        }
        drop((a, b));
        folder.clear()?;
    }
    let [one, two] = speeds.map(median);
    println!("\n{} MiB, from one and from two providers", plan.mib);
    println!(
        "one {one:.0} MiB/s, two {two:.0} MiB/s: {:.2} times",
        two / one
    );
    Ok(())
}

fn killed(plan: &Plan, folder: &Folder, image: &Path) -> Outcome<()> {
    let mut worst: i64 = 0;
    for round in 0..plan.rounds {
        let mut a = Process::begin("ours", &folder.next()?, Some(image))?;
        let (hash, _) = a.share()?;
        let home = folder.next()?;
        let sent = a.sent_bytes()?;
        let at = plan.mib * MIB * (round as u64 + 1) / (plan.rounds as u64 + 1);
        let mut b = Process::begin("ours", &home, None)?;
        b.get_until(&hash, &[&a], at)?;
        b.kill()?;
        let here = b.disk_bytes()?;
        let mut b = Process::begin("ours", &home, None)?;
        let done = b.get(&hash, &[&a])?;
        // What was here, and what came after, beyond what there is.
        let again = (here + done.received_bytes) as i64 - (plan.mib * MIB) as i64;
        worst = worst.max(again);
        let sent = a.sent_bytes()? - sent;
        println!(
            "killed at {} MiB: {} MiB were on disk, {} MiB came after; sent in all, with headers: {:.3} times the image",
            at / MIB,
            here / MIB,
            done.received_bytes / MIB,
            sent as f64 / (plan.mib * MIB) as f64
        );
        drop((a, b));
        folder.clear()?;
    }
    println!(
        "\nfetched again after kill -9: at most {:.1} MiB",
        worst as f64 / MIB as f64
    );
    Ok(())
}

fn eight(plan: &Plan, folder: &Folder) -> Outcome<()> {
    let image = folder.0.join("quarter");
    let mib = plan.mib / 4;
    write(&image, mib * MIB, 2)?;
    for _ in 0..plan.rounds {
        let mut origin = Process::begin("ours", &folder.next()?, Some(&image))?;
        let (hash, _) = origin.share()?;
        let sent = origin.sent_bytes()?;
        let mut getters = Vec::new();
        for _ in 0..8 {
            getters.push(Process::begin("ours", &folder.next()?, None)?);
        }
        for getter in &mut getters {
            getter.ask(&hash, &[&origin])?;
        }
        let done: Vec<Got> = getters
            .iter_mut()
            .map(Process::got)
            .collect::<Outcome<_>>()?;
        let slowest = done.iter().map(|it| it.seconds).fold(0.0, f64::max);
        let sent = (origin.sent_bytes()? - sent) as f64 / (mib * MIB) as f64;
        println!(
            "8 nodes get {mib} MiB: the origin sent {sent:.2} times the image, headers and all; the last had it after {slowest:.1} s"
        );
        drop((origin, getters));
        folder.clear()?;
    }
    Ok(())
}

/// Content that nothing compresses.
fn write(path: &PathBuf, bytes: u64, seed: u64) -> Outcome<()> {
    let mut file = std::io::BufWriter::new(fs::File::create(path)?);
    let mut state = seed;
    for _ in 0..bytes / 8 {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        file.write_all(&(mixed ^ mixed >> 27).to_le_bytes())?;
    }
    file.into_inner()?.sync_all()?;
    Ok(())
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of.get(of.len() / 2).copied().unwrap_or_default()
}

/// A folder for all nodes, which goes with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Outcome<Self> {
        let folder = env::temp_dir().join(format!("blixard-images-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }

    /// One for the next node.
    fn next(&self) -> Outcome<PathBuf> {
        let number = fs::read_dir(&self.0)?.count();
        let folder = self.0.join(format!("node{number}"));
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// Removes those of the nodes.
    fn clear(&self) -> Outcome<()> {
        for entry in fs::read_dir(&self.0)? {
            let path = entry?.path();
            if path.is_dir() {
                fs::remove_dir_all(path)?;
            }
        }
        Ok(())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
