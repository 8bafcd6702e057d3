//! The workers of a run, and what they use: of their processes by `/proc`, of their jobs by what they answer at `/metrics`.

use std::fs;

use crate::{
    platform::{Outcome, Platform, Worker, metric},
    scenario::Workers,
};

/// What workers use and have done. Of those that were killed, what they had when they were.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// CPU seconds so far, user and system.
    pub cpu: f64,
    /// Resident set of the largest, MiB.
    pub rss_mib: f64,
    /// File descriptors of the one that has most.
    pub descriptors: u64,
    /// Slots that run a job.
    pub busy: u64,
    /// Bytes of sources that were read.
    pub read: f64,
    /// Runs that have ended, or were given back.
    pub runs: u64,
}

impl Usage {
    /// Of both together.
    fn and(self, other: Self) -> Self {
        Self {
            cpu: self.cpu + other.cpu,
            rss_mib: self.rss_mib.max(other.rss_mib),
            descriptors: self.descriptors.max(other.descriptors),
            busy: self.busy + other.busy,
            read: self.read + other.read,
            runs: self.runs + other.runs,
        }
    }

    /// Of a process that runs, and the worker in it. What cannot be read is 0: it has ended, or does not answer yet.
    fn of(worker: &Worker) -> Self {
        let folder = format!("/proc/{}", worker.id());
        let text = |name: &str| fs::read_to_string(format!("{folder}/{name}")).unwrap_or_default();
        let metrics = worker.metrics().unwrap_or_default();
        let number = |name: &str| metric(&metrics, name).unwrap_or(0.0);
        Self {
            cpu: cpu(&text("stat")).unwrap_or(0.0),
            rss_mib: rss(&text("status")).unwrap_or(0.0),
            descriptors: fs::read_dir(format!("{folder}/fd")).map_or(0, |entries| entries.count() as u64),
            busy: number("eft_worker_busy_slots") as u64,
            read: number("eft_worker_read_bytes_total"),
            runs: number("eft_worker_runs_total") as u64,
        }
    }
}

/// User and system time, `proc_pid_stat(5)`: fields 14 and 15. The name of the program may hold blanks and parentheses.
fn cpu(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / rustix::param::clock_ticks_per_second() as f64)
}

/// Resident set, `proc_pid_status(5)`; the kernel writes KiB, and calls them kB.
fn rss(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()? / 1024.0)
}

/// Workers that are started alike.
#[derive(Debug)]
pub struct Fleet {
    arguments: Vec<String>,
    workers: Vec<Worker>,
    gone: Usage,
    /// How many were killed.
    pub killed: u64,
}

impl Fleet {
    /// Of workers like these; none runs yet.
    pub fn of(workers: &Workers) -> Self {
        // Soon enough for a run to go on within a scenario; a worker that lives renews its lease three times in it.
        let arguments = ["--slots", &workers.slots.to_string(), "--memory", &workers.memory, "--lease", "10"];
        Self {
            arguments: arguments.map(str::to_owned).to_vec(),
            workers: Vec::new(),
            gone: Usage::default(),
            killed: 0,
        }
    }

    /// Starts so many.
    pub fn start(&mut self, platform: &Platform, count: usize) -> Outcome<()> {
        (0..count).try_for_each(|_| self.add(platform))
    }

    fn add(&mut self, platform: &Platform) -> Outcome<()> {
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        self.workers.push(platform.start(&arguments)?);
        Ok(())
    }

    /// What they use now. Asks each process: not for a thread that others wait for.
    pub fn usage(&self) -> Usage {
        self.workers.iter().map(Usage::of).fold(self.gone, Usage::and)
    }

    /// Whether each says what it has done.
    pub fn answers(&self) -> bool {
        self.workers.iter().all(|worker| worker.metrics().is_some())
    }

    /// Kills one of them, if there is any, and starts another.
    pub fn replace(&mut self, which: usize, platform: &Platform) -> Outcome<()> {
        if self.workers.is_empty() {
            return Ok(());
        }
        let worker = self.workers.swap_remove(which % self.workers.len());
        let last = Usage { rss_mib: 0.0, descriptors: 0, busy: 0, ..Usage::of(&worker) };
        self.gone = self.gone.and(last);
        drop(worker);
        self.killed += 1;
        self.add(platform)
    }

    /// One that has ended although nobody ended it, by what it wrote.
    pub fn fallen(&mut self) -> Option<String> {
        self.workers.iter_mut().find_map(|worker| (!worker.is_alive()).then(|| worker.log()))
    }

    /// Tells all to end, and waits.
    pub async fn drain(self) -> Outcome<()> {
        for worker in self.workers {
            worker.drain().await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_writes_is_read() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 9 9 20 0 5 0 100 1 1";
        assert_eq!(cpu(stat).unwrap() * rustix::param::clock_ticks_per_second() as f64, 300.0);
        assert_eq!(rss("Name:\tx\nVmHWM:\t  9 kB\nVmRSS:\t    2048 kB\n"), Some(2.0));
        assert_eq!((cpu(""), rss("")), (None, None));
    }

    #[test]
    fn the_largest_counts_and_the_rest_is_summed() {
        let one = Usage { cpu: 1.0, rss_mib: 5.0, descriptors: 9, busy: 2, read: 3.0, runs: 4 };
        let two = Usage { cpu: 2.0, rss_mib: 4.0, descriptors: 10, busy: 1, read: 1.0, runs: 1 };
        let both = Usage { cpu: 3.0, rss_mib: 5.0, descriptors: 10, busy: 3, read: 4.0, runs: 5 };
        assert_eq!(one.and(two), both);
    }
}
