//! Operating a testbed that stays up, from other terminals: a socket outside the namespaces takes one command
//! a connection. `console NAME` turns the connection into that console.

use crate::net;
use crate::net::{NETWORKS, NODES};
use crate::pair::Pair;
use anyhow::{Context, Result, bail};
use std::fs;
use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;

/// What leaves `testbed console`: ctrl-], as in telnet.
const ESCAPE: u8 = 0x1d;

/// Serves commands on `socket` until the testbed is interrupted.
pub fn serve(pair: &Arc<Pair>, socket: &Path) -> Result<()> {
    // Left by a testbed that was killed.
    let _ = fs::remove_file(socket);
    let listener =
        UnixListener::bind(socket).with_context(|| format!("listening on {}", socket.display()))?;
    for stream in listener.incoming() {
        let (stream, pair) = (stream?, Arc::clone(pair));
        thread::spawn(move || {
            if let Err(error) = answer(&pair, &stream) {
                let _ = writeln!(&stream, "{error:#}");
            }
        });
    }
    Ok(())
}

fn answer(pair: &Pair, mut stream: &UnixStream) -> Result<()> {
    let mut line = String::new();
    // One byte at a time: what follows the line is typed on a console.
    while !line.ends_with('\n') {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        line.extend(byte.map(char::from));
    }
    let words: Vec<_> = line.split_whitespace().collect();
    match words.as_slice() {
        ["console", node] => return machine(pair, node)?.console.attach(stream.try_clone()?),
        ["power", "cut", node] => drop(machine(pair, node)?.power_cut()),
        ["power", "on", node] => machine(pair, node)?.power_on()?,
        ["link", "cut", cable] => set_cable(pair, cable, false)?,
        ["link", "mend", cable] => set_cable(pair, cable, true)?,
        _ => bail!("no such command: {}", line.trim()),
    }
    writeln!(stream, "done")?;
    Ok(())
}

fn machine<'a>(pair: &'a Pair, name: &str) -> Result<&'a crate::vm::Machine> {
    let found = pair.boxes.iter().find(|machine| machine.name() == name);
    found.with_context(|| format!("there is no box {name}: write {} or {}", NODES[0], NODES[1]))
}

/// Cables: `null-modem`, `heartbeats`, a network (both boxes' cables), or `BOX-NETWORK`.
fn set_cable(pair: &Pair, cable: &str, is_in: bool) -> Result<()> {
    match cable {
        "null-modem" if is_in => pair.modem.mend(),
        "null-modem" => pair.modem.cut(),
        "heartbeats" if is_in => net::mend()?,
        "heartbeats" => net::cut_heartbeats()?,
        network if NETWORKS.contains(&network) => {
            pair.boxes
                .iter()
                .try_for_each(|machine| machine.set_cable(network, is_in))?;
        }
        one => {
            let (node, network) = one.split_once('-').unwrap_or((one, ""));
            if !NETWORKS.contains(&network) {
                bail!(
                    "no cable {one}: write null-modem, heartbeats, wan, lan, sync, or castor-wan and the like"
                );
            }
            machine(pair, node)?.set_cable(network, is_in)?;
        }
    }
    Ok(())
}

/// What to type elsewhere.
pub fn help(testbed: &str) -> String {
    format!(
        "The pair stays up; ctrl-C here ends it. From another terminal:
  {testbed} console castor             the box's console (ctrl-] leaves it)
  {testbed} power cut castor           pull the power plug, `power on castor` puts it back
  {testbed} link cut null-modem        pull a cable, `link mend null-modem` puts it back
                                       others: heartbeats, wan, lan, sync, castor-wan, pollux-lan, …"
    )
}

/// The other side: sends one command and prints the answer.
pub fn command(socket: &Path, words: &[&str]) -> Result<()> {
    let mut stream = connect(socket)?;
    writeln!(stream, "{}", words.join(" "))?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    if answer.trim() != "done" {
        bail!("{}", answer.trim());
    }
    println!("done");
    Ok(())
}

/// The other side: this terminal becomes the console of `node`.
pub fn console(socket: &Path, node: &str) -> Result<()> {
    let mut stream = connect(socket)?;
    writeln!(stream, "console {node}")?;
    eprintln!("console of {node}; press enter for a prompt, ctrl-] to leave");
    let raw = RawTerminal::set();
    let mut from_box = stream.try_clone()?;
    let printer = thread::spawn(move || std::io::copy(&mut from_box, &mut std::io::stdout()));
    for byte in std::io::stdin().lock().bytes() {
        let byte = byte?;
        if byte == ESCAPE || printer.is_finished() {
            break;
        }
        stream.write_all(&[byte])?;
    }
    drop(raw);
    eprintln!();
    Ok(())
}

fn connect(socket: &Path) -> Result<UnixStream> {
    let stream = UnixStream::connect(socket);
    stream.with_context(|| {
        format!(
            "{}: no testbed stays there; start one with qemu/demo --stay",
            socket.display()
        )
    })
}

/// The terminal in raw mode, until dropped.
struct RawTerminal(Option<String>);

impl RawTerminal {
    fn set() -> Self {
        if !std::io::stdin().is_terminal() {
            return RawTerminal(None);
        }
        let saved = stty(&["-g"]);
        stty(&["raw", "-echo"]);
        RawTerminal(saved)
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        if let Some(saved) = &self.0 {
            stty(&[saved.trim()]);
        }
    }
}

fn stty(arguments: &[&str]) -> Option<String> {
    let output = Command::new("stty")
        .args(arguments)
        .stdin(Stdio::inherit())
        .output()
        .ok()?;
    String::from_utf8(output.stdout).ok()
}
