//! The process, from the texts of `/proc`.

/// Ticks of the kernel's processor times in a second: `USER_HZ`, the same on all that
/// guard runs on.
const TICKS: f64 = 100.0;

/// What the kernel says of guard's process; what is not known is not told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Process {
    /// Seconds of processor time, user and system.
    pub cpu_seconds: Option<f64>,
    /// Seconds of Unix time at which it began.
    pub started: Option<f64>,
    /// Bytes of memory that it holds.
    pub resident: Option<u64>,
    /// Bytes of address space.
    pub virtual_memory: Option<u64>,
    /// Files that it has open.
    pub open_files: Option<u64>,
    /// Files that it may have open.
    pub max_files: Option<u64>,
}

impl Process {
    /// From `/proc/self/stat`, `/proc/self/limits` and `/proc/stat`, and the size of a page.
    pub fn read(stat: &str, limits: &str, machine: &str, page: u64) -> Process {
        // What follows the name, which may hold anything.
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let fields: Vec<&str> = fields.split_whitespace().collect();
        // proc(5) counts from 1, and the name is the second.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let ticks = |number| field(number).map(|ticks| ticks as f64 / TICKS);
        let boot = machine.lines().find_map(|line| line.strip_prefix("btime "));
        let boot = boot.and_then(|seconds| seconds.trim().parse::<f64>().ok());
        let files = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
        Process {
            cpu_seconds: ticks(14).zip(ticks(15)).map(|(user, system)| user + system),
            started: boot.zip(ticks(22)).map(|(boot, since)| boot + since),
            virtual_memory: field(23),
            resident: field(24).map(|pages| pages.saturating_mul(page)),
            open_files: None,
            max_files: files
                .and_then(|limits| limits.split_whitespace().next())
                .and_then(|soft| soft.parse().ok()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_whatever_its_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 500 0 0 0 250 50 0 0 20 0 4 0 1234 10485760 512 \
                    18446744073709551615 1 1";
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max open files            1024                 1048576              files\n";
        let process = Process::read(stat, limits, "cpu  1 2\nbtime 1700000000\n", 4096);
        let expected = Process {
            cpu_seconds: Some(3.0),
            started: Some(1_700_000_012.34),
            resident: Some(512 * 4096),
            virtual_memory: Some(10_485_760),
            open_files: None,
            max_files: Some(1024),
        };
        assert_eq!(process, expected);
        assert_eq!(Process::read("", "", "", 4096), Process::default());
        let unlimited = Process::read("1 (x) S", "Max open files unlimited unlimited files", "", 1);
        assert_eq!(unlimited, Process::default());
    }
}
