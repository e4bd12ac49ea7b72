//! The thread that carries all flows: one epoll over the ends in every namespace. An end sends a piece of its stream
//! once an interval and checks each byte that comes. What happened goes into the table; nothing is judged here.

use super::datagrams::{Asker, Echo};
use super::errand::{Errand, Shared};
use super::flow::{Fault, Side};
use super::sockets::Servers;
use super::table::Table;
use super::transfer::{Progress, Transfer};
use super::{Pace, WAKE_INTERVAL};
use crate::timeline::lock;
use anyhow::{Context, Result};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Events taken from the kernel at once.
const EVENTS_MAX: usize = 256;
/// From try to try of a caller that is not connected yet.
const RETRY: Duration = Duration::from_millis(20);
/// From question to question of a stream that has had no answer yet: its first datagrams may be lost while the hosts
/// on its way look for each other.
const FIRST_ANSWER: Duration = Duration::from_millis(500);

/// What an event or a moment belongs to: an index each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Token {
    Bell,
    Listener(usize),
    Transfer(usize),
    Asker(usize),
    Echo(usize),
}

impl Token {
    fn to_bits(self) -> u64 {
        let (kind, index) = match self {
            Token::Bell => (0, 0),
            Token::Listener(index) => (1, index),
            Token::Transfer(index) => (2, index),
            Token::Asker(index) => (3, index),
            Token::Echo(index) => (4, index),
        };
        (index as u64) << 3 | kind
    }

    fn from_bits(bits: u64) -> Self {
        let index = usize::try_from(bits >> 3).unwrap_or(usize::MAX);
        match bits & 7 {
            0 => Token::Bell,
            1 => Token::Listener(index),
            2 => Token::Transfer(index),
            3 => Token::Asker(index),
            _ => Token::Echo(index),
        }
    }
}

/// See the module.
pub struct Engine {
    shared: Arc<Shared>,
    epoll: Epoll,
    listeners: Vec<TcpListener>,
    /// `None`: ended, well or not.
    transfers: Vec<Option<Transfer>>,
    askers: Vec<Asker>,
    echoes: Vec<Echo>,
    /// When whose next piece is due.
    due: BinaryHeap<Reverse<(Instant, Token)>>,
    is_finishing: bool,
}

