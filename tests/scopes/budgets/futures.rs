//! Futures within a budget, polled by hand.

use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use alloc_core::{Budget, Budgeted, OverBudget};

use crate::{amount, block, check, in_each_mode};

/// A future in a box that no budget counts.
fn boxed<F>(future: F) -> Pin<Box<F>> {
    alloc_core::untraced(|| Box::pin(future))
}

fn poll<F: Future>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
}

/// The result of a future that resolves at this poll.
#[track_caller]
fn result<T>(polled: Poll<Result<T, OverBudget>>) -> Result<T, OverBudget> {
    match polled {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("expected a result, found a future that waits"),
    }
}

/// Waits for the next poll.
async fn yield_once() {
    let mut yielded = false;
    poll_fn(|_| match std::mem::replace(&mut yielded, true) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
}

/// Allocates a thousand bytes when it is dropped.
struct Noisy;

impl Drop for Noisy {
    fn drop(&mut self) {
        drop(block(1_000));
    }
}

pub(crate) fn a_future_ends_at_the_poll_that_exceeds_its_budget() {
    in_each_mode(|| {
        let budget = Budget::new(100).unwrap();
        let (polls, ended) = (Cell::new(0), Cell::new(false));
        let mut future = boxed(budget.instrument(async {
            let _noisy = Noisy;
            let mut kept = [const { Vec::new() }; 10];
            for part in &mut kept {
                *part = block(30);
                polls.set(polls.get() + 1);
                yield_once().await;
            }
            ended.set(true);
        }));
        for held in [30, 60, 90] {
            assert!(poll(&mut future).is_pending());
            check(&budget, held, false);
        }
        let over = result(poll(&mut future)).unwrap_err();
        assert_eq!((over.used.get(), over.limit.get()), (120, 100));
        assert_eq!((polls.get(), ended.get()), (4, false));
        // It is gone before anyone drops what is left of it, and its destructors counted.
        check(&budget, 0, false);
        let usage = budget.usage().unwrap();
        assert_eq!(
            (usage.allocated, usage.freed),
            (amount(1_120, 5), amount(1_120, 5))
        );
        drop(future);
        assert_eq!(budget.usage().unwrap(), usage);
    });
}

pub(crate) fn a_future_whose_budget_is_over_is_not_polled() {
    in_each_mode(|| {
        let budget = Budget::new(100).unwrap();
        let polls = Cell::new(0);
        // It resolves at its second poll.
        let work = || {
            let mut left = 2;
            let polls = &polls;
            poll_fn(move |_| {
                polls.set(polls.get() + 1);
                left -= 1;
                if left == 0 {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            })
        };
        let [mut one, mut other] = [(); 2].map(|_| boxed(budget.instrument(work())));
        assert!(poll(&mut one).is_pending());
        let kept = budget.run(|| block(101));
        assert_eq!(result(poll(&mut one)).unwrap_err().used, 101);
        drop(kept);
        assert_eq!(polls.get(), 1);
        // The other one shares the budget, which is not over any more.
        assert!(poll(&mut other).is_pending());
        assert_eq!(result(poll(&mut other)), Ok(()));
    });
}

pub(crate) fn a_value_that_exceeds_the_budget_is_dropped() {
    in_each_mode(|| {
        let budget = Budget::new(100).unwrap();
        let mut future = boxed(budget.instrument(async { block(100) }));
        let kept = result(poll(&mut future)).unwrap();
        check(&budget, 100, false);
        drop(kept);
        let mut future = boxed(budget.instrument(async { (block(101), Noisy) }));
        assert_eq!(result(poll(&mut future)).map(drop).unwrap_err().used, 101);
        check(&budget, 0, false);
        // The destructor of the value counted.
        assert_eq!(budget.usage().unwrap().allocated, amount(1_201, 3));
        // What the work holds besides its value is gone before the value is looked at.
        let mut future = boxed(budget.instrument(Held(block(100))));
        let kept = result(poll(&mut future)).unwrap();
        check(&budget, 60, false);
        drop(kept);
    });
}

/// A future that still holds a block when it has resolved.
struct Held(Vec<u8>);

impl Future for Held {
    type Output = Vec<u8>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Vec<u8>> {
        self.0 = block(90);
        Poll::Ready(block(60))
    }
}

pub(crate) fn a_future_that_is_dropped_is_counted_to_its_end() {
    in_each_mode(|| {
        let budget = Budget::new(100).unwrap();
        let mut future = boxed(budget.instrument(async {
            let _kept = (block(50), Noisy);
            pending::<()>().await;
        }));
        assert!(poll(&mut future).is_pending());
        check(&budget, 50, false);
        drop(future);
        check(&budget, 0, false);
        assert_eq!(budget.usage().unwrap().freed, amount(1_050, 2));
    });
}

pub(crate) fn of_nested_futures_the_one_whose_budget_is_over_ends() {
    /// Holds `own` bytes outside of an inner budget of 100, and `inner` within it.
    async fn work(own: usize, inner: usize) -> Result<(), OverBudget> {
        let _own = block(own);
        yield_once().await;
        let budget = Budget::new(100).unwrap();
        let held = boxed(budget.instrument(async {
            let _inner = block(inner);
            yield_once().await;
        }));
        held.await
    }
    in_each_mode(|| {
        let outer = Budget::new(1_000).unwrap();
        let result_of = |own, inner| {
            let mut future = boxed(outer.instrument(work(own, inner)));
            loop {
                if let Poll::Ready(result) = poll(&mut future) {
                    break result;
                }
            }
        };
        assert_eq!(result_of(1, 1), Ok(Ok(())));
        assert_eq!(result_of(900, 100), Ok(Ok(())));
        // The outer one goes on, with the inner one's error.
        let inner = result_of(500, 101).unwrap().unwrap_err();
        assert_eq!((inner.used.get(), inner.limit.get()), (101, 100));
        let over = result_of(950, 90).unwrap_err();
        assert_eq!((over.used.get(), over.limit.get()), (1_040, 1_000));
        check(&outer, 0, false);
    });
}

pub(crate) fn a_future_that_resolved_is_not_polled_again() {
    fn is_refused<T>(mut future: Pin<Box<Budgeted<impl Future<Output = T>>>>) -> bool {
        assert!(poll(&mut future).is_ready());
        let again = std::panic::AssertUnwindSafe(|| poll(&mut future).is_ready());
        let panic = std::panic::catch_unwind(again).unwrap_err();
        let message = panic.downcast_ref::<String>().map(String::as_str);
        message.or(panic.downcast_ref::<&str>().copied())
            == Some("a budgeted future is not polled after it resolved")
    }
    std::panic::set_hook(Box::new(|_| {}));
    let budget = Budget::new(100).unwrap();
    assert!(is_refused(boxed(budget.instrument(async {}))));
    assert!(is_refused(boxed(budget.instrument(async { block(101) }))));
    drop(std::panic::take_hook());
}
