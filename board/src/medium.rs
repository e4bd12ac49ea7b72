//! The config medium: a FAT volume without partitions, labelled POLLUX, with two slots for images and the
//! text beside them. The slots have their full size from the start and are overwritten in place, so that an
//! update never moves the newer one: whenever the medium is pulled, the box finds the old config or the new.

use super::fat;
use anyhow::{Context, Result, bail, ensure};
use fatfs::{
    Date, DateTime, FatType, FileSystem, FormatVolumeOptions, FsOptions, ReadWriteSeek, Time,
    TimeProvider,
};
use plan::config::Config;
use plan::image::{self, IMAGE_BYTES_MAX, Image};
use plan::medium::{CONFIG, LABEL, NODE, SLOTS, node_name, node_text};
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};

/// Most bytes read of a text on a medium that others may have written.
const TEXT_BYTES_MAX: u64 = 4096;
const WORN_OUT: &str =
    "the medium does not hold what was written to it: it is worn out, use another one";
const SECTOR_BYTES: u16 = 512;

/// What a medium is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// 1.44 MB, FAT12, 18 sectors a track.
    Floppy,
    /// 16 MiB, FAT16; the rest of a larger stick stays unused.
    Usb,
}

/// What goes on a medium.
pub(crate) struct Contents<'a> {
    /// The box it is for.
    pub node: &'a str,
    /// What the box reads.
    pub config: &'a Config,
    /// What people read.
    pub text: &'a str,
}

/// What was found on a medium.
pub(crate) struct Medium {
    /// The box it is for.
    pub node: Option<String>,
    /// The slots' bytes; none where the file is missing.
    pub slots: [Vec<u8>; 2],
}

/// The bytes of a new medium; the same contents and generation give the same bytes.
pub(crate) fn blank(kind: Kind, contents: &Contents<'_>, generation: u64) -> Result<Vec<u8>> {
    let mut disk = Cursor::new(vec![
        0;
        usize::try_from(kind.sectors())?
            * usize::from(SECTOR_BYTES)
    ]);
    let serial = image::digest(contents.config).to_le_bytes();
    let volume_id = serial.first_chunk().copied().map_or(0, u32::from_le_bytes);
    fatfs::format_volume(&mut disk, kind.format(volume_id)).context("cannot format")?;
    {
        let volume = FileSystem::new(&mut disk, options()).context("cannot mount")?;
        let root = volume.root_dir();
        let [first, second] = SLOTS;
        root.create_file(first)?
            .write_all(&slot(contents.config, generation)?)?;
        root.create_file(second)?.write_all(&[0; IMAGE_BYTES_MAX])?;
        root.create_file(NODE)?
            .write_all(node_text(contents.node).as_bytes())?;
        root.create_file(CONFIG)?
            .write_all(contents.text.as_bytes())
            .context("the text does not fit")?;
    }
    Ok(disk.into_inner())
}

/// Writes a config to the slot that does not hold the newest one, and the text beside it; answers with the
/// slot's name. `sync` makes what was written so far durable.
pub(crate) fn update(
    mut disk: impl ReadWriteSeek,
    sync: &dyn Fn() -> io::Result<()>,
    contents: &Contents<'_>,
    generation: u64,
) -> Result<&'static str> {
    let volume = mount(&mut disk)?;
    let [first, second] = SLOTS;
    let newest = image::newest(&slots(&volume).each_ref().map(Vec::as_slice)).newest;
    let older = if newest.is_some_and(|(position, _)| position == 0) {
        second
    } else {
        first
    };
    let bytes = slot(contents.config, generation)?;
    {
        let mut file = volume.root_dir().create_file(older)?;
        file.write_all(&bytes)?;
        file.flush()?;
    }
    sync()?;
    ensure!(
        read(&volume, older, IMAGE_BYTES_MAX as u64) == bytes,
        WORN_OUT
    );
    // Only now: should this be torn, the box does not read it.
    let mut file = volume.root_dir().create_file(CONFIG)?;
    file.truncate()?;
    file.write_all(contents.text.as_bytes())
        .context("the new config is written, but its text does not fit")?;
    drop(file);
    volume.unmount()?;
    sync()?;
    let volume = mount(&mut disk).context(WORN_OUT)?;
    ensure!(
        read(&volume, older, IMAGE_BYTES_MAX as u64) == bytes,
        WORN_OUT
    );
    Ok(older)
}

