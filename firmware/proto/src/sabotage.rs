//! Breaks one rule of the protocol on purpose, so that the simulator can prove that it would find out. The switch
//! exists only with the feature `sabotage`, which the box's own build refuses; without it nothing is ever broken.

#[cfg(all(feature = "sabotage", target_env = "musl"))]
compile_error!(
    "the feature `sabotage` breaks the protocol on purpose: it is for the simulator, never for a box"
);

/// A rule that can be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Sabotage {
    /// Of two boxes that hold the addresses neither gives way to the higher term.
    NoTermCheck = 1,
    /// Any frame with the right key keeps a link up, whatever it echoes.
    NoEchoCheck,
    /// A box that stood still goes on as if nothing had been.
    NoStallCheck,
    /// Addresses are announced when they are taken, and never again.
    AnnounceOnce,
    /// A box that has just started, or stood still, takes addresses without listening first.
    NoGrace,
    /// The box of higher priority is handed the addresses though fail-back is off.
    FailBackAlways,
    /// Addresses are taken before the dataplane is ready.
    TakeUnready,
    /// Both boxes count terms by one, so both may take the same.
    SameTerm,
    /// One silent link makes the peer count as dead.
    OneLinkDecides,
    /// A box that offers the addresses lets go of them at once.
    LetGoEarly,
    /// Frames are believed without their MAC.
    NoMac,
    /// A failed attempt to remove the addresses is not repeated.
    ReleaseOnce,
    /// A dead peer's addresses are left to it.
    NoTakeover,
    /// What a frame says is believed though a faster link has said newer things.
    BelieveOld,
    /// A returning box is handed the addresses before it holds the connections.
    FailBackUnsynced,
    /// A silent peer is not asked for a sign of life.
    NoProbes,
    /// Carriers under the virtual addresses don't matter.
    IgnoreCarriers,
    /// The operator's standby is forgotten once it is carried out.
    ForgetStandby,
    /// State sync: what either box says of a flow counts, whatever its term.
    TakeAnyRank,
    /// State sync: a box that took over from a silent one hears what that had still to tell of balanced flows.
    TakeAnyBalanced,
    /// State sync: records are taken in the order in which they come.
    TakeOvertaken,
    /// State sync: that a flow was removed is forgotten at once.
    ForgetGuards,
    /// State sync: a new owner forgets what ended since it became that.
    ForgetEnded,
    /// State sync: the other box is not told of a flow's end.
    ForgetRemovals,
    /// State sync: tables are called equal without a look at their sums.
    IgnoreDigests,
    /// State sync: a dump is believed against the events beside it.
    BelieveDumps,
    /// State sync: a lost datagram is not sent again.
    ForgetLosses,
    /// State sync: what vanished without a word is compared some time, and all is called in sync until then.
    HideVanished,
}

impl Sabotage {
    /// Those of state sync.
    pub const STATE: [Sabotage; 10] = [
        Sabotage::TakeAnyRank,
        Sabotage::TakeAnyBalanced,
        Sabotage::TakeOvertaken,
        Sabotage::ForgetGuards,
        Sabotage::ForgetEnded,
        Sabotage::ForgetRemovals,
        Sabotage::IgnoreDigests,
        Sabotage::BelieveDumps,
        Sabotage::ForgetLosses,
        Sabotage::HideVanished,
    ];

    /// Those of heartbeats and failover.
    pub const ALL: [Sabotage; 18] = [
        Sabotage::NoTermCheck,
        Sabotage::NoEchoCheck,
        Sabotage::NoStallCheck,
        Sabotage::AnnounceOnce,
        Sabotage::NoGrace,
        Sabotage::FailBackAlways,
        Sabotage::TakeUnready,
        Sabotage::SameTerm,
        Sabotage::OneLinkDecides,
        Sabotage::LetGoEarly,
        Sabotage::NoMac,
        Sabotage::ReleaseOnce,
        Sabotage::NoTakeover,
        Sabotage::BelieveOld,
        Sabotage::FailBackUnsynced,
        Sabotage::NoProbes,
        Sabotage::IgnoreCarriers,
        Sabotage::ForgetStandby,
    ];
}

#[cfg(feature = "sabotage")]
mod switch {
    use super::Sabotage;
    use core::sync::atomic::{AtomicU8, Ordering};

    static BROKEN: AtomicU8 = AtomicU8::new(0);

    /// Breaks that rule in all nodes of this process, or none.
    pub fn sabotage(rule: Option<Sabotage>) {
        BROKEN.store(rule.map_or(0, |rule| rule as u8), Ordering::Relaxed);
    }

    pub(crate) fn is_broken(rule: Sabotage) -> bool {
        BROKEN.load(Ordering::Relaxed) == rule as u8
    }
}

#[cfg(feature = "sabotage")]
pub(crate) use switch::is_broken;
#[cfg(feature = "sabotage")]
pub use switch::sabotage;

/// Nothing is broken.
#[cfg(not(feature = "sabotage"))]
pub(crate) const fn is_broken(_rule: Sabotage) -> bool {
    false
}
