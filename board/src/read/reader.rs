//! Walks TOML tables: takes the keys it is asked for, and reports missing, unknown and wrong ones.

use super::value::{Fault, table};
use crate::diagnostic::{Diagnostic, nearest};
use plan::Problem;
use std::collections::BTreeMap;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Where problems gather, and where each value of the config stood.
pub(super) struct Reader<'a> {
    text: &'a str,
    diagnostics: Vec<Diagnostic>,
    /// Path in the config (`services[0].servers[1].endpoint`) to bytes of the file.
    places: BTreeMap<String, Range<usize>>,
    /// Paths whose value could not be read; what is said about the stand-in would mislead.
    unread: Vec<String>,
}

/// A TOML table that is being read.
pub(super) struct Table<'a> {
    entries: Option<&'a DeTable<'a>>,
    /// How an operator calls it: `[[service]]`.
    title: &'static str,
    /// Where it ends up in the config: `services[0]`; empty for the root.
    path: String,
    span: Range<usize>,
    known: Vec<&'static str>,
}

/// A key of a table.
#[derive(Clone, Copy)]
pub(super) struct Field {
    /// As the operator writes it.
    pub key: &'static str,
    /// As the config calls it.
    pub name: &'static str,
}

/// A key that config and file call the same.
pub(super) const fn same(key: &'static str) -> Field {
    Field { key, name: key }
}

impl<'a> Table<'a> {
    pub(super) fn root(entries: &'a DeTable<'a>) -> Self {
        Self {
            entries: Some(entries),
            title: "the file",
            path: String::new(),
            span: 0..0,
            known: Vec::new(),
        }
    }

    fn of(
        title: &'static str,
        path: String,
        value: &'a Spanned<DeValue<'a>>,
    ) -> Result<Self, Fault> {
        let entries = Some(table(value.get_ref())?);
        Ok(Self {
            entries,
            title,
            path,
            span: value.span(),
            known: Vec::new(),
        })
    }

    /// Takes a key, which is known from now on.
    pub(super) fn take(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        self.entries?.get(key)
    }

    /// All keys with their bytes and values, for tables whose keys are names.
    pub(super) fn entries(
        &self,
    ) -> impl Iterator<Item = (&'a str, Range<usize>, &'a Spanned<DeValue<'a>>)> + use<'a> {
        let entries = self.entries.into_iter().flatten();
        entries.map(|(key, value)| (key.get_ref().as_ref(), key.span(), value))
    }

    pub(super) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// An integer, without taking it.
    pub(super) fn peek_integer(&self, key: &str) -> Option<u64> {
        self.entries?
            .get(key)?
            .get_ref()
            .as_integer()?
            .as_str()
            .parse()
            .ok()
    }

    /// Says where the table ends up when that is not its position in the file.
    pub(super) fn set_path(&mut self, path: String) {
        self.path = path;
    }

    /// Path in the config of one of its fields.
    pub(super) fn path(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            diagnostics: Vec::new(),
            places: BTreeMap::new(),
            unread: Vec::new(),
        }
    }

    pub(super) fn into_diagnostics(self) -> Vec<Diagnostic> {
        self.diagnostics
    }

    pub(super) fn report(&mut self, span: Range<usize>, message: String, help: String) {
        self.diagnostics.push(Diagnostic {
            span,
            message,
            help,
        });
    }

    /// Remembers where a value of the config stood.
    pub(super) fn place(&mut self, path: String, span: Range<usize>) {
        self.places.entry(path).or_insert(span);
    }

