//! [`Label`]: names whose memory it is, such as a request, a task or a stage of work.
//!
//! In: names that the program gives. Out: a label for each callsite of a trace. Never: a count of
//! its own.

mod guard;
mod labelled;
#[cfg(feature = "tower")]
mod service;
#[cfg(feature = "tracing")]
mod spans;

use std::fmt;

pub use guard::LabelGuard;
pub use labelled::Labelled;
#[cfg(feature = "tower")]
pub use service::{LabelLayer, LabelService};
#[cfg(feature = "tracing")]
pub use spans::AllocLayer;

use crate::record::thread;
use crate::tables::labels;
use crate::tables::labels::LabelId;

/// Physical memory of all labels, in bytes.
pub(crate) fn resident() -> usize {
    labels::resident()
}

/// A name for the memory that a piece of work allocates, such as a request, a task or a tenant.
///
/// A label is a named root over the stack, and part of the callsite: one line that allocates in
/// two labels is two callsites. So live bytes belong to the label that allocated them, on whatever
/// thread they are freed, and the labels of a snapshot add up to its heap. What is allocated in no
/// label is a group of its own.
///
/// Labels nest. A label is its name and the labels around it: `decode` within `request` is another
/// label than `decode` alone. Its [path](Self::path) is `request > decode`.
///
/// ```
/// use alloc_core::{GroupBy, Label, TraceAlloc};
///
/// #[global_allocator]
/// static ALLOC: TraceAlloc = TraceAlloc::system();
///
/// alloc_core::start()?;
/// let request = Label::enter("request");
/// let body = vec![0_u8; 1000];
/// let decoded = Label::new("decode").run(|| vec![0_u8; 500]);
/// drop(request);
///
/// let by_label = alloc_core::take_snapshot()?.statistics(GroupBy::Label);
/// let bytes = |path: &str| {
///     let group = by_label.iter().find(|it| it.key == path.into());
///     group.map(|it| it.size.get())
/// };
/// assert_eq!(bytes("request"), Some(body.len() as u64));
/// assert_eq!(bytes("request > decode"), Some(decoded.len() as u64));
/// # Ok::<(), alloc_core::Error>(())
/// ```
///
/// # Threads and tasks
///
/// A label is a small number, which is copied to wherever work goes. A new thread or task is in no
/// label, until it is told:
///
/// ```
/// # use alloc_core::Label;
/// # async fn handle() {}
/// let label = Label::current();
/// std::thread::spawn(move || label.run(|| { /* ... */ }));
/// // Tokio: `tokio::spawn(label.instrument(handle()))`; the same with `set.spawn` of a `JoinSet`.
/// // Rayon: `items.par_iter().map(|item| label.run(|| parse(item)))`.
/// let future = label.instrument(handle());
/// # drop(future);
/// ```
///
/// # Limits
///
/// A name is cut after 128 bytes. A program distinguishes 16,381 labels, counted with those around
/// them; all further ones are `<other labels>`. The 65th label within another counts as the 64th.
/// So numbers stay true, whatever the names are. Labels are never forgotten: give work of one kind
/// one name, not a name for each request.
///
/// A session that only counts, with a limit of zero frames, has no callsites, and so no labels. Nor
/// has the snapshot of a [`Scope`](crate::Scope).
///
/// # Cost
///
/// Without labels it is zero. [`enter`](Self::enter) and leaving take some 60 ns, most of it to
/// find the name; [`run`](Self::run) takes some 3 ns. The first allocation after either takes a few
/// nanoseconds more in a traced session: `cargo bench -p alloc-benches --features tracing --bench
/// labels`.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Label(LabelId);

impl Label {
    /// The label of this name within the calling thread's present one.
    ///
    /// ```
    /// use alloc_core::Label;
    ///
    /// let _request = Label::enter("request");
    /// assert_eq!(Label::new("decode").path(), Some("request > decode"));
    /// ```
    pub fn new(name: &str) -> Label {
        Label::current().within(name)
    }

    /// The label of this name within this one.
    ///
    /// ```
    /// use alloc_core::Label;
    ///
    /// let tenant = Label::default().within("tenant 7");
    /// assert_eq!(tenant.within("import").path(), Some("tenant 7 > import"));
    /// ```
    pub fn within(self, name: &str) -> Label {
        Label(self.0.within(name))
    }

    pub(crate) fn id(self) -> LabelId {
        self.0
    }

    pub(crate) fn of_id(id: LabelId) -> Label {
        Label(id)
    }

    /// The calling thread's present label.
    ///
    /// ```
    /// use alloc_core::Label;
    ///
    /// assert_eq!(Label::current(), Label::default());
    /// ```
    pub fn current() -> Label {
        Label(thread::label())
    }

    /// Enters the label of this name within the present one, until the guard is dropped.
    ///
    /// ```
    /// use alloc_core::Label;
    ///
    /// {
    ///     let _decode = Label::enter("decode");
    ///     assert_eq!(Label::current().path(), Some("decode"));
    /// }
    /// assert_eq!(Label::current().path(), None);
    /// ```
    pub fn enter(name: &str) -> LabelGuard {
        Label::new(name).entered()
    }

    /// Enters this label, instead of the present one, until the guard is dropped.
    ///
    /// ```
    /// use alloc_core::Label;
    ///
    /// let label = Label::new("import");
    /// let worker = std::thread::spawn(move || {
    ///     let _import = label.entered();
    ///     Label::current()
    /// });
    /// assert_eq!(worker.join().unwrap(), label);
    /// ```
    pub fn entered(self) -> LabelGuard {
        LabelGuard::begin(self.0)
    }

    /// Runs `work` in this label.
    ///
    /// ```
    /// use alloc_core::Label;
    ///
    /// let label = Label::new("import");
    /// assert_eq!(label.run(Label::current), label);
    /// ```
    pub fn run<T>(self, work: impl FnOnce() -> T) -> T {
        let _inside = self.entered();
        work()
    }

    /// Wraps a future so that it runs in this label, whichever thread polls or drops it.
    ///
    /// ```
    /// use alloc_core::Label;
    ///
    /// let label = Label::new("import");
    /// let future = std::pin::pin!(label.instrument(async { Label::current() }));
    /// let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    /// assert_eq!(future.poll(&mut context), std::task::Poll::Ready(label));
    /// ```
    pub fn instrument<F>(self, future: F) -> Labelled<F> {
        Labelled::new(self, future)
    }

    /// The names of the labels around this one and its own, separated by ` > `; `None` outside of
    /// all labels.
    ///
    /// A name that has ` > ` in it reads as two labels.
    ///
    /// ```
    /// use alloc_core::Label;
    ///
    /// assert_eq!(Label::new("decode").path(), Some("decode"));
    /// assert_eq!(Label::default().path(), None);
    /// ```
    pub fn path(self) -> Option<&'static str> {
        self.0.path()
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Label")
            .field(&self.path().unwrap_or("<no label>"))
            .finish()
    }
}
