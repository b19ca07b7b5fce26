package bench

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// userHz is the unit of times in /proc, 100 to the second on every architecture (USER_HZ).
const userHz = 100

// processCPU returns the CPU time that a process used so far, in user and in kernel mode.
func processCPU(pid int) (time.Duration, bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, false
	}
	return parseStat(stat)
}

// parseStat reads utime and stime, fields 14 and 15 of proc_pid_stat(5). The second field is the
// command in parentheses and may contain anything, so counting begins behind the last one.
func parseStat(stat []byte) (time.Duration, bool) {
	i := bytes.LastIndexByte(stat, ')')
	if i < 0 {
		return 0, false
	}
	fields := bytes.Fields(stat[i+1:])
	if len(fields) < 13 {
		return 0, false
	}
	user, err1 := strconv.ParseUint(string(fields[11]), 10, 62)
	system, err2 := strconv.ParseUint(string(fields[12]), 10, 62)
	if err1 != nil || err2 != nil {
		return 0, false
	}
	return time.Duration(user+system) * (time.Second / userHz), true
}
