//! What the subcommands do.

use crate::Media;
use crate::cards::cards;
use crate::cd;
use crate::medium::{self, Contents, Kind};
use crate::source::Source;
use anyhow::{Context, Result, ensure};
use plan::config::Config;
use plan::image::{self, IMAGE_BYTES_MAX, Image};
use plan::medium::{DIRECTORY, SLOTS};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// For a block device: fail where it is in use (fcntl.h, open(2)).
const O_EXCL: i32 = 0o200;

/// Says that a file is in order, and what it describes.
pub(crate) fn check(file: &Path) -> Result<()> {
    let Source { config, .. } = Source::open(file)?;
    let image_bytes = image::encode(&config, 1)?.len();
    let servers: usize = config
        .services
        .iter()
        .map(|service| service.servers.len())
        .sum();
    let names: Vec<&str> = config.nodes.iter().map(|node| node.name.as_str()).collect();
    println!("{}: in order", file.display());
    println!("  nodes              {}", names.join(", "));
    println!("  interfaces         {}", config.interfaces.len());
    println!("  virtual addresses  {}", config.virtual_addresses.len());
    println!("  heartbeat links    {}", config.links.len());
    println!(
        "  services           {} with {}",
        config.services.len(),
        counted(servers, "server", "servers")
    );
    println!("  firewall           {}", firewall(&config));
    println!(
        "  image              {image_bytes} bytes, for slots of {} KiB; digest {:016x}",
        image::slot_bytes(image_bytes) >> 10,
        image::digest(&config)
    );
    for concern in plan::validate::concerns(&config) {
        eprintln!("warning: {concern}");
    }
    Ok(())
}

/// What a config filters, in a few words.
fn firewall(config: &Config) -> String {
    let firewall = &config.firewall;
    if firewall.zones.is_empty() {
        return "none: without a [[zone]] nothing is filtered".to_owned();
    }
    format!(
        "{}, {}, {}, {}; the rest is closed",
        counted(firewall.zones.len(), "zone", "zones"),
        counted(firewall.rules.len(), "rule", "rules"),
        counted(firewall.policies.len(), "policy", "policies"),
        counted(firewall.translations.len(), "translation", "translations")
    )
}

/// `1 rule`, `2 rules`.
fn counted(count: usize, one: &str, many: &str) -> String {
    let noun = if count == 1 { one } else { many };
    format!("{count} {noun}")
}

/// Prints the ruleset of one box.
pub(crate) fn rules(node: &str, file: &Path) -> Result<()> {
    let source = Source::open(file)?;
    source.require_node(node)?;
    let position = source.config.node_index(node).unwrap_or_default();
    let devices = cards(&source.config, position);
    let ruleset = plan::firewall::ruleset(&source.config, position, &devices);
    print!("{}", crate::nft::text(&ruleset));
    Ok(())
}

/// Writes the image of a config file.
pub(crate) fn build(file: &Path, out: &Path, generation: u64) -> Result<()> {
    let source = Source::open(file)?;
    let image = image::encode(&source.config, generation)?;
    ensure!(
        !is_same_file(file, out),
        "{} is the config itself: write --out another file",
        out.display()
    );
    std::fs::write(out, &image).with_context(|| format!("cannot write {}", out.display()))?;
    println!(
        "{}: generation {generation}, {} bytes",
        out.display(),
        image.len()
    );
    Ok(())
}

/// Prints the config that something holds.
pub(crate) fn show(path: &Path) -> Result<()> {
    let (origin, image) = find_image(path)?;
    print!(
        "# {origin}: generation {}, digest {:016x}\n\n{}",
        image.generation,
        image.digest,
        plan::text::to_toml(&image.config)
    );
    Ok(())
}

fn find_image(path: &Path) -> Result<(String, Image)> {
    let context = || format!("cannot read {}", path.display());
    if path.is_dir() {
        let slots = slots_in_directory(path);
        return medium::choose(&slots).with_context(|| format!("no config in {}", path.display()));
    }
    let mut file = File::open(path).with_context(context)?;
    let mut head = Vec::new();
    Read::by_ref(&mut file)
        .take(IMAGE_BYTES_MAX as u64)
        .read_to_end(&mut head)
        .with_context(context)?;
    match image::decode(&head) {
        Ok(image) => Ok(("image".to_owned(), image)),
        Err(image::ImageError::Magic | image::ImageError::Empty) => {
            let slots = slots_of_volume(file)
                .with_context(|| format!("{} is no image, no medium and no CD", path.display()))?;
            medium::choose(&slots).with_context(|| format!("no config on {}", path.display()))
        }
        Err(error) => Err(error).with_context(|| format!("{} holds no config", path.display())),
    }
}

