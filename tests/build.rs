//! Links the program `holes` with pages left out between its segments. Some linkers do so always,
//! others depending on where a segment ends.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|it| it == value);
    if is("CARGO_CFG_TARGET_OS", "linux") {
        println!("cargo::rustc-link-arg-bin=holes=-Wl,-z,max-page-size=65536");
    }
}
