//! From a folder to the two stores of a member.

use std::{fs, io, path::Path};

use redb::{Database, backends::InMemoryBackend};

use super::{
    log_store::LogStore,
    machine::{Machine, Types},
    state::broken,
    state_store::StateStore,
};

/// When the log is on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Before it is acknowledged: what a member promised survives a loss of power. Anything else breaks what Raft promises.
    #[default]
    Fsync,
    /// Some time. A member that crashes forgets what it promised: for measurements.
    Lazy,
    /// Never; snapshots alone are files. For measurements.
    Memory,
}

/// How a member stores things.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreOptions {
    /// When the log is on the disk.
    pub durability: Durability,
    /// What each of the two files may keep in memory.
    pub cache_bytes: usize,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            durability: Durability::default(),
            cache_bytes: 64 * 1024 * 1024,
        }
    }
}

impl StoreOptions {
    /// The same with another durability.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }
}

/// Opens the log and the state of a member, in a folder of its own; makes them if there are none.
///
/// In the folder are `log.redb`, `state.redb` and `snapshots/`. A crash at any moment leaves what can be opened again.
///
/// # Errors
///
/// If a file cannot be opened: it is damaged, or another process has it open.
pub fn open<M: Machine>(
    folder: impl AsRef<Path>,
    machine: M,
    options: &StoreOptions,
) -> io::Result<(LogStore<Types<M>>, StateStore<M>)> {
    let folder = folder.as_ref();
    fs::create_dir_all(folder)?;
    let database = |name: &str| -> io::Result<Database> {
        let mut builder = Database::builder();
        builder.set_cache_size(options.cache_bytes);
        if options.durability == Durability::Memory {
            return builder
                .create_with_backend(InMemoryBackend::new())
                .map_err(broken);
        }
        let path = folder.join(name);
        builder.create(&path).map_err(|error| {
            io::Error::other(format!("{} cannot be opened: {error}", path.display()))
        })
    };
    let log = LogStore::new(
        database("log.redb")?,
        options.durability == Durability::Fsync,
    )?;
    let state = StateStore::new(database("state.redb")?, folder.join("snapshots"), machine)?;
    Ok((log, state))
}

#[cfg(test)]
mod tests {
    use std::{
        path::PathBuf,
        sync::atomic::{AtomicU32, Ordering},
    };

    use openraft::{
        StorageError,
        testing::log::{StoreBuilder, Suite},
    };

    use super::*;
    use crate::openraft::State;

    /// Keeps nothing: the suite looks at the engine's side.
    struct Nothing;

    impl Machine for Nothing {
        type Command = String;
        type Answer = ();

        fn apply(&self, _: &mut State<'_>, _: String) -> io::Result<()> {
            Ok(())
        }
    }

    struct Folder(PathBuf);

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    struct Builder(Durability);

    impl StoreBuilder<Types<Nothing>, LogStore<Types<Nothing>>, StateStore<Nothing>, Folder>
        for Builder
    {
        async fn build(
            &self,
        ) -> Result<
            (Folder, LogStore<Types<Nothing>>, StateStore<Nothing>),
            StorageError<Types<Nothing>>,
        > {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let next = NEXT.fetch_add(1, Ordering::Relaxed);
            let folder =
                std::env::temp_dir().join(format!("blixard-store-{}-{next}", std::process::id()));
            let (log, state) = open(
                &folder,
                Nothing,
                &StoreOptions::default().durability(self.0),
            )
            .unwrap();
            Ok((Folder(folder), log, state))
        }
    }

    #[tokio::test]
    async fn openraft_is_content_with_files() {
        Suite::test_all(Builder(Durability::Fsync)).await.unwrap();
    }

    #[tokio::test]
    async fn openraft_is_content_with_memory() {
        Suite::test_all(Builder(Durability::Memory)).await.unwrap();
    }

    #[test]
    fn a_folder_has_one_owner() {
        let folder =
            Folder(std::env::temp_dir().join(format!("blixard-owner-{}", std::process::id())));
        let first = open(&folder.0, Nothing, &StoreOptions::default()).unwrap();
        let error = open(&folder.0, Nothing, &StoreOptions::default()).unwrap_err();
        assert!(
            error.to_string().contains("log.redb cannot be opened"),
            "{error}"
        );
        // Closed when it is dropped, and not some time later.
        drop(first);
        open(&folder.0, Nothing, &StoreOptions::default()).unwrap();
    }
}
