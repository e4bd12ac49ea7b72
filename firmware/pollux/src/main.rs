//! Pollux: PID 1 of a box, its workers and its console, all one binary told apart by argv.

mod cluster;
mod dataplane;
mod health;
mod ipc;
mod worker;

fn main() {}