/// The slots of a mounted medium or CD: there, in Pollux' own folder, or written in small letters.
fn slots_in_directory(path: &Path) -> [Vec<u8>; 2] {
    let directories = [path.to_owned(), path.join(DIRECTORY)];
    SLOTS.map(|name| {
        let names = [name.to_owned(), name.to_lowercase()];
        let paths = directories
            .iter()
            .flat_map(|directory| names.iter().map(|name| directory.join(name)));
        paths
            .filter_map(|path| std::fs::read(path).ok())
            .next()
            .unwrap_or_default()
    })
}

/// The slots of a medium, or of a CD.
fn slots_of_volume(file: File) -> Result<[Vec<u8>; 2]> {
    match cd::slots(&file) {
        Ok(slots) => Ok(slots),
        Err(cd) => medium::load(medium::ReadOnly(file))
            .map(|medium| medium.slots)
            .with_context(|| format!("{cd:#}")),
    }
}

/// Prints a random key as a line for `[cluster]`.
pub(crate) fn keygen() -> Result<()> {
    let mut key = [0; 32];
    File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut key))
        .context("cannot read /dev/urandom")?;
    let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    println!("key = \"{key}\"");
    Ok(())
}

/// Makes or updates a medium.
pub(crate) fn media(options: &Media) -> Result<()> {
    let source = Source::open(&options.file)?;
    if options.kind.update {
        return update(options, &source);
    }
    let node = options
        .node
        .as_deref()
        .context("--node says which box the medium is for")?;
    source.require_node(node)?;
    let kind = if options.kind.floppy {
        Kind::Floppy
    } else {
        Kind::Usb
    };
    let out = options.out.display();
    ensure!(
        options.force || !options.out.exists(),
        "{out} exists: write --update to put this config on it, or --force to wipe it"
    );
    let generation = options.generation.unwrap_or(1);
    let bytes = medium::blank(
        kind,
        &Contents {
            node,
            config: &source.config,
            text: &source.text,
        },
        generation,
    )?;
    ensure!(
        !is_same_file(&options.file, &options.out),
        "{out} is the config itself: write another OUT"
    );
    let is_device = options.out.exists() && !options.out.is_file();
    let mut file = OpenOptions::new();
    file.write(true).create(!is_device).truncate(!is_device);
    let file = open(&mut file, &options.out);
    file.and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_all()))
        .with_context(|| format!("cannot write {out}"))?;
    println!("{out}: medium of {node}, generation {generation}");
    Ok(())
}

/// Opens what is to be written, and a device only while nobody has it mounted: what the kernel remembers of
/// it would overwrite ours.
fn open(options: &mut OpenOptions, path: &Path) -> std::io::Result<File> {
    let is_device = std::fs::metadata(path).is_ok_and(|found| found.file_type().is_block_device());
    if is_device {
        options.custom_flags(O_EXCL);
    }
    options.open(path).map_err(|error| match error.kind() {
        ErrorKind::ResourceBusy => std::io::Error::new(error.kind(), "it is mounted: unmount it"),
        _ => error,
    })
}

/// Whether both names lead to one file.
fn is_same_file(one: &Path, other: &Path) -> bool {
    let identity = |path| std::fs::metadata(path).map(|found| (found.dev(), found.ino()));
    identity(one).is_ok_and(|one| identity(other).is_ok_and(|other| one == other))
}

fn update(options: &Media, source: &Source) -> Result<()> {
    let out = options.out.display();
    let context = || format!("cannot update {out}");
    let mut file = OpenOptions::new();
    let file = open(file.read(true).write(true), &options.out).with_context(context)?;
    let before = medium::load(medium::ReadOnly(file.try_clone().with_context(context)?))
        .with_context(context)?;
    let node = before
        .node
        .as_deref()
        .with_context(|| format!("{out} does not say which box it is for: make it anew"))?;
    if let Some(expected) = &options.node {
        ensure!(
            expected == node,
            "{out} is the medium of {node}, not of {expected}"
        );
    }
    source.require_node(node)?;
    let newest = medium::choose(&before.slots).ok().map(|(_, image)| image);
    if let (Some(newest), Some(generation)) = (&newest, options.generation) {
        let held = newest.generation;
        ensure!(
            generation > held,
            "{out} holds generation {held}: write a higher --generation"
        );
    }
    let next = newest.map_or(Some(1), |newest| newest.generation.checked_add(1));
    let generation = options.generation.or(next);
    let generation = generation.with_context(|| {
        format!("{out} holds the highest generation there is: make it anew, with --force")
    })?;
    let syncing = file.try_clone().with_context(context)?;
    let contents = Contents {
        node,
        config: &source.config,
        text: &source.text,
    };
    let slot = medium::update(file, &|| syncing.sync_all(), &contents, generation)
        .with_context(context)?;
    println!("{out}: medium of {node}, generation {generation} in {slot}");
    Ok(())
}
