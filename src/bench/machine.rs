//! Where a measurement is made, as far as its figures depend on it. Read before the loop.

use super::report::Machine;
use crate::os::clock;
use std::fs;

/// What can be known of this machine; what cannot stays empty.
pub(super) fn look() -> Machine {
    let system = rustix::system::uname();
    let [name, release] = [system.sysname(), system.release()].map(|part| part.to_string_lossy());
    let debug = if cfg!(debug_assertions) { ", debug build" } else { "" };
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    Machine {
        reactor: format!("{}{debug}", env!("CARGO_PKG_VERSION")),
        cpu: cpu(&read("/proc/cpuinfo")).to_owned(),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        kernel: format!("{name} {release}"),
        congestion: read("/proc/sys/net/ipv4/tcp_congestion_control").trim().to_owned(),
        at: clock::utc_now(),
    }
}

/// The first processor's name: `model name` on x86, `Model` on many others.
fn cpu(info: &str) -> &str {
    let named = |key: &str| {
        let value = info.lines().find_map(|line| line.strip_prefix(key)?.split_once(':'));
        value.map(|(_, name)| name.trim())
    };
    named("model name").or_else(|| named("Model")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_named_where_proc_names_it() {
        let x86 =
            "processor\t: 0\nmodel\t\t: 85\nmodel name\t: Some CPU @ 2.20GHz\nstepping\t: 7\n";
        assert_eq!(cpu(x86), "Some CPU @ 2.20GHz");
        assert_eq!(cpu("processor\t: 0\n\nModel\t\t: Some Board Rev 1.0\n"), "Some Board Rev 1.0");
        assert_eq!(cpu("processor : 0\n"), "");
    }
}
