//! Writes a file anew that another library keeps, so that nothing in it is in the page cache alone.

use std::io;
use std::path::Path;

use super::Disk;

/// Read and written at once.
const BLOCK: u64 = 64 << 10;

/// Writes a file's bytes to their places again and syncs it: what a failed sync has counted as clean is durable afterwards. Holes are
/// left, so that what was set aside and never written takes no space.
pub(crate) fn write_anew(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    let file = disk.open(path)?;
    let mut position = 0;
    let mut block = Vec::new();
    while let Some((from, to)) = file.next_data(position)? {
        position = from;
        while position < to {
            let here = BLOCK.min(to - position);
            block.resize(usize::try_from(here).unwrap_or(usize::MAX), 0);
            file.read_at(&mut block, position)?;
            file.write_at(&[&block], position)?;
            position += here;
        }
    }
    file.sync()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::write_anew;
    use crate::platform::disk::{Disk, Fault, RealDisk, SimDisk};

    #[test]
    fn holes_stay_holes() {
        let path = std::env::temp_dir().join(format!("millstream-anew-{}", std::process::id()));
        let file = RealDisk.create(&path).expect("create");
        file.write_at(&[&[7; 100_000]], 0).expect("write");
        file.truncate(64 << 20).expect("set aside");
        write_anew(&RealDisk, &path).expect("written anew");
        let mut bytes = vec![0; 100_000];
        file.read_at(&mut bytes, 0).expect("read");
        let data = file.next_data(1 << 20).expect("asked");
        std::fs::remove_file(&path).expect("clean up");
        assert!(bytes.iter().all(|byte| *byte == 7) && file.len().expect("its length") == 64 << 20);
        // A file system that knows of no holes calls all of it data.
        assert!(matches!(data, None | Some((1_048_576, 67_108_864))), "{data:?}");
    }

    #[test]
    fn a_file_written_anew_is_durable_whatever_sync_has_failed_before() {
        let path = Path::new("/d/f");
        let bytes: Vec<u8> = (0..200_000_u32).map(|at| if at / 70_000 == 1 { 0 } else { at as u8 }).collect();
        for seed in 0..50 {
            let disk = SimDisk::new(seed);
            let file = disk.create(path).expect("create");
            disk.sync_dir(Path::new("/d")).expect("sync dir");
            file.truncate(bytes.len() as u64).expect("set aside");
            file.sync().expect("sync");
            file.write_at(&[&bytes], 0).expect("write");
            disk.fail_at(disk.operations(), Fault::Error);
            file.sync().expect_err("it fails");
            let mut seen = vec![0; bytes.len()];
            file.read_at(&mut seen, 0).expect("read");
            assert_eq!(seen, bytes);
            write_anew(&disk, path).expect("written anew");
            let found = disk.crash(seed).open(path).expect("there");
            found.read_at(&mut seen, 0).expect("read");
            assert_eq!(seen, bytes, "seed {seed}");
        }
    }
}
