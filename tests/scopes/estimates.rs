//! Estimates of sizes that are written by hand, compared with what values hold. The tests run side
//! by side under libtest, as those of the library's users.

use std::collections::{BTreeMap, HashMap};
use std::hint::black_box;
use std::rc::Rc;
use std::sync::Arc;

use alloc_core::{Bytes, TraceAlloc, assert_size_matches};
use alloc_tests::Source;

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

const HERE: Source = alloc_tests::source!();

/// A column of a table, as an engine has it.
struct Column {
    name: String,
    values: Vec<u64>,
}

/// A table whose estimates are right, and wrong in the ways in which they usually are.
struct Table {
    columns: Vec<Column>,
    by_name: HashMap<String, usize>,
}

fn table() -> Table {
    let mut columns = Vec::with_capacity(4); // mark: columns
    let mut by_name = HashMap::new();
    for (number, name) in ["id", "price", "day"].into_iter().enumerate() {
        let mut values = Vec::with_capacity(100); // mark: values
        values.extend(0..90);
        let name = name.to_owned();
        by_name.insert(name.clone(), number); // mark: map
        columns.push(Column { name, values });
    }
    Table { columns, by_name }
}

/// The one block of a hash map: a slot for each bucket, a byte for each bucket, and a group more.
fn size_of_map<K, V>(map: &HashMap<K, V>) -> usize {
    let buckets = match map.capacity() {
        0 => return 0,
        // Maps below eight buckets keep one free, and larger ones an eighth.
        capacity @ ..=3 => capacity + 1,
        capacity => capacity / 7 * 8,
    };
    let group = if cfg!(target_feature = "sse2") { 16 } else { 8 };
    let align = group.max(align_of::<(K, V)>());
    (buckets * size_of::<(K, V)>()).next_multiple_of(align) + buckets + group
}

impl Table {
    fn heap_size(&self) -> usize {
        self.size_of_columns() + size_of_map(&self.by_name) + self.size_of_names()
    }

    fn size_of_columns(&self) -> usize {
        let each = |it: &Column| it.name.capacity() + 8 * it.values.capacity();
        let columns: usize = self.columns.iter().map(each).sum();
        columns + self.columns.capacity() * size_of::<Column>()
    }

    fn size_of_names(&self) -> usize {
        self.by_name.keys().map(String::capacity).sum()
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.heap_size()
    }

    /// Counts lengths where it should count capacities.
    fn size_by_length(&self) -> usize {
        self.heap_size() - self.columns.iter().map(|_| 8 * 10).sum::<usize>()
    }

    /// Forgets the values.
    fn shallow_size(&self) -> u64 {
        (self.columns.capacity() * size_of::<Column>()) as u64
    }
}

#[test]
fn estimates_that_are_right_pass() {
    assert_size_matches!(value.capacity(), || vec![0_u8; 100]);
    assert_size_matches!(value.capacity(), || "text".repeat(10));
    assert_size_matches!(|it: &Vec<u32>| 4 * it.capacity(), || (0..9).collect());
    assert_size_matches!(|_: &u64| 0_u64, || 7);
    assert_size_matches!(|it| Bytes::new(size_of_val(&**it) as u64), || {
        Box::new([0; 9])
    });
    for entries in [0, 1, 3, 4, 7, 8, 14, 15, 100, 1_000] {
        let build = || {
            (0..entries)
                .map(|it| (it, 0_u8))
                .collect::<HashMap<u16, u8>>()
        };
        assert_size_matches!(|it: &HashMap<u16, u8>| size_of_map(it), build);
    }
    let table = assert_size_matches!(value.heap_size(), || table());
    assert_eq!(table.columns[1].values.len(), 90);
}

#[test]
fn every_form_is_understood() {
    fn build() -> Table {
        table()
    }
    assert_size_matches!(value.heap_size(), table);
    assert_size_matches!(value.heap_size(), build,);
    assert_size_matches!(value.heap_size() + value.columns.len() - 3, table);
    assert_size_matches!(value.heap_size(), || -> Table { table() }, tolerance = 1 B);
    // The type of the parameter comes from the value.
    assert_size_matches!(|it| it.heap_size(), || table());
    assert_size_matches!(|it: &Table| -> usize { it.heap_size() }, || table(),);
    let spare = 7;
    assert_size_matches!(value.capacity(), move || Vec::<u8>::with_capacity(spare));
    assert_size_matches!(|it: &Table| it.heap_size() + spare, || table(), tolerance = 7 B);
    assert_size_matches!(value.size(), || table(), size_of_val = true);
    assert_size_matches!(value.heap_size(), || table(), size_of_val = false);
    assert_size_matches!(value.size_by_length(), || table(), tolerance = 10 %);
    assert_size_matches!(value.size_by_length(), || table(), tolerance = 9.5 %, threads = "own");
    assert_size_matches!(value.size_by_length(), || table(), tolerance = (3 * 80_u64),);
    assert_size_matches!(
        value.size(),
        || std::thread::spawn(table).join().expect("no panic"),
        threads = "all",
        tolerance = 1 KiB,
        size_of_val = true,
    );
    // A value of the caller's may have that name, too.
    let value = 100;
    let built = assert_size_matches!(value.capacity(), || Vec::<u8>::with_capacity(value));
    assert_eq!(built.capacity(), value);
}

