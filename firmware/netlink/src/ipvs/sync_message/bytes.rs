//! Reading and writing bytes in order, within bounds.

use std::net::IpAddr;

/// Reads from the front.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scan<'a>(pub(super) &'a [u8]);

impl<'a> Scan<'a> {
    pub(super) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    pub(super) fn slice(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }
}

/// Writes from `at` on; `None` where there is no room.
#[derive(Debug)]
pub(super) struct Pen<'a> {
    buffer: &'a mut [u8],
    pub(super) at: usize,
}

impl<'a> Pen<'a> {
    pub(super) fn new(buffer: &'a mut [u8], at: usize) -> Self {
        Pen { buffer, at }
    }

    pub(super) fn put(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.at.checked_add(bytes.len())?;
        self.buffer.get_mut(self.at..end)?.copy_from_slice(bytes);
        self.at = end;
        Some(())
    }

    /// In network order; its family must be plain from what stands before.
    pub(super) fn address(&mut self, address: IpAddr) -> Option<()> {
        match address {
            IpAddr::V4(address) => self.put(&address.octets()),
            IpAddr::V6(address) => self.put(&address.octets()),
        }
    }

    /// A length in one byte, and the bytes.
    pub(super) fn counted(&mut self, bytes: &[u8]) -> Option<()> {
        self.put(&[u8::try_from(bytes.len()).ok()?])?;
        self.put(bytes)
    }

    /// Writes over what stands at `at`.
    pub(super) fn over(&mut self, at: usize, bytes: &[u8]) -> Option<()> {
        let end = at.checked_add(bytes.len())?;
        self.buffer.get_mut(at..end)?.copy_from_slice(bytes);
        Some(())
    }
}
