//! Heartbeat, failover and health verdicts as pure state machines: bytes and time go in, frames and
//! actions come out. Nothing here opens a socket, reads a clock, draws a random number or allocates;
//! `no_std` keeps it so. `node::Node` is the way in, `serial` frames byte streams, the rest is theirs.

#![no_std]

pub mod dead_time;
pub mod failover;
pub mod health;
pub mod jitter;
pub mod link;
pub mod node;
pub mod report;
pub mod sabotage;
pub mod serial;
pub mod settings;
pub mod term;
pub mod time;
pub mod view;
pub mod wire;
