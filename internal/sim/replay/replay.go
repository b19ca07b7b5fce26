// Package replay makes a simulation's run a function of its seed alone: it writes an overlay for the go
// command in which Go's runtime makes no choice by chance, or by the machine's time, for the goroutines of a
// bubble of testing/synctest.
//
// Outside of the overlay, Go does not promise an order for what may happen at one instant of virtual time. These are
// its sources of chance, and what the overlay makes of each:
//
//   - select picks one of several ready cases at random, a map begins its iteration anywhere, timers that are due
//     at the same instant fire in random order, and math/rand has no fixed seed. In a bubble these numbers come from
//     one generator of the bubble, which always begins in the same state; where an iteration begins is a function of the time.
//   - The keys of hash functions are drawn when the process starts. They are constants.
//   - A goroutine that runs for 10 ms of real time is interrupted, and one that is in a C function loses its place.
//     Goroutines of a bubble are left alone.
//   - Maps of pointers are walked in the order of their addresses' hashes. In packages context and net/http that is the
//     order in which the pointers were added.
//   - The garbage collector interrupts goroutines and has them help. The simulation switches it off and collects at
//     instants at which every goroutine of the bubble waits.
//
// The process MUST run with GOMAXPROCS=1, so that goroutines run in the order in which they became runnable.
// The build tag "replay" tells the simulation that the overlay is in use.
//
// Trust: host
package replay

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/cocoframework/coco/internal/atomicfile"
)

// Tag is the build tag that goes with the overlay.
const Tag = "replay"

// change replaces a text that occurs so many times in a file of the standard library.
type change struct {
	file     string
	times    int
	from, to string
}

var changes = []change{
	{
		"runtime/synctest.go", 1,
		"	done    bool   // true if main has exited\n",
		"	done    bool   // true if main has exited\n" +
			"	drawn   uint64 // state of the bubble's random numbers\n",
	},
	// What compiled code calls draws seeds of hash functions only. Seeds are constants, and not drawn from the bubble's
	// numbers, as how many maps are made depends on what is in caches of the whole process.
	{
		"runtime/rand.go", 1,
		"func rand() uint64 {\n",
		"func rand() uint64 {\n" +
			"	if getg().bubble != nil {\n" +
			"		return 0x9e3779b97f4a7c15\n" +
			"	}\n",
	},
	{"internal/runtime/maps/map.go", 4, "m.seed = uintptr(rand())", "m.seed = 0x9e3779b9"},
	{
		"runtime/rand.go", 1,
		"func maps_rand() uint64 {\n	return rand()\n}\n",
		"// Iterations draw nothing from the bubble's numbers, either: at one instant all begin alike.\n" +
			"func maps_rand() uint64 {\n" +
			"	if bubble := getg().bubble; bubble != nil {\n" +
			"		return mixed(uint64(bubble.now))\n" +
			"	}\n" +
			"	return rand()\n" +
			"}\n\n" +
			"//go:linkname draw\n" +
			"//go:nosplit\n" +
			"func draw() uint64 {\n" +
			"	bubble := getg().bubble\n" +
			"	if bubble == nil {\n" +
			"		return rand()\n" +
			"	}\n" +
			"	bubble.drawn += 0x9e3779b97f4a7c15\n" +
			"	return mixed(bubble.drawn)\n" +
			"}\n\n" +
			"// mixed is the output function of SplitMix64.\n" +
			"//\n" +
			"//go:nosplit\n" +
			"func mixed(x uint64) uint64 {\n" +
			"	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9\n" +
			"	x = (x ^ x>>27) * 0x94d049bb133111eb\n" +
			"	return x ^ x>>31\n" +
			"}\n",
	},
	{"math/rand/rand.go", 1, "//go:linkname runtime_rand runtime.rand\n", "//go:linkname runtime_rand runtime.draw\n"},
	{"math/rand/v2/rand.go", 1, "//go:linkname runtime_rand runtime.rand\n", "//go:linkname runtime_rand runtime.draw\n"},
	{"runtime/rand.go", 1, "	globalRand.state.Init(*seed)\n", "	clear(seed[:])\n	globalRand.state.Init(*seed)\n"},
	{"runtime/select.go", 1, "j := cheaprandn(uint32(norder + 1))", "j := uint32(draw() % uint64(norder+1))"},
	{"runtime/time.go", 1, "t.rand = cheaprand()", "t.rand = uint32(draw())"},
	// Iteration over a map of more than eight pointers depends on their addresses.
	{
		"context/context.go", 1,
		"	children map[canceler]struct{} // set to nil by the first cancel call\n",
		"	children []canceler // in order; set to nil by the first cancel call\n",
	},
	{
		"context/context.go", 1,
		"		delete(p.children, child)\n",
		"		for i, c := range p.children {\n" +
			"			if c == child {\n" +
			"				p.children = append(p.children[:i], p.children[i+1:]...)\n" +
			"				break\n" +
			"			}\n" +
			"		}\n",
	},
	{
		"context/context.go", 1,
		"			if p.children == nil {\n" +
			"				p.children = make(map[canceler]struct{})\n" +
			"			}\n" +
			"			p.children[child] = struct{}{}\n",
		"			p.children = append(p.children, child)\n",
	},
	{"context/context.go", 1, "	for child := range c.children {\n", "	for _, child := range c.children {\n"},
	{"net/http/server.go", 1, "	activeConn map[*conn]struct{}\n", "	activeConn map[*conn]uint64\n	numberConn uint64\n"},
	{"net/http/server.go", 1, "		s.activeConn = make(map[*conn]struct{})\n", "		s.activeConn = make(map[*conn]uint64)\n"},
	{"net/http/server.go", 1, "		s.activeConn[c] = struct{}{}\n", "		s.numberConn++\n		s.activeConn[c] = s.numberConn\n"},
	{"net/http/server.go", 2, "	for c := range s.activeConn {\n", "	for _, c := range s.connsInOrder() {\n"},
	{
		"net/http/server.go", 1,
		"func (s *Server) trackConn(",
		"func (s *Server) connsInOrder() (all []*conn) {\n" +
			"	for c := range s.activeConn {\n" +
			"		all = append(all, c)\n" +
			"	}\n" +
			"	slices.SortFunc(all, func(a, b *conn) int { return int(s.activeConn[a]) - int(s.activeConn[b]) })\n" +
			"	return all\n" +
			"}\n\n" +
			"func (s *Server) trackConn(",
	},
	{
		"runtime/proc.go", 1,
		"		pd := &pp.sysmontick\n		sysretake := false\n",
		"		if mp := pp.m.ptr(); mp != nil {\n" +
			"			if gp := mp.curg; gp != nil && gp.bubble != nil {\n" +
			"				continue\n" +
			"			}\n" +
			"		}\n" +
			"		pd := &pp.sysmontick\n		sysretake := false\n",
	},
}

