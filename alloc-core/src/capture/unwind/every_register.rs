//! [`walk`]: walks stacks with frames that need more than three registers to step over.
//!
//! A signal's frame holds all registers of the interrupted function. Hand-written functions count
//! from any register, or describe the end of their frame by an expression. Few stacks have such a
//! frame; the others are walked by [rules](super::rules) for three registers only. Here each step
//! evaluates the unwind table itself, in about a microsecond.

use gimli::{
    CfaRule, Encoding, Evaluation, EvaluationResult, EvaluationStorage, Piece, Register,
    RegisterRule, UnwindExpression, Value, X86_64,
};

use super::checks::read_stack;
use super::region::is_readable;
use super::tables::{self, Frames, Row, Slice};
use super::{objects, spare_stack};
use crate::capture::bounds::StackBounds;

/// The registers that a step reads and writes, by their numbers in unwind tables: sixteen, and the
/// instruction pointer.
#[derive(Clone, Copy)]
pub(crate) struct AllRegisters {
    values: [usize; AllRegisters::COUNT],
    /// A bit for each register whose value is known.
    known: u32,
}

impl AllRegisters {
    pub(crate) const COUNT: usize = 17;
    /// Callee-saved registers: rbx, rbp, rsp, and r12 to r15.
    const KEPT_BY_CALLS: u32 = 1 << 3 | 1 << 6 | 1 << 7 | 0xF << 12;

    /// The registers of the function that this is inlined into.
    #[inline(always)]
    pub(crate) fn here() -> AllRegisters {
        let mut values = [0_usize; AllRegisters::COUNT];
        // SAFETY: writes eight registers into the array, which has enough places, and changes only
        // the output.
        unsafe {
            std::arch::asm!(
                "mov [{values} + 24], rbx",
                "mov [{values} + 48], rbp",
                "mov [{values} + 56], rsp",
                "mov [{values} + 96], r12",
                "mov [{values} + 104], r13",
                "mov [{values} + 112], r14",
                "mov [{values} + 120], r15",
                "lea {pc}, [rip]",
                "mov [{values} + 128], {pc}",
                values = in(reg) values.as_mut_ptr(),
                pc = out(reg) _,
                options(nostack, preserves_flags),
            );
        }
        AllRegisters {
            values,
            known: AllRegisters::KEPT_BY_CALLS | 1 << X86_64::RA.0,
        }
    }

    /// Those of a signal's frame, all of which are known.
    pub(crate) fn of_signal(mut values: [usize; AllRegisters::COUNT]) -> AllRegisters {
        let pc = &mut values[usize::from(X86_64::RA.0)];
        // One past the instruction, as a return address is.
        *pc = pc.wrapping_add(1);
        let known = (1 << AllRegisters::COUNT) - 1;
        AllRegisters { values, known }
    }

    /// The values, zero for registers that are not known.
    pub(crate) fn values(&self) -> &[usize] {
        &self.values
    }

    pub(super) fn pc(&self) -> usize {
        self.values[usize::from(X86_64::RA.0)]
    }

    pub(crate) fn sp(&self) -> usize {
        self.values[usize::from(X86_64::RSP.0)]
    }

    fn get(&self, register: Register) -> Option<usize> {
        let value = self.values.get(usize::from(register.0))?;
        (self.known >> register.0 & 1 != 0).then_some(*value)
    }

    fn set(&mut self, register: Register, value: Option<usize>) {
        let Some(place) = self.values.get_mut(usize::from(register.0)) else {
            // A register that is not tracked, such as a vector register.
            return;
        };
        let bit = 1 << register.0;
        match value {
            Some(value) => (*place, self.known) = (value, self.known | bit),
            None => self.known &= !bit,
        }
    }
}

/// The memory that a walk may read.
struct Memory {
    /// The part of the thread's own stack that is in use, if the walk began there.
    low: usize,
    high: usize,
    /// A page that is readable, according to the system.
    page: usize,
}

impl Memory {
    const PAGE: usize = 4096;

    fn read(&mut self, address: usize) -> Option<usize> {
        if !address.is_multiple_of(8) {
            return None;
        }
        let page = address / Memory::PAGE;
        if !(self.low..self.high).contains(&address) && page != self.page {
            if !is_readable(address) {
                return None;
            }
            self.page = page;
        }
        // SAFETY: the address is aligned, and in use by the thread's own frames, or in a readable
        // page.
        Some(unsafe { read_stack(address) })
    }
}

/// A return address, or one past the instruction that a signal interrupted, and the end of its
/// frame.
#[derive(Clone, Copy)]
pub(super) struct Return {
    pub(super) pc: usize,
    pub(super) cfa: usize,
}

/// How a walk ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The last function has no caller.
    Bottom,
    /// The rule is missing or cannot be followed.
    Lost,
    /// The callback stopped the walk.
    Enough,
}

