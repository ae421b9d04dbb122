//! Whole files.

use expect_test::{Expect, expect};

use crate::{exported_text, samples, support};

#[track_caller]
fn check(arguments: &str, expected: Expect) {
    expected.assert_eq(&exported_text(samples::folder().path(), arguments));
}

#[test]
fn folded_stacks() {
    check(
        "heap --to folded --sort current",
        expect![[r#"
        <unknown> 5
        demo::main (src/main.rs:3);demo::fill (src/cache.rs:41);alloc::raw_vec::RawVec<T,A>::grow_one (library/alloc/src/raw_vec/mod.rs:340) 9700
        demo::main (src/main.rs:3);demo::load::<[u8: 16]> (src/load.rs:7);</script><b>:\u{a}\u{202e}"\ (src/a:b.rs:1) 33
    "#]],
    );
    check(
        "heap --to folded --sort at-peak --exclude cache.rs",
        expect![[r#"
            <unknown> 5
            demo::main (src/main.rs:3);demo::load::<[u8: 16]> (src/load.rs:7) 2048
        "#]],
    );
}

#[test]
fn dhat_with_lifetimes() {
    check(
        "lives --to dhat",
        expect![[r#"
        {"dhatFileVersion":2,"mode":"rust-heap","verb":"Allocated","bklt":true,"bkacc":false,"tu":"\u00b5s","Mtu":"s","tuth":10,"cmd":"","pid":0,"tg":0,"te":1572864,"pps":[{"tb":10700,"tbk":107,"tl":127139890,"mb":9700,"mbk":97,"gb":8600,"gbk":86,"eb":9700,"ebk":97,"fs":[1,2,3]},{"tb":4096,"tbk":4,"tl":20,"mb":2048,"mbk":2,"gb":2048,"gbk":2,"eb":0,"ebk":0,"fs":[4,3]},{"tb":33,"tbk":1,"tl":1310720,"mb":33,"mbk":1,"gb":0,"gbk":0,"eb":33,"ebk":1,"fs":[5,4,3]},{"tb":5,"tbk":1,"tl":1310720,"mb":5,"mbk":1,"gb":5,"gbk":1,"eb":5,"ebk":1,"fs":[6]}],"ftbl":["[root]","0x0: alloc::raw_vec::RawVec<T,A>::grow_one (/rustc/59807616e/library/alloc/src/raw_vec/mod.rs:340:9)","0x0: demo::fill (src/cache.rs:41:9)","0x0: demo::main (src/main.rs:3:9)","0x0: demo::load::<[u8; 16]> (src/load.rs:7:9)","0x0: </script><b>;\\u{a}\\u{202e}\"\\ (src/a;b.rs:1:9)","0x0: <unknown> (???:0:0)"]}
    "#]],
    );
}

#[test]
fn dhat_without_lifetimes() {
    check(
        "heap --to dhat --sort current",
        expect![[r#"
        {"dhatFileVersion":2,"mode":"rust-heap, current","verb":"Allocated","bklt":false,"bkacc":false,"tu":"\u00b5s","Mtu":"s","cmd":"","pid":0,"te":0,"pps":[{"tb":9700,"tbk":97,"fs":[1,2,3]},{"tb":33,"tbk":1,"fs":[5,4,3]},{"tb":5,"tbk":1,"fs":[6]}],"ftbl":["[root]","0x0: alloc::raw_vec::RawVec<T,A>::grow_one (/rustc/59807616e/library/alloc/src/raw_vec/mod.rs:340:9)","0x0: demo::fill (src/cache.rs:41:9)","0x0: demo::main (src/main.rs:3:9)","0x0: demo::load::<[u8; 16]> (src/load.rs:7:9)","0x0: </script><b>;\\u{a}\\u{202e}\"\\ (src/a;b.rs:1:9)","0x0: <unknown> (???:0:0)"]}
    "#]],
    );
}

#[test]
fn speedscope() {
    check(
        "heap --to speedscope --sort at-peak --exclude src/a;b.rs",
        expect![[r#"
            {"$schema":"https://www.speedscope.app/file-format-schema.json","name":"heap","exporter":"alloc-report 0.1.0","activeProfileIndex":0,"shared":{"frames":[{"name":"alloc::raw_vec::RawVec<T,A>::grow_one","file":"/rustc/59807616e/library/alloc/src/raw_vec/mod.rs","line":340,"col":9},{"name":"demo::fill","file":"src/cache.rs","line":41,"col":9},{"name":"demo::main","file":"src/main.rs","line":3,"col":9},{"name":"demo::load::<[u8; 16]>","file":"src/load.rs","line":7,"col":9},{"name":"<unknown>"}]},"profiles":[{"type":"sampled","name":"at-peak bytes","unit":"bytes","startValue":0,"endValue":10653,"samples":[[2,1,0],[2,3],[4]],"weights":[8600,2048,5]},{"type":"sampled","name":"at-peak blocks","unit":"none","startValue":0,"endValue":89,"samples":[[2,1,0],[2,3],[4]],"weights":[86,2,1]},{"type":"sampled","name":"current bytes","unit":"bytes","startValue":0,"endValue":9705,"samples":[[2,1,0],[4]],"weights":[9700,5]},{"type":"sampled","name":"current blocks","unit":"none","startValue":0,"endValue":98,"samples":[[2,1,0],[4]],"weights":[97,1]},{"type":"sampled","name":"peak bytes","unit":"bytes","startValue":0,"endValue":11753,"samples":[[2,1,0],[2,3],[4]],"weights":[9700,2048,5]},{"type":"sampled","name":"peak blocks","unit":"none","startValue":0,"endValue":100,"samples":[[2,1,0],[2,3],[4]],"weights":[97,2,1]},{"type":"sampled","name":"total bytes","unit":"bytes","startValue":0,"endValue":14801,"samples":[[2,1,0],[2,3],[4]],"weights":[10700,4096,5]},{"type":"sampled","name":"total blocks","unit":"none","startValue":0,"endValue":112,"samples":[[2,1,0],[2,3],[4]],"weights":[107,4,1]},{"type":"sampled","name":"freed bytes","unit":"bytes","startValue":0,"endValue":5096,"samples":[[2,3],[2,1,0]],"weights":[4096,1000]},{"type":"sampled","name":"freed blocks","unit":"none","startValue":0,"endValue":14,"samples":[[2,3],[2,1,0]],"weights":[4,10]}]}
        "#]],
    );
}

#[test]
fn firefox() {
    check(
        "heap --to firefox --include src/load.rs",
        expect![[r#"
        {"meta":{"categories":[{"name":"Other","color":"grey","subcategories":["Other"]}],"debug":false,"extensions":{"baseURL":[],"id":[],"length":0,"name":[]},"interval":1.0,"preprocessedProfileVersion":55,"processType":0,"product":"heap","sampleUnits":{"eventDelay":"ms","threadCPUDelta":"\u00b5s","time":"ms"},"startTime":0.0,"symbolicated":false,"pausedRanges":[],"version":24,"usesOnlyOneStackType":true,"sourceCodeIsNotOnSearchfox":true,"markerSchema":[]},"libs":[],"threads":[{"frameTable":{"length":0,"address":[],"inlineDepth":[],"category":[],"subcategory":[],"func":[],"nativeSymbol":[],"innerWindowID":[],"line":[],"column":[]},"funcTable":{"length":0,"name":[],"isJS":[],"relevantForJS":[],"resource":[],"fileName":[],"lineNumber":[],"columnNumber":[]},"markers":{"length":0,"category":[],"data":[],"endTime":[],"name":[],"phase":[],"startTime":[]},"name":"current","isMainThread":true,"nativeSymbols":{"length":0,"address":[],"functionSize":[],"libIndex":[],"name":[]},"pausedRanges":[],"pid":"0","processName":"current","processShutdownTime":null,"processStartupTime":0.0,"processType":"default","registerTime":0.0,"resourceTable":{"length":0,"lib":[],"name":[],"host":[],"type":[]},"samples":{"length":0,"weightType":"samples","stack":[],"timeDeltas":[],"weight":[],"threadCPUDelta":[]},"stackTable":{"length":0,"prefix":[],"frame":[]},"stringArray":[],"tid":"0","unregisterTime":null,"showMarkersInTimeline":false},{"frameTable":{"length":2,"address":[-1,-1],"inlineDepth":[0,0],"category":[0,0],"subcategory":[0,0],"func":[0,1],"nativeSymbol":[null,null],"innerWindowID":[0,0],"line":[null,null],"column":[null,null]},"funcTable":{"length":2,"name":[0,1],"isJS":[false,false],"relevantForJS":[false,false],"resource":[-1,-1],"fileName":[null,null],"lineNumber":[null,null],"columnNumber":[null,null]},"markers":{"length":0,"category":[],"data":[],"endTime":[],"name":[],"phase":[],"startTime":[]},"name":"peak","isMainThread":true,"nativeSymbols":{"length":0,"address":[],"functionSize":[],"libIndex":[],"name":[]},"pausedRanges":[],"pid":"1","processName":"peak","processShutdownTime":null,"processStartupTime":0.0,"processType":"default","registerTime":0.0,"resourceTable":{"length":0,"lib":[],"name":[],"host":[],"type":[]},"samples":{"length":0,"weightType":"samples","stack":[],"timeDeltas":[],"weight":[],"threadCPUDelta":[]},"nativeAllocations":{"time":[0.0],"weight":[2048],"weightType":"bytes","stack":[1],"memoryAddress":[1],"threadId":[0],"length":1},"stackTable":{"length":2,"prefix":[null,0],"frame":[0,1]},"stringArray":["demo::main (src/main.rs:3)","demo::load::<[u8; 16]> (src/load.rs:7)"],"tid":"1","unregisterTime":null,"showMarkersInTimeline":false},{"frameTable":{"length":2,"address":[-1,-1],"inlineDepth":[0,0],"category":[0,0],"subcategory":[0,0],"func":[0,1],"nativeSymbol":[null,null],"innerWindowID":[0,0],"line":[null,null],"column":[null,null]},"funcTable":{"length":2,"name":[0,1],"isJS":[false,false],"relevantForJS":[false,false],"resource":[-1,-1],"fileName":[null,null],"lineNumber":[null,null],"columnNumber":[null,null]},"markers":{"length":0,"category":[],"data":[],"endTime":[],"name":[],"phase":[],"startTime":[]},"name":"at-peak","isMainThread":true,"nativeSymbols":{"length":0,"address":[],"functionSize":[],"libIndex":[],"name":[]},"pausedRanges":[],"pid":"2","processName":"at-peak","processShutdownTime":null,"processStartupTime":0.0,"processType":"default","registerTime":0.0,"resourceTable":{"length":0,"lib":[],"name":[],"host":[],"type":[]},"samples":{"length":0,"weightType":"samples","stack":[],"timeDeltas":[],"weight":[],"threadCPUDelta":[]},"nativeAllocations":{"time":[0.0],"weight":[2048],"weightType":"bytes","stack":[1],"memoryAddress":[1],"threadId":[0],"length":1},"stackTable":{"length":2,"prefix":[null,0],"frame":[0,1]},"stringArray":["demo::main (src/main.rs:3)","demo::load::<[u8; 16]> (src/load.rs:7)"],"tid":"2","unregisterTime":null,"showMarkersInTimeline":false},{"frameTable":{"length":2,"address":[-1,-1],"inlineDepth":[0,0],"category":[0,0],"subcategory":[0,0],"func":[0,1],"nativeSymbol":[null,null],"innerWindowID":[0,0],"line":[null,null],"column":[null,null]},"funcTable":{"length":2,"name":[0,1],"isJS":[false,false],"relevantForJS":[false,false],"resource":[-1,-1],"fileName":[null,null],"lineNumber":[null,null],"columnNumber":[null,null]},"markers":{"length":0,"category":[],"data":[],"endTime":[],"name":[],"phase":[],"startTime":[]},"name":"total","isMainThread":true,"nativeSymbols":{"length":0,"address":[],"functionSize":[],"libIndex":[],"name":[]},"pausedRanges":[],"pid":"3","processName":"total","processShutdownTime":null,"processStartupTime":0.0,"processType":"default","registerTime":0.0,"resourceTable":{"length":0,"lib":[],"name":[],"host":[],"type":[]},"samples":{"length":0,"weightType":"samples","stack":[],"timeDeltas":[],"weight":[],"threadCPUDelta":[]},"nativeAllocations":{"time":[0.0],"weight":[4096],"weightType":"bytes","stack":[1],"memoryAddress":[1],"threadId":[0],"length":1},"stackTable":{"length":2,"prefix":[null,0],"frame":[0,1]},"stringArray":["demo::main (src/main.rs:3)","demo::load::<[u8; 16]> (src/load.rs:7)"],"tid":"3","unregisterTime":null,"showMarkersInTimeline":false},{"frameTable":{"length":2,"address":[-1,-1],"inlineDepth":[0,0],"category":[0,0],"subcategory":[0,0],"func":[0,1],"nativeSymbol":[null,null],"innerWindowID":[0,0],"line":[null,null],"column":[null,null]},"funcTable":{"length":2,"name":[0,1],"isJS":[false,false],"relevantForJS":[false,false],"resource":[-1,-1],"fileName":[null,null],"lineNumber":[null,null],"columnNumber":[null,null]},"markers":{"length":0,"category":[],"data":[],"endTime":[],"name":[],"phase":[],"startTime":[]},"name":"freed","isMainThread":true,"nativeSymbols":{"length":0,"address":[],"functionSize":[],"libIndex":[],"name":[]},"pausedRanges":[],"pid":"4","processName":"freed","processShutdownTime":null,"processStartupTime":0.0,"processType":"default","registerTime":0.0,"resourceTable":{"length":0,"lib":[],"name":[],"host":[],"type":[]},"samples":{"length":0,"weightType":"samples","stack":[],"timeDeltas":[],"weight":[],"threadCPUDelta":[]},"nativeAllocations":{"time":[0.0],"weight":[4096],"weightType":"bytes","stack":[1],"memoryAddress":[1],"threadId":[0],"length":1},"stackTable":{"length":2,"prefix":[null,0],"frame":[0,1]},"stringArray":["demo::main (src/main.rs:3)","demo::load::<[u8; 16]> (src/load.rs:7)"],"tid":"4","unregisterTime":null,"showMarkersInTimeline":false}],"pages":[],"profilerOverhead":[],"counters":[]}
    "#]],
    );
}

#[test]
fn trace_events() {
    check(
        "heap --to trace-events",
        expect![[r#"
            {"displayTimeUnit":"ms","traceEvents":[{"name":"process_name","cat":"memory","ph":"M","pid":0,"tid":0,"ts":0,"args":{"name":"heap"}},{"name":"heap","cat":"memory","ph":"C","pid":0,"tid":0,"ts":0,"args":{"bytes":9738}},{"name":"peak of the heap","cat":"memory","ph":"C","pid":0,"tid":0,"ts":0,"args":{"bytes":10653}},{"name":"allocated","cat":"memory","ph":"C","pid":0,"tid":0,"ts":0,"args":{"bytes":14834}},{"name":"allocations","cat":"memory","ph":"C","pid":0,"tid":0,"ts":0,"args":{"blocks":113}}]}
        "#]],
    );
}

/// The tables are those of `top`, with all rows and all frames.
#[test]
fn csv_and_json() {
    let folder = samples::folder();
    for format in ["csv", "json"] {
        let exported = exported_text(folder.path(), &format!("heap --to {format}"));
        let top = "top heap --by traceback --full -n 1000 --sort total";
        let top = format!("{top} --format {format}");
        assert_eq!(exported, support::stdout(folder.path(), &top));
    }
}

/// Also those that have nothing of the metric that `top` shows first.
#[test]
fn every_stack_has_a_row() {
    let folder = samples::folder();
    let exported = exported_text(folder.path(), "heap --to csv");
    let mut rows = exported.lines().map(|it| it.split(',').collect::<Vec<_>>());
    let names = rows.next().unwrap();
    let column = |name| names.iter().position(|it| *it == name).unwrap();
    let columns = ["total_bytes", "current_bytes", "at_peak_bytes"].map(column);
    // From the last column, since a name may have a comma.
    let numbers = |row: Vec<&str>| {
        columns.map(|it| row[row.len() + it - names.len()].parse::<u64>().unwrap())
    };
    let rows: Vec<[u64; 3]> = rows.map(numbers).collect();
    let expected = [
        [10_700, 9_700, 8_600],
        [4_096, 0, 2_048],
        [33, 33, 0],
        [5, 5, 5],
    ];
    assert_eq!(rows, expected);
}
