//! [`main`]: the schema of services, as a command.

use std::{env, fs, io, process::ExitCode};

use blixard_rpc::method::{ServiceDescriptor, file_descriptor_set, proto_files};
use prost::Message as _;

use crate::golden::Golden;

/// A whole program that prints, writes and checks the schemas of services. All that it needs is which:
///
/// ```no_run
/// # use blixard_rpc::{Result, iroh_service};
/// # #[iroh_service(package = "demo.v1")]
/// # trait Greeter { async fn greet(&self, name: String) -> Result<String>; }
/// fn main() -> std::process::ExitCode {
///     blixard_rpc_schema::main(&[GreeterService::descriptor()])
/// }
/// ```
///
/// | command | what it does |
/// |---|---|
/// | `print` | prints the `.proto` files; so does no command at all |
/// | `check FOLDER` | says what of the services is not as in the folder, and whom that breaks |
/// | `write FOLDER` | writes the files, if that breaks nobody; in any case with `--breaking` |
/// | `set FILE` | writes the descriptor set, for `grpcurl -protoset` and `buf curl --schema`; `-` is the standard output |
///
/// It exits with 0 if all is well, with 1 if not, and with 2 if the command is none of these.
#[must_use]
pub fn main(services: &[&ServiceDescriptor]) -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(services, &arguments, &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage) => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
        Err(Failure::Failed(message)) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

enum Failure {
    Usage,
    Failed(String),
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Failed(error.to_string())
    }
}

fn run(
    services: &[&ServiceDescriptor],
    arguments: &[&str],
    out: &mut impl io::Write,
) -> Result<(), Failure> {
    match arguments {
        [] | ["print"] => {
            for (at, (name, text)) in proto_files(services)?.into_iter().enumerate() {
                let apart = if at > 0 { "\n" } else { "" };
                write!(out, "{apart}// {name}\n{text}")?;
            }
        }
        ["check", folder] => {
            let golden = Golden::compare(*folder, services)?;
            if !golden.is_current() {
                let whom = if golden.breaks().is_empty() {
                    "Nobody breaks: `write` accepts it."
                } else {
                    "`write --breaking` accepts it."
                };
                return Err(Failure::Failed(format!("{golden}{whom}")));
            }
            writeln!(out, "{folder} is what the services are")?;
        }
        ["write", folder] => write_files(services, folder, false, out)?,
        ["write", "--breaking", folder] | ["write", folder, "--breaking"] => {
            write_files(services, folder, true, out)?;
        }
        ["set", file] => {
            let set = file_descriptor_set(services)?.encode_to_vec();
            if *file == "-" {
                out.write_all(&set)?;
            } else {
                fs::write(file, set)
                    .map_err(|error| Failure::Failed(format!("{file}: {error}")))?;
            }
        }
        _ => return Err(Failure::Usage),
    }
    Ok(())
}

fn write_files(
    services: &[&ServiceDescriptor],
    folder: &str,
    breaking: bool,
    out: &mut impl io::Write,
) -> Result<(), Failure> {
    let golden = Golden::compare(folder, services)?;
    if !breaking && !golden.breaks().is_empty() {
        return Err(Failure::Failed(format!(
            "{golden}Nothing was written: `write --breaking` does it."
        )));
    }
    golden.write()?;
    for name in golden.changed() {
        writeln!(out, "{folder}/{name}")?;
    }
    Ok(())
}

const USAGE: &str = "\
usage: print                      the .proto files, on the standard output
       check FOLDER               what of the services is not as in the folder, and whom that breaks
       write [--breaking] FOLDER  writes the .proto files, if that breaks nobody, or in any case
       set FILE                   writes the descriptor set; `-` is the standard output";

#[cfg(test)]
mod tests {
    use prost_types::FileDescriptorSet;

    use super::*;
    use crate::fixture::{Folder, breaking, compatible, first};

    /// What is written on the standard output, or said of the failure; `None` for a wrong use.
    fn run(service: &ServiceDescriptor, arguments: &[&str]) -> Option<Result<Vec<u8>, String>> {
        let mut out = Vec::new();
        match super::run(&[service], arguments, &mut out) {
            Ok(()) => Some(Ok(out)),
            Err(Failure::Failed(message)) => Some(Err(message)),
            Err(Failure::Usage) => None,
        }
    }

    #[track_caller]
    fn says(service: &ServiceDescriptor, arguments: &[&str], expected: Result<&str, &str>) {
        let said = run(service, arguments)
            .unwrap()
            .map(|out| String::from_utf8(out).unwrap());
        match (&said, expected) {
            (Ok(said), Ok(part)) | (Err(said), Err(part)) if said.contains(part) => {}
            _ => panic!("{said:?} and not {expected:?}"),
        }
    }

    #[test]
    fn files_are_printed_written_and_checked() {
        let folder = Folder::new("command");
        let path = folder.to_str().unwrap();
        let text = first().proto().unwrap();
        says(first(), &[], Ok(&format!("// demo/v1/demo.proto\n{text}")));
        says(first(), &["print"], Ok(&text));
        says(first(), &["check", path], Err("is not there yet"));
        says(first(), &["write", path], Ok("/demo/v1/demo.proto\n"));
        says(first(), &["check", path], Ok("is what the services are"));
        assert_eq!(run(first(), &["write", path]), Some(Ok(Vec::new())));
        says(compatible(), &["check", path], Err("Nobody breaks"));
        says(
            breaking(),
            &["check", path],
            Err("This breaks clients and servers that run now"),
        );
        says(breaking(), &["write", path], Err("Nothing was written"));
        assert_eq!(folder.text(), Some(text));
        says(breaking(), &["write", "--breaking", path], Ok("demo.proto"));
        assert_eq!(folder.text(), Some(breaking().proto().unwrap()));
    }

    #[test]
    fn the_set_is_written() {
        let folder = Folder::new("set");
        let file = folder.join("set.bin");
        says(first(), &["set", file.to_str().unwrap()], Ok(""));
        let printed = run(first(), &["set", "-"]).unwrap().unwrap();
        assert_eq!(printed, fs::read(file).unwrap());
        let set = FileDescriptorSet::decode(printed.as_slice()).unwrap();
        assert_eq!(set, file_descriptor_set(&[first()]).unwrap());
        let nowhere = folder.join("no/set.bin");
        says(
            first(),
            &["set", nowhere.to_str().unwrap()],
            Err("no/set.bin: "),
        );
    }

    #[test]
    fn a_wrong_use_is_told() {
        for arguments in [
            &["help"][..],
            &["check"],
            &["write", "a", "b"],
            &["set"],
            &["print", "a"],
        ] {
            assert_eq!(run(first(), arguments), None, "{arguments:?}");
        }
    }
}
