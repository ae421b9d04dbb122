//! The environment of the process: variables, folders, the host.

use super::errno;

/// The value of an environment variable, without allocating or locking. `None` if the program has
/// more rights than the user who started it, since that user must not control it.
///
/// NOTE: the program may overwrite the value, as programs do that set their title.
pub(crate) fn environment(name: &std::ffi::CStr) -> Option<&'static std::ffi::CStr> {
    if has_more_rights_than_its_user() {
        return None;
    }
    // SAFETY: the name is valid. The value is read before the program's own code can change it, or
    // copied before anything else is called.
    let value = unsafe { libc::getenv(name.as_ptr()) };
    // SAFETY: the pointer is null, or a string of the environment, which ends in a NUL byte.
    (!value.is_null()).then(|| unsafe { std::ffi::CStr::from_ptr(value) })
}

/// Calls `act` with each variable of the environment, as `NAME=value`, without allocating or
/// locking. Calls it for none if [`environment`] returns none.
pub(crate) fn for_each_variable(mut act: impl FnMut(&std::ffi::CStr)) {
    #[cfg(any(target_os = "macos", target_os = "ios"))]
    fn all() -> *const *const libc::c_char {
        unsafe extern "C" {
            fn _NSGetEnviron() -> *const *const *const libc::c_char;
        }
        // SAFETY: the call takes no arguments, and its result is readable.
        unsafe { *_NSGetEnviron() }
    }
    #[cfg(not(any(target_os = "macos", target_os = "ios")))]
    fn all() -> *const *const libc::c_char {
        unsafe extern "C" {
            static environ: *const *const libc::c_char;
        }
        // SAFETY: a pointer of the C library, read before the program's own code can change it.
        unsafe { environ }
    }
    if has_more_rights_than_its_user() {
        return;
    }
    let mut place = all();
    // SAFETY: the place is null, or in an array of strings that ends in a null.
    while let Some(&variable) = unsafe { place.as_ref() }.filter(|it| !it.is_null()) {
        // SAFETY: the variable is a string of the environment, which ends in a NUL byte. It is read
        // before the program's own code can change it, or copied first.
        act(unsafe { std::ffi::CStr::from_ptr(variable) });
        // SAFETY: `place` is not at the terminating null, so the next element is in the array.
        place = unsafe { place.add(1) };
    }
}

/// Whether the path is a folder; an error number if neither can be known.
pub(crate) fn is_folder(path: &std::ffi::CStr) -> Result<bool, i32> {
    let mut found = std::mem::MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: the path ends in a NUL byte, and `found` has room for the answer.
    if unsafe { libc::stat(path.as_ptr(), found.as_mut_ptr()) } != 0 {
        return Err(errno());
    }
    // SAFETY: zero is valid for all fields, and the system has filled them.
    let found = unsafe { found.assume_init() };
    Ok(found.st_mode & libc::S_IFMT == libc::S_IFDIR)
}

/// Whether this process has the access `how` to the path: `libc::W_OK` and the like.
pub(crate) fn may(path: &std::ffi::CStr, how: libc::c_int) -> bool {
    // SAFETY: the path ends in a NUL byte, and `how` is a number.
    unsafe { libc::access(path.as_ptr(), how) == 0 }
}

/// Whether the program has the rights of another user or group, or capabilities, from its file.
fn has_more_rights_than_its_user() -> bool {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    // SAFETY: a query with a number. The system sets this entry at the program's start; zero means
    // no extra rights.
    return unsafe { libc::getauxval(libc::AT_SECURE) } != 0;
    #[cfg(any(
        target_os = "macos",
        target_os = "ios",
        target_os = "freebsd",
        target_os = "dragonfly",
        target_os = "netbsd",
        target_os = "openbsd"
    ))]
    // SAFETY: the call takes no arguments.
    return unsafe { issetugid() } != 0;
    #[allow(unreachable_code, reason = "where the system tells")]
    {
        // SAFETY: the call takes no arguments.
        let user = unsafe { libc::getuid() };
        // SAFETY: the call takes no arguments.
        let group = unsafe { libc::getgid() };
        // SAFETY: the call takes no arguments.
        let is_its_user = user == unsafe { libc::geteuid() };
        // SAFETY: the call takes no arguments.
        !is_its_user || group != unsafe { libc::getegid() }
    }
}

#[cfg(any(
    target_os = "macos",
    target_os = "ios",
    target_os = "freebsd",
    target_os = "dragonfly",
    target_os = "netbsd",
    target_os = "openbsd"
))]
unsafe extern "C" {
    // NOTE: `libc` does not declare it on every system.
    fn issetugid() -> libc::c_int;
}

/// Writes the path of the working directory to `place` and returns its length in bytes. Returns
/// `None` if there is no path, or if `place` is too short. Allocates nothing.
pub(crate) fn working_directory(place: &mut [u8]) -> Option<usize> {
    #[cfg(target_os = "linux")]
    let found = {
        // NOTE: the function of the C library may allocate.
        //
        // SAFETY: `place` has room for the number of bytes passed.
        unsafe { libc::syscall(libc::SYS_getcwd, place.as_mut_ptr(), place.len()) > 0 }
    };
    #[cfg(not(target_os = "linux"))]
    // SAFETY: `place` has room for the number of bytes passed.
    let found = unsafe { !libc::getcwd(place.as_mut_ptr().cast(), place.len()).is_null() };
    // A directory that cannot be reached from the root has no path.
    let is_path = found && place.first() == Some(&b'/');
    let len = || place.iter().position(|&byte| byte == 0);
    is_path.then(len).flatten()
}

/// The name of the host.
pub(crate) fn host_name() -> Vec<u8> {
    let mut name = [0_u8; 256];
    // SAFETY: `name` has room for the number of bytes passed, and one more, which stays zero.
    unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len() - 1) };
    let name = name.split(|&byte| byte == 0).next();
    name.unwrap_or_default().to_vec()
}
