//! The rooms of the host have an order: none needs, through others, what needs it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// What each room of `src` names of the others, tests left out.
fn uses() -> BTreeMap<String, BTreeSet<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut pending = vec![root.clone()];
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(&dir).expect("a readable folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                pending.push(path);
            } else if name.ends_with(".rs") && !["lib.rs", "tests.rs", "fuzz.rs"].contains(&name.as_str()) {
                let text = fs::read_to_string(&path).expect("a readable file");
                let code = text.split("#[cfg(test)]").next().unwrap_or_default();
                let place = path.strip_prefix(&root).expect("below the root").to_string_lossy().into_owned();
                let module = place.split(['/', '.']).next().unwrap_or_default().to_owned();
                let named = code.split("crate::").skip(1);
                let named = named.filter_map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next());
                found.entry(module).or_default().extend(named.map(str::to_owned));
            }
        }
    }
    let known: BTreeSet<String> = found.keys().cloned().collect();
    for (module, used) in &mut found {
        used.retain(|name| name != module && known.contains(name));
    }
    found
}

#[test]
fn no_room_of_the_host_needs_what_needs_it() {
    let mut left = uses();
    assert!(left.len() > 10, "only {} rooms were found", left.len());
    // Whoever needs nobody that is left goes; a circle stays.
    while let Some(free) = left.iter().find(|(_, used)| used.is_empty()).map(|(module, _)| module.clone()) {
        left.remove(&free);
        left.values_mut().for_each(|used| used.retain(|name| *name != free));
    }
    assert!(left.is_empty(), "these stand in circles, or need those that do: {left:?}");
}
