//! Functions with `#[profile]`, sync and async, for tests that read what they print.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use alloc_core::{TraceAlloc, profile};

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

#[profile]
fn plain(size: usize) -> Vec<u8> {
    drop(block(10 * size));
    block(size)
}

struct Cache(Vec<Vec<u8>>);

impl Cache {
    /// Generic, with an early return, a reference and a `where` clause.
    #[profile]
    pub fn insert<T>(&mut self, value: T) -> Result<&[u8], String>
    where
        T: AsRef<[u8]>,
    {
        if value.as_ref().is_empty() {
            return Err("empty".to_owned());
        }
        self.0.push(value.as_ref().to_vec());
        Ok(self.0.last().ok_or("nothing")?)
    }
}

#[profile]
async fn later(size: usize) -> Result<Vec<u8>, String> {
    let kept = block(size);
    yield_once().await;
    let text = check(size)?;
    drop(text);
    Ok(kept)
}

#[profile]
async fn nothing() {}

/// A function named like its module, and one that it calls.
mod parse {
    use alloc_core::profile;

    #[profile]
    pub fn parse(size: usize) -> Vec<u8> {
        let read = |size| drop(super::block(2 * size));
        read(size);
        read_all(size)
    }

    fn read_all(size: usize) -> Vec<u8> {
        super::block(3 * size)
    }
}

fn check(size: usize) -> Result<String, String> {
    if size == 0 {
        return Err("zero".to_owned());
    }
    Ok("x".repeat(size))
}

fn block(size: usize) -> Vec<u8> {
    std::hint::black_box(Vec::with_capacity(size))
}

async fn yield_once() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Polls a future on a new thread each time.
fn block_on<F: Future + Send>(future: F) -> F::Output
where
    F::Output: Send,
{
    let mut future = pin!(future);
    loop {
        let polled = std::thread::scope(|threads| {
            let poll = || {
                let mut context = Context::from_waker(Waker::noop());
                future.as_mut().poll(&mut context)
            };
            threads
                .spawn(poll)
                .join()
                .expect("the future does not panic")
        });
        if let Poll::Ready(value) = polled {
            return value;
        }
    }
}

fn main() {
    if std::env::args().len() == 1 {
        alloc_core::start().expect("tracing starts");
    }
    assert_eq!(plain(100).capacity(), 100);
    assert_eq!(plain(7).capacity(), 7);
    let mut cache = Cache(Vec::with_capacity(8));
    assert_eq!(cache.insert("some"), Ok(&b"some"[..]));
    assert_eq!(cache.insert(Vec::new()), Err("empty".to_owned()));
    assert_eq!(block_on(later(1000)).map(|it| it.capacity()), Ok(1000));
    assert_eq!(block_on(later(0)), Err("zero".to_owned()));
    block_on(nothing());
    assert_eq!(parse::parse(10).capacity(), 30);
}
