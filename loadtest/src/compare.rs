//! Two runs of a scenario, figure by figure.

use crate::{
    figures,
    record::{Machine, Record},
    text::{count, optional, or_none, shortened},
};

/// A figure by its name; nothing where it cannot be said.
type Figure = (String, Option<f64>);

/// The figures of two runs beside each other, as a table of Markdown. What cannot be compared stands first.
pub(crate) fn table(before: &Record, after: &Record) -> String {
    let mut text = String::new();
    let differences = differences(before, after);
    if !differences.is_empty() {
        text += &format!("Cannot be compared: {}.\n\n", differences.join("; "));
    }
    text += &format!("before: {}\nafter:  {}\n\n", run(before), run(after));

    let mut rows = vec![["figure", "before", "after", "after/before"].map(str::to_owned)];
    for figures in [totals, requests, latencies] {
        for (name, before, after) in merged(figures(before), figures(after)) {
            let ratio = before.zip(after).and_then(|(before, after)| figures::per(after, before));
            rows.push([cell(&name), optional(before), optional(after), optional(ratio)]);
        }
    }
    text + &drawn(&rows)
}

fn totals(record: &Record) -> Vec<Figure> {
    let totals = &record.totals;
    vec![
        ("jobs/s".to_owned(), figures::jobs_per_second(totals)),
        ("MiB/s".to_owned(), figures::mib_per_second(totals)),
        ("CPU s per GiB".to_owned(), figures::cpu_per_gib(totals)),
        ("CPU ms per job".to_owned(), figures::cpu_millis_per_job(totals)),
        ("peak RSS, MiB".to_owned(), Some(totals.peak_rss_mib)),
    ]
}

fn requests(record: &Record) -> Vec<Figure> {
    let totals = &record.totals;
    let mut all = vec![("requests per job".to_owned(), figures::requests_per_job(totals))];
    all.extend(totals.requests.iter().map(|(operation, requests)| {
        (format!("requests per job, {operation}"), figures::per(*requests as f64, totals.jobs as f64))
    }));
    all
}

fn latencies(record: &Record) -> Vec<Figure> {
    let mut all = Vec::new();
    for group in &record.groups {
        for (name, value) in [("p50", group.latency.p50), ("p99", group.latency.p99)] {
            // No jobs have no latency, though the record has a zero for it.
            let value = (group.ended > 0).then_some(value);
            all.push((format!("{}, {}: {name}, ms", group.phase, group.tenants), value));
        }
    }
    all
}

/// Figures of the same name beside each other, in the order of the first; those that only the second has follow.
/// Of names that occur twice the first belongs to the first.
fn merged(before: Vec<Figure>, mut after: Vec<Figure>) -> Vec<(String, Option<f64>, Option<f64>)> {
    let mut all = Vec::new();
    for (name, value) in before {
        let same = after.iter().position(|figure| figure.0 == name).map(|index| after.remove(index));
        all.push((name, value, same.and_then(|figure| figure.1)));
    }
    all.extend(after.into_iter().map(|(name, value)| (name, None, value)));
    all
}

/// What cannot be compared, and why.
fn differences(before: &Record, after: &Record) -> Vec<String> {
    let mut all = Vec::new();
    if before.scenario != after.scenario {
        let names = (cell(&before.scenario), cell(&after.scenario));
        all.push(format!("any figure, as the scenarios are `{}` and `{}`", names.0, names.1));
    }
    if before.file != after.file {
        let line = before.file.lines().zip(after.file.lines()).take_while(|(a, b)| a == b).count() + 1;
        all.push(format!("the load, as the files of the scenario differ from line {line} on"));
    }
    if before.machine != after.machine {
        let machines = (machine(&before.machine), machine(&after.machine));
        all.push(format!("times, rates and CPU, as the machines are {} and {}", machines.0, machines.1));
    }
    all
}

