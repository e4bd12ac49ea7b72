//! Seccomp filters, made from lists of system calls: what is not on the list ends the process with
//! SIGSYS. The filter is a chain of comparisons in classic BPF (Documentation/userspace-api/
//! seccomp_filter.rst).

use crate::Error;
use nix::libc;
use nix::sys::prctl;

/// Numbers of the system calls that stay.
#[derive(Debug, Clone, Copy)]
pub struct Syscalls(&'static [libc::c_long]);

/// For the health worker: TCP clients over non-blocking sockets, wires to others, the clock, memory, and
/// what std and musl (glibc in tests) need to run, panic and end. No files, no programs, no listening.
pub const HEALTH: Syscalls = Syscalls(&[
    // Sockets and wires.
    libc::SYS_socket,
    libc::SYS_connect,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_sendto,
    libc::SYS_recvfrom,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_shutdown,
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_readv,
    libc::SYS_close,
    libc::SYS_fcntl,
    libc::SYS_ppoll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    // Time and chance.
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_getrandom,
    // Memory.
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_brk,
    // Locks, signals and the end.
    libc::SYS_futex,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_tkill,
    libc::SYS_tgkill,
    libc::SYS_exit,
    libc::SYS_exit_group,
]);

/// AUDIT_ARCH_X86_64 and AUDIT_ARCH_AARCH64 of linux/audit.h.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

/// Offsets in `struct seccomp_data`.
const NUMBER_OFFSET: u32 = 0;
const ARCHITECTURE_OFFSET: u32 = 4;

/// BPF_LD | BPF_W | BPF_ABS, BPF_JMP | BPF_JEQ | BPF_K, BPF_RET | BPF_K of linux/bpf_common.h.
const LOAD: u16 = 0x20;
const JUMP_IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;

/// From now on any system call that is not on the list ends this process, all its threads and whatever it
/// may start. There is no way back.
///
/// # Errors
/// EINVAL where the kernel has no seccomp filters.
pub fn confine(allowed: Syscalls) -> Result<(), Error> {
    let failed = "installing a seccomp filter";
    prctl::set_no_new_privs().map_err(Error::during(failed))?;
    let mut program = program(allowed);
    let length = u16::try_from(program.len()).map_err(|_| Error::new(failed, libc::EINVAL))?;
    let program = libc::sock_fprog {
        len: length,
        filter: program.as_mut_ptr(),
    };
    let (mode, flags) = (
        libc::SECCOMP_SET_MODE_FILTER,
        libc::SECCOMP_FILTER_FLAG_TSYNC,
    );
    // SAFETY: `program` describes a vector that outlives the call; the kernel copies it.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, mode, flags, &raw const program) };
    if result == 0 {
        Ok(())
    } else {
        Err(Error::last(failed))
    }
}

/// Two instructions for each call, so that no jump is longer than one.
fn program(allowed: Syscalls) -> Vec<libc::sock_filter> {
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let kill = step(RETURN, 0, 0, libc::SECCOMP_RET_KILL_PROCESS);
    let mut program = vec![
        // Numbers of another architecture mean other calls.
        step(LOAD, 0, 0, ARCHITECTURE_OFFSET),
        step(JUMP_IF_EQUAL, 1, 0, ARCHITECTURE),
        kill,
        step(LOAD, 0, 0, NUMBER_OFFSET),
    ];
    for number in allowed.0 {
        // Numbers of system calls are small.
        program.push(step(
            JUMP_IF_EQUAL,
            0,
            1,
            u32::try_from(*number).unwrap_or(u32::MAX),
        ));
        program.push(step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW));
    }
    program.push(kill);
    program
}
