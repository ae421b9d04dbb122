//! The modules of this process: those that are loaded, and those that are gone.
//!
//! In: the loader's list. Out: modules, the program first. Never: a call from a record.

use crate::capture::modules::{Listed, list};
use crate::control;
use crate::snapshot::modules::Module;

/// The modules now loaded, the program first, and those that are gone which stacks pass through.
pub(crate) fn known() -> Vec<Module> {
    let mut modules = Vec::new();
    for_each(&mut |it| {
        modules.push(Module {
            start: it.start,
            end: it.end,
            file_offset: it.file_offset,
            path: String::from_utf8_lossy(it.path).into_owned(),
            build_id: String::from_utf8_lossy(it.write_build_id(&mut [0; 128])).into_owned(),
        });
    });
    modules
}

/// Passes on the modules that are [`known`], the program first. Allocates nothing on Linux.
///
/// NOTE: a library is gone if it was when the tables were read: see [`look`].
pub(crate) fn for_each(each: &mut dyn FnMut(Listed<'_>)) {
    for_each_loaded(each);
    crate::capture::for_each_gone(each);
}

/// Takes note of which libraries are gone. Enters the loader.
pub(crate) fn look() {
    crate::capture::look(for_each_loaded);
}

/// Passes on the modules now loaded.
///
/// It enters the loader, so it is never called from a record. It runs beside one, since a fork would
/// leave the loader's lock taken in the child if another thread had it.
fn for_each_loaded(each: &mut dyn FnMut(Listed<'_>)) {
    control::beside_record(|| list(each));
}

#[cfg(all(test, target_os = "linux", not(miri)))]
mod tests {
    use super::*;

    #[test]
    fn this_function_lies_in_the_first_module_and_libc_in_another() {
        let modules = known();
        let holds = |address: usize| {
            modules
                .iter()
                .position(|it| (it.start..it.end).contains(&(address as u64)))
        };
        assert_eq!(holds(known as *const () as usize), Some(0));
        let libc = holds(libc::getpid as *const () as usize).unwrap();
        assert_ne!(libc, 0);
        assert!(modules[libc].path.contains("libc"));
        assert!(
            modules[libc]
                .name_of(modules[libc].start)
                .starts_with("libc")
        );
    }
}
