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

/// A cluster of the list, by the seed.
fn cluster(seed: u64) -> Profile {
    let (members, policy) = CLUSTERS[seed as usize % CLUSTERS.len()].clone();
    harsh(members, policy)
}

/// Runs `seeds` seeds, or those that the environment asks for, and shows each world at its
/// end; gives how many they were.
fn each_seed(seeds: u64, profile: fn(u64) -> Profile, mut look: impl FnMut(&World)) -> u64 {
    let number = |name: &str, otherwise: u64| {
        std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
    };
    let (from, seeds) = (number("SIMULATION_FROM", 0), number("SIMULATION_SEEDS", seeds));
    let mut acknowledged = 0;
    for seed in from..from + seeds {
        match World::run(seed, profile(seed)) {
            Ok(world) => {
                acknowledged += world.acknowledged.len();
                look(&world);
            }
            Err((violation, trace)) => panic!(
                "{}\nseed {seed}, {:?}: {violation}\nagain: scripts/soak 1 {seed}",
                trace.join("\n"),
                profile(seed)
            ),
        }
    }
    assert!(acknowledged > 50 * seeds as usize, "hardly anything was acknowledged: {acknowledged}");
    seeds
}

fn profile(seed: u64) -> Profile {
    Profile { fault_ms: 1500, ..cluster(seed) }
}

#[test]
fn nothing_is_violated_whatever_happens() {
    each_seed(200, profile, |_| {});
}

/// Members join and leave while everything else goes wrong.
#[test]
fn nothing_is_violated_while_members_change() {
    let profile = |seed| Profile { spares: 2, fault_ms: 1000, ..cluster(seed) };
    let mut changes = 0;
    let seeds = each_seed(100, profile, |world| {
        changes += world.monitor_state.as_ref().map_or(0, |state| state.configuration.version);
    });
    assert!(changes > 2 * seeds, "members hardly changed: {changes}");
}

/// One of two monitors acts, pauses for longer than its key lives, and wakes; members
/// change in every other run.
#[test]
fn nothing_is_violated_under_two_monitors() {
    let profile = |seed| {
        let spares = if seed % 2 == 0 { 2 } else { 0 };
        Profile { monitors: 2, spares, fault_ms: 1000, ..cluster(seed) }
    };
    let mut acted = 0;
    let seeds = each_seed(60, profile, |world| acted += world.incarnation / 1000);
    assert!(acted > 2 * seeds, "hardly ever did another monitor act: {acted}");
}

/// The longest-serving is to lead, and fetches the tail that it lacks first.
#[test]
fn nothing_is_violated_where_seniority_chooses() {
    let profile = |seed| Profile { choose: Choice::Seniority, fault_ms: 800, ..cluster(seed) };
    let mut fetched = 0;
    let seeds = each_seed(100, profile, |world| fetched += world.fetched as u64);
    assert!(fetched > seeds / 5, "hardly any tail was fetched: {fetched}");
}

/// Every follower follows by way of another one, where that follows the leader itself.
#[test]
fn nothing_is_violated_while_followers_follow_followers() {
    let profile = |seed| {
        let spares = if seed % 3 == 0 { 2 } else { 0 };
        Profile { cascade: true, spares, fault_ms: 1000, ..cluster(seed) }
    };
    let mut relayed = 0;
    let seeds = each_seed(100, profile, |world| relayed += world.relayed as u64);
    assert!(relayed > 20 * seeds, "hardly ever did a follower follow another: {relayed}");
}

#[test]
fn a_seed_run_twice_gives_the_same_history() {
    for seed in 0..7 {
        let [first, second] = [(); 2].map(|()| match World::run(seed, profile(seed)) {
            Ok(world) => world.trace,
            Err((_, trace)) => trace,
        });
        assert_eq!(first, second);
    }
}
