//! All connections of this kernel, a part at a time: /proc/net/ip_vs_conn goes through the whole table for each part,
//! and with a hundred thousand connections the worker has other things to do in between.

use super::methods::{self, Methods};
use super::{Error, tell};
use netlink::ipvs::Family;
use netlink::ipvs::sync_message::listing::parse;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use sys::netlink::Netlink;

const FILE: &str = "/proc/net/ip_vs_conn";

/// Lines that are read in one turn: some 2 ms.
pub const LINES_PER_TURN: usize = 512;

/// Which connections are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Those that the master tells of.
    Open,
    /// Those whose client has still to answer the server's SYN. There may be a flood of them.
    HalfOpen,
}

/// A listing that goes on.
pub struct Listing {
    which: Which,
    methods: Methods,
    lines: BufReader<File>,
    line: Vec<u8>,
    passed_over: u64,
}

pub(super) fn begin(generic: &mut Netlink, family: Family, which: Which) -> Result<Listing, Error> {
    let methods = methods::read(generic, family)?;
    let file = File::open(FILE).map_err(|error| failed(&error))?;
    Ok(Listing {
        which,
        methods,
        lines: BufReader::new(file),
        line: Vec::new(),
        passed_over: 0,
    })
}

fn failed(error: &io::Error) -> sys::Error {
    sys::Error::new("reading", error.raw_os_error().unwrap_or(0)).on(FILE)
}

impl Listing {
    /// Reads up to `lines_max` more and hands key, value and lifetime in seconds of each to `note`: what is left of a
    /// connection's timer, and for a template the whole persistence, as the master has it. `false` at the end.
    ///
    /// # Errors
    /// A file that can't be read; begin anew.
    pub fn advance(
        &mut self,
        lines_max: usize,
        mut note: impl FnMut(&[u8], &[u8], u32),
    ) -> Result<bool, Error> {
        for _ in 0..lines_max {
            self.line.clear();
            let length = self.lines.read_until(b'\n', &mut self.line);
            if length.map_err(|error| failed(&error))? == 0 {
                return Ok(false);
            }
            let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
            match parse(line) {
                Ok(None) => {}
                Err(_) => self.passed_over += 1,
                Ok(Some(listed)) if listed.is_half_open() != (self.which == Which::HalfOpen) => {}
                Ok(Some(listed)) => {
                    let Some(method) = self.methods.find(&listed) else {
                        self.passed_over += 1;
                        continue;
                    };
                    let mut entry = listed.entry(method.forwarding);
                    if let (true, Some(persistence_s)) =
                        (listed.is_template(), method.persistence_s)
                    {
                        entry.timeout_s = persistence_s;
                    }
                    tell(&entry, &mut note);
                }
            }
        }
        Ok(true)
    }

    /// Lines that could not be read, or whose service is gone.
    pub fn passed_over(&self) -> u64 {
        self.passed_over
    }
}
