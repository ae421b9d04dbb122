// Writes heap profiles of a program that keeps some of what it allocates: go run heap.go old.pb.gz new.pb.gz
package main

import (
	"os"
	"runtime"
	"runtime/pprof"
)

var kept [][]byte

//go:noinline
func keep(size int) { kept = append(kept, make([]byte, size)) }

//go:noinline
func waste(size int) byte { return make([]byte, size)[size/2] }

func write(path string) {
	runtime.GC()
	file, err := os.Create(path)
	if err != nil {
		panic(err)
	}
	if err := pprof.WriteHeapProfile(file); err != nil {
		panic(err)
	}
	file.Close()
}

func main() {
	kept = make([][]byte, 0, 1024)
	for i := 0; i < 10; i++ {
		keep(100_000)
		waste(50_000)
	}
	write(os.Args[1])
	for i := 0; i < 20; i++ {
		keep(200_000)
	}
	write(os.Args[2])
}

func init() { runtime.MemProfileRate = 1 }
