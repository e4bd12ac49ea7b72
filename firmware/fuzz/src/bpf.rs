//! As much of classic BPF as our filters use (linux/filter.h), to run them as the kernel would.

use netlink::claim::Instruction;

/// Whether the kernel would let the frame pass; a program that goes astray lets nothing pass.
pub(crate) fn passes(program: &[Instruction], frame: &[u8]) -> bool {
    let (mut at, mut accumulator) = (0_usize, 0_u32);
    while let Some(instruction) = program.get(at) {
        let Ok(offset) = usize::try_from(instruction.operand) else {
            return false;
        };
        at += 1;
        match instruction.code {
            // A load past the end drops the frame.
            0x20 => match frame.get(offset..).and_then(<[u8]>::first_chunk::<4>) {
                Some(word) => accumulator = u32::from_be_bytes(*word),
                None => return false,
            },
            0x30 => match frame.get(offset) {
                Some(byte) => accumulator = u32::from(*byte),
                None => return false,
            },
            0x15 if accumulator == instruction.operand => at += usize::from(instruction.jump_true),
            0x15 => at += usize::from(instruction.jump_false),
            0x06 => return instruction.operand != 0,
            _ => return false,
        }
    }
    false
}
