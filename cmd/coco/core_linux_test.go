package main

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"testing"
	"time"
)

// A core file holds the keys that a process has in memory, whatever limit the process was started with.
func TestAProgramThatCrashesLeavesNoCoreFile(t *testing.T) {
	cmd := exec.Command("sh", "-c", "ulimit -S -c $(ulimit -H -c); exec coco member show /dev/stdin")
	in, err := cmd.StdinPipe() // which it waits for
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = in.Close()
		_ = cmd.Wait()
	}()
	none := regexp.MustCompile(`(?m)^Max core file size +0 +0 `)
	var limits []byte
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if limits, err = os.ReadFile(fmt.Sprintf("/proc/%d/limits", cmd.Process.Pid)); err != nil || none.Match(limits) {
			break
		}
	}
	if !none.Match(limits) {
		t.Errorf("a running command may leave a core file (%v):\n%s", err, limits)
	}
}
