//! [`Peers`]: who has which roles, as a file says. What a role allows is not known here.

use std::{
    collections::{HashMap, hash_map::Entry},
    fs,
    path::Path,
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{error::PeersError, role::Role};

/// Who has which roles. Nobody is in it who is not named.
///
/// ```toml
/// [peers.ada]          # a name for people and the log
/// key = "3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29"
/// roles = ["admin"]
///
/// [peers.node-2]
/// key = "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c"
/// roles = ["node", "operator"]
/// ```
///
/// A key is an Ed25519 public key in 64 hexadecimal digits, as iroh shows the id of an endpoint; roles are `viewer`, `operator`,
/// `admin` and `node`.
#[derive(Clone, Debug, Default)]
pub struct Peers(HashMap<[u8; 32], Roles>);

/// What is said of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roles {
    /// Its name, for people.
    pub name: String,
    /// What it is.
    pub roles: Vec<Role>,
}

impl Peers {
    /// Reads a file.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, PeersError> {
        let file = path.as_ref().display().to_string();
        match fs::read_to_string(path) {
            Ok(source) => Self::parse(&source, &file),
            Err(error) => Err(PeersError(vec![format!(
                "{file}: it cannot be read: {error}"
            )])),
        }
    }

    /// Reads TOML; `file` names it in what is said of mistakes.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn parse(source: &str, file: &str) -> Result<Self, PeersError> {
        let (table, errors) = DeTable::parse_recoverable(source);
        let mut reader = Reader {
            source,
            file,
            mistakes: Vec::new(),
        };
        for error in errors {
            let at = error.span().map_or(0, |span| span.start);
            reader.wrong(at, "this is not TOML", error.message());
        }
        // What the parser made of the rest would be mistakes that nobody has made.
        let mut peers = Self::default();
        if reader.mistakes.is_empty() {
            peers = reader.peers(table.get_ref());
        }
        if reader.mistakes.is_empty() {
            Ok(peers)
        } else {
            reader.mistakes.sort_by_key(|(at, _)| *at);
            let lines = reader.mistakes.into_iter().map(|(_, line)| line);
            Err(PeersError(lines.collect()))
        }
    }

    /// What is said of the holder of this key.
    #[must_use]
    pub fn of(&self, key: &[u8; 32]) -> Option<&Roles> {
        self.0.get(key)
    }
}

impl Roles {
    /// Whether it may call what needs this role.
    #[must_use]
    pub fn covers(&self, needed: Role) -> bool {
        self.roles.iter().any(|role| role.covers(needed))
    }

    /// `viewer, node`.
    pub(super) fn list(&self) -> String {
        let names: Vec<_> = self.roles.iter().map(|role| role.name()).collect();
        names.join(", ")
    }
}

struct Reader<'s> {
    source: &'s str,
    file: &'s str,
    /// Each with its place in the source.
    mistakes: Vec<(usize, String)>,
}

impl Reader<'_> {
    fn peers(&mut self, table: &DeTable<'_>) -> Peers {
        let mut peers = Peers::default();
        let mut named = 0;
        for (key, value) in table {
            let at = key.span().start;
            match (key.get_ref().as_ref(), value.get_ref()) {
                ("peers", DeValue::Table(all)) => {
                    named += all.len();
                    self.all(all, &mut peers);
                }
                ("peers", _) => {
                    self.wrong(at, "peers", "allowed are sections, such as [peers.ada]")
                }
                (other, _) => self.wrong(
                    at,
                    other,
                    "there is no such key; allowed are sections, such as [peers.ada]",
                ),
            }
        }
        // As a file is that is just being written: nobody means that.
        if named == 0 && self.mistakes.is_empty() {
            self.wrong(0, "peers", "nobody is named, so that nobody could call");
        }
        peers
    }

    fn all(&mut self, all: &DeTable<'_>, peers: &mut Peers) {
        // In the order of the file, so that the second of two is the mistake.
        let mut all: Vec<_> = all.iter().collect();
        all.sort_by_key(|(name, _)| name.span().start);
        for (name, value) in all {
            let at = name.span().start;
            let name = name.get_ref().as_ref();
            let DeValue::Table(table) = value.get_ref() else {
                let what = format!("peers.{name} = {}", self.written(value));
                self.wrong(at, &what, &format!("allowed is a section, [peers.{name}]"));
                continue;
            };
            let (mut key, mut roles) = (None, None);
            for (field, value) in table {
                let at = field.span().start;
                let what = format!("peers.{name}.{} = {}", field.get_ref(), self.written(value));
                match field.get_ref().as_ref() {
                    "key" => key = Some(self.key(at, &what, value)),
                    "roles" => roles = Some(self.roles(at, &what, value)),
                    _ => self.wrong(at, &what, "there is no such key; allowed are key, roles"),
                }
            }
            let mut missing = |field, allowed: &str| {
                let why = format!("it is needed and not there; allowed is {allowed}");
                self.wrong(at, &format!("peers.{name}.{field}"), &why);
            };
            if key.is_none() {
                missing("key", KEY);
            }
            if roles.is_none() {
                missing("roles", &roles_allowed());
            }
            let (Some(Some(key)), Some(Some(roles))) = (key, roles) else {
                continue;
            };
            match peers.0.entry(key) {
                Entry::Vacant(entry) => {
                    let name = name.to_owned();
                    entry.insert(Roles { name, roles });
                }
                Entry::Occupied(entry) => {
                    let why = format!(
                        "this is the key of {} already; say all roles of a peer in one place",
                        entry.get().name
                    );
                    self.wrong(at, &format!("peers.{name}.key"), &why);
                }
            }
        }
    }

    fn key(&mut self, at: usize, what: &str, value: &Spanned<DeValue<'_>>) -> Option<[u8; 32]> {
        let key = value.get_ref().as_str().and_then(hex);
        if key.is_none() {
            self.wrong(at, what, &format!("allowed is {KEY}"));
        }
        key
    }

    fn roles(&mut self, at: usize, what: &str, value: &Spanned<DeValue<'_>>) -> Option<Vec<Role>> {
        let role = |value: &Spanned<DeValue<'_>>| {
            let name = value.get_ref().as_str()?;
            Role::ALL.into_iter().find(|role| role.name() == name)
        };
        let roles = value.get_ref().as_array();
        let roles: Option<Vec<_>> = roles.and_then(|all| all.iter().map(role).collect());
        let roles = roles.filter(|roles| !roles.is_empty());
        if roles.is_none() {
            self.wrong(at, what, &format!("allowed is {}", roles_allowed()));
        }
        roles
    }

    fn written(&self, value: &Spanned<DeValue<'_>>) -> String {
        let text = self.source.get(value.span()).unwrap_or_default();
        match text.char_indices().nth(SHOWN_CHARS) {
            Some((end, _)) => format!("{}...", &text[..end]),
            None => text.to_owned(),
        }
    }

    fn wrong(&mut self, at: usize, what: &str, why: &str) {
        let before = self.source.as_bytes().get(..at).unwrap_or_default();
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        let text = format!("{}:{line}: {what}: {why}", self.file);
        self.mistakes.push((at, text));
    }
}

