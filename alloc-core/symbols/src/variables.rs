//! [`variables`]: what a file calls its statics and thread-locals.

use alloc_core_snapshot::seam::variables::{Variable, Variables};
use object::{Object as _, ObjectSymbol as _, SymbolKind};

use crate::elf::Binary;
use crate::find;
use crate::{Missing, Module, Search};

/// Lists the variables of a module, from the symbol table of its file or debug file.
///
/// Falls back to dynamic symbols. Debug information is searched in the order of [`Search`].
pub fn variables(module: &Module, search: &Search) -> Result<Variables, Missing> {
    let found = find::find(module, None, search)?;
    let files = [found.debug.as_ref(), found.binary.as_ref()];
    let objects = || {
        files
            .into_iter()
            .flatten()
            .filter_map(|it| it.object().ok())
    };
    let has_symbols = |it: &object::File<'_>| it.symbols().next().is_some();
    if let Some(object) = objects().find(has_symbols) {
        return Ok(of(object.symbols()));
    }
    let dynamic = objects().map(|it| of(it.dynamic_symbols()));
    let first = dynamic.into_iter().find(|it| *it != Variables::default());
    let path = || {
        files
            .into_iter()
            .flatten()
            .next()
            .map(|it: &Binary| it.path.clone())
    };
    first.ok_or_else(|| Missing::Stripped {
        path: path().unwrap_or_else(|| module.path.clone()),
    })
}

fn of<'s>(symbols: impl Iterator<Item = object::Symbol<'s, 's>>) -> Variables {
    let mut variables = Variables::default();
    for symbol in symbols.filter(|it| !it.is_undefined() && it.size() > 0) {
        let list = match symbol.kind() {
            SymbolKind::Data => &mut variables.statics,
            SymbolKind::Tls => &mut variables.thread_locals,
            _ => continue,
        };
        let Ok(name) = symbol.name_bytes() else {
            continue;
        };
        let name = String::from_utf8_lossy(name);
        list.push(Variable {
            start: symbol.address(),
            size: symbol.size(),
            name: format!("{:#}", rustc_demangle::demangle(&name)),
        });
    }
    variables
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::cell::Cell;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    static COUNTER: AtomicU64 = AtomicU64::new(7);

    thread_local! {
        static LOCAL: Cell<[u64; 5]> = const { Cell::new([9; 5]) };
    }

    #[test]
    fn statics_and_thread_locals_have_their_names_and_sizes() {
        COUNTER.fetch_add(1, Ordering::Relaxed);
        LOCAL.set(std::hint::black_box([COUNTER.load(Ordering::Relaxed); 5]));
        let module = Module {
            path: std::env::current_exe().unwrap(),
            ..Module::default()
        };
        let found = variables(&module, &Search::default()).unwrap();
        let of = |list: &[Variable], part: &str| {
            let found = list.iter().find(|it| it.name.contains(part));
            found.cloned().unwrap_or_else(|| panic!("{part}"))
        };
        let counter = of(&found.statics, "variables::tests::COUNTER");
        assert_eq!(
            counter.name,
            "alloc_core_symbols::variables::tests::COUNTER"
        );
        assert_eq!(counter.size, 8);
        // Both are in one page-aligned mapping, so the low bits of the address are the file's.
        let address = (&raw const COUNTER).addr() as u64;
        assert_eq!(address % 4096, counter.start % 4096);
        let local = of(&found.thread_locals, "variables::tests::LOCAL");
        assert_eq!(local.size, 40);
    }

    #[test]
    fn a_missing_file_is_said() {
        let module = Module {
            path: "/no/such/file".into(),
            ..Module::default()
        };
        let missing = variables(&module, &Search::default()).unwrap_err();
        assert!(matches!(missing, Missing::Deleted { .. }), "{missing:?}");
    }
}
