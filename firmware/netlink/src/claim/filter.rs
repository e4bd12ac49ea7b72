//! Classic BPF programs (linux/filter.h) that pass a frame only where it claims one of given addresses. The
//! kernel runs them on every ARP packet, and every IPv6 packet, that comes in on any device.

use super::{ADVERTISEMENT, ICMPV6, ICMPV6_HEADER, NEXT_HEADER, SENDER_ADDRESS, TARGET};
use std::net::{Ipv4Addr, Ipv6Addr};

/// `struct sock_filter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// Instructions to pass over where a comparison holds.
    pub jump_true: u8,
    /// Instructions to pass over where it does not.
    pub jump_false: u8,
    /// Operand.
    pub operand: u32,
}

/// BPF_LD | BPF_W | BPF_ABS: four bytes of the frame, in network order.
const LOAD_WORD: u16 = 0x20;
/// BPF_LD | BPF_B | BPF_ABS: one byte of the frame.
const LOAD_BYTE: u16 = 0x30;
/// BPF_JMP | BPF_JEQ | BPF_K.
const JUMP_EQUAL: u16 = 0x15;
/// BPF_RET | BPF_K: how many bytes of the frame pass.
const RETURN: u16 = 0x06;

const PASS: Instruction = plain(RETURN, u32::MAX);
const DROP: Instruction = plain(RETURN, 0);

/// BPF_MAXINSNS: longer programs are refused.
const INSTRUCTIONS_MAX: usize = 4096;

/// Passes ARP packets whose sender is one of `addresses`. Where they are too many for a filter it passes all.
#[must_use]
pub fn arp_filter(addresses: impl Iterator<Item = Ipv4Addr>) -> Vec<Instruction> {
    let mut program = vec![load(LOAD_WORD, SENDER_ADDRESS)];
    for address in addresses {
        program.extend([unless_equal(address.to_bits(), 1), PASS]);
    }
    ended(program)
}

/// Passes neighbour advertisements whose target is one of `addresses`. Where they are too many for a filter
/// it passes all.
#[must_use]
pub fn neighbour_filter(addresses: impl Iterator<Item = Ipv6Addr>) -> Vec<Instruction> {
    let mut program = vec![
        load(LOAD_BYTE, NEXT_HEADER),
        if_equal_pass_over(ICMPV6_HEADER),
        DROP,
        load(LOAD_BYTE, ICMPV6),
        if_equal_pass_over(ADVERTISEMENT),
        DROP,
    ];
    for address in addresses {
        let octets = address.octets();
        let (words, _) = octets.as_chunks::<4>();
        // Each comparison that fails goes on behind this address' PASS.
        let after = [7, 5, 3, 1];
        for ((word, rest), offset) in words.iter().zip(after).zip((TARGET..).step_by(4)) {
            program.push(load(LOAD_WORD, offset));
            program.push(unless_equal(u32::from_be_bytes(*word), rest));
        }
        program.push(PASS);
    }
    ended(program)
}

fn ended(mut program: Vec<Instruction>) -> Vec<Instruction> {
    program.push(DROP);
    if program.len() > INSTRUCTIONS_MAX {
        return vec![PASS];
    }
    program
}

const fn plain(code: u16, operand: u32) -> Instruction {
    Instruction {
        code,
        jump_true: 0,
        jump_false: 0,
        operand,
    }
}

fn load(code: u16, offset: usize) -> Instruction {
    // Offsets are constants below 100.
    plain(code, u32::try_from(offset).unwrap_or(0))
}

/// Goes on where it is equal, else passes over the next `count`.
const fn unless_equal(operand: u32, count: u8) -> Instruction {
    Instruction {
        jump_false: count,
        ..plain(JUMP_EQUAL, operand)
    }
}

fn if_equal_pass_over(operand: u8) -> Instruction {
    Instruction {
        jump_true: 1,
        ..plain(JUMP_EQUAL, operand.into())
    }
}
