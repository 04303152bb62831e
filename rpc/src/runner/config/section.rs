//! [`Section`]: reads the settings of a section one by one, and notes what is wrong with them, to be said all at once.

use std::{cell::RefCell, str::FromStr, time::Duration};

use super::{
    error::{ConfigError, Mistake},
    key::joined,
    tree::{Node, Setting, Tree},
};

/// What was found to be wrong so far.
#[derive(Default)]
pub(super) struct Mistakes(RefCell<Vec<Mistake>>);

impl Mistakes {
    pub(super) fn add(&self, origin: &str, what: String, why: String) {
        self.0.borrow_mut().push(Mistake {
            origin: origin.to_owned(),
            what,
            why,
        });
    }

    /// # Errors
    /// If there are any.
    pub(super) fn none(self) -> Result<(), ConfigError> {
        let all = self.0.into_inner();
        if all.is_empty() {
            Ok(())
        } else {
            Err(ConfigError(all))
        }
    }
}

/// The settings of a section, of which each is taken once; what is left at the end is not known.
pub(super) struct Section<'m> {
    path: Vec<String>,
    tree: Tree,
    origin: String,
    known: Vec<&'static str>,
    mistakes: &'m Mistakes,
}

impl<'m> Section<'m> {
    /// The whole.
    pub(super) const fn new(tree: Tree, mistakes: &'m Mistakes) -> Self {
        Self {
            path: Vec::new(),
            tree,
            origin: String::new(),
            known: Vec::new(),
            mistakes,
        }
    }

    /// Whether anything is said there.
    pub(super) fn is_empty(&self) -> bool {
        self.tree.is_empty()
    }

    /// The section within this one; an empty one if there is none.
    pub(super) fn section(&mut self, key: &'static str) -> Self {
        self.known.push(key);
        let node = self.tree.remove(key);
        self.within(key, node)
    }

    /// All sections within this one, whatever their names.
    pub(super) fn sections(mut self) -> Vec<(String, Self)> {
        let tree = std::mem::take(&mut self.tree);
        tree.into_iter()
            .map(|(name, node)| {
                let section = self.within(&name, Some(node));
                (name, section)
            })
            .collect()
    }

    /// What `read` makes of the setting, if it is there and right.
    pub(super) fn setting<T>(
        &mut self,
        key: &'static str,
        allowed: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let Setting {
            text,
            shown,
            origin,
        } = self.take(key, allowed)?;
        let value = read(&text);
        if value.is_none() {
            let what = format!("{} = {shown}", self.key(key));
            self.mistakes
                .add(&origin, what, format!("allowed is {allowed}"));
        }
        value
    }

    /// A setting that is parsed.
    pub(super) fn parsed<T: FromStr>(&mut self, key: &'static str, allowed: &str) -> Option<T> {
        self.setting(key, allowed, |text| text.parse().ok())
    }

    /// A setting that must be there.
    pub(super) fn needed<T: FromStr>(&mut self, key: &'static str, allowed: &str) -> Option<T> {
        if !self.has(key) {
            self.known.push(key);
            self.missing(key, allowed);
            return None;
        }
        self.parsed(key, allowed)
    }

    /// Whether something is said of it.
    pub(super) fn has(&self, key: &str) -> bool {
        self.tree.contains_key(key)
    }

    /// One of several values.
    pub(super) fn one_of<T: Copy>(&mut self, key: &'static str, all: &[(&str, T)]) -> Option<T> {
        self.setting(key, &any_of(all), |text| {
            let found = all.iter().find(|(name, _)| *name == text);
            found.map(|(_, value)| *value)
        })
    }

    /// A time, such as `"150ms"`.
    pub(super) fn duration(&mut self, key: &'static str) -> Option<Duration> {
        self.setting(
            key,
            "a time of at least 1ms, such as \"150ms\", \"2s\", \"1m\" or \"1h\"",
            duration,
        )
    }

    /// A number from 1 to `most`.
    pub(super) fn count(&mut self, key: &'static str, most: usize) -> Option<usize> {
        self.setting(key, &format!("a number from 1 to {most}"), |text| {
            text.parse()
                .ok()
                .filter(|number| (1..=most).contains(number))
        })
    }

    /// What a setting must say where it is needed and not there.
    pub(super) fn missing(&self, key: &str, allowed: &str) {
        let what = self.key(key);
        let why = format!("it is needed and not there; allowed is {allowed}");
        self.mistakes.add(&self.origin, what, why);
    }

    /// What is wrong with two settings together.
    pub(super) fn wrong(&self, key: &str, why: &str) {
        self.mistakes
            .add(&self.origin, self.key(key), why.to_owned());
    }

    /// Nothing more is known in this section.
    pub(super) fn finish(mut self) {
        for (key, node) in std::mem::take(&mut self.tree) {
            let (origin, what) = match node {
                Node::Setting(setting) => {
                    let what = format!("{} = {}", self.key(&key), setting.shown);
                    (setting.origin, what)
                }
                Node::Section(_, origin) => (origin, format!("[{}]", self.key(&key))),
            };
            let known = self.known.join(", ");
            self.mistakes.add(
                &origin,
                what,
                format!("there is no such key; allowed are {known}"),
            );
        }
    }

    /// The full name of a key of this section.
    pub(super) fn key(&self, key: &str) -> String {
        let mut path = self.path.clone();
        path.push(key.to_owned());
        joined(&path)
    }

    fn take(&mut self, key: &'static str, allowed: &str) -> Option<Setting> {
        self.known.push(key);
        match self.tree.remove(key)? {
            Node::Setting(setting) => Some(setting),
            Node::Section(_, origin) => {
                let what = format!("[{}]", self.key(key));
                self.mistakes.add(
                    &origin,
                    what,
                    format!("it is a section; allowed is {allowed}"),
                );
                None
            }
        }
    }

    fn within(&self, key: &str, node: Option<Node>) -> Self {
        let (tree, origin) = match node {
            None => (Tree::new(), self.origin.clone()),
            Some(Node::Section(tree, origin)) => (tree, origin),
            Some(Node::Setting(Setting { shown, origin, .. })) => {
                let what = format!("{} = {shown}", self.key(key));
                let why = format!("allowed is a section, [{}]", self.key(key));
                self.mistakes.add(&origin, what, why);
                (Tree::new(), origin)
            }
        };
        let mut path = self.path.clone();
        path.push(key.to_owned());
        Self {
            path,
            tree,
            origin,
            known: Vec::new(),
            mistakes: self.mistakes,
        }
    }
}

/// What an address is.
pub(super) const ADDRESS: &str =
    "an IP address and a port, such as \"0.0.0.0:50051\" or \"[::]:0\"";

/// What a file is.
pub(super) const FILE: &str = "the path of a file";

/// `"a", "b" or "c"`.
pub(super) fn any_of<T>(all: &[(&str, T)]) -> String {
    let names: Vec<String> = all.iter().map(|(name, _)| format!("{name:?}")).collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => names.join(""),
    }
}

fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let millis = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        _ => return None,
    };
    let number: u64 = number.parse().ok()?;
    let duration = Duration::from_millis(number.checked_mul(millis)?);
    (!duration.is_zero()).then_some(duration)
}
