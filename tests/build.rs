//! Links the program `holes` as linkers do now and then, by where a segment happens to end, and other
//! platforms' always: with pages left out between its segments.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|it| it == value);
    if is("CARGO_CFG_TARGET_OS", "linux") {
        println!("cargo::rustc-link-arg-bin=holes=-Wl,-z,max-page-size=65536");
    }
}
