// What Go's text profile holds: 30 blocks that stay, and 10 that are freed. A part of the blocks is
// sampled, so that the reader has to scale.
package main

import (
	"os"
	"runtime"
	"runtime/pprof"
)

var kept [][]byte
var sink []byte

//go:noinline
func keep(n, size int) {
	for i := 0; i < n; i++ {
		kept = append(kept, make([]byte, size))
	}
}

//go:noinline
func waste() {
	for i := 0; i < 400; i++ {
		sink = make([]byte, 50000)
	}
	sink = nil
}

func main() {
	runtime.MemProfileRate = 65536
	keep(100, 100000)
	keep(2000, 2000)
	waste()
	runtime.GC()
	file, err := os.Create(os.Args[1])
	if err != nil {
		panic(err)
	}
	pprof.Lookup("heap").WriteTo(file, 1)
	file.Close()
}
