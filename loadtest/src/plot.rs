//! Plots of lines, drawn as SVG. Colours and fonts come from the style sheet of the page they are in.
//!
//! Every coordinate is finite: a value that cannot be drawn (not a number, or not positive on a logarithmic axis)
//! is a gap in its line.

use crate::{
    scale::Scale,
    text::{escaped, number, shortened},
};

/// Lengths, in the units of the view box: one is about a pixel.
const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 190.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 20.0;
/// The line with the unit and the names of the lines.
const HEAD: f64 = 22.0;
/// A row of names of marks.
const ROW: f64 = 14.0;
/// The labels of the horizontal axis, and what it is.
const FOOT: f64 = 40.0;
/// Of a character in the font of the labels; on the wide side, so that they are apart.
const CHARACTER: f64 = 6.2;
/// More rows of names than this would leave no room for the lines.
const ROWS: usize = 3;

/// An axis.
#[derive(Clone, Debug, Default)]
pub(crate) struct Axis {
    /// What it shows, with its unit.
    pub(crate) label: String,
    /// Logarithmic; otherwise linear, from zero.
    pub(crate) log: bool,
    /// How far it reaches if no value is beyond that: plots beside each other are to have the same axis.
    pub(crate) reach: f64,
}

/// A line and its name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line {
    pub(crate) name: String,
    /// In the order they are joined.
    pub(crate) points: Vec<(f64, f64)>,
    /// The points are drawn, and not joined.
    pub(crate) dots: bool,
}

/// From where on the horizontal axis something was so.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Mark {
    pub(crate) at: f64,
    pub(crate) name: String,
}

/// A plot.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plot {
    pub(crate) title: String,
    pub(crate) across: Axis,
    pub(crate) up: Axis,
    pub(crate) lines: Vec<Line>,
    pub(crate) marks: Vec<Mark>,
}

/// A mark with its place: how far right, and where its name begins, in which row.
struct Placed<'a> {
    mark: &'a Mark,
    at: f64,
    name: Option<(f64, usize)>,
}

impl Plot {
    /// The plot under its title, as a `figure` element.
    pub(crate) fn figure(&self) -> String {
        format!("<figure><figcaption>{}</figcaption>{}</figure>", escaped(&self.title), self.svg())
    }

    /// The plot as an `svg` element.
    fn svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let across = scale(&self.across, points().map(|point| point.0), false);
        let up = scale(&self.up, points().map(|point| point.1), true);
        let marks = self.placed(&across);
        let rows = marks.iter().filter_map(|placed| placed.name).map(|(_, row)| row + 1).max().unwrap_or(0);
        let frame = Frame { across, up, top: HEAD + rows as f64 * ROW };

        let lines: Vec<_> = self.lines.iter().map(|line| frame.line(line)).collect();
        let body = if lines.iter().all(String::is_empty) {
            let (x, y) = ((LEFT + WIDTH - RIGHT) / 2.0, frame.top + HEIGHT / 2.0);
            format!(
                r#"<text class="none" x="{x:.1}" y="{y:.1}" text-anchor="middle">nothing was measured</text>"#
            )
        } else {
            let series = |(index, line)| format!(r#"<g class="series s{index}">{line}</g>"#);
            lines.iter().enumerate().map(series).collect()
        };
        format!(
            r#"<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{label}"><title>{title}</title>{axes}{marks}{body}{head}</svg>"#,
            height = frame.bottom() + FOOT,
            label = escaped(&self.description()),
            title = escaped(&self.title),
            axes = frame.axes(&self.across.label),
            marks = marks.iter().map(|placed| frame.mark(placed)).collect::<String>(),
            head = self.head(),
        )
    }

