//! The scale of an axis: from values to lengths, with ticks at round numbers.

use crate::text::grouped;

/// At most how many steps from tick to tick the values of an axis take.
const TICKS: f64 = 6.0;

/// A scale. Its ends are finite and apart from each other, whatever it was made from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scale {
    low: f64,
    high: f64,
    log: bool,
    ticks: Vec<f64>,
    /// Digits behind the point that tell one tick from the next.
    decimals: usize,
}

impl Scale {
    /// From zero to the largest of the values, to the next tick above it if `round`. Values below zero lengthen it.
    pub(crate) fn linear(values: impl Iterator<Item = f64>, round: bool) -> Self {
        let (mut low, mut high) = values
            .filter(|value| drawable(*value, false))
            .fold((0.0, 0.0_f64), |(low, high), value| (value.min(low), value.max(high)));
        // Nothing measured is so small: it is zero, and zero has a scale as well.
        if high - low < 1e-12 {
            high = low + 1.0;
        }
        let step = round_up((high - low) / TICKS);
        if round {
            // A value that is a tick up to rounding does not need another one above it.
            high = (high / step - 1e-9).ceil() * step;
            low = (low / step + 1e-9).floor() * step;
        }
        let first = (low / step - 1e-9).ceil() as i64;
        let last = (high / step + 1e-9).floor() as i64;
        let decimals = (-(step.log10() + 1e-9).floor()).max(0.0) as usize;
        Self { low, high, log: false, ticks: (first..=last).map(|n| n as f64 * step).collect(), decimals }
    }

    /// Between the round numbers about the values. Values that are not positive are left out.
    pub(crate) fn logarithmic(values: impl Iterator<Item = f64>) -> Self {
        let (least, most) = values
            .filter(|value| drawable(*value, true))
            .fold((f64::INFINITY, 0.0), |(low, high): (f64, f64), value| (low.min(value), high.max(value)));
        let (least, most) = if most > 0.0 { (least, most) } else { (1.0, 10.0) };
        let (mut low, mut high) = (round_down(least), round_up(most));
        if high <= low * 1.1 {
            (low, high) = (round_down(low * 0.9), round_up(high * 1.1));
        }
        let (first, last) = ((low.log10() + 1e-9).floor() as i32, (high.log10() - 1e-9).ceil() as i32);
        // Two decades or less are told apart by ticks within them; over eight, the labels would touch.
        let within: &[f64] = if high / low <= 101.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let every = usize::try_from((last - first) / 8 + 1).unwrap_or(1);
        let ticks = (first..=last)
            .step_by(every)
            .flat_map(|decade| within.iter().map(move |digit| digit * 10_f64.powi(decade)))
            .filter(|tick| (low * 0.999..=high * 1.001).contains(tick))
            .collect();
        Self { low, high, log: true, ticks, decimals: 0 }
    }

    /// Where the ticks are.
    pub(crate) fn ticks(&self) -> &[f64] {
        &self.ticks
    }

    /// How far along the axis a value is: 0 at its beginning, 1 at its end; nothing where it cannot be drawn.
    pub(crate) fn at(&self, value: f64) -> Option<f64> {
        if !drawable(value, self.log) {
            return None;
        }
        let along = if self.log {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        (-1e-6..=1.000_001).contains(&along).then_some(along.clamp(0.0, 1.0))
    }

    /// What stands beside a tick.
    pub(crate) fn label(&self, tick: f64) -> String {
        let size = tick.abs();
        if size >= 1e6 {
            let (size, unit) = if size >= 1e9 { (tick / 1e9, "G") } else { (tick / 1e6, "M") };
            return format!("{}{unit}", grouped_fraction(size));
        }
        if self.log && size < 1.0 {
            let decimals = (-(size.log10() + 1e-9).floor()) as usize;
            return if decimals > 4 { format!("{tick:.0e}") } else { format!("{tick:.decimals$}") };
        }
        match self.decimals {
            0 => grouped(&format!("{tick:.0}")),
            1..=4 => format!("{tick:.*}", self.decimals),
            _ if tick == 0.0 => "0".to_owned(),
            _ => format!("{tick:.0e}"),
        }
    }
}

/// A value that can be drawn. Beyond 10^15 nothing is measured: it is a mistake, and would flatten all else.
fn drawable(value: f64, log: bool) -> bool {
    value.abs() < 1e15 && (!log || value > 1e-15)
}

/// A number with at most two digits behind the point, and none that is zero at its end.
fn grouped_fraction(value: f64) -> String {
    let text = format!("{value:.2}");
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    match fraction.trim_end_matches('0') {
        "" => grouped(whole),
        fraction => format!("{}.{fraction}", grouped(whole)),
    }
}

/// The least of 1, 2, 5, 10, 20, 50, … that is not less than a positive number.
fn round_up(value: f64) -> f64 {
    let steps = steps(value);
    steps.into_iter().find(|step| *step >= value * (1.0 - 1e-9)).unwrap_or(value)
}

/// The largest of 1, 2, 5, 10, 20, 50, … that is not more than a positive number.
fn round_down(value: f64) -> f64 {
    let steps = steps(value);
    steps.into_iter().rev().find(|step| *step <= value * (1.0 + 1e-9)).unwrap_or(value)
}

/// The round numbers about a positive one; one more at either end, as a logarithm is not exact.
fn steps(value: f64) -> [f64; 6] {
    let decade = value.log10().floor() as i32;
    [(5.0, -1), (1.0, 0), (2.0, 0), (5.0, 0), (1.0, 1), (2.0, 1)]
        .map(|(digit, above)| digit * 10_f64.powi(decade + above))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: &Scale) -> Vec<String> {
        scale.ticks().iter().map(|tick| scale.label(*tick)).collect()
    }