    /// A value that may be missing.
    pub(super) fn optional<T>(
        &mut self,
        table: &mut Table<'a>,
        field: Field,
        parse: impl Fn(&DeValue<'a>) -> Result<T, Fault>,
    ) -> Option<T> {
        let value = table.take(field.key)?;
        self.value(table.path(field.name), value, parse)
    }

    /// A value that must be there; `example` says how.
    pub(super) fn required<T>(
        &mut self,
        table: &mut Table<'a>,
        field: Field,
        example: &str,
        parse: impl Fn(&DeValue<'a>) -> Result<T, Fault>,
    ) -> Option<T> {
        if let Some(value) = table.take(field.key) {
            return self.value(table.path(field.name), value, parse);
        }
        self.missing(table, field, example);
        None
    }

    /// Reports that a key is missing.
    pub(super) fn missing(&mut self, table: &Table<'a>, field: Field, example: &str) {
        self.unread.push(table.path(field.name));
        let message = format!("{} has no `{}`", table.title, field.key);
        self.report(table.span(), message, format!("write {example}"));
    }

    /// Notes that the config holds a stand-in at `path`, about which nothing should be said.
    pub(super) fn stand_in(&mut self, path: String) {
        self.unread.push(path);
    }

    /// Reads one value and remembers where it stood.
    pub(super) fn value<T>(
        &mut self,
        path: String,
        value: &Spanned<DeValue<'a>>,
        parse: impl Fn(&DeValue<'a>) -> Result<T, Fault>,
    ) -> Option<T> {
        self.place(path.clone(), value.span());
        match parse(value.get_ref()) {
            Ok(parsed) => Some(parsed),
            Err(fault) => {
                self.refuse(path, value.span(), &fault);
                None
            }
        }
    }

    /// Reports a value that cannot be read.
    pub(super) fn refuse(&mut self, path: String, span: Range<usize>, fault: &Fault) {
        self.unread.push(path);
        let value = self.text.get(span.clone()).unwrap_or_default();
        let value = value
            .lines()
            .next()
            .filter(|line| line.len() == value.len())
            .unwrap_or("this");
        self.report(
            span,
            format!("{value} {}", fault.fault),
            fault.advice.clone(),
        );
    }

    /// A table inside a table, as `[cluster]` in the file or `check = { … }` in a service.
    pub(super) fn table(
        &mut self,
        title: &'static str,
        path: String,
        value: &'a Spanned<DeValue<'a>>,
    ) -> Option<Table<'a>> {
        self.place(path.clone(), value.span());
        match Table::of(title, path.clone(), value) {
            Ok(table) => Some(table),
            Err(fault) => {
                self.refuse(path, value.span(), &fault);
                None
            }
        }
    }

    /// The elements of an array, `[[service]]` or `[…]`, with their paths in the config.
    pub(super) fn elements(
        &mut self,
        table: &mut Table<'a>,
        field: Field,
    ) -> Vec<(String, &'a Spanned<DeValue<'a>>)> {
        let Some(value) = table.take(field.key) else {
            return Vec::new();
        };
        let path = table.path(field.name);
        let DeValue::Array(array) = value.get_ref() else {
            let is_section = matches!(value.get_ref(), DeValue::Table(_)) && table.path.is_empty();
            let advice = if is_section {
                format!("write [[{}]]", field.key)
            } else {
                "write [ … ]".to_owned()
            };
            self.refuse(path, value.span(), &Fault::new("is not a list", advice));
            return Vec::new();
        };
        self.place(
            path.clone(),
            array.first().map_or(value.span(), Spanned::span),
        );
        array
            .iter()
            .enumerate()
            .map(|(position, value)| (format!("{path}[{position}]"), value))
            .collect()
    }

    /// One value or a list of values.
    pub(super) fn several<T>(
        &mut self,
        table: &mut Table<'a>,
        field: Field,
        parse: impl Fn(&DeValue<'a>) -> Result<T, Fault>,
    ) -> Vec<T> {
        let Some(value) = table.take(field.key) else {
            return Vec::new();
        };
        let elements = match value.get_ref() {
            DeValue::Array(_) => self.elements(table, field),
            _ => vec![(table.path(field.name) + "[0]", value)],
        };
        let read = |(path, value)| self.value(path, value, &parse);
        elements.into_iter().filter_map(read).collect()
    }

    /// The sections `[[key]]` of the file.
    pub(super) fn sections(
        &mut self,
        root: &mut Table<'a>,
        title: &'static str,
        field: Field,
    ) -> Vec<Table<'a>> {
        let elements = self.elements(root, field);
        elements
            .into_iter()
            .filter_map(|(path, value)| self.table(title, path, value))
            .collect()
    }

    /// Reports the keys that nobody asked for.
    pub(super) fn finish(&mut self, table: &Table<'a>) {
        for (key, span, _) in table.entries() {
            if table.known.contains(&key) {
                continue;
            }
            let help = match nearest(key, table.known.iter().copied()) {
                Some(guess) => format!("write `{guess}`"),
                None => format!("{} knows {}", table.title, table.known.join(", ")),
            };
            self.report(
                span,
                format!("`{key}` is not known in {}", table.title),
                help,
            );
        }
    }

    /// Reports what `validate` found, unless it follows from something that could not be read.
    pub(super) fn report_problem(&mut self, problem: &Problem) {
        let is_about = |unread: &String| {
            problem.path.starts_with(unread.as_str()) || unread.starts_with(problem.path.as_str())
        };
        let follows = self
            .unread
            .iter()
            .any(|unread| is_about(unread) || depends_on(&problem.path, unread));
        if !follows {
            let span = self.find(&problem.path);
            self.report(
                span,
                format!("{} {}", problem.value, problem.fault),
                problem.advice.clone(),
            );
        }
    }

    /// The bytes of a path, or of the nearest thing around it.
    fn find(&self, path: &str) -> Range<usize> {
        let mut path = path;
        loop {
            if let Some(span) = self.places.get(path) {
                return span.clone();
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = path.get(..end).unwrap_or_default(),
                None => return 0..0,
            }
        }
    }
}

/// Whether what is checked about `path` is computed from the section of `unread`.
fn depends_on(path: &str, unread: &str) -> bool {
    const SOURCES: [(&str, &[&str]); 6] = [
        ("interfaces", &["nodes"]),
        ("routes", &["nodes", "interfaces"]),
        ("virtual_addresses", &["nodes", "interfaces"]),
        ("links", &["nodes", "interfaces"]),
        ("services", &["nodes", "interfaces", "virtual_addresses"]),
        ("firewall", &["nodes", "interfaces", "virtual_addresses"]),
    ];
    let sources = SOURCES
        .iter()
        .filter(|(section, _)| path.starts_with(section))
        .flat_map(|(_, sources)| *sources);
    sources.into_iter().any(|source| unread.starts_with(source))
}
