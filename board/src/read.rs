//! From the operator's TOML to a `Config`. Reads on after an error, so that all problems of a file are told
//! at once; remembers where each value stood, so that `validate` can point at it.

mod cluster;
mod firewall;
mod network;
mod reader;
mod service;
mod value;

use crate::diagnostic::Diagnostic;
use plan::config::firewall::Firewall;
use plan::config::{Cluster, Config, Console, FailBack, LogLevel, Timing};
use reader::{Reader, Table};
use toml::de::DeTable;

/// A config file that has been read.
pub(crate) struct Reading {
    /// What it says. Built only from valid values when there are no diagnostics.
    pub config: Config,
    /// What is wrong with it, in no order.
    pub diagnostics: Vec<Diagnostic>,
    /// Bytes of the line `password = …` where there is one, and what may stand there instead.
    pub secret: Option<(std::ops::Range<usize>, String)>,
}

/// Reads and validates a config file.
pub(crate) fn read(text: &str) -> Reading {
    let (root, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader::new(text);
    for error in &errors {
        let advice = "see https://toml.io for how values, tables and arrays are written";
        reader.report(
            error.span().unwrap_or(0..0),
            error.message().to_owned(),
            advice.to_owned(),
        );
    }
    if !errors.is_empty() {
        // What follows would be guesses about text that is not TOML.
        return Reading {
            config: empty(),
            diagnostics: reader.into_diagnostics(),
            secret: None,
        };
    }
    let mut table = Table::root(root.get_ref());
    let mut config = empty();
    cluster::read(&mut reader, &mut table, &mut config);
    network::read(&mut reader, &mut table, &mut config);
    service::read(&mut reader, &mut table, &mut config);
    firewall::read(&mut reader, &mut table, &mut config);
    let secret = cluster::read_console(&mut reader, &mut table, &mut config);
    reader.finish(&table);
    if let Err(problems) = plan::validate(&config) {
        problems
            .iter()
            .for_each(|problem| reader.report_problem(problem));
    }
    Reading {
        config,
        diagnostics: reader.into_diagnostics(),
        secret,
    }
}

fn empty() -> Config {
    Config {
        cluster: Cluster {
            name: String::new(),
            key: [0; 32],
            timing: Timing::Default,
            fail_back: FailBack::Off,
        },
        nodes: Vec::new(),
        interfaces: Vec::new(),
        routes: Vec::new(),
        virtual_addresses: Vec::new(),
        links: Vec::new(),
        services: Vec::new(),
        console: Console {
            password: None,
            log_level: LogLevel::Info,
        },
        virtual_mac: false,
        firewall: Firewall::default(),
    }
}
