//! A program in another language, and what it is given.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use blixard_rpc::{
    Router,
    method::{ServiceDescriptor, file_descriptor_set},
    transport::grpc::{GrpcHandle, GrpcServer, Origins},
};
use blixard_services::health::{HealthService, Reporter};
use prost::Message as _;

use super::service::{ProbeService, Real};

/// The services that a server here has.
pub(super) fn services() -> [&'static ServiceDescriptor; 2] {
    [ProbeService::descriptor(), HealthService::descriptor()]
}

/// Our server, with health.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    _reporter: Reporter,
    _handle: GrpcHandle,
}

impl Server {
    pub(super) async fn start() -> Self {
        Self::for_pages_of(Origins::only([""; 0])).await
    }

    /// The same, which browsers may call from pages of these origins.
    pub(super) async fn for_pages_of(origins: Origins) -> Self {
        let reporter = Reporter::new();
        reporter.set_serving(ProbeService::descriptor().name);
        let router: Router = Real::default().router().add(reporter.server());
        let server = GrpcServer::new(router).reflection().unwrap();
        let handle = server.web(origins).bind("127.0.0.1:0").await.unwrap();
        Self {
            address: handle.local_addr().unwrap(),
            _reporter: reporter,
            _handle: handle,
        }
    }
}

/// The schema in a folder, as text and as a descriptor set, until this is dropped.
pub(super) struct Schema(PathBuf);

impl Schema {
    pub(super) fn write(name: &str) -> Self {
        let folder = env::temp_dir().join(format!("blixard-foreign-{name}-{}", std::process::id()));
        let golden = blixard_rpc_schema::Golden::compare(&folder, &services()).unwrap();
        golden.write().unwrap();
        let set = file_descriptor_set(&services()).unwrap().encode_to_vec();
        fs::write(folder.join("set.bin"), set).unwrap();
        Self(folder)
    }

    /// The folder of the `.proto` files.
    pub(super) fn folder(&self) -> &Path {
        &self.0
    }

    /// The descriptor set.
    pub(super) fn set(&self) -> PathBuf {
        self.0.join("set.bin")
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A program that runs, and is killed when this is dropped.
pub(super) struct Program(Child);

impl Program {
    pub(super) fn start(command: &mut Command) -> (Self, BufReader<std::process::ChildStdout>) {
        let child = command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
        let output = BufReader::new(child.stdout.take().unwrap());
        (Self(child), output)
    }

    /// A server: the first line that it prints is its port.
    pub(super) fn serving(command: &mut Command) -> (Self, SocketAddr) {
        let (program, mut output) = Self::start(command);
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let port: u16 = line
            .trim()
            .parse()
            .unwrap_or_else(|_| panic!("{command:?} says {line:?} and no port"));
        (program, ([127, 0, 0, 1], port).into())
    }

    /// A client: it prints `ok` and a name for each of these checks, and ends well.
    pub(super) async fn checks(mut command: Command, expected: &[&str]) {
        let run = tokio::task::spawn_blocking(move || {
            let (mut program, output) = Self::start(&mut command);
            let said: Vec<String> = output.lines().map(|line| line.unwrap()).collect();
            (said, program.0.wait().unwrap())
        });
        let (said, status) = run.await.unwrap();
        let expected: Vec<String> = expected.iter().map(|name| format!("ok {name}")).collect();
        assert_eq!(said, expected);
        assert!(status.success(), "{status}");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
