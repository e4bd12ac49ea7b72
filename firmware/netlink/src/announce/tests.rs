#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use super::*;
use crate::capture::{bytes, hex};

const MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];

fn captured(text: &str) -> Vec<String> {
    text.lines()
        .filter(|l| !l.starts_with('#'))
        .map(|l| hex(&bytes(l)))
        .collect()
}

#[test]
fn arp_is_what_the_kernel_and_arping_send() {
    let frames: Vec<_> = frames("192.0.2.80".parse().unwrap(), MAC)
        .map(|f| hex(f.as_ref()))
        .collect();
    assert_eq!(
        frames,
        captured(include_str!("../../captures/gratuitous-arp.hex"))
    );
}

#[test]
fn advertisement_is_what_the_kernel_sends() {
    let frame = unsolicited_advertisement("2001:db8::80".parse().unwrap(), MAC);
    assert_eq!(
        hex(&frame),
        captured(include_str!("../../captures/ndisc-notify.hex"))[0]
    );
}

#[test]
fn every_frame_fits() {
    for address in ["192.0.2.80", "2001:db8::80"] {
        for frame in frames(address.parse().unwrap(), MAC) {
            assert!((42..=FRAME_BYTES_MAX).contains(&frame.as_ref().len()));
        }
    }
}
