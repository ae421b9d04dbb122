//! Profiles that a program pushes: what a receiver gets adds up, whatever happens in between.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use alloc_core::{Amount, Snapshot};
use alloc_tests::wait_until;

use crate::client::Served;
use crate::profiles::{alloc_report, blocks, command, kept};
use crate::receiver::{Mood, Received, Receiver};

/// What the program says of its pushes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Health {
    pub(crate) pushed: u64,
    pub(crate) failed: u64,
    pub(crate) refused: u64,
    pub(crate) unnamed: u64,
    pub(crate) queued: u64,
    pub(crate) rejected: u64,
}

pub(crate) fn health(served: &mut Served) -> Health {
    let line = served.tell("push-health");
    let mut numbers = line.split(' ').map(|it| it.parse().expect("a number"));
    let mut next = || numbers.next().expect("six numbers");
    Health {
        pushed: next(),
        failed: next(),
        refused: next(),
        unnamed: next(),
        queued: next(),
        rejected: next(),
    }
}

/// Starts the program, which pushes to the receiver ten times a second.
pub(crate) fn start(receiver: &Receiver, options: &[&str]) -> Served {
    start_as("push", receiver, options)
}

/// As [`start`], in the format that an option of the program is called by.
pub(crate) fn start_as(format: &str, receiver: &Receiver, options: &[&str]) -> Served {
    let push = format!("{format}={}", receiver.url());
    let all: Vec<&str> = [&*push, "every=100"]
        .into_iter()
        .chain(options.iter().copied())
        .collect();
    Served::start(&all)
}

