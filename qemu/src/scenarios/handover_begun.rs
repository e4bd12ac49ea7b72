//! Balanced connections that begin in the midst of a handover. One has the server's answer to its SYN by the box that lets
//! go, and all else by the heir; of another the heir is not told in time, and must not reset it.

use super::stage::Stage;
use super::talk::Talk;
use crate::net::{NODES, cut, mend, tap};
use crate::pair::{Pair, ROLE_TIMEOUT, is_active};
use crate::servers::PORT_NAT;
use anyhow::{Context, Result};
use std::time::Duration;

/// Well below the 3 s for which a box leaves segments of connections unanswered that it does not know.
const HELD: Duration = Duration::from_secs(1);

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
    let mut talk = Talk::begin(PORT_NAT)?;
    take_over(pair, 1 - leaver, "takeover")?;
    talk.ask()?;
    talk.expect_answer("a handshake half done at the handover should end by way of the heir")
        .map(drop)
}

/// Nothing of the connection comes to the heir before its next segment does.
fn untold(pair: &Pair) -> Result<()> {
    let heir = 1 - pair.active()?;
    cut(&["udp dport 695".into()])?;
    let mut talk = Talk::begin(PORT_NAT)?;
    talk.ask()?;
    talk.expect_answer("the active box should carry it")?;
    take_over(pair, heir, "takeover force")?;
    talk.ask()?;
    talk.expect_silence(
        HELD,
        "what the heir does not know should be left unanswered at first",
    )?;
    mend()?;
    talk.expect_word("it should be answered once it is known, or reset")?;
    pair.wait_calm()
}

fn take_over(pair: &Pair, heir: usize, order: &str) -> Result<()> {
    let console = &pair.machine(heir)?.console;
    let mark = console.mark();
    console.send(&format!("{order}\r"))?;
    console
        .wait_for(mark, "`active`", ROLE_TIMEOUT, is_active)
        .map(drop)
}