fn machine(machine: &Machine) -> String {
    let (processor, kernel) = (cell(&machine.processor), cell(&machine.kernel));
    format!("{} × {processor} with {} MiB under {kernel}", machine.cores, count(machine.memory_mib))
}

/// Which run it was, and what must be known before its figures are believed.
fn run(record: &Record) -> String {
    let failed = record.checks.iter().filter(|check| !check.holds).count();
    format!(
        "{}, begun {}, seed {}, {failed} of {} checks failed, workers killed: {}",
        cell(&record.commit),
        cell(&record.begun),
        record.seed,
        record.checks.len(),
        count(record.totals.killed),
    )
}

/// A text from a record on one line of a table: a terminal obeys control characters, and a table its bars.
fn cell(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    shortened(or_none(plain.trim()), 80).replace('|', "\\|")
}

/// The rows, the first as head, in columns as wide as the widest of each.
fn drawn(rows: &[[String; 4]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2), width(3)];
    let mut text = String::new();
    for (index, [name, before, after, ratio]) in rows.iter().enumerate() {
        let [a, b, c, d] = widths;
        text += &format!("| {name:a$} | {before:>b$} | {after:>c$} | {ratio:>d$} |\n");
        if index == 0 {
            let rule = |width: usize| "-".repeat(width);
            text += &format!("| {} | {}: | {}: | {}: |\n", rule(a), rule(b - 1), rule(c - 1), rule(d - 1));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::{Check, Group, Latency, Totals},
        text::NONE,
    };

    fn record() -> Record {
        Record {
            scenario: "burst".to_owned(),
            file: "a: 1\nb: 2\n".to_owned(),
            commit: "abc".to_owned(),
            machine: Machine {
                processor: "Xeon".to_owned(),
                cores: 2,
                memory_mib: 4096,
                kernel: "6.1".to_owned(),
            },
            totals: Totals {
                seconds: 10.0,
                jobs: 100,
                bytes: 1 << 30,
                cpu_seconds: 5.0,
                peak_rss_mib: 80.0,
                killed: 0,
                requests: [("GetObject".to_owned(), 200)].into(),
            },
            groups: vec![group("burst", "small", 40.0)],
            ..Record::default()
        }
    }

    fn group(phase: &str, tenants: &str, p50: f64) -> Group {
        let latency = Latency { p50, p90: p50 * 2.0, p99: p50 * 4.0, max: p50 * 8.0 };
        Group { phase: phase.to_owned(), tenants: tenants.to_owned(), jobs: 10, ended: 10, latency }
    }

    /// The cells of the row with a name.
    fn row(table: &str, name: &str) -> [String; 3] {
        let rows = table.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
        let cells = rows.map(|row| row.split(" | ").map(|cell| cell.trim().to_owned()).collect::<Vec<_>>());
        let found: Vec<_> = cells.filter(|cells| cells[0] == name).collect();
        assert_eq!(found.len(), 1, "{name} in {table}");
        let [_, before, after, ratio] = found[0].clone().try_into().unwrap();
        [before, after, ratio]
    }

    #[test]
    fn a_ratio_is_after_by_before() {
        let mut after = record();
        after.totals.seconds = 5.0;
        after.totals.cpu_seconds = 7.5;
        after.totals.peak_rss_mib = 60.0;
        after.totals.requests.insert("GetObject".to_owned(), 300);
        after.groups[0].latency.p99 = 80.0;
        let table = table(&record(), &after);
        assert_eq!(row(&table, "jobs/s"), ["10.0", "20.0", "2.00"]);
        assert_eq!(row(&table, "MiB/s"), ["102", "205", "2.00"]);
        assert_eq!(row(&table, "CPU s per GiB"), ["5.00", "7.50", "1.50"]);
        assert_eq!(row(&table, "CPU ms per job"), ["50.0", "75.0", "1.50"]);
        assert_eq!(row(&table, "peak RSS, MiB"), ["80.0", "60.0", "0.750"]);
        assert_eq!(row(&table, "requests per job"), ["2.00", "3.00", "1.50"]);
        assert_eq!(row(&table, "requests per job, GetObject"), ["2.00", "3.00", "1.50"]);
        assert_eq!(row(&table, "burst, small: p50, ms"), ["40.0", "40.0", "1.00"]);
        assert_eq!(row(&table, "burst, small: p99, ms"), ["160", "80.0", "0.500"]);
    }

    #[test]
    fn what_only_one_has_is_shown() {
        let (mut before, mut after) = (record(), record());
        before.groups.push(group("drain", "large", 7.0));
        after.groups.push(group("calm", "large", 9.0));
        after.totals.requests.insert("PutObject".to_owned(), 100);
        let table = table(&before, &after);
        assert_eq!(row(&table, "drain, large: p50, ms"), ["7.00", NONE, NONE]);
        assert_eq!(row(&table, "calm, large: p50, ms"), [NONE, "9.00", NONE]);
        assert_eq!(row(&table, "requests per job, PutObject"), [NONE, "1.00", NONE]);
    }

    #[test]
    fn runs_of_the_same_on_the_same_have_nothing_before_the_table() {
        let table = table(&record(), &record());
        assert!(table.starts_with("before: abc,"), "{table}");
        assert!(!table.contains("Cannot be compared"), "{table}");
    }

    #[test]
    fn another_machine_is_said_first() {
        let mut after = record();
        after.machine.cores = 64;
        let table = table(&record(), &after);
        let first = table.lines().next().unwrap();
        let machines = "2 × Xeon with 4,096 MiB under 6.1 and 64 × Xeon with 4,096 MiB under 6.1";
        assert_eq!(
            first,
            format!("Cannot be compared: times, rates and CPU, as the machines are {machines}.")
        );
    }

    #[test]
    fn another_scenario_and_another_file_are_said_first() {
        let mut after = record();
        after.scenario = "steady".to_owned();
        after.file = "a: 1\nb: 3\n".to_owned();
        let table = table(&record(), &after);
        let first = table.lines().next().unwrap();
        assert!(first.contains("any figure, as the scenarios are `burst` and `steady`"), "{first}");
        assert!(first.contains("differ from line 2 on"), "{first}");
        assert!(!first.contains("machines"), "{first}");
    }

    #[test]
    fn empty_records_have_a_table_without_ratios() {
        let table = table(&Record::default(), &Record::default());
        assert_eq!(row(&table, "jobs/s"), [NONE; 3]);
        assert_eq!(row(&table, "peak RSS, MiB"), ["0", "0", NONE]);
        assert!(!table.contains("NaN") && !table.contains("inf"), "{table}");
    }

    #[test]
    fn no_jobs_have_no_latency() {
        let mut after = record();
        after.groups[0].ended = 0;
        assert_eq!(row(&table(&record(), &after), "burst, small: p50, ms"), ["40.0", NONE, NONE]);
    }

    #[test]
    fn a_failed_check_and_a_killed_worker_are_said() {
        let mut after = record();
        after.checks = vec![Check::default(), Check { holds: true, ..Check::default() }];
        after.totals.killed = 3;
        let table = table(&record(), &after);
        assert!(table.contains("0 of 0 checks failed, workers killed: 0\n"), "{table}");
        assert!(table.contains("1 of 2 checks failed, workers killed: 3\n"), "{table}");
    }

    #[test]
    fn columns_are_aligned_and_no_text_breaks_them() {
        let mut after = record();
        after.groups.push(group("a|b\n\u{1b}[31m", "ü", 1.0));
        let table = table(&record(), &after);
        let rows: Vec<_> = table.lines().filter(|line| line.starts_with('|')).collect();
        assert!(rows.iter().all(|row| row.chars().count() == rows[0].chars().count()), "{table}");
        assert!(table.contains("a\\|b  [31m, ü: p50"), "{table}");
        assert!(!table.contains('\u{1b}'));
    }
}
