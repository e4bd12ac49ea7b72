//! The IPVS family's number, which the kernel gives out at boot (CTRL_CMD_GETFAMILY of
//! linux/genetlink.h).

use super::Family;
use crate::attribute::{Payloads, generic_attribute};
use crate::error::{DecodeError, EncodeError};
use crate::message::{Message, Request};
use neli::FromBytesWithInput;
use neli::consts::genl::{CtrlAttr, CtrlCmd};
use neli::consts::nl::{GenlId, NlmF};
use neli::genl::{Genlmsghdr, GenlmsghdrBuilder};
use neli::types::GenlBuffer;
use std::io::Cursor;

/// IPVS_GENL_NAME.
const NAME: &str = "IPVS";

/// The controller looks at no version; genl(8) sends this one.
const CONTROLLER_VERSION: u8 = 0;

/// Asks for the family's number; the answer is for `decode_family`. The kernel says ENOENT where it has
/// no IPVS.
///
/// # Errors
/// None in practice.
pub fn resolve() -> Result<Request, EncodeError> {
    let name = generic_attribute(CtrlAttr::FamilyName, NAME)?;
    let body = GenlmsghdrBuilder::default()
        .cmd(CtrlCmd::Getfamily)
        .version(CONTROLLER_VERSION)
        .attrs(GenlBuffer::from_iter([name]))
        .build()
        .map_err(|_| EncodeError("family request"))?;
    Request::new("looking for IPVS", GenlId::Ctrl, NlmF::empty(), &body)
}

/// The family of the answer; `None` for any other message.
///
/// # Errors
/// An answer without a number.
pub fn decode_family(message: &Message<'_>) -> Result<Option<Family>, DecodeError> {
    if message.kind != u16::from(GenlId::Ctrl) {
        return Ok(None);
    }
    let mut bytes = Cursor::new(message.body);
    let body =
        Genlmsghdr::<CtrlCmd, CtrlAttr>::from_bytes_with_input(&mut bytes, message.body.len())
            .map_err(|_| DecodeError("family"))?;
    let attributes = body.attrs().get_attr_handle();
    if attributes.text(CtrlAttr::FamilyName).as_deref() != Some(NAME) {
        return Ok(None);
    }
    let number = attributes
        .u16(CtrlAttr::FamilyId)
        .ok_or(DecodeError("family number"))?;
    Ok(Some(Family(number)))
}