fn hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut key = [0; 32];
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = u8::try_from(high << 4 | low).ok()?;
    }
    Some(key)
}

fn roles_allowed() -> String {
    let names: Vec<_> = Role::ALL
        .iter()
        .map(|role| format!("{:?}", role.name()))
        .collect();
    let names = names.join(", ");
    format!("a list of some of {names}, such as [\"viewer\"]")
}

const KEY: &str =
    "an Ed25519 public key in 64 hexadecimal digits, as iroh shows the id of an endpoint";

/// How much of a wrong value is shown.
const SHOWN_CHARS: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, expected: &[&str]) {
        let error = Peers::parse(source, "peers.toml").unwrap_err().to_string();
        let lines: Vec<_> = error.lines().collect();
        assert_eq!(lines.len(), expected.len(), "{error}");
        for (line, expected) in lines.iter().zip(expected) {
            assert!(line.starts_with(expected), "{line}\nis not {expected}");
        }
    }

    #[test]
    fn a_file_says_who_has_which_roles() {
        let (one, two) = ("0A".repeat(32), "0b".repeat(32));
        let source = format!(
            "[peers.ada]\nkey = '{one}'\nroles = ['admin']\n\
             [peers.\"node 2\"]\nkey = \"{two}\"\nroles = ['node', 'viewer']\n"
        );
        let peers = Peers::parse(&source, "peers.toml").unwrap();
        let ada = peers.of(&[10; 32]).unwrap();
        assert_eq!((ada.name.as_str(), ada.list().as_str()), ("ada", "admin"));
        let node = peers.of(&[11; 32]).unwrap();
        assert_eq!(node.name, "node 2");
        assert!(node.covers(Role::Node) && node.covers(Role::Viewer));
        assert!(!node.covers(Role::Operator) && !node.covers(Role::Admin));
        assert!(peers.of(&[12; 32]).is_none());
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let key = "0a".repeat(32);
        let source = format!(
            "color = 'red'\n\
             [peers.a]\nkey = '{key}'\nroles = ['admin', 'root']\n\
             [peers.b]\nkey = 'zz'\nroles = []\n\
             [peers.c]\nrole = 'viewer'\n\
             [peers.d]\nkey = '{key}'\nroles = 'viewer'\n\
             [peers.e]\nkey = '{key}'\nroles = ['node']\n\
             [peers.f]\nkey = '{key}'\nroles = ['node']\n\
             [peers.g]\nkey = '{}'\nroles = ['node']\n",
            "ü".repeat(32)
        );
        check(
            &source,
            &[
                "peers.toml:1: color: there is no such key",
                "peers.toml:4: peers.a.roles = ['admin', 'root']: allowed is a list of some of \"viewer\"",
                "peers.toml:6: peers.b.key = 'zz': allowed is an Ed25519",
                "peers.toml:7: peers.b.roles = []: allowed is a list",
                "peers.toml:8: peers.c.key: it is needed",
                "peers.toml:8: peers.c.roles: it is needed",
                "peers.toml:9: peers.c.role = 'viewer': there is no such key; allowed are key, roles",
                "peers.toml:12: peers.d.roles = 'viewer': allowed is a list",
                "peers.toml:16: peers.f.key: this is the key of e already",
                "peers.toml:20: peers.g.key = 'ü",
            ],
        );
    }

    #[test]
    fn what_is_no_such_file_names_nobody() {
        check("", &["peers.toml:1: peers: nobody is named"]);
        check("[peers]", &["peers.toml:1: peers: nobody is named"]);
        check("peers = 7", &["peers.toml:1: peers: allowed are sections"]);
        check(
            "[peers]\na = 7",
            &["peers.toml:2: peers.a = 7: allowed is a section"],
        );
        check(
            "[peers.a]\nkey = \n[peers.b\n",
            &[
                "peers.toml:2: this is not TOML",
                "peers.toml:3: this is not TOML",
            ],
        );
        let missing = Peers::load("/nowhere/peers.toml").unwrap_err().to_string();
        assert!(
            missing.starts_with("/nowhere/peers.toml: it cannot be read"),
            "{missing}"
        );
    }
}
