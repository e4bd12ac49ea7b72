//! The config as text for the operator's screen, which others may see too: without the cluster's key
//! and the password's hash.

use plan::config::Config;

/// Keys of the config file whose values are secrets.
const SECRETS: [&str; 2] = ["key", "password-hash"];

/// TOML, each secret replaced by a comment.
pub fn config_text(config: &Config) -> String {
    let full = plan::text::to_toml(config);
    let mut text = String::with_capacity(full.len());
    for line in full.lines() {
        match secret(line) {
            Some(name) => text.extend(["# ", name, " = (not shown)"]),
            None => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

fn secret(line: &str) -> Option<&'static str> {
    let (name, _) = line.split_once('=')?;
    SECRETS.into_iter().find(|secret| *secret == name.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_lines_of_their_own() {
        assert_eq!(secret("key = \"00\""), Some("key"));
        assert_eq!(secret("  password-hash = \"x\""), Some("password-hash"));
        assert_eq!(secret("priority = 1"), None);
        assert_eq!(secret("[cluster]"), None);
    }
}
