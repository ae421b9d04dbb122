//! Unwind rules from the program's own unwind tables: `.eh_frame_hdr` and `.eh_frame`.
//!
//! They are read where the loader mapped them, with fixed-size storage, on a [spare
//! stack](super::spare_stack): no file, no allocation, no lock. A table that cannot be parsed gives
//! an unknown rule, never a guess.

use gimli::{
    BaseAddresses, CfaRule, EhFrame, EhFrameHdr, Encoding, EndianSlice, Expression,
    FrameDescriptionEntry, NativeEndian, Operation, ParsedEhFrameHdr, Pointer, Register,
    RegisterRule, UnwindContext, UnwindContextStorage, UnwindExpression, UnwindSection,
    UnwindTableRow, X86_64,
};

use super::objects::Object;
use super::rules::{Base, Kept, Rule};
use super::{frame_size, spare_stack};

pub(super) type Slice = EndianSlice<'static, NativeEndian>;
pub(super) type Row = UnwindTableRow<usize, Fixed>;
pub(super) type Frames = EhFrame<Slice>;
type CaptureSite = FrameDescriptionEntry<Slice>;

/// Storage for one evaluation: about 3 KiB. Code for x86-64 has rules for at most 17 registers.
/// gimli returns an error for a table with more, which gives an unknown rule.
pub(super) struct Fixed;

impl UnwindContextStorage<usize> for Fixed {
    type Rules = [(Register, RegisterRule<usize>); 24];
    type Stack = [UnwindTableRow<usize, Fixed>; 4];
}

/// The tables of one loaded object.
struct Tables {
    index: ParsedEhFrameHdr<Slice>,
    frames: EhFrame<Slice>,
    bases: BaseAddresses,
}

impl Tables {
    fn of(object: &Object) -> Option<Tables> {
        let index = slice(object, object.index)?;
        let bases = BaseAddresses::default().set_eh_frame_hdr(object.index as u64);
        let index = EhFrameHdr::from(EndianSlice::new(index, NativeEndian))
            .parse(&bases, size_of::<usize>() as u8)
            .ok()?;
        let Pointer::Direct(frames_at) = index.eh_frame_ptr() else {
            return None;
        };
        let frames = slice(object, usize::try_from(frames_at).ok()?)?;
        let frames = EhFrame::from(EndianSlice::new(frames, NativeEndian));
        Some(Tables {
            index,
            frames,
            bases: bases.set_eh_frame(frames_at),
        })
    }

    /// The entry of the function that `pointer` of the index refers to.
    fn entry(&self, pointer: Pointer) -> Option<FrameDescriptionEntry<Slice>> {
        let offset = self.index.table()?.pointer_to_offset(pointer).ok()?;
        self.frames
            .fde_from_offset(&self.bases, offset, EhFrame::cie_from_offset)
            .ok()
    }
}

/// The mapped bytes of an object's tables from `from` on.
fn slice(object: &Object, from: usize) -> Option<&'static [u8]> {
    let (start, end) = object.tables;
    if !(start..end).contains(&from) {
        return None;
    }
    // SAFETY: the loader mapped the object's segments between `start` and `end`, and the tables are
    // in a read-only one. The slice may extend over what follows that segment, but its reader goes
    // only where the tables' own lengths and offsets point. It is used within one call, after the
    // loader was asked for the object; a return address on the stack keeps it from being unloaded.
    Some(unsafe { std::slice::from_raw_parts(from as *const u8, end - from) })
}

/// The rule of a frame whose call is at `address`, in `object`.
///
/// For code that keeps a frame pointer the rule still counts from rsp if the frame
/// [always](frame_size::is_always) has the size that was `seen`.
pub(super) fn rule_at(object: &Object, address: usize, seen: Option<usize>) -> Rule {
    spare_stack::run(|| find_rule(object, address, seen).unwrap_or(Rule::Unknown))
}

/// Passes the row of the tables of `object` for the code at `address`. NOTE: it needs much stack.
pub(super) fn with_row<R>(
    object: &Object,
    address: usize,
    with: impl FnOnce(&Row, &Frames, &CaptureSite) -> Option<R>,
) -> Option<R> {
    let tables = Tables::of(object)?;
    let pointer = tables
        .index
        .table()?
        .lookup(address as u64, &tables.bases)
        .ok()?;
    let entry = tables.entry(pointer)?;
    if !entry.contains(address as u64) {
        return None;
    }
    let mut context = UnwindContext::<usize, Fixed>::new_in();
    let row = entry
        .unwind_info_for_address(&tables.frames, &tables.bases, &mut context, address as u64)
        .ok()?;
    with(row, &tables.frames, &entry)
}

fn find_rule(object: &Object, address: usize, seen: Option<usize>) -> Option<Rule> {
    with_row(object, address, |row, frames, entry| {
        let rule = rule_of(row, frames, entry.cie().encoding());
        let size = seen.filter(|&size| {
            let code = code(object, entry);
            let is_always = |code| frame_size::is_always(size, code);
            rule == Rule::FRAME_POINTER && code.is_some_and(is_always)
        });
        Some(size.and_then(Rule::of_frame).unwrap_or(rule))
    })
}

