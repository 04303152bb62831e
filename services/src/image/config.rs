//! [`ImageConfig`]: where images are, how much they may take, and who may fetch them.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

#[cfg(feature = "auth")]
use blixard_rpc::{Peer, method::MethodDescriptor};

use super::valid::Word;
#[cfg(feature = "auth")]
use crate::auth::Access;

/// Where images are, how much they may take, and who may fetch them.
#[derive(Clone)]
pub struct ImageConfig {
    /// Where the records are, and what was fetched.
    pub folder: PathBuf,
    /// Below this are all files that may be shared.
    pub images: PathBuf,
    /// What images may take that were fetched; beyond it those go that were used the longest ago. 64 GiB.
    pub max_cached_bytes: u64,
    /// What is to be left free on the disk. 1 GiB.
    pub keep_free_bytes: u64,
    pub(super) may: Option<May>,
    pub(super) users: Users,
}

pub(super) type May = Arc<dyn Fn(&Word) -> bool + Send + Sync>;
/// What uses images, by hash; `None` as long as that is not known.
pub(super) type Users = Arc<dyn Fn() -> Option<Vec<(String, String)>> + Send + Sync>;

impl ImageConfig {
    /// Records and what is fetched in a folder `cache` below this one, and what may be shared in `images`, where machines have theirs.
    ///
    /// Nobody may fetch anything but those whom an image names as its readers, until [`readers`](Self::readers) or
    /// [`access`](Self::access) says who.
    pub fn new(data: impl AsRef<Path>) -> Self {
        Self {
            folder: data.as_ref().join("cache"),
            images: data.as_ref().join("images"),
            max_cached_bytes: 64 << 30,
            keep_free_bytes: 1 << 30,
            may: None,
            users: Arc::new(|| Some(Vec::new())),
        }
    }

    /// Nodes with these keys may fetch images. Of an image that has readers, only those of them that are among its readers.
    #[must_use]
    pub fn readers(mut self, may: impl Fn(&[u8; 32]) -> bool + Send + Sync + 'static) -> Self {
        self.may = Some(Arc::new(may));
        self
    }

    /// Nodes may fetch images whose key has the role for it: the one that `Locate` needs, which is [`Role::Node`](crate::auth::Role).
    #[cfg(feature = "auth")]
    #[must_use]
    pub fn access(self, access: &Access) -> Self {
        let access = access.clone();
        let locate: Option<&MethodDescriptor> = super::api::ImagesService::descriptor()
            .methods
            .iter()
            .find(|method| method.path.ends_with("/Locate"));
        let path = locate.map_or("", |method| method.path);
        self.readers(move |key| access.check(&Peer::Key(*key), path).is_ok())
    }

    /// What uses images is asked here whenever one could go: pairs of a hash and of who uses it. `None` as long as it is not known: then
    /// none goes.
    #[must_use]
    pub fn users(
        mut self,
        users: impl Fn() -> Option<Vec<(String, String)>> + Send + Sync + 'static,
    ) -> Self {
        self.users = Arc::new(users);
        self
    }
}

impl fmt::Debug for ImageConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImageConfig")
            .field("folder", &self.folder)
            .field("images", &self.images)
            .field("max_cached_bytes", &self.max_cached_bytes)
            .field("keep_free_bytes", &self.keep_free_bytes)
            .finish_non_exhaustive()
    }
}
