// Command cmd plays one seed of the simulation and shows its trace.
//
//	go run ./internal/sim/cmd -seed 17 -v
//
// It runs the test of package internal/sim with `go test`, as the numbers of package crypto can be
// fixed in a test's program only.
//
// Trust: host
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strconv"
)

func main() {
	seed := flag.Uint64("seed", 1, "the seed to play")
	times := flag.Int("times", 1, "how often: goroutines do not run in the same order each time")
	verbose := flag.Bool("v", false, "show a line for each fault")
	logs := flag.Bool("log", false, "show the nodes' logs, too")
	flag.Parse()
	args := []string{"test", "-run", "^TestNothingIsLostWhateverTheSeed$", "-count", strconv.Itoa(*times), "-timeout", "1h"}
	if *verbose || *logs {
		args = append(args, "-v")
	}
	c := exec.Command("go", append(args, "github.com/cocoframework/coco/internal/sim")...)
	c.Env = append(os.Environ(), "GOMAXPROCS=1", "SEEDS=1", fmt.Sprintf("FIRST=%d", *seed))
	if *logs {
		c.Env = append(c.Env, "LOG=1")
	}
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	if c.Run() != nil {
		os.Exit(1) // go test has said why
	}
}
