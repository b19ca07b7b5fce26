//go:build !linux

package doctorcmd

func memoryDisk(string) bool { return false }
