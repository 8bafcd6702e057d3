//! How large each part of an object is.
//!
//! S3 takes at most 10,000 parts of at most 5 GiB, so an object near the 50 TB limit needs parts of nearly 5 GiB on
//! average. When the size is known the parts are equal. When it is not, a part is 1/64 of what was written before it:
//! small objects get small parts, the waste is bounded, and the wall is never met.

use crate::port::SinkLimits;

const MIB: u64 = 1 << 20;

/// Parts of a known size are sized for this many parts, not for all 10,000: the reserve takes up rounding, and leaves
/// room for parts that a resume had to cut short.
const PLANNED_PARTS_PER_10_000: u64 = 9_500;

/// An unknown object's next part is 1 / this of what was written before. At 64 the schedule of S3's limits passes 50 TB
/// in fewer than 9,800 parts from the smallest part S3 takes, and in 9,901 from 1 MiB; at 100 it does not; smaller values
/// buffer more than they must.
const GROWTH: u64 = 64;

/// The sizes of the parts of one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartSchedule {
    first: u64,
    cap: u64,
    growing: bool,
    max_parts: u32,
    max_object: u64,
}

impl PartSchedule {
    /// Equal parts for an object of `size` bytes, at least `floor` each. The size of a part may be more than memory
    /// holds: the planner compares.
    pub fn known(size: u64, floor: u64, limits: &SinkLimits) -> Self {
        let planned = (u64::from(limits.max_parts) * PLANNED_PARTS_PER_10_000 / 10_000).max(1);
        let needed = size.div_ceil(planned).div_ceil(MIB) * MIB;
        let first = floor.max(limits.min_part).max(needed).min(limits.max_part);
        Self { first, cap: first, growing: false, max_parts: limits.max_parts, max_object: limits.max_object }
    }

    /// Growing parts for an object of unknown size, from `floor` up to `cap` bytes (what memory can hold).
    pub fn unknown(floor: u64, cap: u64, limits: &SinkLimits) -> Self {
        let cap = cap.min(limits.max_part);
        let first = floor.max(limits.min_part).min(cap);
        Self { first, cap, growing: true, max_parts: limits.max_parts, max_object: limits.max_object }
    }

    /// The size of the next part when `written` bytes are in parts before it.
    pub fn next(&self, written: u64) -> u64 {
        if !self.growing {
            return self.first;
        }
        // Whole MiB, so that parts stay aligned to the frames and buffers below them.
        (written / GROWTH / MIB * MIB).clamp(self.first, self.cap)
    }

    /// The first part's size: the smallest.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The largest a part can become.
    pub fn largest(&self) -> u64 {
        self.cap
    }

    /// The largest object these parts reach, within the sink's limits.
    pub fn reach(&self) -> u64 {
        let mut total: u64 = 0;
        for _ in 0..self.max_parts {
            total = total.saturating_add(self.next(total));
            if total >= self.max_object {
                return self.max_object;
            }
        }
        total
    }

    /// How many parts an object of `size` bytes has; at least one.
    pub fn count(&self, size: u64) -> u64 {
        if !self.growing {
            return size.div_ceil(self.first).max(1);
        }
        let (mut total, mut parts) = (0, 0);
        while total < size {
            total += self.next(total);
            parts += 1;
        }
        parts.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const S3: SinkLimits = SinkLimits::S3;
    const TB_50: u64 = 50_000_000_000_000;

    #[test]
    fn an_unknown_object_reaches_the_object_limit() {
        assert_eq!(PartSchedule::unknown(8 * MIB, S3.max_part, &S3).reach(), TB_50);
        assert_eq!(PartSchedule::unknown(5 * MIB, S3.max_part, &S3).reach(), TB_50);
        let from_one = PartSchedule::unknown(MIB, S3.max_part, &SinkLimits { min_part: MIB, ..S3 });
        assert_eq!((from_one.reach(), from_one.count(TB_50)), (TB_50, 9_901));
        // Memory for parts of 64 MiB only: the reach says how far that goes.
        let small = PartSchedule::unknown(8 * MIB, 64 * MIB, &S3).reach();
        assert!((500 << 30..640 << 30).contains(&small), "{small}");
    }

    #[test]
    fn small_objects_have_small_parts() {
        let schedule = PartSchedule::unknown(8 * MIB, S3.max_part, &S3);
        assert_eq!(schedule.next(0), 8 * MIB);
        assert_eq!(schedule.next(500 * MIB), 8 * MIB);
        assert_eq!(schedule.count(1 << 30), 111);
    }

    proptest! {
        #[test]
        fn known_sizes_fit_the_part_limits(size in 0..=TB_50, floor in 1..=64u64) {
            let schedule = PartSchedule::known(size, floor * MIB, &S3);
            prop_assert!(schedule.count(size) <= 9_501);
            prop_assert!((S3.min_part..=S3.max_part).contains(&schedule.first()));
        }

        #[test]
        fn unknown_sizes_never_meet_the_wall(size in 1..=TB_50, floor in 1..=64u64) {
            let limits = SinkLimits { min_part: MIB, ..S3 };
            let schedule = PartSchedule::unknown(floor * MIB, S3.max_part, &limits);
            let (mut written, mut parts, mut previous) = (0u64, 0u32, 0u64);
            while written < size {
                let part = schedule.next(written);
                prop_assert!(part >= previous && (MIB..=S3.max_part).contains(&part));
                previous = part;
                written += part;
                parts += 1;
            }
            prop_assert!(parts <= S3.max_parts, "{} parts", parts);
            prop_assert_eq!(u64::from(parts), schedule.count(size));
        }

        #[test]
        fn reach_is_what_the_parts_hold(floor in 5..=64u64, cap in 5..=512u64) {
            let schedule = PartSchedule::unknown(floor * MIB, cap * MIB, &S3);
            let reach = schedule.reach();
            prop_assert!(schedule.count(reach) <= u64::from(S3.max_parts));
            prop_assert!(reach == S3.max_object || schedule.count(reach + 1) > u64::from(S3.max_parts));
        }
    }
}
