//! The memory that a container may still take: limits of control groups, which `/proc/meminfo` does not show.
//!
//! A process is bound by the limit of its group and of all groups above it. What counts against it is what is in use
//! but for cached files that were not read lately, which the system gives up first.
//!
//! Sources: <https://docs.kernel.org/admin-guide/cgroup-v2.html>,
//! <https://docs.kernel.org/admin-guide/cgroup-v1/memory.html>.

use std::fs;
use std::path::Path;

/// The files of one version of control groups.
struct Names {
    limit: &'static str,
    used: &'static str,
    /// The line of `memory.stat` with the bytes of cached files.
    cached: &'static str,
}

const V2: Names = Names { limit: "memory.max", used: "memory.current", cached: "inactive_file" };
const V1: Names = Names {
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    cached: "total_inactive_file",
};

/// Bytes that this process may still take by the limits of its groups; none where there are no limits.
pub fn available() -> Option<u64> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    least(&own, Path::new("/sys/fs/cgroup"))
}

/// The same, for the groups of `/proc/self/cgroup` under the folder where the hierarchies are mounted.
fn least(own: &str, mounted: &Path) -> Option<u64> {
    let lines = own.lines().filter_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        match controllers {
            "" => above(mounted, path, &V2),
            _ if controllers.split(',').any(|name| name == "memory") => {
                above(&mounted.join("memory"), path, &V1)
            }
            _ => None,
        }
    });
    lines.min()
}

/// The least that is left in a group and those above it.
fn above(root: &Path, path: &str, names: &Names) -> Option<u64> {
    let groups = Path::new(path.trim_start_matches('/')).ancestors();
    groups.filter_map(|group| left(&root.join(group), names)).min()
}

/// What is left in one group.
fn left(group: &Path, names: &Names) -> Option<u64> {
    let read = |name| fs::read_to_string(group.join(name)).ok();
    // Without a limit v2 says `max`, and v1 a number that no machine reaches.
    let limit: u64 = read(names.limit)?.trim().parse().ok()?;
    let used: u64 = read(names.used)?.trim().parse().ok()?;
    let cached = read("memory.stat").and_then(|stat| value(&stat, names.cached)).unwrap_or(0);
    Some(limit.saturating_sub(used.saturating_sub(cached)))
}

/// The number behind `key` in lines of a key and a number.
fn value(stat: &str, key: &str) -> Option<u64> {
    let mut pairs = stat.lines().filter_map(|line| line.split_once(' '));
    pairs.find(|(name, _)| *name == key)?.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder as the system mounts it, with these files.
    fn mounted(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a folder");
        for (name, content) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a group");
            fs::write(path, content).expect("a file");
        }
        root
    }

    #[test]
    fn the_tightest_limit_on_the_way_up_counts() {
        let root = mounted(&[
            ("memory.max", "1000\n"),
            ("memory.current", "100\n"),
            ("a/memory.max", "900\n"),
            ("a/memory.current", "500\n"),
            ("a/memory.stat", "anon 300\ninactive_file 150\nfile 200\n"),
            ("a/b/memory.max", "max\n"),
            ("a/b/memory.current", "400\n"),
            ("c/memory.max", "300\n"),
            ("c/memory.current", "400\n"),
        ]);
        let of = |own: &str| least(own, root.path());
        assert_eq!(of("0::/a/b\n"), Some(550));
        assert_eq!(of("0::/\n"), Some(900));
        // More is used than a limit that was lowered allows.
        assert_eq!(of("0::/c\n"), Some(0));
        // In a container the path may be that of the host.
        assert_eq!(of("0::/docker/123abc\n"), Some(900));
        assert_eq!(of(""), None);
        assert_eq!(of("no line of this kind"), None);
    }

    #[test]
    fn the_first_version_is_read_too() {
        let root = mounted(&[
            ("memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("memory/memory.usage_in_bytes", "5000\n"),
            ("memory/job/memory.limit_in_bytes", "800\n"),
            ("memory/job/memory.usage_in_bytes", "300\n"),
            ("memory/job/memory.stat", "cache 200\ntotal_inactive_file 100\n"),
        ]);
        let own = "12:cpu,cpuacct:/other\n5:hugetlb,memory:/job\n0::/unified\n";
        assert_eq!(least(own, root.path()), Some(600));
        assert_eq!(least("12:cpu,cpuacct:/job\n", root.path()), None);
    }
}
