//! What the tracer asks of the operating system: to be told of threads that end, of forks and of
//! the process's end, and of the system's allocator.

pub(crate) use imp::*;

/// Tells the threads of the process apart, as the system does.
pub(crate) type ThreadId = i32;

/// The threads of the process, those that come or go meanwhile perhaps among them.
#[cfg(target_os = "linux")]
pub(crate) fn threads() -> std::io::Result<Vec<ThreadId>> {
    let id = |entry: std::io::Result<std::fs::DirEntry>| {
        let id = entry?.file_name().to_str().and_then(|it| it.parse().ok());
        id.ok_or_else(|| std::io::Error::other("/proc/self/task is not what it was"))
    };
    std::fs::read_dir("/proc/self/task")?.map(id).collect()
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn threads() -> std::io::Result<Vec<ThreadId>> {
    let message = "they are listed on Linux only";
    Err(std::io::Error::new(
        std::io::ErrorKind::Unsupported,
        message,
    ))
}

/// The calling thread.
#[cfg(target_os = "linux")]
pub(crate) fn thread_id() -> ThreadId {
    // SAFETY: a system call without arguments. What it returns fits: it is a `pid_t`.
    unsafe { libc::syscall(libc::SYS_gettid) as ThreadId }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn thread_id() -> ThreadId {
    0
}

/// Whether a thread of this process is gone. `false` where the system does not tell.
pub(crate) fn is_gone(thread: ThreadId) -> bool {
    #[cfg(target_os = "linux")]
    {
        let before = errno();
        // SAFETY: a call without arguments.
        let process = unsafe { libc::getpid() };
        // SAFETY: numbers; no signal is sent by this one.
        let failed = unsafe { libc::syscall(libc::SYS_tgkill, process, thread, 0) } != 0;
        let is_gone = failed && errno() == libc::ESRCH;
        // An allocator leaves it as it was.
        set_errno(before);
        is_gone
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = thread;
        false
    }
}

/// Whether the process has no other thread. `false` where the system does not tell. Allocates nothing.
pub(crate) fn is_sole_thread() -> bool {
    #[cfg(target_os = "linux")]
    {
        // The name, in parentheses, may hold anything; the number of threads is the eighteenth after it.
        let (mut at_end, mut fields, mut count) = (false, 0, 0_u32);
        let told = read_file(c"/proc/self/stat", |byte| match byte {
            b')' => (at_end, fields, count) = (true, 0, 0),
            b' ' if at_end => fields += 1,
            b'0'..=b'9' if at_end && fields == 18 => {
                count = count
                    .saturating_mul(10)
                    .saturating_add(u32::from(byte - b'0'));
            }
            _ => {}
        });
        told && count == 1
    }
    #[cfg(not(target_os = "linux"))]
    false
}

/// Hands over the start and the end of whatever is mapped, in the order of addresses, and returns whether that is
/// all. Allocates nothing.
pub(crate) fn for_each_mapping(mut each: impl FnMut(usize, usize)) -> bool {
    #[cfg(target_os = "linux")]
    {
        enum Part {
            Start,
            End,
            Rest,
        }
        let (mut part, mut start, mut end) = (Part::Start, 0_usize, 0_usize);
        let hex = |number: usize, byte: u8| {
            let digit = char::from(byte).to_digit(16).unwrap_or(0);
            number << 4 | digit as usize
        };
        read_file(c"/proc/self/maps", |byte| match (&part, byte) {
            (Part::Start, b'-') => part = Part::End,
            (Part::Start, _) => start = hex(start, byte),
            (Part::End, b' ') => {
                each(start, end);
                part = Part::Rest;
            }
            (Part::End, _) => end = hex(end, byte),
            (Part::Rest, b'\n') => (part, start, end) = (Part::Start, 0, 0),
            (Part::Rest, _) => {}
        })
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = &mut each;
        false
    }
}

/// Where the heap ends that grows by `brk`; zero where there is none.
pub(crate) fn end_of_brk() -> usize {
    #[cfg(target_os = "linux")]
    // SAFETY: a question: by nothing it does not grow.
    return unsafe { libc::sbrk(0) }.addr();
    #[cfg(not(target_os = "linux"))]
    0
}

/// Hands over the bytes of a file, and returns whether they are all.
#[cfg(target_os = "linux")]
pub(crate) fn read_file(path: &std::ffi::CStr, mut each: impl FnMut(u8)) -> bool {
    // SAFETY: a path that ends in a zero.
    let file = unsafe { libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    if file < 0 {
        return false;
    }
    let mut buffer = [0_u8; 4096];
    let whole = loop {
        // SAFETY: room for as many bytes.
        let read = unsafe { libc::read(file, buffer.as_mut_ptr().cast(), buffer.len()) };
        match usize::try_from(read) {
            Ok(0) => break true,
            Ok(read) => buffer[..read].iter().for_each(|&byte| each(byte)),
            Err(_) if std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted => {
            }
            Err(_) => break false,
        }
    };
    // SAFETY: opened above.
    unsafe { libc::close(file) };
    whole
}

#[cfg(unix)]
mod imp {
    use std::cell::UnsafeCell;
    use std::ffi::c_void;
    use std::sync::OnceLock;

    use crate::control::{self, Fork};
    use crate::record::thread::{self, ThreadState};
    use crate::tables::blocks::Granule;
    use crate::tables::label::SystemName;

    static THREAD_END: OnceLock<Option<libc::pthread_key_t>> = OnceLock::new();

    /// Sets up what must be set up once. `false` where the system refuses.
    pub(crate) fn prepare() -> bool {
        let key = THREAD_END.get_or_init(|| {
            let mut key = 0;
            // SAFETY: room for a key, and a function of the right type that does not unwind.
            let failed = unsafe { libc::pthread_key_create(&mut key, Some(thread_end)) } != 0;
            stay_loaded();
            // SAFETY: three functions of the right type that do not unwind. Without memory for the
            // registration a forked child of a program with threads may find a lock held.
            unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) };
            #[cfg(target_os = "linux")]
            register_barrier();
            (!failed).then_some(key)
        });
        key.is_some()
    }

    /// Keeps the library that this is part of loaded, if it is one: the system calls functions of it at the end of
    /// threads and of the process, and the tracer's own threads run in it.
    pub(crate) fn stay_loaded() {
        #[cfg(target_os = "linux")]
        {
            let own = object_of(stay_loaded as *const c_void);
            // SAFETY: a question. The program's headers lie in the program.
            let program = unsafe { libc::getauxval(libc::AT_PHDR) };
            let program = object_of(std::ptr::with_exposed_provenance(program as usize));
            let Some(own) = own.filter(|own| {
                !program.is_some_and(|program| std::ptr::eq(program.dli_fbase, own.dli_fbase))
            }) else {
                return;
            };
            let flags = libc::RTLD_LAZY | libc::RTLD_NOLOAD | libc::RTLD_NODELETE;
            // SAFETY: the name by which the loader has the library, which is loaded: so none of its code runs by this.
            // NOTE: what is returned is one more reference, which is never given back.
            unsafe { libc::dlopen(own.dli_fname, flags) };
        }
    }

    /// The program or library that has this address.
    #[cfg(target_os = "linux")]
    fn object_of(address: *const c_void) -> Option<libc::Dl_info> {
        let mut info = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
        // SAFETY: any address may be asked for, and there is room for the answer.
        let found = unsafe { libc::dladdr(address, info.as_mut_ptr()) } != 0;
        // SAFETY: zeroed, and filled in if found; zero is a value of every field.
        let info = unsafe { info.assume_init() };
        found.then_some(info)
    }

    /// Has `thread_end` called at the end of the calling thread. `false` where the system refuses.
    pub(crate) fn call_at_thread_end(state: &'static ThreadState) -> bool {
        let Some(key) = THREAD_END.get().copied().flatten() else {
            return false;
        };
        // SAFETY: the key was created; the value is never read but by `thread_end`.
        unsafe { libc::pthread_setspecific(key, std::ptr::from_ref(state).cast()) == 0 }
    }

    unsafe extern "C" fn thread_end(state: *mut c_void) {
        // SAFETY: the value that `call_at_thread_end` set: a state, which is never freed.
        let state: &'static ThreadState = unsafe { &*state.cast_const().cast() };
        if !thread::is_last_farewell(state) && call_at_thread_end(state) {
            return;
        }
        control::thread_ended(state);
    }

    /// What the thread that forks holds from before the fork to after it.
    struct ForkPlace(UnsafeCell<Option<Fork>>);

    // SAFETY: touched only by the handlers below, by a thread that holds the control lock, which is
    // itself what is kept here: so by one thread at a time.
    unsafe impl Sync for ForkPlace {}

    static FORK: ForkPlace = ForkPlace(UnsafeCell::new(None));

    unsafe extern "C" fn before() {
        let fork = control::before_fork();
        if fork.is_some() {
            // SAFETY: `fork` holds the control lock.
            unsafe { *FORK.0.get() = fork };
        }
    }

    unsafe extern "C" fn in_parent() {
        // SAFETY: this is the thread that ran `before`, so it holds the control lock.
        if let Some(fork) = unsafe { (*FORK.0.get()).take() } {
            control::after_fork_in_parent(fork);
        }
    }

    unsafe extern "C" fn in_child() {
        #[cfg(target_os = "linux")]
        register_barrier();
        // SAFETY: this is the copy of the thread that ran `before`, and the only one.
        match unsafe { (*FORK.0.get()).take() } {
            Some(fork) => control::after_fork_in_child(fork),
            None => control::after_fork_unprepared(),
        }
    }

    /// Has `act` called when the process ends by `exit` or by returning from `main`.
    pub(crate) fn call_at_exit(act: extern "C" fn()) -> bool {
        // SAFETY: a function of the right type that does not unwind.
        unsafe { libc::atexit(act) == 0 }
    }

    /// The value of an environment variable, without allocating or locking. `None` where the program has rights that
    /// whoever started it has not: what it does is not theirs to say.
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
        // SAFETY: a number. The system tells the program so at its start; zero is what it says of all others.
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
            // SAFETY: as above.
            let group = unsafe { libc::getgid() };
            // SAFETY: as above.
            let is_its_user = user == unsafe { libc::geteuid() };
            // SAFETY: as above.
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

    /// Writes the path of the working directory to a place, and returns how long it is. `None` where there is none, or
    /// it is longer. Allocates nothing.
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

    /// How long ago some moment was that stays the same, on a clock that nobody sets, to a hundredth of a second.
    pub(crate) fn monotonic_time() -> std::time::Duration {
        // PERF: a tenth of what the exact one takes.
        #[cfg(target_os = "linux")]
        let clock = libc::CLOCK_MONOTONIC_COARSE;
        #[cfg(not(target_os = "linux"))]
        let clock = libc::CLOCK_MONOTONIC;
        let mut time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: room for a time.
        unsafe { libc::clock_gettime(clock, &mut time) };
        std::time::Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }

    /// The last error of the C library on the calling thread, to be [put back](set_errno).
    pub(crate) fn errno() -> i32 {
        std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
    }

    /// What was interrupted shall find its own error.
    pub(crate) fn set_errno(error: i32) {
        #[cfg(target_os = "linux")]
        // SAFETY: it has no conditions.
        let place = unsafe { libc::__errno_location() };
        #[cfg(target_os = "macos")]
        // SAFETY: as above.
        let place = unsafe { libc::__error() };
        #[cfg(any(target_os = "linux", target_os = "macos"))]
        // SAFETY: the thread's own place for it.
        unsafe {
            place.write(error);
        }
        #[cfg(not(any(target_os = "linux", target_os = "macos")))]
        let _ = error;
    }

    /// The name of the calling thread, without allocating: `main` for the first one.
    pub(crate) fn thread_name() -> SystemName {
        let mut name = SystemName::default();
        #[cfg(target_os = "linux")]
        if is_first_thread() {
            // The system's name of it is the program's.
            name[..4].copy_from_slice(b"main");
        } else {
            // SAFETY: room for the sixteen bytes that this writes at most.
            unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
        }
        #[cfg(target_os = "macos")]
        if is_first_thread() {
            name[..4].copy_from_slice(b"main");
        } else {
            let (thread, len) = (own_thread(), name.len());
            // SAFETY: this thread, and room for as many bytes as are said.
            unsafe { libc::pthread_getname_np(thread, name.as_mut_ptr().cast(), len) };
        }
        name
    }

    #[cfg(target_os = "linux")]
    fn is_first_thread() -> bool {
        // SAFETY: a system call without arguments.
        super::thread_id() == unsafe { libc::getpid() }
    }

    #[cfg(target_os = "macos")]
    fn is_first_thread() -> bool {
        // SAFETY: a call without arguments.
        unsafe { libc::pthread_main_np() == 1 }
    }

    #[cfg(target_os = "macos")]
    fn own_thread() -> libc::pthread_t {
        // SAFETY: a call without arguments.
        unsafe { libc::pthread_self() }
    }

    /// Writes to standard error without allocating, and without a signal where that is a pipe that nobody reads.
    pub(crate) fn write_to_stderr(parts: &[&str]) {
        let _quiet = crate::system::quiet::Quiet::begin();
        for part in parts {
            // SAFETY: a pointer to that many bytes. A message that cannot be written is lost.
            unsafe { libc::write(libc::STDERR_FILENO, part.as_ptr().cast(), part.len()) };
        }
    }

    /// Ends the process at once with a status.
    pub(crate) fn exit_at_once(status: i32) -> ! {
        // SAFETY: no function of the program's own is run by it.
        unsafe { libc::_exit(status) }
    }

    /// The granule of the system's malloc: that of glibc if it is glibc's, and not one that was put
    /// in front of it, preloaded or linked in.
    pub(crate) fn granule_of_system() -> Option<Granule> {
        #[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
        if malloc_is_glibcs() {
            return Granule::from_bytes(32);
        }
        // NOTE: musl's and macOS's smallest chunk is 16 bytes; of others nothing is known.
        if cfg!(any(target_env = "musl", target_os = "macos")) {
            return Granule::from_bytes(16);
        }
        Granule::from_bytes(8)
    }

    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    fn malloc_is_glibcs() -> bool {
        let base_of = |function| object_of(function).map(|object| object.dli_fbase);
        // Whatever `malloc` the program is bound to, against the library that has glibc's version.
        let malloc = base_of(libc::malloc as *const c_void);
        let glibc = base_of(libc::gnu_get_libc_version as *const c_void);
        malloc.is_some() && malloc == glibc
    }

    #[cfg(target_os = "linux")]
    const REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    const PRIVATE_EXPEDITED: libc::c_int = 1 << 3;

    #[cfg(target_os = "linux")]
    fn membarrier(command: libc::c_int) -> bool {
        // SAFETY: a system call that takes three numbers and touches no memory of ours.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
    }

    #[cfg(target_os = "linux")]
    fn register_barrier() {
        membarrier(REGISTER_PRIVATE_EXPEDITED);
    }

    /// Makes each processor that runs a thread of this process pass a full memory barrier.
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    pub(crate) fn interrupt_all_processors() {
        if membarrier(PRIVATE_EXPEDITED) {
            return;
        }
        // Taking a right from a page that is in use interrupts every processor that may have it in
        // its translation buffer, and an interrupt is a barrier.
        const PAGE: usize = 4096;
        if let Some(page) = crate::system::arena::reserve(PAGE) {
            // SAFETY: the page is ours; writing makes it present.
            unsafe { page.as_ptr().write_volatile(1) };
            // SAFETY: as above.
            unsafe { libc::mprotect(page.as_ptr().cast(), PAGE, libc::PROT_READ) };
            // SAFETY: reserved just above and not used after.
            unsafe { crate::system::arena::release(page, PAGE) };
        }
    }
}

#[cfg(not(unix))]
mod imp {
    use std::cell::Cell;

    use crate::control;
    use crate::record::thread::ThreadState;
    use crate::tables::blocks::Granule;
    use crate::tables::label::SystemName;

    struct AtEnd(Cell<Option<&'static ThreadState>>);

    impl Drop for AtEnd {
        fn drop(&mut self) {
            if let Some(state) = self.0.get() {
                control::thread_ended(state);
            }
        }
    }

    thread_local! {
        static AT_END: AtEnd = const { AtEnd(Cell::new(None)) };
    }

    pub(crate) fn prepare() -> bool {
        true
    }

    pub(crate) fn call_at_thread_end(state: &'static ThreadState) -> bool {
        AT_END.try_with(|end| end.0.set(Some(state))).is_ok()
    }

    pub(crate) fn stay_loaded() {}

    pub(crate) fn call_at_exit(_: extern "C" fn()) -> bool {
        false
    }

    pub(crate) fn environment(_: &std::ffi::CStr) -> Option<&'static std::ffi::CStr> {
        None
    }

    pub(crate) fn for_each_variable(_: impl FnMut(&std::ffi::CStr)) {}

    pub(crate) fn working_directory(_: &mut [u8]) -> Option<usize> {
        None
    }

    /// NOTE: no variable can ask for it.
    pub(crate) fn host_name() -> Vec<u8> {
        Vec::new()
    }

    pub(crate) fn monotonic_time() -> std::time::Duration {
        std::time::Duration::ZERO
    }

    pub(crate) fn errno() -> i32 {
        0
    }

    pub(crate) fn set_errno(_: i32) {}

    /// NOTE: nothing is known of it.
    pub(crate) fn thread_name() -> SystemName {
        SystemName::default()
    }

    pub(crate) fn write_to_stderr(parts: &[&str]) {
        use std::io::Write;
        for part in parts {
            let _ = std::io::stderr().write_all(part.as_bytes());
        }
    }

    pub(crate) fn exit_at_once(status: i32) -> ! {
        std::process::exit(status)
    }

    pub(crate) fn granule_of_system() -> Option<Granule> {
        Granule::from_bytes(8)
    }
}
