//! Membership: joining, leaving, expiring, and what a generation is good for.

use std::collections::BTreeSet;
use std::time::Duration;

use millstream_engine::{ConsumerConfig, Engine, Error, ErrorKind, Member, OnError};

use crate::fixture::{Fixture, MIB, NO_WAIT, NOTHING, SECOND, at, manual, numbers, polled, who};

fn partitions(member: &Member) -> Vec<u32> {
    member.assignment().iter().map(|at| at.partition).collect()
}

fn group_state(engine: &Engine) -> &'static str {
    engine.groups(&who()).expect("groups are listed").first().expect("there is a group").state
}

#[test]
fn a_second_member_takes_half_and_gives_it_back() {
    let fixture = Fixture::new();
    fixture.table("t", 4);
    let first = fixture.join(manual("g"), &["t"]);
    let alone = first.generation();
    assert_eq!(partitions(&first), [0, 1, 2, 3]);
    let second = fixture.join(manual("g"), &["t"]);
    assert!(first.heartbeat().expect("it is a member"), "the assignment has changed");
    assert!(first.generation() > alone);
    assert!(first.heartbeat().expect("it is a member"), "to look at the generation takes nothing up");
    assert_eq!(first.acknowledge(), first.generation());
    assert!(!first.heartbeat().expect("it is a member"));
    assert_eq!(first.acknowledge(), second.acknowledge());
    assert_eq!((partitions(&first), partitions(&second)), (vec![0, 1], vec![2, 3]));
    assert_eq!(group_state(&fixture.engine), "stable");
    second.leave().expect("it leaves");
    assert_eq!(group_state(&fixture.engine), "rebalancing");
    assert_eq!(partitions(&first), [0, 1, 2, 3]);
    first.acknowledge();
    assert_eq!(group_state(&fixture.engine), "stable");
    drop(first);
    assert_eq!(group_state(&fixture.engine), "empty");
}

#[test]
fn listings_name_members_and_what_they_have() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 2);
    fixture.topic("even", &table, "even", OnError::Stop);
    let member = fixture.join(manual("g"), &["t", "even"]);
    let groups = fixture.engine.groups(&who()).expect("groups are listed");
    let [group] = groups.as_slice() else { panic!("one group: {groups:?}") };
    let [info] = group.members.as_slice() else { panic!("one member: {group:?}") };
    assert_eq!((group.group_id.as_str(), group.generation), ("g", member.generation()));
    assert_eq!((info.member_id.as_str(), info.client_id.as_str()), (member.id(), "c"));
    assert_eq!(info.topics, ["even", "t"]);
    let all = [("even", 0), ("even", 1), ("t", 0), ("t", 1)].map(|(topic, partition)| (topic.to_owned(), partition));
    assert_eq!(info.assignment, all);
}

#[test]
fn a_moved_partition_starts_at_the_committed_offset() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 2);
    fixture.append(&table, 0, 0..10);
    fixture.append(&table, 1, 10..20);
    let first = fixture.join(manual("g"), &["t"]);
    let topic = first.topics().first().cloned().expect("it has a topic");
    assert_eq!(polled(&first).len(), 20);
    // Not waited for: whether it is taken or comes too late, the new owner has to wait for its answer.
    let commit = first.commit(&[(at(&topic, 1), 4)]).expect("it is queued");
    let second = fixture.join(manual("g"), &["t"]);
    let rows = polled(&second);
    let committed = if commit.wait().is_ok() { 4 } else { 0 };
    assert_eq!(rows, (10 + committed..20).collect::<Vec<_>>());
    let late = first.commit(&[(at(&topic, 0), 10)]).expect_err("the generation has moved on");
    assert_eq!(late.kind(), ErrorKind::Fenced, "{late}");
    assert_eq!(polled(&first), NOTHING, "what it kept goes on where it was");
    first.commit(&[(at(&topic, 0), 10)]).expect("it is queued").wait().expect("it commits");
    let stolen = first.commit(&[(at(&topic, 1), 10)]).expect_err("it is not assigned");
    assert_eq!(stolen.kind(), ErrorKind::Fenced, "{stolen}");
    assert_eq!(fixture.committed("g").into_values().collect::<Vec<_>>(), [10, u64::try_from(committed).expect("few")]);
}

