//! The modules of this process: those loaded now, and unloaded ones that recorded stacks refer to.

use crate::capture::modules::{Listed, list};
use crate::snapshot::modules::Module;
use crate::{capture, control};

/// Returns all modules, the program first.
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

/// Calls `each` with all [`known`] modules. Does not allocate on Linux.
///
/// NOTE: unloaded modules are those found when the tables were read: see
/// [`look`](crate::capture::look).
pub(crate) fn for_each(each: &mut dyn FnMut(Listed<'_>)) {
    control::beside_record(|| list(each));
    capture::for_each_gone(each);
}

#[cfg(all(test, target_os = "linux", not(miri)))]
mod tests {
    use super::*;

    #[test]
    fn this_function_is_in_the_first_module_and_libc_in_another() {
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
