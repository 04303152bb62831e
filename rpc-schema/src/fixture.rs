//! A service in three versions, and a folder to keep its schema in.

use std::{
    env, fs,
    ops::Deref,
    path::{Path, PathBuf},
};

use blixard_rpc::{Result, iroh_service, method::ServiceDescriptor};

pub(crate) fn first() -> &'static ServiceDescriptor {
    /// Greets.
    #[iroh_service(package = "demo.v1")]
    trait Greeter {
        async fn greet(&self, name: String) -> Result<u64>;
    }
    GreeterService::descriptor()
}

/// With an argument and a method more.
pub(crate) fn compatible() -> &'static ServiceDescriptor {
    /// Greets.
    #[iroh_service(package = "demo.v1")]
    trait Greeter {
        async fn greet(&self, name: String, polite: bool) -> Result<u64>;
        async fn leave(&self) -> Result<()>;
    }
    GreeterService::descriptor()
}

/// With another argument.
pub(crate) fn breaking() -> &'static ServiceDescriptor {
    /// Greets.
    #[iroh_service(package = "demo.v1")]
    trait Greeter {
        async fn greet(&self, polite: bool) -> Result<u64>;
    }
    GreeterService::descriptor()
}

/// A folder that is gone when this is dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("blixard-schema-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// The text of the schema, if it was written.
    pub(crate) fn text(&self) -> Option<String> {
        fs::read_to_string(self.file()).ok()
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.join("demo/v1/demo.proto")
    }
}

impl Deref for Folder {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
