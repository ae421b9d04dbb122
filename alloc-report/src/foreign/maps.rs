//! [`modules`]: the program and its libraries, from the memory map at the end of a profile.

use alloc_core_snapshot::Error;
use alloc_core_snapshot::seam::modules::Module;

use super::budget::Budget;

/// The modules in lines of `/proc/self/maps`, the program first. Lines without code of a file are
/// skipped.
///
/// The program's file is the one that is mapped first. The map has no build ids, so a file of
/// another build is not noticed, and the snapshot says so.
pub(super) fn modules<'a>(
    lines: impl Iterator<Item = &'a str>,
    budget: &mut Budget,
) -> Result<Vec<Module>, Error> {
    let mut program = None;
    let mut modules = Vec::new();
    for line in lines {
        let Some((module, is_code)) = segment(line) else {
            continue;
        };
        if program.is_none() {
            program = Some(module.path.clone());
        }
        if is_code {
            budget.take(1, 3 * size_of::<Module>() + module.path.len(), "mappings")?;
            modules.push(module);
        }
    }
    // The sort is stable.
    modules.sort_by_key(|it| Some(&it.path) != program.as_ref());
    Ok(modules)
}

/// A line such as `55d26a82d000-55d26a8de000 r-xp 0002a000 fe:00 10118249   /srv/shop`, if it is of
/// a file, and whether it has code.
fn segment(line: &str) -> Option<(Module, bool)> {
    let (range, rest) = line.trim_start().split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    let (permissions, rest) = rest.trim_start().split_once(' ')?;
    let (offset, rest) = rest.trim_start().split_once(' ')?;
    let (_device, rest) = rest.trim_start().split_once(' ')?;
    let (_inode, path) = rest.trim_start().split_once(' ')?;
    let path = path.trim();
    let number = |text| u64::from_str_radix(text, 16).ok();
    let module = Module {
        start: number(start)?,
        end: number(end)?,
        file_offset: number(offset)?,
        path: path.to_owned(),
        build_id: String::new(),
    };
    (path.starts_with('/') && module.start < module.end)
        .then_some((module, permissions.contains('x')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_of_files_becomes_modules_with_the_program_first() {
        let maps = "\
55d26a802000-55d26a82d000 r--p 00000000 fe:00 10118249                   /srv/my shop
7f4a7a700000-7f4a7b400000 rw-p 00000000 00:00 0 
7f4a7d2b0000-7f4a7d406000 r-xp 00026000 fe:00 326279                     /usr/lib/libc.so.6
95d26a82d000-95d26a8de000 r-xp 0002a000 fe:00 10118249                   /srv/my shop
7f4a7d47e000-7f4a7d480000 r-xp 00000000 00:00 0                          [vdso]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
not a line of a map
2-1 r-xp 0 fe:00 7 /srv/backwards
";
        let modules = modules(maps.lines(), &mut Budget::of(0, "a map")).unwrap();
        let shown = modules.iter().map(|it| {
            let (start, offset) = (it.start, it.file_offset);
            format!("{start:x} {offset:x} {}", it.path)
        });
        assert_eq!(
            shown.collect::<Vec<_>>(),
            [
                "95d26a82d000 2a000 /srv/my shop",
                "7f4a7d2b0000 26000 /usr/lib/libc.so.6",
            ]
        );
    }
}
