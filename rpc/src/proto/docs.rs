//! Doc comments as people of other languages read them: a link that only rustdoc can follow is its text.

/// The text without links to Rust.
pub(super) fn without_links(docs: &str) -> String {
    let mut out = String::with_capacity(docs.len());
    let mut rest = docs;
    while let Some(at) = rest.find('[') {
        let (before, link) = rest.split_at(at);
        out.push_str(before);
        match read(link) {
            Some((text, len)) => {
                out.push_str(text);
                rest = &link[len..];
            }
            None => {
                out.push('[');
                rest = &link[1..];
            }
        }
    }
    out + rest
}

/// The text and the length of the link that this begins with, if it is one to Rust.
fn read(link: &str) -> Option<(&str, usize)> {
    let end = link.find(']')?;
    let text = &link[1..end];
    let behind = &link[end + 1..];
    if let Some(target) = behind.strip_prefix('(') {
        let len = target.find(')')?;
        let is_path = |c: char| c.is_alphanumeric() || matches!(c, '_' | ':' | '@' | '!');
        let to_rust = len > 0 && target[..len].chars().all(is_path);
        return to_rust.then_some((text, end + len + 3));
    }
    let is_code = text.len() > 2 && text.starts_with('`') && text.ends_with('`');
    (is_code && !behind.starts_with(['[', ':'])).then_some((text, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_rust_are_their_text() {
        for (docs, expected) in [
            (
                "The request of [`Greet`](Greeter::greet).",
                "The request of `Greet`.",
            ),
            (
                "See [`Greeting`], and [this](crate::Other).",
                "See `Greeting`, and this.",
            ),
            (
                "At [gRPC](https://grpc.io) and <https://grpc.io>.",
                "At [gRPC](https://grpc.io) and <https://grpc.io>.",
            ),
            (
                "In [the guide](docs/guide.md).",
                "In [the guide](docs/guide.md).",
            ),
            (
                "From [0, 10) and a[0], [x], [`a`][b], [`",
                "From [0, 10) and a[0], [x], [`a`][b], [`",
            ),
            ("[`c`]: defined", "[`c`]: defined"),
            ("[", "["),
            ("[]()", "[]()"),
            ("", ""),
        ] {
            assert_eq!(without_links(docs), expected);
        }
    }
}