    #[test]
    fn ticks_are_round_and_cover_the_values() {
        let cases: [(f64, &[&str]); 6] = [
            (97.3, &["0", "20", "40", "60", "80", "100"]),
            (100.0, &["0", "20", "40", "60", "80", "100"]),
            (1.7, &["0.0", "0.5", "1.0", "1.5", "2.0"]),
            (0.0029, &["0.0000", "0.0005", "0.0010", "0.0015", "0.0020", "0.0025", "0.0030"]),
            (41_000.0, &["0", "10,000", "20,000", "30,000", "40,000", "50,000"]),
            (2_400_000.0, &["0", "500,000", "1M", "1.5M", "2M", "2.5M"]),
        ];
        for (most, expected) in cases {
            let scale = Scale::linear([most, most / 3.0].into_iter(), true);
            assert_eq!(labels(&scale), expected, "{most}");
            assert!(scale.at(most).is_some(), "{most}");
        }
    }

    #[test]
    fn an_axis_that_is_not_rounded_ends_with_its_values() {
        let scale = Scale::linear([297.0].into_iter(), false);
        assert_eq!(labels(&scale), ["0", "50", "100", "150", "200", "250"]);
        assert_eq!(scale.at(297.0), Some(1.0));
        assert_eq!(scale.at(148.5), Some(0.5));
        assert_eq!(scale.at(298.0), None);
    }

    #[test]
    fn few_decades_have_ticks_within_them_and_many_have_not() {
        assert_eq!(
            labels(&Scale::logarithmic([3.0, 180.0].into_iter())),
            ["2", "5", "10", "20", "50", "100", "200"]
        );
        assert_eq!(
            labels(&Scale::logarithmic([0.03, 18_000.0].into_iter())),
            ["0.1", "1", "10", "100", "1,000", "10,000"]
        );
        assert!(labels(&Scale::logarithmic([1e-14, 1e14].into_iter())).len() <= 9);
    }

    #[test]
    fn a_decade_is_as_long_as_another() {
        let scale = Scale::logarithmic([1.0, 1000.0].into_iter());
        let at = |value| scale.at(value).unwrap();
        assert!((at(10.0) - 1.0 / 3.0).abs() < 1e-9 && (at(100.0) - 2.0 / 3.0).abs() < 1e-9);
        assert_eq!(scale.at(0.0), None);
    }

    #[test]
    fn what_cannot_be_drawn_has_no_place_and_moves_no_end() {
        let bad = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX];
        for scale in [Scale::linear(bad.into_iter(), true), Scale::logarithmic(bad.into_iter())] {
            assert!(scale.low < scale.high && scale.high <= 10.0, "{scale:?}");
            assert!(scale.ticks().len() >= 2, "{scale:?}");
            assert!(bad.iter().all(|value| scale.at(*value).is_none()), "{scale:?}");
        }
        assert_eq!(Scale::linear([f64::MIN_POSITIVE].into_iter(), true).high, 1.0);
        let with = Scale::linear([f64::NAN, 3.0, f64::INFINITY].into_iter(), true);
        assert_eq!(with, Scale::linear([3.0].into_iter(), true));
    }

    #[test]
    fn one_value_has_a_scale_about_it() {
        for value in [1e-9, 1.0, 10.0, 20.0, 1000.0, 1e14] {
            let scale = Scale::logarithmic([value].into_iter());
            assert!(scale.at(value).is_some_and(|at| at > 0.1 && at < 0.9), "{scale:?}");
            assert!(scale.ticks().len() >= 2, "{scale:?}");
        }
    }
}
