//! [`check`]: the test that keeps a schema what it was.

use std::{env, path::PathBuf};

use blixard_rpc::method::ServiceDescriptor;

use crate::golden::Golden;

/// Panics unless the `.proto` files in a folder are what the services are. Made for a test:
///
/// ```
/// # use blixard_rpc::{Result, iroh_service};
/// # #[iroh_service(package = "demo.v1")]
/// # trait Greeter { async fn greet(&self, name: String) -> Result<String>; }
/// #[test]
/// # fn never() {}
/// fn the_schema_is_what_was_agreed() {
///     blixard_rpc_schema::check(concat!(env!("CARGO_MANIFEST_DIR"), "/proto"), &[GreeterService::descriptor()]);
/// }
/// ```
///
/// The folder holds these files and no others, and is checked in. When a service was changed, the message says what of it breaks whom:
/// clients that run, whoever uses JSON, code of others that is generated anew. With `UPDATE_PROTO=1` in the environment the files are
/// written anew if nothing breaks, with `UPDATE_PROTO=breaking` in any case.
///
/// # Panics
/// The files are not what the services are.
#[allow(
    clippy::test_attr_in_doctest,
    reason = "it is what the reader is to write"
)]
#[track_caller]
pub fn check(folder: impl Into<PathBuf>, services: &[&ServiceDescriptor]) {
    let update = env::var(UPDATE).ok();
    if let Err(message) = judge(folder.into(), services, update.as_deref()) {
        panic!("\n{message}");
    }
}

/// What is wrong, and what to do about it.
fn judge(
    folder: PathBuf,
    services: &[&ServiceDescriptor],
    update: Option<&str>,
) -> Result<(), String> {
    let golden = Golden::compare(folder, services).map_err(|error| {
        format!("The schema cannot be compared with what is checked in.\n{error}")
    })?;
    let may = match update {
        None => golden.is_current(),
        Some("breaking") => true,
        Some("1") => golden.breaks().is_empty(),
        Some(other) => {
            return Err(format!(
                "{UPDATE} is `{other}`: `1` accepts what breaks nobody, `breaking` everything."
            ));
        }
    };
    if may {
        return golden.write().map_err(|error| error.to_string());
    }
    let advice = if golden.breaks().is_empty() {
        format!(
            "Nobody breaks: what is old and what is new understand each other. To accept it, run the test again with {UPDATE}=1, and check \
             the files in."
        )
    } else {
        format!(
            "Undo it, or do what is written behind `Instead`, or give the package another version and serve both. If nobody has the old \
             schema yet, run the test again with {UPDATE}=breaking, and check the files in."
        )
    };
    Err(format!("{golden}\n{advice}"))
}

const UPDATE: &str = "UPDATE_PROTO";

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::fixture::{Folder, breaking, compatible, first};

    struct Checked(Folder);

    impl Checked {
        #[track_caller]
        fn passes(&self, service: &ServiceDescriptor, update: Option<&str>) {
            let judged = judge(self.0.to_path_buf(), &[service], update);
            assert_eq!(judged, Ok(()));
            assert_eq!(self.0.text(), Some(service.proto().unwrap()));
        }

        /// Fails with all this in the message, and changes nothing.
        #[track_caller]
        fn fails(&self, services: &[&ServiceDescriptor], update: Option<&str>, parts: &[&str]) {
            let before = self.0.text();
            let message = judge(self.0.to_path_buf(), services, update).unwrap_err();
            for part in parts {
                assert!(message.contains(part), "`{part}` is not in\n{message}");
            }
            assert_eq!(self.0.text(), before);
        }
    }

    #[test]
    fn from_the_first_version_to_the_last() {
        let checked = Checked(Folder::new("check"));
        let new = [
            "demo/v1/demo.proto is not there yet.",
            "Nobody breaks",
            "UPDATE_PROTO=1",
        ];
        checked.fails(&[first()], None, &new);
        checked.passes(first(), Some("1"));
        checked.passes(first(), None);
        checked.passes(first(), Some("1"));
        let compatible_change = [
            "demo/v1/demo.proto is not what the services are:\n",
            "\n+   rpc Leave(GreeterLeaveRequest) returns (GreeterLeaveResponse);\n",
            "Nobody breaks",
            "UPDATE_PROTO=1",
        ];
        checked.fails(&[compatible()], None, &compatible_change);
        checked.passes(compatible(), Some("1"));
        let breaking_change = [
            "-   string name = 1;\n",
            "This breaks clients and servers that run now:\n",
            "  - demo.v1.Greeter.Leave: it was removed\n",
            "  - demo.v1.GreeterGreetRequest.name (field 1): it was removed, and `polite` has its number now\n",
            "\n      Instead: another number for `polite`, and `#[reserved(1, \"name\")]` before the type\n",
            "UPDATE_PROTO=breaking",
        ];
        checked.fails(&[breaking()], None, &breaking_change);
        checked.fails(&[breaking()], Some("1"), &breaking_change);
        checked.passes(breaking(), Some("breaking"));
        checked.fails(&[breaking()], Some("yes"), &["UPDATE_PROTO is `yes`"]);
        let removed = [
            "demo/v1/demo.proto describes no service that is there.",
            "  - service demo.v1.Greeter: it was removed\n",
        ];
        checked.fails(&[], None, &removed);
        assert_eq!(
            judge(checked.0.to_path_buf(), &[], Some("breaking")),
            Ok(())
        );
        assert_eq!(checked.0.text(), None);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let checked = Checked(Folder::new("unreadable"));
        checked.passes(first(), Some("1"));
        fs::write(checked.0.file(), "syntax = \"proto3\";\n<<<<<<< ours\n").unwrap();
        let parts = ["cannot be compared", "demo/v1/demo.proto: "];
        checked.fails(&[first()], None, &parts);
    }

    #[test]
    #[should_panic(expected = "demo.proto is not there yet")]
    fn a_test_fails_with_the_message() {
        check(Folder::new("panic").to_path_buf(), &[first()]);
    }
}
