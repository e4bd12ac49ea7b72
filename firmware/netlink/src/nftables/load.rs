//! Selectors to the expressions that load them into registers.

use super::expression::{expression, load_ct, load_meta, load_payload, register};
use super::guard::Guard;
use super::refusal::Why;
use super::value::{direction_number, form};
use super::writer::Writer;
use plan::ruleset::{
    Arp, Ct, Ether, Fib, FibKey, FibResult, Field, Icmp, Icmpv6, Ipv4, Ipv6, Kind, Meta, Selector,
    Spread, Tcp, TupleEnd, Udp,
};

/// NFT_PAYLOAD_*.
const LINK: u32 = 0;
const NETWORK: u32 = 1;
const TRANSPORT: u32 = 2;

/// NFTA_FIB_*, NFT_FIB_RESULT_*, NFTA_FIB_F_*.
const FIB_TO: u16 = 1;
const FIB_RESULT: u16 = 2;
const FIB_FLAGS: u16 = 3;
const FIB_BY_SOURCE: u32 = 1;
const FIB_BY_DESTINATION: u32 = 2;
const FIB_BY_MARK: u32 = 4;
const FIB_BY_INPUT: u32 = 8;
const FIB_BY_OUTPUT: u32 = 16;
const FIB_PRESENT: u32 = 32;

/// NFTA_NG_*, NFT_NG_*.
const NUMGEN_TO: u16 = 1;
const NUMGEN_MODULUS: u16 = 2;
const NUMGEN_TYPE: u16 = 3;
const NUMGEN_OFFSET: u16 = 4;
const INCREMENTAL: u32 = 0;
const RANDOM: u32 = 1;

/// NFTA_HASH_*, NFT_HASH_JENKINS.
const HASH_FROM: u16 = 1;
const HASH_TO: u16 = 2;
const HASH_BYTES: u16 = 3;
const HASH_MODULUS: u16 = 4;
const HASH_SEED: u16 = 5;
const HASH_OFFSET: u16 = 6;
const HASH_TYPE: u16 = 7;
const JENKINS: u32 = 0;

/// Loads the parts of a key, side by side from the first register, after whatever must be tested before they
/// may be read. Returns their kinds.
pub(super) fn load_key(
    writer: &mut Writer,
    guard: &mut Guard,
    key: &[Selector],
) -> Result<(), Why> {
    // The tests use the first register, so they all come before.
    for selector in key {
        guard.write(writer, selector)?;
    }
    let mut word = 0;
    for selector in key {
        load(writer, selector, word)?;
        word += form(selector.kind()).words();
    }
    if key.is_empty() {
        Err(Why::Empty)
    } else {
        Ok(())
    }
}

/// Loads one selector, whose tests were made.
pub(super) fn load(writer: &mut Writer, selector: &Selector, word: u32) -> Result<(), Why> {
    match selector {
        Selector::Field(field) => load_field(writer, *field, word, form(field.kind()).bytes),
        Selector::Meta(meta) => load_meta(writer, word, meta_number(*meta)),
        Selector::Ct(ct) => {
            let direction = match ct {
                Ct::Tuple(direction, _) => Some(direction_number(*direction)),
                _ => None,
            };
            load_ct(writer, word, ct_number(*ct), direction);
        }
        Selector::Fib(fib) => load_fib(writer, fib, word),
        Selector::Spread(spread) => return load_spread(writer, spread, word),
    }
    Ok(())
}

/// Loads the first bytes of a field.
pub(super) fn load_field(writer: &mut Writer, field: Field, word: u32, bytes: u8) {
    let (base, offset) = location(field);
    load_payload(writer, word, base, offset, bytes.into());
}

/// Where a field lies.
const fn location(field: Field) -> (u32, u32) {
    match field {
        Field::Ether(Ether::Destination) => (LINK, 0),
        Field::Ether(Ether::Source) => (LINK, 6),
        Field::Ether(Ether::Type) => (LINK, 12),
        Field::Arp(Arp::Operation) => (NETWORK, 6),
        Field::Arp(Arp::SenderMac) => (NETWORK, 8),
        Field::Arp(Arp::SenderAddress) => (NETWORK, 14),
        Field::Arp(Arp::TargetMac) => (NETWORK, 18),
        Field::Arp(Arp::TargetAddress) => (NETWORK, 24),
        Field::Ipv4(Ipv4::Length) => (NETWORK, 2),
        Field::Ipv4(Ipv4::TimeToLive) => (NETWORK, 8),
        Field::Ipv4(Ipv4::Protocol) => (NETWORK, 9),
        Field::Ipv4(Ipv4::Source) => (NETWORK, 12),
        Field::Ipv4(Ipv4::Destination) => (NETWORK, 16),
        Field::Ipv6(Ipv6::Length) => (NETWORK, 4),
        Field::Ipv6(Ipv6::NextHeader) => (NETWORK, 6),
        Field::Ipv6(Ipv6::HopLimit) => (NETWORK, 7),
        Field::Ipv6(Ipv6::Source) => (NETWORK, 8),
        Field::Ipv6(Ipv6::Destination) => (NETWORK, 24),
        Field::Tcp(Tcp::SourcePort) | Field::Udp(Udp::SourcePort) | Field::SourcePort => {
            (TRANSPORT, 0)
        }
        Field::Tcp(Tcp::DestinationPort)
        | Field::Udp(Udp::DestinationPort)
        | Field::DestinationPort => (TRANSPORT, 2),
        Field::Tcp(Tcp::Flags) => (TRANSPORT, 13),
        Field::Udp(Udp::Length) => (TRANSPORT, 4),
        Field::Icmp(Icmp::Type) | Field::Icmpv6(Icmpv6::Type) => (TRANSPORT, 0),
        Field::Icmp(Icmp::Code) | Field::Icmpv6(Icmpv6::Code) => (TRANSPORT, 1),
    }
}

