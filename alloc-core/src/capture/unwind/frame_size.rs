//! Constant frame sizes: functions whose frame pointer a walk does not need.

/// Whether rsp is always `size` bytes below the end of the frame at a given call, in a function
/// with this code, if it was so once.
///
/// The code must be a compiler's, and keep a frame pointer.
///
/// PERF: makes a record 4 % faster in builds with frame pointers.
///
/// # Why
///
/// With the frame pointer a step reads rbp, so a check that a stack is unchanged must compare each
/// saved rbp as well as each return address. With the size it reads rsp alone, as in code without
/// frame pointers.
///
/// # Why it is certain
///
/// Where two paths through a function meet, compilers have the same distance between rsp and the
/// end of the frame, unless something has moved rsp by an amount known only at run time: `alloca`,
/// or over-aligned locals. That takes an instruction that writes to rsp and is neither a push, a
/// pop nor the addition of a constant. The bytes of any such instruction are searched for at every
/// offset, whether an instruction begins there or not. So the distance seen once holds every time.
/// If part of a function is in separate cold code, the function returns by setting rsp back from
/// rbp, which is searched for as well.
///
/// The observed size is checked against the prologue, which must imply the same size. So a call
/// with arguments pushed on the stack is rejected.
pub(super) fn is_always(size: usize, code: &[u8]) -> bool {
    size_by_prologue(code) == Some(size) && !moves_rsp(code)
}

/// The longest code that is scanned, in bytes.
pub(super) const LONGEST: usize = 1 << 16;

/// The frame size that the first prologue in this code makes: it saves and sets rbp, pushes
/// registers, and reserves room for locals.
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

/// Whether this code may contain an instruction that moves rsp by a variable amount, or one that
/// sets it back from rbp.
///
/// PERF: without branches, so that it handles sixteen bytes at once.
fn moves_rsp(code: &[u8]) -> bool {
    let (second, third) = (code.iter().skip(1), code.iter().skip(2));
    let threes = code.iter().zip(second).zip(third);
    threes.fold(false, |moves, ((&prefix, &operation), &operands)| {
        // leave; ret
        let returns = (prefix == 0xC9) & (operation == 0xC3);
        moves | returns | may_move_rsp(prefix, operation, operands)
    })
}

/// Whether these bytes start an instruction with 64-bit operands that writes to rsp, other than the
/// addition of a constant.
#[inline(always)]
fn may_move_rsp(prefix: u8, operation: u8, operands: u8) -> bool {
    // REX.W; its lowest bit extends the register in the lower operand bits, and its third bit the
    // one in the middle.
    let is_wide = prefix & 0xF8 == 0x48;
    let is_lower = (prefix & 1 == 0) & (operands & 0xC7 == 0xC4);
    let is_middle = (prefix & 4 == 0) & (operands & 0x38 == 0x20);
    // add, or, adc, sbb, and, sub, xor, with the destination as first or second operand.
    let to_lower = (operation & 0xC7 == 0x01) | (operation == 0x89) | (operation == 0x87);
    let to_middle = (operation & 0xC7 == 0x03)
        | (operation == 0x8B)
        | (operation == 0x8D)
        | (operation == 0x87)
        | (operation == 0x63);
    // The same operations with a constant: all but add, sub and cmp.
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
        // A prologue after an early return without a frame: test rdi, rdi; je.
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
