//! `polluxctl`: checks the config of a pair, and makes the media from which its boxes read it.
//! Problems of a config file go to stderr as rustc would show them; the exit code is 1 for any failure.

mod cards;
mod cd;
mod commands;
mod diagnostic;
mod fat;
mod iso;
mod medium;
mod nft;
mod read;
mod source;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Checks the config of a pair, and makes the media from which its boxes read it.
#[derive(Parser)]
#[command(name = "polluxctl", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Say everything that is wrong with a config file, and what to write instead
    Check {
        /// The config file (TOML)
        file: PathBuf,
    },
    /// Make the image that boxes read; the same file and generation give the same bytes
    Build {
        /// The config file (TOML)
        file: PathBuf,
        /// Where the image goes
        #[arg(short, long)]
        out: PathBuf,
        /// The higher one is the newer one
        #[arg(long, default_value_t = 1)]
        generation: u64,
    },
    /// Print the config that an image, a medium, a CD (each itself, its image or mounted) holds, as TOML
    Show {
        /// Image file, medium (file or device) or directory
        path: PathBuf,
    },
    /// Print the firewall of a config file as one box will load it, in the words of nft(8)
    Rules {
        /// The box
        #[arg(long)]
        node: String,
        /// The config file (TOML)
        file: PathBuf,
    },
    /// Print a new random key for `[cluster]`
    Keygen,
    /// Make or update the config medium of one box
    Media(Media),
    /// Make the ISO that both boxes boot, with kernel and /init from this source tree
    Iso(Iso),
}

/// Options of `media`.
#[derive(clap::Args)]
struct Media {
    /// Which box the medium is for; with --update only to make sure
    #[arg(long, required_unless_present = "update")]
    node: Option<String>,
    #[command(flatten)]
    kind: Kind,
    /// The generation to write: 1 on a new medium, one more than its newest with --update
    #[arg(long)]
    generation: Option<u64>,
    /// Wipe OUT if it exists
    #[arg(long)]
    force: bool,
    /// The medium: a file, or a device such as /dev/sdX
    out: PathBuf,
    /// The config file (TOML)
    file: PathBuf,
}

#[derive(clap::Args)]
#[group(required = true, multiple = true)]
struct Kind {
    /// A floppy disk of 1.44 MB; a large config wants a USB stick
    #[arg(long, conflicts_with = "usb")]
    floppy: bool,
    /// A USB stick or disk; takes 16 MiB, for a large config up to 64 MiB
    #[arg(long)]
    usb: bool,
    /// An existing medium of either kind: write its older slot, leave the newer one alone
    #[arg(long)]
    update: bool,
}

/// Options of `iso`.
#[derive(clap::Args)]
struct Iso {
    /// Where the ISO goes
    #[arg(long)]
    out: PathBuf,
    /// Put a config on the CD itself, for a box without another medium
    #[arg(long, requires = "node")]
    config: Option<PathBuf>,
    /// Which box the CD is for
    #[arg(long, requires = "config")]
    node: Option<String>,
    /// A kernel (bzImage) other than this source tree's
    #[arg(long)]
    kernel: Option<PathBuf>,
    /// An initramfs other than this source tree's
    #[arg(long)]
    initramfs: Option<PathBuf>,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Check { file } => commands::check(&file),
        Command::Build {
            file,
            out,
            generation,
        } => commands::build(&file, &out, generation),
        Command::Show { path } => commands::show(&path),
        Command::Rules { node, file } => commands::rules(&node, &file),
        Command::Keygen => commands::keygen(),
        Command::Media(options) => commands::media(&options),
        Command::Iso(options) => iso::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", format!("{error:#}").trim_end());
            ExitCode::FAILURE
        }
    }
}
