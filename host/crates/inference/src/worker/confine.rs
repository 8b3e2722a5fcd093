//! What a worker can do besides computing: nothing. Code that takes it over by a poisoned model finds no file, no network
//! and no other process.

use std::collections::BTreeMap;
use std::error::Error;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetStatus,
    Scope, path_beneath_rules,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

/// What runtimes look at to learn of processors and memory.
const READABLE: [&str; 5] =
    ["/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/sys/devices/system"];

/// Calls into the kernel that only somebody who wants out has a use for. Files are Landlock's affair.
const REFUSED: &[i64] = &[
    // Other machines, and sockets of this one (an engine's, say).
    libc::SYS_socket,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    // Other programs and processes.
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_fork,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_vfork,
    // What does the same by other ways, or has been a way into the kernel.
    libc::SYS_io_uring_setup,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_open_by_handle_at,
    // Namespaces, mounts, and the machine itself, for a host that is root.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_chroot,
    libc::SYS_pivot_root,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_sethostname,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_syslog,
];

/// Confines this thread and all that it starts, for good. What the libraries need is loaded before.
///
/// # Errors
///
/// Why the kernel does not do one of the two; the other is done. Of Landlock, an older kernel does what it knows.
pub(super) fn confine() -> Result<(), String> {
    let files = files().map_err(|error| format!("Landlock: {error}"));
    let calls = calls().map_err(|error| format!("seccomp: {error}"));
    files.and(calls)
}

/// Leaves it nothing of the file system but what tells of the processors, no TCP and no signals to others.
fn files() -> Result<(), Box<dyn Error>> {
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(ABI::V5))?
        .handle_access(AccessNet::from_all(ABI::V4))?
        .scope(Scope::from_all(ABI::V6))?
        .create()?
        .add_rules(path_beneath_rules(READABLE, AccessFs::ReadFile | AccessFs::ReadDir))?
        .restrict_self()?;
    match status.ruleset {
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(()),
        RulesetStatus::NotEnforced => Err("this kernel has none".into()),
    }
}

fn calls() -> Result<(), Box<dyn Error>> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let refuse = |rules: BTreeMap<i64, Vec<SeccompRule>>, errno: i32| -> Result<(), Box<dyn Error>> {
        let refused = SeccompAction::Errno(errno.cast_unsigned());
        let filter = SeccompFilter::new(rules, SeccompAction::Allow, refused, arch)?;
        Ok(seccompiler::apply_filter(&BpfProgram::try_from(filter)?)?)
    };
    let mut rules: BTreeMap<_, _> = REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    // A thread is started by the same call as a process.
    let thread = libc::CLONE_THREAD as u64;
    let process = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(thread), 0)?;
    rules.insert(libc::SYS_clone, vec![SeccompRule::new(vec![process])?]);
    refuse(rules, libc::EPERM)?;
    // The newer call has its flags where no filter can look; where it is missing, the older one is made.
    refuse(BTreeMap::from([(libc::SYS_clone3, Vec::new())]), libc::ENOSYS)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::process::Command;

    use super::*;

    #[test]
    fn whoever_takes_a_worker_over_gets_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("secret"), "treasure").unwrap();
        let _engine = UnixListener::bind(at("socket")).unwrap();
        let (secret, new, socket) = (at("secret"), at("new"), at("socket"));
        // Only the thread that calls it is confined, and what it starts.
        let confined = std::thread::spawn(move || {
            confine().unwrap();
            let refused = [
                ("a file", std::fs::read(secret).map(drop)),
                ("a system's file", std::fs::read("/etc/passwd").map(drop)),
                ("another's environment", std::fs::read("/proc/1/environ").map(drop)),
                ("a folder", std::fs::read_dir("/").map(drop)),
                ("a new file", std::fs::write(new, "x")),
                ("a program", Command::new("/bin/true").status().map(drop)),
                ("TCP", TcpListener::bind("127.0.0.1:0").map(drop)),
                ("UDP", UdpSocket::bind("127.0.0.1:0").map(drop)),
                ("an engine's socket", UnixStream::connect(socket).map(drop)),
            ];
            for (what, done) in refused {
                let error = done.expect_err(what);
                assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied, "{what}: {error}");
            }
            // What runtimes do.
            std::fs::read("/proc/self/status").unwrap();
            std::fs::read_dir("/sys/devices/system/cpu").unwrap();
            std::thread::spawn(|| std::fs::read("/etc/passwd").unwrap_err()).join().unwrap();
        });
        confined.join().unwrap();
        assert_eq!(std::fs::read_to_string(at("secret")).unwrap(), "treasure");
    }
}
