//! The console worker: the operator's side of one tty. It speaks to the control socket only.

mod commands;
mod editor;
mod keys;
pub mod shell;
mod table;
mod view;
mod view_services;
