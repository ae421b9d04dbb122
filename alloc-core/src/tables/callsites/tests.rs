use super::*;

fn intern(callsites: &Callsites, addresses: &[usize]) -> CallsiteId {
    let hash = hash_of(addresses);
    let end = StackEnd::Complete;
    let stack = Stack {
        addresses,
        outer: None,
        end,
        hash,
        era: 0,
    };
    callsites
        .find(hash)
        .unwrap_or_else(|| callsites.insert(stack, CallsiteTag::default()))
}

fn stack_of(callsites: &Callsites, id: CallsiteId) -> (Vec<usize>, StackEnd) {
    let mut addresses = Vec::new();
    let callsite = callsites.get(id).unwrap();
    let end = callsites.append_stack(callsite, &mut addresses);
    (addresses, end.unwrap())
}

fn ready(limit: u32) -> Callsites {
    let callsites = Callsites::new();
    callsites.prepare(limit).unwrap();
    callsites
}

#[test]
fn equal_stacks_share_an_id_and_ids_lead_back_to_their_stack() {
    let callsites = ready(MAX_CALLSITES);
    let stacks: Vec<Vec<usize>> = (0..30_000)
        .map(|i| {
            (0..1 + i % 40)
                .map(|frame| 0x5500_0000 + i * 16 + frame)
                .collect()
        })
        .collect();
    let ids: Vec<_> = stacks
        .iter()
        .map(|stack| intern(&callsites, stack))
        .collect();
    for (stack, &id) in stacks.iter().zip(&ids) {
        assert_eq!(intern(&callsites, stack), id);
        assert_eq!(
            stack_of(&callsites, id),
            (stack.clone(), StackEnd::Complete)
        );
    }
    assert_eq!(
        callsites.iter().count(),
        stacks.len() + 2,
        "all of them, the overflow and the whole heap"
    );
    // SAFETY: this thread is the only user.
    unsafe { callsites.clear() };
    assert_eq!((callsites.iter().count(), callsites.resident()), (0, 0));
}

/// Stacks that differ in their innermost frames, each starting where the one before ends.
#[test]
fn a_newcomer_may_have_its_outer_frames_from_any_callsite() {
    let callsites = ready(MAX_CALLSITES);
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut last: Option<(CallsiteId, Vec<usize>)> = None;
    for at in 0..2_000_usize {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let own: Vec<usize> = (0..1 + (random >> 60) as usize)
            .map(|frame| at * 64 + frame)
            .collect();
        let outer = last.as_ref().map(|(callsite, stack)| {
            let skip = (random >> 40) as usize % (stack.len() + 1);
            let len = (random >> 20) as usize % (stack.len() - skip + 1);
            let callsite = *callsite;
            (
                Outer {
                    callsite,
                    skip,
                    len,
                },
                stack,
            )
        });
        let mut whole = own.clone();
        if let Some((Outer { skip, len, .. }, stack)) = outer {
            whole.extend_from_slice(&stack[skip..skip + len.min(900 - own.len())]);
        }
        let stack = Stack {
            addresses: &own,
            outer: outer.map(|(outer, _)| Outer {
                len: whole.len() - own.len(),
                ..outer
            }),
            end: StackEnd::Complete,
            hash: hash_of(&whole),
            era: 0,
        };
        let id = callsites.insert(stack, CallsiteTag::default());
        assert_eq!(
            stack_of(&callsites, id),
            (whole.clone(), StackEnd::Complete)
        );
        last = Some((id, whole));
    }
    // SAFETY: this thread is the only user.
    unsafe { callsites.clear() };
}

#[test]
fn one_stack_with_two_labels_is_two_callsites() {
    let callsites = ready(MAX_CALLSITES);
    let tag = |domain| CallsiteTag {
        domain,
        ..CallsiteTag::default()
    };
    let addresses = [0x1000, 0x2000];
    let stack = Stack {
        addresses: &addresses,
        outer: None,
        end: StackEnd::Complete,
        hash: hash_of(&addresses),
        era: 0,
    };
    let ids: Vec<_> = (0..100)
        .map(|domain| callsites.insert(stack, tag(domain)))
        .collect();
    for (domain, &id) in (0..100).zip(&ids) {
        assert_eq!(callsites.find(stack.hash ^ tag(domain).salt()), Some(id));
        assert_eq!(callsites.get(id).unwrap().tag(), tag(domain));
    }
    // SAFETY: this thread is the only user.
    unsafe { callsites.clear() };
}

#[test]
fn beyond_the_ceiling_all_share_the_overflow_callsite() {
    let callsites = ready(8);
    let ids: Vec<_> = (0..20).map(|i| intern(&callsites, &[0x1000 + i])).collect();
    assert!(ids[..8].iter().all(|&id| id != CallsiteId::OVERFLOW));
    assert!(ids[8..].iter().all(|&id| id == CallsiteId::OVERFLOW));
    assert_eq!(
        intern(&callsites, &[0x1000]),
        ids[0],
        "those before keep their ids"
    );
    assert_eq!(
        stack_of(&callsites, CallsiteId::OVERFLOW),
        (vec![], StackEnd::Overflow)
    );
    // SAFETY: this thread is the only user.
    unsafe { callsites.clear() };
}

#[test]
fn newcomers_are_cut_as_the_table_fills() {
    let callsites = ready(37);
    let stack = |i| -> Vec<usize> { (0..30).map(|frame| 0x1000 + frame + i * 100).collect() };
    let kept = |id| stack_of(&callsites, id);
    let ids: Vec<_> = (0..30).map(|i| intern(&callsites, &stack(i))).collect();
    for (at, len, end) in [
        (7, 30, StackEnd::Complete),
        (8, 16, StackEnd::Truncated),
        (17, 16, StackEnd::Truncated),
        (18, 8, StackEnd::Truncated),
    ] {
        assert_eq!(kept(ids[at]), (stack(at)[..len].to_vec(), end), "{at}");
    }
    assert_eq!(intern(&callsites, &stack(0)), ids[0]);
    // New stacks that differ only in outer frames share one callsite.
    let mut like_the_last = stack(29);
    like_the_last[8] = 0x9999;
    assert_eq!(intern(&callsites, &like_the_last), ids[29]);
    // SAFETY: this thread is the only user.
    unsafe { callsites.clear() };
}

#[test]
fn threads_that_meet_the_same_stacks_agree_on_their_ids() {
    let callsites = ready(MAX_CALLSITES);
    let ids: Vec<Vec<CallsiteId>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let callsites = &callsites;
                scope.spawn(move || {
                    (0..5_000)
                        .map(|i| intern(callsites, &[0x1000 + i * 4, 0x9000]))
                        .collect()
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(ids.iter().all(|theirs| *theirs == ids[0]));
    // SAFETY: the threads are done.
    unsafe { callsites.clear() };
}
