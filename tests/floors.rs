//! The house rules that no compiler checks: imports point down the floors of ARCHITECTURE.md, nothing in a folder imports from
//! its own door, and the pages name the modules and examples that there are.
//!
//! Sources are read as tokens, so comments, strings and tests (`#[cfg(test)]`) count for nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

#[test]
fn imports_of_rpc_point_down() {
    check_floors("rpc");
}

#[test]
fn imports_of_rpc_macros_point_down() {
    check_floors("rpc-macros");
}

#[test]
fn imports_of_rpc_schema_point_down() {
    check_floors("rpc-schema");
}

#[test]
fn imports_of_raft_transport_point_down() {
    check_floors("raft-transport");
}

#[test]
fn the_pages_name_every_example_and_no_other() {
    // An example belongs to the lowest package that has what it needs.
    let manifests: Vec<String> = members()
        .iter()
        .map(|member| read(&format!("{member}/Cargo.toml")))
        .collect();
    let examples: BTreeSet<&str> = manifests
        .iter()
        .flat_map(|manifest| manifest.split("[[example]]").skip(1))
        .filter_map(|section| section.split('"').nth(1))
        .collect();
    let mut wrong = String::new();
    for page in ["README.md", "examples/README.md"] {
        let text = read(page);
        let named: BTreeSet<&str> = text
            .split("--example ")
            .skip(1)
            .filter_map(|rest| {
                rest.split(|c: char| !c.is_alphanumeric() && c != '_')
                    .next()
            })
            .filter(|name| !name.is_empty() && *name != "NAME")
            .collect();
        for missing in examples.difference(&named) {
            let _ = writeln!(wrong, "{page} does not say `cargo run --example {missing}`");
        }
        for unknown in named.difference(&examples) {
            let _ = writeln!(
                wrong,
                "{page} says `cargo run --example {unknown}`, but no Cargo.toml has an [[example]] of that name"
            );
        }
    }
    for name in &examples {
        if !root().join(format!("examples/{name}.rs")).is_file() {
            let _ = writeln!(wrong, "examples/{name}.rs does not exist");
        }
    }
    assert!(!examples.is_empty(), "no Cargo.toml has an [[example]]");
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn the_links_of_the_pages_lead_somewhere() {
    let mut wrong = String::new();
    for page in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "benches/peers/README.md",
        "docs/IMAGES.md",
        "docs/MACHINES.md",
        "docs/PERFORMANCE.md",
        "docs/RAFT.md",
        "examples/README.md",
    ] {
        let folder = root().join(page);
        let folder = folder.parent().expect("a page lies in a folder");
        for link in read(page).split("](").skip(1) {
            let link = link.split([')', '#']).next().unwrap_or_default();
            if !link.is_empty() && !link.contains("://") && !folder.join(link).exists() {
                let _ = writeln!(wrong, "{page} links to {link}, which does not exist");
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn the_reader_of_imports_reads_all_forms() {
    let check = |source: &str, expected: &[&str]| {
        let found: Vec<String> = imports(source, "blixard_rpc")
            .into_iter()
            .map(|it| it.path.join("::"))
            .collect();
        assert_eq!(found, expected, "{source}");
    };
    check("use crate::status::Status;", &["crate::status::Status"]);
    check(
        "use crate::{a::{b, c as d}, e::*, f};",
        &["crate::a::b", "crate::a::c", "crate::e::*", "crate::f"],
    );
    check(
        "fn f() -> super::Body { crate::g::h() }",
        &["super::Body", "crate::g::h"],
    );
    check("use super::super::x;", &["super::super::x"]);
    check(
        "vec![::blixard_rpc::y::Z]; blixard_rpc::W",
        &["crate::y::Z", "crate::W"],
    );
    check(
        "// crate::no\nconst A: &str = \"crate::no\"; /// crate::no\nfn b() {}",
        &[],
    );
    check(
        "#[cfg(test)] mod tests { use crate::no::No; } use crate::yes;",
        &["crate::yes"],
    );
    check(
        "#[cfg(test)] use crate::no; use crate::yes;",
        &["crate::yes"],
    );
    check(
        "macro_rules! m { () => { $crate::n::M } }",
        &["crate::n::M"],
    );
}

/// Folders whose files may import each other in circles; ARCHITECTURE.md says why.
const CIRCLES_ALLOWED: [&str; 1] = ["link"];

/// Checks one package against its table.
fn check_floors(package: &str) {
    let floors = floors(package);
    let own_name = format!("blixard_{}", package.replace('-', "_"));
    let source = root().join(package).join("src");
    let files = rust_files(&source);
    let mut wrong = String::new();

    let modules: BTreeSet<String> = files.iter().map(|file| file.module()).collect();
    for module in &modules {
        if !floors.contains_key(module) {
            let _ = writeln!(
                wrong,
                "{package}/src/{module} has no floor: add it to the table of {package} in ARCHITECTURE.md"
            );
        }
    }
    for module in floors.keys().filter(|module| !modules.contains(*module)) {
        let _ = writeln!(
            wrong,
            "ARCHITECTURE.md gives {module} of {package} a floor, but it does not exist: remove the row, or write it as planned below the table"
        );
    }

    let doors = doors(&files);
    let mut neighbours: BTreeMap<Vec<String>, BTreeSet<Vec<String>>> = BTreeMap::new();
    for file in &files {
        for import in imports(&file.text, &own_name) {
            let here = format!("{package}/src/{}:{}", file.name, import.line);
            let written = import.path.join("::");
            let target = match resolve(&file.place, &import.path, &doors) {
                Target::Module(place) => place,
                Target::Door(door) => {
                    let _ = writeln!(
                        wrong,
                        "{here}: `{written}` is defined in the door {door}, and what lies in a folder does not import from its door: move it to a file of its own"
                    );
                    continue;
                }
                Target::Elsewhere => continue,
            };
            let (Some(from), Some(to)) = (file.place.first(), target.first()) else {
                continue;
            };
            if from != to {
                if let (Some(above), Some(below)) = (floors.get(from), floors.get(to))
                    && below >= above
                {
                    let _ = writeln!(
                        wrong,
                        "{here}: `{written}`: {from} is on floor {above} and {to} on floor {below}; imports point down only"
                    );
                }
                continue;
            }
            let depth = file
                .place
                .iter()
                .zip(&target)
                .take_while(|(a, b)| a == b)
                .count();
            if depth < file.place.len() && depth < target.len() {
                neighbours
                    .entry(file.place[..=depth].to_vec())
                    .or_default()
                    .insert(target[..=depth].to_vec());
            }
        }
    }
    neighbours.retain(|place, _| !CIRCLES_ALLOWED.contains(&place[0].as_str()));
    for cycle in cycles(&neighbours) {
        let _ = writeln!(
            wrong,
            "{package}: files of one folder import each other in a circle: {cycle}"
        );
    }
    assert!(!files.is_empty(), "{package}/src has no sources");
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// One source file.
struct File {
    /// Its path below `src`.
    name: String,
    /// The module it is: `call/body.rs` is `[call, body]`, a door `call/mod.rs` is `[call]`, the roof `lib.rs` is `[lib]`.
    place: Vec<String>,
    is_door: bool,
    text: String,
}

impl File {
    /// What the tables of ARCHITECTURE.md name it by.
    fn module(&self) -> String {
        self.place[0].clone()
    }
}

/// A path that some source mentions: its parts, beginning with `crate` or `super`.
struct Import {
    path: Vec<String>,
    line: usize,
}

enum Target {
    /// Something in the module at this place.
    Module(Vec<String>),
    /// Something that a door defines itself, asked for from inside its folder.
    Door(String),
    /// Another crate, by way of the roof.
    Elsewhere,
}

/// The floors of the package: the rows `| floor | modules | .. |` below its heading in ARCHITECTURE.md.
fn floors(package: &str) -> BTreeMap<String, u32> {
    const ROOF: u32 = 100;
    let page = read("ARCHITECTURE.md");
    let heading = format!("### Floors of {package}\n");
    let (_, section) = page
        .split_once(&heading)
        .unwrap_or_else(|| panic!("ARCHITECTURE.md has no heading `{}`", heading.trim()));
    let section = section.split("\n#").next().unwrap_or_default();
    let mut floors = BTreeMap::new();
    for row in section.lines().filter(|line| line.starts_with('|')) {
        let mut cells = row.split('|').skip(1).map(str::trim);
        let (Some(floor), Some(modules)) = (cells.next(), cells.next()) else {
            continue;
        };
        let floor = match floor {
            "roof" => ROOF,
            floor => match floor.parse() {
                Ok(floor) => floor,
                Err(_) => continue,
            },
        };
        for module in modules.split('`').skip(1).step_by(2) {
            let module = module.trim_end_matches('/').trim_end_matches(".rs");
            let before = floors.insert(module.to_owned(), floor);
            assert!(
                before.is_none(),
                "ARCHITECTURE.md gives {module} two floors"
            );
        }
    }
    assert!(
        !floors.is_empty(),
        "ARCHITECTURE.md has no table below `{}`",
        heading.trim()
    );
    floors
}

/// What each door re-exports: (door, name) to the place of the child it comes from; `None` for another crate.
type Doors = BTreeMap<(Vec<String>, String), Option<Vec<String>>>;

fn doors(files: &[File]) -> Doors {
    let places: BTreeSet<&[String]> = files.iter().map(|file| file.place.as_slice()).collect();
    let mut doors = Doors::new();
    for file in files.iter().filter(|file| file.is_door) {
        let door = file.inside();
        for place in &places {
            if place.len() == door.len() + 1 && place.starts_with(&door) {
                doors.insert(
                    (door.clone(), place[door.len()].clone()),
                    Some(place.to_vec()),
                );
            }
        }
        for path in reexports(&file.text) {
            let name = path.last().expect("a path has parts").clone();
            let path: Vec<String> = path
                .into_iter()
                .skip_while(|part| part == "crate" || part == "self")
                .collect();
            let child: Vec<String> = door.iter().cloned().chain(path.first().cloned()).collect();
            let from_root = path[..1].to_vec();
            let place = [child, from_root]
                .into_iter()
                .find(|place| places.contains(place.as_slice()));
            doors.insert((door.clone(), name), place);
        }
    }
    doors
}

impl File {
    /// The place whose children a door's names are: the roof's are at the top.
    fn inside(&self) -> Vec<String> {
        if self.place == ["lib"] {
            Vec::new()
        } else {
            self.place.clone()
        }
    }
}

/// Where a path leads from the module at `place`.
fn resolve(place: &[String], path: &[String], doors: &Doors) -> Target {
    let mut at: Vec<String> = if path[0] == "crate" {
        Vec::new()
    } else {
        place.to_vec()
    };
    for (index, part) in path.iter().enumerate() {
        match part.as_str() {
            "crate" => {}
            "super" => {
                at.pop();
            }
            "self" | "*" => break,
            name => match doors.get(&(at.clone(), name.to_owned())) {
                Some(Some(to)) => {
                    let deeper = to.len() > at.len() && to.last().is_some_and(|last| last == name);
                    at.clone_from(to);
                    if !deeper {
                        break;
                    }
                }
                Some(None) => return Target::Elsewhere,
                // Not a module and not re-exported: an item of the module that we have come to.
                None if index > 0 => break,
                None => return Target::Elsewhere,
            },
        }
    }
    if at.is_empty() {
        return Target::Elsewhere;
    }
    if place.len() > at.len() && place.starts_with(&at) {
        return Target::Door(format!("{}/mod.rs", at.join("/")));
    }
    Target::Module(at)
}

/// The circles among the files of a folder, each once.
fn cycles(edges: &BTreeMap<Vec<String>, BTreeSet<Vec<String>>>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for start in edges.keys() {
        let mut open = vec![vec![start]];
        let mut seen = BTreeSet::new();
        while let Some(way) = open.pop() {
            let last = way[way.len() - 1];
            for next in edges.get(last).into_iter().flatten() {
                if next == start {
                    let mut names: Vec<String> = way.iter().map(|place| place.join("/")).collect();
                    let least = names.iter().min().cloned();
                    let turn = names.iter().position(|name| Some(name) == least.as_ref());
                    names.rotate_left(turn.unwrap_or(0));
                    found.insert(names.join(" -> "));
                } else if seen.insert(next) {
                    open.push(way.iter().copied().chain([next]).collect());
                }
            }
        }
    }
    found
}

/// Every path beginning with `crate`, `super` or this crate's own name, outside tests.
fn imports(source: &str, crate_name: &str) -> Vec<Import> {
    let mut found = Vec::new();
    walk(tokens(source), &mut |trees, at| {
        let TokenTree::Ident(ident) = &trees[at] else {
            return at + 1;
        };
        let follows_path = at >= 2 && is_path_separator(&trees[at - 2..at]);
        let own_name = ident == crate_name && (!follows_path || begins_globally(trees, at));
        if !(own_name || !follows_path && (ident == "crate" || ident == "super")) {
            return at + 1;
        }
        let first = if own_name {
            "crate".into()
        } else {
            ident.to_string()
        };
        let line = ident.span().start().line;
        let (paths, next) = path(trees, at + 1, vec![first]);
        found.extend(
            paths
                .into_iter()
                .filter(|path| path.len() > 1)
                .map(|path| Import { path, line }),
        );
        next
    });
    found
}

/// The paths of all `pub use` items.
fn reexports(source: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    walk(tokens(source), &mut |trees, at| {
        if !matches!(&trees[at], TokenTree::Ident(ident) if ident == "use") {
            return at + 1;
        }
        let Some(TokenTree::Ident(first)) = trees.get(at + 1) else {
            return at + 1;
        };
        let public = trees[..at]
            .iter()
            .rev()
            .take(2)
            .any(|tree| matches!(tree, TokenTree::Ident(ident) if ident == "pub"));
        let (paths, next) = path(trees, at + 2, vec![first.to_string()]);
        if public {
            found.extend(paths);
        }
        next
    });
    found
}

/// Visits the tokens of every group, top down; `visit` answers where to go on. What is under `#[cfg(test)]` is left out.
fn walk(stream: TokenStream, visit: &mut impl FnMut(&[TokenTree], usize) -> usize) {
    let trees: Vec<TokenTree> = stream.into_iter().collect();
    let mut at = 0;
    let mut done = 0;
    while at < trees.len() {
        if is_cfg_test(&trees[at..]) {
            at += 2;
            while at < trees.len() && !ends_item(&trees[at]) {
                at += 1;
            }
            at += 1;
            done = at;
            continue;
        }
        at = visit(&trees, at).max(at + 1);
        // `use a::{b}` is one visit; groups that it did not pass over are walked.
        for tree in &trees[done..at.min(trees.len())] {
            if let TokenTree::Group(group) = tree
                && at - done <= 1
            {
                walk(group.stream(), visit);
            }
        }
        done = at;
    }
}

/// All paths that begin with `prefix` and go on at `at`, and where they end.
fn path(trees: &[TokenTree], mut at: usize, mut prefix: Vec<String>) -> (Vec<Vec<String>>, usize) {
    while trees.get(at..at + 2).is_some_and(is_path_separator) {
        match trees.get(at + 2) {
            Some(TokenTree::Ident(ident)) => {
                prefix.push(ident.to_string());
                at += 3;
            }
            Some(TokenTree::Punct(star)) if star.as_char() == '*' => {
                prefix.push("*".into());
                at += 3;
            }
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                let paths = inner
                    .split(|tree| matches!(tree, TokenTree::Punct(comma) if comma.as_char() == ','))
                    .filter_map(|part| {
                        let name = match part.first()? {
                            TokenTree::Ident(ident) => ident.to_string(),
                            TokenTree::Punct(star) => star.to_string(),
                            _ => return None,
                        };
                        let prefix = prefix.iter().cloned().chain([name]).collect();
                        Some(path(part, 1, prefix).0)
                    })
                    .flatten()
                    .collect();
                return (paths, at + 3);
            }
            // A turbofish: the path is over.
            _ => break,
        }
    }
    (vec![prefix], at)
}

fn is_path_separator(trees: &[TokenTree]) -> bool {
    trees.len() == 2
        && trees
            .iter()
            .all(|tree| matches!(tree, TokenTree::Punct(punct) if punct.as_char() == ':'))
}

/// Whether the `::` before `at` begins a path, as in `::blixard_rpc`.
fn begins_globally(trees: &[TokenTree], at: usize) -> bool {
    !matches!(trees.get(at.wrapping_sub(3)), Some(TokenTree::Ident(_)))
}

fn is_cfg_test(trees: &[TokenTree]) -> bool {
    matches!(trees, [TokenTree::Punct(hash), TokenTree::Group(group), ..]
        if hash.as_char() == '#' && group.stream().to_string().replace(' ', "") == "cfg(test)")
}

fn ends_item(tree: &TokenTree) -> bool {
    match tree {
        TokenTree::Punct(punct) => punct.as_char() == ';',
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        _ => false,
    }
}

fn tokens(source: &str) -> TokenStream {
    source
        .parse()
        .unwrap_or_else(|error| panic!("not Rust: {error}\n{source}"))
}

/// All sources below `source`.
fn rust_files(source: &Path) -> Vec<File> {
    let mut files = Vec::new();
    let mut open = vec![source.to_owned()];
    while let Some(folder) = open.pop() {
        let entries = fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{} cannot be read: {error}", folder.display()));
        for entry in entries {
            let path = entry.expect("a folder can be listed to its end").path();
            if path.is_dir() {
                if !is_test(&path) {
                    open.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") && !is_test(&path)
            {
                let below = path.strip_prefix(source).expect("it was found below");
                let name = below.to_string_lossy().replace('\\', "/");
                let mut place: Vec<String> = name
                    .trim_end_matches(".rs")
                    .split('/')
                    .map(str::to_owned)
                    .collect();
                let is_door = matches!(place.last().map(String::as_str), Some("mod" | "lib"));
                if place.len() > 1 && is_door {
                    place.pop();
                }
                let text = read_path(&path);
                files.push(File {
                    name,
                    place,
                    is_door,
                    text,
                });
            }
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    files
}

/// Tests in files of their own, and what they expect, may import what they like.
fn is_test(path: &Path) -> bool {
    path.file_stem()
        .is_some_and(|name| name == "tests" || name == "fixture" || name == "snapshots")
}

/// The packages of the workspace, by their folders.
fn members() -> Vec<String> {
    let manifest = read("Cargo.toml");
    let list = manifest.split_once("members = [").map(|(_, rest)| rest);
    let list = list.and_then(|rest| rest.split(']').next());
    list.expect("the workspace has members")
        .split('"')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests lie in the workspace")
        .to_owned()
}

fn read(name: &str) -> String {
    read_path(&root().join(name))
}

fn read_path(path: &Path) -> String {
    fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("{} cannot be read: {error}", path.display()))
}
