//! Frames of one size: where a function keeps a frame pointer that a walk can do without.

/// Whether rsp is `size` bytes below the end of the frame whenever a function with this code makes
/// the call before which it was so.
///
/// The code must be that of a compiler, and keep a frame pointer.
///
/// # Why
///
/// By the frame pointer a step takes rbp, so whoever wants to know whether a stack is still the
/// same must look at each saved rbp as well as at each return address. By the size it takes rsp
/// alone, as in code without frame pointers.
///
/// # Why it is certain
///
/// Wherever two ways through a function meet, compilers have the same distance between rsp and the
/// end of the frame, unless something has moved rsp by what is known only at run time: `alloca`, or
/// over-aligned locals. That takes an instruction which writes to rsp and is neither a push, a pop
/// nor the addition of a constant; and the bytes of any such are looked for at every place, whether
/// an instruction begins there or not. So the distance seen once is that of every time. And where
/// part of a function lies elsewhere, in code of its own that is seldom run, it would show in how
/// the function returns: with rsp set back from rbp, which is looked for as well.
///
/// That it was seen right is checked against the prologue, which must say the same. So a call that
/// finds its arguments pushed on the stack is not taken.
pub(super) fn is_always(size: usize, code: &[u8]) -> bool {
    size_by_prologue(code) == Some(size) && !moves_rsp(code)
}

/// The longest code that is read.
pub(super) const LONGEST: usize = 1 << 16;

/// The size of the frame that the first prologue in this code makes: rbp is saved and set,
/// registers are pushed, and room is made for locals.
fn size_by_prologue(code: &[u8]) -> Option<usize> {
    const PUSH_RBP_AND_SET_IT: [[u8; 4]; 2] = [[0x55, 0x48, 0x89, 0xE5], [0x55, 0x48, 0x8B, 0xEC]];
    let is_it = |four: &[u8]| PUSH_RBP_AND_SET_IT.iter().any(|it| it == four);
    let start = code.windows(4).position(is_it)?;
    let mut rest = &code[start + 4..];
    // The return address and rbp.
    let mut size = 16;
    while let [0x50..=0x57, after @ ..] | [0x41, 0x50..=0x57, after @ ..] = rest {
        size += 8;
        rest = after;
    }
    Some(match *rest {
        // sub rsp, imm8
        [0x48, 0x83, 0xEC, room @ 0..0x80, ..] => size + usize::from(room),
        // sub rsp, imm32
        [0x48, 0x81, 0xEC, a, b, c, d, ..] => size + u32::from_le_bytes([a, b, c, d]) as usize,
        _ => size,
    })
}

/// Whether anything in this code may be an instruction that moves rsp by what is not a constant, or
/// one that sets it back from rbp.
///
/// PERF: without branches, so that it takes sixteen bytes at once.
fn moves_rsp(code: &[u8]) -> bool {
    let (second, third) = (code.iter().skip(1), code.iter().skip(2));
    let threes = code.iter().zip(second).zip(third);
    threes.fold(false, |moves, ((&prefix, &operation), &operands)| {
        // leave; ret
        let returns = (prefix == 0xC9) & (operation == 0xC3);
        moves | returns | may_move_rsp(prefix, operation, operands)
    })
}

