//! Frames on a byte stream: any chunks, any noise, ports that take little at a time.

extern crate std;

use super::*;
use core::convert::Infallible;
use proptest::prelude::*;
use std::vec::Vec;

fn decode_in(decoder: &mut Decoder, bytes: &[u8], chunk: usize) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for chunk in bytes.chunks(chunk.max(1)) {
        decoder.push(chunk, |frame| frames.push(frame.to_vec()));
    }
    frames
}

fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    // Zeros are what COBS is about, so there are many.
    let byte = prop_oneof![Just(0_u8), any::<u8>()];
    prop::collection::vec(byte, 1..=FRAME_BYTES_MAX)
}

proptest! {
    #[test]
    fn frames_come_out_as_they_went_in(
        sent in prop::collection::vec(any_frame(), 1..5), chunk in 1_usize..300,
    ) {
        let line: Vec<u8> = sent.iter().flat_map(|frame| encode(frame).unwrap()).collect();
        let mut decoder = Decoder::default();
        prop_assert_eq!(decode_in(&mut decoder, &line, chunk), sent);
        prop_assert_eq!(decoder.noise(), Noise::default());
    }

    #[test]
    fn noise_before_a_frame_does_not_cost_it(
        noise in prop::collection::vec(any::<u8>(), 0..500), frame in any_frame(),
    ) {
        let mut line = noise;
        line.extend(encode(&frame).unwrap());
        let got = decode_in(&mut Decoder::default(), &line, 7);
        prop_assert_eq!(got.last(), Some(&frame));
    }

    #[test]
    fn a_flipped_bit_costs_the_frame(frame in any_frame(), at: prop::sample::Index, bit in 0_u32..8) {
        let mut line = encode(&frame).unwrap();
        let at = 1 + at.index(line.len() - 2);
        line[at] ^= 1_u8 << bit;
        let got = decode_in(&mut Decoder::default(), &line, 64);
        prop_assert!(!got.contains(&frame));
    }

    #[test]
    fn no_bytes_panic(noise in prop::collection::vec(any::<u8>(), 0..2000), chunk in 1_usize..300) {
        decode_in(&mut Decoder::default(), &noise, chunk);
    }
}

#[test]
fn a_usual_beat_fits_the_slowest_line_four_times_a_second() {
    assert!(encode(&[1; FRAME_BYTES_USUAL]).unwrap().len() == LINE_BYTES_USUAL);
    assert!(encode(&[1; FRAME_BYTES_MAX]).unwrap().len() == LINE_BYTES_MAX);
    let line_bytes_per_s = 19200 / 10;
    assert!(
        LINE_BYTES_USUAL * 4 * 2 < line_bytes_per_s,
        "less than half the line"
    );
}

#[test]
fn what_is_too_long_is_passed_over_and_counted_once() {
    let mut decoder = Decoder::default();
    let mut line = std::vec![0xaa; 5000];
    line.extend(encode(b"beat").unwrap());
    assert_eq!(decode_in(&mut decoder, &line, 256), [b"beat"]);
    assert_eq!(
        decoder.noise(),
        Noise {
            too_long: 1,
            damaged: 0
        }
    );
    assert!(encode(&[0; FRAME_BYTES_MAX + 1]).is_none());
}

/// A port that takes `room` bytes in all until somebody makes room again.
#[derive(Default)]
struct Port {
    room: usize,
    line: Vec<u8>,
}

impl embedded_io::ErrorType for Port {
    type Error = Infallible;
}

impl Write for Port {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        let count = bytes.len().min(self.room).min(5);
        self.room -= count;
        self.line.extend(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

#[test]
fn a_slow_port_gets_whole_frames_and_the_newest_of_those_that_wait() {
    let mut port = Port::default();
    let mut sender = Sender::default();
    sender.queue(b"first");
    port.room = 3;
    assert_eq!(sender.write_to(&mut port), Ok(true));
    sender.queue(b"second");
    sender.queue(b"third");
    port.room = 1000;
    assert_eq!(sender.write_to(&mut port), Ok(false));
    let got = decode_in(&mut Decoder::default(), &port.line, 1);
    assert_eq!(got, [b"first", b"third"]);
    assert_eq!(sender.replaced(), 1);
}

/// A broken port must not leave half a frame in front of the next one.
struct Broken;

impl embedded_io::ErrorType for Broken {
    type Error = ErrorKind;
}

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> Result<usize, ErrorKind> {
        Err(ErrorKind::BrokenPipe)
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

#[test]
fn an_error_of_the_port_gives_up_the_frame_on_its_way() {
    let mut sender = Sender::default();
    sender.queue(b"lost");
    assert_eq!(sender.write_to(&mut Broken), Err(ErrorKind::BrokenPipe));
    sender.queue(b"next");
    let mut port = Port {
        room: 1000,
        ..Port::default()
    };
    assert_eq!(sender.write_to(&mut port), Ok(false));
    assert_eq!(decode_in(&mut Decoder::default(), &port.line, 1), [b"next"]);
}
