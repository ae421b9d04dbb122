//! [`Groups`]: roots that a person sees as one, such as all words of a static.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::{RootClass, class_of};
use crate::graph::Variables;
use crate::graph::file::{Data, RootKind, RootRow};
use crate::graph::names::{Names, at, plain};
use crate::show::text;

/// Roots that a person sees as one: a static, a thread-local in all threads, a function on the
/// stacks of all threads of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::graph) struct Group {
    pub(in crate::graph) class: RootClass,
    pub(in crate::graph) name: String,
}

/// The number of a group.
pub(in crate::graph) type GroupId = u32;

/// All groups. The last one is nothing.
pub(in crate::graph) struct Groups {
    pub(in crate::graph) list: Vec<Group>,
    /// The group of each root.
    pub(in crate::graph) of: Vec<GroupId>,
    /// The groups on each thread's stack, the outermost function first.
    pub(in crate::graph) stacks: Vec<Vec<GroupId>>,
}

impl Groups {
    pub(in crate::graph) fn nothing(&self) -> GroupId {
        self.list.len() as u32 - 1
    }
}

/// Where a root is, as far as names distinguish places.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Place {
    /// A module, and the number of a variable.
    Static(u32, usize),
    /// A static without a name: its module and address.
    Nameless(u32, u64),
    Library(u32),
    ThreadLocal(usize, usize),
    /// Thread-local memory in which no variable has a name.
    ThreadLocalMemory,
    ControlBlock,
    /// A thread, and the number of a frame.
    Stack(u32, usize),
    Register(u32),
    /// The number of a name.
    Named(u32),
    Unknown,
}

/// The groups of all roots.
pub(in crate::graph) fn groups(data: &Data, names: &Names, variables: &[Variables]) -> Groups {
    let mut places: HashMap<Place, GroupId> = HashMap::new();
    let mut known: HashMap<(RootClass, String), GroupId> = HashMap::new();
    let mut list: Vec<Group> = Vec::new();
    let mut of = Vec::with_capacity(data.roots.len());
    for root in &data.roots {
        let place = place_of(data, variables, root);
        let id = *places.entry(place).or_insert_with(|| {
            let class = class_of(data, root);
            let name = name_of(data, names, variables, place);
            *known.entry((class, name.clone())).or_insert_with(|| {
                list.push(Group { class, name });
                list.len() as u32 - 1
            })
        });
        of.push(id);
    }
    list.push(Group {
        class: RootClass::Nothing,
        name: RootClass::Nothing.to_string(),
    });
    Groups {
        list,
        of,
        stacks: stacks(data, &places),
    }
}

/// The groups on each thread's stack, the outermost function first.
fn stacks(data: &Data, places: &HashMap<Place, GroupId>) -> Vec<Vec<GroupId>> {
    let mut frames: Vec<(u32, Reverse<usize>, GroupId)> = Vec::new();
    for (place, group) in places {
        if let Place::Stack(thread, frame) = place {
            frames.push((*thread, Reverse(*frame), *group));
        }
    }
    frames.sort_unstable();
    let mut stacks = vec![Vec::new(); data.threads.len()];
    for (thread, _, group) in frames {
        stacks[thread as usize].push(group);
    }
    stacks
}

fn place_of(data: &Data, variables: &[Variables], root: &RootRow) -> Place {
    let extra = root.extra;
    match root.kind {
        RootKind::Static => {
            let module = &data.modules[extra as usize];
            let address = root.place.wrapping_sub(module.bias);
            let statics = &variables[extra as usize].statics;
            match at(statics, address) {
                Some(variable) => Place::Static(extra, variable),
                None if module.is_program() => Place::Nameless(extra, address),
                None => Place::Library(extra),
            }
        }
        RootKind::ThreadLocal => thread_local(data, variables, root),
        RootKind::Stack => {
            let frames = &data.threads[extra as usize].frames;
            let frame = frames.iter().position(|it| root.place < it.end);
            Place::Stack(extra, frame.unwrap_or(usize::MAX))
        }
        RootKind::Register => Place::Register(extra),
        RootKind::Unknown => Place::Unknown,
        RootKind::Named => Place::Named(extra),
    }
}

fn thread_local(data: &Data, variables: &[Variables], root: &RootRow) -> Place {
    let pointer = data.threads[root.extra as usize].thread_pointer;
    let modules = data.modules.iter().zip(variables).enumerate();
    for (module, (of_module, variables)) in modules {
        let start = pointer.wrapping_sub(of_module.tls_offset);
        let place = root.place.wrapping_sub(start);
        if of_module.tls_offset != 0
            && place < of_module.tls_size
            && let Some(variable) = at(&variables.thread_locals, place)
        {
            return Place::ThreadLocal(module, variable);
        }
    }
    // The control block of the C library starts at the thread pointer, or ends there: thread-locals
    // are on the other side of it. NOTE: those of the program tell, which comes first. Those of a
    // library that was loaded later are anywhere.
    let mut offsets = data.modules.iter().map(|it| it.tls_offset.cast_signed());
    let are_above = offsets.find(|it| *it != 0).is_some_and(|it| it < 0);
    match (root.place >= pointer) != are_above {
        true => Place::ControlBlock,
        false => Place::ThreadLocalMemory,
    }
}

fn name_of(data: &Data, names: &Names, variables: &[Variables], place: Place) -> String {
    match place {
        Place::Static(module, variable) => {
            let name = plain(&variables[module as usize].statics[variable].name);
            match &data.modules[module as usize] {
                it if it.is_program() => format!("static {name}"),
                it => format!("static {name} of {}", text::name(it.name())),
            }
        }
        Place::Nameless(module, address) => {
            let module = &data.modules[module as usize];
            format!("static {}+{address:#x}", text::name(module.name()))
        }
        Place::Library(module) => {
            format!(
                "statics of {}",
                text::name(data.modules[module as usize].name())
            )
        }
        Place::ThreadLocal(module, variable) => {
            let name = plain(&variables[module].thread_locals[variable].name);
            match &data.modules[module] {
                it if it.is_program() => format!("thread-local {name}"),
                it => format!("thread-local {name} of {}", text::name(it.name())),
            }
        }
        Place::ThreadLocalMemory => "thread-locals without names".to_owned(),
        Place::ControlBlock => "the C library's data of threads".to_owned(),
        Place::Stack(thread, frame) => {
            let functions = &names.stacks[thread as usize];
            let stack = format!("the stack of {}", thread_name(data, thread));
            match functions.get(frame).filter(|it| !it.is_empty()) {
                Some(function) => format!("{stack} in {function}"),
                None => stack,
            }
        }
        Place::Register(thread) => format!("the registers of {}", thread_name(data, thread)),
        Place::Named(number) => match data.named.get(number as usize) {
            Some(name) => format!("named root {}", text::name(name)),
            None => format!("named root {number}"),
        },
        Place::Unknown => RootClass::Unknown.to_string(),
    }
}

fn thread_name(data: &Data, thread: u32) -> String {
    match data.threads[thread as usize].name.as_str() {
        "" => "a thread without a name".to_owned(),
        name => text::name(name),
    }
}
