//! A page in a browser calls us by gRPC-Web, from another origin than ours.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::Request,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::post,
};
use blixard_rpc::transport::grpc::Origins;
use blixard_tests::tools::find;
use tokio::{net::TcpListener, sync::oneshot, time::timeout};

use super::program::{Program, Schema, Server};

/// How long a browser may take to start, on a machine that does other things as well.
const STARTED: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_page_in_a_browser_calls_us() {
    let Some(browser) = find("CHROMIUM", "/usr/bin/chromium") else {
        return;
    };
    let Some(packages) = find("NODE_PACKAGES", "node") else {
        return;
    };
    let schema = Schema::write("web");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let server = Server::for_pages_of(Origins::only([origin.clone()])).await;
    let (say, said) = oneshot::channel();
    let pages = pages(packages.join("node_modules"), schema.set(), say);
    tokio::spawn(async move { axum::serve(listener, pages).await });

    let profile = env::temp_dir().join(format!("blixard-browser-{}", std::process::id()));
    let mut command = Command::new(browser);
    command
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"])
        // A small /dev/shm, as in containers, is not enough for it.
        .arg("--disable-dev-shm-usage")
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("{origin}/#http://{}", server.address))
        .stderr(std::process::Stdio::null());
    let (browser, _output) = Program::start(&mut command);
    let said = timeout(STARTED, said).await;
    drop(browser);
    let _ = fs::remove_dir_all(profile);
    assert_eq!(
        said.expect("the page says something")
            .unwrap()
            .lines()
            .collect::<Vec<_>>(),
        [
            "ok unary",
            "ok server_streaming",
            "ok metadata",
            "ok deadline",
            "ok cancellation",
            "ok status",
            "ok details"
        ]
    );
}

/// The page, what it needs, and where it says what it found.
fn pages(packages: PathBuf, set: PathBuf, say: oneshot::Sender<String>) -> Router {
    let say = Arc::new(Mutex::new(Some(say)));
    let said = move |body: Bytes| {
        let text = String::from_utf8_lossy(&body).into_owned();
        if let Some(say) = say.lock().unwrap().take() {
            // The test may have given up.
            let _ = say.send(text);
        }
        std::future::ready(())
    };
    let file = move |request: Request| {
        let path = request.uri().path();
        let web = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/foreign/web"));
        let file = match path {
            "/" => web.join("page.html"),
            "/set.bin" => set.clone(),
            path => match path.strip_prefix("/packages/") {
                Some(package) => packages.join(package),
                None => web.join(path.trim_start_matches('/')),
            },
        };
        std::future::ready(read(&file))
    };
    Router::new().route("/said", post(said)).fallback(file)
}

fn read(file: &Path) -> Response {
    let kind = match file.extension().and_then(|it| it.to_str()) {
        Some("html") => "text/html",
        Some("js") => "text/javascript",
        _ => "application/octet-stream",
    };
    match fs::read(file) {
        Ok(bytes) => ([(CONTENT_TYPE, kind)], bytes).into_response(),
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}
