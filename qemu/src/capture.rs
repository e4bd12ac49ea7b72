//! Packet captures by tcpdump, for the report and for replays.

use crate::ns::Guard;
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A link-layer frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// When the kernel took it, as time since 1970.
    pub at: Duration,
    /// From the Ethernet header on.
    pub bytes: Vec<u8>,
}

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
            "2048",
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

    /// Ends the capture; gives what it took.
    pub fn finish(mut self) -> Result<Vec<Frame>> {
        self.guard.kill();
        let bytes = std::fs::read(&self.path)?;
        Ok(frames(&bytes))
    }
}

/// Frames of a little-endian pcap file: 24 bytes of header, then before each frame 16 bytes with its moment in
/// seconds and microseconds and its length.
fn frames(file: &[u8]) -> Vec<Frame> {
    let mut rest = file.get(24..).unwrap_or_default();
    let mut frames = Vec::new();
    while let (Some(seconds), Some(micros), Some(length)) =
        (number(rest, 0), number(rest, 4), number(rest, 8))
    {
        let end = 16 + length as usize;
        let Some(bytes) = rest.get(16..end) else {
            break;
        };
        let at = Duration::from_secs(seconds.into()) + Duration::from_micros(micros.into());
        let bytes = bytes.to_vec();
        frames.push(Frame { at, bytes });
        rest = rest.get(end..).unwrap_or_default();
    }
    frames
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_frames_only() {
        let mut file = vec![0; 24];
        for frame in [&[1, 2, 3][..], &[4]] {
            file.extend([7, 0, 0, 0, 5, 0, 0, 0]);
            file.extend([u8::try_from(frame.len()).unwrap_or(0), 0, 0, 0, 9, 0, 0, 0]);
            file.extend(frame);
        }
        let bytes = |file: &[u8]| -> Vec<_> {
            let frames = frames(file).into_iter();
            frames.map(|frame| frame.bytes).collect()
        };
        assert_eq!(bytes(&file), [vec![1, 2, 3], vec![4]]);
        assert!(
            frames(&file)
                .iter()
                .all(|frame| frame.at == Duration::from_micros(7_000_005))
        );
        file.pop();
        assert_eq!(bytes(&file), [vec![1, 2, 3]]);
        assert!(frames(&[]).is_empty());
    }
}
