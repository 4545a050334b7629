//! What the server has used, out of proc_pid(5), all its threads together.

use std::fs;

/// One look at a process. Zeros where there is no such process.
#[derive(Clone, Copy, Default)]
pub(crate) struct Usage {
    /// On a CPU, user and system, in ns: the sum of its threads' schedstat.
    pub(crate) cpu_ns: u64,
    /// In user mode, in hundredths of a second.
    pub(crate) user_ticks: u64,
    pub(crate) system_ticks: u64,
    /// Resident memory in bytes; what the kernel holds for its sockets is not in it.
    pub(crate) rss_bytes: u64,
}

impl Usage {
    pub(crate) fn of(pid: Option<u32>) -> Self {
        pid.and_then(read).unwrap_or_default()
    }
}

fn read(pid: u32) -> Option<Usage> {
    let mut cpu_ns = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        // A thread may end between the two looks.
        let schedstat = fs::read_to_string(task.ok()?.path().join("schedstat")).unwrap_or_default();
        cpu_ns += schedstat.split(' ').next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0);
    }
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut ticks = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut tick = || ticks.next()?.parse().ok();
    let (user_ticks, system_ticks) = (tick()?, tick()?);
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = rss.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(Usage { cpu_ns, user_ticks, system_ticks, rss_bytes: kib << 10 })
}
