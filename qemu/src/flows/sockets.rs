//! The sockets of flows, each made in the namespace of the host it stands for. A socket stays in the network it was
//! made in, so one thread can serve the ends in all of them.

use super::route::{Route, listeners};
use crate::ns;
use anyhow::{Context, Result};
use socket2::{Domain, Socket, Type};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

/// Connections that may wait for `accept`: all that begin at once.
const BACKLOG: i32 = 1024;

/// Sockets of the called side.
#[derive(Debug)]
pub struct Servers {
    /// For transfers.
    pub listeners: Vec<TcpListener>,
    /// For datagrams.
    pub echoes: Vec<UdpSocket>,
}

impl Servers {
    /// In every host that is a target of a route.
    pub fn open() -> Result<Self> {
        let mut servers = Servers {
            listeners: Vec::new(),
            echoes: Vec::new(),
        };
        for (host, address) in listeners()? {
            let (listener, echo) = ns::within(host, move || Ok((listen(address)?, echo(address)?)))
                .with_context(|| format!("listening on {address} in {host}"))?;
            servers.listeners.push(listener);
            servers.echoes.push(echo);
        }
        Ok(servers)
    }
}

/// A listening socket that does not block.
pub fn listen(address: SocketAddr) -> Result<TcpListener> {
    let socket = fresh(address, Type::STREAM)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A bound datagram socket that does not block.
pub fn echo(address: SocketAddr) -> Result<UdpSocket> {
    let socket = fresh(address, Type::DGRAM)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// The calling end of flow `number` of a route, on its way to being connected.
pub fn call(route: Route, number: usize) -> Result<TcpStream> {
    let target = route.target(number)?;
    ns::within(route.source(number), move || connect(target))
        .with_context(|| format!("connecting to {target}, {}", route.name()))
}

/// A socket on its way to being connected, which does not block.
pub fn connect(target: SocketAddr) -> Result<TcpStream> {
    let socket = fresh(target, Type::STREAM)?;
    // A flow that is given up leaves nothing behind that would go on sending.
    socket.set_linger(Some(Duration::ZERO))?;
    match socket.connect(&target.into()) {
        Err(error) if error.raw_os_error() != Some(nix::libc::EINPROGRESS) => Err(error.into()),
        _ => Ok(socket.into()),
    }
}

/// The asking end of a route's datagrams.
pub fn ask(route: Route) -> Result<UdpSocket> {
    let target = route.target(0)?;
    ns::within(route.source(0), move || {
        let socket = fresh(target, Type::DGRAM)?;
        // Connected, so that only what comes from the target counts as an answer.
        socket.connect(&target.into())?;
        Ok(socket.into())
    })
}

fn fresh(address: SocketAddr, kind: Type) -> Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}
