package doctorcmd

import "golang.org/x/sys/unix"

// memoryDisk reports whether a folder is known to be kept in memory only.
func memoryDisk(dir string) bool {
	var st unix.Statfs_t
	return unix.Statfs(dir, &st) == nil && (st.Type == unix.TMPFS_MAGIC || st.Type == unix.RAMFS_MAGIC)
}
