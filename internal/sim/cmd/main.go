// Command cmd plays seeds of the simulation and shows what goes wrong, or the whole trace.
//
//	go run ./internal/sim/cmd -seed 17 -v           one seed, with a line for each fault
//	go run ./internal/sim/cmd -seed 1000 -seeds 200 two hundred of them
//	go run ./internal/sim/cmd -seeds 60 -seed 0     sixty, from a random one on, which is printed
//
// It runs the test of package internal/sim with `go test`, as the numbers of package crypto can be fixed in a test's
// program only, and with the overlay of package replay, which makes a run a function of its seed.
// With -loose it runs without: goroutines take turns in another order each time, and nothing is compiled again.
//
// Trust: host
package main

import (
	"crypto/rand"
	"flag"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"strconv"

	"github.com/cocoframework/coco/internal/sim/replay"
)

// fresh bounds the seeds that are drawn, so that they can be read aloud.
const fresh = 1_000_000_000

func main() {
	seed := flag.Uint64("seed", 1, "the first seed to play; 0 draws one")
	seeds := flag.Uint64("seeds", 1, "how many seeds")
	times := flag.Int("times", 1, "how often each of them")
	loose := flag.Bool("loose", false, "run goroutines in any order")
	verbose := flag.Bool("v", false, "show a line for each fault")
	logs := flag.Bool("log", false, "show the nodes' logs, too")
	self := flag.Bool("self", false, "test that a run is a function of its seed, and play nothing else")
	events := flag.String("events", "", "append a line for everything that happens to this `file`: two runs can be compared by it")
	flag.Parse()
	var err error
	if *seed == 0 {
		*seed, err = drawn()
	}
	test := "TestNothingIsLostWhateverTheSeed"
	if *self {
		test = "TestARunIsAFunctionOfItsSeed"
	} else {
		fmt.Printf("seeds %d to %d\n", *seed, *seed+*seeds-1)
	}
	args := []string{"test", "-run", "^" + test + "$", "-count", strconv.Itoa(*times), "-timeout", "24h"}
	if *verbose || *logs {
		args = append(args, "-v")
	}
	env := []string{"GOMAXPROCS=1", fmt.Sprintf("SEEDS=%d", *seeds), fmt.Sprintf("FIRST=%d", *seed), "EVENTS=" + *events}
	if *logs {
		env = append(env, "LOG=1")
	}
	if err == nil {
		err = run(args, env, *loose)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sim:", err)
		os.Exit(1)
	}
}

func drawn() (uint64, error) {
	n, err := rand.Int(rand.Reader, big.NewInt(fresh))
	if err != nil {
		return 0, err
	}
	return n.Uint64() + 1, nil
}

func run(args, env []string, loose bool) error {
	if !loose {
		flags, err := replay.Flags()
		if err != nil {
			return err
		}
		args = append(args, flags...)
	}
	c := exec.Command("go", append(args, "github.com/cocoframework/coco/internal/sim")...)
	c.Env = append(os.Environ(), env...)
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	return c.Run() // go test has said why
}