#[test]
fn commits_of_a_named_generation_are_fenced_by_the_next() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 2);
    fixture.append(&table, 0, 0..10);
    let first = fixture.join(manual("g"), &["t"]);
    let topic = first.topics().first().cloned().expect("it has a topic");
    let before = first.acknowledge();
    first.commit_as_of(before, &[(at(&topic, 0), 5)]).expect("it is queued").wait().expect("it commits");
    let second = fixture.join(manual("g"), &["t"]);
    first.acknowledge();
    assert!(matches!(first.commit_as_of(before, &[(at(&topic, 0), 9)]), Err(Error::Fenced(_))));
    second.leave().expect("it leaves");
    assert!(matches!(first.commit_as_of(before, &[(at(&topic, 0), 9)]), Err(Error::Fenced(_))));
    assert_eq!(fixture.committed("g").get(&0), Some(&5));
}

#[test]
fn a_silent_member_expires_and_is_fenced() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 2);
    fixture.append(&table, 0, 0..3);
    let silent = fixture.join(manual("g"), &["t"]);
    let lively = fixture.join(manual("g"), &["t"]);
    let topic = silent.topics().first().cloned().expect("it has a topic");
    assert_eq!(polled(&silent), [0, 1, 2]);
    for _ in 0..3 {
        fixture.clock.advance(SECOND * 5);
        lively.heartbeat().expect("it is a member");
    }
    assert_eq!(partitions(&lively), [0, 1]);
    let error = silent.commit(&[(at(&topic, 0), 3)]).expect_err("it has expired");
    assert_eq!(error.kind(), ErrorKind::Fenced);
    assert!(error.to_string().contains("session timed out"), "{error}");
    for error in [silent.heartbeat().err(), silent.poll(MIB, NO_WAIT).err(), silent.offsets().err()] {
        assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::Fenced));
    }
    assert_eq!((silent.generation(), silent.assignment()), (0, Vec::new()));
    assert_eq!(polled(&lively), [0, 1, 2], "its uncommitted rows come again");
}

#[test]
fn heartbeats_do_not_make_up_for_polls() {
    let fixture = Fixture::new();
    fixture.table("t", 1);
    let config = ConsumerConfig { max_poll_interval: SECOND * 20, ..manual("g") };
    let member = fixture.join(config, &["t"]);
    for second in 0..60 {
        fixture.clock.advance(SECOND);
        if second % 10 == 0 && second < 30 {
            member.polled().expect("it is a member");
        }
        if second >= 20 + 20 {
            let error = member.heartbeat().expect_err("it did not poll");
            assert!(error.to_string().contains("max.poll.interval.ms"), "{error}");
            return;
        }
        member.heartbeat().expect("it is a member");
    }
}

#[test]
fn a_waiting_member_does_not_expire() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 1);
    let member = fixture.join(manual("g"), &["t"]);
    std::thread::scope(|scope| {
        let rows =
            scope.spawn(|| member.poll(MIB, Duration::from_secs(60)).map(|all| all.iter().flat_map(numbers).count()));
        // A poll takes the assignment up when it begins.
        while group_state(&fixture.engine) != "stable" {
            std::thread::yield_now();
        }
        for _ in 0..20 {
            fixture.clock.advance(SECOND * 5);
            let _ = fixture.engine.groups(&who());
        }
        fixture.append(&table, 0, 0..3);
        assert_eq!(rows.join().expect("it does not panic").ok(), Some(3));
    });
}

#[test]
fn partitions_added_later_are_assigned_and_start_at_the_beginning() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 1);
    fixture.append(&table, 0, 0..3);
    let latest = ConsumerConfig { auto_offset_reset: millstream_engine::AutoOffsetReset::Latest, ..manual("g") };
    let member = fixture.join(latest, &["t"]);
    assert_eq!(polled(&member), NOTHING);
    let generation = member.acknowledge();
    let table = fixture.engine.set_partitions(&who(), "public", "t", 2).expect("it grows");
    fixture.append(&table, 1, 10..13);
    assert!(member.heartbeat().expect("it is a member"));
    assert!(member.generation() > generation);
    assert_eq!(partitions(&member), [0, 1]);
    assert_eq!(polled(&member), [10, 11, 12]);
}

#[test]
fn dropping_topics_takes_them_from_members() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 1);
    fixture.topic("even", &table, "even", OnError::Stop);
    let both = fixture.join(manual("g"), &["t", "even"]);
    let one = fixture.join(manual("h"), &["even"]);
    let refused = fixture.engine.drop_topic(&who(), "public", "even", false).expect_err("it is in use");
    assert!(matches!(refused, Error::InUse { .. }), "{refused}");
    fixture.engine.drop_topic(&who(), "public", "even", true).expect("it is dropped");
    assert_eq!(both.topics().iter().map(|topic| topic.name.clone()).collect::<Vec<_>>(), ["t"]);
    let error = one.heartbeat().expect_err("it has no topic left");
    assert!(error.to_string().contains("dropped"), "{error}");
    both.leave().expect("it leaves");
}