/// Reads a medium.
pub(crate) fn load(mut disk: impl ReadWriteSeek) -> Result<Medium> {
    let volume = mount(&mut disk)?;
    let text = String::from_utf8(read(&volume, NODE, TEXT_BYTES_MAX)).unwrap_or_default();
    Ok(Medium {
        node: node_name(&text).map(str::to_owned),
        slots: slots(&volume),
    })
}

/// A volume that is whole.
fn mount<T: ReadWriteSeek>(mut disk: T) -> Result<FileSystem<T>> {
    fat::check(&mut disk)?;
    disk.rewind()?;
    FileSystem::new(disk, options()).context("cannot mount")
}

/// The newest valid image, and the name of its slot; the error says what is wrong with each.
pub(crate) fn choose(slots: &[Vec<u8>; 2]) -> Result<(String, Image)> {
    let choice = image::newest(&slots.each_ref().map(Vec::as_slice));
    let name = |position: usize| SLOTS.get(position).copied().unwrap_or_default();
    match choice.newest {
        Some((position, image)) => Ok((name(position).to_owned(), image)),
        None => {
            let reasons: Vec<String> = choice
                .rejected
                .iter()
                .map(|(position, error)| format!("{}: {error}", name(*position)))
                .collect();
            bail!("{}", reasons.join("; "))
        }
    }
}

impl Kind {
    fn sectors(self) -> u32 {
        match self {
            Self::Floppy => 2880,
            Self::Usb => 32_768,
        }
    }

    fn format(self, volume_id: u32) -> FormatVolumeOptions {
        let mut label = [b' '; 11];
        label
            .iter_mut()
            .zip(LABEL.bytes())
            .for_each(|(to, from)| *to = from);
        let options = FormatVolumeOptions::new()
            .total_sectors(self.sectors())
            .volume_label(label)
            .volume_id(volume_id);
        match self {
            Self::Floppy => {
                let geometry = options
                    .fat_type(FatType::Fat12)
                    .media(0xf0)
                    .sectors_per_track(18)
                    .heads(2)
                    .drive_num(0);
                geometry.max_root_dir_entries(224).bytes_per_cluster(512)
            }
            Self::Usb => options
                .fat_type(FatType::Fat16)
                .media(0xf8)
                .bytes_per_cluster(2048),
        }
    }
}

/// A config as it fills a slot.
fn slot(config: &Config, generation: u64) -> Result<Vec<u8>> {
    let mut slot = image::encode(config, generation)?;
    slot.resize(IMAGE_BYTES_MAX, 0);
    Ok(slot)
}

fn slots<T: ReadWriteSeek>(volume: &FileSystem<T>) -> [Vec<u8>; 2] {
    SLOTS.map(|name| read(volume, name, IMAGE_BYTES_MAX as u64))
}

/// At most `bytes_max` bytes of a file; none if it cannot be read.
fn read<T: ReadWriteSeek>(volume: &FileSystem<T>, name: &str, bytes_max: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let outcome = volume
        .root_dir()
        .open_file(name)
        .and_then(|file| file.take(bytes_max).read_to_end(&mut bytes));
    if outcome.is_ok() { bytes } else { Vec::new() }
}

fn options() -> FsOptions {
    FsOptions::new()
        .update_accessed_date(false)
        .time_provider(&FIXED_TIME)
}

static FIXED_TIME: FixedTime = FixedTime;

/// Always the same time: media are reproducible, and overwriting a slot leaves its directory entry alone.
#[derive(Debug)]
struct FixedTime;

impl TimeProvider for FixedTime {
    fn get_current_date(&self) -> Date {
        Date {
            year: 2026,
            month: 1,
            day: 1,
        }
    }

    fn get_current_date_time(&self) -> DateTime {
        DateTime {
            date: self.get_current_date(),
            time: Time {
                hour: 0,
                min: 0,
                sec: 0,
                millis: 0,
            },
        }
    }
}

/// A disk that is not written to.
pub(crate) struct ReadOnly<T>(pub T);

impl<T: Read> Read for ReadOnly<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<T: Seek> Seek for ReadOnly<T> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.0.seek(position)
    }
}

impl<T> Write for ReadOnly<T> {
    fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::rc::Rc;

    const EXAMPLE: &str = include_str!("../examples/pair.toml");

    fn config(weight: u16) -> Config {
        let mut config = super::super::read::read(EXAMPLE).config;
        config.services[0].servers[0].weight = weight;
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
}
