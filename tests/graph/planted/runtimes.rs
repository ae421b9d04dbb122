//! Structures of an asynchronous runtime. All of them are alive: no finding may name one.

use std::cell::RefCell;
use std::future::{pending, poll_fn};
use std::hint::black_box;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Mutex, Notify, RwLock, Semaphore, broadcast, mpsc, oneshot, watch};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{interval, sleep, timeout};

use crate::churn::{BURST, REST};
use crate::truth::{self, Expected, scrub};

/// Long after the test.
const HOUR: Duration = Duration::from_secs(3600);

/// How many tasks wait for what never comes.
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// Runs a future that never ends, and counts it once it waits.
async fn wait<F: Future>(future: F) -> F::Output {
    let mut future = Box::pin(future);
    let mut is_new = true;
    poll_fn(move |context| {
        let polled = Pin::as_mut(&mut future).poll(context);
        if std::mem::take(&mut is_new) && polled.is_pending() {
            WAITING.fetch_add(1, Relaxed);
        }
        polled
    })
    .await
}

fn until_waiting(tasks: usize) {
    while WAITING.load(Relaxed) < tasks {
        thread::yield_now();
    }
}

/// Plants four truths, and runs `work` while runtimes of both kinds are alive.
#[inline(never)]
pub(crate) fn with_runtimes(work: impl FnOnce()) {
    let mut builder = Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_time().build().unwrap();
    let messages = plant(&runtime);
    let mut tasks = 100 + 3;
    tasks += channels(&runtime);
    tasks += locks(&runtime);
    tasks += sets(&runtime);
    until_waiting(tasks);
    let idle = idle_runtime();
    let (ready, end) = (Barrier::new(2), Barrier::new(2));
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("local".to_owned());
        let run = || local_runtime(&ready, &end);
        thread.spawn_scoped(scope, run).unwrap();
        ready.wait();
        runtime.spawn(churn());
        scrub();
        work();
        end.wait();
    });
    black_box((&messages, &idle));
    runtime.shutdown_background();
}

/// What the four truths are about: a buffer of a task that sleeps, one that waits for a
/// notification, one that nobody wakes, and a message in a channel.
fn plant(runtime: &Runtime) -> (mpsc::Sender<Vec<u8>>, Arc<Notify>) {
    for at in 0..100 {
        let buffer = vec![at; 400];
        if at == 42 {
            truth::plant(
                "buffer of a task that sleeps",
                buffer.as_ptr(),
                Expected::Live,
            );
        }
        runtime.spawn(async move {
            wait(sleep(HOUR)).await;
            black_box(&buffer);
        });
    }
    let (sender, mut receiver) = mpsc::channel(100);
    for at in 0..50 {
        let message = vec![at; 1234];
        if at == 30 {
            truth::plant("message in a channel", message.as_ptr(), Expected::Live);
        }
        sender.try_send(message).unwrap();
    }
    runtime.spawn(async move {
        wait(pending::<()>()).await;
        receiver.recv().await
    });

    let notify = Arc::new(Notify::new());
    let (of_task, buffer) = (notify.clone(), vec![0_u8; 4321]);
    truth::plant(
        "buffer of a task that waits",
        buffer.as_ptr(),
        Expected::Live,
    );
    runtime.spawn(async move {
        wait(of_task.notified()).await;
        black_box(&buffer);
    });

    let buffer = vec![0_u8; 5432];
    truth::plant(
        "buffer of a task that never ends",
        buffer.as_ptr(),
        Expected::Live,
    );
    runtime.spawn(async move {
        wait(pending::<()>()).await;
        black_box(&buffer);
    });
    (sender, notify)
}

/// Channels whose two ends are in tasks. Returns how many tasks wait.
fn channels(runtime: &Runtime) -> usize {
    let (sender, receiver) = oneshot::channel::<Vec<u8>>();
    runtime.spawn(wait(async move { receiver.await.is_ok() }));
    runtime.spawn(async move {
        wait(pending::<()>()).await;
        sender.send(vec![1; 100])
    });

    let (sender, mut first) = watch::channel(vec![1_u8; 200]);
    let mut second = sender.subscribe();
    runtime.spawn(wait(async move { first.changed().await.is_ok() }));
    runtime.spawn(wait(async move { second.changed().await.is_ok() }));
    runtime.spawn(async move {
        wait(pending::<()>()).await;
        sender.send(Vec::new())
    });

    let (sender, mut receiver) = broadcast::channel::<Arc<Vec<u8>>>(16);
    let late = sender.subscribe();
    runtime.spawn(wait(async move { while receiver.recv().await.is_ok() {} }));
    runtime.spawn(async move {
        let _ = sender.send(Arc::new(vec![2; 300]));
        wait(pending::<()>()).await;
        black_box((&late, &sender));
    });

    // Each of two tasks has the sender of the other.
    let (to_first, mut of_first) = mpsc::unbounded_channel::<String>();
    let (to_second, mut of_second) = mpsc::channel::<String>(4);
    runtime.spawn(wait(async move {
        while let Some(text) = of_first.recv().await {
            let _ = to_second.send(text).await;
        }
    }));
    runtime.spawn(wait(async move {
        while let Some(text) = of_second.recv().await {
            let _ = to_first.send(text);
        }
    }));
    // A task that waits for room.
    let (sender, receiver) = mpsc::channel::<Vec<u8>>(1);
    runtime.spawn(async move {
        wait(async move { while sender.send(vec![3; 64]).await.is_ok() {} }).await;
    });
    runtime.spawn(async move {
        wait(pending::<()>()).await;
        black_box(&receiver);
    });
    11
}

