//! What the kernel says of hardware, and what the first sectors of a disk speak of.

use sys::block::{FileSystem, recognise};
use sys::uevent::parse;

/// A message of NETLINK_KOBJECT_UEVENT.
pub(super) fn uevent(bytes: &[u8]) {
    let Some(event) = parse(bytes) else { return };
    for text in [&event.action, &event.subsystem, &event.device] {
        assert!(!text.contains('\0'), "{event:?}");
    }
}

/// As the kernel sends them, and as udev would.
pub(super) fn uevent_seeds() -> Vec<Vec<u8>> {
    [
        "add@/devices/pci0/sda/sda1\0ACTION=add\0SUBSYSTEM=block\0DEVNAME=sda1\0SEQNUM=7\0",
        "change@/devices/sr0\0ACTION=change\0SUBSYSTEM=block\0DISK_MEDIA_CHANGE=1\0",
        "libudev\0",
    ]
    .map(Into::into)
    .into()
}

/// The boot sector, and behind it the start of a volume descriptor.
pub(super) fn sector(bytes: &[u8]) {
    let Some((boot, rest)) = bytes.split_first_chunk::<512>() else {
        return;
    };
    let mut volume = [0; 6];
    for (to, from) in volume.iter_mut().zip(rest) {
        *to = *from;
    }
    let found = recognise(boot, &volume);
    let is_cd = volume.ends_with(b"CD001") && volume.first() == Some(&1);
    assert_eq!(found == Some(FileSystem::Iso9660), is_cd);
    assert!(found != Some(FileSystem::Fat) || boot.ends_with(&[0x55, 0xaa]));
}

/// A floppy and a hybrid CD.
pub(super) fn sector_seeds() -> Vec<Vec<u8>> {
    let mut boot = vec![0xeb, 0x3c, 0x90];
    boot.extend(b"mkfs.fat\0\x02\x01\x01\0\x02\xe0\0\x40\x0b\xf0");
    boot.resize(510, 0);
    boot.extend([0x55, 0xaa]);
    let cd = [boot.as_slice(), b"\x01CD001"].concat();
    vec![boot, cd]
}
