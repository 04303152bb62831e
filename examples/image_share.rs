//! A disk image goes from two nodes to a third, and one of the two is killed halfway.
//!
//! `cargo run --example image_share --features image`

use std::{
    env,
    error::Error,
    fs,
    io::{BufRead, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use blixard_rpc::{
    Channel, Memory, Router, Streaming,
    transport::iroh::{ALPN, IrohServer, SecretKey, bind, presets},
};
use blixard_services::image::{
    self, GetEvent, ImageConfig, ImageFormat, ImageHost, Images, ImagesClient, Provider,
    ShareEvent, SourceState,
};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

const IMAGE_BYTES: u64 = 192 << 20;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    if let [_, role, folder] = &env::args().collect::<Vec<_>>()[..]
        && role == "provide"
    {
        return provide(folder.as_ref()).await;
    }
    let folder = env::temp_dir().join(format!("blixard-image-example-{}", std::process::id()));
    let outcome = show(&folder).await;
    fs::remove_dir_all(folder)?;
    outcome
}

async fn show(folder: &Path) -> Result<(), Box<dyn Error>> {
    println!(
        "two nodes share an image of {} MiB, where it lies: nothing is copied",
        IMAGE_BYTES >> 20
    );
    let mut nodes = Vec::new();
    for name in ["one", "two"] {
        let (child, hash, provider) = begin(&folder.join(name))?;
        println!("  node {name} has it, and says it is {}..", &hash[..16]);
        nodes.push((child, hash, provider));
    }
    let hash = nodes[0].1.clone();
    assert_eq!(hash, nodes[1].1, "the same content is the same image");

    println!("a third node fetches it from both");
    let (host, images, _serving) = node(&folder.join("three")).await?;
    let providers: Vec<Provider> = nodes.iter().map(|it| it.2.clone()).collect();
    let get = |name: &str| {
        images.get(
            name.into(),
            hash.clone(),
            ImageFormat::Raw,
            providers.clone(),
        )
    };
    let mut events = get("base").await?;
    let bars = Bars::new(&providers);
    let mut killed = false;
    let done = loop {
        match events.next().await.ok_or("it ended without an end")??.event {
            GetEvent::Progress(progress) => {
                bars.show(&progress);
                if !killed && progress.done_bytes > IMAGE_BYTES / 4 {
                    bars.say("node one is killed: what it was asked for comes from node two");
                    nodes[0].0.kill()?;
                    killed = true;
                }
            }
            GetEvent::Done(done) => break done,
            GetEvent::Unknown => {}
        }
    };
    bars.end();
    let file = host.file(&done.image.hash).await?;
    println!(
        "it is here, every byte verified: {} bytes in {:.1?}",
        fs::metadata(file)?.len(),
        done.took.unwrap_or_default()
    );

    let again = last(get("base").await?).await?;
    println!("asked for again, there is nothing to do: changed = {again}");
    for (child, ..) in &mut nodes {
        // The first has ended already.
        let _ = child.kill();
        child.wait()?;
    }
    Ok(())
}

/// A node: it serves calls, and the contents of images, on one endpoint. Here everybody may fetch.
async fn node(
    folder: &Path,
) -> Result<(ImageHost, ImagesClient, iroh::protocol::Router), Box<dyn Error>> {
    let endpoint = bind(presets::Minimal, SecretKey::generate()).await?;
    let mut config = ImageConfig::new(folder).readers(|_| true);
    config.keep_free_bytes = 0;
    let host = ImageHost::open(config, endpoint.clone()).await?;
    let router = Router::new().add(host.server());
    let serving = iroh::protocol::Router::builder(endpoint)
        .accept(ALPN, IrohServer::new(router.clone()))
        .accept(image::ALPN, host.protocol())
        .spawn();
    Ok((
        host,
        ImagesClient::new(Channel::new(Memory::new(router))),
        serving,
    ))
}

/// The other process: shares its image, says where it is, and gives until it is killed.
async fn provide(folder: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(folder.join("images"))?;
    let mut file = fs::File::create(folder.join("images/base.raw"))?;
    for block in 0..IMAGE_BYTES >> 16 {
        file.write_all(&block.to_le_bytes().repeat(8192))?;
    }
    let (host, images, _serving) = node(folder).await?;
    let mut events = images
        .share(
            "base".into(),
            "base.raw".into(),
            ImageFormat::Raw,
            Vec::new(),
        )
        .await?;
    while let Some(event) = events.next().await {
        if let ShareEvent::Done(done) = event?.event {
            let Provider { key, addresses, .. } = host.provider();
            println!("{} {key} {}", done.image.hash, addresses.join(" "));
        }
    }
    std::future::pending().await
}

fn begin(folder: &Path) -> Result<(Child, String, Provider), Box<dyn Error>> {
    let mut command = Command::new(env::current_exe()?);
    let mut child = command
        .arg("provide")
        .arg(folder)
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let hash = words.next().ok_or("a node did not begin")?;
    let key = words.next().ok_or("a node has no key")?;
    let provider = Provider {
        key,
        addresses: words.collect(),
        relay: String::new(),
    };
    Ok((child, hash, provider))
}

async fn last(mut events: Streaming<image::GetResponse>) -> Result<bool, Box<dyn Error>> {
    while let Some(event) = events.next().await {
        if let GetEvent::Done(done) = event?.event {
            return Ok(done.changed);
        }
    }
    Err("it ended without an end".into())
}

/// A bar for all of it, and one for what each node gives.
struct Bars {
    all: MultiProgress,
    total: ProgressBar,
    sources: Vec<(String, ProgressBar)>,
}

impl Bars {
    fn new(providers: &[Provider]) -> Self {
        let all = MultiProgress::new();
        let style = ProgressStyle::with_template("  {prefix:9} [{bar:40}] {bytes:>10} {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = |name: &str| {
            let bar = all.add(ProgressBar::new(IMAGE_BYTES).with_prefix(name.to_owned()));
            bar.set_style(style.clone());
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        };
        let names = ["node one", "node two"].into_iter();
        let sources = names
            .zip(providers)
            .map(|(name, it)| (it.key.clone(), bar(name)))
            .collect();
        let total = bar("all");
        Self {
            all,
            total,
            sources,
        }
    }

    fn show(&self, progress: &image::Progress) {
        self.total.set_position(progress.done_bytes);
        self.total
            .set_message(format!("{} MiB/s", progress.bytes_per_second >> 20));
        for source in &progress.sources {
            if let Some((_, bar)) = self.sources.iter().find(|(key, _)| *key == source.key) {
                bar.set_position(source.received_bytes);
                bar.set_message(match source.state {
                    SourceState::Giving => String::new(),
                    _ => source.message.clone(),
                });
            }
        }
    }

    /// Above the bars; they are hidden where nobody could see them move.
    fn say(&self, line: &str) {
        if self.all.println(line).is_err() || self.all.is_hidden() {
            println!("{line}");
        }
    }

    fn end(&self) {
        self.sources.iter().for_each(|(_, bar)| bar.abandon());
        self.total.finish();
    }
}
