//! Budgets of work on several threads.

use std::future::poll_fn;
use std::task::Poll;

use alloc_core::{Budget, Budgeted, OverBudget};

use crate::{amount, block, check, in_each_mode};

pub(crate) fn a_block_that_another_thread_frees_is_debited() {
    let on_another = |work: &mut (dyn FnMut() + Send)| {
        alloc_core::untraced(|| std::thread::scope(|threads| threads.spawn(work).join().unwrap()));
    };
    in_each_mode(|| {
        let budget = Budget::new(100).unwrap();
        let mut kept = None;
        on_another(&mut || kept = Some(budget.run(|| block(101))));
        check(&budget, 101, true);
        on_another(&mut || drop(kept.take()));
        check(&budget, 0, false);
        on_another(&mut || budget.run(|| drop(block(200))));
        assert_eq!(budget.usage().unwrap().allocated, amount(301, 2));
    });
}

const WORKERS: u64 = 4;
const TASKS: u64 = 16;
/// Bytes that a task keeps at each poll.
const STEP: u64 = 1_000;
/// Polls of a task that runs to its end.
const STEPS: u64 = 50;

fn tokio() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(WORKERS as usize);
    builder.build().unwrap()
}

/// Keeps a block more at each poll.
async fn work() -> u64 {
    let mut kept = alloc_core::untraced(|| Vec::with_capacity(STEPS as usize));
    for _ in 0..STEPS {
        kept.push(block(STEP as usize));
        let mut yielded = false;
        poll_fn(|context| {
            if std::mem::replace(&mut yielded, true) {
                return Poll::Ready(());
            }
            // The runtime's own memory is not part of the arithmetic.
            alloc_core::untraced(|| context.waker().wake_by_ref());
            Poll::Pending
        })
        .await;
    }
    kept.len() as u64
}

/// Runs tasks, and returns their results.
fn run<F>(tasks: Vec<Budgeted<F>>) -> Vec<Result<F::Output, OverBudget>>
where
    F: Future<Output: Send> + Send + 'static,
{
    let runtime = tokio();
    let tasks: Vec<_> = tasks.into_iter().map(|it| runtime.spawn(it)).collect();
    let wait = |task: tokio::task::JoinHandle<_>| runtime.block_on(task).unwrap();
    tasks.into_iter().map(wait).collect()
}

pub(crate) fn tasks_that_share_a_budget_exceed_it_by_a_block_for_each_thread() {
    in_each_mode(|| {
        const LIMIT: u64 = 40 * STEP;
        let budget = Budget::new(LIMIT).unwrap();
        let tasks = (0..TASKS).map(|_| budget.instrument(work())).collect();
        let results = run(tasks);
        let ended: Vec<&OverBudget> = results.iter().filter_map(|it| it.as_ref().err()).collect();
        // One task alone exceeds it.
        assert_eq!(ended.len() as u64, TASKS);
        let most = LIMIT + WORKERS * STEP;
        for over in ended {
            let used = over.used.get();
            assert!(used > LIMIT && used <= most, "{over}");
        }
        let usage = budget.usage().unwrap();
        let peak = usage.peak.bytes.get();
        assert!(peak > LIMIT && peak <= most, "{usage}");
        assert_eq!(usage.current, amount(0, 0));
    });
}

pub(crate) fn tasks_with_their_own_budgets_do_not_disturb_each_other() {
    in_each_mode(|| {
        let whole = STEPS * STEP;
        // Every other task gets a byte less than it needs.
        let budgets: Vec<Budget> = (0..TASKS)
            .map(|task| Budget::new(whole - task % 2).unwrap())
            .collect();
        let results = run(budgets.iter().map(|it| it.instrument(work())).collect());
        for (task, (result, budget)) in results.into_iter().zip(&budgets).enumerate() {
            match result {
                Ok(steps) => assert_eq!((steps, task % 2), (STEPS, 0)),
                Err(over) => assert_eq!((over.used.get(), task % 2), (whole, 1)),
            }
            let usage = budget.usage().unwrap();
            assert_eq!(usage.peak.bytes, whole);
            assert_eq!(
                (usage.allocated, usage.current),
                (amount(whole, STEPS), amount(0, 0))
            );
        }
    });
}
