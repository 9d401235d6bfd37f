//! The disk on which our files lie, and the clock by which rules end.

use jiff::SignedDuration;

use super::Check;
use super::facts::{Surroundings, Volume};

/// Less than this may not take another change: the files are written beside the old ones.
const ROOM: u64 = 16 << 20;
/// A change makes some dozens of files.
const FILES: u64 = 100;
/// Clocks that are being corrected go back by less.
const SLACK: SignedDuration = SignedDuration::from_secs(120);

/// Whether the next change can be written.
pub(super) fn disk(host: &Surroundings) -> Vec<Check> {
    let mut checks: Vec<Check> = host.volumes.iter().filter_map(of).collect();
    if checks.is_empty() {
        checks.push(Check::good("disk", "there is room for rules, sets and what a boot needs to know"));
    }
    checks
}

fn of(volume: &Volume) -> Option<Check> {
    let Volume { path, free, files, read_only } = volume;
    if *read_only {
        let text = format!("{path} is mounted read-only: no rule can be changed, and the next boot knows the old ones");
        return Some(
            Check::warning("disk", text).fixed_by(format!("mount -o remount,rw \"$(findmnt -no TARGET -T {path})\"")),
        );
    }
    if *free < ROOM {
        let text = format!("{path} has room for {} KiB: the next change may be refused", free >> 10);
        return Some(
            Check::warning("disk", text)
                .fixed_by(format!("df -h {path} shows the disk; docker system prune frees what no container uses")),
        );
    }
    files.filter(|files| *files < FILES).map(|files| {
        let text = format!("{path} takes {files} more files: the next change may be refused");
        Check::warning("disk", text)
            .fixed_by(format!("df -i {path} shows the disk; find out who makes so many small files"))
    })
}

/// Said only when the clock was set back: what ends at a moment then ends late.
pub(super) fn clock(host: &Surroundings) -> Option<Check> {
    let written = host.clock.written?;
    let ahead = written.duration_since(host.clock.now);
    (ahead > SLACK).then(|| {
        Check::warning(
            "clock",
            format!(
                "it says {}, and rules were written at {written}: it was set back, and what shall end at a moment ends late",
                host.clock.now
            ),
        )
        .fixed_by(format!("timedatectl set-ntp true, then {} apply", host.program))
    })
}

#[cfg(test)]
mod tests {
    use super::super::Health;
    use super::super::facts::Clock;
    use super::*;

    #[test]
    fn a_disk_that_takes_no_change_is_news() {
        let volume = Volume { path: "/var/lib/x".into(), free: 1 << 30, files: Some(1000), read_only: false };
        for (volume, health) in [
            (volume.clone(), Health::Good),
            (Volume { free: 4096, ..volume.clone() }, Health::Warning),
            (Volume { files: Some(3), ..volume.clone() }, Health::Warning),
            (Volume { files: None, ..volume.clone() }, Health::Good),
            (Volume { read_only: true, ..volume.clone() }, Health::Warning),
        ] {
            let host = Surroundings { volumes: vec![volume.clone()], ..Surroundings::default() };
            assert_eq!(disk(&host)[0].health, health, "{volume:?}");
        }
    }

    #[test]
    fn only_a_clock_that_was_set_back_is_told_of() {
        let at = |second| jiff::Timestamp::from_second(second).unwrap();
        let said = |now, written| {
            let clock = Clock { now: at(now), written: Some(at(written)) };
            clock_of(clock).is_some()
        };
        assert!(!said(1_000_000, 999_000) && !said(1_000_000, 1_000_060) && said(1_000_000, 1_010_000));
    }

    fn clock_of(clock: Clock) -> Option<Check> {
        super::clock(&Surroundings { clock, ..Surroundings::default() })
    }
}
