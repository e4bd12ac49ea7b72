//! Pollux: PID 1 of a box, its workers and its console, all one binary told apart by argv.

// A binary exports nothing: `pub` marks what other modules may use.
#![allow(unreachable_pub)]

mod cluster;
mod console;
mod dataplane;
mod health;
mod init;
mod ipc;
mod worker;

fn main() {}
