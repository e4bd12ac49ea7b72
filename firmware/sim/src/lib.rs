//! Deterministic simulator: the real protocol code, unchanged, for boxes in pairs on seeded faulty links. Each
//! seed is one life: a handful of faults, all invariants judged after everything that happens, then all is
//! healed and one active box demanded. What fails is shrunk to few events and told as a timeline.

// A host tool: an index out of bounds or a cast that cuts is a bug here, and should end it.
#![allow(clippy::indexing_slicing)]

mod cable;
mod clock;
mod draw;
mod drive;
mod fault;
mod hunt;
mod judge;
mod life;
mod machine;
mod orders;
mod queue;
mod random;
mod schedule;
mod shrink;
pub mod state;
mod traffic;
mod world;

pub use hunt::{Catch, hunt, rates};
pub use judge::{Rule, Violation};
pub use life::{Outcome, run, tell};
pub use schedule::Schedule;
pub use shrink::shrink;
