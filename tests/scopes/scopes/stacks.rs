//! Scopes that count by callsite.

use alloc_core::{Amount, Config, Metric, Scope, measure};

use crate::{amount, block};

pub(crate) fn stacks_of_a_scope_add_up() {
    #[inline(never)]
    fn leak_like() -> Vec<u8> {
        block(111)
    }
    for tracing in [false, true] {
        if tracing {
            alloc_core::start_with(Config::default().frames(5)).unwrap();
        }
        let scope = Scope::enter_with_stacks().unwrap();
        let kept: [Vec<u8>; 3] = std::array::from_fn(|_| leak_like());
        drop(block(1000));
        let inner = measure(leak_like);
        let (usage, snapshot) = (scope.usage().unwrap(), scope.snapshot().unwrap());
        assert_eq!(usage.allocated, amount(1444, 5));
        let sum = |metric| {
            let amounts = snapshot
                .traces()
                .iter()
                .map(|it| it.counters.amount(metric));
            amounts.fold(Amount::default(), |mut sum, it| {
                sum += it;
                sum
            })
        };
        assert_eq!(sum(Metric::Total), usage.allocated);
        assert_eq!(sum(Metric::Current), usage.current);
        assert_eq!(sum(Metric::AtPeak).bytes, usage.peak.bytes);
        let of_leak_like = |it: &&alloc_core::Trace| {
            let mut functions = it.traceback.iter().filter_map(|it| it.function());
            functions.any(|it| it.contains("leak_like"))
        };
        // NOTE: there are several stacks if the compiler unrolls the loop.
        let held = snapshot
            .traces()
            .iter()
            .filter(of_leak_like)
            .map(|it| it.counters.current.bytes.get())
            .sum::<u64>();
        assert_eq!(held, 444);
        for trace in snapshot.traces() {
            let functions = || trace.traceback.iter().filter_map(|it| it.function());
            assert!(functions().any(|it| it.contains("stacks_of_a_scope_add_up")));
            let first = functions().next().unwrap();
            assert!(!first.contains("alloc_core"), "{first}");
        }
        drop((kept, inner));
        assert_eq!(scope.usage().unwrap().current, amount(0, 0));
        assert!(
            scope
                .snapshot()
                .unwrap()
                .traces()
                .iter()
                .all(|it| it.counters.current.blocks == 0)
        );
        drop(scope);
        alloc_core::stop();
    }
}

pub(crate) fn at_the_scope_s_peak() {
    let scope = Scope::enter_with_stacks().unwrap();
    let first = block(300);
    let second = block(700);
    drop(first);
    let third = block(100);
    drop((second, third));
    let snapshot = scope.snapshot().unwrap();
    let mut at_peak: Vec<_> = snapshot
        .traces()
        .iter()
        .map(|it| it.counters.at_peak.bytes.get())
        .collect();
    at_peak.sort_unstable();
    assert_eq!(at_peak, [0, 300, 700]);
    assert_eq!(scope.usage().unwrap().peak.bytes, 1000);
    assert_eq!(snapshot.traced_memory().peak, 1000);
}
