//! The workers of a run, and what they use: of their processes by `/proc`, of their jobs by what they answer at `/metrics`.

use std::fs;

use futures::future::try_join_all;

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
    /// The most that the resident set of any was, MiB.
    pub peak_mib: f64,
    /// File descriptors of the one that has most.
    pub descriptors: u64,
    /// Slots that run a job.
    pub busy: u64,
    /// Bytes of the budget that are taken.
    pub held: u64,
    /// Bytes of sources that were read.
    pub read: f64,
}

impl Usage {
    /// Of both together.
    fn and(self, other: Self) -> Self {
        Self {
            cpu: self.cpu + other.cpu,
            rss_mib: self.rss_mib.max(other.rss_mib),
            peak_mib: self.peak_mib.max(other.peak_mib),
            descriptors: self.descriptors.max(other.descriptors),
            busy: self.busy + other.busy,
            held: self.held + other.held,
            read: self.read + other.read,
        }
    }

    /// Of a process and the worker in it. What it does not tell now, such as while it is stopped, is what it told last.
    fn update(&mut self, worker: &Worker) {
        let folder = format!("/proc/{}", worker.id());
        let text = |name: &str| fs::read_to_string(format!("{folder}/{name}")).unwrap_or_default();
        let status = text("status");
        self.cpu = cpu(&text("stat")).unwrap_or(self.cpu);
        self.rss_mib = mib(&status, "VmRSS:").unwrap_or(self.rss_mib);
        self.peak_mib = mib(&status, "VmHWM:").unwrap_or(self.peak_mib);
        if let Ok(entries) = fs::read_dir(format!("{folder}/fd")) {
            self.descriptors = entries.count() as u64;
        }
        if let Some(metrics) = worker.metrics() {
            let number = |name: &str| metric(&metrics, name).unwrap_or(0.0);
            self.busy = number("eft_worker_busy_slots") as u64;
            self.held = number("eft_worker_budget_used_bytes") as u64;
            self.read = number("eft_worker_read_bytes_total");
        }
    }
}

/// User and system time, `proc_pid_stat(5)`: fields 14 and 15. The name of the program may hold blanks and parentheses.
fn cpu(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / rustix::param::clock_ticks_per_second() as f64)
}

/// Resident set now or at most, `proc_pid_status(5)`; the kernel writes KiB, and calls them kB.
fn mib(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()? / 1024.0)
}

/// Workers that are started alike.
#[derive(Debug)]
pub struct Fleet {
    arguments: Vec<String>,
    workers: Vec<(Worker, Usage)>,
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
        self.workers.push((platform.start(&arguments)?, Usage::default()));
        Ok(())
    }

    /// What they use now. Asks each process: not for a thread that others wait for.
    pub fn usage(&mut self) -> Usage {
        for (worker, usage) in &mut self.workers {
            usage.update(worker);
        }
        self.workers.iter().fold(self.gone, |sum, (_, usage)| sum.and(*usage))
    }

    /// Whether each says what it has done.
    pub fn answers(&self) -> bool {
        self.workers.iter().all(|(worker, _)| worker.metrics().is_some())
    }

    /// Kills one of them, and starts another. The first is spared where there are several: what grows in a worker shows in
    /// one that lives.
    pub fn replace(&mut self, drawn: usize, platform: &Platform) -> Outcome<()> {
        let which = match self.workers.len() {
            0 => return Ok(()),
            1 => 0,
            several => 1 + drawn % (several - 1),
        };
        let (worker, mut last) = self.workers.swap_remove(which);
        last.update(&worker);
        drop(worker);
        self.gone = self.gone.and(Usage { rss_mib: 0.0, descriptors: 0, busy: 0, held: 0, ..last });
        self.killed += 1;
        self.add(platform)
    }

    /// One that has ended although nobody ended it, by what it wrote.
    pub fn fallen(&mut self) -> Option<String> {
        self.workers.iter_mut().find_map(|(worker, _)| (!worker.is_alive()).then(|| worker.log()))
    }

    /// Tells all to end, and waits.
    pub async fn drain(self) -> Outcome<()> {
        try_join_all(self.workers.into_iter().map(|(worker, _)| worker.drain())).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_writes_is_read() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 9 9 20 0 5 0 100 1 1";
        assert_eq!(cpu(stat).unwrap() * rustix::param::clock_ticks_per_second() as f64, 300.0);
        let status = "Name:\tx\nVmHWM:\t  3072 kB\nVmRSS:\t    2048 kB\n";
        assert_eq!((mib(status, "VmRSS:"), mib(status, "VmHWM:")), (Some(2.0), Some(3.0)));
        assert_eq!((cpu(""), mib("", "VmRSS:")), (None, None));
    }

    #[test]
    fn the_largest_counts_and_the_rest_is_summed() {
        let of = |[cpu, rss_mib, peak_mib, read]: [f64; 4], [descriptors, busy, held]: [u64; 3]| Usage {
            cpu,
            rss_mib,
            peak_mib,
            descriptors,
            busy,
            held,
            read,
        };
        let (one, two) = (of([1.0, 5.0, 6.0, 3.0], [9, 2, 7]), of([2.0, 4.0, 9.0, 1.0], [10, 1, 1]));
        let both = of([3.0, 5.0, 9.0, 4.0], [10, 3, 8]);
        assert_eq!(one.and(two), both);
    }
}
