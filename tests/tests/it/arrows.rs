//! Holds the insides of crates to the arrows that ARCHITECTURE.md draws: which room of a crate may name which.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::modules::{ModulePath, Uses, circles, uses};

/// More files than this that name one another in a circle can't be read one by one.
const LARGEST_CIRCLE: usize = 3;
/// Circles that are larger: the crate, one of the files, and how many they are. They only ever get smaller.
const LARGER: &[(&str, &str, usize)] = &[];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A room, and those that it may name.
type Drawn = (String, BTreeSet<String>);

/// Each crate, or room of one, of which the page draws the rooms, with what each room may name, in the order of the page.
fn drawn() -> Vec<(String, Vec<Drawn>)> {
    let page = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let blocks = page.split("```arrows ").skip(1);
    let drawn: Vec<_> = blocks
        .map(|block| {
            let (source, rest) = block.split_once('\n').expect("the crate's sources");
            let lines = rest.lines().take_while(|line| *line != "```");
            let rooms = lines.map(|line| {
                let (room, others) = line.split_once("->").unwrap_or_else(|| panic!("no arrow in {line:?}"));
                (room.trim().to_owned(), others.split_whitespace().map(str::to_owned).collect())
            });
            (source.trim().to_owned(), rooms.collect())
        })
        .collect();
    assert!(drawn.len() >= 4, "ARCHITECTURE.md draws the rooms of {} crates", drawn.len());
    drawn
}

/// The sources of the crate, and the room that is meant of it: none where it is the crate itself.
fn crate_and_room(drawn: &str) -> (PathBuf, ModulePath) {
    let (source, room) = drawn.split_once("/src/").map_or((drawn, None), |(root, room)| (root, Some(room)));
    let source = root().join(source);
    match room {
        None => (source, ModulePath::new()),
        Some(room) => (source.join("src"), room.split('/').map(str::to_owned).collect()),
    }
}

/// The room, of those inside `within`, that a module belongs to.
fn room_of<'a>(module: &'a ModulePath, within: &[String]) -> Option<&'a String> {
    module.strip_prefix(within)?.first()
}

/// Which room names which, with an example.
fn between_rooms(uses: &Uses, within: &[String]) -> BTreeMap<(String, String), String> {
    let mut found = BTreeMap::new();
    for (from, named) in uses {
        for to in named {
            if let (Some(room), Some(other)) = (room_of(from, within), room_of(to, within))
                && room != other
            {
                let example = format!("{} names {}", from.join("/"), to.join("/"));
                found.entry((room.clone(), other.clone())).or_insert(example);
            }
        }
    }
    found
}

#[test]
fn rooms_name_only_what_the_architecture_page_allows() {
    let mut wrong = Vec::new();
    for (source, rooms) in drawn() {
        let (sources, within) = crate_and_room(&source);
        let uses = uses(&sources);
        let there: BTreeSet<&String> = uses.keys().filter_map(|path| room_of(path, &within)).collect();
        let named: BTreeSet<&String> = rooms.iter().map(|(room, _)| room).collect();
        assert_eq!(there, named, "the rooms of {source}, and those that ARCHITECTURE.md draws");
        let found = between_rooms(&uses, &within);
        for (at, (room, others)) in rooms.iter().enumerate() {
            let below: BTreeSet<&String> = rooms.iter().skip(at + 1).map(|(room, _)| room).collect();
            for other in others {
                assert!(below.contains(other), "{source}: {other} does not stand below {room} in ARCHITECTURE.md");
                if !found.contains_key(&(room.clone(), other.clone())) {
                    wrong.push(format!("{source}: {room} does not name {other} any more"));
                }
            }
        }
        let allowed: BTreeMap<&String, &BTreeSet<String>> = rooms.iter().map(|(room, others)| (room, others)).collect();
        for ((room, other), example) in found {
            if !allowed.get(&room).is_some_and(|others| others.contains(&other)) {
                wrong.push(format!("{source}: {room} must not name {other}, as {example} does"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_circle_of_files_is_large() {
    let mut wrong = Vec::new();
    // Circles of a room are among those of its crate.
    let crates = drawn().into_iter().filter(|(source, _)| crate_and_room(source).1.is_empty());
    for (source, _) in crates {
        for circle in circles(&uses(&root().join(&source))) {
            let files: Vec<String> = circle.iter().map(|path: &ModulePath| path.join("/")).collect();
            let larger = LARGER.iter().find(|(of, file, _)| *of == source && files.iter().any(|found| found == file));
            if files.len() > larger.map_or(LARGEST_CIRCLE, |(_, _, files)| *files) {
                wrong.push(format!("{source}: {} files name one another: {}", files.len(), files.join(", ")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn names_are_followed_to_the_file_that_defines_them() {
    let dir = tempfile::tempdir().expect("folder");
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().expect("folder")).expect("folder");
        std::fs::write(path, text).expect("file");
    };
    write("lib.rs", "mod above;\nmod below;\npub use below::Thing;\n");
    write("below/mod.rs", "mod deep;\nmod more;\npub(crate) use deep::{Thing, Other as Renamed};\npub use more::*;\n");
    write("below/deep.rs", "pub struct Thing;\npub struct Other;\n");
    write("below/more.rs", "pub fn make() -> super::Renamed { super::deep::Other }\n");
    write(
        "above.rs",
        "use crate::{Thing, below::make};\nuse std::fmt;\nfn f(_: fmt::Error) { crate::below::Renamed; make(); }\n\
         // crate::above::nothing\n#[cfg(test)]\nmod tests { use crate::nothing::At; }\n",
    );
    let uses = uses(dir.path());
    let path = |text: &str| text.split('/').map(str::to_owned).collect::<ModulePath>();
    let named =
        |text: &str| uses.get(&path(text)).expect("a module").iter().map(|path| path.join("/")).collect::<Vec<_>>();
    assert_eq!(named("above"), ["below/deep", "below/more"]);
    assert_eq!(named("below/more"), ["below/deep"]);
    assert!(named("below").is_empty() && named("below/deep").is_empty());
    assert!(circles(&uses).is_empty());
    write("below/deep.rs", "pub struct Thing;\npub struct Other;\nuse crate::above;\n");
    let uses = self::uses(dir.path());
    assert_eq!(circles(&uses), [BTreeSet::from([path("above"), path("below/deep"), path("below/more")])]);
}
