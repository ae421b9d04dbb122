use super::sizes::SIZES;
use super::*;

/// Holds also if two places are the same, and for address zero, which is in no table.
#[test]
fn sizes_are_those_of_plain_rules() {
    let rules = Rules::new();
    let plain = |offset: u32| Packed(offset);
    let known = [
        (0x1000, plain(16)),
        (0x1001, plain(4_088)),
        (0x1000 + SIZES, plain(24)),
        (7 * SIZES, plain(32)),
        (0x1002, Packed::FRAME_POINTER),
        (0x1003, Packed::BOTTOM),
    ];
    for (pc, rule) in known {
        rules.keep(pc, rule);
    }
    let sizes = rules.sizes().unwrap();
    for (pc, rule) in known {
        assert_eq!(rules.sp_only_size(sizes, pc), rule.sp_only_size(), "{pc:x}");
    }
    for stranger in [0, 1, 0x1000 + 2 * SIZES, 0x1004, !0, !0x1004] {
        assert_eq!(rules.sp_only_size(sizes, stranger), None, "{stranger:x}");
    }
}

#[test]
fn short_rules_come_back_from_sixteen_bits() {
    for base in [Base::Rsp, Base::Rbp] {
        for offset in [8, 16, 4_088] {
            for saved_bp in [None, Some(-16), Some(-248)] {
                let rule = Rule::Step {
                    base,
                    offset,
                    saved_bp,
                };
                let Some(packed) = Packed::of(rule) else {
                    assert!(base == Base::Rsp && saved_bp.is_some_and(|it| -it > offset));
                    continue;
                };
                assert!(!packed.is_long());
                assert_eq!(packed.is_sp_only(), base == Base::Rsp);
                let is_unloadable = Packed(packed.0 | Packed::UNLOADABLE);
                assert!(is_unloadable.is_long() && is_unloadable.is_unloadable());
                assert_eq!(Rules::new().whole(is_unloadable), rule);
                assert_eq!(packed.counts_from_rbp(), base == Base::Rbp);
                assert_eq!(packed.offset(), offset as usize);
                assert_eq!(
                    packed.saved_bp(),
                    saved_bp.map_or(0, |below: i32| -below as usize)
                );
                let keeps = (base, offset, saved_bp) == (Base::Rbp, 16, Some(-16));
                assert_eq!(packed == Packed::FRAME_POINTER, keeps);
            }
        }
    }
}

#[test]
fn long_rules_come_back_from_the_side_table_and_equal_ones_share_a_place() {
    let rules = Rules::new();
    let long = [
        Rule::Step {
            base: Base::Rsp,
            offset: 65_592,
            saved_bp: None,
        },
        Rule::Step {
            base: Base::Rsp,
            offset: 65_592,
            saved_bp: Some(-16),
        },
        Rule::Step {
            base: Base::Rbp,
            offset: 4_096,
            saved_bp: Some(-16),
        },
        Rule::Step {
            base: Base::Rbp,
            offset: -64,
            saved_bp: Some(-256),
        },
    ];
    for _ in 0..2 {
        for rule in long {
            assert_eq!(Packed::of(rule), None);
            let packed = rules.number_of(rule).unwrap();
            assert_eq!(rules.whole(packed), rule);
            assert_eq!(rules.whole(Packed(packed.0 | Packed::UNLOADABLE)), rule);
        }
    }
    assert_eq!(rules.long_len.load(Ordering::Relaxed), 4);
    assert_eq!(rules.whole(Packed::BOTTOM), Rule::Bottom);
    assert_eq!(rules.whole(Packed::UNKNOWN), Rule::Unknown);
}
