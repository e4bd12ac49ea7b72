//! One end of a TCP flow. It sends its stream piece by piece and compares what comes with the stream that the other
//! end must send.

use super::engine::broken;
use super::flow::{Fault, Flow, Side};
use super::stream::{NAME_BYTES, Stream, named};
use super::table::Table;
use anyhow::Result;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

const READ_BYTES: usize = 16 * 1024;

/// Whether an end has something left to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It goes on.
    On,
    /// It has ended, well or not, and can be let go.
    Done,
}

/// See the module.
pub struct Transfer {
    /// Does not block.
    pub socket: TcpStream,
    /// Which end it is.
    pub side: Side,
    /// Index of its flow; `None` before a caller has named it.
    flow: Option<usize>,
    /// The beginning of a stream that has not named its flow yet.
    beginning: Vec<u8>,
    has_said_all: bool,
}

impl Transfer {
    /// The end that calls, for flow `flow`.
    pub fn calling(socket: TcpStream, flow: usize) -> Result<Self> {
        Self::new(socket, Side::Client, Some(flow))
    }

    /// The end that was called: the stream itself will say by which flow.
    pub fn called(socket: TcpStream) -> Result<Self> {
        socket.set_nonblocking(true)?;
        // As for callers: nothing is left behind. Inherited from the listener it would not be.
        socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO))?;
        Self::new(socket, Side::Server, None)
    }

    fn new(socket: TcpStream, side: Side, flow: Option<usize>) -> Result<Self> {
        socket.set_nodelay(true)?;
        Ok(Transfer {
            socket,
            side,
            flow,
            beginning: Vec::new(),
            has_said_all: false,
        })
    }

    /// Index of its flow, once it is known.
    pub fn flow(&self) -> Option<usize> {
        self.flow
    }

    /// Sends the next `count` bytes, or as many as the kernel takes.
    pub fn send(&mut self, count: usize, table: &mut Table) -> Progress {
        let (side, Some(flow)) = (self.side, self.entry(table)) else {
            return Progress::On;
        };
        if self.has_said_all {
            return Progress::On;
        }
        let mut bytes = vec![0; count];
        let half = flow.half(side);
        self.stream(side).fill(half.sent, &mut bytes);
        match (&self.socket).write(&bytes) {
            Ok(taken) => half.sent += taken as u64,
            // Not connected yet, or what was sent waits to be acknowledged.
            Err(error) if is_patient(&error) => (),
            Err(error) => {
                flow.note_fault(broken(&error));
                return Progress::Done;
            }
        }
        Progress::On
    }

    /// Something of it is on its way.
    pub fn has_sent(&self, table: &mut Table) -> bool {
        let side = self.side;
        self.entry(table)
            .is_some_and(|flow| flow.half(side).sent > 0)
    }

    /// Takes and checks all that came.
    pub fn receive(&mut self, table: &mut Table) -> Progress {
        let mut bytes = [0; READ_BYTES];
        loop {
            let progress = match (&self.socket).read(&mut bytes) {
                Ok(0) => return self.hear_end(table),
                Ok(count) => self.check(bytes.get(..count).unwrap_or_default(), table),
                Err(error) if is_patient(&error) => return Progress::On,
                Err(error) => {
                    if let Some(flow) = self.entry(table) {
                        flow.note_fault(broken(&error));
                    }
                    return Progress::Done;
                }
            };
            if progress == Progress::Done {
                return progress;
            }
        }
    }

    /// Says that there is no more.
    pub fn end(&mut self, table: &mut Table) -> Progress {
        self.has_said_all = true;
        // From here on the kernel may take its time to bring the rest across.
        let patient = socket2::SockRef::from(&self.socket).set_linger(None);
        match patient.and_then(|()| self.socket.shutdown(Shutdown::Write)) {
            Ok(()) => Progress::On,
            Err(error) => {
                if let Some(flow) = self.entry(table) {
                    flow.note_fault(broken(&error));
                }
                Progress::Done
            }
        }
    }

    fn check(&mut self, bytes: &[u8], table: &mut Table) -> Progress {
        if self.flow.is_some() {
            return self.compare(bytes, table);
        }
        self.beginning.extend(bytes);
        let Some(name) = self.beginning.get(..NAME_BYTES) else {
            return Progress::On;
        };
        let index = named(name).and_then(|number| usize::try_from(number).ok());
        // A name that no flow has: its caller will miss an answer, which counts.
        let Some(index) = index.filter(|index| *index < table.flows.len()) else {
            return Progress::Done;
        };
        self.flow = Some(index);
        let beginning = std::mem::take(&mut self.beginning);
        self.compare(&beginning, table)
    }

    fn compare(&mut self, bytes: &[u8], table: &mut Table) -> Progress {
        let (side, Some(flow)) = (self.side, self.entry(table)) else {
            return Progress::Done;
        };
        let offset = flow.half(side).received;
        let theirs = self.stream(side.other());
        let right = theirs.right_bytes(offset, bytes);
        if right < bytes.len() {
            let place = offset + right as u64;
            flow.note_fault(Fault::Corrupt(format!("byte {place} is wrong")));
            return Progress::Done;
        }
        if let Some(number) = self.flow {
            table.note_received(number, side, right, Instant::now());
        }
        Progress::On
    }

    fn hear_end(&mut self, table: &mut Table) -> Progress {
        let (side, Some(flow)) = (self.side, self.entry(table)) else {
            return Progress::Done;
        };
        flow.half(side).has_ended = true;
        match side {
            // The caller ends first, so here the other one's bytes end too.
            Side::Client if self.has_said_all => Progress::Done,
            Side::Client => {
                flow.note_fault(Fault::Reset("the server ended it".into()));
                Progress::Done
            }
            Side::Server => {
                // What fails here is noted there.
                let _ = self.end(table);
                Progress::Done
            }
        }
    }

    fn entry<'a>(&self, table: &'a mut Table) -> Option<&'a mut Flow> {
        table.flows.get_mut(self.flow?)
    }

    /// The bytes that `side` sends.
    fn stream(&self, side: Side) -> Stream {
        Stream {
            flow: self
                .flow
                .and_then(|flow| u32::try_from(flow).ok())
                .unwrap_or_default(),
            is_upward: side == Side::Client,
        }
    }
}

fn is_patient(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
