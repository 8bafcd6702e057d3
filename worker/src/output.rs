//! What the user sees: progress while bytes move, the end of it, a plan.

use std::{
    fmt::{self, Write},
    io::IsTerminal,
    sync::Arc,
    time::Duration,
};

use eft_domain::{
    ByteSize,
    receipt::{Delivery, DeliveryOutcome, Method, Receipt},
};
use eft_pipeline::{progress::Progress, stage::catalogue::Entry};
use eft_worker::{run::Preview, s3};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

/// Time between two looks at the counters on a terminal.
const FRAME: Duration = Duration::from_millis(100);
/// Time between two lines where there is no terminal: a log of an hour stays readable.
const LINE: Duration = Duration::from_secs(10);

/// Shows progress on standard error until it is dropped: a bar on a terminal, a line now and then elsewhere.
pub(crate) struct Shown {
    bar: Option<ProgressBar>,
    task: JoinHandle<()>,
}

impl Shown {
    pub(crate) fn start(size: Option<u64>, progress: Arc<Progress>) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self { bar: None, task: tokio::spawn(lines(size, progress)) };
        }
        let bar = size.map_or_else(ProgressBar::no_length, ProgressBar::new);
        let template = match size {
            Some(_) => "{bar:32} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
            None => "{spinner} {bytes}, {bytes_per_sec}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        let shown = bar.clone();
        let task = tokio::spawn(async move {
            loop {
                shown.set_position(moved(&progress));
                sleep(FRAME).await;
            }
        });
        Self { bar: Some(bar), task }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.task.abort();
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Bytes read or, where S3 copies and nothing is read here, bytes it has copied.
fn moved(progress: &Progress) -> u64 {
    let now = progress.snapshot();
    if now.read == 0 { now.written } else { now.read }
}

async fn lines(size: Option<u64>, progress: Arc<Progress>) {
    let started = Instant::now();
    loop {
        sleep(LINE).await;
        let (moved, seconds) = (moved(&progress), started.elapsed().as_secs());
        eprintln!("{}", line(moved, size, seconds));
    }
}

fn line(moved: u64, size: Option<u64>, seconds: u64) -> String {
    let mib = moved >> 20;
    let rate = mib / seconds.max(1);
    match size.filter(|size| *size > 0) {
        Some(size) => {
            let percent = u128::from(moved) * 100 / u128::from(size);
            format!("{mib} of {} MiB ({percent} %) after {seconds} s, {rate} MiB/s", size >> 20)
        }
        None => format!("{mib} MiB after {seconds} s, {rate} MiB/s"),
    }
}

/// The end of a transfer, in a few lines.
pub(crate) fn summary(receipt: &Receipt) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _written = write_summary(&mut text, receipt);
    text
}

fn write_summary(out: &mut String, receipt: &Receipt) -> fmt::Result {
    write!(out, "{} {}", receipt.outcome, receipt.source.uri)?;
    let delivery = receipt.deliveries.first();
    if let Some(delivery) = delivery {
        write!(out, " -> {}", delivery.uri)?;
    }
    writeln!(out, " in {} ms", receipt.elapsed_ms)?;
    for stage in &receipt.stages {
        write!(out, "  {}: {} -> {} bytes", stage.name, stage.bytes_in, stage.bytes_out)?;
        if let Some(records) = stage.records {
            write!(out, ", {records} records, {} broken", stage.errors)?;
        }
        if let Some(scan) = &stage.scan {
            let rest = if scan.skipped { ", NOT ALL OF THEM" } else { "" };
            write!(out, ", {} bytes scanned by {}{rest}", scan.bytes, scan.scanner)?;
        }
        writeln!(out)?;
    }
    for reject in receipt.rejects.iter().take(10) {
        write!(out, "  record {} at byte {}", reject.record, reject.offset)?;
        if let Some(column) = &reject.column {
            write!(out, ", column {column}")?;
        }
        writeln!(out, ": {}", reject.reason)?;
    }
    if receipt.rejects.len() > 10 {
        writeln!(out, "  and {} more in the receipt", receipt.rejects.len() - 10)?;
    }
    if receipt.deliveries.len() > 1 {
        return several(out, &receipt.deliveries);
    }
    match delivery {
        Some(delivery) if delivery.outcome == DeliveryOutcome::Delivered => {
            let how = match (delivery.method, delivery.already_delivered) {
                (_, true) => "delivered by an earlier attempt",
                (Method::ServerCopy, _) => "copied by S3",
                _ => "written",
            };
            let (size, crc) = (delivery.size.unwrap_or_default(), delivery.crc64nvme.as_deref());
            writeln!(out, "  {size} bytes {how}, CRC-64/NVME {}", crc.unwrap_or("not known"))
        }
        Some(_) => Ok(()),
        None => writeln!(out, "  the source is empty: a heartbeat, nothing to deliver"),
    }
}

