//! The config medium: a FAT volume without partitions, labelled POLLUX, with two slots for images and the
//! text beside them. The slots have their full size from the start and are overwritten in place, so that an
//! update never moves the newer one: whenever the medium is pulled, the box finds the old config or the new.

mod layout;

pub(crate) use layout::Kind;

use super::fat;
use anyhow::{Context, Result, bail, ensure};
use fatfs::{Date, DateTime, FileSystem, FsOptions, ReadWriteSeek, Time, TimeProvider};
use layout::{Layout, SECTOR_BYTES};
use plan::config::Config;
use plan::image::{self, IMAGE_BYTES_MAX, Image, SLOT_BYTES_MIN};
use plan::medium::{CONFIG, NODE, SLOTS, node_name, node_text};
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};

/// Most bytes read of a text on a medium that others may have written.
const TEXT_BYTES_MAX: u64 = 4096;
const WORN_OUT: &str =
    "the medium does not hold what was written to it: it is worn out, use another one";

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
    let mut image = image::encode(contents.config, generation)?;
    let layout = Layout::new(kind, image.len(), contents.text.len())?;
    let disk_bytes = usize::try_from(layout.volume_sectors)? * usize::from(SECTOR_BYTES);
    let mut disk = Cursor::new(vec![0; disk_bytes]);
    let serial = image::digest(contents.config).to_le_bytes();
    let volume_id = serial.first_chunk().copied().map_or(0, u32::from_le_bytes);
    fatfs::format_volume(&mut disk, layout.format(volume_id)).context("cannot format")?;
    {
        let volume = FileSystem::new(&mut disk, options()).context("cannot mount")?;
        let root = volume.root_dir();
        let [first, second] = SLOTS;
        image.resize(layout.slot_bytes, 0);
        root.create_file(first)?.write_all(&image)?;
        image.fill(0);
        root.create_file(second)?.write_all(&image)?;
        root.create_file(NODE)?
            .write_all(node_text(contents.node).as_bytes())?;
        root.create_file(CONFIG)?
            .write_all(contents.text.as_bytes())
            .context("the text does not fit")?;
    }
    Ok(disk.into_inner())
}

/// Writes a config to the slot that does not hold the newest one, and the text beside it; answers with the
/// slot's name. `sync` makes what was written so far durable. What does not fit changes nothing.
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
    let mut bytes = image::encode(contents.config, generation)?;
    let slot_bytes = room(&volume, older, bytes.len(), contents.text.len())?;
    bytes.resize(slot_bytes, 0);
    {
        let mut file = volume.root_dir().create_file(older)?;
        file.write_all(&bytes)?;
        file.flush()?;
    }
    sync()?;
    ensure!(read(&volume, older, slot_bytes as u64) == bytes, WORN_OUT);
    // Only now: should this be torn, the box does not read it.
    let mut file = volume.root_dir().create_file(CONFIG)?;
    file.truncate()?;
    file.write_all(contents.text.as_bytes())
        .context("the new config is written, but its text is not")?;
    drop(file);
    volume.unmount()?;
    sync()?;
    let volume = mount(&mut disk).context(WORN_OUT)?;
    ensure!(read(&volume, older, slot_bytes as u64) == bytes, WORN_OUT);
    Ok(older)
}

/// How long slot `name` is or, if it was cut short or lost, is to be again. It must hold the image, and the volume
/// the text.
fn room<T: ReadWriteSeek>(
    volume: &FileSystem<T>,
    name: &str,
    image_bytes: usize,
    text_bytes: usize,
) -> Result<usize> {
    let root = volume.root_dir();
    let length = |name| {
        let file = root.open_file(name);
        file.and_then(|mut file| file.seek(SeekFrom::End(0)))
            .unwrap_or(0)
    };
    let slots_bytes = SLOTS.map(|slot| usize::try_from(length(slot)).unwrap_or(usize::MAX));
    let longest_bytes = slots_bytes.into_iter().max().unwrap_or(0);
    let slot_bytes = longest_bytes.clamp(SLOT_BYTES_MIN, IMAGE_BYTES_MAX);
    ensure!(
        image_bytes <= slot_bytes,
        "the config takes {} KiB, and its slots hold {} KiB: make the medium anew, with --force",
        image_bytes.div_ceil(1 << 10),
        slot_bytes >> 10
    );
    let free = volume.stats()?;
    let cluster_bytes = u64::from(free.cluster_size());
    let clusters = |bytes: u64| bytes.div_ceil(cluster_bytes);
    let more = |name, bytes: usize| clusters(bytes as u64).saturating_sub(clusters(length(name)));
    ensure!(
        more(name, slot_bytes) + more(CONFIG, text_bytes) <= free.free_clusters().into(),
        "{} KiB of text do not fit beside its slots: make the medium anew, with --force",
        text_bytes.div_ceil(1 << 10)
    );
    Ok(slot_bytes)
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
mod tests;
