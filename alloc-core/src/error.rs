//! stub
#[derive(Debug)]
pub struct Error(String);
impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
impl std::error::Error for Error {}
impl Error {
    pub(crate) fn not_installed() -> Error {
        Error("not installed".into())
    }
    pub(crate) fn not_tracing() -> Error {
        Error("not tracing".into())
    }
    pub(crate) fn already_tracing(a: u16, b: u16) -> Error {
        Error(format!("already {a} {b}"))
    }
    pub(crate) fn invalid_config(s: String) -> Error {
        Error(s)
    }
    pub(crate) fn out_of_memory(s: &'static str) -> Error {
        Error(s.into())
    }
    pub(crate) fn broken(s: &'static str) -> Error {
        Error(s.into())
    }
}