impl Engine {
    /// Takes the called side; nothing runs yet.
    pub fn new(shared: Arc<Shared>, servers: Servers) -> Result<Self> {
        let engine = Engine {
            shared,
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).context("making an epoll")?,
            listeners: servers.listeners,
            transfers: Vec::new(),
            askers: Vec::new(),
            echoes: servers.echoes.into_iter().map(Echo::new).collect(),
            due: BinaryHeap::new(),
            is_finishing: false,
        };
        watch(&engine.epoll, engine.shared.bell(), Token::Bell)?;
        for (index, listener) in engine.listeners.iter().enumerate() {
            watch(&engine.epoll, listener, Token::Listener(index))?;
        }
        for (index, echo) in engine.echoes.iter().enumerate() {
            watch(&engine.epoll, &echo.socket, Token::Echo(index))?;
        }
        Ok(engine)
    }

    fn add_asker(&mut self, socket: UdpSocket, stream: usize) -> Result<()> {
        let token = Token::Asker(self.askers.len());
        watch(&self.epoll, &socket, token)?;
        self.askers.push(Asker::new(socket, stream));
        self.due.push(Reverse((Instant::now(), token)));
        Ok(())
    }

    fn add(&mut self, transfer: Transfer) -> Result<Token> {
        let token = Token::Transfer(self.transfers.len());
        watch(&self.epoll, &transfer.socket, token)?;
        self.transfers.push(Some(transfer));
        Ok(token)
    }

    /// Carries the flows until it is told to stop, or all have ended after `Finish`.
    pub fn run(mut self) -> Result<()> {
        let mut events = vec![EpollEvent::empty(); EVENTS_MAX];
        loop {
            for errand in self.shared.errands() {
                if matches!(errand, Errand::Stop) {
                    return Ok(());
                }
                self.undertake(errand)?;
            }
            if self.is_finishing && self.transfers.iter().all(Option::is_none) {
                return Ok(());
            }
            let timeout = self.timeout_ms();
            let count = match self.epoll.wait(&mut events, EpollTimeout::from(timeout)) {
                Err(nix::errno::Errno::EINTR) => 0,
                count => count.context("waiting for flows")?,
            };
            let tokens = events.iter().take(count);
            let tokens: Vec<_> = tokens.map(|event| Token::from_bits(event.data())).collect();
            let shared = Arc::clone(&self.shared);
            let mut table = lock(&shared.table);
            for token in tokens {
                self.serve(token, &mut table)?;
            }
            self.send_due(&mut table);
            drop(table);
            shared.changed.notify_all();
        }
    }

    fn undertake(&mut self, errand: Errand) -> Result<()> {
        match errand {
            Errand::Call(socket, flow) => {
                let token = self.add(Transfer::calling(socket, flow)?)?;
                self.due.push(Reverse((Instant::now(), token)));
            }
            Errand::Ask(socket, stream) => self.add_asker(socket, stream)?,
            Errand::Wake => self.wake(),
            Errand::Finish => self.finish(),
            Errand::Stop => (),
        }
        Ok(())
    }

    /// Until the next piece is due.
    fn timeout_ms(&self) -> u16 {
        let first = self.due.peek().map(|Reverse((due, _))| *due);
        let left = first.map(|due| due.saturating_duration_since(Instant::now()));
        left.and_then(|left| u16::try_from(left.as_millis()).ok())
            .unwrap_or(u16::MAX)
    }

    fn serve(&mut self, token: Token, table: &mut Table) -> Result<()> {
        match token {
            Token::Bell => self.shared.hush()?,
            Token::Listener(index) => self.accept(index)?,
            Token::Transfer(index) => self.receive(index, table),
            Token::Asker(index) => {
                if let Some(asker) = self.askers.get(index) {
                    asker.receive(table);
                }
            }
            Token::Echo(index) => {
                if let Some(echo) = self.echoes.get(index) {
                    echo.answer(index, table);
                }
            }
        }
        Ok(())
    }

    fn accept(&mut self, index: usize) -> Result<()> {
        // What is not there any more by the time it is taken has told its caller so.
        while let Some(Ok((socket, _))) = self.listeners.get(index).map(TcpListener::accept) {
            self.add(Transfer::called(socket)?)?;
        }
        Ok(())
    }

    /// Takes what came; who has just been told whose end it is begins to send.
    fn receive(&mut self, index: usize, table: &mut Table) {
        let was_named = self.is_named(index);
        self.step(index, |transfer| transfer.receive(table));
        if !was_named && self.is_named(index) {
            let begin = (Instant::now(), Token::Transfer(index));
            self.due.push(Reverse(begin));
        }
    }

    fn is_named(&self, index: usize) -> bool {
        let transfer = self.transfers.get(index).and_then(Option::as_ref);
        transfer.is_some_and(|transfer| transfer.flow().is_some())
    }

    /// Lets a transfer do something, and lets it go if that was the last.
    fn step(&mut self, index: usize, act: impl FnOnce(&mut Transfer) -> Progress) {
        let Some(slot) = self.transfers.get_mut(index) else {
            return;
        };
        if let Some(transfer) = slot
            && act(transfer) == Progress::Done
        {
            *slot = None;
        }
    }

    fn send_due(&mut self, table: &mut Table) {
        let now = Instant::now();
        while let Some(Reverse((due, token))) = self.due.peek().copied() {
            if due > now {
                return;
            }
            self.due.pop();
            let rest = self.rest_left(token, table, now);
            let Some(interval) = rest.or_else(|| self.send(token, table)) else {
                continue;
            };
            // After a stall of this machine, go on from now: a burst would measure nothing.
            self.due.push(Reverse(((due + interval).max(now), token)));
        }
    }

    /// Sends the next piece of whoever is due; gives the time until the one after it, if there will be one.
    fn send(&mut self, token: Token, table: &mut Table) -> Option<Duration> {
        match token {
            Token::Transfer(index) => {
                let flow = self.transfers.get(index)?.as_ref()?.flow()?;
                let pace = table.flows.get(flow)?.pace;
                if self.is_finishing {
                    self.end(index, table);
                    return None;
                }
                let mut has_sent = true;
                self.step(index, |transfer| {
                    let progress = transfer.send(pace.bytes, table);
                    has_sent = transfer.has_sent(table);
                    progress
                });
                // Before it is connected nothing is taken.
                Some(if has_sent {
                    table.intervals(pace).0
                } else {
                    RETRY
                })
            }
            Token::Asker(index) if !self.is_finishing => {
                let asker = self.askers.get(index)?;
                asker.send(table);
                let stream = table.datagrams.get(asker.stream)?;
                let (_, interval) = table.intervals(stream.pace);
                Some(match stream.answered {
                    0 => interval.min(FIRST_ANSWER),
                    // Until it is answered: a datagram may be lost while roles change.
                    _ if stream.pace.is_resting() => interval.min(WAKE_INTERVAL),
                    _ => interval,
                })
            }
            _ => None,
        }
    }

    /// How long a stream that had an answer goes on resting.
    fn rest_left(&self, token: Token, table: &Table, now: Instant) -> Option<Duration> {
        let Token::Asker(index) = token else {
            return None;
        };
        let stream = table.datagrams.get(self.askers.get(index)?.stream)?;
        let is_resting = stream.pace.is_resting() && stream.answered > 0 && !self.is_finishing;
        let (_, interval) = table.intervals(stream.pace);
        let left = interval.checked_sub(now.saturating_duration_since(stream.last))?;
        (is_resting && !left.is_zero()).then_some(left)
    }

    /// Both ends of those that rest say something, beside their pace.
    fn wake(&mut self) {
        let shared = Arc::clone(&self.shared);
        let mut table = lock(&shared.table);
        let transfers = (0..self.transfers.len()).map(Token::Transfer);
        let all: Vec<_> = transfers
            .chain((0..self.askers.len()).map(Token::Asker))
            .collect();
        for token in all {
            if self.is_resting(token, &table) {
                self.send(token, &mut table);
            }
        }
    }

    fn is_resting(&self, token: Token, table: &Table) -> bool {
        let pace = match token {
            Token::Transfer(index) => {
                let transfer = self.transfers.get(index).and_then(Option::as_ref);
                let flow = transfer.and_then(Transfer::flow);
                flow.and_then(|flow| table.flows.get(flow))
                    .map(|flow| flow.pace)
            }
            Token::Asker(index) => {
                let asker = self.askers.get(index);
                let stream = asker.and_then(|asker| table.datagrams.get(asker.stream));
                stream.map(|stream| stream.pace)
            }
            _ => None,
        };
        pace.is_some_and(Pace::is_resting)
    }

    /// From here on, who is due says that there is no more instead; those that rest do so at once.
    fn finish(&mut self) {
        self.is_finishing = true;
        self.wake();
    }

    /// The callers say that there is no more; the called ones do so when they hear it.
    fn end(&mut self, index: usize, table: &mut Table) {
        self.step(index, |transfer| match transfer.side {
            Side::Client => transfer.end(table),
            Side::Server => Progress::On,
        });
    }
}

/// Tells of what comes on a socket as often as there is something.
fn watch(epoll: &Epoll, socket: impl AsFd, token: Token) -> Result<()> {
    let event = EpollEvent::new(EpollFlags::EPOLLIN, token.to_bits());
    epoll.add(socket, event).context("watching a socket")
}

/// Words for an error of a connection.
pub fn broken(error: &std::io::Error) -> Fault {
    Fault::Reset(error.to_string())
}
