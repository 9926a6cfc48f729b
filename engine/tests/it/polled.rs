//! `poll()` and `COMMIT OFFSETS` as SQL calls them.

use std::time::Duration;

use millstream_engine::{ConsumerConfig, Delivery, Error, OnError, Result};

use crate::fixture::{Fixture, NO_WAIT, NOTHING, SECOND, manual, numbers, who};

impl Fixture {
    fn poll_as(&self, client: &str, topic: &str, rows: usize) -> Result<Vec<Delivery>> {
        let config = ConsumerConfig { client_id: client.to_owned(), ..manual("g") };
        self.engine.poll_named(&who(), config, topic, rows, NO_WAIT)
    }

    fn rows_as(&self, client: &str, topic: &str, rows: usize) -> Vec<i64> {
        self.poll_as(client, topic, rows).expect("it polls").iter().flat_map(numbers).collect()
    }

    fn commit_as(&self, client: &str, topic: &str) -> Result<Vec<(u32, u64)>> {
        self.engine.commit_polled(&who(), "public", topic, "g", client)
    }
}

#[test]
fn polls_go_on_and_commits_take_what_was_handed_out() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 1);
    fixture.append(&table, 0, 0..10);
    assert_eq!(fixture.rows_as("c", "t", 3), [0, 1, 2]);
    assert_eq!(fixture.commit_as("c", "t").expect("it commits"), [(0, 3)]);
    assert_eq!(fixture.rows_as("c", "t", 3), [3, 4, 5]);
    assert_eq!(fixture.rows_as("c", "t", 3), [6, 7, 8]);
    assert_eq!(fixture.committed("g").get(&0), Some(&3));
    assert_eq!(fixture.commit_as("c", "t").expect("it commits"), [(0, 9)]);
    assert_eq!(fixture.commit_as("c", "t").expect("nothing is left"), []);
    assert_eq!(fixture.committed("g").get(&0), Some(&9));
}

#[test]
fn a_session_that_timed_out_is_fenced_and_begins_anew_at_the_committed_offset() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 1);
    fixture.append(&table, 0, 0..10);
    assert_eq!(fixture.rows_as("c", "t", 3), [0, 1, 2]);
    fixture.clock.advance(SECOND * 13);
    let error = fixture.commit_as("c", "t").expect_err("its session is over");
    assert!(matches!(error, Error::Fenced(_)), "{error}");
    assert_eq!(fixture.rows_as("c", "t", 3), [0, 1, 2]);
    assert!(matches!(fixture.commit_as("stranger", "t"), Err(Error::Fenced(_))));
}

#[test]
fn clients_share_the_group_and_topics_are_kept_apart() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 2);
    fixture.topic("even", &table, "even", OnError::Stop);
    fixture.append(&table, 0, 0..4);
    fixture.append(&table, 1, 10..14);
    assert_eq!(fixture.rows_as("one", "t", 100).len(), 8);
    assert_eq!(fixture.rows_as("two", "t", 100), [10, 11, 12, 13], "it was given a partition, nothing of it committed");
    assert!(matches!(fixture.commit_as("one", "t"), Err(Error::Fenced(_))), "the group was rebalanced since");
    assert_eq!(fixture.rows_as("one", "t", 100), NOTHING);
    assert_eq!(fixture.commit_as("one", "t").expect("it commits what it has kept"), [(0, 4)]);
    assert_eq!(fixture.commit_as("two", "t").expect("it commits"), [(1, 4)]);
    assert_eq!(fixture.rows_as("one", "even", 100), [0, 2, 10, 12]);
    assert_eq!(fixture.commit_as("one", "t").expect("it has nothing of that topic"), []);
    assert_eq!(fixture.commit_as("one", "even").expect("it commits"), [(0, 4), (1, 4)]);
}

#[test]
fn a_poll_waits_and_bad_ones_are_refused() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 1);
    assert!(matches!(fixture.poll_as("c", "t", 0), Err(Error::InvalidInput(_))));
    assert!(matches!(fixture.poll_as("c", "nowhere", 1), Err(Error::NotFound { .. })));
    std::thread::scope(|scope| {
        let rows = scope.spawn(|| {
            let wait = Duration::from_secs(60);
            let config =
                ConsumerConfig { auto_offset_reset: millstream_engine::AutoOffsetReset::Earliest, ..manual("w") };
            fixture.engine.poll_named(&who(), config, "t", 10, wait).map(|all| all.iter().flat_map(numbers).count())
        });
        fixture.append(&table, 0, 0..3);
        assert_eq!(rows.join().expect("it does not panic").ok(), Some(3));
    });
}

#[test]
fn a_poll_in_steps_holds_no_thread_while_it_waits() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 1);
    let config = ConsumerConfig { auto_offset_reset: millstream_engine::AutoOffsetReset::Earliest, ..manual("w") };
    let wait = Duration::from_secs(60);
    let mut poll = fixture.engine.begin_poll_named(&who(), config, "t", 10, wait).expect("it begins");
    let mut waits = poll.step().expect("there are no rows yet");
    assert!(waits.longest <= wait);
    fixture.append(&table, 0, 0..3);
    futures::executor::block_on(waits.changed());
    // The rows that are there are what it waited for.
    assert!(poll.step().is_none());
    let rows: Vec<i64> = poll.finish().expect("it polls").iter().flat_map(numbers).collect();
    assert_eq!(rows, [0, 1, 2]);
}
