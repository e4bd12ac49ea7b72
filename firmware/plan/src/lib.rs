//! Config of the pair (schema, image, validation) and the way from it to a kernel that holds what it
//! says: config + role + health -> `desired`; `diff` with what is observed -> ordered steps.
//! Pure: no sockets, clocks, files or threads; the compiler keeps them out.
#![no_std]

extern crate alloc;

pub mod config;
pub mod kernel;
