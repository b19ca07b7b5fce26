//go:build !linux && !darwin

package doctorcmd

func freeSpace(string) (uint64, bool) { return 0, false }

func openFiles() (uint64, bool) { return 0, false }
