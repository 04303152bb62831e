//! `buf curl`, which knows of a server what its reflection says.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use blixard_tests::tools::find;

use super::program::Server;

struct Curl {
    buf: PathBuf,
    server: Server,
}

impl Curl {
    async fn start() -> Option<Self> {
        let buf = find("BUF", "node/node_modules/.bin/buf")?;
        let server = Server::start().await;
        Some(Self { buf, server })
    }

    /// Calls `path`, with these messages as JSON.
    fn run(&self, arguments: &[&str], path: &str, messages: &str) -> Output {
        let mut command = Command::new(&self.buf);
        command
            .args(["curl", "--protocol", "grpc", "--http2-prior-knowledge"])
            .args(arguments)
            .arg(format!("http://{}{path}", self.server.address));
        // Where there is no message, it is not to wait for one.
        if !messages.is_empty() {
            command.args(["--data", "@-"]);
        }
        let mut child = command
            .current_dir(Path::new("/"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
        let mut input = child.stdin.take().unwrap();
        input.write_all(messages.as_bytes()).unwrap();
        drop(input);
        child.wait_with_output().unwrap()
    }

    #[track_caller]
    fn answers(&self, arguments: &[&str], path: &str, messages: &str, expected: &str) {
        let output = self.run(arguments, path, messages);
        let said = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{path}: {said}{errors}");
        // It is free to space its JSON as it likes.
        let plain = |text: &str| text.split_whitespace().collect::<String>();
        assert_eq!(plain(&said), plain(expected), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn buf_curl_calls_by_reflection() {
    let Some(curl) = Curl::start().await else {
        return;
    };
    let check = move || {
        let service = "/foreign.v1.Probe";
        for protocol in ["grpc-v1", "grpc-v1alpha"] {
            let arguments = ["--reflect-protocol", protocol];
            curl.answers(
                &arguments,
                &format!("{service}/Greet"),
                r#"{"name": "Ada", "mood": "MOOD_KIND", "seal": "AP8="}"#,
                r#"{"text": "Hello, Ada!", "mood": "MOOD_KIND", "within": "1.500s", "counts": {"Ada": 1},
                    "sign": {"seal": {"wax": "AP8="}}}"#,
            );
        }
        curl.answers(
            &[],
            &format!("{service}/Count"),
            r#"{"from": 2}"#,
            r#"{"value": 2} {"value": 1} {}"#,
        );
        curl.answers(
            &[],
            &format!("{service}/Sum"),
            r#"{"value": 1} {"value": 2} {"value": -5}"#,
            r#"{"value": "-2"}"#,
        );
        curl.answers(
            &[],
            &format!("{service}/Talk"),
            r#"{"value": "one"} {"value": "two"}"#,
            r#"{"value": "one"} {"value": "two"}"#,
        );
        curl.answers(
            &["--header", "x-text: plain"],
            &format!("{service}/See"),
            "{}",
            r#"{"texts": {"x-text": "plain"}}"#,
        );
        curl.answers(
            &["--list-methods"],
            "",
            "",
            "foreign.v1.Probe/Cancelled foreign.v1.Probe/Count foreign.v1.Probe/Drip foreign.v1.Probe/Fail foreign.v1.Probe/Greet \
             foreign.v1.Probe/Hang foreign.v1.Probe/Open foreign.v1.Probe/See foreign.v1.Probe/Sum foreign.v1.Probe/Talk \
             grpc.health.v1.Health/Check grpc.health.v1.Health/List grpc.health.v1.Health/Watch \
             grpc.reflection.v1.ServerReflection/ServerReflectionInfo \
             grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        );
        // It shows details as they came.
        let failed = curl.run(&[], &format!("{service}/Open"), r#"{"keys": 1}"#);
        let said = String::from_utf8_lossy(&failed.stderr);
        for part in [
            "failed_precondition",
            "2 keys are missing",
            "foreign.v1.DoorErrorDetail",
            "CgIIAg",
        ] {
            assert!(said.contains(part), "`{part}` is not in {said}");
        }
        assert!(!failed.status.success());
    };
    tokio::task::spawn_blocking(check).await.unwrap();
}
