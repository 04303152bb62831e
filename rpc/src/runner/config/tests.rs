//! What configurations come to, and what is said of those that come to nothing.

use std::time::Duration;

use super::*;
use crate::runner::{Carry, DualConfig, MigrationStrategy, Mode, Prefer};

fn variables(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn parse(source: &str, environment: &[(&str, &str)]) -> Result<RunnerConfig, ConfigError> {
    RunnerConfig::parse(source, "DEMO", variables(environment))
}

#[track_caller]
fn wrong(source: &str, environment: &[(&str, &str)], says: &[&str]) {
    let error = parse(source, environment).expect_err("it is wrong");
    let error = error.to_string();
    let lines: Vec<&str> = error.lines().collect();
    assert_eq!(lines, says);
}

#[test]
fn the_page_shows_the_defaults() {
    let page = include_str!("../../../docs/runner.toml");
    let shown = parse(page, &[]).unwrap();
    let least = parse("mode = \"dual\"\ngrpc.listen = \"0.0.0.0:50051\"", &[]).unwrap();
    let strategy = MigrationStrategy::default()
        .service("demo.v1.Billing", Carry::Grpc)
        .service("demo.v1.Search", Carry::Both(Prefer::Adaptive));
    assert_eq!(shown.migration, strategy);
    assert_eq!(
        shown,
        RunnerConfig {
            migration: strategy,
            ..least.clone()
        }
    );
    assert_eq!(least.dual, DualConfig::default());
    assert_eq!(least.migration, MigrationStrategy::default());
    // And what it shows as a comment is right too.
    let all: String = page
        .lines()
        .map(|line| format!("{}\n", line.strip_prefix("# ").unwrap_or(line)))
        .collect();
    let all = parse(&all, &[]).unwrap();
    assert!(all.iroh.bind.is_some() && all.iroh.secret_key_file.is_some());
    let grpc = all.grpc.unwrap();
    assert!(grpc.tls.unwrap().client_authorities_file.is_some());
    assert!(matches!(grpc.web_origins, Some(WebOrigins::Only(origins)) if origins.len() == 2));
    assert_eq!(least.grpc.unwrap().limits, GrpcLimits::default());
    let said = format!("{:?}", grpc.limits);
    assert!(!said.contains("None"), "{said}");
    #[cfg(feature = "grpc")]
    assert_eq!(
        grpc.limits.config(),
        crate::transport::grpc::GrpcConfig::default()
    );
}

#[test]
fn the_environment_goes_before_the_file() {
    let config = parse(
        "mode = \"dual\"\n[grpc]\nlisten = \"127.0.0.1:1\"\n[dual]\nsilence = \"1s\"",
        &[
            ("DEMO_MODE", "grpc"),
            ("DEMO_GRPC__LISTEN", "127.0.0.1:2"),
            ("DEMO_DUAL__GOOD_PROBES", "7"),
            ("DEMO_REFLECTION", "true"),
            ("DEMO_GRPC__WEB_ORIGINS", "*"),
            ("DEMO_GRPC__LIMITS__MAX_CALLS", "655"),
            ("DEMO_MIGRATION__PREFER", "grpc"),
            ("DEMO_MIGRATION__SERVICES__demo.v1.Greeter__CARRY", "grpc"),
            ("DEMOCRACY", "1"),
            ("PATH", "/bin"),
        ],
    )
    .unwrap();
    assert_eq!(config.mode, Mode::Grpc);
    let grpc = config.grpc.unwrap();
    assert!(config.reflection && grpc.web_origins == Some(WebOrigins::Any));
    assert_eq!((grpc.listen.port(), grpc.limits.max_calls), (2, Some(655)));
    assert_eq!(
        (config.dual.good_probes, config.dual.silence),
        (7, Duration::from_secs(1))
    );
    assert_eq!(config.migration.of("demo.v1.Greeter"), Carry::Grpc);
    assert_eq!(
        config.migration.of("demo.v1.Other"),
        Carry::Both(Prefer::Grpc)
    );
}

#[test]
fn what_is_not_needed_may_be_left_out() {
    let config = parse("mode = \"iroh\"", &[]).unwrap();
    assert_eq!(config.grpc, None);
    assert_eq!(config.iroh, IrohSettings::default());
    let config = parse(
        "",
        &[("DEMO_MODE", "grpc"), ("DEMO_GRPC__LISTEN", "[::]:0")],
    )
    .unwrap();
    assert!(config.grpc.unwrap().listen.is_ipv6());
}

#[test]
fn each_mistake_names_the_key_the_value_and_what_is_allowed() {
    let address = "allowed is an IP address and a port, such as \"0.0.0.0:50051\" or \"[::]:0\"";
    let origins = "allowed is \"*\" for every page, or origins without a path and with commas between, such as \"https://app.example.org, http://localhost:8080\"";
    let many = "allowed is a number from 1 to 1000000";
    let time = "allowed is a time of at least 1ms, such as \"150ms\", \"2s\", \"1m\" or \"1h\"";
    for (line, says) in [
        ("mode = \"duall\"", "mode = \"duall\": allowed is \"grpc\", \"iroh\" or \"dual\"".to_owned()),
        ("mode = 3", "mode = 3: allowed is \"grpc\", \"iroh\" or \"dual\"".to_owned()),
        ("mode = [\"grpc\", \"iroh\"]", "mode = [\"grpc\", \"iroh\"]: allowed is \"grpc\", \"iroh\" or \"dual\"".to_owned()),
        ("mode.a = 1", "[mode]: it is a section; allowed is \"grpc\", \"iroh\" or \"dual\"".to_owned()),
        ("iroh.bind = \"localhost\"", format!("iroh.bind = \"localhost\": {address}")),
        ("iroh.relays = true", "iroh.relays = true: allowed is \"n0\" or \"none\"".to_owned()),
        ("iroh.relay = \"n0\"", "iroh.relay = \"n0\": there is no such key; allowed are bind, secret_key_file, relays".to_owned()),
        ("iroh = 3", "iroh = 3: allowed is a section, [iroh]".to_owned()),
        ("grpc.tls.key_file = \"k\"", "grpc.tls.certificate_file: it is needed and not there; allowed is the path of a file".to_owned()),
        ("reflection = \"on\"", "reflection = \"on\": allowed is \"true\" or \"false\"".to_owned()),
        ("grpc.compression = \"brotli\"", "grpc.compression = \"brotli\": allowed is \"gzip\", \"zstd\" or \"none\"".to_owned()),
        ("grpc.web_origins = \"app.example.org\"", format!("grpc.web_origins = \"app.example.org\": {origins}")),
        ("grpc.web_origins = \"https://a.org/page\"", format!("grpc.web_origins = \"https://a.org/page\": {origins}")),
        ("grpc.web_origins = \"\"", format!("grpc.web_origins = \"\": {origins}")),
        ("grpc.web_origins = \"https://a.org,\"", format!("grpc.web_origins = \"https://a.org,\": {origins}")),
        ("grpc.limits.max_connections = 0", format!("grpc.limits.max_connections = 0: {many}")),
        ("grpc.limits.max_calls_per_connection = -1", format!("grpc.limits.max_calls_per_connection = -1: {many}")),
        ("grpc.limits.max_calls = \"many\"", format!("grpc.limits.max_calls = \"many\": {many}")),
        ("grpc.limits.max_message_bytes = 10485761", "grpc.limits.max_message_bytes = 10485761: allowed is a number from 1 to 10485760".to_owned()),
        ("grpc.limits.keep_alive = 20", format!("grpc.limits.keep_alive = 20: {time}")),
        ("grpc.limits.max_streams = 1", "grpc.limits.max_streams = 1: there is no such key; allowed are max_connections, max_connections_per_address, max_connections_per_identity, max_handshakes, max_handshakes_per_address, handshake_timeout, max_calls, max_calls_per_connection, max_message_bytes, max_inbound_bytes, keep_alive, keep_alive_timeout".to_owned()),
        ("shutdown_grace = 10", format!("shutdown_grace = 10: {time}")),
        ("shutdown_grace = \"0s\"", format!("shutdown_grace = \"0s\": {time}")),
        ("shutdown_grace = \"99999999999999999999h\"", format!("shutdown_grace = \"99999999999999999999h\": {time}")),
        ("dual.silence = \"a while\"", format!("dual.silence = \"a while\": {time}")),
        ("dual.good_probes = 0", "dual.good_probes = 0: allowed is a number from 1 to 1000".to_owned()),
        ("dual.longest_cool_down = \"1ms\"", "dual.longest_cool_down: it is 1ms, and less than cool_down, which is 1s; allowed is as much or more".to_owned()),
        ("migration.carry = \"tcp\"", "migration.carry = \"tcp\": allowed is \"iroh\", \"grpc\" or \"both\"".to_owned()),
        ("migration.services.\"a.B\".prefer = \"tcp\"", "migration.services.\"a.B\".prefer = \"tcp\": allowed is \"iroh\", \"grpc\" or \"adaptive\"".to_owned()),
        ("migration.services.\"a.B\" = \"grpc\"", "migration.services.\"a.B\" = \"grpc\": allowed is a section, [migration.services.\"a.B\"]".to_owned()),
        ("migration.services.\"a.B\".cary = \"grpc\"", "migration.services.\"a.B\".cary = \"grpc\": there is no such key; allowed are prefer, carry".to_owned()),
        ("[duel]", "[duel]: there is no such key; allowed are mode, reflection, shutdown_grace, iroh, grpc, migration, dual".to_owned()),
    ] {
        let mode = if line.starts_with("mode") { "" } else { "mode = \"dual\"" };
        let source = format!("{mode}\ngrpc.listen = \"0.0.0.0:0\"\n\n{line}\n");
        wrong(&source, &[], &[&format!("line:4: {says}")]);
    }
}

#[test]
fn what_contradicts_itself_is_a_mistake() {
    wrong(
        "mode = \"iroh\"\n[migration.services.\"a.B\"]\ncarry = \"grpc\"\nprefer = \"iroh\"",
        &[],
        &[
            "line:2: migration.services.\"a.B\".prefer: with carry = \"grpc\" there is nothing to prefer: leave it out, or let both carry it",
        ],
    );
}

#[test]
fn what_is_needed_is_missed() {
    wrong(
        "",
        &[],
        &["mode: it is needed and not there; allowed is \"grpc\", \"iroh\" or \"dual\""],
    );
    for mode in ["grpc", "dual"] {
        wrong(
            &format!("mode = {mode:?}"),
            &[],
            &[
                "grpc.listen: it is needed and not there; allowed is an IP address and a port, such as \"0.0.0.0:50051\" or \"[::]:0\"",
            ],
        );
    }
}

#[test]
fn mistakes_of_the_environment_name_the_variable() {
    let file = "mode = \"iroh\"";
    for (name, value, says) in [
        (
            "DEMO_MODE",
            "x",
            "DEMO_MODE: mode = \"x\": allowed is \"grpc\", \"iroh\" or \"dual\"",
        ),
        (
            "DEMO_MOD",
            "x",
            "DEMO_MOD: mod = \"x\": there is no such key; allowed are mode, reflection, shutdown_grace, iroh, grpc, migration, dual",
        ),
        (
            "DEMO_DUAL",
            "x",
            "DEMO_DUAL: dual = \"x\": allowed is a section, [dual]",
        ),
        (
            "DEMO_MODE__X",
            "x",
            "DEMO_MODE__X: mode.x: there is nothing within a setting",
        ),
        (
            "DEMO_",
            "x",
            "DEMO_: \"\" = \"x\": there is no such key; allowed are mode, reflection, shutdown_grace, iroh, grpc, migration, dual",
        ),
    ] {
        wrong(file, &[(name, value)], &[says]);
    }
    wrong(
        "mode = \"iroh\"\n[dual]\nsilence = \"1s\"",
        &[("DEMO_DUAL", "x")],
        &["DEMO_DUAL: dual: that is a section, and a variable is for one setting in it"],
    );
}

#[test]
fn all_mistakes_are_said_at_once() {
    let error = parse(
        "mode = 1\n[dual]\nsilence = 2\nx = 3\n[y]\n",
        &[("DEMO_Z", "4")],
    );
    let error = error.unwrap_err().to_string();
    let begin: Vec<&str> = error
        .lines()
        .map(|line| line.split(" = ").next().unwrap())
        .collect();
    assert_eq!(
        begin,
        [
            "line:1: mode",
            "line:3: dual.silence",
            "line:4: dual.x",
            "line:5: [y]: there is no such key; allowed are mode, reflection, shutdown_grace, iroh, grpc, migration, dual",
            "DEMO_Z: z",
        ]
    );
}

#[test]
fn what_is_no_toml_is_said_where() {
    let error = parse("mode = \"dual\"\n\nmode = \"iroh\"\n", &[]).unwrap_err();
    assert!(
        error.to_string().starts_with("line:3: this is not TOML: "),
        "{error}"
    );
    let error = parse("mode =\n", &[]).unwrap_err();
    assert!(
        error.to_string().starts_with("line:1: this is not TOML: "),
        "{error}"
    );
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = RunnerConfig::load(Some("/nowhere/runner.toml".as_ref()), "NO_SUCH_PREFIX");
    let error = error.unwrap_err().to_string();
    assert!(
        error.starts_with("/nowhere/runner.toml: it cannot be read: "),
        "{error}"
    );
}

#[test]
fn a_file_may_say_other_things_too() {
    let path = std::env::temp_dir().join(format!("blixard-beside-{}.toml", std::process::id()));
    std::fs::write(&path, "mode = \"iroh\"\n[node]\nid = 1\n[vm]\n").unwrap();
    let load = |own| RunnerConfig::load_beside(Some(&path), "NO_SUCH_PREFIX", own);
    let (both, one) = (load(&["node", "vm"]), load(&["node"]));
    std::fs::remove_file(&path).unwrap();
    assert_eq!(both.unwrap().mode, Mode::Iroh);
    let error = one.unwrap_err().to_string();
    assert!(error.contains(":4: [vm]: there is no such key"), "{error}");
}
