//! The byte stream of a null modem: the same frames come out however it is cut into reads, no noise costs
//! more than the frame it hits, and what a stuttering port takes arrives as it was sent.

use super::wire;
use core::convert::Infallible;
use embedded_io::{ErrorType, Write};
use proto::serial::{Decoder, LINE_BYTES_MAX, Sender, encode};
use proto::wire::FRAME_BYTES_MAX;

/// A stream, cut into reads of as many bytes as the first one says.
pub(super) fn run(bytes: &[u8]) {
    let Some((&cut, stream)) = bytes.split_first() else {
        return;
    };
    let (frames, mut decoder) = received(stream.chunks(stream.len().max(1)));
    let pieces = received(stream.chunks(usize::from(cut).max(1)));
    assert_eq!((&frames, decoder.noise()), (&pieces.0, pieces.1.noise()));
    let delimiters = stream.iter().filter(|byte| **byte == 0).count();
    let accounted = u64::try_from(frames.len()).unwrap_or(u64::MAX) + decoder.noise().total();
    assert!(accounted <= u64::try_from(delimiters).unwrap_or(u64::MAX));
    for frame in &frames {
        assert!(frame.len() <= FRAME_BYTES_MAX);
    }
    // Whatever came before: the delimiter in front of a frame ends it.
    let Some(line) = encode(b"good") else { return };
    let mut last = Vec::new();
    decoder.push(&line, |frame| last = frame.to_vec());
    assert_eq!(last, b"good");
    send(cut, stream);
}

fn received<'a>(reads: impl Iterator<Item = &'a [u8]>) -> (Vec<Vec<u8>>, Decoder) {
    let (mut decoder, mut frames) = (Decoder::default(), Vec::new());
    for read in reads {
        decoder.push(read, |frame| frames.push(frame.to_vec()));
    }
    (frames, decoder)
}

/// A port that takes as many bytes at once as its room says, in turns.
struct Port {
    taken: Vec<u8>,
    room: Vec<u8>,
}

impl ErrorType for Port {
    type Error = Infallible;
}

impl Write for Port {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        let room = usize::from(self.room.pop().unwrap_or(u8::MAX)).min(bytes.len());
        self.taken.extend(bytes.iter().take(room));
        Ok(room)
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// Sends the stream as frames; those that are not replaced by newer ones arrive, in their order.
fn send(cut: u8, stream: &[u8]) {
    let room = stream.iter().map(|byte| byte % 8).collect();
    let taken = Vec::new();
    let (mut port, mut sender) = (Port { taken, room }, Sender::default());
    let frames: Vec<&[u8]> = stream.chunks(usize::from(cut % 64).max(8)).collect();
    for frame in &frames {
        sender.queue(frame);
        let _ = sender.write_to(&mut port);
    }
    port.room.clear();
    let left = sender.write_to(&mut port);
    assert_eq!(left, Ok(false), "a port that takes all leaves nothing");
    let (arrived, decoder) = received(core::iter::once(port.taken.as_slice()));
    assert_eq!(decoder.noise().total(), 0);
    let replaced = usize::try_from(sender.replaced()).unwrap_or(usize::MAX);
    assert_eq!(arrived.len() + replaced, frames.len());
    let mut sent = frames.iter();
    assert!(arrived.iter().all(|frame| sent.any(|one| one == frame)));
    assert!(port.taken.len() <= frames.len() * LINE_BYTES_MAX);
}

/// Frames between noise.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let beat = wire::codec().encode(&wire::beat(9)).unwrap_or_default();
    let line = encode(&beat).unwrap_or_default();
    vec![
        [&[3], line.as_slice(), b"noise\0", &line].concat(),
        [&[64], [5; 300].as_slice(), &line].concat(),
    ]
}
