//! How a new medium is divided: how long its slots are, and how large its volume.

use anyhow::{Result, bail};
use fatfs::{FatType, FormatVolumeOptions};
use plan::image::slot_bytes;
use plan::medium::{LABEL, SLOTS};

pub(super) const SECTOR_BYTES: u16 = 512;

const FLOPPY_SECTORS: u32 = 2880;
/// Boot sector, two FATs, root directory.
const FLOPPY_SECTORS_TAKEN: u32 = 1 + 2 * 9 + 14;
/// 16 MiB, which hold whatever was ever promised.
const USB_SECTORS: u32 = 32_768;
/// 64 MiB, for much text.
const USB_SECTORS_MAX: u32 = 131_072;
/// More than FATs, root directory, NODE.TXT and the last cluster of each file take of a stick.
const USB_BYTES_TAKEN: usize = 512 << 10;

/// What a medium is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// 1.44 MB, FAT12, 18 sectors a track.
    Floppy,
    /// 16 MiB, for much text up to 64 MiB, FAT16; the rest of a larger stick stays unused.
    Usb,
}

/// How a new medium is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    kind: Kind,
    /// In sectors.
    pub(super) volume_sectors: u32,
    /// Of both slots.
    pub(super) slot_bytes: usize,
}

impl Layout {
    /// For an image and a text of these lengths, with room to grow.
    pub(super) fn new(kind: Kind, image_bytes: usize, text_bytes: usize) -> Result<Self> {
        let slot_bytes = slot_bytes(image_bytes);
        let volume_sectors = match kind {
            Kind::Floppy => floppy(slot_bytes, text_bytes)?,
            Kind::Usb => stick(slot_bytes, text_bytes)?,
        };
        Ok(Self {
            kind,
            volume_sectors,
            slot_bytes,
        })
    }

    pub(super) fn format(self, volume_id: u32) -> FormatVolumeOptions {
        let mut label = [b' '; 11];
        label
            .iter_mut()
            .zip(LABEL.bytes())
            .for_each(|(to, from)| *to = from);
        let options = FormatVolumeOptions::new()
            .total_sectors(self.volume_sectors)
            .volume_label(label)
            .volume_id(volume_id);
        match self.kind {
            Kind::Floppy => {
                let geometry = options
                    .fat_type(FatType::Fat12)
                    .media(0xf0)
                    .sectors_per_track(18)
                    .heads(2)
                    .drive_num(0);
                geometry.max_root_dir_entries(224).bytes_per_cluster(512)
            }
            Kind::Usb => options
                .fat_type(FatType::Fat16)
                .media(0xf8)
                .bytes_per_cluster(2048),
        }
    }
}

/// Sectors of a floppy, if all fits on one.
fn floppy(slot_bytes: usize, text_bytes: usize) -> Result<u32> {
    let sector_bytes = usize::from(SECTOR_BYTES);
    // With one for NODE.TXT.
    let sectors = SLOTS.len() * slot_bytes / sector_bytes + text_bytes.div_ceil(sector_bytes) + 1;
    if sectors > usize::try_from(FLOPPY_SECTORS - FLOPPY_SECTORS_TAKEN)? {
        bail!(
            "two slots of {} KiB and {} KiB of text do not fit a floppy: take a USB stick and write --usb",
            slot_bytes >> 10,
            text_bytes.div_ceil(1 << 10)
        );
    }
    Ok(FLOPPY_SECTORS)
}

/// Sectors of a volume on which the text may grow by half.
fn stick(slot_bytes: usize, text_bytes: usize) -> Result<u32> {
    let wanted = SLOTS.len() * slot_bytes + text_bytes + text_bytes / 2 + USB_BYTES_TAKEN;
    let sectors = wanted
        .div_ceil(usize::from(SECTOR_BYTES))
        .next_power_of_two();
    let sectors = u32::try_from(sectors).unwrap_or(u32::MAX);
    if sectors > USB_SECTORS_MAX {
        bail!(
            "the text has {} MiB, which no medium holds: take out what it says in comments",
            text_bytes >> 20
        );
    }
    Ok(sectors.max(USB_SECTORS))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_stick_is_as_large_as_it_has_to_be() {
        let mib = 1 << 20;
        for (image_bytes, text_bytes, volume_mib) in
            [(0, 0, 16), (mib, 4 * mib, 16), (4 * mib, 10 * mib, 32)]
        {
            let layout = Layout::new(Kind::Usb, image_bytes, text_bytes).unwrap();
            assert_eq!(layout.volume_sectors, volume_mib * 2048);
        }
        let refused = Layout::new(Kind::Usb, 0, 43 * mib).unwrap_err().to_string();
        assert!(refused.starts_with("the text has 43 MiB"), "{refused}");
    }

    #[test]
    fn a_floppy_takes_what_fits() {
        let kib = 1 << 10;
        let layout = Layout::new(Kind::Floppy, 300 * kib, 390 * kib).unwrap();
        assert_eq!(layout.slot_bytes, 512 * kib);
        for (image_bytes, text_bytes, told) in [
            (
                300 * kib,
                400 * kib,
                "two slots of 512 KiB and 400 KiB of text",
            ),
            (700 * kib, 9, "two slots of 2048 KiB and 1 KiB of text"),
        ] {
            let refused = Layout::new(Kind::Floppy, image_bytes, text_bytes);
            let refused = refused.unwrap_err().to_string();
            assert!(refused.starts_with(told) && refused.ends_with("write --usb"));
        }
    }
}
