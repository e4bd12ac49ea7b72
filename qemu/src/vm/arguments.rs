//! What a box is made of, and how that is said to QEMU. Only data and text: nothing is started here.

use anyhow::{Context, Result};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What the firmware of the machine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Firmware {
    /// SeaBIOS.
    Bios,
    /// OVMF.
    Uefi,
}

/// Where the machine boots from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Boot {
    /// The ISO in a CD drive.
    Cd(PathBuf),
    /// The ISO written to a USB stick.
    Usb(PathBuf),
    /// Straight into a kernel, where booting is not what is tested.
    Kernel {
        /// bzImage.
        kernel: PathBuf,
        /// cpio archive.
        initramfs: PathBuf,
        /// Kernel command line.
        command_line: String,
    },
}

/// What the config lies on, and the image of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Medium {
    /// First floppy drive.
    Floppy(PathBuf),
    /// USB stick.
    Usb(PathBuf),
    /// Virtio disk.
    Disk(PathBuf),
}

/// A network card and the tap it is plugged into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// Name of the tap, and QEMU's name for the card.
    pub tap: String,
    /// Hardware address.
    pub mac: String,
}

/// A box's hardware.
#[derive(Debug, Clone)]
pub struct Hardware {
    /// Firmware.
    pub firmware: Firmware,
    /// Boot medium.
    pub boot: Boot,
    /// Config medium; `None`: there is none, or it is on the boot medium.
    pub medium: Option<Medium>,
    /// RAM.
    pub memory_mib: u32,
    /// Network cards in PCI order.
    pub cards: Vec<Card>,
    /// An i6300esb watchdog card.
    pub has_watchdog: bool,
    /// A third serial port, where a test initramfs has a root shell.
    pub has_back_door: bool,
}

const OVMF_CODE: &str = "/usr/share/OVMF/OVMF_CODE_4M.fd";
/// The pristine UEFI variables; each machine gets a copy.
pub const OVMF_VARS: &str = "/usr/share/OVMF/OVMF_VARS_4M.fd";

/// Where the sockets of a machine are: the testbed listens, QEMU calls.
pub fn socket(folder: &Path, name: &str) -> PathBuf {
    folder.join(name)
}

/// The command line of `qemu-system-x86_64`.
pub fn arguments(name: &str, folder: &Path, hardware: &Hardware) -> Result<Vec<OsString>> {
    let mut all = Arguments::default();
    all.add(&[
        "-name",
        name,
        "-nodefaults",
        "-display",
        "none",
        "-vga",
        "std",
    ]);
    all.add(&[
        "-machine",
        "pc",
        "-smp",
        "1",
        "-m",
        &hardware.memory_mib.to_string(),
    ]);
    all.add(&["-accel", acceleration(), "-rtc", "base=utc"]);
    all.add(&[
        "-device",
        "qemu-xhci,id=usb",
        "-global",
        "isa-fdc.fallback=144",
    ]);
    all.serial_ports(folder, hardware.has_back_door)?;
    all.boot(folder, hardware)?;
    if let Some(medium) = &hardware.medium {
        all.medium(medium)?;
    }
    for card in &hardware.cards {
        // Without vnet_hdr the guest gets whole packets with right checksums: no offload hides a fault.
        let Card { tap, mac } = card;
        all.add(&[
            "-netdev",
            &format!("tap,id={tap},ifname={tap},script=no,downscript=no,vnet_hdr=off"),
        ]);
        all.add(&[
            "-device",
            &format!("virtio-net-pci,netdev={tap},id={tap}-card,mac={mac},romfile="),
        ]);
    }
    if hardware.has_watchdog {
        all.add(&["-device", "i6300esb", "-watchdog-action", "reset"]);
    }
    Ok(all.0)
}

#[derive(Default)]
struct Arguments(Vec<OsString>);

impl Arguments {
    fn add(&mut self, arguments: &[&str]) {
        self.0.extend(arguments.iter().map(OsString::from));
    }

    fn serial_ports(&mut self, folder: &Path, has_back_door: bool) -> Result<()> {
        let mut names = vec!["console", "modem", "qmp"];
        if has_back_door {
            names.push("door");
        }
        for name in names {
            let path = text(&socket(folder, name))?;
            self.add(&[
                "-chardev",
                &format!("socket,id={name},path={path},server=off"),
            ]);
        }
        self.add(&[
            "-serial",
            "chardev:console",
            "-serial",
            "chardev:modem",
            "-mon",
            "qmp,mode=control",
        ]);
        if has_back_door {
            self.add(&["-device", "pci-serial,chardev=door"]);
        }
        Ok(())
    }

    fn boot(&mut self, folder: &Path, hardware: &Hardware) -> Result<()> {
        if hardware.firmware == Firmware::Uefi {
            let vars = text(&folder.join("uefi-variables.fd"))?;
            self.add(&[
                "-drive",
                &format!("if=pflash,format=raw,readonly=on,file={OVMF_CODE}"),
            ]);
            self.add(&["-drive", &format!("if=pflash,format=raw,file={vars}")]);
        }
        match &hardware.boot {
            Boot::Cd(iso) => {
                self.drive("boot", iso, ",media=cdrom,readonly=on")?;
                self.add(&["-device", "ide-cd,drive=boot,bootindex=0"]);
            }
            Boot::Usb(iso) => {
                self.drive("boot", iso, ",readonly=on")?;
                self.add(&[
                    "-device",
                    "usb-storage,bus=usb.0,drive=boot,bootindex=0,removable=on",
                ]);
            }
            Boot::Kernel {
                kernel,
                initramfs,
                command_line,
            } => {
                self.add(&["-kernel", &text(kernel)?, "-initrd", &text(initramfs)?]);
                self.add(&["-append", command_line]);
            }
        }
        Ok(())
    }

    fn medium(&mut self, medium: &Medium) -> Result<()> {
        match medium {
            Medium::Floppy(image) => {
                let image = text(image)?;
                self.add(&[
                    "-drive",
                    &format!("if=floppy,index=0,format=raw,file={image}"),
                ]);
            }
            Medium::Usb(image) => {
                self.drive("config", image, "")?;
                self.add(&["-device", "usb-storage,bus=usb.0,drive=config,removable=on"]);
            }
            Medium::Disk(image) => {
                self.drive("config", image, "")?;
                self.add(&["-device", "virtio-blk-pci,drive=config"]);
            }
        }
        Ok(())
    }

    fn drive(&mut self, id: &str, image: &Path, options: &str) -> Result<()> {
        let image = text(image)?;
        self.add(&[
            "-drive",
            &format!("if=none,id={id},format=raw,file={image}{options}"),
        ]);
        Ok(())
    }
}

fn text(path: &Path) -> Result<String> {
    let text = path
        .to_str()
        .with_context(|| format!("{} is not UTF-8", path.display()))?;
    // A comma ends a QEMU option; doubled it stands for itself.
    Ok(text.replace(',', ",,"))
}

/// KVM only where the processor says it can: there are hosts whose /dev/kvm opens and whose guests hang.
fn acceleration() -> &'static str {
    let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = processor
        .lines()
        .find(|line| line.starts_with("flags"))
        .unwrap_or_default();
    let is_capable = flags
        .split_whitespace()
        .any(|flag| flag == "vmx" || flag == "svm");
    let is_open = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/kvm")
        .is_ok();
    if is_capable && is_open {
        "kvm"
    } else {
        "tcg,thread=multi"
    }
}