#[track_caller]
pub(crate) fn wait_for(served: &mut Served, is_expected: impl Fn(Health) -> bool) -> Health {
    let until = Instant::now() + Duration::from_secs(120);
    loop {
        let health = health(served);
        if is_expected(health) {
            return health;
        }
        assert!(Instant::now() < until, "{health:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn snapshot(received: &Received) -> Snapshot {
    Snapshot::read_from(&received.body[..]).expect("a profile")
}

/// Ends pushing, and compares what the receivers got with the program's own numbers.
#[track_caller]
pub(crate) fn check_sums(mut served: Served, receivers: Vec<Receiver>) -> Vec<Received> {
    let own = served.tell("stop-pushing");
    let own: Vec<u64> = own
        .split(' ')
        .map(|it| it.parse().expect("a number"))
        .collect();
    let received: Vec<Received> = receivers.into_iter().flat_map(Receiver::end).collect();
    let mut total = Amount::default();
    for received in &received {
        let profile = snapshot(received);
        profile
            .traces()
            .iter()
            .for_each(|it| total += it.counters.total);
    }
    assert_eq!((total.bytes.get(), total.blocks), (own[0], own[1]));
    let last = snapshot(received.last().expect("a profile"));
    let live: u64 = last
        .traces()
        .iter()
        .map(|it| it.counters.current.bytes.get())
        .sum();
    assert_eq!(live, own[2]);
    received
}

#[test]
fn pushed_differences_add_up_to_the_programs_numbers() {
    let receiver = Receiver::start();
    let descriptors = Served::start(&[]).descriptors();
    let mut served = start(&receiver, &["push-label=a b"]);
    let began = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_secs();
    let (mut sum, mut live) = (0, 0);
    for round in 1..=5 {
        served.tell(&format!("keep {round}"));
        sum += round;
        live += round;
        if round > 3 {
            served.tell("drop 2");
            live -= 2;
        }
        let before = health(&mut served).pushed;
        wait_for(&mut served, |it| it.pushed >= before + 2);
    }
    let health = health(&mut served);
    assert_eq!((health.failed, health.refused, health.unnamed), (0, 0, 0));
    // Between two pushes nothing is open but the server.
    // A request has one more meanwhile.
    wait_until("as many descriptors as at first", || {
        served.descriptors() <= descriptors
    });
    let received = check_sums(served, vec![receiver]);
    assert!(received.len() >= 10, "{}", received.len());

    let mut kept_in_all = Amount::default();
    for one in &received {
        kept_in_all += kept(&snapshot(one)).0;
    }
    assert_eq!(kept_in_all, blocks(sum));
    assert_eq!(
        kept(&snapshot(received.last().expect("a profile"))).1,
        blocks(live)
    );

    let mut last_until = began.saturating_sub(2);
    for one in &received {
        assert_eq!(one.path, "/ingest");
        let names: Vec<&str> = one.query.keys().map(|it| &**it).collect();
        assert_eq!(names, ["format", "from", "name", "spyName", "until"]);
        assert_eq!(one.query["format"], "pprof");
        assert_eq!(one.query["name"], "shop{instance=a b}");
        let [from, until]: [u64; 2] =
            ["from", "until"].map(|it| one.query[it].parse().expect("seconds"));
        // A second is the least that this format tells apart.
        assert!(
            from < until && from + 1 >= last_until,
            "{from} {until} {last_until}"
        );
        last_until = until;
        assert_eq!(one.headers["content-type"], "application/octet-stream");
        assert_eq!(one.headers["x-scope-orgid"], "team");
        // "me:s3cret"
        assert_eq!(one.headers["authorization"], "Basic bWU6czNjcmV0");
    }
}

#[test]
fn a_receiver_in_trouble_loses_no_number() {
    let receiver = Receiver::start();
    let mut served = start(&receiver, &[]);
    served.tell("keep 10");
    wait_for(&mut served, |it| it.pushed >= 2);

    receiver.set(Mood::Answers(500));
    served.tell("keep 20");
    wait_for(&mut served, |it| it.failed >= 2 && it.queued >= 1);

    let asked = receiver.asked();
    receiver.set(Mood::Hangs);
    wait_until("another request", || receiver.asked() != asked);
    // The program goes on meanwhile.
    served.tell("keep 30");
    assert_eq!(served.get("/metrics").status, 200);

    // It ends, and nobody listens.
    let address = receiver.address;
    let before = health(&mut served).failed;
    let first = receiver.received().len() as u64;
    let mut all = receiver.end();
    assert_eq!(all.len() as u64, first);
    wait_for(&mut served, |it| it.failed > before + 1);
    served.tell("keep 40");

    let receiver = Receiver::start_at(address);
    wait_for(&mut served, |it| it.queued == 0 && it.pushed > first);
    served.tell("keep 50");
    let own = served.tell("stop-pushing");
    all.extend(receiver.end());
    let mut total = 0;
    for one in &all {
        let profile = snapshot(one);
        total += profile
            .traces()
            .iter()
            .map(|it| it.counters.total.bytes.get())
            .sum::<u64>();
    }
    assert_eq!(Some(&*total.to_string()), own.split(' ').next());
    let kept: u64 = all.iter().map(|it| kept(&snapshot(it)).0.blocks).sum();
    assert_eq!(kept, 150);
}

#[test]
fn a_profile_that_is_refused_is_in_the_next_one() {
    let receiver = Receiver::start();
    let mut served = start(&receiver, &[]);
    for refusal in [422, 400, 413] {
        served.tell("keep 10");
        let before = wait_for(&mut served, |it| it.pushed >= 1);
        receiver.set(Mood::Answers(refusal));
        served.tell("keep 10");
        wait_for(&mut served, |it| it.refused > before.refused + 1);
        receiver.set(Mood::Accepts);
        wait_for(&mut served, |it| it.pushed > before.pushed);
    }
    check_sums(served, vec![receiver]);
}

#[test]
fn a_full_queue_takes_no_profile_until_there_is_room() {
    let receiver = Receiver::start();
    receiver.set(Mood::Answers(503));
    let mut served = start(&receiver, &["queue=1"]);
    served.tell("keep 10");
    wait_for(&mut served, |it| it.queued == 1);
    let resident = served.status("VmRSS:");
    let one_profile = Served::start(&[]).descriptors() + 1;
    for _ in 0..5 {
        served.tell("keep 10");
        served.tell("sleep 200");
        assert_eq!(health(&mut served).queued, 1);
    }
    wait_until("the descriptors of one profile", || {
        served.descriptors() <= one_profile
    });
    let grown = served.status("VmRSS:").saturating_sub(resident);
    assert!(grown < 1 << 20, "{grown} bytes");
    receiver.set(Mood::Accepts);
    wait_for(&mut served, |it| it.pushed >= 2);
    let received = check_sums(served, vec![receiver]);
    assert_eq!(kept(&snapshot(&received[0])).0, blocks(10));
    assert_eq!(kept(&snapshot(&received[1])).0, blocks(50));
}

#[test]
fn wrong_addresses_and_unknown_names_stop_nothing() {
    for url in ["http://127.0.0.1:9", "http://no-such-host.invalid:4040"] {
        let mut served = Served::start(&[&format!("push={url}"), "every=100"]);
        served.tell("keep 10");
        // NOTE: the system may look for a name for long.
        wait_for(&mut served, |it| it.failed >= 1 && it.queued >= 1);
        assert_eq!(served.get("/metrics").status, 200);
        let last = served.tell("push-error");
        assert!(last.contains(url), "{last}");
    }
    for wrong in ["127.0.0.1:4040", "ftp://a", "http://", "https://a", ""] {
        let served = Served::start(&[&format!("push={wrong}")]);
        let is_clear = served.address.contains("expected") && served.address.contains("found");
        assert!(is_clear, "{}", served.address);
    }
}

#[test]
fn a_vanished_command_leaves_addresses() {
    let receiver = Receiver::start();
    let folder = tempfile::tempdir().expect("a folder");
    let vanishing = command(&folder, "cat");
    let mut served = start(&receiver, &["push-names=1", &vanishing]);
    served.tell("keep 10");
    let before = wait_for(&mut served, |it| it.pushed >= 2);
    assert_eq!(before.unnamed, 0);
    drop(folder);
    served.tell("keep 10");
    wait_for(&mut served, |it| {
        it.unnamed >= 2 && it.pushed > before.pushed + 1
    });
    check_sums(served, vec![receiver]);
}

#[test]
fn alloc_report_names_what_is_pushed() {
    let Some(command) = alloc_report() else {
        return;
    };
    let receiver = Receiver::start();
    let mut served = start(&receiver, &["push-names=1", &command]);
    served.tell("keep 10");
    let health = wait_for(&mut served, |it| it.pushed >= 2);
    assert_eq!(health.unnamed, 0);
    let received = check_sums(served, vec![receiver]);
    assert!(received.iter().all(|it| snapshot(it).is_named()));
    let kept: u64 = received.iter().map(|it| kept(&snapshot(it)).0.blocks).sum();
    assert_eq!(kept, 10);
}