/// Several objects, a line each, and the rest in one.
fn several(out: &mut String, deliveries: &[Delivery]) -> fmt::Result {
    for delivery in deliveries.iter().take(10) {
        let (size, crc) = (delivery.size.unwrap_or_default(), delivery.crc64nvme.as_deref());
        match &delivery.failure {
            Some(failure) => writeln!(out, "  {}: {}", delivery.uri, failure.message)?,
            None => {
                writeln!(out, "  {}: {size} bytes, CRC-64/NVME {}", delivery.uri, crc.unwrap_or("not known"))?
            }
        }
    }
    if deliveries.len() > 10 {
        writeln!(out, "  and {} more in the receipt", deliveries.len() - 10)?;
    }
    Ok(())
}

/// A plan, one line a fact.
pub(crate) fn plan(preview: &Preview) -> String {
    let plan = &preview.plan;
    let size = |bytes: u64| ByteSize(bytes).to_string();
    let stages: Vec<_> = plan.infos.iter().map(|info| info.name).collect();
    let stages = if stages.is_empty() { "none".to_owned() } else { stages.join(", ") };
    let source = plan.size.map_or_else(|| "a stream".to_owned(), size);
    if let Some(copy) = &preview.copy {
        let how = match copy {
            s3::Method::Whole => "CopyObject".to_owned(),
            s3::Method::Parts(ranges) => {
                let largest = ranges.iter().map(|range| range.bytes.end - range.bytes.start).max();
                let largest = size(largest.unwrap_or_default());
                format!("UploadPartCopy, parts {}, largest {largest}", ranges.len())
            }
        };
        return format!(
            "source      {source}\nmethod      copied by S3 ({how}); no byte passes here\nstages      {stages}\n"
        );
    }
    let parts = plan.parts().map_or_else(|| "not known before they are made".to_owned(), |n| n.to_string());
    format!(
        "source      {source}\nmethod      streamed\nranges      {} each, {} in flight\nparts       {parts}, first {}, \
         largest {}, {} in flight\nstages      {stages}\nresume      {:?}\nmemory      {}\nmax output  {}\n",
        size(plan.range_bytes),
        plan.reads,
        size(plan.schedule.first()),
        size(plan.schedule.largest()),
        plan.writes,
        plan.resume,
        size(plan.memory),
        size(plan.max_output),
    )
}

/// The catalogue as a table, a line a stage.
pub(crate) fn stages(entries: &[Entry]) -> String {
    let row = |entry: &Entry| {
        let limits: Vec<_> = entry.limits.iter().map(|code| code.as_str()).collect();
        let limits = if limits.is_empty() { "-".to_owned() } else { limits.join(" ") };
        let (kind, resume) = (entry.info.kind.as_str(), entry.info.resume.as_str());
        let cells = [entry.name, kind, entry.order(), resume].map(str::to_owned);
        let [name, kind, order, resume] = cells;
        [name, kind, order, resume, entry.memory().to_string(), limits, entry.summary.to_owned()]
    };
    let titles = ["name", "kind", "order", "resume", "memory", "limits", "summary"].map(str::to_owned);
    let rows: Vec<_> = std::iter::once(titles).chain(entries.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let lines = rows.iter().map(|row| {
        let cells = row.iter().enumerate().map(|(column, cell)| format!("{cell:0$}", width(column)));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_say_how_far_and_how_fast() {
        assert_eq!(line(0, Some(0), 10), "0 MiB after 10 s, 0 MiB/s");
        assert_eq!(line(3 << 30, Some(4 << 30), 10), "3072 of 4096 MiB (75 %) after 10 s, 307 MiB/s");
        assert_eq!(
            line(50 << 40, Some(50 << 40), 0),
            "52428800 of 52428800 MiB (100 %) after 0 s, 52428800 MiB/s"
        );
    }
}