#[test]
fn a_restart_fences_and_resumes_at_the_committed_offsets() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 1);
    fixture.append(&table, 0, 0..10);
    let member = fixture.join(manual("g"), &["t"]);
    let topic = member.topics().first().cloned().expect("it has a topic");
    let before = member.acknowledge();
    member.commit(&[(at(&topic, 0), 6)]).expect("it is queued").wait().expect("it commits");
    drop(member);
    let fixture = fixture.reopen();
    let member = fixture.join(manual("g"), &["t"]);
    assert!(member.generation() > before, "{} follows {before}", member.generation());
    assert!(matches!(member.commit_as_of(before, &[(at(&topic, 0), 9)]), Err(Error::Fenced(_))));
    assert_eq!(polled(&member), [6, 7, 8, 9]);
}

#[test]
fn calls_after_closing_say_so() {
    let fixture = Fixture::new();
    fixture.table("t", 1);
    let member = fixture.join(manual("g"), &["t"]);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| member.poll(MIB, Duration::from_secs(60)));
        fixture.engine.close().expect("it closes");
        let answer = waiting.join().expect("it does not panic");
        assert!(answer.as_ref().is_err_and(|error| matches!(error, Error::Closed)), "{answer:?}");
    });
    assert!(matches!(member.heartbeat(), Err(Error::Closed)));
    assert!(matches!(fixture.try_join(manual("h"), &["t"]), Err(Error::Closed)));
}

#[test]
fn what_can_not_be_joined() {
    let fixture = Fixture::with(|options| options.max_groups_per_topic = 2);
    fixture.table("t", 1);
    fixture.table("u", 1);
    let error = |config, topics: &[&str]| fixture.try_join(config, topics).map(drop).expect_err("it is refused");
    assert_eq!(error(manual(""), &["t"]).to_string(), "group.id must have 1 to 192 bytes, it has 0");
    assert_eq!(error(manual("g"), &[]).kind(), ErrorKind::InvalidInput);
    assert_eq!(error(manual("g"), &["nowhere"]).to_string(), "topic \"nowhere\" does not exist");
    assert_eq!(fixture.engine.groups(&who()).expect("they are listed"), []);
    let members = [fixture.join(manual("a"), &["t"]), fixture.join(manual("b"), &["t"])];
    let full = error(manual("c"), &["t"]);
    assert!(full.to_string().contains("max_groups_per_topic"), "{full}");
    fixture.join(manual("c"), &["u"]).leave().expect("it leaves");
    fixture.join(manual("a"), &["t"]).leave().expect("more members are no more groups");
    drop(members);
    assert_eq!(error(manual("c"), &["t"]).kind(), ErrorKind::FailedPrecondition, "offsets keep their place");
    fixture.engine.drop_group(&who(), "public", "a", false).expect("it is dropped");
    fixture.join(manual("c"), &["t"]).leave().expect("there is room again");
}

#[test]
fn groups_that_begin_at_once_have_all_the_places_there_are() {
    const GROUPS: usize = 32;
    let fixture = Fixture::with(|options| options.max_groups_per_topic = GROUPS);
    for round in 0..10 {
        let topic = format!("t{round}");
        fixture.table(&topic, 1);
        std::thread::scope(|scope| {
            for group in 0..GROUPS {
                let (fixture, topic) = (&fixture, topic.as_str());
                scope.spawn(move || {
                    fixture.join(manual(&format!("g{round}-{group}")), &[topic]).leave().expect("it leaves")
                });
            }
        });
        let full = fixture.try_join(manual("more"), &[&topic]).map(drop).expect_err("it is refused");
        assert!(full.to_string().contains("has 32 consumer groups"), "{full}");
    }
}

#[test]
fn members_of_many_groups_are_told_apart() {
    let fixture = Fixture::with(|options| options.max_groups_per_topic = 1_000);
    let table = fixture.table("t", 1);
    let members: Vec<Member> = (0..200).map(|group| fixture.join(manual(&format!("g{group}")), &["t"])).collect();
    fixture.append(&table, 0, 0..3);
    assert!(members.iter().all(|member| polled(member) == [0, 1, 2]));
    let ids: BTreeSet<&str> = members.iter().map(Member::id).collect();
    let generations: BTreeSet<u64> = members.iter().map(Member::generation).collect();
    assert_eq!((ids.len(), generations.len()), (200, 200));
    fixture.clock.advance(SECOND * 60);
    assert_eq!(
        fixture.engine.groups(&who()).expect("they are listed").iter().flat_map(|group| &group.members).count(),
        0
    );
    let stats = fixture.engine.stats(&who()).unwrap();
    assert_eq!((stats.groups, stats.members), (200, 0));
}
