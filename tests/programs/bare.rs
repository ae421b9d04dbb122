//! The cases of the program `traced`, without the tracer.

use alloc_tests::{high_water_mark, resident_files, workloads};

fn main() {
    let case = std::env::args().nth(1).expect("the name of a case");
    match case.as_str() {
        "nothing-whatsoever" => {}
        "some-of-everything" => workloads::some_of_everything(),
        "grow-a-little" => _ = workloads::moves_of_a_growing_vec(1 << 16),
        "grow" => println!("{}", workloads::moves_of_a_growing_vec(64 << 20)),
        "records" => {
            let records = workloads::records(110 << 20);
            println!("{} {}", high_water_mark(), resident_files());
            std::mem::forget(records);
        }
        other => panic!("no case {other}"),
    }
}
