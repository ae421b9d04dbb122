//! Shapes of calls by async code.

use std::cell::RefCell;
use std::future::Future;
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use crate::panics::OnDrop;
use crate::shapes::Shapes;

impl Shapes<'_> {
    #[inline(never)]
    pub(crate) fn awaiting(&mut self, depth: usize) {
        async fn outer(shapes: &mut Shapes<'_>, depth: usize) {
            let large = black_box([1_u8; 300]);
            inner(shapes, depth).await;
            assert_eq!(black_box(large)[299], 1);
        }
        async fn inner(shapes: &mut Shapes<'_>, depth: usize) {
            for _ in 0..2 {
                Yield(true).await;
                shapes.call(depth.saturating_sub(2));
            }
        }
        block_on(outer(self, depth));
    }

    /// Two futures take turns, and the slower one is dropped before its end.
    #[inline(never)]
    pub(crate) fn joining(&mut self, depth: usize) {
        async fn task(shapes: &RefCell<&mut Shapes<'_>>, depth: usize, turns: usize) {
            let _guard = OnDrop(shapes, depth);
            for _ in 0..turns {
                shapes.borrow_mut().call(depth - 1);
                Yield(true).await;
            }
        }
        let shapes = RefCell::new(self);
        let mut tasks: [Pin<Box<dyn Future<Output = ()> + '_>>; 2] = [
            Box::pin(task(&shapes, depth, 1)),
            Box::pin(async {
                task(&shapes, depth.saturating_sub(2).max(1), 3).await;
                black_box(());
            }),
        ];
        block_on(std::future::poll_fn(|context| {
            let polls = tasks.each_mut().map(|it| it.as_mut().poll(context));
            if polls.iter().any(Poll::is_ready) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        }));
    }

    /// Nested futures, polled from the outermost each time.
    #[inline(never)]
    pub(crate) fn nesting(&mut self, depth: usize) {
        fn nested<'f>(
            shapes: &'f mut Shapes<'_>,
            depth: usize,
            levels: usize,
        ) -> Pin<Box<dyn Future<Output = ()> + 'f>> {
            Box::pin(async move {
                if levels == 0 {
                    Yield(true).await;
                    shapes.call(depth - 1);
                } else {
                    nested(shapes, depth, levels - 1).await;
                }
                black_box(levels);
            })
        }
        let levels = 1 + self.below(12);
        block_on(nested(self, depth, levels));
    }
}

/// A future that is pending once.
pub(crate) struct Yield(pub(crate) bool);

impl Future for Yield {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if std::mem::take(&mut self.0) {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }
}

pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}
