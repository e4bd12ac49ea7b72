//! A config file on disk: read, judged, and ready to be written to a medium.

use crate::{diagnostic, read};
use anyhow::{Context, Result, bail};
use plan::config::Config;
use std::path::Path;

/// A config file without problems.
pub(crate) struct Source {
    /// What it says.
    pub config: Config,
    /// Its text, a password in clear text replaced by its hash.
    pub text: String,
}

impl Source {
    /// Reads a config file; the error shows all its problems.
    pub(crate) fn open(file: &Path) -> Result<Self> {
        let bytes =
            std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        let mut text = String::from_utf8(bytes)
            .with_context(|| format!("{} is no UTF-8 text", file.display()))?;
        let reading = read::read(&text);
        if !reading.diagnostics.is_empty() {
            bail!(diagnostic::render(
                &file.display().to_string(),
                &text,
                &reading.diagnostics
            ));
        }
        if let Some((span, line)) = reading.secret {
            text.replace_range(span, &line);
        }
        Ok(Self {
            config: reading.config,
            text,
        })
    }

    /// Makes sure that the config has a node of this name.
    pub(crate) fn require_node(&self, name: &str) -> Result<()> {
        if self.config.node_index(name).is_some() {
            return Ok(());
        }
        let names: Vec<&str> = self
            .config
            .nodes
            .iter()
            .map(|node| node.name.as_str())
            .collect();
        bail!(
            "the config has no node {name}: write --node {}",
            names.join(" or --node ")
        );
    }
}
