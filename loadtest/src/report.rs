//! The report of a run: one page of HTML that needs nothing beside it.

use crate::{
    figures,
    plot::{Axis, Line, Plot},
    record::{Check, Growth, Latency, Record},
    text::{count, escaped, number, optional, or_none},
    timeline,
};

const STYLE: &str = include_str!("report.css");

/// The page of a run. Whatever the record holds, it is text in it and never markup.
pub(crate) fn html(record: &Record) -> String {
    let failed = record.checks.iter().filter(|check| !check.holds).count();
    let name = escaped(or_none(&record.scenario));
    let growth = record.growth.as_ref().map_or_else(String::new, growth);
    let parts = [
        format!(r#"<h1>{name}</h1><p>{}</p>"#, escaped(&record.about)),
        format!(
            r#"<p class="quiet">Begun {}, commit {}</p>"#,
            escaped(or_none(&record.begun)),
            escaped(or_none(&record.commit))
        ),
        verdict(&record.checks, failed),
        totals(record),
        requests(record),
        groups(record),
        growth,
        timeline::section(record),
        facts(record),
        format!(
            "<details><summary>The scenario's file</summary><pre>{}</pre></details>",
            escaped(&record.file)
        ),
    ];
    let state = if failed > 0 { "FAILED: " } else { "" };
    format!(
        r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{state}{name}</title>
<style>
{STYLE}</style>
</head>
<body>
{}
</body>
</html>
"#,
        parts.join("\n")
    )
}

/// Whether the scenario's promises held: by word and sign, as not everybody sees the colour.
fn verdict(checks: &[Check], failed: usize) -> String {
    let all = checks.len();
    let (class, words) = match (failed, all) {
        (_, 0) => return r#"<p class="verdict">No checks: this scenario promises nothing.</p>"#.to_owned(),
        (0, 1) => ("good", "✓ Passed: the check holds".to_owned()),
        (0, _) => ("good", format!("✓ Passed: all {all} checks hold")),
        (_, 1) => ("bad", "✗ FAILED: the check does not hold".to_owned()),
        _ => ("bad", format!("✗ FAILED: {failed} of {all} checks do not hold")),
    };
    let mut ordered: Vec<_> = checks.iter().collect();
    ordered.sort_by_key(|check| check.holds);
    let rows = ordered.into_iter().map(|check| {
        let (class, holds) = if check.holds { ("good", "✓ holds") } else { ("bad", "✗ FAILED") };
        let [what, seen, allowed] = [&check.what, &check.seen, &check.allowed].map(|text| escaped(text));
        format!(
            r#"<tr class="{class}"><td class="holds">{holds}</td><th scope="row">{what}</th><td>{seen}</td><td>{allowed}</td></tr>"#
        )
    });
    let table = table(&[("", false), ("check", false), ("seen", false), ("allowed", false)], rows);
    format!(r#"<p class="verdict {class}">{words}</p>{table}"#)
}

fn totals(record: &Record) -> String {
    let totals = &record.totals;
    let mut all = vec![
        ("jobs", count(totals.jobs)),
        ("jobs/s", optional(figures::jobs_per_second(totals))),
        ("GiB", number(figures::gib(totals))),
        ("MiB/s", optional(figures::mib_per_second(totals))),
        ("seconds", number(totals.seconds)),
        ("CPU s", number(totals.cpu_seconds)),
    ];
    all.extend(figures::cpu_per_gib(totals).map(|value| ("CPU s per GiB", number(value))));
    all.push(("CPU ms per job", optional(figures::cpu_millis_per_job(totals))));
    all.push(("requests per job", optional(figures::requests_per_job(totals))));
    all.push(("peak RSS, MiB", number(totals.peak_rss_mib)));
    all.push(("workers killed", count(totals.killed)));
    let tiles: String =
        all.iter().map(|(name, value)| format!("<div><dt>{name}</dt><dd>{value}</dd></div>")).collect();
    format!(r#"<h2>Totals</h2><dl class="totals">{tiles}</dl>"#)
}

fn requests(record: &Record) -> String {
    let totals = &record.totals;
    if totals.requests.is_empty() {
        return r#"<h2>Requests to S3</h2><p class="quiet">No request was counted.</p>"#.to_owned();
    }
    let rows = totals.requests.iter().map(|(operation, requests)| {
        let (name, all) = (escaped(operation), count(*requests));
        let each = optional(figures::per(*requests as f64, totals.jobs as f64));
        format!(
            r#"<tr><th scope="row">{name}</th><td class="number">{all}</td><td class="number">{each}</td></tr>"#
        )
    });
    let sum = format!(
        r#"<tr><th scope="row">all</th><td class="number">{}</td><td class="number">{}</td></tr>"#,
        count(figures::requests(totals)),
        optional(figures::requests_per_job(totals)),
    );
    let heads = [("operation", false), ("requests", true), ("per job", true)];
    format!("<h2>Requests to S3</h2>{}", table(&heads, rows.chain([sum])))
}

fn groups(record: &Record) -> String {
    let title = "<h2>Latency by phase and tenants, ms</h2>";
    if record.groups.is_empty() {
        return format!(r#"{title}<p class="quiet">No job arrived.</p>"#);
    }
    let rows = record.groups.iter().map(|group| {
        let Latency { p50, p90, p99, max } = group.latency;
        // No jobs have no latency, though the record has a zero for it.
        let shown = |value| optional((group.ended > 0).then_some(value));
        let numbers = [count(group.jobs), shown(p50), shown(p90), shown(p99), shown(max)];
        let cells = numbers.map(|value| format!(r#"<td class="number">{value}</td>"#)).concat();
        let (phase, tenants) = (escaped(&group.phase), escaped(&group.tenants));
        format!(r#"<tr><th scope="row">{phase}</th><td>{tenants}</td>{cells}</tr>"#)
    });
    let heads = ["phase", "tenants", "jobs", "p50", "p90", "p99", "max"];
    let heads: Vec<_> = heads.into_iter().enumerate().map(|(index, head)| (head, index >= 2)).collect();
    format!("{title}{}", table(&heads, rows))
}

/// A table with its heads, each with whether numbers stand below it.
fn table(heads: &[(&str, bool)], rows: impl Iterator<Item = String>) -> String {
    let heads: String = heads
        .iter()
        .map(|(head, number)| {
            let class = if *number { r#" class="number""# } else { "" };
            format!(r#"<th scope="col"{class}>{head}</th>"#)
        })
        .collect();
    let rows: String = rows.collect();
    format!(r#"<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"#)
}

fn growth(growth: &Growth) -> String {
    let of = escaped(&growth.of);
    let title = format!("<h2>Growth with the number of {of}</h2>");
    let points: Vec<_> = growth.points.iter().copied().filter(|(x, y)| *x > 0.0 && *y > 0.0).collect();
    if points.is_empty() || !growth.exponent.is_finite() {
        return format!(r#"{title}<p class="quiet">Too little was measured to say how the cost grows.</p>"#);
    }
    let exponent = format!("{:.2}", growth.exponent);
    let lines = vec![
        Line { name: "measured".to_owned(), points: points.clone(), dots: true },
        Line {
            name: format!("fitted, exponent {exponent}"),
            points: fitted(&points, growth.exponent),
            dots: false,
        },
        Line { name: "linear".to_owned(), points: fitted(&points, 1.0), dots: false },
    ];
    let plot = Plot {
        title: format!("CPU seconds by {}", growth.of),
        across: Axis { label: growth.of.clone(), log: true, ..Axis::default() },
        up: Axis { label: "CPU s".to_owned(), log: true, ..Axis::default() },
        lines,
        marks: Vec::new(),
    };
    let drawn = plot.figure();
    format!(
        r#"{title}<p>CPU seconds grow as {of} to the power of <strong>{exponent}</strong>; 1 is linear.</p>{drawn}"#
    )
}

/// The ends of the line of a slope that is nearest to the points: it goes through the middle of their logarithms.
fn fitted(points: &[(f64, f64)], exponent: f64) -> Vec<(f64, f64)> {
    let middle = |part: fn(&(f64, f64)) -> f64| {
        points.iter().map(|point| part(point).ln()).sum::<f64>() / points.len() as f64
    };
    let (x, y) = (middle(|point| point.0), middle(|point| point.1));
    let all = || points.iter().map(|point| point.0);
    let ends = [all().fold(f64::INFINITY, f64::min), all().fold(0.0, f64::max)];
    ends.map(|end| (end, (y + exponent * (end.ln() - x)).exp())).into()
}

fn facts(record: &Record) -> String {
    let machine = &record.machine;
    let facts = [
        ("Processor", escaped(or_none(&machine.processor))),
        ("Processors", machine.cores.to_string()),
        ("Memory", format!("{} MiB", count(machine.memory_mib))),
        ("Kernel", escaped(or_none(&machine.kernel))),
        ("Commit", escaped(or_none(&record.commit))),
        ("Begun", escaped(or_none(&record.begun))),
        ("Seed", record.seed.to_string()),
    ];
    let facts = facts.map(|(name, value)| format!("<dt>{name}</dt><dd>{value}</dd>")).concat();
    format!(r#"<h2>What was measured, and on what</h2><dl class="facts">{facts}</dl>"#)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Group, Machine, Sample, Slice, Totals};

    const EVIL: &str = r#"</title><script>"&'"#;

    fn evil() -> String {
        EVIL.to_owned()
    }

    fn check(what: &str, holds: bool) -> Check {
        Check { what: what.to_owned(), seen: "3".to_owned(), allowed: "2".to_owned(), holds }
    }

    fn sample(at: f64, phase: &str) -> Sample {
        Sample { at, phase: phase.to_owned(), open: 5, busy: 2, ..Sample::default() }
    }

    /// The part of a page from one text to the next after it.
    fn between<'a>(page: &'a str, from: &str, to: &str) -> &'a str {
        page.split_once(from).expect(from).1.split_once(to).expect(to).0
    }

    #[test]
    fn nothing_of_the_record_is_markup() {
        let record = Record {
            scenario: evil(),
            about: evil(),
            file: evil(),
            commit: evil(),
            begun: evil(),
            machine: Machine { processor: evil(), kernel: evil(), ..Machine::default() },
            totals: Totals { requests: [(evil(), 1)].into(), ..Totals::default() },
            groups: vec![Group { phase: evil(), tenants: evil(), jobs: 1, ..Group::default() }],
            samples: vec![sample(1.0, EVIL), sample(2.0, EVIL)],
            growth: Some(Growth { of: evil(), points: vec![(1.0, 1.0)], exponent: 1.0 }),
            checks: vec![Check { what: evil(), seen: evil(), allowed: evil(), holds: false }],
            ..Record::default()
        };
        let page = html(&record);
        assert!(!page.contains(EVIL) && !page.contains("<script"), "{page}");
        // Each of the 13 texts is shown, and some more than once.
        assert!(page.matches("&lt;/title&gt;&lt;script&gt;&quot;&amp;&#39;").count() >= 13);
    }

    #[test]
    fn an_empty_record_has_a_page() {
        let page = html(&Record::default());
        for words in ["No checks", "No job arrived", "No samples", "No job ended", "No request"] {
            assert!(page.contains(words), "{words} in {page}");
        }
        assert!(!page.contains("<svg") && !page.contains("NaN") && !page.contains(">inf"), "{page}");
    }

    #[test]
    fn a_page_needs_nothing_beside_it() {
        let page = html(&Record { samples: vec![sample(1.0, "warm")], ..Record::default() });
        for outside in ["http", "<link", "<script", "@import", "url(", " src="] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert!(page.contains("prefers-color-scheme: dark") && page.contains("@media print"));
    }

    #[test]
    fn a_failed_check_is_first_and_said_in_words() {
        let checks = vec![check("jobs lost", true), check("peak memory", false), check("order", true)];
        let page = html(&Record { scenario: "burst".to_owned(), checks, ..Record::default() });
        assert!(page.contains("<title>FAILED: burst</title>"));
        assert!(page.contains("✗ FAILED: 1 of 3 checks do not hold"));
        let places =
            ["peak memory", "jobs lost", "order"].map(|what| page.find(&format!(">{what}<")).unwrap());
        assert!(places.is_sorted(), "{places:?}");
        let row = between(&page, r#"<tr class="bad">"#, "</tr>");
        assert!(row.contains("✗ FAILED") && row.contains("peak memory"), "{row}");
        assert!(row.contains("<td>3</td><td>2</td>"), "{row}");
    }

    #[test]
    fn checks_that_hold_do_not_fail() {
        let page = html(&Record { checks: vec![check("a", true), check("b", true)], ..Record::default() });
        assert!(page.contains("✓ Passed: all 2 checks hold") && !page.contains("FAILED"));
    }

    #[test]
    fn totals_are_worked_out() {
        let totals = Totals { seconds: 4.0, jobs: 8, bytes: 1 << 30, cpu_seconds: 2.0, ..Totals::default() };
        let page = html(&Record { totals: totals.clone(), ..Record::default() });
        for (name, value) in [
            ("jobs", "8"),
            ("jobs/s", "2.00"),
            ("GiB", "1.00"),
            ("MiB/s", "256"),
            ("CPU s per GiB", "2.00"),
            ("CPU ms per job", "250"),
        ] {
            assert!(page.contains(&format!("<dt>{name}</dt><dd>{value}</dd>")), "{name}");
        }
        let page = html(&Record { totals: Totals { bytes: 0, ..totals }, ..Record::default() });
        assert!(!page.contains("CPU s per GiB"));
    }

    #[test]
    fn growth_has_a_line_through_its_points_and_its_exponent() {
        let points = vec![(10.0, 3.0), (100.0, 300.0), (1000.0, 30_000.0)];
        let line = fitted(&points, 2.0);
        assert!(
            (line[0].1 / 3.0 - 1.0).abs() < 1e-9 && (line[1].1 / 30_000.0 - 1.0).abs() < 1e-9,
            "{line:?}"
        );
        let growth = Growth { of: "tenants".to_owned(), points, exponent: 2.0 };
        let page = html(&Record { growth: Some(growth), ..Record::default() });
        assert!(page.contains("<strong>2.00</strong>") && page.contains("fitted, exponent 2.00"));
        let svg = between(&page, "<svg", "</svg>");
        let path = between(svg, r#"<g class="series s1"><path d="M"#, "\"/>");
        let dots = between(svg, r#"<g class="series s0">"#, "</g>");
        assert_eq!(dots.matches("<circle").count(), 3);
        let (from, to) = path.split_once('L').unwrap();
        for (end, place) in [from, to].map(|end| end.split_once(' ').unwrap()).iter().zip([0, 2]) {
            let dot = format!(r#"cx="{}" cy="{}""#, end.0, end.1);
            let circle = dots.split("<circle ").nth(place + 1).unwrap();
            assert!(circle.contains(&dot), "{circle} is not at {dot}");
        }
    }

    #[test]
    fn growth_without_points_is_said() {
        for (points, exponent) in [(vec![], 1.0), (vec![(0.0, 0.0)], 1.0), (vec![(1.0, 1.0)], f64::NAN)] {
            let growth = Growth { of: "jobs".to_owned(), points, exponent };
            let page = html(&Record { growth: Some(growth), ..Record::default() });
            assert!(page.contains("Too little was measured") && !page.contains("<svg"));
        }
    }

    #[test]
    fn what_is_no_number_is_not_drawn() {
        let nan = f64::NAN;
        let bad = Sample { at: nan, cpu: nan, rss_mib: f64::INFINITY, read_mib: nan, ..sample(0.0, "a") };
        let latency = Latency { p50: nan, p90: f64::INFINITY, p99: 0.0, max: nan };
        let record = Record {
            samples: vec![bad.clone(), Sample { at: 1.0, ..bad }],
            slices: vec![Slice { at: 1.0, jobs: 1, latency }, Slice { at: nan, ..Slice::default() }],
            groups: vec![Group { jobs: 1, ended: 1, latency, ..Group::default() }],
            growth: Some(Growth { points: vec![(nan, 1.0), (1.0, f64::INFINITY)], ..Growth::default() }),
            totals: Totals { seconds: nan, cpu_seconds: f64::INFINITY, jobs: 1, ..Totals::default() },
            ..Record::default()
        };
        let page = html(&record);
        assert!(!page.contains("NaN") && !page.contains(">inf") && !page.contains("\"inf"), "{page}");
    }
}
