//! Packet captures by tcpdump, for the report and for replays.

use crate::ns::Guard;
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A running capture; ends when dropped.
#[derive(Debug)]
pub struct Capture {
    guard: Guard,
    path: PathBuf,
}

impl Capture {
    /// Captures what matches `filter` on a bridge into `path`; returns once packets are being taken.
    pub fn start(bridge: &str, filter: &str, path: &Path) -> Result<Self> {
        let mut command = Command::new("tcpdump");
        // Root's own files: tcpdump's drop of privileges would lose the right to write them.
        command.args([
            "-i",
            bridge,
            "-s",
            "256",
            "-U",
            "--immediate-mode",
            "-Z",
            "root",
            "-w",
        ]);
        command.arg(path).arg(filter).process_group(0);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().context("starting tcpdump")?;
        let stderr = child.stderr.take().context("tcpdump has no stderr")?;
        let guard = Guard::new(child);
        let mut said = String::new();
        let mut lines = BufReader::new(stderr);
        while lines.read_line(&mut said)? > 0 {
            if said.contains("listening on") {
                // Its last words at the end would block it if nobody read them.
                std::thread::spawn(move || lines.lines().for_each(drop));
                return Ok(Capture {
                    guard,
                    path: path.into(),
                });
            }
        }
        bail!("capturing on {bridge}: {}", said.trim())
    }

    /// Ends the capture; gives the packets' link-layer frames.
    pub fn finish(mut self) -> Result<Vec<Vec<u8>>> {
        self.guard.kill();
        let bytes = std::fs::read(&self.path)?;
        Ok(frames(&bytes))
    }
}

/// Frames of a little-endian pcap file (24 bytes of header, then 16 bytes before each frame).
fn frames(file: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = file.get(24..).unwrap_or_default();
    let mut frames = Vec::new();
    while let Some(length) = rest.get(8..12).and_then(|bytes| bytes.first_chunk()) {
        let end = 16 + u32::from_le_bytes(*length) as usize;
        let Some(frame) = rest.get(16..end) else {
            break;
        };
        frames.push(frame.to_vec());
        rest = rest.get(end..).unwrap_or_default();
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_frames_only() {
        let mut file = vec![0; 24];
        for frame in [&[1, 2, 3][..], &[4]] {
            file.extend([0; 8]);
            file.extend([u8::try_from(frame.len()).unwrap_or(0), 0, 0, 0, 9, 0, 0, 0]);
            file.extend(frame);
        }
        assert_eq!(frames(&file), [vec![1, 2, 3], vec![4]]);
        file.pop();
        assert_eq!(frames(&file), [vec![1, 2, 3]]);
        assert!(frames(&[]).is_empty());
    }
}
