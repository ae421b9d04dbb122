//! The environment of the process: variables, folders, the host.

use super::errno;

/// The value of an environment variable, without allocating or locking. `None` where the program
/// has rights that whoever started it has not: what it does is not theirs to say.
///
/// NOTE: the program may write over it, as those do that set their title.
pub(crate) fn environment(name: &std::ffi::CStr) -> Option<&'static std::ffi::CStr> {
    if has_more_rights_than_its_user() {
        return None;
    }
    // SAFETY: a valid name. The value is read before the program's own code can change it, or
    // copied before anything else is called.
    let value = unsafe { libc::getenv(name.as_ptr()) };
    // SAFETY: null, or a string of the environment, which ends in a zero.
    (!value.is_null()).then(|| unsafe { std::ffi::CStr::from_ptr(value) })
}

/// Calls `act` with each variable of the environment, as `NAME=value`, without allocating or
/// locking; with none where [`environment`] has none.
pub(crate) fn for_each_variable(mut act: impl FnMut(&std::ffi::CStr)) {
    #[cfg(any(target_os = "macos", target_os = "ios"))]
    fn all() -> *const *const libc::c_char {
        unsafe extern "C" {
            fn _NSGetEnviron() -> *const *const *const libc::c_char;
        }
        // SAFETY: a call without arguments, whose result may be read.
        unsafe { *_NSGetEnviron() }
    }
    #[cfg(not(any(target_os = "macos", target_os = "ios")))]
    fn all() -> *const *const libc::c_char {
        unsafe extern "C" {
            static environ: *const *const libc::c_char;
        }
        // SAFETY: a pointer of the C library's, read before the program's own code can change
        // it.
        unsafe { environ }
    }
    if has_more_rights_than_its_user() {
        return;
    }
    let mut place = all();
    // SAFETY: null, or an array of strings that ends in a null.
    while let Some(&variable) = unsafe { place.as_ref() }.filter(|it| !it.is_null()) {
        // SAFETY: a string of the environment, which ends in a zero and stays as `environment`
        // says.
        act(unsafe { std::ffi::CStr::from_ptr(variable) });
        // SAFETY: the next one, or the null at the end.
        place = unsafe { place.add(1) };
    }
}

/// What the system says of a path: whether there is a folder, or something else, or why neither
/// can be told.
pub(crate) fn is_folder(path: &std::ffi::CStr) -> Result<bool, i32> {
    let mut found = std::mem::MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: a string that ends in a zero, and room for the answer.
    if unsafe { libc::stat(path.as_ptr(), found.as_mut_ptr()) } != 0 {
        return Err(errno());
    }
    // SAFETY: zero is a value of all fields, and the system has filled them.
    let found = unsafe { found.assume_init() };
    Ok(found.st_mode & libc::S_IFMT == libc::S_IFDIR)
}

/// Whether this process may do so with what is at the path: `libc::W_OK` and its like.
pub(crate) fn may(path: &std::ffi::CStr, how: libc::c_int) -> bool {
    // SAFETY: a string that ends in a zero, and a number.
    unsafe { libc::access(path.as_ptr(), how) == 0 }
}

/// Whether the program was given the rights of another user or group, or capabilities, by its file.
fn has_more_rights_than_its_user() -> bool {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    // SAFETY: a number. The system tells the program so at its start; zero is what it says of all
    // others.
    return unsafe { libc::getauxval(libc::AT_SECURE) } != 0;
    #[cfg(any(
        target_os = "macos",
        target_os = "ios",
        target_os = "freebsd",
        target_os = "dragonfly",
        target_os = "netbsd",
        target_os = "openbsd"
    ))]
    // SAFETY: a call without arguments.
    return unsafe { issetugid() } != 0;
    #[allow(unreachable_code, reason = "where the system tells")]
    {
        // SAFETY: a call without arguments.
        let user = unsafe { libc::getuid() };
        // SAFETY: a call without arguments.
        let group = unsafe { libc::getgid() };
        // SAFETY: a call without arguments.
        let is_its_user = user == unsafe { libc::geteuid() };
        // SAFETY: a call without arguments.
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
    // NOTE: `libc` does not have it everywhere.
    fn issetugid() -> libc::c_int;
}

/// Writes the path of the working directory to a place, and returns how long it is. `None` where
/// there is none, or it is longer. Allocates nothing.
pub(crate) fn working_directory(place: &mut [u8]) -> Option<usize> {
    #[cfg(target_os = "linux")]
    let found = {
        // NOTE: that of the C library may allocate.
        //
        // SAFETY: room for as many bytes as are said.
        unsafe { libc::syscall(libc::SYS_getcwd, place.as_mut_ptr(), place.len()) > 0 }
    };
    #[cfg(not(target_os = "linux"))]
    // SAFETY: room for as many bytes as are said.
    let found = unsafe { !libc::getcwd(place.as_mut_ptr().cast(), place.len()).is_null() };
    // One that cannot be reached from the root has no path.
    let is_path = found && place.first() == Some(&b'/');
    let len = || place.iter().position(|&byte| byte == 0);
    is_path.then(len).flatten()
}

/// The name of the host.
pub(crate) fn host_name() -> Vec<u8> {
    let mut name = [0_u8; 256];
    // SAFETY: room for as many bytes as are said, and one more, which stays zero.
    unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len() - 1) };
    let name = name.split(|&byte| byte == 0).next();
    name.unwrap_or_default().to_vec()
}
