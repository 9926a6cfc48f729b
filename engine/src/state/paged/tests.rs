//! A paged family against a map in memory, over checkpoints that succeed and fail, with a writer that is ahead.

use std::collections::BTreeMap;
use std::ops::Bound;

use fjall::{Database, KeyspaceCreateOptions, OwnedWriteBatch};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{PageSource, Paged, PagedEntries};
use crate::model::{Error, Lsn, Result};
use crate::state::codec;
use crate::state::codec::{KeyBytes, KeyParts};

#[derive(Debug)]
struct Words;

type Key = (u64, u32);
type Model = BTreeMap<Key, String>;

impl PagedEntries for Words {
    type Key = Key;
    type Value = String;
    const TAG: u8 = b'w';

    fn key((owner, name): &Key) -> Vec<u8> {
        KeyBytes::new(Self::TAG).u64(*owner).u32(*name).done()
    }

    fn parse_key(bytes: &[u8]) -> Result<Key, String> {
        let mut parts = KeyParts::of(bytes);
        Ok((parts.u64()?, parts.u32()?))
    }

    fn value(value: &String) -> Result<Vec<u8>> {
        codec::postcard(value)
    }

    fn parse_value(bytes: &[u8]) -> Result<String, String> {
        codec::from_postcard(bytes)
    }

    fn owner((owner, _): &Key) -> u64 {
        *owner
    }

    fn first_of(owner: u64) -> Key {
        (owner, 0)
    }

    fn bytes(_key: &Key, value: Option<&String>) -> usize {
        16 + value.map_or(0, String::len)
    }
}

/// A store with nothing but these entries.
struct Disk {
    database: Database,
    entries: fjall::Keyspace,
    _dir: tempfile::TempDir,
}

impl Disk {
    fn new() -> Disk {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::builder(dir.path()).open().unwrap();
        let entries = database.keyspace("state", KeyspaceCreateOptions::default).unwrap();
        Disk { database, entries, _dir: dir }
    }

    fn source(&self) -> PageSource {
        PageSource::new("state".into(), self.entries.clone())
    }

    /// What a checkpoint under way is to write.
    fn batch(&self, paged: &Paged<Words>) -> OwnedWriteBatch {
        let mut batch = self.database.batch();
        paged
            .write(&mut |key, value| match value {
                Some(value) => batch.insert(&self.entries, key, value),
                None => batch.remove(&self.entries, key),
            })
            .unwrap();
        batch
    }
}

fn same(paged: &Paged<Words>, model: &Model) {
    let expected: Vec<_> = model.iter().map(|(key, value)| (*key, value.clone())).collect();
    assert_eq!(paged.all(), expected);
}

/// One change, the same to all that are given.
fn change(random: &mut StdRng, model: &mut Model, void: &mut Vec<u64>, views: &mut [&mut Paged<Words>]) {
    let owner = random.random_range(1..6 + void.len() as u64);
    if void.contains(&owner) {
        return;
    }
    let key = (owner, random.random_range(0..40));
    match random.random_range(0..20) {
        0 => {
            void.push(owner);
            model.retain(|(of, _), _| *of != owner);
            views.iter_mut().for_each(|view| view.make_void(owner));
        }
        1..5 => {
            model.remove(&key);
            views.iter_mut().for_each(|view| view.put(&key, None));
        }
        5..10 => {
            let value = format!("{}", random.random::<u16>());
            model.insert(key, value.clone());
            views.iter_mut().for_each(|view| view.put(&key, Some(value.clone())));
        }
        _ => {
            model.entry(key).or_default().push('x');
            let edit = |value: &mut Option<String>| value.get_or_insert_default().push('x');
            views.iter_mut().for_each(|view| view.edit(&key, edit).unwrap());
        }
    }
}

#[test]
fn it_is_a_map_over_checkpoints_and_ahead_of_them() {
    let first: u64 = rand::random();
    for seed in (0..6).map(|step| first.wrapping_add(step)) {
        eprintln!("seed {seed}");
        let mut random = StdRng::seed_from_u64(seed);
        let disk = Disk::new();
        let mut readers = Paged::<Words>::default();
        readers.attach(&disk.source());
        let mut writer = readers.ahead();
        let (mut decided, mut undecided, mut void) = (Model::new(), Model::new(), Vec::new());
        // What the writer has done and readers have not: they do it later, in the same order.
        let mut behind: Vec<(u64, StdRng)> = Vec::new();
        let mut readers_void = Vec::new();
        let (mut last, mut applied, mut under_way) = (0, 0, false);
        for _ in 0..400 {
            match random.random_range(0..10) {
                0..4 => {
                    last += 1;
                    let mut same_again = StdRng::seed_from_u64(random.random());
                    behind.push((last, same_again.clone()));
                    for _ in 0..5 {
                        change(&mut same_again, &mut undecided, &mut void, &mut [&mut writer]);
                    }
                    writer.end_commit(Lsn(last), Lsn(applied));
                }
                4..7 if !behind.is_empty() => {
                    let (lsn, mut again) = behind.remove(0);
                    for _ in 0..5 {
                        change(&mut again, &mut decided, &mut readers_void, &mut [&mut readers]);
                    }
                    applied = lsn;
                }
                7 if !under_way => {
                    readers.begin_checkpoint();
                    under_way = true;
                }
                8 if under_way => {
                    let written = random.random_bool(0.7);
                    let batch = disk.batch(&readers);
                    if written {
                        batch.commit().unwrap();
                    }
                    readers.end_checkpoint(written);
                    under_way = false;
                }
                _ => {
                    same(&readers, &decided);
                    same(&writer, &undecided);
                    let key = (random.random_range(1..8), random.random_range(0..40));
                    assert_eq!(readers.get(&key).unwrap(), decided.get(&key).cloned());
                    assert_eq!(writer.get(&key).unwrap(), undecided.get(&key).cloned());
                }
            }
        }
        same(&readers, &decided);
        same(&writer, &undecided);
    }
}

