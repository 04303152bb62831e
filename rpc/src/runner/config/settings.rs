//! [`RunnerConfig`]: what a runner and a dual channel are told by a TOML file and the environment.

use std::{
    env,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    error::ConfigError,
    grpc::{GrpcSettings, grpc},
    section::{ADDRESS, FILE, Mistakes, Section, any_of},
    tree::{self, Tree},
};
use crate::runner::{Carry, DualConfig, MigrationStrategy, Mode, Prefer, Transport};

/// What a [`ServiceRunner`](crate::runner::ServiceRunner) and a [`DualChannel`](crate::runner::DualChannel) are told by a TOML file and
/// the environment.
///
/// A key that does not exist, or a value that is not allowed, is an error that names the key, the value and what is allowed; all of
/// them are said at once. What is left out has the value that is shown here, but for `mode`, and for `grpc.listen` where gRPC is
/// served:
///
/// ```toml
#[doc = include_str!("../../../docs/runner.toml")]
/// ```
///
/// A variable of the environment goes before the file: its name is a prefix of the program's choice and the key in capitals, with two
/// underscores for a dot, such as `DEMO_GRPC__LISTEN` for `grpc.listen`. The full name of a service is as it is:
/// `DEMO_MIGRATION__SERVICES__demo.v1.Search__CARRY`. Each variable with the prefix is taken for a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunnerConfig {
    /// On which transports services are served.
    pub mode: Mode,
    /// Whether clients may ask what services there are, over each transport: `Router::reflection`.
    pub reflection: bool,
    /// How long calls in flight may go on when the runner is shut down.
    pub shutdown_grace: Duration,
    /// How iroh is served.
    pub iroh: IrohSettings,
    /// How gRPC is served; `None` in [`Mode::Iroh`] if nothing is said of it.
    pub grpc: Option<GrpcSettings>,
    /// Which transports carry which service, and what clients prefer.
    pub migration: MigrationStrategy,
    /// When clients change over, and when back.
    pub dual: DualConfig,
}

/// How iroh is served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IrohSettings {
    /// Where the endpoint is bound; by default to a port of the system's choice on all addresses.
    pub bind: Option<SocketAddr>,
    /// A file with the secret key, 64 hexadecimal digits; by default each start makes another key.
    pub secret_key_file: Option<PathBuf>,
    /// How peers are found.
    pub relays: Relays,
}

/// How peers are found over iroh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Relays {
    /// By the relays and the lookup of number 0, across the internet.
    #[default]
    N0,
    /// By addresses that are given: nobody else is asked.
    None,
}

impl RunnerConfig {
    /// Reads a file, and the variables of the environment with this prefix, such as `DEMO`; without a file, the variables alone.
    ///
    /// # Errors
    /// All that is wrong: with the key, the value and what is allowed.
    pub fn load(file: Option<&Path>, prefix: &str) -> Result<Self, ConfigError> {
        Self::load_beside(file, prefix, &[])
    }

    /// Reads a file that says other things too: at its top, these keys and sections are the program's own and not looked at. Variables
    /// of the environment are for the others alone.
    ///
    /// # Errors
    /// As of [`load`](Self::load).
    pub fn load_beside(
        file: Option<&Path>,
        prefix: &str,
        own: &[&str],
    ) -> Result<Self, ConfigError> {
        let mut tree = match file {
            Some(path) => {
                let name = path.display().to_string();
                let source = std::fs::read_to_string(path).map_err(|error| {
                    ConfigError::one("", &name, format!("it cannot be read: {error}"))
                })?;
                tree::read(&source, &name)?
            }
            None => Tree::new(),
        };
        tree.retain(|key, _| !own.contains(&key.as_str()));
        // What is not Unicode has not our prefix, or is said to be a mistake by its value.
        let variables = env::vars_os().map(|(name, value)| {
            let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
            (text(name), text(value))
        });
        Self::of(tree, prefix, variables)
    }

    /// Reads TOML, and these variables with this prefix.
    ///
    /// # Errors
    /// All that is wrong: with the key, the value and what is allowed.
    pub fn parse(
        source: &str,
        prefix: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        Self::of(tree::read(source, "line")?, prefix, variables)
    }