/// Tasks that wait for locks, and for time. Returns how many tasks wait.
fn locks(runtime: &Runtime) -> usize {
    let lock = Arc::new(Mutex::new(vec![1_u8; 150]));
    let shared = Arc::new(RwLock::new(String::from("what readers share")));
    let permits = Arc::new(Semaphore::new(1));
    let guard = runtime.block_on(lock.clone().lock_owned());
    let reader = runtime.block_on(shared.clone().read_owned());
    let permit = runtime.block_on(permits.clone().acquire_owned()).unwrap();
    runtime.spawn(async move {
        wait(pending::<()>()).await;
        black_box((&guard, &reader, &permit));
    });
    for _ in 0..3 {
        let (lock, shared, permits) = (lock.clone(), shared.clone(), permits.clone());
        runtime.spawn(wait(async move { lock.lock().await.len() }));
        runtime.spawn(wait(async move { shared.write().await.len() }));
        runtime.spawn(wait(async move { permits.acquire().await.is_ok() }));
    }
    runtime.spawn(async {
        let mut ticks = interval(HOUR);
        ticks.tick().await;
        wait(ticks.tick()).await;
    });
    runtime.spawn(wait(async { timeout(HOUR, pending::<()>()).await.is_ok() }));
    runtime.spawn(wait(async {
        tokio::select! {
            () = sleep(HOUR) => 1,
            () = pending() => 2,
        }
    }));
    1 + 9 + 3
}

/// Tasks that wait for other tasks, and a set of futures with wakers of its own. Returns how many
/// tasks wait.
fn sets(runtime: &Runtime) -> usize {
    runtime.spawn(async {
        let mut set = JoinSet::new();
        for at in 0..10 {
            let buffer = vec![at; 120];
            set.spawn(async move {
                wait(sleep(HOUR)).await;
                buffer
            });
        }
        wait(async { while set.join_next().await.is_some() {} }).await;
    });
    // A task that waits for one that waits for one.
    let inner = runtime.spawn(wait(pending::<()>()));
    let middle = runtime.spawn(async move { wait(inner).await.is_ok() });
    runtime.spawn(async move { wait(middle).await.is_ok() });
    runtime.spawn(async {
        let notify = Arc::new(Notify::new());
        let mut futures: FuturesUnordered<_> = (0..20_u8)
            .map(|at| {
                let (notify, buffer) = (notify.clone(), vec![at; 90]);
                async move {
                    match at % 2 {
                        0 => notify.notified().await,
                        _ => sleep(HOUR).await,
                    }
                    buffer
                }
            })
            .collect();
        wait(async { while futures.next().await.is_some() {} }).await;
    });
    11 + 3 + 1
}

/// A runtime on one thread, with tasks, that nothing runs any more.
fn idle_runtime() -> Runtime {
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    for at in 0..5 {
        let buffer = vec![at; 700];
        runtime.spawn(async move {
            sleep(HOUR).await;
            black_box(&buffer);
        });
    }
    runtime.block_on(tokio::task::yield_now());
    runtime
}

/// A runtime that runs tasks of its own thread, which share an `Rc`.
#[inline(never)]
fn local_runtime(ready: &Barrier, end: &Barrier) {
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let local = LocalSet::new();
    let shared = Rc::new(RefCell::new(Vec::new()));
    let (sender, mut receiver) = mpsc::channel::<Rc<RefCell<Vec<String>>>>(4);
    let of_task = shared.clone();
    local.spawn_local(async move {
        while let Some(more) = receiver.recv().await {
            more.borrow_mut().push("received".to_owned());
            of_task.borrow_mut().push("counted".to_owned());
        }
    });
    local.spawn_local({
        let shared = shared.clone();
        async move {
            sleep(HOUR).await;
            black_box(&shared);
        }
    });
    local.block_on(&runtime, async {
        sender.send(Rc::default()).await.unwrap();
        tokio::task::yield_now().await;
        ready.wait();
        // NOTE: the runtime waits here for a thread, and not for a task.
        end.wait();
    });
    black_box((&shared, &sender));
}

/// Tasks that come and go, and messages between them.
async fn churn() {
    let (sender, mut receiver) = mpsc::channel::<Arc<String>>(8);
    for round in 1.. {
        if round % (BURST / 10) == 0 {
            sleep(REST).await;
        }
        let mut set = JoinSet::new();
        for at in 0..4 {
            let sender = sender.clone();
            set.spawn(async move {
                let text = Arc::new(format!("message {at}"));
                let _ = sender.send(text.clone()).await;
                tokio::task::yield_now().await;
                text
            });
        }
        while let Some(text) = set.join_next().await {
            black_box((&text, receiver.recv().await));
        }
    }
}