/// NFT_META_*.
const fn meta_number(meta: Meta) -> u32 {
    match meta {
        Meta::Length => 0,
        Meta::EtherType => 1,
        Meta::Mark => 3,
        Meta::InputIndex => 4,
        Meta::OutputIndex => 5,
        Meta::InputName => 6,
        Meta::OutputName => 7,
        Meta::NfProtocol => 15,
        Meta::Protocol => 16,
        Meta::PacketType => 19,
    }
}

/// NFT_CT_*.
const fn ct_number(ct: Ct) -> u32 {
    match ct {
        Ct::State => 0,
        Ct::Direction => 1,
        Ct::Status => 2,
        Ct::Mark => 3,
        Ct::Zone => 17,
        Ct::Tuple(_, TupleEnd::Protocol) => 10,
        Ct::Tuple(_, TupleEnd::SourcePort) => 11,
        Ct::Tuple(_, TupleEnd::DestinationPort) => 12,
        Ct::Tuple(_, TupleEnd::Source4) => 19,
        Ct::Tuple(_, TupleEnd::Destination4) => 20,
        Ct::Tuple(_, TupleEnd::Source6) => 21,
        Ct::Tuple(_, TupleEnd::Destination6) => 22,
    }
}

fn load_fib(writer: &mut Writer, fib: &Fib, word: u32) {
    let (result, present) = match fib.result {
        FibResult::Exists => (1, FIB_PRESENT),
        FibResult::OutputIndex => (1, 0),
        FibResult::OutputName => (2, 0),
        FibResult::AddressType => (3, 0),
    };
    let key = match fib.key {
        FibKey::Source => FIB_BY_SOURCE,
        FibKey::Destination => FIB_BY_DESTINATION,
    };
    let mut flags = key | present;
    for (is_on, flag) in [
        (fib.by_mark, FIB_BY_MARK),
        (fib.by_input, FIB_BY_INPUT),
        (fib.by_output, FIB_BY_OUTPUT),
    ] {
        flags |= if is_on { flag } else { 0 };
    }
    expression(writer, "fib", |writer| {
        writer.u32(FIB_TO, register(word));
        writer.u32(FIB_RESULT, result);
        writer.u32(FIB_FLAGS, flags);
    });
}

fn load_spread(writer: &mut Writer, spread: &Spread, word: u32) -> Result<(), Why> {
    let (kind, buckets, offset) = match spread {
        Spread::RoundRobin { buckets, offset } => (INCREMENTAL, buckets, offset),
        Spread::Random { buckets, offset } => (RANDOM, buckets, offset),
        Spread::Hash {
            of,
            seed,
            buckets,
            offset,
        } => {
            let bytes = load_hashed(writer, of, word)?;
            expression(writer, "hash", |writer| {
                writer.u32(HASH_FROM, register(word));
                writer.u32(HASH_TO, register(word));
                writer.u32(HASH_BYTES, bytes);
                writer.u32(HASH_MODULUS, buckets.get());
                if let Some(seed) = seed {
                    writer.u32(HASH_SEED, *seed);
                }
                writer.u32(HASH_OFFSET, *offset);
                writer.u32(HASH_TYPE, JENKINS);
            });
            return Ok(());
        }
    };
    expression(writer, "numgen", |writer| {
        writer.u32(NUMGEN_TO, register(word));
        writer.u32(NUMGEN_MODULUS, buckets.get());
        writer.u32(NUMGEN_TYPE, kind);
        writer.u32(NUMGEN_OFFSET, *offset);
    });
    Ok(())
}

/// Loads what is hashed, to be replaced by its hash; its bytes.
fn load_hashed(writer: &mut Writer, of: &[Selector], word: u32) -> Result<u32, Why> {
    let mut next = word;
    for selector in of {
        load(writer, selector, next)?;
        next += form(selector.kind()).words();
    }
    match of {
        [] => Err(Why::Empty),
        [one] => Ok(form(one.kind()).bytes.into()),
        _ => Ok(4 * (next - word)),
    }
}

/// Kinds of the parts of a key.
pub(super) fn kinds(key: &[Selector]) -> Vec<Kind> {
    key.iter().map(Selector::kind).collect()
}
