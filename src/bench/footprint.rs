//! What a process has used, out of proc_pid(5): read between the phases of a measurement, never in
//! the loop. Linux alone has it; elsewhere the figures are left out.

use std::fs;

/// One look at a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Footprint {
    /// Resident memory in bytes: `VmRSS` of its status. Kernel memory of its sockets is not in it.
    pub(super) rss_bytes: u64,
    /// Time on a CPU in ns, user and system together: the first field of its schedstat. That file
    /// is of the main thread, which is all that the server has; `stat` counts in ticks of 10 ms.
    pub(super) cpu_ns: u64,
}

impl Footprint {
    /// None where the process is gone or the system has no such files.
    pub(super) fn of(pid: u32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let schedstat = fs::read_to_string(format!("/proc/{pid}/schedstat")).ok()?;
        Self::parse(&status, &schedstat)
    }

    fn parse(status: &str, schedstat: &str) -> Option<Self> {
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kib: u64 = rss.trim().strip_suffix(" kB")?.parse().ok()?;
        let cpu_ns = schedstat.split(' ').next()?.parse().ok()?;
        Some(Footprint { rss_bytes: kib * 1024, cpu_ns })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_cpu_time_are_read_out_of_proc() {
        let status = "Name:\treactor\nVmHWM:\t    9000 kB\nVmRSS:\t    3204 kB\nThreads:\t1\n";
        let read = Footprint::parse(status, "123456789 5000 42\n");
        let expected = Footprint { rss_bytes: 3204 * 1024, cpu_ns: 123_456_789 };
        assert_eq!(read, Some(expected));
        assert_eq!(Footprint::parse("Name:\tzombie\n", "1 2 3\n"), None);
        assert_eq!(Footprint::parse(status, ""), None);
    }
}