    /// The plot in words.
    fn description(&self) -> String {
        let lines = self.lines.iter().map(|line| {
            let values = line.points.iter().map(|point| point.1).filter(|value| value.is_finite());
            let (least, most) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                (value.min(low), value.max(high))
            });
            if least > most {
                format!("{}: nothing was measured", line.name)
            } else {
                format!("{}: from {} to {}", line.name, number(least), number(most))
            }
        });
        let marks = self.marks.iter().map(|mark| format!("{} from {}", mark.name, number(mark.at)));
        let all: Vec<_> = lines.chain(marks).collect();
        format!("{}, {} over {}. {}.", self.title, self.up.label, self.across.label, all.join("; "))
    }

    /// The unit of the vertical axis, and which line is which where there are several.
    fn head(&self) -> String {
        let mut text = format!(r#"<text class="unit" x="4" y="13">{}</text>"#, escaped(&self.up.label));
        if self.lines.len() < 2 {
            return text;
        }
        let mut x = WIDTH - RIGHT;
        for (index, line) in self.lines.iter().enumerate().rev() {
            x -= line.name.chars().count() as f64 * CHARACTER;
            let name = escaped(&line.name);
            let (from, to, middle) = (x - 26.0, x - 5.0, x - 15.0);
            let key = if line.dots {
                format!(r#"<circle cx="{middle:.1}" cy="9" r="3.5"/>"#)
            } else {
                format!(r#"<path d="M{from:.1} 9H{to:.1}"/>"#)
            };
            text += &format!(r#"<g class="series s{index}">{key}</g><text x="{x:.1}" y="13">{name}</text>"#);
            x -= 44.0;
        }
        text
    }

    /// The marks within the axis, their names in rows so that none covers another. A name without room is left out:
    /// its mark still has it as its title.
    fn placed(&self, across: &Scale) -> Vec<Placed<'_>> {
        let mut ends: Vec<f64> = Vec::new();
        let mut placed = Vec::new();
        for mark in &self.marks {
            let Some(at) = across.at(mark.at).map(right) else { continue };
            let length = shortened(&mark.name, 22).chars().count() as f64 * CHARACTER;
            let begin = (at + 3.0).min(WIDTH - length);
            let free = ends.iter().position(|end| *end <= begin);
            let row = free.or_else(|| (ends.len() < ROWS).then_some(ends.len()));
            if let Some(row) = row {
                ends.resize(ends.len().max(row + 1), 0.0);
                ends[row] = begin + length + 2.0 * CHARACTER;
            }
            placed.push(Placed { mark, at, name: row.map(|row| (begin, row)) });
        }
        placed
    }
}

/// The scale of an axis about its values.
fn scale(axis: &Axis, values: impl Iterator<Item = f64>, round: bool) -> Scale {
    let values = values.chain([axis.reach]);
    if axis.log { Scale::logarithmic(values) } else { Scale::linear(values, round) }
}

/// How far right something is that is so far along the horizontal axis.
fn right(along: f64) -> f64 {
    LEFT + along * (WIDTH - LEFT - RIGHT)
}

/// Where the lines are drawn.
struct Frame {
    across: Scale,
    up: Scale,
    top: f64,
}

impl Frame {
    fn bottom(&self) -> f64 {
        self.top + HEIGHT
    }

    fn down(&self, along: f64) -> f64 {
        self.bottom() - along * HEIGHT
    }

    fn axes(&self, label: &str) -> String {
        let (end, bottom) = (WIDTH - RIGHT, self.bottom());
        let mut text = String::new();
        for tick in self.up.ticks() {
            let Some(y) = self.up.at(*tick).map(|along| self.down(along)) else { continue };
            let (value, base) = (self.up.label(*tick), y + 4.0);
            text += &format!(
                r#"<path class="grid" d="M{LEFT} {y:.1}H{end}"/><text x="{x}" y="{base:.1}" text-anchor="end">{value}</text>"#,
                x = LEFT - 6.0,
            );
        }
        for tick in self.across.ticks() {
            let Some(x) = self.across.at(*tick).map(right) else { continue };
            let (value, base, stop) = (self.across.label(*tick), bottom + 16.0, bottom + 4.0);
            text += &format!(
                r#"<path class="axis" d="M{x:.1} {bottom}V{stop}"/><text x="{x:.1}" y="{base}" text-anchor="middle">{value}</text>"#,
            );
        }
        let (middle, base) = ((LEFT + end) / 2.0, bottom + 32.0);
        text += &format!(
            r#"<path class="axis" d="M{LEFT} {bottom}H{end}"/><text x="{middle}" y="{base}" text-anchor="middle">{}</text>"#,
            escaped(label),
        );
        text
    }

    fn mark(&self, placed: &Placed<'_>) -> String {
        let (at, bottom) = (placed.at, self.bottom());
        let top = placed.name.map_or(self.top, |(_, row)| HEAD + row as f64 * ROW);
        let name = placed.name.map_or_else(String::new, |(begin, _)| {
            let (base, name) = (top + 10.0, escaped(&shortened(&placed.mark.name, 22)));
            format!(r#"<text x="{begin:.1}" y="{base:.1}">{name}</text>"#)
        });
        let title = escaped(&placed.mark.name);
        format!(
            r#"<g class="mark"><title>{title}</title><path d="M{at:.1} {top:.1}V{bottom:.1}"/>{name}</g>"#
        )
    }

    /// A line, with its gaps; a point that is alone between gaps is a dot. Empty if nothing of it can be drawn.
    fn line(&self, line: &Line) -> String {
        let place =
            |point: &(f64, f64)| Some((right(self.across.at(point.0)?), self.down(self.up.at(point.1)?)));
        let places: Vec<_> = line.points.iter().map(place).collect();
        let mut text = String::new();
        for piece in places.split(Option::is_none) {
            let piece: Vec<_> = piece.iter().flatten().copied().collect();
            if line.dots || piece.len() == 1 {
                let dot = |(x, y): &(f64, f64)| format!(r#"<circle cx="{x:.1}" cy="{y:.1}" r="3.5"/>"#);
                text.extend(piece.iter().map(dot));
            } else if !piece.is_empty() {
                let steps: Vec<_> = thinned(&piece).iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
                text += &format!(r#"<path d="M{}"/>"#, steps.join("L"));
            }
        }
        text
    }
}

/// The least and the most of every unit of width: a run of a day has more points than a picture has columns, and
/// what it is drawn for is the peaks.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut kept = Vec::new();
    for column in points.chunk_by(|a, b| a.0.floor() == b.0.floor()) {
        let by_height = |a: &usize, b: &usize| column[*a].1.total_cmp(&column[*b].1);
        let least = (0..column.len()).min_by(by_height).unwrap_or(0);
        let most = (0..column.len()).max_by(by_height).unwrap_or(0);
        kept.push(column[least.min(most)]);
        if least != most {
            kept.push(column[least.max(most)]);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(points: &[(f64, f64)]) -> Line {
        Line { name: "read".to_owned(), points: points.to_vec(), dots: false }
    }

    fn plot(lines: Vec<Line>) -> Plot {
        Plot { title: "Throughput".to_owned(), lines, ..Plot::default() }
    }

    fn mark(at: f64, name: &str) -> Mark {
        Mark { at, name: name.to_owned() }
    }

    #[test]
    fn a_line_goes_through_its_points() {
        let svg = plot(vec![line(&[(0.0, 0.0), (5.0, 10.0), (10.0, 5.0)])]).svg();
        // From the lower left corner to the top in the middle, and half way down at the right.
        assert!(svg.contains(r#"d="M56.0 212.0L278.0 22.0L500.0 117.0""#), "{svg}");
    }

    #[test]
    fn an_axis_reaches_as_far_as_it_is_told() {
        let mut plot = plot(vec![line(&[(0.0, 0.0), (10.0, 10.0)])]);
        plot.across.reach = 20.0;
        assert!(plot.svg().contains(r#"d="M56.0 212.0L278.0 22.0""#), "{}", plot.svg());
    }

    #[test]
    fn a_gap_is_not_bridged_and_a_lone_point_is_seen() {
        let nan = f64::NAN;
        let svg =
            plot(vec![line(&[(0.0, 1.0), (1.0, 1.0), (2.0, nan), (3.0, 1.0), (nan, 1.0), (4.0, 1.0)])]).svg();
        let series = svg.split(r#"class="series s0">"#).nth(1).unwrap().split("</g>").next().unwrap();
        assert_eq!(series.matches("<path").count(), 1, "{series}");
        assert_eq!(series.matches("<circle").count(), 2, "{series}");
        assert_eq!(series.matches('L').count(), 1, "{series}");
    }

    #[test]
    fn what_is_no_number_is_not_drawn() {
        let bad = [
            (f64::NAN, 1.0),
            (f64::INFINITY, f64::NEG_INFINITY),
            (1.0, f64::INFINITY),
            (f64::MAX, -f64::MAX),
        ];
        for log in [false, true] {
            let mut plot = plot(vec![line(&bad), line(&[]), line(&[(0.0, 0.0)])]);
            plot.up.log = log;
            plot.across.log = log;
            plot.marks = vec![mark(f64::NAN, "one"), mark(f64::INFINITY, "two"), mark(0.0, "three")];
            let svg = plot.svg();
            // The words may say of a line that it went to infinity; the drawing may not.
            let drawing = svg.split_once("<title>").unwrap().1;
            assert!(!drawing.contains("NaN") && !drawing.contains("inf"), "{drawing}");
        }
    }

    #[test]
    fn a_plot_of_nothing_says_so() {
        for lines in [vec![], vec![line(&[])], vec![line(&[(0.0, f64::NAN)])]] {
            assert!(plot(lines).svg().contains("nothing was measured</text>"));
        }
        assert!(!plot(vec![line(&[(0.0, 1.0), (1.0, 1.0)])]).svg().contains("nothing was measured"));
    }

    #[test]
    fn marks_have_their_names_and_stand_where_they_begin() {
        let mut plot = plot(vec![line(&[(0.0, 1.0), (10.0, 1.0)])]);
        plot.marks = vec![mark(0.0, "warm"), mark(5.0, "<burst>"), mark(99.0, "after the end")];
        let svg = plot.svg();
        assert!(svg.contains("<title>&lt;burst&gt;</title><path d=\"M278.0 "), "{svg}");
        assert!(svg.contains(">&lt;burst&gt;</text>") && svg.contains(">warm</text>"), "{svg}");
        assert!(!svg.contains("after the end</"), "{svg}");
    }

    #[test]
    fn names_of_marks_do_not_cover_each_other() {
        let mut plot = plot(vec![line(&[(0.0, 1.0), (100.0, 1.0)])]);
        plot.marks = (0..100).map(|at| mark(f64::from(at), "a phase with quite a long name")).collect();
        let across = scale(&plot.across, [0.0, 100.0].into_iter(), false);
        let placed = plot.placed(&across);
        assert_eq!(placed.len(), 100);
        for row in 0..ROWS {
            let begins: Vec<_> =
                placed.iter().filter_map(|p| p.name).filter(|n| n.1 == row).map(|n| n.0).collect();
            assert!(!begins.is_empty());
            assert!(begins.windows(2).all(|pair| pair[1] - pair[0] >= 22.0 * CHARACTER), "{begins:?}");
            assert!(begins.iter().all(|begin| begin + 22.0 * CHARACTER <= WIDTH), "{begins:?}");
        }
    }

    #[test]
    fn the_words_say_what_the_drawing_shows() {
        let mut plot = plot(vec![line(&[(0.0, 12.0), (10.0, 98.0), (11.0, f64::NAN)])]);
        plot.up.label = "MiB/s".to_owned();
        plot.across.label = "seconds".to_owned();
        plot.marks = vec![mark(5.0, "a \"burst\"")];
        let words = "Throughput, MiB/s over seconds. read: from 12.0 to 98.0; a &quot;burst&quot; from 5.00.";
        assert!(plot.svg().contains(&format!("aria-label=\"{words}\"")), "{}", plot.svg());
    }

    #[test]
    fn peaks_survive_where_points_are_many() {
        let points: Vec<_> = (0..100_000_u32)
            .map(|n| (f64::from(n) / 200.0, if n == 54_321 { 0.0 } else { 100.0 + f64::from(n % 7) }))
            .collect();
        let kept = thinned(&points);
        assert!(kept.len() <= 1002, "{}", kept.len());
        assert!(kept.iter().any(|point| point.1 == 0.0));
        assert!(kept.is_sorted_by(|a, b| a.0 <= b.0));
    }
}
