package bench

import (
	"math"
	"os"
	"time"
)

// ownName is this process's name in reports.
const ownName = "bench"

// readCPU reads the CPU time of this process and of others, without those that cannot be read.
func readCPU(processes map[string]int) map[string]time.Duration {
	used := make(map[string]time.Duration)
	for name, pid := range processes {
		if d, ok := processCPU(pid); ok && pid != os.Getpid() {
			used[name] = d
		}
	}
	if d, ok := ownCPU(); ok {
		used[ownName] = d
	}
	return used
}

// cpuPerTx gives microseconds a transaction for each process that was read at both ends.
func cpuPerTx(before, after map[string]time.Duration, committed uint64) map[string]float64 {
	per := make(map[string]float64)
	for name, d := range after {
		if b, ok := before[name]; ok && committed > 0 && d >= b {
			us := float64((d - b).Microseconds()) / float64(committed)
			per[name] = math.Round(us*10) / 10
		}
	}
	return per
}
