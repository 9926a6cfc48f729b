use super::*;

const MODULE: Digest = [7; 32];

fn cache(dir: &Path) -> Cache {
    Cache::open(dir, "settings".to_owned(), 1 << 20).unwrap_or_else(|e| panic!("{e}"))
}

fn only_file(dir: &Path) -> PathBuf {
    let mut files: Vec<PathBuf> = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == EXTENSION));
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}

#[test]
fn code_is_found_by_another_opening_and_under_its_own_settings_only() {
    let dir = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(cache(dir.path()).load(&MODULE), CacheLookup::Nothing);
    cache(dir.path()).store(&MODULE, b"code");
    assert_eq!(cache(dir.path()).load(&MODULE), CacheLookup::Code(b"code".to_vec()));
    assert_eq!(cache(dir.path()).load(&[8; 32]), CacheLookup::Nothing);
    let other = Cache::open(dir.path(), "other settings".to_owned(), 1 << 20).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(other.load(&MODULE), CacheLookup::Nothing);
}

#[test]
fn a_file_changed_in_any_byte_or_cut_anywhere_is_refused() {
    let dir = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let cache = cache(dir.path());
    cache.store(&MODULE, b"code");
    let path = only_file(dir.path());
    let whole = fs::read(&path).unwrap_or_else(|e| panic!("{e}"));
    let refused = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap_or_else(|e| panic!("{e}"));
        matches!(cache.load(&MODULE), CacheLookup::Refused(_))
    };
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 0x10;
        assert!(refused(&changed), "byte {at} is not covered");
        assert!(refused(&whole[..at]), "a file of {at} bytes is taken");
    }
    assert!(!refused(&whole));
}

#[test]
fn a_file_does_not_stand_for_another_module() {
    let dir = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let cache = cache(dir.path());
    cache.store(&MODULE, b"code");
    let moved = cache.path(&cache.name(&[9; 32]));
    fs::copy(only_file(dir.path()), moved).unwrap_or_else(|e| panic!("{e}"));
    assert!(matches!(cache.load(&[9; 32]), CacheLookup::Refused(_)));
}

#[test]
fn a_key_that_others_can_read_is_replaced() {
    let dir = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    cache(dir.path()).store(&MODULE, b"code");
    let key = dir.path().join("key");
    let mode = |path: &Path| fs::metadata(path).map(|m| m.mode() & 0o777).unwrap_or_default();
    assert_eq!(mode(&key), 0o600);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap_or_else(|e| panic!("{e}"));
    assert!(matches!(cache(dir.path()).load(&MODULE), CacheLookup::Refused(_)));
    assert_eq!(mode(&key), 0o600);
}

#[test]
fn a_directory_that_others_can_write_is_closed_and_its_key_replaced() {
    let dir = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    cache(dir.path()).store(&MODULE, b"code");
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o770)).unwrap_or_else(|e| panic!("{e}"));
    assert!(matches!(cache(dir.path()).load(&MODULE), CacheLookup::Refused(_)));
    assert_eq!(fs::metadata(dir.path()).map(|m| m.mode() & 0o777).ok(), Some(0o700));
}

#[test]
fn what_belongs_to_another_user_is_not_trusted() {
    let dir = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    cache(dir.path());
    let (key, user) = (dir.path().join("key"), this_user());
    assert!(read_key(&key, user).is_ok_and(|key| key.is_some()));
    assert!(read_key(&key, user + 1).is_ok_and(|key| key.is_none()));
    let metadata = fs::metadata(dir.path()).unwrap_or_else(|e| panic!("{e}"));
    let refused = claim(dir.path(), &metadata, user + 1).map_err(|e| e.to_string());
    assert!(refused.as_ref().is_err_and(|e| e.contains(&format!("belongs to user {user}"))), "{refused:?}");
    // Nor is a key that lies elsewhere, or that has another name.
    let elsewhere = dir.path().join("elsewhere");
    fs::hard_link(&key, &elsewhere).unwrap_or_else(|e| panic!("{e}"));
    assert!(read_key(&key, user).is_ok_and(|key| key.is_none()));
    fs::remove_file(&key).unwrap_or_else(|e| panic!("{e}"));
    std::os::unix::fs::symlink(&elsewhere, &key).unwrap_or_else(|e| panic!("{e}"));
    assert!(read_key(&key, user).is_ok_and(|key| key.is_none()));
}

#[test]
fn the_oldest_code_gives_way() {
    let dir = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let small = Cache::open(dir.path(), "settings".to_owned(), 150).unwrap_or_else(|e| panic!("{e}"));
    small.store(&[1; 32], &[0; 60]);
    small.store(&[2; 32], &[0; 60]);
    assert_eq!(small.load(&[1; 32]), CacheLookup::Nothing);
    assert_eq!(small.load(&[2; 32]), CacheLookup::Code(vec![0; 60]));
}
