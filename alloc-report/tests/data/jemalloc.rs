//! Writes heap profiles of a program under jemalloc: cargo run --release -- old.pb.gz new.pb.gz

#[global_allocator]
static ALLOC: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[allow(non_upper_case_globals)]
#[unsafe(export_name = "malloc_conf")]
pub static malloc_conf: &[u8] = b"prof:true,prof_active:true,lg_prof_sample:0\0";

#[inline(never)]
fn keep(kept: &mut Vec<Vec<u8>>, size: usize) {
    kept.push(std::hint::black_box(vec![1; size]));
}

fn write(path: &str) {
    let mut profiling = jemalloc_pprof::PROF_CTL.as_ref().unwrap().try_lock().unwrap();
    std::fs::write(path, profiling.dump_pprof().unwrap()).unwrap();
}

fn main() {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    let mut kept = Vec::with_capacity(64);
    (0..10).for_each(|_| keep(&mut kept, 100_000));
    write(&paths[0]);
    (0..20).for_each(|_| keep(&mut kept, 200_000));
    write(&paths[1]);
}
