//! A disk that is full, and a folder that cannot be written to or is gone.

use std::fs;
use std::path::{Path, PathBuf};

use alloc_tests::SmallDisk;

use crate::holding::{Holding, files, newest, snapshots};

/// Where snapshots are written.
fn out(disk: &SmallDisk) -> PathBuf {
    disk.path().join("heap-%n.pb.gz")
}

/// What is left of a file that was never finished.
fn temporary(folder: &Path) -> usize {
    let is_temporary = |it: &&PathBuf| {
        let name = it.file_name().expect("a name");
        name.to_string_lossy().starts_with('.')
    };
    files(folder).iter().filter(is_temporary).count()
}

/// Memory does not grow by more than noise while a condition is waited for.
#[track_caller]
fn stays_flat(program: &Holding, during: impl FnOnce()) {
    let before = program.resident();
    during();
    let grown = program.resident().saturating_sub(before);
    assert!(grown < 1 << 20, "{grown} bytes");
}

#[test]
fn a_full_disk_is_reported_once_and_recording_goes_on_afterwards() {
    let Some(disk) = SmallDisk::new() else { return };
    let program = Holding::start(&out(&disk), &[("ALLOC_TRACE_EVERY", "0.02")]);
    program.wait_for("third", || newest(disk.path()) >= Some(3));
    let mut filler = disk.fill();
    stays_flat(&program, || {
        program.wait_for_message("No space left on device", 1);
        let before = newest(disk.path());
        std::thread::sleep(std::time::Duration::from_millis(300));
        assert_eq!(newest(disk.path()), before);
    });
    assert_eq!(
        program.count("no snapshot written"),
        1,
        "{}",
        program.messages()
    );
    // All that was written before is whole.
    let written = newest(disk.path());
    assert!(written >= Some(3));
    fs::remove_file(&filler).expect("it is there");
    program.wait_for_message("that could not be written", 1);
    program.wait_for("next", || newest(disk.path()) > written);
    // The next time it is full is reported again.
    filler = disk.fill();
    program.wait_for_message("No space left on device", 2);
    fs::remove_file(&filler).expect("it is there");
    program.wait_for_message("that could not be written", 2);
    program.end();
    assert_eq!(temporary(disk.path()), 0);
}

/// The ring gives up its oldest files for the newest one.
#[test]
fn a_ring_on_a_full_disk_keeps_the_newest() {
    let Some(disk) = SmallDisk::new() else { return };
    let variables = [("ALLOC_TRACE_EVERY", "0.02"), ("ALLOC_TRACE_KEEP", "1000")];
    let program = Holding::start(&out(&disk), &variables);
    program.wait_for("tenth", || newest(disk.path()) >= Some(10));
    disk.fill();
    let full_at = newest(disk.path()).expect("the tenth");
    stays_flat(&program, || {
        program.wait_for("ten more", || newest(disk.path()) >= Some(full_at + 10));
    });
    drop(program);
    let numbers: Vec<u32> = snapshots(disk.path()).iter().map(|it| it.0).collect();
    assert!(numbers.len() >= 2, "{numbers:?}");
    assert!(
        numbers.is_sorted_by(|one, next| one + 1 == *next),
        "{numbers:?}"
    );
}

/// A condition that held while nothing could be written is not forgotten.
#[test]
fn a_snapshot_that_could_not_be_written_follows() {
    let Some(disk) = SmallDisk::new() else { return };
    let mut program = Holding::start(&out(&disk), &[("ALLOC_TRACE_WHEN", "step=8MiB")]);
    let filler = disk.fill();
    (0..10).for_each(|_| program.hold_more());
    program.wait_for_message("No space left on device", 1);
    assert_eq!(snapshots(disk.path()).len(), 0);
    fs::remove_file(filler).expect("it is there");
    program.wait_for("file", || newest(disk.path()).is_some());
    let all = snapshots(disk.path());
    let reason = &all[0].1.metadata()["reason"];
    assert!(reason.starts_with("the heap grew from "), "{reason}");
    assert_eq!(all[0].0, 1, "no number is skipped");
    program.end();
}

#[test]
fn a_folder_that_cannot_be_written_to_for_a_while() {
    let Some(disk) = SmallDisk::new() else { return };
    let variables = [("ALLOC_TRACE_EVERY", "0.02"), ("ALLOC_TRACE_KEEP", "3")];
    let program = Holding::start(&out(&disk), &variables);
    program.wait_for("fourth", || newest(disk.path()) >= Some(4));
    let remount = |flags| disk.remount(flags);
    // NOTE: the kernel refuses while a file is open for writing.
    program.wait_for("moment without a write", || {
        remount(libc::MS_RDONLY).is_ok()
    });
    stays_flat(&program, || {
        program.wait_for_message("Read-only file system", 1);
    });
    let kept = snapshots(disk.path());
    assert_eq!(kept.len(), 3, "they stay");
    remount(0).expect("it can be written to again");
    let last = kept[2].0;
    program.wait_for("next", || newest(disk.path()) > Some(last + 3));
    assert_eq!(
        program.count("no snapshot written"),
        1,
        "{}",
        program.messages()
    );
    program.end();
    assert_eq!(snapshots(disk.path()).len(), 3);
    assert_eq!(temporary(disk.path()), 0);
}

#[test]
fn a_folder_that_is_gone_for_a_while() {
    let parent = tempfile::tempdir().expect("a folder");
    let folder = parent.path().join("ring");
    fs::create_dir(&folder).expect("a folder");
    let variables = [("ALLOC_TRACE_EVERY", "0.02"), ("ALLOC_TRACE_KEEP", "3")];
    let program = Holding::start(&folder.join("heap-%n.pb.gz"), &variables);
    program.wait_for("fourth", || newest(&folder) >= Some(4));
    // NOTE: a file may be written while the folder is emptied.
    program.wait_for("end of the folder", || fs::remove_dir_all(&folder).is_ok());
    stays_flat(&program, || {
        program.wait_for_message("No such file or directory", 1);
    });
    fs::create_dir(&folder).expect("a folder");
    program.wait_for("new ring", || snapshots(&folder).len() >= 3);
    assert_eq!(
        program.count("no snapshot written"),
        1,
        "{}",
        program.messages()
    );
    program.end();
    assert_eq!(snapshots(&folder).len(), 3);
}
