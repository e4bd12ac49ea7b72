//! Media and CDs as `polluxctl` reads and updates them, whoever wrote them: a good one, with any bytes
//! anywhere. Reading comes to its end, and an update that says it is done is what a box would read next.

mod disk;

use crate::polluxctl::medium::{self, Contents, Kind, ReadOnly};
use crate::polluxctl::{cd, read::read};
use disk::Disk;
use plan::config::firewall::{AddressSet, Addresses};
use plan::config::{Config, Prefix};
use plan::image::IMAGE_BYTES_MAX;
use plan::validate;
use pollux::fuzzing::{script, written};
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;
use std::sync::LazyLock;

const TEXT: &str = include_str!("../../../../board/examples/pair.toml");
const OLD: u64 = 3;
const NEW: u64 = u64::MAX;
/// The first of the bytes that stand for a stick made for a large config.
const LARGE_KIND: u8 = 0x40;

/// Bytes that are not what they were.
#[derive(Serialize, Deserialize)]
struct Patch {
    offset_bytes: u32,
    bytes: Vec<u8>,
}

static CONFIG: LazyLock<Config> = LazyLock::new(|| read(TEXT).config);
static FLOPPY: LazyLock<Vec<u8>> = LazyLock::new(|| blank(Kind::Floppy));
static STICK: LazyLock<Vec<u8>> = LazyLock::new(|| blank(Kind::Usb));
/// With slots of 128 KiB.
static LARGE: LazyLock<Vec<u8>> = LazyLock::new(large);
static DISC: LazyLock<Vec<u8>> = LazyLock::new(disc);

/// A floppy, a stick, a CD or a stick for a large config by the first byte, and what became of it.
pub(super) fn run(bytes: &[u8]) {
    let Some((&kind, patches)) = bytes.split_first() else {
        return;
    };
    let mut disk = match (kind, kind % 3) {
        (LARGE_KIND..0x60, _) => Disk::new(&LARGE),
        (_, 0) => Disk::new(&FLOPPY),
        (_, 1) => Disk::new(&STICK),
        _ => Disk::new(&DISC),
    };
    for Patch {
        offset_bytes,
        bytes,
    } in script(patches)
    {
        disk.patch(offset_bytes.into(), &bytes);
    }
    if let Ok(slots) = cd::slots(&mut disk) {
        chosen(&slots);
    }
    if let Ok(medium) = medium::load(ReadOnly(&mut disk)) {
        chosen(&medium.slots);
        assert!(medium.node.is_none_or(|name| !name.is_empty()));
        update(&mut disk);
    }
}

/// The newest generation; whatever it is, it is valid.
fn chosen(slots: &[Vec<u8>; 2]) -> Option<u64> {
    assert!(slots.iter().all(|slot| slot.len() <= IMAGE_BYTES_MAX));
    let (_, image) = medium::choose(slots).ok()?;
    assert_eq!(validate(&image.config), Ok(()));
    Some(image.generation)
}

fn update(disk: &mut Disk) {
    if medium::update(&mut *disk, &|| Ok(()), &contents(), NEW).is_ok() {
        let after = medium::load(ReadOnly(disk)).map(|medium| chosen(&medium.slots));
        let is_there = matches!(after, Ok(Some(NEW)));
        assert!(is_there, "done, but not there: {after:?}");
    }
}

fn contents() -> Contents<'static> {
    Contents {
        node: "castor",
        config: &CONFIG,
        text: TEXT,
    }
}

fn blank(kind: Kind) -> Vec<u8> {
    medium::blank(kind, &contents(), OLD).unwrap_or_default()
}

/// A stick that was made for a set of 6,500 addresses.
fn large() -> Vec<u8> {
    let network = |number: u32| {
        let address = Ipv4Addr::from_bits(0x0b00_0000 + 4 * number).into();
        Addresses::Network(Prefix {
            address,
            length: 30,
        })
    };
    let mut config = CONFIG.clone();
    config.firewall.sets.push(AddressSet {
        name: "large".into(),
        addresses: (0..6_500).map(network).collect(),
    });
    let contents = Contents {
        config: &config,
        ..contents()
    };
    medium::blank(Kind::Usb, &contents, OLD).unwrap_or_default()
}

/// A CD: the volume's descriptor, the root, Pollux' folder in it, and a slot.
fn disc() -> Vec<u8> {
    let descriptor = [b"\x01CD001\x01".as_slice(), &[0; 149], &record(b"\0", 17)].concat();
    let image = plan::image::encode(&CONFIG, OLD).unwrap_or_default();
    let sectors = [
        descriptor,
        [record(b"\0", 17), record(b"POLLUX", 18)].concat(),
        [record(b"\0", 18), record(b"SLOT_A.PLX;1", 19)].concat(),
        image,
    ];
    let mut disc = vec![0; 16 * 2048];
    for sector in sectors {
        disc.extend(&sector);
        disc.resize(disc.len().next_multiple_of(2048), 0);
    }
    disc
}

/// A directory record of a file or folder that begins at this sector.
fn record(name: &[u8], sector: u8) -> Vec<u8> {
    let name_bytes = u8::try_from(name.len()).unwrap_or(u8::MAX);
    let mut record = vec![0, 0, sector, 0, 0, 0, 0, 0, 0, sector];
    record.extend([0, 8, 0, 0, 0, 0, 0, 0]);
    record.resize(32, 0);
    record.push(name_bytes);
    record.extend(name);
    record.resize(record.len().next_multiple_of(2), 0);
    let length = u8::try_from(record.len()).unwrap_or(u8::MAX);
    record.iter_mut().take(1).for_each(|first| *first = length);
    record
}

/// Good ones; and each with the places where its layout is told as a patch, so that they are changed first.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let layouts: [(u8, &[u8], &[usize]); 4] = [
        (0, &FLOPPY, &[0, 11, 512, 9728]),
        (1, &STICK, &[0, 11, 512, 33_280]),
        (2, &DISC, &[32_768, 32_924, 34_816, 36_864]),
        (LARGE_KIND, &LARGE, &[0, 11, 512, 33_280]),
    ];
    let mut seeds = Vec::new();
    for (kind, disk, places) in layouts {
        let patches = places.iter().map(|place| Patch {
            offset_bytes: u32::try_from(*place).unwrap_or(0),
            bytes: disk.iter().copied().skip(*place).take(128).collect(),
        });
        seeds.push(vec![kind]);
        seeds.extend(patches.map(|patch| [vec![kind], written(&[patch])].concat()));
    }
    seeds
}
