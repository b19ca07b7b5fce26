//go:build unix

package main

import "syscall"

// withoutCore keeps the system from writing a core file when this program or one that it starts crashes: it would hold a node's or a member's keys in plain.
func withoutCore() { _ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}) }