/// A checkpoint that ends in the midst of a look along the keys moves entries to where the look has passed: none is left out.
#[test]
fn a_scan_sees_what_a_checkpoint_moves() {
    let disk = Disk::new();
    let mut paged = Paged::<Words>::default();
    paged.attach(&disk.source());
    (0..100).for_each(|name| paged.put(&(1, name), Some(name.to_string())));
    let mut reader = paged.reader();
    let mut seen = Vec::new();
    let each = |(_, name): &Key, _: &String| {
        if *name == 50 {
            reader.begin_checkpoint();
            disk.batch(&reader).commit().unwrap();
            reader.end_checkpoint(true);
        }
        seen.push(*name);
        Ok(true)
    };
    paged.scan(Bound::Unbounded, each).unwrap();
    assert_eq!(seen, (0..100).collect::<Vec<_>>());
    assert_eq!(paged.in_memory(), 0);
}

/// What a dropped owner had is hidden at once, and removed from the store a share at a time.
#[test]
fn void_owners_are_swept() {
    let disk = Disk::new();
    let mut paged = Paged::<Words>::default();
    paged.attach(&disk.source());
    let checkpoint = |paged: &mut Paged<Words>| {
        paged.begin_checkpoint();
        disk.batch(paged).commit().unwrap();
        paged.end_checkpoint(true);
    };
    (0..40_000).for_each(|name| paged.put(&(1, name), Some(String::new())));
    paged.put(&(2, 0), Some("other".to_owned()));
    checkpoint(&mut paged);
    paged.make_void(1);
    assert_eq!(paged.all(), [((2, 0), "other".to_owned())]);
    assert_eq!(paged.get(&(1, 7)).unwrap(), None);
    let stored = || disk.entries.prefix([Words::TAG]).count();
    let mut left = vec![stored()];
    while disk.entries.prefix(b"vw").count() > 0 || left.len() == 1 {
        checkpoint(&mut paged);
        left.push(stored());
        assert_eq!(paged.all().len(), 1);
        assert!(left.len() < 10, "{left:?}");
    }
    assert_eq!(left.last(), Some(&1));
    assert!(left.len() > 3, "all at once: {left:?}");
    // As opening finds it, while it is under way.
    let mut again = Paged::<Words>::default();
    again.attach(&disk.source());
    again.restore_void(&[b"vw".as_slice(), &2_u64.to_be_bytes()].concat()).unwrap();
    assert_eq!(again.all(), []);
}

/// However often the same entries are changed, and however large they are.
#[test]
fn what_is_decided_is_not_kept_for_long_by_the_writer() {
    let mut readers = Paged::<Words>::default();
    readers.attach(&Disk::new().source());
    let mut writer = readers.ahead();
    let mut commit = |lsn: u64, names: std::ops::Range<u32>, value: &str| {
        names.clone().for_each(|name| writer.put(&(1, name), Some(value.to_owned())));
        writer.end_commit(Lsn(lsn), Lsn(lsn - 1));
        names.for_each(|name| readers.put(&(1, name), Some(value.to_owned())));
        writer.held()
    };
    for lsn in 1..=200 {
        let (changes, _) = commit(lsn, 0..500, "short");
        assert!(changes < 10_000, "{changes} after {lsn} commits");
    }
    let large = "x".repeat(256 << 10);
    for lsn in 201..=300 {
        let name = u32::try_from(lsn).unwrap();
        let (_, bytes) = commit(lsn, name..name + 1, &large);
        assert!(bytes < 4 << 20, "{bytes} after {lsn} commits");
    }
    let (key, found) = ((1, 300), Some(large));
    assert_eq!((writer.get(&key).unwrap(), readers.get(&key).unwrap()), (found.clone(), found));
}

#[test]
fn what_can_not_be_read_is_an_error() {
    let disk = Disk::new();
    let mut paged = Paged::<Words>::default();
    let source = disk.source();
    paged.attach(&source);
    disk.entries.insert(Words::key(&(1, 1)), [9]).unwrap();
    let error = paged.get(&(1, 1)).unwrap_err();
    assert!(matches!(&error, Error::Corrupt { .. }) && error.to_string().contains("version 9"), "{error}");
    assert!(paged.edit(&(1, 1), |_| ()).is_err());
    assert!(paged.scan(Bound::Unbounded, |_, _| Ok(true)).is_err());
    source.close();
    assert!(matches!(paged.get(&(1, 2)), Err(Error::Closed)));
}
