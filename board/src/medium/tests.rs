//! Media on disks of memory.

use super::*;
use plan::config::Prefix;
use plan::config::firewall::{AddressSet, Addresses};
use std::cell::RefCell;
use std::rc::Rc;

const EXAMPLE: &str = include_str!("../../examples/pair.toml");

fn config(weight: u16) -> Config {
    let mut config = super::super::read::read(EXAMPLE).config;
    config.services[0].servers[0].weight = weight;
    config
}

/// With a set of so many addresses.
fn large(addresses: u32) -> Config {
    let network = |number: u32| {
        let address = std::net::Ipv4Addr::from_bits(0x0b00_0000 + 4 * number).into();
        Addresses::Network(Prefix {
            address,
            length: 30,
        })
    };
    let mut config = config(1);
    config.firewall.sets.push(AddressSet {
        name: "large".into(),
        addresses: (0..addresses).map(network).collect(),
    });
    config
}

fn contents<'a>(config: &'a Config, text: &'a str) -> Contents<'a> {
    Contents {
        node: "castor",
        config,
        text,
    }
}

fn write(disk: &mut Vec<u8>, config: &Config, generation: u64) -> &'static str {
    update(
        Cursor::new(disk),
        &|| Ok(()),
        &contents(config, EXAMPLE),
        generation,
    )
    .unwrap()
}

fn newest(disk: &[u8]) -> (String, Image) {
    choose(&load(ReadOnly(Cursor::new(disk))).unwrap().slots).unwrap()
}

#[test]
fn a_new_medium_holds_what_it_was_made_of() {
    for (kind, bytes) in [(Kind::Floppy, 1_474_560), (Kind::Usb, 16_777_216)] {
        let disk = blank(kind, &contents(&config(1), EXAMPLE), 5).unwrap();
        assert_eq!(disk.len(), bytes);
        assert_eq!(
            disk,
            blank(kind, &contents(&config(1), EXAMPLE), 5).unwrap()
        );
        assert_eq!(
            load(ReadOnly(Cursor::new(&disk))).unwrap().node.as_deref(),
            Some("castor")
        );
        let (slot, image) = newest(&disk);
        assert_eq!(
            (slot.as_str(), image.generation, image.config),
            ("SLOT-A.PLX", 5, config(1))
        );
    }
}

#[test]
fn updates_alternate_between_the_slots() {
    let mut disk = blank(Kind::Floppy, &contents(&config(1), EXAMPLE), 1).unwrap();
    assert_eq!(write(&mut disk, &config(2), 2), "SLOT-B.PLX");
    assert_eq!(write(&mut disk, &config(3), 3), "SLOT-A.PLX");
    assert_eq!(newest(&disk).1.config, config(3));
}

#[test]
fn a_large_config_gets_slots_in_which_it_may_grow() {
    let large = large(100_000);
    let mut disk = blank(Kind::Usb, &contents(&large, EXAMPLE), 1).unwrap();
    let slots = load(ReadOnly(Cursor::new(&disk))).unwrap().slots;
    assert_eq!(slots.map(|slot| slot.len()), [2 << 20; 2]);
    assert_eq!(write(&mut disk, &config(2), 2), "SLOT-B.PLX");
    assert_eq!(write(&mut disk, &large, 3), "SLOT-A.PLX");
    let (slot, image) = newest(&disk);
    assert!((slot.as_str(), image.generation) == ("SLOT-A.PLX", 3) && image.config == large);
    // The other slot holds as much.
    assert_eq!(write(&mut disk, &large, 4), "SLOT-B.PLX");
    assert!(newest(&disk).1.config == large);

    let floppy = blank(Kind::Floppy, &contents(&large, EXAMPLE), 1);
    let refused = floppy.unwrap_err().to_string();
    assert!(refused.contains("write --usb"), "{refused}");
}

#[test]
fn what_does_not_fit_leaves_the_medium_as_it_is() {
    let text = "# a lot\n".repeat(2 << 20);
    for kind in [Kind::Floppy, Kind::Usb] {
        let mut disk = blank(kind, &contents(&config(1), EXAMPLE), 1).unwrap();
        let before = disk.clone();
        let mut refused = |config: &Config, text: &str| {
            let disk = Cursor::new(&mut disk);
            let outcome = update(disk, &|| Ok(()), &contents(config, text), 2);
            let error = outcome.unwrap_err().to_string();
            assert!(error.ends_with("make the medium anew, with --force"));
            error
        };
        let told = refused(&large(10_000), EXAMPLE);
        assert!(told.starts_with("the config takes 69 KiB, and its slots hold 64 KiB"));
        let told = refused(&config(2), &text);
        assert!(told.starts_with("16384 KiB of text do not fit"), "{told}");
        assert!(disk == before);
    }
}

