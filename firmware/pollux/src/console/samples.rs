//! A healthy pair as control tells of it, for tests.

use crate::ipc::control::{
    BulkStatus, ClusterStatus, LinkStatus, PeerStatus, ServerStatus, ServiceStatus, Status,
    SyncKind, SyncStatus, TableStatus,
};
use plan::config::{Endpoint, Forwarding, Protocol, Scheduler};
use std::net::Ipv4Addr;

/// A link that is up.
pub fn link(name: &str, jitter_us: u64) -> LinkStatus {
    LinkStatus {
        name: name.into(),
        up: true,
        silent_ms: Some(31),
        beat_ms: 50,
        dead_ms: 200,
        jitter_us,
        loss_permille: 0,
        sent: 200,
        received: 190,
        lost: 0,
        rejected: Vec::new(),
        unsent: 0,
    }
}

/// The active one of two, over one serial line.
pub fn cluster() -> ClusterStatus {
    ClusterStatus {
        role: "active".into(),
        ready: true,
        term: 2,
        since_ms: 9_100,
        dead_ms: 200,
        dead_configured_ms: 200,
        silence_max_ms: 200,
        delay_us: 400,
        peer: Some(PeerStatus {
            name: "pollux".into(),
            alive: true,
            role: "standby".into(),
            term: 2,
            ready: true,
            in_sync: true,
            fail_back_waits: false,
            dead_ms: 200,
            generation: 7,
            digest: 9,
        }),
        links: vec![link("ttyS1 115200", 1_200)],
        virtual_addresses: Vec::new(),
        transitions: Vec::new(),
    }
}

/// Connections that a twin holds, too.
pub fn sync() -> SyncStatus {
    let kind = |name: &str, here, there| SyncKind {
        name: name.into(),
        here,
        there,
    };
    SyncStatus {
        in_sync: true,
        joined: true,
        way: Some("sync 10.0.0.2".into()),
        failure: None,
        kinds: vec![kind("connections", 4711, 4711), kind("balanced", 120, 119)],
        equal_slices: Some((64, 64)),
        lag_ms: 2,
        sent_per_s: 1200,
        received_per_s: 0,
        resent: 7,
        dropped: vec![("authentication failed".into(), 3)],
        last_bulk: Some(BulkStatus {
            ago_ms: 303_000,
            took_ms: 120,
            flows: 4700,
            goes_on: false,
        }),
        table: Some(TableStatus {
            count: 4730,
            max: 262_144,
            ..TableStatus::default()
        }),
    }
}

/// The same with the rest of the box.
pub fn status() -> Status {
    Status {
        cluster: Ok(cluster()),
        sync: Ok(sync()),
        workers: Vec::new(),
        watchdog: None,
        generation: 7,
        digest: 9,
        refused_reload: None,
        sysctls: Vec::new(),
        uptime_s: 61,
        memory_total_kib: 64 * 1024,
        memory_available_kib: 50 * 1024,
    }
}

fn at(last: u8, port: u16) -> Endpoint {
    Endpoint {
        address: Ipv4Addr::new(10, 0, 0, last).into(),
        port,
    }
}

/// A web service whose only server is down.
pub fn service() -> ServiceStatus {
    let server = ServerStatus {
        endpoint: at(11, 80),
        forwarding: Forwarding::Nat,
        weight: Some(0),
        connections_max: Some(1000),
        up: Some(false),
        fallback: false,
        active_connections: 3,
        inactive_connections: 12,
        connections_total: 4711,
        packets_in_total: 47_110,
        bytes_in_total: 4_711_000,
        bytes_out_total: 47_110_000,
    };
    ServiceStatus {
        protocol: Protocol::Tcp,
        endpoint: at(100, 80),
        scheduler: Some(Scheduler::Wlc),
        in_kernel: true,
        servers: vec![server],
    }
}