    fn of(
        mut tree: Tree,
        prefix: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        tree::overlay(&mut tree, prefix, variables)?;
        let mistakes = Mistakes::default();
        let config = read(tree, &mistakes);
        mistakes.none()?;
        Ok(config)
    }
}

const MODES: [(&str, Mode); 3] = [
    ("grpc", Mode::Grpc),
    ("iroh", Mode::Iroh),
    ("dual", Mode::Dual),
];

/// The configuration, which counts if there are no mistakes.
fn read(tree: Tree, mistakes: &Mistakes) -> RunnerConfig {
    let mut root = Section::new(tree, mistakes);
    let mode = if root.has("mode") {
        root.one_of("mode", &MODES)
    } else {
        root.missing("mode", &any_of(&MODES));
        None
    };
    let reflection = root.one_of("reflection", &[("true", true), ("false", false)]);
    let shutdown_grace = root
        .duration("shutdown_grace")
        .unwrap_or(Duration::from_secs(10));
    let iroh = iroh(root.section("iroh"));
    // Where the mode is wrong, nobody knows.
    let is_served = mode.is_some_and(|mode| mode.serves(Transport::Grpc));
    let grpc = grpc(root.section("grpc"), is_served);
    let migration = migration(root.section("migration"));
    let dual = dual(root.section("dual"));
    root.finish();
    RunnerConfig {
        mode: mode.unwrap_or(Mode::Dual),
        reflection: reflection.unwrap_or_default(),
        shutdown_grace,
        iroh,
        grpc,
        migration,
        dual,
    }
}

fn iroh(mut section: Section<'_>) -> IrohSettings {
    let settings = IrohSettings {
        bind: section.parsed("bind", ADDRESS),
        secret_key_file: section.parsed("secret_key_file", FILE),
        relays: section
            .one_of("relays", &[("n0", Relays::N0), ("none", Relays::None)])
            .unwrap_or_default(),
    };
    section.finish();
    settings
}

fn migration(mut section: Section<'_>) -> MigrationStrategy {
    let services = section.section("services");
    let mut strategy = MigrationStrategy::new(carry(section));
    for (name, section) in services.sections() {
        strategy = strategy.service(name, carry(section));
    }
    strategy
}

/// The two settings of a service, which are all of their section.
fn carry(mut section: Section<'_>) -> Carry {
    let prefer = section.one_of(
        "prefer",
        &[
            ("iroh", Prefer::Iroh),
            ("grpc", Prefer::Grpc),
            ("adaptive", Prefer::Adaptive),
        ],
    );
    let both = Carry::Both(prefer.unwrap_or_default());
    let carry = section
        .one_of(
            "carry",
            &[("iroh", Carry::Iroh), ("grpc", Carry::Grpc), ("both", both)],
        )
        .unwrap_or(both);
    if prefer.is_some() && !matches!(carry, Carry::Both(_)) {
        let why = format!(
            "with carry = {:?} there is nothing to prefer: leave it out, or let both carry it",
            carry.name()
        );
        section.wrong("prefer", &why);
    }
    section.finish();
    carry
}

fn dual(mut section: Section<'_>) -> DualConfig {
    let mut config = DualConfig::default();
    for (key, field) in [
        ("silence", &mut config.silence),
        ("probe_timeout", &mut config.probe_timeout),
        ("probe_interval", &mut config.probe_interval),
        ("cool_down", &mut config.cool_down.first),
        ("longest_cool_down", &mut config.cool_down.longest),
        ("stable_after", &mut config.stable_after),
        ("latency_threshold", &mut config.latency_threshold),
        ("idle_after", &mut config.idle_after),
    ] {
        *field = section.duration(key).unwrap_or(*field);
    }
    let good_probes = section.setting("good_probes", "a number from 1 to 1000", |text| {
        text.parse()
            .ok()
            .filter(|number| (1..=1000).contains(number))
    });
    config.good_probes = good_probes.unwrap_or(config.good_probes);
    if config.cool_down.longest < config.cool_down.first {
        let why = format!(
            "it is {:?}, and less than cool_down, which is {:?}; allowed is as much or more",
            config.cool_down.longest, config.cool_down.first
        );
        section.wrong("longest_cool_down", &why);
    }
    section.finish();
    config
}
