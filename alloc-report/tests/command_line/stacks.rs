//! Stacks, cumulative counts, and the charged frame.

use alloc_core::{Amount, Counters, Frame, Snapshot, Trace, Traceback};
use expect_test::expect;
use serde_json::json;

use crate::set_up::{check, check_json, service};
use crate::support::check as check_in;

#[test]
fn top_shows_whole_stacks() {
    check(
        "top new --by traceback -n 2",
        expect![[r#"
            11.9 MiB in 99,749 live blocks, by traceback; at the peak 12.1 MiB

            #      size   share   count  average  traceback
            1  11.9 MiB  >99.9%  99,746    125 B  src/cache.rs:41
                   … 2 frames of the standard library
                   src/cache.rs:41  demo::fill
                   src/main.rs:3    demo::main
                   … 1 frame of the runtime

            2  <0.1 MiB   <0.1%       1  4,096 B  src/cache.rs:52
                   … 2 frames of the standard library
                   src/cache.rs:52  demo::fill
                   src/main.rs:3    demo::main
                   … 1 frame of the runtime

               <0.1 MiB   <0.1%       2  1,024 B  other (1 traceback)
               11.9 MiB  100.0%  99,749    125 B  total
        "#]],
    );
}

#[test]
fn frames_of_dependencies_share_a_line_unless_full() {
    let folder = service();
    let check = |arguments, expected| check_in(folder.path(), arguments, expected);
    check(
        "top service --by traceback",
        expect![[r#"
            3911 KiB in 405 live blocks, by traceback; at the peak 3911 KiB

            #         size   share  count   average  traceback
            1  3,906.3 KiB   99.9%    400  10,000 B  src/session.rs:41
                   … 2 frames of hashbrown
                   src/session.rs:41  demo::session::Sessions::open
                   src/main.rs:12     demo::login
                   … 32 frames of hyper, axum, tokio
                   … 3 frames of the runtime

            2      4.9 KiB    0.1%      5   1,000 B  tokio-1.47.0/src/lib.rs:30
                   tokio-1.47.0/src/lib.rs:30  tokio::time::Wheel::new
                   … 2 frames of tokio
                   … 3 frames of the runtime

               3,911.1 KiB  100.0%    405   9,889 B  total
        "#]],
    );
    check(
        "top service --by traceback -n 1 --depth 3",
        expect![[r#"
            3911 KiB in 405 live blocks, by traceback; at the peak 3911 KiB

            #         size   share  count   average  traceback
            1  3,906.3 KiB   99.9%    400  10,000 B  src/session.rs:41
                   … 2 frames of hashbrown
                   src/session.rs:41  demo::session::Sessions::open
                   src/main.rs:12     demo::login
                   … 35 frames further out

                   4.9 KiB    0.1%      5   1,000 B  other (1 traceback)
               3,911.1 KiB  100.0%    405   9,889 B  total
        "#]],
    );
    check(
        "top service --by traceback -n 1 --full --depth 6",
        expect![[r#"
            3911 KiB in 405 live blocks, by traceback; at the peak 3911 KiB

            #         size   share  count   average  traceback
            1  3,906.3 KiB   99.9%    400  10,000 B  src/session.rs:41
                   hashbrown-0.15.2/src/lib.rs:90  hashbrown::raw::RawTable<T>::reserve_rehash
                   hashbrown-0.15.2/src/lib.rs:40  hashbrown::map::HashMap<K,V>::insert
                   src/session.rs:41               demo::session::Sessions::open
                   src/main.rs:12                  demo::login
                   axum-0.8.1/src/lib.rs:1         axum::handler::call
                   axum-0.8.1/src/lib.rs:2         axum::handler::call
                   … 33 frames further out

                   4.9 KiB    0.1%      5   1,000 B  other (1 traceback)
               3,911.1 KiB  100.0%    405   9,889 B  total
        "#]],
    );
}

#[test]
fn cumulative_counts_hide_plumbing() {
    let folder = service();
    let check = |arguments, expected| check_in(folder.path(), arguments, expected);
    check(
        "top service --by function --cumulative",
        expect![[r#"
            3911 KiB in 405 live blocks, by function, cumulative; at the peak 3911 KiB

            #         size   share  count   average  function
            1  3,906.3 KiB   99.9%    400  10,000 B  demo::session::Sessions::open
            2  3,906.3 KiB   99.9%    400  10,000 B  demo::login
            3      4.9 KiB    0.1%      5   1,000 B  tokio::time::Wheel::new
               3,911.1 KiB  100.0%    405   9,889 B  total

            note: hid 10 functions that only call the workspace or allocate for it; --full shows them
        "#]],
    );
    check(
        "top service --by function --cumulative --full -n 20",
        expect![[r#"
            3911 KiB in 405 live blocks, by function, cumulative; at the peak 3911 KiB

             #         size   share  count   average  function
             1  3,911.1 KiB  100.0%    405   9,889 B  tokio::runtime::task::run
             2  3,911.1 KiB  100.0%    405   9,889 B  tokio::runtime::task::poll
             3  3,911.1 KiB  100.0%    405   9,889 B  std::sys::backtrace::__rust_begin_short_backtrace
             4  3,911.1 KiB  100.0%    405   9,889 B  std::rt::lang_start
             5  3,911.1 KiB  100.0%    405   9,889 B  core::ops::FnOnce::call_once
             6  3,906.3 KiB   99.9%    400  10,000 B  hyper::proto::poll
             7  3,906.3 KiB   99.9%    400  10,000 B  hashbrown::raw::RawTable<T>::reserve_rehash
             8  3,906.3 KiB   99.9%    400  10,000 B  hashbrown::map::HashMap<K,V>::insert
             9  3,906.3 KiB   99.9%    400  10,000 B  demo::session::Sessions::open
            10  3,906.3 KiB   99.9%    400  10,000 B  demo::login
            11  3,906.3 KiB   99.9%    400  10,000 B  axum::handler::call
            12  3,906.3 KiB   99.9%    400  10,000 B  <F as core::future::Future>::poll
            13      4.9 KiB    0.1%      5   1,000 B  tokio::time::Wheel::new
                3,911.1 KiB  100.0%    405   9,889 B  total
        "#]],
    );
    check(
        "diff service service --by crate --cumulative",
        expect![[r#"
            3911 KiB (+0 B) in 405 live blocks (+0), by crate, cumulative; at the peak 3911 KiB

            #         size  change  count  change  average  crate
                                                            other (1 crate, unchanged)
               3,911.1 KiB    +0 B    405      +0  9,889 B  total

            note: hid 5 crates that only call the workspace or allocate for it; --full shows them
        "#]],
    );
}

#[test]
fn collections_and_skipped_crates_are_not_charged() {
    let folder = service();
    let check = |arguments, expected| check_in(folder.path(), arguments, expected);
    check(
        "top service",
        expect![[r#"
            3911 KiB in 405 live blocks, by line; at the peak 3911 KiB

            #         size   share  count   average  line
            1  3,906.3 KiB   99.9%    400  10,000 B  src/session.rs:41
            2      4.9 KiB    0.1%      5   1,000 B  tokio-1.47.0/src/lib.rs:30
               3,911.1 KiB  100.0%    405   9,889 B  total
        "#]],
    );
    check(
        "top service --skip demo,tokio",
        expect![[r#"
            3911 KiB in 405 live blocks, by line; at the peak 3911 KiB

            #         size   share  count   average  line
            1  3,906.3 KiB   99.9%    400  10,000 B  axum-0.8.1/src/lib.rs:1
            2      4.9 KiB    0.1%      5   1,000 B  tokio-1.47.0/src/lib.rs:30
               3,911.1 KiB  100.0%    405   9,889 B  total
        "#]],
    );
    check(
        "top service --charge workspace",
        expect![[r#"
            3911 KiB in 405 live blocks, by line of the workspace; at the peak 3911 KiB

            #         size   share  count   average  line
            1  3,906.3 KiB   99.9%    400  10,000 B  src/session.rs:41
            2      4.9 KiB    0.1%      5   1,000 B  <no frame of the workspace>
               3,911.1 KiB  100.0%    405   9,889 B  total
        "#]],
    );
    check(
        "top service --charge workspace --by crate,traceback --depth 1",
        expect![[r#"
            3911 KiB in 405 live blocks, by crate, then traceback of the workspace; at the peak 3911 KiB

            #         size   share  count   average  crate, traceback
            1  3,906.3 KiB   99.9%    400  10,000 B  demo
               3,906.3 KiB   99.9%    400  10,000 B    src/session.rs:41
                     … 2 frames of hashbrown
                     … 37 frames further out

            2      4.9 KiB    0.1%      5   1,000 B  <no frame of the workspace>
                   4.9 KiB    0.1%      5   1,000 B    <no frame of the workspace>
                     … 3 frames of tokio
                     … 3 frames further out

               3,911.1 KiB  100.0%    405   9,889 B  total
        "#]],
    );
    check(
        "top service --include crate=demo -n 1 --skip tokio",
        expect![[r#"
            3906 KiB in 400 live blocks, by line; at the peak 3906 KiB

            #         size   share  count   average  line
            1  3,906.3 KiB  100.0%    400  10,000 B  src/session.rs:41
               3,906.3 KiB  100.0%    400  10,000 B  total

            note: filters removed 1 of 2 callsites
        "#]],
    );
}

#[test]
fn cumulative_rows_have_no_sum() {
    check(
        "top new --by file --cumulative",
        expect![[r#"
            11.9 MiB in 99,749 live blocks, by file, cumulative; at the peak 12.1 MiB

            #      size   share   count  average  file
            1  11.9 MiB  100.0%  99,749    125 B  src/main.rs
            2  11.9 MiB  >99.9%  99,747    125 B  src/cache.rs
            3  <0.1 MiB   <0.1%       2  1,024 B  src/index.rs
               11.9 MiB  100.0%  99,749    125 B  total

            note: hid 2 files that only call the workspace or allocate for it; --full shows them
        "#]],
    );
    check(
        "diff old new --by line --cumulative -n 2",
        expect![[r#"
            11.9 MiB (+11.6 MiB) in 99,749 live blocks (+99,736), by line, cumulative; at the peak 12.1 MiB

            #      size     change   count   change  average  line
            1  11.9 MiB  +11.9 MiB  99,746  +99,736    125 B  src/cache.rs:41
            2  11.9 MiB  +11.6 MiB  99,749  +99,736    125 B  src/main.rs:3
                                                              other (3 lines)
               11.9 MiB  +11.6 MiB  99,749  +99,736    125 B  total

            note: hid 3 lines that only call the workspace or allocate for it; --full shows them
        "#]],
    );
    check_json("top new --by line --cumulative -n 1", |report| {
        assert_eq!(report["cumulative"], true);
        let nothing = json!({ "rows": 3, "bytes": null, "blocks": null });
        assert_eq!(report["other"], nothing);
        assert_eq!(report["total"]["bytes"], 12_506_144);
    });
}

#[test]
fn charging_the_workspace_charges_the_callers_of_a_library() {
    let folder = tempfile::tempdir().unwrap();
    let library = "/c/registry/src/i-1/serde_json-1.0.1/src/de.rs";
    let frames = vec![
        Frame::new(Some("serde_json::parse"), Some(library), 9, 1),
        Frame::new(Some("demo::main"), Some("src/main.rs"), 3, 5),
    ];
    let current = Amount::new(1_000, 1);
    let counters = Counters {
        current,
        at_peak: current,
        ..Counters::default()
    };
    let trace = Trace::new(Traceback::new(frames), counters);
    Snapshot::from_traces(vec![trace], 32)
        .dump(folder.path().join("new"))
        .unwrap();

    let check = |arguments, expected| check_in(folder.path(), arguments, expected);
    check(
        "top new",
        expect![[r#"
        1000 B in 1 live block, by line; at the peak 1000 B

        #     size   share  count  average  line
        1  1,000 B  100.0%      1  1,000 B  serde_json-1.0.1/src/de.rs:9
           1,000 B  100.0%      1  1,000 B  total
    "#]],
    );
    check(
        "top new --charge workspace",
        expect![[r#"
        1000 B in 1 live block, by line of the workspace; at the peak 1000 B

        #     size   share  count  average  line
        1  1,000 B  100.0%      1  1,000 B  src/main.rs:3
           1,000 B  100.0%      1  1,000 B  total
    "#]],
    );
}
