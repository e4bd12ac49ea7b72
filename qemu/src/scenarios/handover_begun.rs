//! Balanced connections that begin in the midst of a handover. One has the server's answer to its SYN by the box that lets
//! go, and all else by the heir; of another the heir is not told in time, and must not reset it.

use super::stage::{Stage, ensure};
use crate::net::{CLIENT, NODES, VIRTUAL_V4, cut, mend, tap};
use crate::ns;
use crate::pair::{Pair, ROLE_TIMEOUT, is_active};
use crate::servers::PORT_NAT;
use anyhow::{Context, Result};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: pollux\r\n\r\n";
/// Well below the 3 s for which a box leaves segments of connections unanswered that it does not know.
const HELD: Duration = Duration::from_secs(1);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

pub fn run(stage: &mut Stage) -> Result<()> {
    let pair = stage.pair()?;
    pair.wait_in_sync()?;
    half_open(&pair)?;
    mend()?;
    pair.wait_calm()?;
    pair.wait_in_sync()?;
    untold(&pair)
}

/// The last step of the handshake never comes to the box that knows of the first two.
fn half_open(pair: &Pair) -> Result<()> {
    let leaver = pair.active()?;
    let card = tap(NODES.get(leaver).context("a pair has two boxes")?, "wan");
    cut(&[format!(
        "oifname \"{card}\" tcp dport {PORT_NAT} tcp flags & syn == 0"
    )])?;
    let mut stream = connect()?;
    take_over(pair, 1 - leaver, "takeover")?;
    stream.write_all(REQUEST)?;
    let mut answer = [0; 1024];
    let length = stream
        .read(&mut answer)
        .context("a connection whose handshake was half done at the handover")?;
    let text = String::from_utf8_lossy(answer.get(..length).unwrap_or_default());
    let what = "the request should be answered by way of the heir";
    ensure(text.starts_with("HTTP/1.1 200"), what, &text)
}

/// Nothing of the connection comes to the heir before its next segment does.
fn untold(pair: &Pair) -> Result<()> {
    let heir = 1 - pair.active()?;
    cut(&["udp dport 695".into()])?;
    let mut stream = connect()?;
    stream.write_all(REQUEST)?;
    let answered = stream.read(&mut [0; 1024])?;
    ensure(answered > 0, "the active box should carry it", "an end")?;
    take_over(pair, heir, "takeover force")?;
    stream.set_read_timeout(Some(HELD))?;
    stream.write_all(REQUEST)?;
    let heard = stream.read(&mut [0; 1024]);
    let is_silence = |error: &std::io::Error| error.kind() == ErrorKind::WouldBlock;
    let what = "what the heir does not know should be left unanswered at first";
    ensure(
        heard.as_ref().is_err_and(is_silence),
        what,
        &format!("{heard:?}"),
    )?;
    mend()?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    let heard = stream.read(&mut [0; 1024]);
    let what = "it should be answered once it is known, or reset";
    ensure(
        !heard.as_ref().is_err_and(is_silence),
        what,
        &format!("{heard:?}"),
    )?;
    pair.wait_calm()
}

fn connect() -> Result<TcpStream> {
    let stream = ns::within(CLIENT, || {
        let to = SocketAddr::new(VIRTUAL_V4.parse()?, PORT_NAT);
        Ok(TcpStream::connect(to)?)
    })?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    Ok(stream)
}

fn take_over(pair: &Pair, heir: usize, order: &str) -> Result<()> {
    let console = &pair.machine(heir)?.console;
    let mark = console.mark();
    console.send(&format!("{order}\r"))?;
    console
        .wait_for(mark, "`active`", ROLE_TIMEOUT, is_active)
        .map(drop)
}