// Flags returns the flags that have `go test` play with the overlay. It is kept in the user's cache folder, because what
// is compiled with it is kept, too.
func Flags() ([]string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(cache, "coco-replay", runtime.Version())
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	overlay, err := Overlay(dir)
	return []string{"-overlay", overlay, "-tags", Tag, "-vet", "off"}, err
}

// Overlay writes the overlay into a folder, and returns the file to give to the go command's flag -overlay. The error
// says if the text of this version of Go is another one.
func Overlay(dir string) (string, error) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOROOT: %w", err)
	}
	source := filepath.Join(strings.TrimSpace(string(root)), "src")
	texts := map[string]string{}
	for _, c := range changes {
		if _, ok := texts[c.file]; !ok {
			text, err := os.ReadFile(filepath.Join(source, filepath.FromSlash(c.file)))
			if err != nil {
				return "", err
			}
			texts[c.file] = string(text)
		}
		if n := strings.Count(texts[c.file], c.from); n != c.times {
			return "", fmt.Errorf("%s in %s has %d places like %q, expected %d: package internal/sim/replay has to follow Go's version",
				c.file, source, n, c.from, c.times)
		}
		texts[c.file] = strings.ReplaceAll(texts[c.file], c.from, c.to)
	}
	replace := map[string]string{}
	for file, text := range texts {
		to := filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		replace[filepath.Join(source, filepath.FromSlash(file))] = to
		if err := keep(to, []byte(text)); err != nil {
			return "", err
		}
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, keep(path, b)
}

// keep writes a file unless it is there already: a compiler may be reading it.
func keep(path string, content []byte) error {
	if is, err := os.ReadFile(path); err == nil && bytes.Equal(is, content) {
		return nil
	}
	return atomicfile.Write(path, content)
}
