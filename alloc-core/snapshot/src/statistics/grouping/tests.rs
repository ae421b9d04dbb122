//! The names of keys, metrics and orders, and chains of keys.

use super::*;

#[test]
fn names_parse_back() {
    fn check<T: Copy + fmt::Debug + PartialEq + ToString + FromStr<Err = String>>(all: &[T]) {
        for one in all {
            assert_eq!(one.to_string().parse(), Ok(*one));
        }
    }
    check(GroupBy::ALL);
    check(Metric::ALL);
    check(SortBy::ALL);
    let chain: Grouping = "crate,size-class,line".parse().unwrap();
    assert_eq!(chain.to_string(), "crate,size-class,line");
    assert_eq!(chain.keys().len(), 3);
}

#[test]
fn unknown_names_are_errors() {
    let expected = "expected one of line, file, function, module, crate, traceback, folded, \
                    size-class, type, thread, label, domain, found \"lines\"";
    assert_eq!("lines".parse::<GroupBy>().unwrap_err(), expected);
    assert_eq!("crate,lines".parse::<Grouping>().unwrap_err(), expected);
    assert!("".parse::<Grouping>().is_err() && "line,".parse::<Grouping>().is_err());
    assert_eq!(
        "size".parse::<SortBy>().unwrap_err(),
        "expected one of bytes, blocks, average, found \"size\""
    );
    assert_eq!(
        "live".parse::<Metric>().unwrap_err(),
        "expected one of current, peak, at-peak, total, freed, found \"live\""
    );
}

#[test]
fn cumulative_counting_needs_a_key_of_frames() {
    for by in GroupBy::ALL {
        let is_of_frames = Key::By(*by).is_of_frames();
        assert_eq!(Grouping::by(*by).cumulative().is_ok(), is_of_frames);
        let chain = Grouping::by(*by).then(GroupBy::Line);
        assert!(chain.cumulative().unwrap().is_cumulative());
    }
    let own = Grouping::by_key(|_| "one").then(GroupBy::Thread);
    let error = own.cumulative().unwrap_err();
    assert!(error.is_invalid_grouping());
    assert!(error.to_string().ends_with("found key,thread"), "{error}");
}
