//! The full name of a key, as people write it.

/// A key as TOML writes it: `migration.services."demo.v1.Greeter".carry`.
pub(super) fn joined(path: &[String]) -> String {
    let plain = |part: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
    };
    let parts: Vec<String> = path
        .iter()
        .map(|part| {
            if plain(part) {
                part.clone()
            } else {
                format!("{part:?}")
            }
        })
        .collect();
    parts.join(".")
}
