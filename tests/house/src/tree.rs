//! The checkout as the rules see it: every text file that is ours, in memory. Build results and git's own files are left out.

use anyhow::{Context, Result};
use std::path::Path;

/// What holds nothing of ours; in a linked work tree, `.git` is a file.
const SKIPPED: [&str; 2] = [".git", "target"];

/// A text file of the checkout.
pub(crate) struct File {
    /// Relative to the root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// All text files, sorted by path.
pub(crate) struct Tree {
    files: Vec<File>,
    /// Paths of what is no text: pictures, captures, links.
    others: Vec<String>,
}

impl Tree {
    /// Reads the checkout; of files that are no UTF-8 only the path is kept.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let (files, others) = (Vec::new(), Vec::new());
        let mut tree = Self { files, others };
        tree.read_folder(root, "")?;
        tree.files.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(tree)
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = &File> {
        self.files.iter()
    }

    /// Files with this ending, such as `.rs`.
    pub(crate) fn ending(&self, ending: &'static str) -> impl Iterator<Item = &File> {
        self.files
            .iter()
            .filter(move |file| file.path.ends_with(ending))
    }

    /// Whether there is a file or folder of that path.
    pub(crate) fn has(&self, path: &str) -> bool {
        let inside = format!("{path}/");
        let texts = self.files.iter().map(|file| &file.path);
        let mut all = texts.chain(&self.others);
        all.any(|known| known == path || known.starts_with(&inside))
    }

    fn read_folder(&mut self, folder: &Path, prefix: &str) -> Result<()> {
        let entries =
            std::fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if SKIPPED.contains(&name.as_str()) {
                continue;
            }
            let path = format!("{prefix}{name}");
            let kind = entry.file_type()?;
            if kind.is_dir() {
                self.read_folder(&entry.path(), &format!("{path}/"))?;
            } else if kind.is_file() {
                let bytes =
                    std::fs::read(entry.path()).with_context(|| format!("reading {path}"))?;
                match String::from_utf8(bytes) {
                    Ok(text) => self.files.push(File { path, text }),
                    Err(_) => self.others.push(path),
                }
            } else {
                self.others.push(path);
            }
        }
        Ok(())
    }

    /// The text of one file, if it is there.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.files
            .iter()
            .find(|file| file.path == path)
            .map(|file| file.text.as_str())
    }
}

impl File {
    /// Lines with their numbers, counted from 1.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines())
    }

    /// A script: no Rust, and begins with `#!` or ends in `.sh`.
    pub(crate) fn is_script(&self) -> bool {
        self.text.starts_with("#!/") || self.path.ends_with(".sh")
    }
}

#[cfg(test)]
impl Tree {
    /// A tree of one file, for tests of rules.
    pub(crate) fn of(path: &str, text: &str) -> Self {
        Self::of_all(&[(path, text)])
    }

    /// A tree of these files.
    pub(crate) fn of_all(files: &[(&str, &str)]) -> Self {
        let file = |(path, text): &(&str, &str)| File {
            path: (*path).into(),
            text: (*text).into(),
        };
        Self {
            files: files.iter().map(file).collect(),
            others: Vec::new(),
        }
    }
}
