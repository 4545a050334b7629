//! What a process has used, out of proc_pid(5). Linux alone has it; elsewhere the figures are left
//! out.

use std::fs;

/// One look at a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Footprint {
    /// Resident memory in bytes: `VmRSS` of its status. Kernel memory of its sockets is not in it.
    pub(crate) rss_bytes: u64,
    /// Time on a CPU in ns, user and system together, of all threads that it has now: the first
    /// field of each one's schedstat. `stat` counts in ticks of 10 ms.
    pub(crate) cpu_ns: u64,
}

impl Footprint {
    /// None where the process is gone or the system has no such files.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
        let cpu_ns = threads.filter_map(|thread| {
            let path = thread.ok()?.path().join("schedstat");
            cpu_ns(&fs::read_to_string(path).ok()?)
        });
        Some(Footprint { rss_bytes: rss_bytes(&status)?, cpu_ns: cpu_ns.sum() })
    }

    /// One look at ourselves.
    pub(crate) fn own() -> Option<Self> {
        Self::of(std::process::id())
    }
}

fn rss_bytes(status: &str) -> Option<u64> {
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = rss.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

fn cpu_ns(schedstat: &str) -> Option<u64> {
    schedstat.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_cpu_time_are_read_out_of_proc() {
        let status = "Name:\treactor\nVmHWM:\t    9000 kB\nVmRSS:\t    3204 kB\nThreads:\t1\n";
        assert_eq!(rss_bytes(status), Some(3204 * 1024));
        assert_eq!(rss_bytes("Name:\tzombie\n"), None);
        assert_eq!(cpu_ns("123456789 5000 42\n"), Some(123_456_789));
        assert_eq!(cpu_ns(""), None);
    }
}