/// Walks outward from these registers, which are those of a live frame of the calling thread.
/// Passes each address to `each` until that returns `false`.
pub(super) fn walk(
    from: AllRegisters,
    own: StackBounds,
    mut each: impl FnMut(Return) -> bool,
) -> End {
    spare_stack::run(|| {
        let sp = from.get(X86_64::RSP).unwrap_or_default();
        let low = if own.hold(sp) { sp } else { own.high };
        let mut memory = Memory {
            low,
            high: own.high,
            page: 0,
        };
        let (mut registers, mut is_call) = (from, true);
        loop {
            let Some(pc) = registers.get(X86_64::RA) else {
                return End::Bottom;
            };
            if pc == 0 {
                return End::Bottom;
            }
            // The call is the instruction before; the one after it may belong to another function.
            let at = if is_call { pc.wrapping_sub(1) } else { pc };
            let object = objects::find(at);
            let next = object.and_then(|object| {
                tables::with_row(&object, at, |row, frames, entry| {
                    let encoding = entry.cie().encoding();
                    let step = Step {
                        registers: &registers,
                        frames,
                        encoding,
                    };
                    let is_signal = entry.is_signal_trampoline();
                    Some((step.to_caller(row, is_signal, &mut memory)?, is_signal))
                })
            });
            let Some(((next, cfa), is_signal)) = next else {
                return End::Lost;
            };
            (registers, is_call) = (next, !is_signal);
            let Some(pc) = registers.get(X86_64::RA).filter(|pc| *pc != 0) else {
                return End::Bottom;
            };
            let pc = if is_signal { pc.wrapping_add(1) } else { pc };
            if !each(Return { pc, cfa }) {
                return End::Enough;
            }
        }
    })
}

struct Step<'a> {
    registers: &'a AllRegisters,
    frames: &'a Frames,
    encoding: Encoding,
}

impl Step<'_> {
    /// The caller's registers and the end of the frame. Without a caller, the instruction pointer
    /// is unknown.
    fn to_caller(
        &self,
        row: &Row,
        is_signal: bool,
        memory: &mut Memory,
    ) -> Option<(AllRegisters, usize)> {
        let cfa = match row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => {
                let base = self.registers.get(*register)?;
                base.wrapping_add_signed(isize::try_from(*offset).ok()?)
            }
            CfaRule::Expression(expression) => self.evaluate(*expression, None, memory)?,
        };
        let mut caller = *self.registers;
        if !is_signal {
            caller.known &= AllRegisters::KEPT_BY_CALLS;
        }
        caller.set(X86_64::RSP, Some(cfa));
        caller.set(X86_64::RA, None);
        let at = |offset: i64| cfa.wrapping_add_signed(offset as isize);
        for (register, rule) in row.registers() {
            let value = match *rule {
                RegisterRule::SameValue => self.registers.get(*register),
                RegisterRule::Offset(offset) => memory.read(at(offset)),
                RegisterRule::ValOffset(offset) => Some(at(offset)),
                RegisterRule::Register(other) => self.registers.get(other),
                RegisterRule::Expression(it) => {
                    let place = self.evaluate(it, Some(cfa), memory);
                    place.and_then(|place| memory.read(place))
                }
                RegisterRule::ValExpression(it) => self.evaluate(it, Some(cfa), memory),
                RegisterRule::Constant(value) => usize::try_from(value).ok(),
                RegisterRule::Undefined | RegisterRule::Architectural => None,
            };
            let is_lost = value.is_none() && !matches!(rule, RegisterRule::Undefined);
            if *register == X86_64::RA && is_lost {
                return None;
            }
            caller.set(*register, value);
        }
        Some((caller, cfa))
    }

    fn evaluate(
        &self,
        expression: UnwindExpression<usize>,
        first: Option<usize>,
        memory: &mut Memory,
    ) -> Option<usize> {
        const MOST_OPERATIONS: u32 = 100;
        let expression = expression.get(self.frames).ok()?;
        let mut evaluation = Evaluation::<Slice, Storage>::new_in(expression.0, self.encoding);
        evaluation.set_max_iterations(MOST_OPERATIONS);
        if let Some(first) = first {
            evaluation.set_initial_value(first as u64);
        }
        let mut state = evaluation.evaluate().ok()?;
        loop {
            state = match state {
                EvaluationResult::Complete => break,
                EvaluationResult::RequiresRegister { register, .. } => {
                    let value = self.registers.get(register)?;
                    evaluation.resume_with_register(Value::Generic(value as u64))
                }
                EvaluationResult::RequiresMemory {
                    address, size: 8, ..
                } => {
                    let word = memory.read(usize::try_from(address).ok()?)?;
                    evaluation.resume_with_memory(Value::Generic(word as u64))
                }
                _ => return None,
            }
            .ok()?;
        }
        match evaluation.value_result()? {
            Value::Generic(value) => usize::try_from(value).ok(),
            _ => None,
        }
    }
}

/// Storage for evaluating an expression, without heap memory.
struct Storage;

impl EvaluationStorage<Slice> for Storage {
    type Stack = [Value; 16];
    type ExpressionStack = [(Slice, Slice); 1];
    type Result = [Piece<Slice>; 1];
}
