//! A folder of `.proto` files beside the services that they describe: whether they agree, and who breaks if they do not.

use std::{
    error::Error as StdError,
    fmt, fs, io,
    path::{Path, PathBuf},
};

use blixard_rpc::method::{ServiceDescriptor, file_descriptor_set, proto_files};
use prost_types::FileDescriptorSet;
use protox::{
    Compiler,
    file::{ChainFileResolver, DescriptorSetFileResolver, GoogleFileResolver, IncludeFileResolver},
};

use crate::{
    compare::{Break, Whom, compare_files},
    diff::diff,
};

/// A folder of `.proto` files, compared with the services that they describe.
#[derive(Debug)]
pub struct Golden {
    folder: PathBuf,
    files: Vec<File>,
    breaks: Vec<Break>,
}

/// A file of the folder, or one that should be there.
#[derive(Debug)]
struct File {
    /// Such as `demo/v1/demo.proto`.
    name: String,
    /// What is there.
    old: Option<String>,
    /// What should be.
    new: Option<String>,
}

impl Golden {
    /// Compares the `.proto` files in a folder with the services that they describe. The folder holds nothing else.
    ///
    /// # Errors
    /// The services have no schema, or a file cannot be read or is no `.proto`.
    pub fn compare(
        folder: impl Into<PathBuf>,
        services: &[&ServiceDescriptor],
    ) -> Result<Self, Error> {
        let folder = folder.into();
        let set = file_descriptor_set(services).map_err(|error| Error::new("", error))?;
        let texts = proto_files(services).map_err(|error| Error::new("", error))?;
        let mut files: Vec<_> = texts
            .into_iter()
            .map(|(name, text)| File {
                name,
                old: None,
                new: Some(text),
            })
            .collect();
        for name in protos(&folder, Path::new(""))? {
            let path = folder.join(&name);
            let text = fs::read_to_string(&path).map_err(|error| Error::at(&path, error))?;
            match files.iter_mut().find(|file| file.name == name) {
                Some(file) => file.old = Some(text),
                // An existing file that declares a service: it is not ours to compare, but may be imported.
                None if set.file.iter().any(|file| file.name() == name) => {}
                None => files.push(File {
                    name,
                    old: Some(text),
                    new: None,
                }),
            }
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        let golden = Self {
            breaks: Vec::new(),
            folder,
            files,
        };
        if golden.is_current() {
            return Ok(golden);
        }
        let old = golden.old(&set)?;
        // What others declare is only looked up, however much of it is imported.
        let ours = |name: &str| golden.files.iter().any(|file| file.name == name);
        let breaks = compare_files(&old, &set, ours);
        Ok(Self { breaks, ..golden })
    }

    /// Whether the folder is as it should be.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.files.iter().all(|file| file.old == file.new)
    }

    /// What breaks whom, the worst first.
    #[must_use]
    pub fn breaks(&self) -> &[Break] {
        &self.breaks
    }

    /// Writes the files anew, and removes those that nothing is described by any more.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write(&self) -> Result<(), Error> {
        for file in self.files.iter().filter(|file| file.old != file.new) {
            let path = self.folder.join(&file.name);
            let written = match &file.new {
                None => fs::remove_file(&path),
                Some(text) => path
                    .parent()
                    .map_or(Ok(()), fs::create_dir_all)
                    .and_then(|()| fs::write(&path, text)),
            };
            written.map_err(|error| Error::at(&path, error))?;
        }
        Ok(())
    }

    /// The names of the files that are not as they should be.
    pub fn changed(&self) -> impl Iterator<Item = &str> {
        self.files
            .iter()
            .filter(|file| file.old != file.new)
            .map(|file| file.name.as_str())
    }

    /// The schema that is checked in.
    fn old(&self, new: &FileDescriptorSet) -> Result<FileDescriptorSet, Error> {
        let mut resolver = ChainFileResolver::new();
        resolver.add(IncludeFileResolver::new(self.folder.clone()));
        // Existing files that are imported.
        resolver.add(DescriptorSetFileResolver::new(new.clone()));
        resolver.add(GoogleFileResolver::new());
        let mut compiler = Compiler::with_file_resolver(resolver);
        compiler.include_imports(true);
        for file in self.files.iter().filter(|file| file.old.is_some()) {
            let path = self.folder.join(&file.name);
            compiler
                .open_file(&file.name)
                .map_err(|error| Error::at(&path, error))?;
        }
        Ok(compiler.file_descriptor_set())
    }
}

/// What was changed, and whom it breaks.
impl fmt::Display for Golden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for file in self.files.iter().filter(|file| file.old != file.new) {
            let path = self.folder.join(&file.name);
            let path = path.display();
            match (&file.old, &file.new) {
                (None, _) => writeln!(f, "{path} is not there yet.")?,
                (_, None) => writeln!(f, "{path} describes no service that is there.")?,
                (Some(old), Some(new)) => {
                    write!(
                        f,
                        "{path} is not what the services are:\n{}",
                        diff(old, new)
                    )?;
                }
            }
            writeln!(f)?;
        }
        if self.breaks.is_empty() {
            return Ok(());
        }
        for whom in Whom::ALL {
            let mut found = self
                .breaks
                .iter()
                .filter(|found| found.whom == whom)
                .peekable();
            if found.peek().is_some() {
                writeln!(f, "This breaks {whom}:")?;
            }
            for found in found {
                writeln!(f, "  - {}", found.to_string().replace('\n', "\n  "))?;
            }
        }
        Ok(())
    }
}

/// The `.proto` files in a folder and below, by their names from the first.
fn protos(folder: &Path, below: &Path) -> Result<Vec<String>, Error> {
    let path = folder.join(below);
    let entries = match fs::read_dir(&path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::at(&path, error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| Error::at(&path, error))?;
        let name = below.join(entry.file_name());
        let kind = entry.file_type().map_err(|error| Error::at(&path, error))?;
        if kind.is_dir() {
            found.extend(protos(folder, &name)?);
        } else if name.extension().is_some_and(|it| it == "proto") {
            found.push(name.to_string_lossy().replace('\\', "/"));
        }
    }
    Ok(found)
}

/// Why services and files cannot be compared.
#[derive(Debug)]
pub struct Error {
    place: String,
    source: Box<dyn StdError + Send + Sync>,
}

impl Error {
    fn new(place: impl Into<String>, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self {
            place: place.into(),
            source: source.into(),
        }
    }

    fn at(path: &Path, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(format!("{}: ", path.display()), source)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.place, self.source)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.source)
    }
}
