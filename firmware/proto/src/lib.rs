//! Heartbeat, failover, state sync and health verdicts as pure state machines: bytes and time go in, frames
//! and actions come out. Nothing here opens a socket, reads a clock or draws a random number; `no_std` keeps it
//! so. `node::Node` is the way in for heartbeats, `serial` frames byte streams, `sync::Engine` is state sync,
//! which alone allocates: it holds a table of as many flows as there are.

#![no_std]

extern crate alloc;

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
pub mod sync;
pub mod term;
pub mod time;
pub mod view;
pub mod wire;
