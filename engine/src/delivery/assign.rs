//! Who owns which partition: balanced in each topic, sticky, and the same for the same input.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Assignment, PartitionId, TopicId};

/// A member's number within the engine; rises with every join.
pub(super) type MemberNumber = u64;

/// Shares out every partition of every topic among the topic's subscribers: in a topic nobody owns two more than another
/// does. Whose turn it is for the one more goes by what he has of the topics before, then to him who has the
/// most of this topic already, so that many topics of one partition are spread as well. Owners keep what they may keep.
pub(super) fn assign(
    topics: &BTreeMap<TopicId, PartitionId>,
    members: &BTreeMap<MemberNumber, BTreeSet<TopicId>>,
    owners: &BTreeMap<Assignment, MemberNumber>,
) -> BTreeMap<Assignment, MemberNumber> {
    let mut assigned = BTreeMap::new();
    let mut loads: BTreeMap<MemberNumber, u64> = members.keys().map(|member| (*member, 0)).collect();
    for (&topic, &partitions) in topics {
        let subscribers: Vec<MemberNumber> =
            members.iter().filter(|(_, topics)| topics.contains(&topic)).map(|(member, _)| *member).collect();
        if subscribers.is_empty() {
            continue;
        }
        let owner = |partition| owners.get(&Assignment { topic, partition }).copied();
        let mut quotas = quotas(partitions, &subscribers, &loads, &owner);
        for (member, quota) in &quotas {
            *loads.entry(*member).or_default() += u64::from(*quota);
        }
        let mut free = Vec::new();
        for partition in 0..partitions {
            match owner(partition).and_then(|member| Some((member, quotas.get_mut(&member)?))) {
                Some((member, quota)) if *quota > 0 => {
                    *quota -= 1;
                    assigned.insert(Assignment { topic, partition }, member);
                }
                _ => free.push(partition),
            }
        }
        let open = quotas.iter().flat_map(|(member, quota)| (0..*quota).map(|_| *member));
        for (partition, member) in free.into_iter().zip(open) {
            assigned.insert(Assignment { topic, partition }, member);
        }
    }
    assigned
}

/// How many partitions of one topic each subscriber gets.
fn quotas(
    partitions: PartitionId,
    subscribers: &[MemberNumber],
    loads: &BTreeMap<MemberNumber, u64>,
    owner: &impl Fn(PartitionId) -> Option<MemberNumber>,
) -> BTreeMap<MemberNumber, PartitionId> {
    let count = PartitionId::try_from(subscribers.len()).unwrap_or(PartitionId::MAX);
    let (each, over) = (partitions / count, partitions % count);
    let mut held: BTreeMap<MemberNumber, PartitionId> = subscribers.iter().map(|member| (*member, 0)).collect();
    for member in (0..partitions).filter_map(owner) {
        if let Some(held) = held.get_mut(&member) {
            *held += 1;
        }
    }
    let mut turn: Vec<MemberNumber> = subscribers.to_vec();
    turn.sort_by_key(|member| {
        let load = loads.get(member).copied().unwrap_or(0);
        let held = held.get(member).copied().unwrap_or(0);
        (load, std::cmp::Reverse(held), *member)
    });
    let over = usize::try_from(over).unwrap_or(usize::MAX);
    turn.into_iter().enumerate().map(|(place, member)| (member, each + PartitionId::from(place < over))).collect()
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    type Owners = BTreeMap<Assignment, MemberNumber>;

    fn check(topics: &[PartitionId], members: &[MemberNumber], before: &Owners, most_moves: usize) -> Owners {
        let topics: BTreeMap<_, _> = (1..).map(TopicId).zip(topics.iter().copied()).collect();
        let members = members.iter().map(|member| (*member, topics.keys().copied().collect())).collect();
        let after = assign(&topics, &members, before);
        let moved = before.iter().filter(|(at, member)| after.get(at).is_some_and(|owner| owner != *member)).count();
        assert!(moved <= most_moves, "{moved} partitions moved from {before:?} to {after:?}");
        after
    }

    fn counts(owners: &Owners) -> Vec<usize> {
        let mut counts = BTreeMap::new();
        for member in owners.values() {
            *counts.entry(*member).or_insert(0) += 1;
        }
        counts.into_values().collect()
    }

    #[test]
    fn a_topic_is_shared_evenly_and_moves_little() {
        let one = check(&[6], &[1], &Owners::new(), 0);
        let two = check(&[6], &[1, 2], &one, 3);
        assert_eq!(counts(&two), [3, 3]);
        let three = check(&[6], &[1, 2, 3], &two, 2);
        assert_eq!(counts(&three), [2, 2, 2]);
        let left = check(&[6], &[1, 3], &three, 2);
        assert_eq!(counts(&left), [3, 3]);
        let grown = check(&[7], &[1, 3], &left, 0);
        assert_eq!(counts(&grown), [4, 3]);
    }

    #[test]
    fn more_members_than_partitions_leave_some_idle() {
        let two = check(&[2], &[1, 2, 3], &Owners::new(), 0);
        assert_eq!(counts(&two), [1, 1]);
        assert_eq!(check(&[2], &[1, 2, 3], &two, 0), two);
    }

    #[test]
    fn many_topics_of_one_partition_are_spread() {
        let one = check(&[1; 10], &[1], &Owners::new(), 0);
        let two = check(&[1; 10], &[1, 2], &one, 5);
        assert_eq!(counts(&two), [5, 5]);
        assert_eq!(check(&[1; 10], &[1, 2], &two, 0), two);
    }

    #[test]
    fn random_members_and_subscriptions() {
        let seed: u64 = rand::random();
        eprintln!("seed {seed}");
        let mut random = StdRng::seed_from_u64(seed);
        for _ in 0..300 {
            let topics: BTreeMap<TopicId, u32> =
                (0..random.random_range(1..5)).map(|topic| (TopicId(topic), random.random_range(1..12))).collect();
            let mut owners = Owners::new();
            for _ in 0..6 {
                let members: BTreeMap<MemberNumber, BTreeSet<TopicId>> = (0..random.random_range(1..6))
                    .map(|_| {
                        let subscribed = topics.keys().copied().filter(|_| random.random_bool(0.7)).collect();
                        (random.random_range(0..9), subscribed)
                    })
                    .collect();
                owners = assign(&topics, &members, &owners);
                assert_eq!(owners, assign(&topics, &members, &owners), "a second look changes nothing");
                for (topic, partitions) in &topics {
                    let mut shares: BTreeMap<MemberNumber, u32> = members
                        .iter()
                        .filter(|(_, topics)| topics.contains(topic))
                        .map(|(member, _)| (*member, 0))
                        .collect();
                    for partition in 0..*partitions {
                        match owners.get(&Assignment { topic: *topic, partition }) {
                            Some(owner) => *shares.get_mut(owner).expect("only subscribers own") += 1,
                            None => assert!(shares.is_empty(), "a partition without an owner"),
                        }
                    }
                    let (least, most) = (shares.values().min(), shares.values().max());
                    assert!(most.zip(least).is_none_or(|(most, least)| most - least <= 1), "{shares:?}");
                }
            }
        }
    }
}
