//! Seeds: nothing is violated, whatever happens.
use super::*;

const CLUSTERS: &[(usize, Policy)] = &[
    (3, Policy::Any(1)),
    (5, Policy::Quorum),
    (2, Policy::Any(1)),
    (5, Policy::Any(3)),
    (3, Policy::Async),
    (4, Policy::Any(1)),
    (1, Policy::Async),
];

fn profile(cluster: usize) -> Profile {
    let (members, policy) = CLUSTERS[cluster % CLUSTERS.len()].clone();
    Profile { fault_ms: 1500, ..harsh(members, policy) }
}

#[test]
fn nothing_is_violated_whatever_happens() {
    let number = |name: &str, otherwise: u64| {
        std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
    };
    let (from, seeds) = (number("SIMULATION_FROM", 0), number("SIMULATION_SEEDS", 200));
    let mut acknowledged = 0;
    for seed in from..from + seeds {
        match World::run(seed, profile(seed as usize)) {
            Ok(world) => acknowledged += world.acknowledged.len(),
            Err((violation, trace)) => panic!(
                "{}\nseed {seed}, {:?}: {violation}\nagain: scripts/soak 1 {seed}",
                trace.join("\n"),
                profile(seed as usize)
            ),
        }
    }
    assert!(acknowledged > 50 * seeds as usize, "hardly anything was acknowledged: {acknowledged}");
}

/// Members join and leave while everything else goes wrong.
fn with_changes(cluster: usize) -> Profile {
    let (members, policy) = CLUSTERS[cluster % CLUSTERS.len()].clone();
    Profile { spares: 2, fault_ms: 1000, ..harsh(members, policy) }
}

#[test]
fn nothing_is_violated_while_members_change() {
    let number = |name: &str, otherwise: u64| {
        std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
    };
    let (from, seeds) = (number("SIMULATION_FROM", 0), number("SIMULATION_SEEDS", 100));
    let (mut acknowledged, mut changes) = (0, 0);
    for seed in from..from + seeds {
        match World::run(seed, with_changes(seed as usize)) {
            Ok(world) => {
                acknowledged += world.acknowledged.len();
                changes += world.monitor_state.map_or(0, |state| state.configuration.version);
            }
            Err((violation, trace)) => panic!(
                "{}\nseed {seed}, {:?}: {violation}\nagain: scripts/soak 1 {seed}",
                trace.join("\n"),
                with_changes(seed as usize)
            ),
        }
    }
    assert!(acknowledged > 50 * seeds as usize, "hardly anything was acknowledged: {acknowledged}");
    assert!(changes > 2 * seeds, "members hardly changed: {changes}");
}

#[test]
fn a_seed_run_twice_gives_the_same_history() {
    for seed in 0..7 {
        let [first, second] = [(); 2].map(|()| match World::run(seed, profile(seed as usize)) {
            Ok(world) => world.trace,
            Err((_, trace)) => trace,
        });
        assert_eq!(first, second);
    }
}