/// Media on which a slot's file was lost or cut short get it back.
#[test]
fn a_slot_that_is_gone_is_made_again() {
    let large = large(20_000);
    let mut disk = blank(Kind::Usb, &contents(&large, EXAMPLE), 1).unwrap();
    {
        let volume = FileSystem::new(Cursor::new(&mut disk), options()).unwrap();
        volume.root_dir().remove("SLOT-B.PLX").unwrap();
    }
    assert_eq!(write(&mut disk, &large, 2), "SLOT-B.PLX");
    let slots = load(ReadOnly(Cursor::new(&disk))).unwrap().slots;
    assert_eq!(slots.map(|slot| slot.len()), [256 << 10; 2]);
    assert_eq!(newest(&disk).1.generation, 2);
}

#[test]
fn a_damaged_newest_slot_leaves_the_other_and_is_written_next() {
    let mut disk = blank(Kind::Floppy, &contents(&config(1), EXAMPLE), 1).unwrap();
    write(&mut disk, &config(2), 2);
    let image = image::encode(&config(2), 2).unwrap();
    let at = disk
        .windows(image.len())
        .position(|window| window == image)
        .unwrap();
    disk[at + 100] ^= 1;
    assert_eq!(newest(&disk).1.config, config(1));
    assert_eq!(write(&mut disk, &config(3), 3), "SLOT-B.PLX");
}

#[test]
fn a_damaged_file_system_is_neither_read_nor_written() {
    let mut disk = blank(Kind::Floppy, &contents(&config(1), EXAMPLE), 1).unwrap();
    // The FAT's entry of cluster 2, where the first slot begins.
    disk[515] = 1;
    let before = disk.clone();
    let outcomes = [
        load(ReadOnly(Cursor::new(&disk))).err(),
        update(
            Cursor::new(&mut disk),
            &|| Ok(()),
            &contents(&config(2), EXAMPLE),
            2,
        )
        .err(),
    ];
    for error in outcomes {
        let error = error.unwrap().to_string();
        assert!(error.starts_with("its file system is damaged"), "{error}");
    }
    assert!(disk == before);
}

#[test]
fn both_slots_bad_is_said_with_both_reasons() {
    let reason = choose(&[vec![0xff; 9], Vec::new()])
        .unwrap_err()
        .to_string();
    assert!(
        reason.starts_with("SLOT-A.PLX: not a Pollux config image")
            && reason.contains("SLOT-B.PLX: the slot is empty"),
        "{reason}"
    );
}

/// Offset on the disk, bytes.
type Written = (usize, Vec<u8>);

/// Remembers every write, so that a pulled stick can be played at each.
#[derive(Clone)]
struct Journal {
    disk: Rc<RefCell<Cursor<Vec<u8>>>>,
    writes: Rc<RefCell<Vec<Written>>>,
}

impl Read for Journal {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.disk.borrow_mut().read(buffer)
    }
}

impl Seek for Journal {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.disk.borrow_mut().seek(position)
    }
}

impl Write for Journal {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let at = usize::try_from(self.disk.borrow().position()).unwrap();
        self.writes.borrow_mut().push((at, bytes.to_owned()));
        self.disk.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn whenever_the_medium_is_pulled_it_holds_the_old_config_or_the_new() {
    let (old, new) = (config(2), config(3));
    for kind in [Kind::Floppy, Kind::Usb] {
        let mut before = blank(kind, &contents(&config(1), EXAMPLE), 1).unwrap();
        write(&mut before, &old, 2);
        let journal = Journal {
            disk: Rc::new(RefCell::new(Cursor::new(before.clone()))),
            writes: Rc::default(),
        };
        update(
            journal.clone(),
            &|| Ok(()),
            &contents(&config(3), "# longer\n".repeat(900).as_str()),
            3,
        )
        .unwrap();
        let writes = journal.writes.borrow();
        assert!(writes.len() > 20);
        for (number, (at, bytes)) in writes.iter().enumerate() {
            // A sector is written whole or not at all.
            let half = (at + bytes.len() / 2) / 512 * 512;
            for written in [half.saturating_sub(*at), bytes.len()] {
                let place = *at..at + written;
                if before[place.clone()] == bytes[..written] {
                    continue;
                }
                before[place].copy_from_slice(&bytes[..written]);
                let image = newest(&before).1;
                let is_whole = image.config == old || image.config == new;
                assert!(
                    is_whole,
                    "{kind:?}: pulled in write {number} at byte {at} after {written} bytes"
                );
            }
        }
        assert_eq!(newest(&before).1.generation, 3);
    }
}
