//! Every example runs to its end and says what its page promises; the quickstart also over two processes.
//!
//! Cargo builds the examples beside the tests of their package: `cargo test -p blixard-examples`.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

#[test]
fn quickstart() {
    check(
        "quickstart",
        &[
            "unary:            Greeting { text: \"Good day, Ada!\", letters: 3 }",
            "server streaming: [5, 4, 3, 2, 1, 0]",
            "client streaming: 5050",
            "bidirectional:    [\"over\", \"and\", \"out\"]",
            "one-way:          the server notes \"no answer is needed\"",
        ],
    );
}

#[test]
fn streaming() {
    check("streaming", &["22.0 °C", "Some(68.0) °F"]);
}

#[test]
fn deadlines_and_cancel() {
    check(
        "deadlines_and_cancel",
        &[
            "in time:            worked for 20 ms",
            "too late:           DEADLINE_EXCEEDED",
            "by the trait:       DEADLINE_EXCEEDED",
            "inherited:          DEADLINE_EXCEEDED",
            "work was stopped after",
            "ticks was stopped after",
        ],
    );
}

#[test]
fn middleware() {
    check(
        "middleware",
        &[
            "PERMISSION_DENIED: /middleware.v1.Vault/Open needs the token",
            "open at try 3",
            "method=\"Open\",code=\"UNAVAILABLE\"} 2",
        ],
    );
}

#[test]
fn errors() {
    check(
        "errors",
        &[
            "70 are left",
            "bring 930 more, then again",
            "there is no account Bob",
            "FAILED_PRECONDITION \"5 are missing\"",
            "UNAVAILABLE: ",
            "safe to send again: true",
        ],
    );
}

#[test]
fn protocol() {
    check(
        "protocol",
        &[
            "-> Ping",
            "-> Request",
            "Path(\"/protocol.v1.Greeter/Greet\")",
            "<- Pong",
            "<- Response",
            "\"Hello, Ada!\"",
        ],
    );
}

#[cfg(feature = "grpc")]
#[test]
fn migration() {
    check(
        "migration",
        &[
            // While gRPC alone carries it, and while iroh does.
            "        0 over iroh     0 errors",
            "        0 calls over gRPC",
            "and 0 failed",
        ],
    );
}

#[cfg(feature = "image")]
#[test]
fn image_share() {
    check(
        "image_share",
        &[
            "two nodes share an image of 192 MiB",
            "node two has it, and says it is ",
            "node one is killed",
            "it is here, every byte verified: 201326592 bytes",
            "changed = false",
        ],
    );
}

/// Where QEMU is missing it says so, and ends well all the same.
#[cfg(feature = "vm")]
#[test]
fn vm() {
    let output = run(&mut example("vm"));
    let expected: &[&str] = if output.contains("install QEMU") {
        assert!(std::env::var_os("CI").is_none(), "{output}");
        &["there is no qemu-system-x86_64"]
    } else {
        &[
            "READY",
            "the guest answers: PONG",
            "Running -> Paused",
            "Stopping -> Stopped",
            "demo is gone",
        ]
    };
    for line in expected {
        assert!(
            output.contains(line),
            "vm did not print {line:?}, but:\n{output}"
        );
    }
}

#[test]
fn quickstart_over_two_processes() {
    let mut server = Killed(
        example("quickstart")
            .arg("serve")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts"),
    );
    let mut ticket = String::new();
    BufReader::new(server.0.stdout.take().expect("it is piped"))
        .read_line(&mut ticket)
        .expect("the server prints its ticket");
    let ticket = ticket.trim();
    assert!(ticket.starts_with("endpoint"), "not a ticket: {ticket:?}");
    for name in ["Ada", "Grace"] {
        let output = run(example("quickstart").args(["call", ticket, name]));
        assert_eq!(output.trim(), format!("Hi, {name}!"));
    }
}

/// Runs an example, and looks for what it must print.
#[cfg(feature = "grpc")]
#[test]
fn grpc_bridge() {
    check(
        "grpc_bridge",
        &[
            "rpc Forecast(WeatherForecastRequest) returns (stream Report);",
            "over iroh: sunny in Berlin, 3 days to come",
            "over gRPC: sunny in Berlin, 3 days to come",
            "stock gRPC: day 2 in Berlin: sunny, 23 °C",
        ],
    );
}

fn check(name: &str, expected: &[&str]) {
    let output = run(&mut example(name));
    for line in expected {
        assert!(
            output.contains(line),
            "{name} did not print {line:?}, but:\n{output}"
        );
    }
}

/// Runs a command to its good end; answers what it printed.
fn run(command: &mut Command) -> String {
    let output = command.output().expect("the example can be run");
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?} ended with {}\n{stdout}\n{stderr}",
        output.status
    );
    stdout
}

/// The built example, which lies beside this test.
fn example(name: &str) -> Command {
    let mut path: PathBuf = std::env::current_exe().expect("a test is a file");
    path.pop();
    path.pop();
    path.push("examples");
    path.push(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(
        path.is_file(),
        "{} is not built: run `cargo test -p blixard-examples`, or `cargo build --examples` first",
        path.display()
    );
    Command::new(path)
}

/// A process that does not outlive its test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
