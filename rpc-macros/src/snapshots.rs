//! Snapshots: each case is a `.rs` file in `snapshots/`, and beside it the `.out.rs` of its expansion, printed by prettyplease and
//! reviewed by a person. `UPDATE_SNAPSHOTS=1 cargo test -p blixard-rpc-macros` writes them anew.

use std::{fs, path::PathBuf};

use proc_macro2::TokenStream;

/// Whether the item is a struct or enum with `#[message]`.
fn is_message(item: &syn::Item) -> bool {
    let attrs = match item {
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Enum(item) => &item.attrs,
        _ => return false,
    };
    attrs.iter().any(|attr| attr.path().is_ident("message"))
}

/// The item without `#[message]`, as the compiler gives it to that attribute.
fn without_message(item: &syn::Item) -> TokenStream {
    let mut item: syn::DeriveInput = syn::parse_quote!(#item);
    let place = item
        .attrs
        .iter()
        .position(|attr| attr.path().is_ident("message"));
    item.attrs.remove(place.unwrap());
    quote::quote!(#item)
}

/// Expands the `#[iroh_service]` traits, the `#[message]` types and the `#[derive(RpcError)]` enums in a file.
fn expand(source: &str) -> String {
    let file: syn::File = syn::parse_str(source).unwrap();
    let mut out = TokenStream::new();
    for item in file.items {
        if is_message(&item) {
            let with_derive =
                crate::message::attribute(&TokenStream::new(), without_message(&item));
            out.extend(crate::message::derive(
                &syn::parse2(with_derive.clone()).unwrap(),
            ));
            out.extend(with_derive);
            continue;
        }
        let mut item = match item {
            syn::Item::Trait(item) => item,
            syn::Item::Enum(item) => {
                out.extend(crate::rpc_error::derive(&syn::parse_quote!(#item)));
                continue;
            }
            _ => panic!("a snapshot holds traits and error enums"),
        };
        let place = item
            .attrs
            .iter()
            .position(|attr| attr.path().is_ident("iroh_service"))
            .unwrap();
        let attr = item.attrs.remove(place);
        let settings = match attr.meta {
            syn::Meta::List(list) => list.tokens,
            _ => TokenStream::new(),
        };
        out.extend(crate::service(settings, quote::quote!(#item)));
    }
    print(out)
}

fn print(tokens: TokenStream) -> String {
    prettyplease::unparse(&syn::parse2(tokens).unwrap())
}

fn snapshots() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("snapshots")
}

#[test]
fn expansions_are_as_reviewed() {
    let update = std::env::var_os("UPDATE_SNAPSHOTS").is_some();
    let mut cases = 0;
    for entry in fs::read_dir(snapshots()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.ends_with(".out.rs") {
            continue;
        }
        cases += 1;
        let actual = expand(&fs::read_to_string(&path).unwrap());
        let expected = path.with_extension("out.rs");
        if update {
            fs::write(&expected, &actual).unwrap();
        }
        let expected = fs::read_to_string(&expected).unwrap_or_default();
        assert!(
            actual == expected,
            "the expansion of {name} has changed; review it, then run with UPDATE_SNAPSHOTS=1:\n{actual}"
        );
    }
    assert!(cases >= 5, "only {cases} snapshots found");
}

/// What the macro adds to a trait: about sixty lines, and twelve for each method of usual size.
#[test]
fn expansions_are_short() {
    for name in ["greeter", "empty"] {
        let source = fs::read_to_string(snapshots().join(name).with_extension("rs")).unwrap();
        let expansion: syn::File = syn::parse_str(&expand(&source)).unwrap();
        let mut methods = 0;
        let added = expansion
            .items
            .into_iter()
            .filter(|item| match item {
                syn::Item::Trait(item) => {
                    methods = item.items.len();
                    false
                }
                _ => true,
            })
            .map(|item| print(quote::quote!(#item)).lines().count())
            .sum::<usize>();
        let budget = 62 + 12 * methods;
        assert!(
            added <= budget,
            "the expansion of {name} adds {added} lines, {budget} are allowed"
        );
    }
}

/// What an editor hands in while somebody types: the trait must still come out, with what is right in it.
#[test]
fn half_typed_input_is_still_a_trait() {
    let check = |settings: &str, source: &str, parts: &[&str]| {
        let settings = settings.parse().unwrap();
        let out = crate::service(settings, source.parse().unwrap()).to_string();
        for part in parts {
            assert!(
                out.contains(part),
                "`{part}` is not in what comes of {source}:\n{out}"
            );
        }
    };
    let rest = "async fn other (& self , a : u32) -> Result < u32 > ;";
    let trait_and_client = [
        "trait Store :",
        "fn other",
        "struct StoreClient",
        "impl < __C : __rpc :: Dispatch",
        "compile_error",
    ];
    for half in [
        "",
        "async fn get(&self, key: ) -> Result<String>;",
        "async fn get(&self, key: String) -> ;",
        "async fn get(&self, key: String) -> Result<String>",
        "async fn get(&self",
        "async fn get",
        "async",
        "#[rpc(dead",
        "#[rpc(deadline = )] async fn get(&self) -> Result<()>;",
        "fn get(&self);",
        "as",
        "/// Docs of nothing yet.",
    ] {
        // An editor closes what is open before it calls a macro.
        let open = |c| half.matches(c).count();
        let half = format!(
            "{half}{}{}",
            ")".repeat(open('(') - open(')')),
            "]".repeat(open('[') - open(']'))
        );
        let parts = if half.is_empty() {
            &trait_and_client[..4]
        } else {
            &trait_and_client[..]
        };
        check("", &format!("pub trait Store {{ {rest} {half}\n}}"), parts);
    }
    check(
        "pack",
        &format!("trait Store {{ {rest} }}"),
        &trait_and_client,
    );
    check(
        "package = ",
        &format!("trait Store {{ {rest} }}"),
        &trait_and_client,
    );
    // A body is not looked into: what is half-typed there is the compiler's business.
    let body = "async fn get(&self) -> Result<u32> { let x = self. ; x. }";
    check(
        "",
        &format!("trait Store {{ {rest} {body} }}"),
        &["let x = self . ; x ."],
    );
    // Where not even a trait is left, the tokens come out as they are.
    check("", "pub trait", &["pub trait", "compile_error"]);
    check("", "pub trait Store", &["pub trait Store", "compile_error"]);
    check("", "", &["compile_error"]);
}
