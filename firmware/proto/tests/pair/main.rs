//! Two nodes against each other on a virtual clock: whole scenarios of faults, attacks and operator
//! commands, and thousands of random ones. Every failure prints the log of its run and its seed.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation // random numbers below small bounds
)]

mod attacks;
mod faults;
mod handover;
mod operator;
mod random;
mod schedules;
mod timing;
mod unseen;
mod world;
