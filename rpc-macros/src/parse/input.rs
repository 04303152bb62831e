//! Reads the trait as it was typed, right or wrong. What cannot be read is kept as tokens, so that an editor still sees it; bodies
//! are never looked into. Nothing here judges what a service may have.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{
    Attribute, Generics, Signature, Token, TypeParamBound, Visibility, braced,
    parse::{ParseStream, Parser, discouraged::Speculative},
    punctuated::Punctuated,
    token,
};

use crate::{
    errors::Errors,
    model::{Input, Item, RawMethod},
};

/// Reads the item below the attribute; `None` if it is no trait.
pub(crate) fn input(item: TokenStream, errors: &Errors) -> Option<Input> {
    let parse = |input: ParseStream| trait_item(input, errors);
    match parse.parse2(item.clone()) {
        Ok(input) => input,
        Err(error) => {
            errors.push(error);
            None
        }
    }
}

fn trait_item(input: ParseStream, errors: &Errors) -> syn::Result<Option<Input>> {
    let mut attrs = input.call(Attribute::parse_outer)?;
    let vis: Visibility = input.parse()?;
    let unsafety: Option<Token![unsafe]> = input.parse()?;
    let auto: Option<Token![auto]> = input.parse()?;
    if !input.peek(Token![trait]) {
        let rest: TokenStream = input.parse()?;
        let keyword = rest.into_iter().next();
        errors.at(
            keyword,
            "`#[iroh_service]` goes on a trait: declare the calls in one, like `trait Greeter { async fn greet(&self, name: String) -> Result<String>; }`",
        );
        return Ok(None);
    }
    input.parse::<Token![trait]>()?;
    let ident = input.parse()?;
    let mut generics: Generics = input.parse()?;
    let mut supertraits = Vec::new();
    if input.parse::<Option<Token![:]>>()?.is_some() {
        let mut bounds = Punctuated::<TypeParamBound, Token![+]>::new();
        while !input.peek(token::Brace) && !input.peek(Token![where]) {
            bounds.push_value(input.parse()?);
            if input.peek(Token![+]) {
                bounds.push_punct(input.parse()?);
            } else {
                break;
            }
        }
        supertraits.extend(bounds);
    }
    generics.where_clause = input.parse()?;
    let content;
    braced!(content in input);
    attrs.extend(content.call(Attribute::parse_inner)?);
    let mut items = Vec::new();
    while !content.is_empty() {
        items.push(trait_member(&content, errors)?);
    }
    Ok(Some(Input {
        attrs,
        vis,
        modifiers: quote!(#unsafety #auto),
        ident,
        generics,
        supertraits,
        items,
    }))
}

fn trait_member(input: ParseStream, errors: &Errors) -> syn::Result<Item> {
    let fork = input.fork();
    let mut broken = false;
    match method(&fork) {
        Ok(method) => {
            input.advance_to(&fork);
            if let Some(method) = method {
                return Ok(Item::Method(Box::new(method)));
            }
        }
        Err(error) => {
            errors.push(error);
            broken = true;
        }
    }
    let mut tokens = TokenStream::new();
    while !input.is_empty() {
        let tree: TokenTree = input.parse()?;
        let ends = match &tree {
            TokenTree::Punct(punct) => punct.as_char() == ';',
            TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
            _ => false,
        };
        tree.to_tokens(&mut tokens);
        if ends {
            break;
        }
    }
    Ok(if broken {
        Item::Broken(tokens)
    } else {
        Item::Other(tokens)
    })
}

/// A method, or `None` if another kind of item comes.
fn method(input: ParseStream) -> syn::Result<Option<RawMethod>> {
    let attrs = input.call(Attribute::parse_outer)?;
    let vis: Visibility = input.parse()?;
    let function = input.peek(Token![async])
        || input.peek(Token![unsafe])
        || input.peek(Token![extern])
        || input.peek(Token![fn])
        || (input.peek(Token![const])
            && (input.peek2(Token![fn])
                || input.peek2(Token![async])
                || input.peek2(Token![unsafe])
                || input.peek2(Token![extern])));
    if !function {
        return Ok(None);
    }
    let signature: Signature = input.parse()?;
    let body = if input.peek(token::Brace) {
        Some(input.parse::<Group>()?)
    } else {
        input.parse::<Token![;]>()?;
        None
    };
    Ok(Some(RawMethod {
        attrs,
        vis,
        signature,
        body,
    }))
}
