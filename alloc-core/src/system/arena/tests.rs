use super::*;

#[test]
fn untouched_memory_is_not_resident_and_touched_memory_is() {
    let len = 64 << 20;
    let base = reserve(len).unwrap();
    let before = resident(base, len);
    for offset in [0, len / 2] {
        let place = base.as_ptr().wrapping_add(offset);
        // SAFETY: both offsets are inside the reservation.
        unsafe { place.write(1) };
    }
    // A read makes no page resident.
    let read = base.as_ptr().wrapping_add(len / 4);
    // SAFETY: the offset is inside the reservation.
    assert_eq!(unsafe { read.read_volatile() }, 0);
    let after = resident(base, len);
    // SAFETY: the memory was reserved above and is not used below.
    unsafe { release(base, len) };
    if cfg!(target_os = "linux") {
        assert_eq!((before, after), (0, 8192));
    }
}

#[test]
fn pieces_of_an_arena_are_aligned_zero_and_apart() {
    let arena = Arena::new();
    let mut end = ptr::null_mut();
    for (len, align) in [
        (8, 8),
        (100, 64),
        (4096, 4096),
        (2, 1),
        (CHUNK_BYTES / 2, 4096),
    ] {
        let piece = arena.zeroed(len, align).unwrap().as_ptr();
        assert_eq!(piece.addr() % align, 0);
        assert!(piece >= end || piece.addr() / CHUNK_BYTES != end.addr() / CHUNK_BYTES);
        for offset in [0, len - 1] {
            let byte = piece.wrapping_add(offset);
            // SAFETY: the piece has that many bytes.
            assert_eq!(unsafe { byte.replace(1) }, 0);
        }
        end = piece.wrapping_add(len);
    }
    assert!(arena.zeroed(CHUNK_BYTES, 8).is_none());
    // SAFETY: this thread is the only user.
    unsafe { arena.clear() };
}

#[test]
fn an_arena_keeps_words_apart_across_chunks_and_threads() {
    let arena = Arena::new();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let arena = &arena;
            scope.spawn(move || {
                let stored: Vec<_> = (0..3_000)
                    .map(|i| (i, arena.store(&[thread * 10_000 + i; 30]).unwrap()))
                    .collect();
                for (i, place) in stored {
                    // SAFETY: the arena holds 30 words there until it is cleared.
                    let words = unsafe { std::slice::from_raw_parts(place.as_ptr(), 30) };
                    assert_eq!(words, [thread * 10_000 + i; 30]);
                }
            });
        }
    });
    assert!(arena.store(&vec![0; CHUNK_BYTES / 8 - 1]).is_none());
    // SAFETY: the threads are done.
    unsafe { arena.clear() };
    assert_eq!(arena.resident(), 0);
}