#[tokio::test]
async fn async_work_is_awaited() {
    async fn load() -> Table {
        let mut polled = false;
        std::future::poll_fn(|context| {
            if std::mem::replace(&mut polled, true) {
                return std::task::Poll::Ready(());
            }
            // The runtime's queue is not the value's.
            alloc_core::untraced(|| context.waker().wake_by_ref());
            std::task::Poll::Pending
        })
        .await;
        table()
    }
    let loaded = assert_size_matches!(value.heap_size(), async || load().await);
    let moved =
        assert_size_matches!(value.columns.capacity(), async move || loaded, tolerance = 4 B);
    assert_eq!(moved.columns.len(), 3);
}

/// The message of a failure.
#[track_caller]
fn message(work: impl FnOnce() + std::panic::UnwindSafe) -> String {
    let panic = std::panic::catch_unwind(work).expect_err("it fails");
    let owned = panic.downcast_ref::<String>().cloned();
    owned.expect("a message")
}

/// Checks the first line of a failure's message.
#[track_caller]
fn check(work: impl FnOnce() + std::panic::UnwindSafe, expected: &str) {
    let text = message(work);
    assert_eq!(text.lines().next(), Some(expected), "{text}");
}

#[test]
fn a_failure_says_what_the_value_holds_and_where() {
    let text = message(|| drop(assert_size_matches!(value.shallow_size(), || table()))); // mark: here
    let map = size_of_map(&table().by_name);
    let truth = 4 * 48 + 3 * 800 + 2 * 10 + map;
    let off = truth - 4 * 48;
    let share = 100.0 * off as f64 / truth as f64;
    let name = "estimates::a_failure_says_what_the_value_holds_and_where::{{closure}}::{{closure}}";
    let stack = |mark| {
        let (file, line, here) = (HERE.file, HERE.line(mark), HERE.line("here"));
        format!(" still held by\n    {file}:{line} estimates::table\n    {file}:{here} {name}\n")
    };
    let (values, columns) = (stack("values"), stack("columns"));
    let (entries, of_entries) = (stack("map"), map + 10);
    assert_eq!(
        text,
        format!(
            "size: expected {truth} B as the value holds, found an estimate of 192 B: \
             {off} B too little ({share:.1} %)\n  \
             2400 B in 3 blocks{values}  \
             192 B in 1 block{columns}  \
             {of_entries} B in 4 blocks{entries}  \
             and 1 more stack"
        )
    );
}

#[test]
fn each_difference_is_stated() {
    let zeros = |size: usize| move || vec![0_u8; size];
    check(
        || drop(assert_size_matches!(value.len() + 1, zeros(1_000))),
        "size: expected 1000 B as the value holds, found an estimate of 1001 B: 1 B too much (0.1 %)",
    );
    check(
        || drop(assert_size_matches!(value.len() / 2, zeros(20_480))),
        "size: expected 20.0 KiB (20480 B) as the value holds, found an estimate of 10.0 KiB (10240 B): \
         10.0 KiB (10240 B) too little (50.0 %)",
    );
    check(
        || drop(assert_size_matches!(value.len() - 51, zeros(1_000), tolerance = 5 %)),
        "size: expected 1000 B as the value holds, found an estimate of 949 B: 51 B too little (5.1 %); \
         the tolerance is 5 %",
    );
    check(
        || drop(assert_size_matches!(value.len() + 65, zeros(1_000), tolerance = 64 B)),
        "size: expected 1000 B as the value holds, found an estimate of 1065 B: 65 B too much (6.5 %); \
         the tolerance is 64 B",
    );
    check(
        || {
            drop(assert_size_matches!(
                value.len(),
                zeros(1_000),
                size_of_val = true
            ))
        },
        "size: expected 1024 B as the value holds, 24 B of them in itself, found an estimate of 1000 B: \
         24 B too little (2.3 %)",
    );
    check(
        || drop(assert_size_matches!(value.len() + 9, Vec::<u8>::new)),
        "size: expected 0 B as the value holds, found an estimate of 9 B: 9 B too much",
    );
    check(
        || {
            drop(assert_size_matches!(value.heap_size(), || {
                std::thread::spawn(table).join().expect("no panic")
            }))
        },
        "this work started threads; use `threads = \"all\"` to count what they do, or `threads = \"own\"` to \
         leave it out",
    );
}

/// What the closure leaves live is the value's, and nothing else.
#[test]
fn only_what_the_closure_leaves_live_counts() {
    // What it frees does not count, nor what existed before, nor what the estimate allocates.
    let shared: Arc<[u8]> = vec![0; 10_000].into();
    let pair = assert_size_matches!(
        |it: &(Arc<[u8]>, Vec<u8>)| "estimate".repeat(3).len() - 24 + it.1.capacity(),
        || {
            drop(black_box(vec![0_u8; 5_000]));
            (shared.clone(), vec![0; 500])
        }
    );
    assert_eq!(Arc::strong_count(&pair.0), 2);
    // A shared value counts once.
    assert_size_matches!(|it: &[Rc<[u8; 84]>; 3]| 16 + it[0].len() + it.len() + 1, || {
        let one = Rc::new([0; 84]);
        [one.clone(), one.clone(), one]
    }, tolerance = 4 B);
    // An empty tree holds nothing, and one with entries holds nodes.
    assert_size_matches!(|_: &BTreeMap<u8, u8>| 0_usize, BTreeMap::new);
    check(
        || {
            drop(assert_size_matches!(value.len(), || BTreeMap::from([(
                1_u64, 2_u64
            )])))
        },
        "size: expected 192 B as the value holds, found an estimate of 1 B: 191 B too little (99.5 %)",
    );
}
