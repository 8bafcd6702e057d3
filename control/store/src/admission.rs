//! Who may put how much into the queues: a tenant at its quota, or with a hundred times its share, delays no other
//! beyond its share (G8).
//!
//! FIFO queues know no fairness across groups, so the ledger is the real queue and `work.fifo` holds only what was
//! admitted: at most [`Tenant::max_jobs`] and [`Tenant::max_bytes`] of each tenant. What is admitted at once is put in by
//! deficit round robin on bytes, so that the queue's own order is fair as well. [`release`](crate::release) does it.

use std::collections::VecDeque;

use eft_domain::{JobId, Route, Tenant, route::RouteTable};

use crate::port::{JobSize, Load};

/// Jobs of a tenant that are looked at in one release; the next release looks at the next.
pub const LOOK_AHEAD: u16 = 100;

/// What a tenant of weight 1 may put in a turn: the largest file of the small path.
const QUANTUM: u64 = 100 << 20;

/// A tenant's wish and room.
#[derive(Clone, Debug)]
pub struct Share {
    /// Who.
    pub tenant: Tenant,
    /// What waits, in its order.
    pub waiting: Vec<JobSize>,
    /// What is in flight.
    pub load: Load,
}

impl Share {
    /// Whether there is room for one more. A job larger than the whole quota is admitted when nothing else is in flight:
    /// it has to run some time.
    fn has_room(&self, size: u64) -> bool {
        let Load { jobs, bytes } = self.load;
        jobs == 0 || (jobs < self.tenant.max_jobs && bytes.saturating_add(size) <= self.tenant.max_bytes)
    }
}

/// The jobs to put into the queues now, in this order.
pub fn order<'a>(shares: impl IntoIterator<Item = &'a Share>) -> Vec<JobId> {
    let mut open: VecDeque<_> =
        shares.into_iter().map(|share| (share.clone(), share.waiting.iter(), 0_u64)).collect();
    let mut chosen = Vec::new();
    while let Some((mut share, mut waiting, mut deficit)) = open.pop_front() {
        deficit = deficit.saturating_add(QUANTUM * u64::from(share.tenant.weight.clamp(1, 1000)));
        let ended = loop {
            let Some(next) = waiting.clone().next() else { break true };
            if !share.has_room(next.size) {
                break true;
            }
            // A large file costs its bytes, an empty one still a turn's smallest part.
            let cost = next.size.max(1 << 20);
            if cost > deficit {
                break false;
            }
            deficit -= cost;
            share.load.jobs += 1;
            share.load.bytes = share.load.bytes.saturating_add(next.size);
            chosen.push(next.job);
            waiting.next();
        };
        if !ended {
            open.push_back((share, waiting, deficit));
        }
    }
    chosen
}

/// Whether a route may be saved: it stays within its tenant's places, and ties with no other.
///
/// # Errors
/// Every fault, each with its path.
pub fn admit_route(route: &Route, tenant: &Tenant, table: &RouteTable) -> Result<(), Vec<String>> {
    let mut faults = tenant.admit(route).err().unwrap_or_default();
    faults.extend(table.admit(route).err().map(|tie| tie.to_string()));
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

#[cfg(test)]
mod tests {
    use eft_domain::{Arrival, RouteId};

    use super::*;

    fn share(name: &str, weight: u32, sizes: &[u64]) -> Share {
        let route: RouteId = name.parse().unwrap();
        let waiting = sizes.iter().enumerate().map(|(at, size)| JobSize {
            job: JobId::of(
                &route,
                &Arrival { bucket: "b".into(), key: at.to_string(), version_id: "v".into() },
            ),
            size: *size,
        });
        let tenant = Tenant { weight, ..Tenant::new(name.parse().unwrap()) };
        Share { tenant, waiting: waiting.collect(), load: Load::default() }
    }

    fn whose(shares: &[Share]) -> String {
        let name = |id: &JobId| {
            shares
                .iter()
                .find(|share| share.waiting.iter().any(|job| job.job == *id))
                .unwrap()
                .tenant
                .id
                .as_str()
        };
        order(shares).iter().map(name).collect()
    }

    #[test]
    fn bytes_are_shared_and_not_jobs() {
        let mib = 1 << 20;
        let shares = [share("a", 1, &[100 * mib; 3]), share("b", 1, &[50 * mib; 6])];
        assert_eq!(whose(&shares), "abbabbabb");
        let shares = [share("a", 2, &[100 * mib; 4]), share("b", 1, &[100 * mib; 2])];
        assert_eq!(whose(&shares), "aabaab");
    }

    #[test]
    fn a_file_larger_than_a_turn_waits_for_its_turns_and_not_for_ever() {
        let mib = 1 << 20;
        let shares = [share("a", 1, &[1_000 * mib]), share("b", 1, &[100 * mib; 12])];
        assert_eq!(whose(&shares), "bbbbbbbbbabbb");
    }

    #[test]
    fn nobody_puts_in_more_than_his_quota() {
        let mut greedy = share("a", 1, &[1; 90]);
        greedy.tenant.max_jobs = 10;
        greedy.load = Load { jobs: 4, bytes: 4 };
        assert_eq!(order(&[greedy.clone()]).len(), 6);
        greedy.tenant.max_jobs = 1000;
        greedy.tenant.max_bytes = 9;
        assert_eq!(order(&[greedy]).len(), 5);
        let mut huge = share("a", 1, &[1 << 45, 1]);
        huge.tenant.max_bytes = 1 << 30;
        assert_eq!(order(&[huge]).len(), 1, "it has to run some time, alone");
    }

    #[test]
    fn the_order_within_a_tenant_is_kept() {
        let one = share("a", 1, &[5 << 30, 1, 2]);
        let expected: Vec<_> = one.waiting.iter().map(|waiting| waiting.job).collect();
        assert_eq!(order(&[one]), expected);
    }
}