/// The code of an entry. `None` if it is not that of one function.
fn code(object: &Object, entry: &FrameDescriptionEntry<Slice>) -> Option<&'static [u8]> {
    let start = usize::try_from(entry.initial_address()).ok()?;
    let len = usize::try_from(entry.len()).ok()?;
    if start < object.start || len > frame_size::LONGEST || len > object.end.checked_sub(start)? {
        return None;
    }
    // SAFETY: the loader mapped a segment of the object here, and linkers put a function into one
    // readable segment. It is used within one call; a return address on the stack keeps it from
    // being unloaded.
    Some(unsafe { std::slice::from_raw_parts(start as *const u8, len) })
}

fn rule_of(row: &Row, frames: &Frames, encoding: Encoding) -> Rule {
    let pc_at = match row.register(X86_64::RA) {
        Some(RegisterRule::Offset(offset)) => offset,
        // The C library marks its `_start` and `clone` so: they have no caller.
        Some(RegisterRule::Undefined) => return Rule::Bottom,
        // A signal's frame.
        Some(_) => return Rule::Other,
        None => return Rule::Unknown,
    };
    let (base, offset) = match row.cfa() {
        CfaRule::RegisterAndOffset {
            register: X86_64::RSP,
            offset,
        } => (Base::Rsp, *offset),
        CfaRule::RegisterAndOffset {
            register: X86_64::RBP,
            offset,
        } => (Base::Rbp, *offset),
        CfaRule::Expression(expression) => {
            let read = |it: UnwindExpression<usize>| kept_at(it.get(frames).ok()?, encoding);
            let bp = match row.register(X86_64::RBP) {
                Some(RegisterRule::Expression(it)) => read(it).map(|it| (it, false)),
                Some(RegisterRule::Offset(offset)) => Some((Place::At(offset), true)),
                _ => None,
            };
            let kept = match (read(*expression), bp) {
                (Some(Place::Loaded { at, offset }), Some((Place::At(bp_at), bp_by_cfa))) => {
                    kept(at, offset, (bp_at, bp_by_cfa), pc_at)
                }
                _ => None,
            };
            return kept.map_or(Rule::Other, Rule::Kept);
        }
        // Another register: hand-written code.
        _ => return Rule::Other,
    };
    if pc_at != -8 {
        return Rule::Other;
    }
    let saved_bp = match row.register(X86_64::RBP) {
        None | Some(RegisterRule::SameValue | RegisterRule::Undefined) => None,
        Some(RegisterRule::Offset(offset)) => Some(offset),
        _ => return Rule::Other,
    };
    let (Ok(offset), Ok(saved_bp)) = (
        i32::try_from(offset),
        saved_bp.map(i32::try_from).transpose(),
    ) else {
        return Rule::Unknown;
    };
    Rule::Step {
        base,
        offset,
        saved_bp,
    }
}

fn kept(at: i64, offset: i64, (bp_at, bp_by_cfa): (i64, bool), pc_at: i64) -> Option<Kept> {
    Some(Kept {
        at: at.try_into().ok()?,
        offset: offset.try_into().ok()?,
        bp_at: bp_at.try_into().ok()?,
        bp_by_cfa,
        pc_at: pc_at.try_into().ok()?,
    })
}

/// An address at an offset from rbp, or at an offset from the word there.
enum Place {
    At(i64),
    Loaded { at: i64, offset: i64 },
}

/// The address that an expression computes, if it has one of the forms used for functions.
fn kept_at(expression: Expression<Slice>, encoding: Encoding) -> Option<Place> {
    let mut operations = expression.operations(encoding);
    let Some(Operation::RegisterOffset {
        register: X86_64::RBP,
        offset: at,
        ..
    }) = operations.next().ok()?
    else {
        return None;
    };
    match operations.next().ok()? {
        None => return Some(Place::At(at)),
        Some(Operation::Deref {
            size: 8,
            space: false,
            ..
        }) => {}
        Some(_) => return None,
    }
    let offset = match operations.next().ok()? {
        None => return Some(Place::Loaded { at, offset: 0 }),
        Some(Operation::PlusConstant { value }) => i64::try_from(value).ok()?,
        Some(_) => return None,
    };
    let is_all = operations.next().ok()?.is_none();
    is_all.then_some(Place::Loaded { at, offset })
}

#[cfg(test)]
mod tests {
    use super::super::objects;
    use super::*;

    #[test]
    fn functions_of_the_program_have_rules_and_other_addresses_have_none() {
        objects::prepare();
        let function = functions_of_the_program_have_rules_and_other_addresses_have_none as fn();
        let function = function as usize;
        let object = objects::find(function).unwrap();
        assert!(matches!(
            rule_at(&object, function, None),
            Rule::Step { offset: 8, .. }
        ));
        for address in [0, usize::MAX, object.start, object.end] {
            assert_eq!(rule_at(&object, address, None), Rule::Unknown);
        }
    }
}