/// Whether these bytes are the first of an instruction with 64-bit operands that writes to rsp, and
/// is not the addition of a constant.
#[inline(always)]
fn may_move_rsp(prefix: u8, operation: u8, operands: u8) -> bool {
    // REX.W; its lowest bit makes the register in the operands' lower bits another, and its third
    // that in the middle.
    let is_wide = prefix & 0xF8 == 0x48;
    let is_lower = (prefix & 1 == 0) & (operands & 0xC7 == 0xC4);
    let is_middle = (prefix & 4 == 0) & (operands & 0x38 == 0x20);
    // add, or, adc, sbb, and, sub, xor, to the operand that is named first, or second.
    let to_lower = (operation & 0xC7 == 0x01) | (operation == 0x89) | (operation == 0x87);
    let to_middle = (operation & 0xC7 == 0x03)
        | (operation == 0x8B)
        | (operation == 0x8D)
        | (operation == 0x87)
        | (operation == 0x63);
    // The same with a constant: all but add, sub and cmp.
    let by_constant = ((operation == 0x81) | (operation == 0x83))
        & (operands != 0xC4)
        & (operands != 0xEC)
        & (operands != 0xFC);
    is_wide & (is_lower & (to_lower | by_constant) | is_middle & to_middle)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// push rbp; mov rbp, rsp; push r15; push rbx; sub rsp, 24
    const PROLOGUE: [u8; 11] = [
        0x55, 0x48, 0x89, 0xE5, 0x41, 0x57, 0x53, 0x48, 0x83, 0xEC, 0x18,
    ];
    /// add rsp, 24; pop rbx; pop r15; pop rbp; ret
    const EPILOGUE: [u8; 9] = [0x48, 0x83, 0xC4, 0x18, 0x5B, 0x41, 0x5F, 0x5D, 0xC3];

    fn function(prologue: &[u8], body: &[u8]) -> Vec<u8> {
        [prologue, body, &EPILOGUE].concat()
    }

    #[test]
    fn a_frame_is_as_large_as_its_prologue_makes_it() {
        assert!(is_always(56, &function(&PROLOGUE, &[])));
        assert!(!is_always(64, &function(&PROLOGUE, &[])));
        // Where it goes an early way without a frame first: test rdi, rdi; je.
        let late = [&[0x48, 0x85, 0xFF, 0x74, 0x20], PROLOGUE.as_slice()].concat();
        assert!(is_always(56, &function(&late, &[])));
        let large = [
            0x55, 0x48, 0x8B, 0xEC, 0x48, 0x81, 0xEC, 0x00, 0x08, 0x00, 0x00,
        ];
        assert!(is_always(16 + 0x800, &function(&large, &[])));
        assert!(is_always(16, &function(&PROLOGUE[..4], &[])));
        assert!(!is_always(16, &EPILOGUE));
        assert!(!is_always(16, &[]));
    }

    #[test]
    fn whatever_moves_rsp_by_what_varies_is_found() {
        let moving: [&[u8]; 10] = [
            &[0x48, 0x29, 0xC4],                // sub rsp, rax
            &[0x4C, 0x29, 0xC4],                // sub rsp, r8
            &[0x48, 0x2B, 0x65, 0xD0],          // sub rsp, [rbp - 48]
            &[0x48, 0x89, 0xC4],                // mov rsp, rax
            &[0x48, 0x8B, 0xE0],                // mov rsp, rax, the other way
            &[0x49, 0x8B, 0xE0],                // mov rsp, r8, the other way
            &[0x48, 0x83, 0xE4, 0xC0],          // and rsp, -64
            &[0x48, 0x81, 0xE4, 0, 0xFF, 0, 0], // and rsp, imm32
            &[0x48, 0x8D, 0x65, 0xD8],          // lea rsp, [rbp - 40]
            &[0xC9, 0xC3],                      // leave; ret
        ];
        for body in moving {
            for before in [&[][..], &[0x90], &[0x0F, 0x1F, 0x00]] {
                let body = [before, body].concat();
                assert!(!is_always(56, &function(&PROLOGUE, &body)), "{body:x?}");
            }
        }
        let others: [&[u8]; 6] = [
            &[0x4C, 0x8B, 0x64, 0x24, 0x08], // mov r12, [rsp + 8]
            &[0x49, 0x89, 0xC4],             // mov r12, rax
            &[0x48, 0x89, 0x04, 0x24],       // mov [rsp], rax
            &[0x48, 0x8D, 0x7C, 0x24, 0x10], // lea rdi, [rsp + 16]
            &[0x48, 0x01, 0xE0],             // add rax, rsp
            &[0x48, 0x83, 0xEC, 0x08],       // sub rsp, 8
        ];
        for body in others {
            assert!(is_always(56, &function(&PROLOGUE, body)), "{body:x?}");
        }
    }
}
